from cello import Response, SseEvent
from data import TOKENS
from topic import Topic

topic = Topic()


async def tokens():
    for token in TOKENS:
        yield token


def generator():
    yield from TOKENS[:3]


async def async_generator():
    for token in TOKENS[:3]:
        yield token


async def three_events():
    for i in range(3):
        yield SseEvent(str(i))


def short_events():
    return Response.sse(three_events())


async def follow():
    seen = topic.count
    while True:
        yield SseEvent(str(seen))
        seen = await topic.after(seen)


def events():
    return Response.sse(follow())


async def publish():
    topic.publish()


def add(app):
    app.get("/tokens")(tokens)
    app.get("/generator")(generator)
    app.get("/async-generator")(async_generator)
    app.get("/short-events")(short_events)
    app.get("/events")(events)
    app.post("/publish")(publish)
