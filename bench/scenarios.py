"""What is asked of every server, and what must come back before its speed counts."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from data import BIG, HELLO

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
    answer: object  # str: the body; else what the JSON body means
    body: bytes = b""  # POST when there is one
    pipelined: int = 1
    variant: str = ""  # the application is started anew with BENCH_VARIANT set to this
    headers: tuple[str, ...] = ()  # that the answer must carry
    only: tuple[str, ...] = ()  # the servers that have such a thing; empty: all

    def problem(self, status: int, headers: dict[str, str], body: bytes) -> str:
        """What is wrong with an answer; empty: nothing."""
        if status != 200:
            return f"status {status}"
        missing = [name for name in self.headers if name not in headers]
        if missing:
            return "without " + ", ".join(missing)
        if isinstance(self.answer, str):
            return "" if body == self.answer.encode() else f"wrong body {body[:40]!r}"
        try:
            return "" if json.loads(body) == self.answer else f"wrong JSON {body[:40]!r}"
        except ValueError:
            return f"not JSON: {body[:40]!r}"


ECHO_BODY = json.dumps(ECHO, separators=(",", ":")).encode()

CELLO = ("cello", "cello-epoll", "cello-uring")
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
BY_NAME = {s.name: s for s in SCENARIOS}
