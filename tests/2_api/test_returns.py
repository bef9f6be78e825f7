"""What a handler may return, and how it is answered."""

import logging
import uuid
from collections import OrderedDict, UserDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple, TypedDict

import pytest
from api_client import BACKENDS, Answer, asking, serving
from cello import App, HTTPError, Response

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
JSON = "application/json"


def answer_of(value: Any, *, asynchronous: bool = False, **options: Any) -> Answer:
    """How a handler that returns `value` is answered."""
    app = App()
    if asynchronous:

        async def handler() -> Any:
            return value

        app.get("/", **options)(handler)
    else:
        app.get("/", **options)(lambda: value)
    with asking(app) as client:
        return client.get("/")


class Color(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: float


class Pair(NamedTuple):
    a: int
    b: str


class Movie(TypedDict):
    title: str


class Named(OrderedDict[str, int]):
    pass


class Count(int):
    pass


class Name(str):
    __slots__ = ()


KINDS: list[tuple[Any, int, str | None, bytes]] = [
    (None, 204, None, b""),
    ("", 200, TEXT, b""),
    ("ä", 200, TEXT, "ä".encode()),
    (Name("x"), 200, TEXT, b"x"),
    (b"", 200, BYTES, b""),
    (b"\x00\xff", 200, BYTES, b"\x00\xff"),
    (bytearray(b"ab"), 200, BYTES, b"ab"),
    (memoryview(b"abc")[1:], 200, BYTES, b"bc"),
    ({}, 200, JSON, b"{}"),
    ({"a": {"b": [None, True]}}, 200, JSON, b'{"a":{"b":[null,true]}}'),
    (Named(a=1), 200, JSON, b'{"a":1}'),
    ([], 200, JSON, b"[]"),
    (["x"], 200, JSON, b'["x"]'),
    (7, 200, JSON, b"7"),
    (Count(8), 200, JSON, b"8"),
    (10**60, 200, JSON, b"1" + b"0" * 60),
    (2.5, 200, JSON, b"2.5"),
    (True, 200, JSON, b"true"),
    (Point(1, 2.0), 200, JSON, b'{"x":1,"y":2.0}'),
    (Movie(title="t"), 200, JSON, b'{"title":"t"}'),
    ([date(2024, 2, 29)], 200, JSON, b'["2024-02-29"]'),
    ([datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC)], 200, JSON, None),
    ([uuid.UUID(int=1), Decimal("1.50"), Color.RED], 200, JSON, None),
    (("x", 201), 201, TEXT, b"x"),
    (({"a": 1}, 202), 202, JSON, b'{"a":1}'),
    ((None, 304), 304, None, b""),
    ((b"x", 200, {"X-A": "1"}), 200, BYTES, b"x"),
    (([1], 200, [("X-A", "1"), ("X-A", "2")]), 200, JSON, b"[1]"),
    ((Response("x", 201).body, 201), 201, TEXT, b"x"),
    (Response("x"), 200, TEXT, b"x"),
    (Response({"a": 1}, 418), 418, JSON, b'{"a":1}'),
    (Response.no_content(), 204, None, b""),
    (Response(b"<x/>", content_type="text/xml"), 200, "text/xml", b"<x/>"),
]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["def", "async"])
@pytest.mark.parametrize(("value", "status", "kind", "body"), KINDS, ids=lambda v: repr(v)[:30])
def test_kinds(value: Any, status: int, kind: str | None, body: bytes, asynchronous: bool) -> None:
    answer = answer_of(value, asynchronous=asynchronous)
    assert answer.status == status
    assert answer.headers.get("Content-Type") == kind
    if body is not None:
        assert answer.body == body
    if status not in (204, 304):
        assert answer.headers["Content-Length"] == str(len(answer.body))


def test_a_named_tuple_is_an_array_not_an_answer() -> None:
    answer = answer_of(Pair(1, "x"))
    assert (answer.status, answer.data) == (200, [1, "x"])
    assert answer_of([Pair(404, "x")]).data == [[404, "x"]]


def test_the_status_of_the_route() -> None:
    assert answer_of("x", status=201).status == 201
    assert answer_of(None, status=202).status == 202
    assert answer_of(("x", 203), status=201).status == 203
    assert answer_of(Response("x"), status=201).status == 200
    assert answer_of("x", status_code=201).status == 201


