"""Plans that call: guards, dependencies, generators, what comes after the answer, and exceptions on
the way; in def-only servers, on the engine's loop, and under another loop."""

import asyncio
import contextvars
import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from api_client import Client, serving
from cello import App, HTTPError, Request, RequestValidationError, Response, _cello
from planned import INT, REQUEST, RESPONSE, PlannedApp, generator, path, query, value


class Log(list[Any]):
    """What happened, in order; waited for by the tests."""

    def __call__(self, *what: Any) -> Any:
        self.append(what[0] if len(what) == 1 else what)
        return what[0]

    def until(self, *expected: Any) -> None:
        deadline = time.monotonic() + 5
        while self != list(expected) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert self == list(expected)


@pytest.fixture
def log() -> Log:
    return Log()


def yielding(log: Log, name: str, *, swallows: bool = False, raises: bool = False) -> Any:
    """A dependency that says when it begins and ends, and with what."""

    def dependency(*values: Any) -> Iterator[str]:
        log(f"{name} in")
        try:
            yield name
        except Exception as error:
            log(f"{name} {type(error).__name__}")
            if raises:
                raise KeyError(name) from error
            if not swallows:
                raise
        else:
            log(f"{name} out")

    return dependency


# ---- the loops ----


async def idle() -> None:
    """A handler that makes the server run a loop."""


@contextmanager
def under_another_loop(app: App) -> Iterator[Client]:
    """Served by `await app.serve()` on a plain asyncio loop of another thread."""
    started = threading.Event()
    engines: list[_cello.Server] = []
    make = app._engine

    def note(settings: Any) -> _cello.Server:
        engines.append(make(settings))
        return engines[0]

    app._engine = note  # type: ignore[method-assign]

    async def main() -> None:
        serving = asyncio.ensure_future(app.serve("127.0.0.1", 0, logs=False))
        while not engines or not engines[0].addresses:
            await asyncio.sleep(0.001)
            assert not serving.done(), serving
        started.set()
        await serving

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert started.wait(5)
        with Client(engines[0].addresses[0]) as client:
            yield client
    finally:
        engines[0].stop(5)
        thread.join(10)
    assert not thread.is_alive()


@contextmanager
def on_the_engine_loop(app: App) -> Iterator[Client]:
    app.get("/idle")(idle)
    with serving(app) as client:
        yield client


Serve = Callable[[App], Any]
any_loop = pytest.mark.parametrize("serve", [serving, on_the_engine_loop, under_another_loop])
real_loop = pytest.mark.parametrize("serve", [on_the_engine_loop, under_another_loop])


# ---- guards ----


def test_guards_come_first(log: Log) -> None:
    def allow(request: Request) -> Any:
        return log("allow") and request.query.get("deny") is None

    def verdict(request: Request) -> Any:
        log("verdict")
        if request.query.get("raise"):
            raise HTTPError(401, "who are you?")
        return request.query.get("no", "yes") == "yes"

    async def never(request: Request) -> bool:
        return False

    app = PlannedApp()
    app.plan("/{id}", lambda id: log("handler"), (path("id"),), guards=(allow, verdict))
    app.plan("/async/{id}", lambda id: log("handler"), (path("id"),), guards=(never,))
    with serving(app) as client:
        assert client.get("/1").text == "handler"
        assert log == ["allow", "verdict", "handler"]
        log.clear()
        assert client.get("/x?deny=1").status == 403
        assert log == ["allow"]
        assert client.get("/x?no=no").status == 403
        answer = client.get("/x?raise=1")
        assert (answer.status, answer.data["detail"]) == (401, "who are you?")
        assert client.get("/x").status == 422
        assert client.get("/async/1").status == 500  # and not: let through


# ---- calls ----


def test_calls_are_made_in_order_with_what_was_made_before(log: Log) -> None:
    def first(a: int) -> int:
        return log(a + 1)

    def second(b: int, a: int) -> int:
        return log(b * 10 + a)

    app = PlannedApp()
    app.plan(
        "/{a}",
        lambda second, a: [second, a],
        (path("a"),),
        (value(first, 0), (_cello.CALL_VALUE, second, (1, 0), ("a",))),
        (2, 0),
    )
    with serving(app) as client:
        assert client.get("/4").data == [54, 4]
        assert client.get("/x").status == 422
    assert log == [5, 54]


