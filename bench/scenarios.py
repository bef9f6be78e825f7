"""What is asked of every server, and what must come back before its speed counts."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from data import BIG, HELLO, TOKENS, file_bytes

ECHO = {
    "id": 7,
    "name": "Ada Lovelace",
    "tags": ["alpha", "beta", "gamma", "delta"],
    "active": True,
    "ratio": 0.125,
    "nested": {"a": [1, 2, 3, 4, 5, 6, 7, 8], "b": None, "c": "x" * 64},
    "items": [
        {"sku": f"SKU-{i:05}", "qty": i, "price": i * 2.5, "note": f"item number {i}"}
        for i in range(11)
    ],
    "text": "The quick brown fox jumps over the lazy dog. " * 2,
}
HELLO_JSON = {"message": HELLO}


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    path: str
    answer: object  # str or bytes: the body; else what the JSON body means
    body: bytes = b""  # POST when there is one
    pipelined: int = 1
    variant: str = ""  # the application is started anew with BENCH_VARIANT set to this
    headers: tuple[str, ...] = ()  # that the answer must carry
    only: tuple[str, ...] = ()  # the servers that have such a thing; empty: all
    load: str = "wrk"  # else a measurement of streams.py: "events", "upload" or "first"
    unit: str = "request"  # what the CPU time is divided by,
    units: int = 1  # and how many of them a request has
    method: str = ""  # of an upload
    form: bool = False  # an upload as multipart/form-data

    def problem(self, status: int, headers: dict[str, str], body: bytes) -> str:
        """What is wrong with an answer; empty: nothing."""
        if status != 200:
            return f"status {status}"
        missing = [name for name in self.headers if name not in headers]
        if missing:
            return "without " + ", ".join(missing)
        if isinstance(self.answer, str | bytes):
            right = self.answer.encode() if isinstance(self.answer, str) else self.answer
            return "" if body == right else f"wrong body {body[:40]!r}, {len(body)} bytes"
        try:
            return "" if json.loads(body) == self.answer else f"wrong JSON {body[:40]!r}"
        except ValueError:
            return f"not JSON: {body[:40]!r}"


ECHO_BODY = json.dumps(ECHO, separators=(",", ":")).encode()

CELLO = ("cello", "cello-epoll", "cello-uring")
ASYNC_PEERS = ("granian-rsgi", "uvicorn-asgi", "starlette", "fastapi")
VALIDATING = ("django-bolt", "fastapi", "litestar")
TASKS = (*CELLO, "granian-rsgi", "uvloop-protocol")

SCENARIOS = [
    Scenario(
        "constant",
        "GET /constant: an answer that enters no Python",
        "/constant",
        HELLO,
        only=(*CELLO, "raw-epoll", "raw-uring", "robyn"),
    ),
    Scenario("plaintext", "GET /plaintext: a str from a handler", "/plaintext", HELLO),
    Scenario("json", "GET /json: a dict from a handler", "/json", HELLO_JSON),
    Scenario(
        "params",
        "GET /users/{id}?q=: both, as JSON",
        "/users/12345?q=hello",
        {"id": "12345", "q": "hello"},
    ),
    Scenario(
        "echo",
        f"POST /echo: {len(ECHO_BODY)} bytes of JSON, parsed and returned",
        "/echo",
        ECHO,
        body=ECHO_BODY,
    ),
    Scenario(
        "typed",
        "GET /typed/{id}?q=: an int and a str, checked, as JSON",
        "/typed/12345?q=hello",
        {"id": 12345, "q": "hello"},
        only=(*CELLO, *VALIDATING),
    ),
    Scenario(
        "model",
        f"POST /model: {len(ECHO_BODY)} bytes of JSON into a typed model and back",
        "/model",
        ECHO,
        body=ECHO_BODY,
        only=(*CELLO, *VALIDATING, "granian-rsgi", "fastpysgi-wsgi"),
    ),
    Scenario("big", "GET /big: a list of 500 dicts, 57 KB of JSON", "/big", BIG),
    Scenario("async", "GET /async-json: a dict from an async def", "/async-json", HELLO_JSON),
    Scenario("yield", "GET /yield: it awaits sleep(0)", "/yield", HELLO_JSON, only=TASKS),
    Scenario(
        "future",
        "GET /future: it awaits a future that a callback of the loop resolves",
        "/future",
        HELLO_JSON,
        only=TASKS,
    ),
    Scenario("sleep", "GET /sleep: an async def that sleeps 1 ms", "/sleep", HELLO_JSON),
    Scenario(
        "pipeline", "GET /plaintext, 16 requests in one write", "/plaintext", HELLO, pipelined=16
    ),
    Scenario(
        "routes",
        "GET /table/r777/{id}: one of 1,000 routes",
        "/table/r777/42",
        {"id": "42"},
        variant="routes",
    ),
    Scenario(
        "middleware",
        "GET /json with a request id and security headers",
        "/json",
        HELLO_JSON,
        variant="middleware",
        headers=("x-request-id", "x-content-type-options", "x-frame-options"),
    ),
]

UPLOAD_MB = 100
FILES = {"10k.bin": 10 << 10, "1m.bin": 1 << 20}
FIRST = "".join(TOKENS[:3])
EVENTS = "".join(f"data: {token}\n\n" for token in ("0", "1", "2"))


def _file(name: str, title: str, folder: str, file: str, *only: str) -> Scenario:
    content = file_bytes(FILES[file])
    path = f"/{folder}/{file}"
    return Scenario(name, title, path, content, variant="files", only=(*CELLO, *only))


def _upload(name: str, title: str, path: str, *only: str, form: bool = False) -> Scenario:
    return Scenario(
        name,
        title,
        path,
        b"",
        variant="uploads",
        only=(*CELLO, *only),
        load="upload",
        unit="MB",
        units=UPLOAD_MB,
        method="POST" if form else "PUT",
        form=form,
    )


def _first(name: str, title: str, path: str, answer: str, *only: str) -> Scenario:
    only = (*CELLO, *only)
    return Scenario(name, title, path, answer, variant="streams", only=only, load="first")


STREAMS = [
    _file("static-10k", "10 KB out of a folder", "static", "10k.bin", "h2o", "nginx"),
    _file("static-1m", "1 MB out of a folder", "static", "1m.bin", "h2o", "nginx"),
    _file("file-10k", "10 KB, a file that a handler names", "file", "10k.bin", *ASYNC_PEERS),
    _file("file-1m", "1 MB, a file that a handler names", "file", "1m.bin", *ASYNC_PEERS),
    _upload(
        "upload",
        f"PUT of {UPLOAD_MB} MB, an async def writes what comes into a file",
        "/upload/body",
        *("nginx", "raw-upload", *ASYNC_PEERS),
    ),
    _upload("upload-def", "the same by a def on the thread pool", "/upload-def/body"),
    _upload(
        "upload-form",
        f"POST of a form with a file of {UPLOAD_MB} MB, saved",
        "/upload-form",
        *("starlette", "fastapi"),
        form=True,
    ),
    Scenario(
        "tokens",
        "GET /tokens: an async generator of 1,000 short strings",
        "/tokens",
        "".join(TOKENS),
        variant="streams",
        only=(*CELLO, *ASYNC_PEERS, "robyn"),
        unit="token",
        units=len(TOKENS),
    ),
    Scenario(
        "events",
        "server-sent events: one publisher, very many listeners",
        "/events",
        None,
        variant="streams",
        only=(*CELLO, *ASYNC_PEERS),
        load="events",
        unit="event",
    ),
    _first(
        "first-generator",
        "first byte of a generator",
        "/generator",
        FIRST,
        *("starlette", "fastapi"),
    ),
    _first(
        "first-async", "first byte of an async generator", "/async-generator", FIRST, *ASYNC_PEERS
    ),
    _first("first-event", "first byte of an event stream", "/short-events", EVENTS, *ASYNC_PEERS),
    Scenario(
        "blocking",
        "GET /blocking: a def that blocks for 1 ms, on the thread pool",
        "/blocking",
        HELLO_JSON,
        variant="pool",
        only=(*CELLO, "starlette", "fastapi", "granian-wsgi", "robyn"),
    ),
]
SCENARIOS += STREAMS
BY_NAME = {s.name: s for s in SCENARIOS}
