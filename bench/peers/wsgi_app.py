"""A bare WSGI application, for the row that blocks a thread."""

import time

import orjson
from data import HELLO


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path not in ("/blocking", "/json"):
        start_response("404 Not Found", [])
        return [b""]
    if path == "/blocking":
        time.sleep(0.001)
    start_response("200 OK", [("content-type", "application/json")])
    return [orjson.dumps({"message": HELLO})]
