"""Dependencies: what they give, how often they run, and when they are cleaned up."""

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from api_client import Client, asking, serving
from cello import (
    App,
    Blueprint,
    Depends,
    Header,
    HTTPError,
    Query,
    Request,
    Response,
    Security,
    SecurityScopes,
)
from cello.testing import TestClient

IS_ASYNC = [False, True]


def either(app: App, path: str, is_async: bool) -> Any:
    """Declares a handler as it is, or as an async one."""

    def declare(handler: Any) -> Any:
        if not is_async:
            return app.get(path)(handler)
        from inspect import signature

        async def later(*args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(0)
            return handler(*args, **kwargs)

        functools.update_wrapper(later, handler)
        assert signature(later) == signature(handler)
        return app.get(path)(later)

    return declare


class Calls(list[str]):
    """What happened, in order; one can wait for what happens after the answer."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def append(self, item: str) -> None:
        with self._changed:
            super().append(item)
            self._changed.notify_all()

    def wait(self, *items: str) -> None:
        with self._changed:
            done = self._changed.wait_for(lambda: len(self) >= len(items), 5)
        assert done and self == list(items), self


# ---- what they give ----


class Pager:
    def __init__(self, skip: int = 0, limit: Annotated[int, Query(le=100)] = 10) -> None:
        self.skip, self.limit = skip, limit


@dataclass
class Options:
    verbose: bool = False


@dataclass
class WithoutHash:
    value: int

    def __call__(self) -> int:
        return self.value


class Multiply:
    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, n: int) -> int:
        return n * self.by

    async def later(self, n: int) -> int:
        return n * self.by


quadruple = Multiply(4)


def plain(q: str = "none") -> str:
    return q


async def later(q: str = "none") -> str:
    await asyncio.sleep(0)
    return q


@pytest.mark.parametrize("is_async", IS_ASYNC)
def test_kinds_of_dependencies(is_async: bool) -> None:
    app = App()

    def nested(value: str = Depends(plain), x_h: str = Header("h")) -> list[str]:
        return [value, x_h]

    @either(app, "/sync/{n}", is_async)
    def sync_ones(
        a: Annotated[str, Depends(plain)],
        b: Annotated[Pager, Depends()],
        c: Annotated[Options, Depends()],
        d: Annotated[int, Depends(Multiply(3))],
        e: Annotated[str, Depends(functools.partial(plain, "7"))],
        f: Annotated[list[str], Depends(nested)],
    ) -> Any:
        return [a, b.skip, b.limit, c.verbose, d, e, *f]

    @either(app, "/async/{n}", is_async)
    def async_ones(
        n: int, a: str = Depends(later), *, b: Any = Depends(quadruple.later), r: Request
    ) -> Any:
        return [n, a, b, r.path]

    with asking(app) as client:
        assert client.get("/sync/2").data == ["none", 0, 10, False, 6, "7", "none", "h"]
        answer = client.get("/sync/2?q=x&skip=1&limit=5&verbose=1", x_h="y")
        assert answer.data == ["x", 1, 5, True, 6, "7", "x", "y"]
        answer = client.get("/sync/x?limit=101")
        assert {e["loc"][1] for e in answer.data["detail"]} == {"n", "limit"}
        assert client.get("/async/2?q=x").data == [2, "x", 8, "/async/2"]
        assert client.get("/async/x").status == 422


@pytest.mark.parametrize("is_async", IS_ASYNC)
@pytest.mark.parametrize("dependency_is_async", IS_ASYNC)
def test_one_value_for_a_request(is_async: bool, dependency_is_async: bool) -> None:
    app, calls = App(), []

    def count() -> int:
        calls.append(1)
        return len(calls)

    async def count_later() -> int:
        return count()

    one = count_later if dependency_is_async else count

    def nested(n: int = Depends(one)) -> int:
        return n

    @either(app, "/", is_async)
    def handler(
        a: int = Depends(nested), b: int = Depends(one), c: int = Depends(one, use_cache=False)
    ) -> Any:
        return [a, b, c]

    with asking(app) as client:
        assert client.get("/").data == [1, 1, 2]
        assert client.get("/").data == [3, 3, 4]


def test_without_brackets() -> None:
    app = App()

    class Pager:
        def __init__(self, skip: int = 0) -> None:
            self.skip = skip

    @app.get("/")
    def handler(a: Annotated[Pager, Depends], b: Annotated[Pager, Security], c: Pager = Depends):  # type: ignore[no-untyped-def,assignment]
        return [a.skip, b.skip, c.skip]

    with asking(app) as client:
        assert client.get("/?skip=3").data == [3, 3, 3]
    with pytest.raises(TypeError, match=r"Depends\(\) without a callable needs a class"):
        app.get("/wrong")(eval("lambda x=Depends: x", {"Depends": Depends}))


def test_objects_without_a_hash() -> None:
    app, one = App(), WithoutHash(7)
    app.get("/")(lambda a=Depends(one), b=Depends(one), c=Depends(database): [a, b, c])
    with asking(app) as client:
        assert client.get("/").data == [7, 7, "real"]
        app.dependency_overrides[database] = lambda: "fake"
        assert client.get("/").data == [7, 7, "fake"]


def test_of_app_blueprints_and_routes() -> None:
    calls: list[str] = []

    def mark(name: str) -> Any:
        def dependency() -> None:
            calls.append(name)

        return Depends(dependency)

    def refuse(x_key: str = Header("")) -> None:
        if x_key != "good":
            raise HTTPError(401, "no")

    inner = Blueprint("/i", dependencies=[mark("inner"), Depends(refuse)])
    inner.get("/", dependencies=[mark("route")])(lambda: "x")
    outer = Blueprint("/o", dependencies=[mark("outer")])
    outer.register_blueprint(inner)
    app = App(dependencies=[mark("app")])
    app.register_blueprint(outer, dependencies=[mark("registered")])
    app.get("/")(lambda req: req.path)
    with asking(app) as client:
        assert client.get("/o/i", x_key="good").text == "x"
        assert calls == ["app", "registered", "outer", "inner", "route"]
        assert client.get("/o/i").status == 401
        calls.clear()
        assert client.get("/").text == "/" and calls == ["app"]


def test_singletons() -> None:
    app, database = App(), {"rows": [1]}
    app.register_singleton("db", database)

    @app.get("/")
    def handler(db: Annotated[Any, Depends("db")], other: Any = Depends("db")) -> Any:
        assert db is other is database
        return db

    with serving(app) as client:
        assert client.get("/").data == {"rows": [1]}
        with pytest.raises(RuntimeError, match="started"):
            app.register_singleton("late", 1)

    app = App()
    app.get("/")(handler)
    with pytest.raises(ValueError, match=r"handler 'handler': parameter 'db': no singleton 'db'"):
        app.start("127.0.0.1", 0)


def test_security_scopes() -> None:
    app = App()

    def user(scopes: SecurityScopes, x_user: str = Header("me")) -> list[str]:
        return [x_user, *scopes.scopes]

    def active(user: list[str] = Security(user, scopes=["active"])) -> list[str]:
        return user

    @app.get("/")
    def handler(
        a: list[str] = Security(active, scopes=["read"]),
        b: list[str] = Security(user, scopes=["write"]),
        c: list[str] = Depends(user),
    ) -> Any:
        return [a, b, c]

    with asking(app) as client:
        assert client.get("/").data == [["me", "read", "active"], ["me", "write"], ["me"]]


def test_response_of_a_dependency() -> None:
    app = App()

    def cookie(response: Response) -> None:
        response.set_cookie("seen", "1")

    @app.get("/", dependencies=[Depends(cookie)])
    def handler() -> dict[str, int]:
        return {"a": 1}

    with asking(app) as client:
        answer = client.get("/")
        assert answer.data == {"a": 1} and "seen=1" in answer.headers["Set-Cookie"]


# ---- clean-up ----


def generators(calls: Calls, is_async: bool) -> tuple[Any, Any]:
    """Two that write down what happens to them; the second needs the first."""

    def outer() -> Iterator[str]:
        calls.append("outer opens")
        try:
            yield "outer"
        except Exception as error:
            calls.append(f"outer sees {error}")
            raise
        finally:
            calls.append("outer closes")

    async def outer_later() -> AsyncIterator[str]:
        calls.append("outer opens")
        try:
            yield "outer"
        except Exception as error:
            await asyncio.sleep(0)
            calls.append(f"outer sees {error}")
            raise
        finally:
            calls.append("outer closes")

    first = outer_later if is_async else outer

    def inner(value: str = Depends(first)) -> Iterator[str]:
        calls.append("inner opens")
        try:
            yield f"{value} inner"
        except Exception as error:
            calls.append(f"inner sees {error}")
            raise
        finally:
            calls.append("inner closes")

    return first, inner


KINDS = [(a, b) for a in IS_ASYNC for b in IS_ASYNC]


@pytest.mark.parametrize(("is_async", "handler_is_async"), KINDS)
def test_generators_close_after_the_answer(is_async: bool, handler_is_async: bool) -> None:
    app, calls = App(), Calls()
    outer, inner = generators(calls, is_async)

    @either(app, "/", handler_is_async)
    def handler(b: str = Depends(inner), a: str = Depends(outer)) -> Any:
        calls.append("handler")
        return [a, b]

    with asking(app) as client:
        assert client.get("/").data == ["outer", "outer inner"]
        calls.wait("outer opens", "inner opens", "handler", "inner closes", "outer closes")


@pytest.mark.parametrize(("is_async", "handler_is_async"), KINDS)
def test_generators_see_the_exception(is_async: bool, handler_is_async: bool) -> None:
    app, calls = App(), Calls()
    _, inner = generators(calls, is_async)

    @either(app, "/", handler_is_async)
    def handler(a: str = Depends(inner)) -> Any:
        raise HTTPError(418, "tea")

    def fails(a: str = Depends(inner)) -> None:
        raise HTTPError(409)

    @either(app, "/dependency", handler_is_async)
    def depends(a: None = Depends(fails)) -> Any:
        raise AssertionError("entered")

    with asking(app) as client:
        assert client.get("/").status == 418
        calls.wait(
            "outer opens",
            "inner opens",
            "inner sees 418 tea",
            "inner closes",
            "outer sees 418 tea",
            "outer closes",
        )
        calls.clear()
        assert client.get("/dependency").status == 409
        assert calls[2:] == ["inner sees 409", "inner closes", "outer sees 409", "outer closes"]


@pytest.mark.parametrize(("is_async", "handler_is_async"), KINDS)
def test_generators_may_raise_another_exception(is_async: bool, handler_is_async: bool) -> None:
    app = App()

    def replaces() -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise HTTPError(409, str(error)) from error

    async def replaces_later() -> AsyncIterator[None]:
        try:
            yield
        except ValueError as error:
            raise HTTPError(409, str(error)) from error

    @either(app, "/", handler_is_async)
    def handler(a: None = Depends(replaces_later if is_async else replaces)) -> Any:
        raise ValueError("conflict")

    with asking(app) as client:
        answer = client.get("/")
        assert answer.status == 409 and answer.data["detail"] == "conflict"


@pytest.mark.parametrize(("is_async", "handler_is_async"), KINDS)
def test_generators_that_break_the_rules(
    is_async: bool, handler_is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    def swallows() -> Iterator[None]:
        with contextlib.suppress(ValueError):
            yield

    async def swallows_later() -> AsyncIterator[None]:
        with contextlib.suppress(ValueError):
            yield

    def never() -> Iterator[None]:
        yield from ()

    async def never_later() -> AsyncIterator[None]:
        for _ in ():
            yield

    def twice() -> Iterator[int]:
        yield 1
        yield 2

    async def twice_later() -> AsyncIterator[int]:
        yield 1
        yield 2

    @either(app, "/swallows", handler_is_async)
    def handler(a: None = Depends(swallows_later if is_async else swallows)) -> Any:
        raise ValueError("lost")

    @either(app, "/never", handler_is_async)
    def handler_never(a: None = Depends(never_later if is_async else never)) -> Any:
        raise AssertionError("entered")

    @either(app, "/twice", handler_is_async)
    def handler_twice(a: int = Depends(twice_later if is_async else twice)) -> Any:
        return a

    with asking(app) as client:
        assert client.get("/swallows").status == 500
        assert client.get("/never").status == 500
        assert client.get("/twice").data == 1
        assert client.get("/twice").data == 1, "the connection goes on"
    log = caplog.text
    assert "GET /swallows" in log and "GET /never" in log and "GET /twice" in log


def test_context_variables_of_generators() -> None:
    app, calls = App(), Calls()
    variable: ContextVar[str] = ContextVar("variable", default="unset")

    async def sets() -> AsyncIterator[None]:
        token = variable.set("set")
        yield
        variable.reset(token)
        calls.append(variable.get())

    def sets_now() -> Iterator[None]:
        token = variable.set("set")
        yield
        variable.reset(token)
        calls.append(variable.get())

    app.get("/async", dependencies=[Depends(sets)])(lambda: variable.get())
    app.get("/sync", dependencies=[Depends(sets_now)])(lambda: variable.get())
    with asking(app) as client:
        assert client.get("/async").text == client.get("/sync").text == "set"
        calls.wait("unset", "unset")


# ---- overrides ----


def database() -> str:
    return "real"


def test_overrides() -> None:
    app = App()

    @app.get("/")
    def handler(db: str = Depends(database)) -> str:
        return db

    @app.get("/other")
    async def other() -> str:
        return "other"

    def fake(name: str = Query("fake")) -> str:
        return name

    async def fake_later(name: str = Depends(fake)) -> str:
        return f"{name} later"

    def answers(client: Client) -> list[str]:
        assert client.get("/other").text == "other"
        return [client.get("/").text, client.get("/?name=n").text]

    app.dependency_overrides[database] = fake
    with serving(app) as client:
        assert answers(client) == ["fake", "n"]
        app.dependency_overrides[database] = fake_later
        assert answers(client) == ["fake later", "n later"]
        app.dependency_overrides[fake] = lambda: "both"
        assert answers(client) == ["both later", "both later"]
        app.dependency_overrides.clear()
        assert answers(client) == ["real", "real"]
        app.dependency_overrides.update({database: lambda: "updated"})
        assert answers(client) == ["updated", "updated"]
        del app.dependency_overrides[database]
        assert answers(client) == ["real", "real"]
        app.dependency_overrides = {database: lambda: "assigned"}
        assert answers(client)[0] == "assigned"
        app.dependency_overrides |= {database: lambda: "merged"}
        assert answers(client)[0] == "merged"
        assert app.dependency_overrides.pop(database)() == "merged"
        assert answers(client)[0] == "real"
        with pytest.raises(TypeError, match="callable"):
            app.dependency_overrides[database] = "fake"  # type: ignore[assignment]


def test_overrides_by_what_is_async() -> None:
    app = App()
    app.get("/")(lambda db=Depends(database): db)

    async def fake_later() -> str:
        await asyncio.sleep(0.001)
        return "later"

    client = TestClient(app)
    with client:
        assert client.get("/").text == "real"
        app.dependency_overrides[database] = fake_later
        assert client.get("/").text == client.get("/").text == "later"
        app.dependency_overrides.clear()
        assert client.get("/").text == "real"


def test_overrides_in_a_circle() -> None:
    app = App()

    def again(db: str = Depends(database)) -> str:
        return db

    app.get("/")(lambda db=Depends(database): db)
    app.dependency_overrides[database] = again
    with pytest.raises(ValueError, match=r"circle: .*again -> .*again"):
        app.start("127.0.0.1", 0)


# ---- hooks, middleware and guards around them ----


@pytest.mark.parametrize(("is_async", "handler_is_async"), KINDS)
def test_hooks_around_typed_handlers(is_async: bool, handler_is_async: bool) -> None:
    app, calls = App(), Calls()
    _, inner = generators(calls, is_async)

    @app.before_request()
    def before(req: Request) -> Any:
        calls.append("before")
        return {"stopped": True} if "stop" in req.query else None

    @app.after_request()
    def after(req: Request, response: Response) -> None:
        response.set_header("X-After", str(response.status))

    @either(app, "/{id}", handler_is_async)
    def handler(id: int, a: str = Depends(inner)) -> Any:
        if id == 13:
            raise HTTPError(418, "tea")
        return {"id": id}

    with asking(app) as client:
        answer = client.get("/7")
        assert answer.data == {"id": 7} and answer.headers["X-After"] == "200"
        calls.wait("before", "outer opens", "inner opens", "inner closes", "outer closes")
        answer = client.get("/x")
        assert answer.status == 422 and answer.headers["X-After"] == "422"
        answer = client.get("/13")
        assert answer.status == 418 and answer.headers["X-After"] == "418"
        answer = client.get("/x?stop")
        assert answer.data == {"stopped": True} and answer.headers["X-After"] == "200"


def test_middleware_around_typed_handlers() -> None:
    app, calls = App(), Calls()
    _, inner = generators(calls, True)

    @app.middleware("http")
    async def mark(req: Request, call_next: Any) -> Response:
        if "stop" in req.query:
            return Response("stopped", 403)
        response: Response = await call_next(req)
        response.set_header("X-Mark", str(response.status))
        return response

    @app.get("/{id}", status=202)
    def handler(id: int, a: str = Depends(inner)) -> Any:
        return {"id": id}

    with asking(app) as client:
        answer = client.get("/7")
        assert answer.status == 202 and answer.data == {"id": 7}
        assert answer.headers["X-Mark"] == "202"
        calls.wait("outer opens", "inner opens", "inner closes", "outer closes")
        answer = client.get("/x")
        assert answer.status == 422 and answer.headers["X-Mark"] == "422"
        assert client.get("/7?stop").status == 403


def test_guards_come_first() -> None:
    app = App()

    def key(req: Request) -> bool:
        return req.headers.get("x-key") == "good"

    async def key_later(req: Request) -> bool:
        await asyncio.sleep(0)
        return key(req)

    def handler(id: int) -> int:
        return id

    app.get("/sync/{id}", guards=[key])(handler)
    app.get("/async/{id}", guards=[key_later])(handler)
    with asking(app) as client:
        for path in ("/sync", "/async"):
            assert client.get(f"{path}/x").status == 403
            assert client.get(f"{path}/x", x_key="good").status == 422
            assert client.get(f"{path}/7", x_key="good").data == 7
