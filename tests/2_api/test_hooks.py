"""before_request, after_request and middleware: what runs when, and what it may change."""

import asyncio
from typing import Annotated, Any

import pytest
from api_client import serving
from cello import App, Blueprint, Depends, Header, HTTPError, ProblemDetails, Request, Response


def test_order_and_what_hooks_see() -> None:
    app, log = App(), list[str]()

    @app.before_request()
    def first(req: Request) -> None:
        log.append(f"first {req.method} {req.path}")
        req.state.user = "ann"

    @app.before_request
    async def second() -> None:
        await asyncio.sleep(0)
        log.append("second")

    @app.after_request()
    def outer(req: Request, response: Response) -> None:
        log.append(f"outer {req.path} {response.status}")

    @app.after_request
    async def inner(response: Response) -> None:
        response.set_header("X-Inner", "1")
        log.append("inner")

    @app.get("/")
    def handler(req: Request) -> Any:
        log.append(f"handler {req.state.user}")
        return {"a": 1}, 201

    with serving(app) as client:
        answer = client.get("/")
    assert (answer.status, answer.data, answer.headers["X-Inner"]) == (201, {"a": 1}, "1")
    assert log == ["first GET /", "second", "handler ann", "inner", "outer / 201"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_before_hook_may_answer(is_async: bool) -> None:
    app, log = App(), list[str]()

    def check(req: Request) -> Any:
        answers: dict[str | None, Any] = {
            "response": Response.text("no", 403),
            "tuple": ({"no": 1}, 402),
            "dict": {"instead": True},
            "problem": ProblemDetails(409, "not now"),
            "request": req,
        }
        return answers.get(req.query.get("with"))

    async def check_later(req: Request) -> Any:
        await asyncio.sleep(0)
        return check(req)

    app.before_request()(check_later if is_async else check)
    app.before_request()(lambda: log.append("next"))
    app.after_request()(lambda response: response.set_header("X-After", str(response.status)))
    app.get("/")(lambda: "handler")
    with serving(app) as client:
        seen = {w: client.get(f"/?with={w}") for w in ("response", "tuple", "dict", "problem")}
        assert [(a.status, a.headers["X-After"]) for a in seen.values()] == [
            (403, "403"),
            (402, "402"),
            (200, "200"),
            (409, "409"),
        ]
        assert (
            seen["dict"].data == {"instead": True} and seen["problem"].data["detail"] == "not now"
        )
        assert log == []
        for target in ("/", "/?with=request"):
            assert client.get(target).text == "handler"
        assert log == ["next", "next"]


def test_an_after_hook_may_replace_the_response() -> None:
    app = App()
    app.after_request("/a")(lambda req, response: Response.text("other", 418))
    app.after_request("/b")(lambda response: {"wrapped": response.body})
    app.get("/a")(lambda: "a")
    app.get("/b")(lambda: ("b", 202))
    with serving(app) as client:
        a, b = client.get("/a"), client.get("/b")
    assert (a.status, a.text) == (418, "other")
    assert (b.status, b.data) == (202, {"wrapped": "b"})


def test_paths() -> None:
    app = App()
    api = Blueprint("/api")

    def mark(name: str) -> Any:
        return lambda response: response.append_header("X-Mark", name)

    app.after_request("/items/{id}")(mark("item"))
    app.after_request("/api/*")(mark("api"))
    app.after_request()(mark("all"))
    for path in ("/items/{id}", "/items", "/apis"):
        app.get(path)(lambda: "x")
    for path in ("/", "/users/{id}"):
        api.get(path)(lambda: "x")
    app.register_blueprint(api)
    with serving(app) as client:
        marks = {
            path: client.get(path).headers.get_all("X-Mark")
            for path in ("/items/1", "/items", "/apis", "/api", "/api/users/1")
        }
    assert marks == {
        "/items/1": ["all", "item"],
        "/items": ["all"],
        "/apis": ["all"],
        "/api": ["all", "api"],
        "/api/users/1": ["all", "api"],
    }


def test_a_path_that_no_route_has_stops_the_start() -> None:
    app = App()
    app.get("/admin")(lambda: "x")
    app.before_request("/amdin/*")(lambda req: Response.text("no", 403))
    with pytest.raises(ValueError, match=r"before_request\('/amdin/\*'\): no route"):
        app.start()


def test_wrong_declarations() -> None:
    app = App()
    with pytest.raises(ValueError, match="path begins with '/'"):
        app.before_request("items")
    with pytest.raises(TypeError, match=r"takes \(req, response\) or \(response\)"):
        app.after_request()(lambda: None)
    with pytest.raises(ValueError, match="'http', not 'websocket'"):
        app.middleware("websocket")
    with pytest.raises(TypeError, match=r"async def plain\(req, call_next\)"):

        @app.middleware("http")
        def plain(req: Request, call_next: Any) -> None:
            pass

    app.get("/")(lambda: "x")
    with app.start():
        for declare in (app.before_request(), app.after_request()):
            with pytest.raises(RuntimeError, match="once the application was started"):
                declare(lambda response: None)
        with pytest.raises(RuntimeError, match="once the application was started"):
            app.exception_handler(KeyError)(lambda req, exc: None)


def test_hooks_run_before_parameters_are_checked() -> None:
    app = App()

    @app.before_request()
    def key(req: Request) -> Any:
        return None if "x-key" in req.headers else ({"error": "key"}, 401)

    @app.get("/{id}")
    def handler(id: int, x_key: Annotated[str, Header()]) -> Any:
        return {"id": id, "key": x_key}

    with serving(app) as client:
        assert client.get("/x").status == 401
        assert client.get("/x", X_Key="k").status == 422
        assert client.get("/1", X_Key="k").data == {"id": 1, "key": "k"}


def test_errors_pass_through_after_hooks(caplog: pytest.LogCaptureFixture) -> None:
    app = App(exception_handlers={KeyError: lambda req, exc: ({"key": exc.args[0]}, 404)})
    app.after_request()(lambda response: response.set_header("X-Status", str(response.status)))

    @app.get("/{kind}")
    def handler(kind: str) -> None:
        raise {"http": HTTPError(403, "no"), "key": KeyError("k"), "other": OSError("o")}[kind]

    with serving(app) as client:
        answers = [client.get(f"/{kind}") for kind in ("http", "key", "other")]
    assert [(a.status, a.headers["X-Status"]) for a in answers] == [
        (403, "403"),
        (404, "404"),
        (500, "500"),
    ]
    assert answers[0].headers["Content-Type"] == "application/problem+json"
    (record,) = caplog.records
    assert record.exc_info and isinstance(record.exc_info[1], OSError)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("raises", [False, True])
def test_async_exception_handlers_under_hooks(is_async: bool, raises: bool) -> None:
    app = App()
    app.after_request()(lambda response: response.set_header("X-Status", str(response.status)))

    @app.exception_handler(KeyError)
    async def missing(req: Request, exc: KeyError) -> Any:
        await asyncio.sleep(0)
        if raises:
            raise ProblemDetails(410, "gone")
        return {"missing": exc.args[0]}

    @app.exception_handler(HTTPError)
    def problem(req: Request, exc: HTTPError) -> Any:
        return ProblemDetails(exc.status, f"not {exc.detail}")

    def handler(req: Request) -> Any:
        if req.query.get("problem"):
            return ProblemDetails(402, "pay")
        raise KeyError("k")

    async def later(req: Request) -> Any:
        await asyncio.sleep(0)
        return handler(req)

    app.get("/")(later if is_async else handler)
    with serving(app) as client:
        answer = client.get("/")
        assert answer.headers["X-Status"] == str(answer.status)
        if raises:
            assert (answer.status, answer.data["detail"]) == (410, "gone")
        else:
            assert (answer.status, answer.data) == (500, {"missing": "k"})
        answer = client.get("/?problem=1")
        assert (answer.status, answer.data["detail"]) == (402, "not pay")
        assert answer.headers["X-Status"] == "402"


def test_a_hook_that_raises() -> None:
    app = App()

    @app.before_request("/before")
    def before() -> None:
        raise HTTPError(401, "who?")

    @app.after_request("/after")
    def after(response: Response) -> None:
        raise HTTPError(409, "not so")

    app.get("/before")(lambda: "x")
    app.get("/after")(lambda: "x")
    with serving(app) as client:
        assert (client.get("/before").status, client.get("/after").status) == (401, 409)


# ---- middleware ----


def test_middleware_wraps_the_last_declared_outside() -> None:
    app, log = App(), list[str]()

    def add(name: str) -> None:
        @app.middleware("http")
        async def wrap(req: Request, call_next: Any) -> Any:
            log.append(f"{name} {req.path}")
            response = await call_next(req)
            response.append_header("X-Seen-By", name)
            log.append(name)
            return response

    add("inner")
    add("outer")
    app.before_request()(lambda: log.append("before"))

    @app.get("/plain")
    def plain() -> str:
        log.append("handler")
        return "plain"

    @app.get("/later/{id}")
    async def later(id: int) -> Any:
        await asyncio.sleep(0)
        return {"id": id}

    with serving(app) as client:
        answer = client.get("/plain")
        assert answer.text == "plain" and answer.headers.get_all("X-Seen-By") == ["inner", "outer"]
        assert log == ["outer /plain", "inner /plain", "before", "handler", "inner", "outer"]
        assert client.get("/later/7").data == {"id": 7}
        answer = client.get("/later/x")
        assert answer.status == 422 and answer.headers.get_all("X-Seen-By") == ["inner", "outer"]


def test_middleware_may_answer_replace_and_catch() -> None:
    app = App()

    @app.middleware("http")
    async def guard(req: Request, call_next: Any) -> Any:
        what = req.query.get("do")
        if what == "answer":
            return {"early": True}, 202
        if what == "raise":
            raise HTTPError(429, "slow down")
        response = await call_next(req)
        return {"was": response.status} if what == "replace" else response

    @app.get("/")
    def handler(req: Request) -> str:
        if req.query.get("do") == "replace":
            raise HTTPError(404)
        return "handler"

    with serving(app) as client:
        answer = client.get("/?do=answer")
        assert (answer.status, answer.data) == (202, {"early": True})
        assert client.get("/?do=raise").status == 429
        assert client.get("/?do=replace").data == {"was": 404}
        assert client.get("/").text == "handler"


def test_middleware_that_returns_nothing_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.middleware("http")
    async def forgetful(req: Request, call_next: Any) -> None:
        await call_next(req)

    app.get("/")(lambda: "x")
    with serving(app) as client:
        assert client.get("/").status == 500
    assert "middleware 'forgetful' returned nothing: return the response" in caplog.text


def test_dependencies_end_after_the_response() -> None:
    app, log = App(), list[str]()

    async def session() -> Any:
        log.append("open")
        yield "session"
        log.append("close")

    @app.middleware("http")
    async def wrap(req: Request, call_next: Any) -> Any:
        response = await call_next(req)
        log.append("middleware")
        return response

    @app.get("/")
    async def handler(db: Annotated[str, Depends(session)]) -> str:
        return db

    with serving(app) as client:
        assert client.get("/").text == "session"
        client.get("/")
    assert log[:3] == ["open", "middleware", "close"]


def test_what_the_engine_answers_passes_no_python() -> None:
    app, log = App(), list[str]()
    app.before_request()(lambda: log.append("hook"))
    app.static_response("/static", "x")
    app.get("/")(lambda: "x")
    with serving(app) as client:
        for method, target in (("GET", "/nowhere"), ("DELETE", "/"), ("GET", "/static")):
            client.ask(target, method)
        assert client.server.stats()["application_calls"] == 0
    assert log == []
