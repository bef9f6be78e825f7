"""EngineLoop: an asyncio loop like any other, with or without a server inside."""

import asyncio
import contextvars
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import pytest
from async_server import handler, run_script, serving
from cello import App, _cello
from cello._loop import EngineLoop


def run(main: Any, *, debug: bool = False) -> Any:
    with asyncio.Runner(loop_factory=EngineLoop, debug=debug) as runner:
        return runner.run(main)


debugs = pytest.mark.parametrize("debug", [False, True])


# ---- callbacks ----


@debugs
def test_callbacks_are_called_in_order_with_their_arguments(debug: bool) -> None:
    called: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for n in range(5):
            loop.call_soon(lambda *args: called.append(args), *range(n))
        await asyncio.sleep(0.001)

    run(main(), debug=debug)
    assert called == [tuple(range(n)) for n in range(5)]


@debugs
def test_timers_are_called_in_order_of_time(debug: bool) -> None:
    called: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        handles = [
            loop.call_at(start + n * 0.0005, called.append, n) for n in (5, 1, 9, 3, 7, 2, 8)
        ]
        assert sorted(handles)[0].when() == start + 0.0005
        assert handles[0] > handles[1] and handles[1] <= handles[3] and handles[0] != handles[1]
        assert len({hash(handle) for handle in handles}) == len(handles)
        handles[2].cancel()
        loop.call_at(start + 0.002, called.append, 4)
        await asyncio.sleep(0.02)

    run(main(), debug=debug)
    assert called == [1, 2, 3, 4, 5, 7, 8]


async def many_timers(cancel: Callable[[int], bool]) -> list[int]:
    """Which of 1,009 timers, set in random order, were called, in order."""
    called: list[int] = []
    loop = asyncio.get_running_loop()
    start = loop.time() + 0.02
    handles = {}
    for n in ((n * 7919) % 1009 for n in range(1009)):
        handles[n] = loop.call_at(start + n * 1e-5, called.append, n)
    for n, handle in handles.items():
        if cancel(n):
            handle.cancel()
    assert handles[0].cancelled() == cancel(0)
    await asyncio.sleep(0.1)
    return called


# asyncio sorts its timers anew when half of them are cancelled.
CANCELS: list[Callable[[int], bool]] = [lambda n: n % 3 == 0, lambda n: n < 600]


@pytest.mark.parametrize("cancel", CANCELS)
def test_many_timers(cancel: Callable[[int], bool]) -> None:
    assert run(many_timers(cancel)) == [n for n in range(1009) if not cancel(n)]


@pytest.mark.parametrize("cancel", CANCELS)
def test_many_timers_inside_a_server(cancel: Callable[[int], bool]) -> None:
    async def timers(req: Any) -> list[int]:
        return await many_timers(cancel)

    with handler(timers) as client:
        assert client.body("/") == [n for n in range(1009) if not cancel(n)]


def test_cancelled_callbacks_are_not_called() -> None:
    called: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        handle = loop.call_soon(called.append, 1)
        assert not handle.cancelled()
        handle.cancel()
        handle.cancel()
        assert handle.cancelled()
        await asyncio.sleep(0)

    run(main())
    assert called == []


@debugs
def test_callbacks_run_in_the_context_they_were_given(debug: bool) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        other = contextvars.Context()
        other.run(variable.set, "other")
        variable.set("own")
        handle = loop.call_soon(lambda: seen.append(variable.get()), context=other)
        loop.call_soon(lambda: seen.append(variable.get()))
        loop.call_later(0, lambda: seen.append(variable.get()), context=other)
        variable.set("changed")
        if sys.version_info >= (3, 12):
            assert handle.get_context() is other  # type: ignore[attr-defined]
        await asyncio.sleep(0.001)

    run(main(), debug=debug)
    assert seen == ["other", "own", "other"]


@debugs
def test_what_a_callback_raises_goes_to_the_exception_handler(debug: bool) -> None:
    reports: list[dict[str, Any]] = []

    def fail(text: str) -> None:
        raise ValueError(text)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, report: reports.append(report))
        handles = [loop.call_soon(fail, "soon"), loop.call_later(0.001, fail, "later")]
        await asyncio.sleep(0.01)
        assert [report["handle"] for report in reports] == handles

    run(main(), debug=debug)
    assert [str(report["exception"]) for report in reports] == ["soon", "later"]
    assert all("Exception in callback" in report["message"] for report in reports)
    assert all("fail(" in report["message"] for report in reports)


