"""A bare WSGI or ASGI application on FastPySGI."""

import sys

import fastpysgi
import msgspec
import orjson
from data import BIG, HELLO, PORT
from models import Order

decode_order = msgspec.json.Decoder(Order).decode
encode_order = msgspec.json.Encoder().encode


def app(environ, start_response):
    path = environ["PATH_INFO"]
    content_type = "application/json"
    if path == "/plaintext":
        content_type, body = "text/plain", HELLO.encode()
    elif path == "/json":
        body = orjson.dumps({"message": HELLO})
    elif path.startswith("/users/"):
        q = None
        for part in environ.get("QUERY_STRING", "").split("&"):
            if part.startswith("q="):
                q = part[2:]
        body = orjson.dumps({"id": path[7:], "q": q})
    elif path == "/echo":
        length = int(environ["CONTENT_LENGTH"])
        body = orjson.dumps(orjson.loads(environ["wsgi.input"].read(length)))
    elif path == "/model":
        length = int(environ["CONTENT_LENGTH"])
        body = encode_order(decode_order(environ["wsgi.input"].read(length)))
    elif path == "/big":
        body = orjson.dumps(BIG)
    else:
        start_response("404 Not Found", [("Content-Length", "0")])
        return [b""]
    length = str(len(body))
    start_response("200 OK", [("Content-Type", content_type), ("Content-Length", length)])
    return [body]


if __name__ == "__main__":
    if sys.argv[1] == "asgi":
        from asgi_app import app
    fastpysgi.run(app, host="127.0.0.1", port=PORT)
