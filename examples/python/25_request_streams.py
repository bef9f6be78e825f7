"""Request bodies that are read while they come: nothing is collected, and a slow handler holds its
client back.

$ curl -d 'one two three' http://127.0.0.1:8000/words
{"words":3}
$ curl -X PUT -d 'hello' http://127.0.0.1:8000/sha256
{"bytes":5,"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}
$ curl -i -d 'more than eight bytes' http://127.0.0.1:8000/short
HTTP/1.1 413 Content Too Large
"""

import asyncio
import hashlib

from cello import App, Request

app = App()


@app.post("/words", body="stream")
async def words(req: Request) -> object:
    count, inside = 0, False
    async for chunk in req.stream():
        for byte in chunk:
            space = byte in b" \n"
            count += inside and space
            inside = not space
        await asyncio.sleep(0)  # other requests have their turn
    return {"words": count + inside}


@app.put("/sha256", body="stream", max_body=5 << 30)
def sha256(req: Request) -> object:
    """A def runs on the thread pool, where it may wait for the client, and for a disk."""
    digest, size = hashlib.sha256(), 0
    for chunk in req.stream():
        digest.update(chunk)
        size += len(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


@app.post("/short", body="stream", max_body=8)
async def short(req: Request) -> object:
    return b"".join([chunk async for chunk in req.stream()])


if __name__ == "__main__":
    app.run()
