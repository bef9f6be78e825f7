"""The streams of the bare ASGI application."""

from data import FOLDER, TOKENS
from topic import events, short_events, tokens, topic

TEXT = [(b"content-type", b"text/plain")]
EVENTS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]


async def start(send, headers, status=200):
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def stream(send, headers, pieces):
    await start(send, headers)
    async for piece in pieces:
        await send({"type": "http.response.body", "body": piece.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def upload(receive):
    with open(f"{FOLDER}/uploads/body", "wb") as f:
        while True:
            message = await receive()
            f.write(message["body"])
            if not message.get("more_body"):
                return


async def app(scope, receive, send):
    path = scope["path"]
    if path == "/tokens":
        await stream(send, TEXT, tokens(len(TOKENS)))
    elif path == "/events":
        await stream(send, EVENTS, events())
    elif path == "/short-events":
        await stream(send, EVENTS, short_events())
    elif path == "/async-generator":
        await stream(send, TEXT, tokens(3))
    elif path == "/publish":
        topic.publish()
        await start(send, [(b"content-length", b"0")])
        await send({"type": "http.response.body", "body": b""})
    elif path == "/upload/body":
        await upload(receive)
        await start(send, [(b"content-length", b"0")], 201)
        await send({"type": "http.response.body", "body": b""})
    else:
        await start(send, [(b"content-length", b"0")], 404)
        await send({"type": "http.response.body", "body": b""})
