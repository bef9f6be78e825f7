"""Event streams that last: `listeners_server.py SOCKET BACKEND`."""

import asyncio
import sys

from cello import App, Response, SseEvent

app = App()
news = asyncio.Event()
count = 0


async def follow():
    while True:
        yield SseEvent(count)
        await news.wait()


@app.get("/events")
def events():
    return Response.sse(follow())


@app.post("/publish")
async def publish():
    global news, count
    count += 1
    told, news = news, asyncio.Event()
    told.set()
    return count


app.run(uds=sys.argv[1], env="production", backend=sys.argv[2])
