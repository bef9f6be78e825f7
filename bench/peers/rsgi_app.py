"""A bare RSGI application: no framework at all."""

import asyncio

import msgspec
import orjson
import rsgi_streams
from data import BIG, HELLO
from models import Order

JSON = [("content-type", "application/json")]
decode_order = msgspec.json.Decoder(Order).decode
encode_order = msgspec.json.Encoder().encode
TEXT = [("content-type", "text/plain")]


async def app(scope, proto):
    path = scope.path
    if path == "/plaintext":
        proto.response_str(200, TEXT, HELLO)
    elif path in ("/json", "/async-json"):
        proto.response_bytes(200, JSON, orjson.dumps({"message": HELLO}))
    elif path.startswith("/users/"):
        q = None
        for part in scope.query_string.split("&"):
            if part.startswith("q="):
                q = part[2:]
        proto.response_bytes(200, JSON, orjson.dumps({"id": path[7:], "q": q}))
    elif path == "/echo":
        proto.response_bytes(200, JSON, orjson.dumps(orjson.loads(await proto())))
    elif path == "/model":
        proto.response_bytes(200, JSON, encode_order(decode_order(await proto())))
    elif path == "/big":
        proto.response_bytes(200, JSON, orjson.dumps(BIG))
    elif path == "/yield":
        await asyncio.sleep(0)
        proto.response_bytes(200, JSON, orjson.dumps({"message": HELLO}))
    elif path == "/future":
        loop = asyncio.get_running_loop()
        waiting = loop.create_future()
        loop.call_soon(waiting.set_result, None)
        await waiting
        proto.response_bytes(200, JSON, orjson.dumps({"message": HELLO}))
    elif path == "/sleep":
        await asyncio.sleep(0.001)
        proto.response_bytes(200, JSON, orjson.dumps({"message": HELLO}))
    else:
        await rsgi_streams.app(scope, proto)
