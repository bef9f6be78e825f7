"""Each allocation of Python objects that a request needs fails once: the answer is 500, or the
usual one where the object was not needed; the next request is served, and nothing stays open.

Bodies are not among them: msgspec and pydantic do not live through it."""

import logging
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from cello import App, Cookie, Depends, Form, Header, HTTPError, Query, Request, Response
from cello._settings import Settings

testcapi = pytest.importorskip("_testcapi")

FORM = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 11"
ENOUGH = 60  # allocations after the last one that mattered


class Problem(Exception):
    pass


class Page(msgspec.Struct):
    page: int = 1
    tags: list[int] = []


opened = bytearray(2)  # whose numbers need no memory


def dependency(response: Response) -> Iterator[int]:
    response.set_header("X-A", "1")
    response.set_cookie("a", "b")
    opened[0] ^= 1
    try:
        yield 1
    finally:
        opened[1] ^= 1


def guard(request: Request) -> bool:
    return request.query.get("refuse") is None


def make() -> App:
    app = App()
    app.enable_request_id()

    @app.get("/typed/{id}", guards=[guard])
    def typed(
        id: int,
        q: list[int] = Query([]),
        day: date | None = None,
        at: datetime | None = None,
        key: UUID | None = None,
        price: Decimal | None = None,
        a: str | None = Header(None),
        c: str | None = Cookie(None),
        s: Annotated[str, Query(pattern="^a*$")] = "a",
        value: int = Depends(dependency),
    ) -> Any:
        return {"id": id, "day": day, "at": at, "key": key, "price": price}

    @app.get("/page")
    def page(page: Annotated[Page, Query()]) -> Page:
        return page

    @app.post("/form")
    def form(a: int = Form(), b: list[str] = Form([])) -> Any:
        return [a, b]

    @app.get("/problem")
    def problem(value: int = Depends(dependency)) -> Any:
        raise Problem

    @app.get("/refused")
    def refused(value: int = Depends(dependency)) -> Any:
        raise HTTPError(409, "no", headers={"X-B": "2"}, more=[1])

    @app.get("/unsendable")
    def unsendable(value: int = Depends(dependency)) -> Any:
        return object()

    @app.get("/request")
    def request(req: Request) -> Response:
        req.state.seen = req.headers.get("a")
        return Response.json([req.path, str(req.url), dict(req.query)], 200, {"X-C": "3"})

    @app.exception_handler(Problem)
    def on_problem(request: Request, error: Problem) -> Any:
        return {"path": request.path}, 418

    return app


REQUESTS = [
    (
        "GET /typed/1?q=1&q=2&day=2020-01-01&at=2020-01-01T00:00:00Z&price=1.5",
        "A: x\r\nCookie: c=1",
    ),
    ("GET /typed/x?q=z&day=1&at=1&key=1&price=x&s=b", "A: x"),
    ("GET /typed/1?refuse=1", "A: x"),
    ("GET /page?page=2&tags=1&tags=2", "A: x"),
    ("GET /page?page=x", "A: x"),
    ("POST /form", f"{FORM}\r\n\r\na=1&b=x&b=y"),
    ("POST /form", "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\na=1"),
    ("GET /problem", "A: x"),
    ("GET /refused", "A: x"),
    ("GET /unsendable", "A: x"),
    ("GET /request?x=1", "A: x"),
]


@pytest.mark.parametrize(("line", "rest"), REQUESTS)
def test_a_request(line: str, rest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    monkeypatch.setattr(logging.getLogger("cello"), "disabled", True)
    end = "" if "\r\n\r\n" in rest else "\r\n\r\n"
    data = f"{line} HTTP/1.1\r\nHost: x\r\n{rest}{end}".encode()
    server = make()._engine(Settings(env="production", backend="epoll"))
    turn = server.turn

    def ask(failing: int | None = None) -> bytes:
        connection = server.connect()
        connection.send(data)
        if failing is not None:
            testcapi.set_nomemory(failing, failing + 1)
        try:
            turn(0), turn(0), turn(0)
        except MemoryError:  # of the call itself
            pass
        finally:
            testcapi.remove_mem_hooks()
        turn(0)
        answer = connection.receive(65536) or b"nothing"
        connection.close()
        return answer[9:12]

    usual = [ask() for _ in range(3)][-1]
    unchanged = failing = 0
    while unchanged < ENOUGH:
        status = ask(failing)
        assert status in (usual, b"500"), failing
        unchanged = unchanged + 1 if status == usual else 0
        failing += 1
        assert ask() == usual, failing
        assert opened[0] == opened[1], failing
    server.close()
