"""The streams of the bare RSGI application."""

from data import FOLDER, TOKENS
from topic import Topic

topic = Topic()
TEXT = [("content-type", "text/plain")]
BINARY = [("content-type", "application/octet-stream")]
EVENTS = [("content-type", "text/event-stream"), ("cache-control", "no-store")]


async def send_tokens(proto, count):
    transport = proto.response_stream(200, TEXT)
    for i in range(count):
        await transport.send_str(TOKENS[i])


async def send_short_events(proto):
    transport = proto.response_stream(200, EVENTS)
    for i in range(3):
        await transport.send_str(f"data: {i}\n\n")


async def send_events(proto):
    transport = proto.response_stream(200, EVENTS)
    seen = topic.count
    while True:
        await transport.send_str(f"data: {seen}\n\n")
        seen = await topic.after(seen)


async def upload(proto):
    with open(f"{FOLDER}/uploads/body", "wb") as f:
        async for piece in proto:
            f.write(piece)


async def app(scope, proto):
    path = scope.path
    if path == "/tokens":
        await send_tokens(proto, len(TOKENS))
    elif path == "/events":
        await send_events(proto)
    elif path == "/short-events":
        await send_short_events(proto)
    elif path == "/async-generator":
        await send_tokens(proto, 3)
    elif path == "/publish":
        topic.publish()
        proto.response_empty(200, [])
    elif path == "/upload/body":
        await upload(proto)
        proto.response_empty(201, [])
    elif path.startswith("/file/"):
        proto.response_file(200, BINARY, f"{FOLDER}/files/{path[6:]}")
    else:
        proto.response_empty(404, [])
