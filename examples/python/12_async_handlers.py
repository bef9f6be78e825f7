"""Async handlers: asyncio and its habits, on the engine's own loop.

$ curl http://127.0.0.1:8000/wait/10
{"waited_ms":10}
$ curl http://127.0.0.1:8000/both
{"results":["a","b"]}
$ curl -i http://127.0.0.1:8000/slow
HTTP/1.1 504 Gateway Timeout
"""

import asyncio

from cello import App, HTTPError, Request

app = App()


@app.get("/wait/{ms:int}")
async def wait(req: Request) -> object:
    ms = req.get_param_int("ms", 0)
    await asyncio.sleep(ms / 1000)
    return {"waited_ms": ms}


async def fetch(name: str) -> str:
    await asyncio.sleep(0.005)
    return name


@app.get("/both")
async def both() -> object:
    return {"results": await asyncio.gather(fetch("a"), fetch("b"))}


@app.get("/slow")
async def slow() -> object:
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
    except TimeoutError:
        raise HTTPError(504, "it took too long") from None
    return "never"


if __name__ == "__main__":
    app.run()
