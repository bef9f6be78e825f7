"""Handlers of exceptions and of statuses: which one is asked, and what its value becomes."""

import asyncio
import logging
from typing import Any

import pytest
from api_client import serving
from cello import (
    App,
    HTTPError,
    JSONDecodeError,
    ProblemDetails,
    Request,
    RequestValidationError,
    Response,
)


class Shop(Exception):
    pass


class Empty(Shop):
    pass


def app_raising(**errors: BaseException) -> App:
    """GET /name and GET /later/name raise what is given by name."""
    app = App()

    @app.get("/{name}")
    def plain(req: Request) -> None:
        raise errors[req.params["name"]]

    @app.get("/later/{name}")
    async def later(req: Request) -> None:
        await asyncio.sleep(0)
        raise errors[req.params["name"]]

    return app


@pytest.mark.parametrize("prefix", ["", "/later"])
@pytest.mark.parametrize("is_async", [False, True])
def test_by_type_the_most_special_first(prefix: str, is_async: bool) -> None:
    app = app_raising(shop=Shop("s"), empty=Empty("e"), other=KeyError("o"))

    def declare(kind: type[Exception]) -> None:
        if is_async:

            @app.exception_handler(kind)
            async def later(req: Request, exc: Exception) -> Any:
                await asyncio.sleep(0)
                return {"by": kind.__name__, "of": str(exc), "path": req.path}, 409

        else:

            @app.exception_handler(kind)
            def plain(req: Request, exc: Exception) -> Any:
                return {"by": kind.__name__, "of": str(exc), "path": req.path}, 409

    for kind in (LookupError, Shop, Empty):
        declare(kind)
    with serving(app) as client:
        for name, by in (("shop", "Shop"), ("empty", "Empty"), ("other", "LookupError")):
            answer = client.get(f"{prefix}/{name}")
            assert (answer.status, answer.data["by"]) == (409, by)
            assert answer.data["path"] == f"{prefix}/{name}"


def test_given_to_the_constructor() -> None:
    app = App(exception_handlers={Shop: lambda req, exc: "shop", 418: lambda req, exc: "tea"})

    @app.get("/{name}")
    def handler(req: Request) -> None:
        raise Shop if req.params["name"] == "shop" else HTTPError(418)

    with serving(app) as client:
        answers = [client.get("/shop"), client.get("/tea")]
    assert [(a.status, a.text) for a in answers] == [(500, "shop"), (418, "tea")]


def test_by_status() -> None:
    app = app_raising(a=HTTPError(404, "a"), b=HTTPError(403, "b"), c=HTTPError(500, "c"))

    @app.exception_handler(404)
    def missing(req: Request, exc: HTTPError) -> str:
        return f"no {exc.detail}"

    @app.exception_handler(HTTPError)
    def other(req: Request, exc: HTTPError) -> Any:
        return {"error": exc.detail}

    with serving(app) as client:
        answers = [client.get(f"/{name}") for name in "abc"]
    assert [a.status for a in answers] == [404, 403, 500]
    assert [a.text for a in answers] == ["no a", '{"error":"b"}', '{"error":"c"}']


@pytest.mark.parametrize("is_async", [False, True])
def test_for_lack_of_a_route(is_async: bool) -> None:
    app = App()
    app.get("/")(lambda: "root")

    if is_async:

        @app.exception_handler(HTTPError)
        async def answer_later(req: Request, exc: HTTPError) -> Any:
            return {"status": exc.status, "path": req.path, "route": req.route}

    else:

        @app.exception_handler(404)
        @app.exception_handler(405)
        def answer(req: Request, exc: HTTPError) -> Any:
            return {"status": exc.status, "path": req.path, "route": req.route}

    with serving(app) as client:
        missing = client.ask("/nowhere?a=1", "POST", b"body")
        assert missing.status == 404
        assert missing.data == {"status": 404, "path": "/nowhere", "route": None}
        refused = client.ask("/", "DELETE")
        assert (refused.status, refused.data["status"]) == (405, 405)
        assert refused.headers["Allow"] == "GET, HEAD, OPTIONS"
        assert client.ask("/", "OPTIONS").status == 204
        assert client.get("/").text == "root"


def test_without_a_handler_for_them_the_engine_refuses() -> None:
    app = App(exception_handlers={KeyError: lambda req, exc: "x", 403: lambda req, exc: "y"})
    app.get("/")(lambda: "root")
    with serving(app) as client:
        assert client.get("/nowhere").data["detail"] == "No route matches this path."
        assert client.server.stats()["application_calls"] == 0


def test_a_handler_that_is_declared_after_a_start_that_failed() -> None:
    app = App()
    app.before_request("/admin")(lambda: None)
    with pytest.raises(ValueError, match="no route is declared with this path"):
        app.start()
    app.get("/admin")(lambda: "admin")
    app.exception_handler(404)(lambda req, exc: "lost")
    with serving(app) as client:
        assert client.get("/nowhere").text == "lost"