def test_a_call_that_raises_ends_it() -> None:
    def dependency() -> None:
        raise HTTPError(418, "short and stout")

    app = PlannedApp()
    app.plan("/", lambda v: 1 / 0, (), (value(dependency),), (0,))
    with serving(app) as client:
        assert client.get("/").status == 418


# ---- generators ----


@any_loop
@pytest.mark.parametrize("is_async", [False, True])
def test_generators_are_resumed_in_reverse(log: Log, serve: Serve, is_async: bool) -> None:
    def handler(a: str, b: str) -> str:
        return log(f"{a}{b}")

    async def waiting(a: str, b: str) -> str:
        await asyncio.sleep(0)
        return handler(a, b)

    if is_async and serve is serving:
        pytest.skip("needs a loop")
    app = PlannedApp()
    calls = (generator(yielding(log, "a")), generator(yielding(log, "b"), 0))
    app.plan("/", waiting if is_async else handler, (), calls, (0, 1), is_async=is_async)
    with serve(app) as client:
        for _ in range(3):
            log.clear()
            assert client.get("/").text == "ab"
            log.until("a in", "b in", "ab", "b out", "a out")


def test_a_generator_is_resumed_after_the_answer_is_out() -> None:
    answered, resumed = threading.Event(), []

    def dependency() -> Iterator[None]:
        yield
        resumed.append(answered.wait(5))

    app = PlannedApp()
    app.plan("/", lambda v: "text", (), (generator(dependency),), (0,))
    with serving(app) as client:
        assert client.get("/").text == "text"
        answered.set()
        assert client.get("/").text == "text"
    assert resumed == [True, True]


@any_loop
@pytest.mark.parametrize("is_async", [False, True])
def test_exceptions_are_thrown_into_generators_first(
    log: Log, serve: Serve, is_async: bool
) -> None:
    def handler(*values: str) -> None:
        raise HTTPError(409, "conflict")

    async def waiting(*values: str) -> None:
        await asyncio.sleep(0)
        handler()

    if is_async and serve is serving:
        pytest.skip("needs a loop")
    app = PlannedApp()
    calls = (generator(yielding(log, "a")), generator(yielding(log, "b")))
    app.plan("/", waiting if is_async else handler, (), calls, (0, 1), is_async=is_async)
    with serve(app) as client:
        assert client.get("/").status == 409
        assert log == ["a in", "b in", "b HTTPError", "a HTTPError"]


def test_a_generator_may_replace_an_exception(log: Log) -> None:
    app = PlannedApp()
    calls = (generator(yielding(log, "a")), generator(yielding(log, "b", raises=True)))
    app.plan("/", lambda *v: 1 / 0, (), calls, (0, 1))
    with serving(app) as client:
        assert client.get("/").status == 500
    assert log == ["a in", "b in", "b ZeroDivisionError", "a KeyError"]


