"""HTTP/2 without TLS, for clients that know it beforehand; HTTP/1.1 on the same port.

With curl --http2-prior-knowledge -i, the first line is "HTTP/2 200". With TLS nothing is to be
turned on: browsers and other clients choose HTTP/2 by themselves.

$ curl http://127.0.0.1:8000/
{"hello":"world"}
$ curl -i http://127.0.0.1:8000/numbers
HTTP/1.1 200 OK
Content-Type: text/plain; charset=utf-8

0 1 2 3 4
"""

import asyncio
from collections.abc import AsyncIterator

from cello import App, Http2Config

app = App()


@app.get("/")
def hello() -> dict[str, str]:
    return {"hello": "world"}


@app.get("/numbers")
async def numbers() -> AsyncIterator[str]:
    """Pieces go out as they are made; a client that leaves ends this by an exception."""
    for i in range(5):
        yield f"{i} " if i < 4 else str(i)
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    app.run(http2=Http2Config(h2c=True, max_concurrent_streams=250))