def test_system_exit_of_a_callback_ends_the_loop() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(sys.exit, 7)
        await asyncio.sleep(10)

    with pytest.raises(SystemExit) as error:
        run(main())
    assert error.value.code == 7


def test_handles_show_what_they_call() -> None:
    def some_callback(number: int) -> None:
        pass

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        soon = loop.call_soon(some_callback, 1)
        later = loop.call_later(10, some_callback, 2)
        shown = [repr(soon), repr(later)]
        later.cancel()
        return [*shown, repr(later)]

    soon, later, cancelled = run(main())
    assert soon.startswith("<Handle ") and "some_callback(" in soon and " at " in soon
    assert later.startswith("<TimerHandle when=") and "some_callback(" in later
    assert cancelled.startswith("<TimerHandle cancelled when=")


def test_wrong_arguments_are_refused() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TypeError, match="takes a callback"):
            loop.call_soon()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="takes a callback"):
            loop.call_later(1)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="must not be None"):
            loop.call_later(None, print)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="unexpected keyword argument 'contex'"):
            loop.call_soon(print, contex=None)  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            _cello.Handle()
        with pytest.raises(TypeError):
            _cello.TimerHandle()

    run(main())


def test_a_closed_loop_takes_no_callbacks() -> None:
    loop = EngineLoop()
    loop.close()
    for call in (loop.call_soon, loop.call_soon_threadsafe):
        with pytest.raises(RuntimeError, match="closed"):
            call(print)
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_later(1, print)


def test_switching_debug_mode_while_running() -> None:
    called: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for n in range(20):
            loop.set_debug(n % 3 == 0)
            loop.call_later(0.001 * n, called.append, n)
            loop.call_soon(called.append, -1)
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        loop.set_debug(False)
        await asyncio.sleep(0.01)

    run(main())
    assert [n for n in called if n >= 0] == list(range(20)) and called.count(-1) == 20


# ---- asyncio's machinery ----


@debugs
def test_streams_and_descriptors(debug: bool) -> None:
    async def main() -> bytes:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.read(100))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
        return answer

    assert run(main(), debug=debug) == b"hello"


def test_threads_wake_the_loop() -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        timer = threading.Timer(0.01, loop.call_soon_threadsafe, [future.set_result, "thread"])
        timer.start()
        return [await future, await asyncio.to_thread(lambda: threading.current_thread().name)]

    woken, name = run(main())
    assert woken == "thread" and name.startswith("asyncio_")


def test_signals_and_subprocesses() -> None:
    run_script(
        """
        import asyncio, os, signal, sys
        from cello._loop import EngineLoop

        async def main():
            loop = asyncio.get_running_loop()
            got = asyncio.Event()
            loop.add_signal_handler(signal.SIGUSR1, got.set)
            loop.call_later(0.01, os.kill, os.getpid(), signal.SIGUSR1)
            await asyncio.wait_for(got.wait(), 10)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "print('child')", stdout=asyncio.subprocess.PIPE)
            out, _ = await asyncio.wait_for(process.communicate(), 30)
            assert out == b"child\\n" and process.returncode == 0

        with asyncio.Runner(loop_factory=EngineLoop) as runner:
            runner.run(main())
        """
    )


def test_keyboard_interrupt_reaches_the_program() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGINT)
        await asyncio.sleep(10)

    # Whoever starts the tests in the background may have left SIGINT ignored.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(main())
    finally:
        signal.signal(signal.SIGINT, previous)


def test_the_loop_runs_more_than_once() -> None:
    loop = EngineLoop()
    try:
        assert [loop.run_until_complete(asyncio.sleep(0, n)) for n in range(3)] == [0, 1, 2]
    finally:
        loop.close()


# ---- inside a server ----


