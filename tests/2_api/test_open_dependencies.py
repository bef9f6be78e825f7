"""Dependencies that yielded always end: whatever happens to the answer after the handler."""

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest
from cello import App, Depends, HTTPError, _cello
from cello.testing import AsyncTestClient, TestClient

log: list[str] = []


@pytest.fixture(autouse=True)
def empty_log() -> None:
    log.clear()


class Point(msgspec.Struct):
    x: int


def opened() -> Iterator[str]:
    try:
        yield "value"
    except BaseException as error:
        log.append(type(error).__name__)
        raise
    else:
        log.append("resumed")


async def aopened() -> AsyncIterator[str]:
    try:
        yield "value"
    except BaseException as error:
        log.append(type(error).__name__)
        raise
    else:
        log.append("resumed")


def handler(value: str = Depends(opened)) -> str:
    return value


async def ahandler(value: str = Depends(aopened)) -> str:
    return value


def ask(app: App, function: Callable[..., Any]) -> int:
    app.get("/")(function)
    with TestClient(app, raise_server_exceptions=False) as client:
        return client.get("/").status_code


@pytest.mark.parametrize("function", [handler, ahandler])
def test_a_hook_after_them_fails(function: Callable[..., Any]) -> None:
    app = App()

    @app.after_request
    def fail(response: Any) -> Any:
        raise HTTPError(418)

    assert ask(app, function) == 418
    assert log == ["HTTPError"]


@pytest.mark.parametrize("function", [handler, ahandler])
def test_an_async_hook_after_them_fails(function: Callable[..., Any]) -> None:
    app = App()

    @app.after_request
    async def fail(response: Any) -> Any:
        raise ZeroDivisionError

    assert ask(app, function) == 500
    assert log == ["ZeroDivisionError"]


@pytest.mark.parametrize("function", [handler, ahandler])
def test_a_middleware_fails(function: Callable[..., Any]) -> None:
    app = App()

    @app.middleware("http")
    async def fail(req: Any, call_next: Any) -> Any:
        await call_next(req)
        raise HTTPError(418)

    assert ask(app, function) == 418
    assert log == ["HTTPError"]


@pytest.mark.parametrize("function", [handler, ahandler])
def test_a_middleware_asks_twice(function: Callable[..., Any]) -> None:
    app = App()

    @app.middleware("http")
    async def twice(req: Any, call_next: Any) -> Any:
        await call_next(req)
        return await call_next(req)

    assert ask(app, function) == 200
    assert log == ["resumed", "resumed"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_hook_follows_what_cannot_be_answered(is_async: bool) -> None:
    """The value does not pass the filter of the declared type: the answer is an error."""
    app = App()
    app.after_request(lambda response: None)

    def handler(value: str = Depends(opened)) -> Point:
        return Point("no number")  # type: ignore[arg-type]

    async def ahandler(value: str = Depends(aopened)) -> Point:
        return Point("no number")  # type: ignore[arg-type]

    app.get("/", response_model=list[Point])(ahandler if is_async else handler)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/").status_code == 500
    assert len(log) == 1 and log != ["resumed"]


def test_an_exception_that_ends_generators() -> None:
    """StopAsyncIteration goes through a generator as any other exception."""

    async def handler(a: str = Depends(aopened), b: str = Depends(opened)) -> str:
        raise StopAsyncIteration

    app = App()
    app.get("/")(handler)
    with TestClient(app) as client, pytest.raises((StopAsyncIteration, RuntimeError)) as raised:
        client.get("/")
    assert "StopAsyncIteration" in repr(raised.value)
    assert log[0] == "StopAsyncIteration"


def test_what_is_raised_leaves_no_garbage() -> None:
    """A connection of a pool that waits for the collector would be lost for so long."""

    class Error(HTTPError):
        pass

    errors: list[weakref.ref[Error]] = []

    def made() -> Error:
        error = Error(410)
        errors.append(weakref.ref(error))
        return error

    def failing() -> Iterator[int]:
        try:
            yield 1
        except HTTPError:
            raise made() from None

    async def handler(a: str = Depends(aopened), b: int = Depends(failing)) -> str:
        raise HTTPError(409)

    gc.disable()
    try:
        assert ask(App(), handler) == 410
        assert [error() for error in errors] == [None]
    finally:
        gc.enable()


def test_a_loop_forgets_what_is_to_run_when_they_ended() -> None:
    """As one does that is closed, or has no memory: the server forgets them too."""

    class Loop(asyncio.SelectorEventLoop):
        def call_soon(self, callback: Any, *args: Any, **options: Any) -> asyncio.Handle:
            if getattr(callback, "__name__", "") == "after_answer_done":
                return asyncio.Handle(callback, args, self)
            return super().call_soon(callback, *args, **options)

    async def main() -> None:
        app = App()
        app.get("/")(ahandler)
        async with AsyncTestClient(app) as client:
            for _ in range(5):
                assert (await client.get("/")).status_code == 200
                await asyncio.sleep(0.01)
            server = client._engine._guest._server
            assert server is not None and _cello.handler_tasks(server) == []

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())
    assert log == ["resumed"] * 5


def test_the_context_of_a_cancelled_handler() -> None:
    """A dependency resets what it set, also if the handler was cancelled before it waited."""
    variable = contextvars.ContextVar("variable", default=0)

    def setting() -> Iterator[int]:
        token = variable.set(1)
        try:
            yield 1
        finally:
            variable.reset(token)
            log.append("reset")

    async def at_once(value: int = Depends(setting)) -> None:
        raise asyncio.CancelledError

    async def later(value: int = Depends(setting)) -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    assert ask(App(), at_once) == 503
    assert ask(App(), later) == 503
    assert log == ["reset", "reset"]
