"""A bare ASGI application: no framework at all."""

import asyncio

import asgi_streams
import orjson
from data import BIG, HELLO


async def send_bytes(send, content_type, body):
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def app(scope, receive, send):
    path = scope["path"]
    if path == "/plaintext":
        await send_bytes(send, b"text/plain", HELLO.encode())
        return
    if path in ("/json", "/async-json"):
        value = {"message": HELLO}
    elif path.startswith("/users/"):
        q = None
        for part in scope["query_string"].decode().split("&"):
            if part.startswith("q="):
                q = part[2:]
        value = {"id": path[7:], "q": q}
    elif path == "/echo":
        value = orjson.loads(await read_body(receive))
    elif path == "/big":
        value = BIG
    elif path == "/sleep":
        await asyncio.sleep(0.001)
        value = {"message": HELLO}
    else:
        await asgi_streams.app(scope, receive, send)
        return
    await send_bytes(send, b"application/json", orjson.dumps(value))