def test_threads_and_subprocesses_from_handlers() -> None:
    async def use(req: Any) -> list[str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('child')", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        name = await asyncio.to_thread(lambda: threading.current_thread().name)
        return [out.decode().strip(), name.split("_")[0]]

    with handler(use) as client:
        for _ in range(2):
            assert client.body("/") == ["child", "asyncio"]


def test_call_soon_threadsafe_wakes_an_idle_engine() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def show(req: Any) -> str:
        loops.append(asyncio.get_running_loop())
        return "ok"

    with handler(show) as client:
        client.body("/")
        for _ in range(20):
            called = threading.Event()
            time.sleep(0.005)  # idle: in the engine's wait
            start = time.monotonic()
            loops[0].call_soon_threadsafe(called.set)
            assert called.wait(10) and time.monotonic() - start < 5


def test_httpx_and_aiohttp_to_the_own_server() -> None:
    app = App()
    url = ""

    @app.get("/data")
    async def data(req: Any) -> dict[str, int]:
        await asyncio.sleep(0)
        return {"n": int(req.query["n"])}

    @app.get("/httpx")
    async def with_httpx(req: Any) -> list[Any]:
        async with httpx.AsyncClient() as client:
            answers = await asyncio.gather(*(client.get(f"{url}/data?n={n}") for n in range(5)))
        return [answer.json()["n"] for answer in answers]

    @app.get("/aiohttp")
    async def with_aiohttp(req: Any) -> list[Any]:
        async def get(n: int) -> Any:
            async with client.get(f"{url}/data?n={n}") as answer:
                return (await answer.json())["n"]

        async with aiohttp.ClientSession() as client:
            return await asyncio.gather(*(get(n) for n in range(5)))

    with serving(app) as client:
        url = client.server.url
        for _ in range(3):
            assert client.body("/httpx") == list(range(5))
            assert client.body("/aiohttp") == list(range(5))


def test_debug_mode() -> None:
    run_script(
        """
        import asyncio, urllib.request
        from cello import App
        app = App()

        @app.get("/")
        async def show(req):
            loop = asyncio.get_running_loop()
            assert loop.get_debug() and type(asyncio.current_task()) is asyncio.Task
            task = asyncio.current_task()
            await asyncio.sleep(0.001)
            assert asyncio.current_task() is task
            handle = loop.call_later(1, print)
            assert handle._source_traceback and isinstance(handle, asyncio.TimerHandle)
            handle.cancel()
            async with asyncio.timeout(1):
                await asyncio.to_thread(lambda: None)
            return "debug"

        with app.start() as server:
            for _ in range(3):
                print(urllib.request.urlopen(server.url, timeout=20).read().decode())
        """,
        PYTHONASYNCIODEBUG="1",
    )


def test_a_task_factory_is_used() -> None:
    made: list[Any] = []

    def factory(loop: Any, coro: Any, **options: Any) -> Any:
        made.append(coro.__qualname__)
        return asyncio.Task(coro, loop=loop, **options)

    async def show(req: Any) -> str:
        asyncio.get_running_loop().set_task_factory(factory)
        await asyncio.sleep(0)
        return "ok"

    with handler(show) as client:
        for _ in range(3):
            assert client.body("/") == "ok"
    assert sum("show" in name for name in made) == 2


# ---- the selector ----


def test_the_selector_without_a_loop() -> None:
    selector = _cello.Selector()
    a, b = socket.socketpair()
    with a, b:
        key = selector.register(a, 1, "data")
        assert (key.fileobj, key.fd, key.events, key.data) == (a, a.fileno(), 1, "data")
        assert selector.select(0) == []
        b.send(b"x")
        assert selector.select() == selector.select(5.0) == [(key, 1)]
        assert selector.get_key(a) == key and selector.get_map()[a.fileno()] == key
        changed = selector.modify(a, 3, "more")
        assert selector.select(0) == [(changed, 3)]
        with pytest.raises(KeyError, match="already registered"):
            selector.register(a, 1)
        with pytest.raises(ValueError, match="Invalid events"):
            selector.register(b, 0)
        with pytest.raises(KeyError):
            selector.get_key(b)
        assert selector.unregister(a) == changed and selector.select(0) == []
        with pytest.raises(KeyError):
            selector.unregister(a)
        selector.register(b, 2)
        b.close()
        assert selector.unregister(b).fileobj is b
    selector.close()
    selector.close()
    assert selector.get_map() is None
    with pytest.raises(RuntimeError, match="closed"):
        selector.select(0)


def test_the_selectors_timeout() -> None:
    selector = _cello.Selector()
    start = time.monotonic()
    assert selector.select(0.02) == [] and selector.select(-1) == []
    assert 0.015 <= time.monotonic() - start < 5
    selector.close()