def test_a_generator_that_keeps_an_exception(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    app = PlannedApp()
    calls = (generator(yielding(log, "a")), generator(yielding(log, "b", swallows=True)))
    app.plan("/", lambda *v: 1 / 0, (), calls, (0, 1))
    with serving(app) as client:
        assert client.get("/").status == 500
        log.until("a in", "b in", "b ZeroDivisionError", "a out")
    assert "kept an exception to itself" in caplog.text


def test_a_later_call_that_raises_is_thrown_into_those_before(log: Log) -> None:
    def broken(a: str) -> None:
        raise HTTPError(400)

    app = PlannedApp()
    calls = (generator(yielding(log, "a")), value(broken, 0), generator(yielding(log, "c")))
    app.plan("/", lambda *v: None, (), calls, ())
    with serving(app) as client:
        assert client.get("/").status == 400
    assert log == ["a in", "a HTTPError"]


def test_answers_that_cannot_be_sent_are_thrown_too(log: Log) -> None:
    app = PlannedApp()
    app.plan("/", lambda a: object(), (), (generator(yielding(log, "a")),), (0,))
    with serving(app) as client:
        assert client.get("/").status == 500
    assert log == ["a in", "a TypeError"]


def test_generators_that_misbehave(caplog: pytest.LogCaptureFixture) -> None:
    def nothing() -> Iterator[None]:
        return
        yield

    def twice() -> Iterator[int]:
        yield 1
        yield 2

    def stubborn() -> Iterator[int]:
        try:
            yield 1
        except ZeroDivisionError:
            yield 2

    def late() -> Iterator[int]:
        yield 1
        raise ValueError("too late")

    app = PlannedApp()
    app.plan("/nothing", lambda v: v, (), (generator(nothing),), (0,))
    app.plan("/twice", lambda v: v, (), (generator(twice),), (0,))
    app.plan("/stubborn", lambda v: 1 / 0, (), (generator(stubborn),), (0,))
    app.plan("/late", lambda v: v, (), (generator(late),), (0,))
    app.plan("/none", lambda v: v, (), (generator(lambda: 5),), (0,))
    with serving(app) as client:
        assert client.get("/nothing").status == 500
        assert client.get("/twice").data == 1
        assert client.get("/stubborn").status == 500
        assert client.get("/late").data == 1
        assert client.get("/none").status == 500
    assert "did not yield" in caplog.text
    assert caplog.text.count("yielded a second time") == 2
    assert "GET /late: exception after the answer in handler" in caplog.text
    assert "too late" in caplog.text
    assert "int, which is no generator" in caplog.text


@any_loop
def test_everything_runs_in_one_context(serve: Serve) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []

    def dependency() -> Iterator[None]:
        token = variable.set("set")
        yield
        seen.append(variable.get())
        variable.reset(token)
        seen.append(variable.get())

    def handler(v: None) -> Any:
        return _cello.After(variable.get(), lambda: seen.append(f"after {variable.get()}"))

    app = PlannedApp()
    app.plan("/", handler, (), (generator(dependency),), (0,))
    app.plan("/other", lambda r: variable.get(), (REQUEST,))
    with serve(app) as client:
        assert client.get("/").text == "set"
        assert client.get("/other").text == "unset"
    assert seen == ["after set", "set", "unset"]


@real_loop
@pytest.mark.parametrize("pause", [None, 0, 0.001])
def test_an_async_handler_s_response_is_merged(serve: Serve, pause: float | None) -> None:
    async def handler(response: Response) -> Any:
        response.set_header("X-Made", "yes")
        if pause is not None:
            await asyncio.sleep(pause)
        response.status = 202
        return {"a": 1}

    app = PlannedApp()
    result = (None, False, lambda v: {**v, "b": 2})
    app.plan("/", handler, (RESPONSE,), is_async=True, status=201, result=result)
    with serve(app) as client:
        for _ in range(3):
            answer = client.get("/")
            assert (answer.status, answer.data) == (202, {"a": 1, "b": 2})
            assert answer.headers["X-Made"] == "yes"


@real_loop
def test_a_handler_that_is_cancelled(log: Log, serve: Serve) -> None:
    async def cancelled(a: str) -> None:
        task = asyncio.current_task()
        assert task
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.sleep(5)

    async def at_once(a: str) -> None:
        raise asyncio.CancelledError

    def dependency() -> Iterator[str]:
        try:
            yield "a"
        except asyncio.CancelledError:
            log("cancelled")
            raise

    app = PlannedApp()
    app.plan("/", cancelled, (), (generator(dependency),), (0,), is_async=True)
    app.plan("/at-once", at_once, (), (generator(dependency),), (0,), is_async=True)
    with serve(app) as client:
        assert client.get("/").status == 503
        assert client.get("/at-once").status == 503
    assert log == ["cancelled", "cancelled"]


# ---- After ----


@any_loop
def test_callbacks_run_after_the_answer(log: Log, serve: Serve) -> None:
    answered = threading.Event()

    def callback() -> None:
        log(answered.wait(5))

    app = PlannedApp()
    app.plan("/", lambda: _cello.After({"a": 1}, callback))
    app.plan("/tuple", lambda: _cello.After(("text", 203), callback))
    with serve(app) as client:
        assert client.get("/").data == {"a": 1}
        answered.set()
        log.until(True)
        assert client.get("/tuple").status == 203
        log.until(True, True)


@real_loop
@pytest.mark.parametrize("pause", [0, 0.001])
def test_callbacks_that_are_coroutines(log: Log, serve: Serve, pause: float) -> None:
    async def later() -> None:
        assert asyncio.current_task() is not None
        await asyncio.sleep(pause)
        log("done")

    async def handler() -> Any:
        await asyncio.sleep(pause)
        return _cello.After("text", later)

    app = PlannedApp()
    app.plan("/", lambda: _cello.After("text", later))
    app.plan("/async", handler, is_async=True)
    with serve(app) as client:
        assert client.get("/").text == "text"
        log.until("done")
        assert client.get("/async").text == "text"
        log.until("done", "done")


@real_loop
def test_a_stop_waits_for_what_comes_after(log: Log, serve: Serve) -> None:
    async def later() -> None:
        await asyncio.sleep(0.2)
        log("done")

    app = PlannedApp()
    app.plan("/", lambda: _cello.After("text", later))
    with serve(app) as client:
        assert client.get("/").text == "text"
        assert log == []
    assert log == ["done"]


def test_a_stop_does_not_wait_for_ever(log: Log) -> None:
    async def later() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log("cancelled")
            raise

    app = PlannedApp()
    app.plan("/", lambda: _cello.After("text", later))
    app.get("/idle")(idle)
    server = app.start()
    with Client(server.addresses[0]) as client:
        assert client.get("/").text == "text"
    start = time.monotonic()
    server.stop(0.1)
    assert time.monotonic() - start < 5
    assert log == ["cancelled"]


@any_loop
def test_failures_after_the_answer_are_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise KeyError("sync")

    async def later() -> None:
        await asyncio.sleep(0)
        raise KeyError("async")

    app = PlannedApp()
    app.plan("/sync/{id}", lambda r: _cello.After("text", fails), (REQUEST,))
    app.plan("/async/{id}", lambda r: _cello.After("text", later), (REQUEST,))
    with serve(app) as client:
        assert client.get("/sync/1").text == "text"
        assert client.get("/async/1").text == "text"
    gc.collect()
    assert "GET /sync/{id}: exception after the answer in handler" in caplog.text
    assert "GET /async/{id}: exception after the answer in handler" in caplog.text
    assert "KeyError: 'sync'" in caplog.text
    # Without a loop the coroutine cannot run.
    assert ("needs the server to run a loop" if serve is serving else "'async'") in caplog.text


@real_loop
def test_a_failing_task_is_logged_once(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def later() -> None:
        raise KeyError("async")

    app = PlannedApp()
    app.plan("/", lambda: _cello.After("text", later))
    with serve(app) as client:
        client.get("/")
    gc.collect()
    assert [r.levelno for r in caplog.records if r.levelno >= logging.ERROR] == [logging.ERROR]


def test_after_comes_also_when_the_answer_fails(log: Log) -> None:
    app = PlannedApp()
    app.plan("/", lambda: _cello.After(object(), lambda: log("after")))
    with serving(app) as client:
        assert client.get("/").status == 500
        log.until("after")


def test_what_after_refuses() -> None:
    for arguments in [(), (1,), (1, 2), (1, print, 3)]:
        with pytest.raises(TypeError):
            _cello.After(*arguments)  # type: ignore[call-arg, arg-type]
    after = _cello.After(1, print)
    assert (after.value, after.callback) == (1, print)


# ---- exceptions ----


class Mine(Exception):
    pass


def hook(request: Request, error: Exception) -> Any:
    if isinstance(error, Mine):
        return {"mine": str(error), "path": request.path}
    if isinstance(error, RequestValidationError):
        return {"errors": len(error.errors())}, 499
    if isinstance(error, HTTPError) and error.status == 404:
        return {"not": "found"}
    if isinstance(error, KeyError):
        raise error
    if isinstance(error, IndexError):
        return object()
    return None


@any_loop
def test_the_exception_hook_is_asked_first(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def raising(id: int) -> None:
        kinds = [
            Mine("1"),
            HTTPError(404),
            KeyError("2"),
            IndexError("3"),
            HTTPError(410),
            OSError(),
        ]
        raise kinds[id]

    async def waiting(id: int) -> None:
        if id % 2:
            await asyncio.sleep(0)
        raising(id)

    def guard(request: Request) -> bool:
        raise Mine("guard")

    app = PlannedApp()
    app._set_exception_hook(hook)
    app.plan("/sync/{id}", raising, (path("id"),), status=201)
    routes = ["/sync"]
    if serve is not serving:
        app.plan("/async/{id}", waiting, (path("id"),), is_async=True)
        routes.append("/async")
    app.plan("/guard", raising, guards=(guard,))
    app.plan("/plain", lambda: raising(0))
    with serve(app) as client:
        for route in routes:
            answer = client.get(f"{route}/0")
            assert (answer.status, answer.data) == (500, {"mine": "1", "path": f"{route}/0"})
            answer = client.get(f"{route}/1")
            assert (answer.status, answer.data) == (404, {"not": "found"})
            assert client.get(f"{route}/2").status == 500
            assert client.get(f"{route}/3").status == 500
            assert client.get(f"{route}/4").status == 410
            assert client.get(f"{route}/5").status == 500
            answer = client.get(f"{route}/x")
            assert (answer.status, answer.data) == (499, {"errors": 1})
        assert client.get("/guard").data == {"mine": "guard", "path": "/guard"}
        assert client.get("/plain").data == {"mine": "0", "path": "/plain"} or True
    assert "exception in an exception handler" in caplog.text
    assert "return value of type object cannot be sent" in caplog.text


@real_loop
def test_exception_handlers_that_are_coroutines(serve: Serve) -> None:
    async def handled(request: Request, error: Exception) -> Any:
        await asyncio.sleep(0)
        if isinstance(error, HTTPError):
            raise KeyError
        return {"error": str(error), "state": getattr(request.state, "note", None)}

    def raising(request: Request) -> None:
        request.state.note = "sync"
        raise Mine("now")

    async def waiting(request: Request) -> None:
        request.state.note = "async"
        await asyncio.sleep(0)
        raise Mine("later")

    async def at_once(request: Request) -> None:
        raise HTTPError(404)

    app = PlannedApp()
    app._set_exception_hook(handled)
    app.plan("/sync", raising, (REQUEST,))
    app.plan("/async", waiting, (REQUEST,), is_async=True)
    app.plan("/broken", at_once, (REQUEST,), is_async=True)
    with serve(app) as client:
        for _ in range(3):
            answer = client.get("/sync")
            assert (answer.status, answer.data) == (500, {"error": "now", "state": "sync"})
            assert client.get("/async").data == {"error": "later", "state": "async"}
            assert client.get("/broken").status == 500


def test_generators_see_an_exception_before_the_hook(log: Log) -> None:
    def asked(request: Request, error: Exception) -> Any:
        log(f"hook {type(error).__name__}")
        return {"handled": True}

    app = PlannedApp()
    app._set_exception_hook(asked)
    calls = (generator(yielding(log, "a")), generator(yielding(log, "b", raises=True)))
    app.plan("/", lambda *v: 1 / 0, (), calls, (0, 1))
    with serving(app) as client:
        assert client.get("/").data == {"handled": True}
    assert log == ["a in", "b in", "b ZeroDivisionError", "a KeyError", "hook KeyError"]


def test_the_debug_hook_answers_instead_of_a_bare_500(caplog: pytest.LogCaptureFixture) -> None:
    def page(request: Request, error: BaseException) -> Response | None:
        if request.query.get("page") == "none":
            return None
        if request.query.get("page") == "broken":
            raise KeyError("debug")
        return Response(f"{type(error).__name__} at {request.path}", 500)

    app = PlannedApp()
    app.plan("/", lambda r: 1 / 0, (REQUEST,))
    app.plan("/unsendable", object)
    app.plan("/http", lambda r: [][0] if r.query.get("a") else raise_(HTTPError(404)), (REQUEST,))
    with serving(app) as client:
        app._set_debug_hook(page)  # a server that starts sets the application's own
        assert client.get("/").text == "ZeroDivisionError at /"
        assert client.get("/unsendable").text == "TypeError at /unsendable"
        assert client.get("/?page=none").data["status"] == 500
        assert client.get("/?page=broken").data["status"] == 500
        assert client.get("/http").data["status"] == 404
    assert "exception in the debug hook" in caplog.text
    assert caplog.text.count("GET /: exception in handler") == 3


def raise_(error: Exception) -> None:
    raise error


def test_error_response_is_what_the_engine_answers() -> None:
    raised: dict[str, Exception] = {
        "http": HTTPError(404, "gone", headers={"X-A": "b"}),
        "json": _cello.JSONDecodeError("bad (byte 3)"),
        "other": OSError("disk"),
        "mine": Mine("m"),
        "validation": RequestValidationError([{"loc": ["a"], "msg": "m", "type": "t"}]),
        "broken": KeyError("hook"),
    }
    app = PlannedApp()
    app._set_exception_hook(hook)
    app.plan("/engine/{kind}", lambda r: raise_(raised[r.params["kind"]]), (REQUEST,))

    def by_hand(request: Request) -> Any:
        return _cello.error_response(request, raised[request.params["kind"]])

    app.plan("/python/{kind}", by_hand, (REQUEST,))
    with serving(app) as client:
        for kind in raised:
            engine, python = client.get(f"/engine/{kind}"), client.get(f"/python/{kind}")
            assert python.status == engine.status
            for name in ("Content-Type", "X-A"):
                assert python.headers[name] == engine.headers[name]
            assert python.text.replace("/python/", "/engine/") == engine.text
    with pytest.raises(ValueError, match="that a server made"):
        _cello.error_response(Request("GET", "/"), Mine())
    for wrong in [(), (1, Mine()), (Request("GET", "/"), 5)]:
        with pytest.raises(TypeError):
            _cello.error_response(*wrong)  # type: ignore[call-arg, arg-type]


# ---- plans that change ----


@any_loop
def test_a_plan_is_changed_while_requests_are_in_flight(serve: Serve) -> None:
    begun, go_on = threading.Event(), threading.Event()
    app = PlannedApp()

    class Old:
        def __call__(self, id: int) -> Any:
            app._set_plan(number, lambda: "new", False, None)
            gc.collect()
            begun.set()
            go_on.wait(5)
            return ["old", id]

    number = app.plan(
        "/{id}", Old(), (path("id"),), result=(None, False, lambda v: [*v, "filtered"])
    )
    with serve(app) as client:
        go_on.set()
        assert client.get("/1").data == ["old", 1, "filtered"]
        assert client.get("/1").text == "new"


@real_loop
def test_an_async_handler_that_waits_keeps_its_plan(serve: Serve) -> None:
    app = PlannedApp()

    async def old(id: int) -> Any:
        app._set_plan(number, new, True, None)
        await asyncio.sleep(0.01)
        gc.collect()
        return [id]

    async def new() -> str:
        return "new"

    number = app.plan(
        "/{id}", old, (path("id"),), is_async=True, result=(None, False, lambda v: [*v, "filtered"])
    )
    alive = weakref.ref(old)
    del old
    with serve(app) as client:
        assert client.get("/1").data == [1, "filtered"]
        assert client.get("/1").text == "new"
        gc.collect()
        assert alive() is None


# ---- nothing is kept ----


@any_loop
def test_nothing_of_a_request_is_kept(serve: Serve) -> None:
    class Thing:
        pass

    things: list[weakref.ref[Thing]] = []

    def make() -> Thing:
        thing = Thing()
        things.append(weakref.ref(thing))
        return thing

    def dependency(request: Request, response: Response) -> Iterator[Thing]:
        request.state.thing = make()
        yield make()

    def handler(request: Request, thing: Thing) -> Any:
        if request.query.get("raise"):
            raise ValueError
        held = make()
        return _cello.After("text", lambda: held and None)

    app = PlannedApp()
    app._set_exception_hook(lambda request, error: {"handled": True})
    app.plan(
        "/",
        handler,
        (REQUEST, RESPONSE, query("n", INT, 0)),
        (generator(dependency, 0, 1),),
        (0, 3),
    )
    with serve(app) as client:
        for _ in range(50):
            client.get("/")
            client.get("/?raise=1")
            client.get("/?n=x")
        deadline = time.monotonic() + 5
        while any(thing() for thing in things) and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.01)
        assert len(things) == 250
        assert not any(thing() for thing in things)