def test_headers_of_a_tuple() -> None:
    answer = answer_of(("x", 200, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-A", "ä")]))
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert answer_of(("x", 200, {"Content-Type": "text/css"})).headers.get_all("Content-Type") == [
        "text/css"
    ]


class Unknown:
    pass


def cycle() -> object:
    items: list[object] = []
    items.append(items)
    return items


def deep() -> object:
    value: object = []
    for _ in range(200):
        value = [value]
    return value


UNUSABLE: list[tuple[Any, str]] = [
    (Unknown(), "Unknown"),
    ({"a": range(2)}, "dict"),
    (cycle(), "list"),
    (deep(), "list"),
    (float("nan"), "float"),
    ([float("inf")], "list"),
    (["\ud800"], "list"),
    ("\ud800", "str"),
    (UserDict(a=1), "UserDict"),
    ((), "tuple"),
    ((1, 2, 3, 4), "tuple"),
    (("x", "y"), "tuple"),
    (("x", True), "tuple"),
    (("x", 99), "tuple"),
    (("x", 600), "tuple"),
    (("x", 10**30), "tuple"),
    (("x", 200, 5), "tuple"),
    (("x", 200, [("a",)]), "tuple"),
    (("x", 200, {"a": 1}), "tuple"),
    (("x", 200, {"a\r\nb": "1"}), "tuple"),
    (("x", 200, {"a": "1\r\nb: 2"}), "tuple"),
    (("x", 200, {"a": "\x00"}), "tuple"),
    (("x", 200, {"Content-Length": "5"}), "tuple"),
    (("x", 200, {"Transfer-Encoding": "chunked"}), "tuple"),
]


@pytest.mark.parametrize(("value", "kind"), UNUSABLE, ids=lambda v: repr(v)[:30])
def test_what_cannot_be_sent_is_500_and_one_line_in_the_log(
    value: Any, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.get("/items/{id}")
    def handler() -> Any:
        return value

    with asking(app) as client, caplog.at_level(logging.ERROR, "cello"):
        answer = client.get("/items/7", X_A="1")
        assert answer.status == 500
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.data["title"] == "Internal Server Error" and "X-A" not in answer.headers
        assert client.get("/items/7").status == 500, "the connection lives on"
    assert len(caplog.records) == 2
    line = caplog.records[0].getMessage()
    assert line.startswith("GET /items/{id}: ") and f"type {kind} " in line
    assert "handler" in line and "test_returns.py:" in line


def test_the_json_encoder_of_the_application() -> None:
    class Base:
        pass

    class Derived(Base):
        pass

    app = App()

    @app.json_encoder(Base)
    def base(value: Base) -> object:
        return {"type": type(value).__name__, "more": [Color.RED]}

    @app.json_encoder(set)
    def of_set(value: set[int]) -> list[int]:
        return sorted(value)

    app.get("/")(lambda: [Base(), Derived(), {3, 1, 2}])
    app.get("/others")(lambda: [frozenset("a"), timedelta(1)])
    app.get("/unknown")(lambda: [Unknown()])

    @app.json_encoder(Unknown)
    def failing(value: Unknown) -> object:
        raise HTTPError(418, "not now")

    with asking(app) as client:
        base_, derived, numbers = client.get("/").data
        assert (base_["type"], derived["type"]) == ("Base", "Derived")
        assert derived["more"] == ["red"] and numbers == [1, 2, 3]
        assert client.get("/others").data == [["a"], "P1D"]
        assert client.get("/unknown").status in (418, 500)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 65536, 1 << 20, 20 << 20])
def test_sizes(size: int, backend: str) -> None:
    app = App()
    kinds: dict[str, Callable[[], Any]] = {
        "/bytes": lambda: b"b" * size,
        "/str": lambda: "s" * size,
        "/response": lambda: Response(b"r" * size, headers={"X-A": "1"}),
        "/json": lambda: ["j" * size],
        "/bytearray": lambda: bytearray(b"a" * size),
    }
    for path, handler in kinds.items():
        app.get(path)(handler)
    with serving(app, backend=backend) as client:
        for path, start in zip(kinds, b"bsrja", strict=True):
            body = client.get(path).body
            expected = bytes([start]) * size
            assert body == (b'["%s"]' % expected if path == "/json" else expected)
            head = client.ask(path, "HEAD")
            assert head.headers["Content-Length"] == str(len(body)) and head.body == b""