def test_the_last_resort(caplog: pytest.LogCaptureFixture) -> None:
    app = app_raising(a=ValueError("a"), b=HTTPError(404, "b"), c=JSONDecodeError("c"))
    app.exception_handler(Exception)(lambda req, exc: {"sorry": str(exc)})
    app.post("/")(lambda req: req.json())
    app.enable_request_id()
    with serving(app) as client:
        answer = client.get("/a", X_Request_ID="id-1")
        assert (answer.status, answer.data) == (500, {"sorry": "a"})
        assert client.get("/b").headers["Content-Type"] == "application/problem+json"
        assert client.get("/c").status == 400
        assert client.ask("/", "POST", b"{").status == 400
    (record,) = caplog.records
    assert record.getMessage() == "GET /{name}: exception"
    assert record.exc_info and isinstance(record.exc_info[1], ValueError)
    assert record.request_id == "id-1"  # type: ignore[attr-defined]


def test_status_500_is_the_last_resort_too(caplog: pytest.LogCaptureFixture) -> None:
    app = app_raising(a=ValueError("a"), b=Empty("b"))
    app.exception_handler(500)(lambda req, exc: Response.text("sorry", 503))
    app.exception_handler(Shop)(lambda req, exc: ("empty", 404))
    with serving(app) as client:
        assert (client.get("/a").status, client.get("/b").status) == (503, 404)
    assert len(caplog.records) == 1


def test_validation_errors() -> None:
    app = App()

    @app.get("/items/{id}")
    def item(id: int, page: int = 1) -> Any:
        return id

    with serving(app) as client:
        answer = client.get("/items/x?page=y")
        assert answer.status == 422
        assert [e["loc"] for e in answer.data["detail"]] == [["path", "id"], ["query", "page"]]

    app = App()
    app.get("/items/{id}")(item)

    @app.exception_handler(RequestValidationError)
    def invalid(req: Request, exc: RequestValidationError) -> Any:
        return [e["type"] for e in exc.errors()]

    with serving(app) as client:
        answer = client.get("/items/x?page=y")
        assert (answer.status, answer.data) == (422, ["int_parsing", "int_parsing"])


def test_an_http_error_handler_leaves_validation_errors_alone() -> None:
    app = App(exception_handlers={HTTPError: lambda req, exc: "mine"})

    @app.get("/{id}")
    def item(id: int) -> Any:
        return id

    with serving(app) as client:
        assert client.get("/x").data["detail"][0]["type"] == "int_parsing"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_handler_that_raises(is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    app = app_raising(a=Shop("a"), b=Empty("b"))

    def fail(req: Request, exc: Exception) -> None:
        raise HTTPError(402, "pay") if isinstance(exc, Empty) else ValueError("worse")

    async def fail_later(req: Request, exc: Exception) -> None:
        await asyncio.sleep(0)
        fail(req, exc)

    app.exception_handler(Shop)(fail_later if is_async else fail)
    with serving(app) as client:
        for prefix in ("", "/later"):
            assert client.get(f"{prefix}/a").status == 500
            assert client.get(f"{prefix}/b").data["detail"] == "pay"
    assert [r.exc_info[0] for r in caplog.records if r.exc_info] == [ValueError] * 2


def test_a_value_that_cannot_be_sent(caplog: pytest.LogCaptureFixture) -> None:
    app = app_raising(a=Shop("a"))
    app.exception_handler(Shop)(lambda req, exc: object())
    with serving(app) as client:
        assert client.get("/a").status == 500
    assert len(caplog.records) == 1


def test_problem_details() -> None:
    app = app_raising(a=Shop("a"))

    @app.exception_handler(Shop)
    def shop(req: Request, exc: Exception) -> ProblemDetails:
        return ProblemDetails(409, "sold out", title="Empty", type="urn:shop", instance="/1", n=0)

    @app.get("/returned/it")
    def returned() -> ProblemDetails:
        return ProblemDetails(status_code=402, detail="pay", headers={"X-Price": "3"})

    @app.get("/raised/it")
    async def raised() -> None:
        raise ProblemDetails(410)

    with serving(app) as client:
        answer = client.get("/a")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.data == {
            "type": "urn:shop",
            "title": "Empty",
            "status": 409,
            "detail": "sold out",
            "instance": "/1",
            "n": 0,
        }
        answer = client.get("/returned/it")
        assert (answer.status, answer.headers["X-Price"]) == (402, "3")
        assert answer.data["instance"] == "/returned/it"
        assert client.get("/raised/it").status == 410


def test_the_classes() -> None:
    error = RequestValidationError(
        [{"loc": ("body", "a"), "msg": "bad", "type": "t"}], body={"a": 1}
    )
    assert error.errors() == [{"loc": ("body", "a"), "msg": "bad", "type": "t"}]
    assert (error.body, error.status_code, str(error)) == ({"a": 1}, 422, "body.a: bad")
    assert not isinstance(error, HTTPError)
    assert isinstance(ProblemDetails(400), HTTPError)


@pytest.mark.parametrize("kind", [200, 399, 600, True, "404", int, BaseException, None])
def test_what_is_no_kind(kind: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"400 to 599|type of exceptions or a status"):
        App().exception_handler(kind)(lambda req, exc: None)


@pytest.mark.parametrize("function", [None, lambda: 1, lambda req: 1, "x"])
def test_what_is_no_handler(function: Any) -> None:
    with pytest.raises(TypeError, match=r"req, exc"):
        App(exception_handlers={Shop: function})


def test_there_is_no_cost_without_handlers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "cello"), serving(app_raising(a=Shop("a"))) as client:
        assert client.get("/a").status == 500
    assert caplog.records[0].getMessage().startswith("GET /{name}: exception in ")
