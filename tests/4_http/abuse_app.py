"""The application that is abused: it knows how many of its handlers run, and ran at once. Run with
a listening socket's number; with "hasty" behind it, clients get little time:

python abuse_app.py FD [hasty]
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

from cello import App, Request, Response, TimeoutConfig

BIG = b"x" * (1 << 20)
LITTLE = 0.4 if "LD_PRELOAD" not in os.environ else 2  # seconds; for a sanitizer

app = App()
running = called = peak = 0


@app.get("/held")
async def held() -> None:
    """Until its client leaves."""
    global running, called, peak
    running, called = running + 1, called + 1
    peak = max(peak, running)
    try:
        await asyncio.Event().wait()
    finally:
        running -= 1


@app.get("/counts")
def counts() -> dict[str, int]:
    return {"running": running, "called": called, "peak": peak}


@app.get("/big")
def big() -> bytes:
    return BIG


@app.get("/endless")
async def endless() -> AsyncIterator[bytes]:
    while True:
        yield BIG[:50_000]


@app.get("/chunks")
async def chunks() -> AsyncIterator[bytes]:
    """5 MB in pieces that are joined in frames."""
    for _ in range(5000):
        yield BIG[:1000]


@app.get("/named")
def named(req: Request) -> Response:
    response = Response("named")
    response.set_header("X-Name", req.query["name"])
    return response


@app.post("/sink", body="stream", max_body=1 << 30)
async def sink(req: Request) -> int:
    return sum([len(chunk) async for chunk in req.stream()])


@app.post("/unread", body="stream", max_body=1 << 30)
async def unread(req: Request) -> None:
    await held()


app.get("/plain")(lambda: "hello")
app.get("/probe")(lambda: "probe")
app.post("/length")(lambda req: len(req.body()))

if __name__ == "__main__":
    if "hasty" in sys.argv:
        app.set_timeouts(
            TimeoutConfig(read_header=LITTLE, read_body=LITTLE, write=LITTLE, idle=3 * LITTLE)
        )
    app.run(fd=int(sys.argv[1]), logs=False, argv=False)
