"""Servers and loops together: who drives whom, how it starts and how it ends."""

import asyncio
import contextlib
import gc
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import uvloop
from async_server import Client, handler, reset, run_script, serving
from cello import App, TimeoutConfig, _cello, _loop
from cello._lifespan import LifespanRun
from cello._loop import EngineLoop, serve


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def small_app() -> App:
    app = App()

    @app.get("/def")
    def plain(req: Any) -> str:
        return "plain"

    @app.get("/async")
    async def async_(req: Any) -> str:
        return "async"

    @app.get("/sleep")
    async def sleep(req: Any) -> dict[str, bool]:
        before = asyncio.current_task()
        await asyncio.sleep(float(req.query.get("s", "0.001")))
        return {"same": before is asyncio.current_task() is not None}

    @app.get("/fail")
    async def fail(req: Any) -> None:
        await asyncio.sleep(0)
        raise ValueError("mistake")

    return app


# ---- nothing async ----


def test_without_async_handlers_asyncio_is_not_imported() -> None:
    run_script(
        """
        import sys, socket
        from cello import App
        app = App()
        app.get("/")(lambda req: {"asyncio": "asyncio" in sys.modules})
        with app.start() as server:
            for _ in range(3):
                with socket.create_connection(server.addresses[0], timeout=20) as sock:
                    sock.sendall(b"GET / HTTP/1.1\\r\\nHost: test\\r\\n\\r\\n")
                    assert b'"asyncio":false' in sock.recv(1000)
        assert "asyncio" not in sys.modules
        """
    )


# ---- asyncio does not drive ----


@contextlib.contextmanager
def counted_returns(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of rounds that asyncio made meanwhile."""
    rounds = [0]
    once = EngineLoop._run_once  # type: ignore[attr-defined]

    def count(loop: EngineLoop) -> None:
        rounds[0] += 1
        once(loop)

    monkeypatch.setattr(EngineLoop, "_run_once", count)
    yield rounds
    monkeypatch.undo()


@pytest.mark.parametrize("path", ["/async", "/sleep?s=0", "/sleep?s=0.0001"])
def test_requests_do_not_go_through_asyncio(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 500
    with counted_returns(monkeypatch) as rounds, serving(small_app()) as client:
        client.get(path)
        before = rounds[0]
        for _ in range(count // 50):
            with client.send(path, 50) as sock:
                received = b""
                while received.count(b"HTTP/1.1 200") < 50:
                    received += sock.recv(100000)
        assert rounds[0] - before < count / 50


# ---- several servers ----


def test_two_servers_in_one_process() -> None:
    with serving(small_app()) as one, serving(small_app()) as two:
        for _ in range(5):
            for client in (one, two):
                assert client.body("/sleep") == {"same": True}
                assert client.body("/async") == "async" and client.body("/def") == "plain"


def test_servers_one_after_the_other() -> None:
    app = small_app()
    for _ in range(5):
        with serving(app) as client:
            assert client.body("/sleep") == {"same": True}
            assert client.get("/fail")[0] == 500


@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
def test_both_back_ends(backend: str) -> None:
    with serving(small_app(), backend=backend) as client:
        for _ in range(5):
            assert client.body("/sleep") == {"same": True}
            assert client.body("/async") == "async"


# ---- fairness ----


def hammer(client: Client, path: str, stop: threading.Event) -> None:
    connection = http.client.HTTPConnection(client.host, client.port, timeout=20)
    while not stop.is_set():
        connection.request("GET", path)
        connection.getresponse().read()
    connection.close()


@contextlib.contextmanager
def load(client: Client, path: str) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=hammer, args=(client, path, stop)) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_requests_do_not_starve_timers_threads_or_descriptors() -> None:
    app = small_app()

    @app.get("/ticks")
    async def ticks(req: Any) -> list[float]:
        late = []
        loop = asyncio.get_running_loop()
        for _ in range(20):
            due = loop.time() + 0.005
            await asyncio.sleep(0.005)
            late.append(loop.time() - due)
            await asyncio.to_thread(lambda: None)
            reader, writer = await asyncio.open_connection(client.host, client.port)
            writer.write(b"GET /def HTTP/1.1\r\nHost: test\r\n\r\n")
            assert b"plain" in await reader.read(1000)
            writer.close()
        return late

    with serving(app) as client, load(client, "/async"):
        late = sorted(client.body("/ticks"))
    assert late[len(late) // 2] < 0.5


def test_callbacks_do_not_starve_requests() -> None:
    app = small_app()
    calls = 0

    @app.get("/spin")
    async def spin(req: Any) -> str:
        loop = asyncio.get_running_loop()

        def again() -> None:
            nonlocal calls
            calls += 1
            if calls > 0:
                loop.call_soon(again)

        again()
        return "spinning"

    with serving(app) as client:
        client.body("/spin")
        for _ in range(20):
            assert client.body("/def") == "plain"
            assert client.body("/sleep") == {"same": True}
        assert calls > 20
        calls = -1


# ---- the end ----


def test_waiting_handlers_finish_before_the_server_ends() -> None:
    with serving(small_app()) as client, client.send("/sleep?s=0.2") as sock:
        assert client.body("/async") == "async"
        client.server.stop(10)
        assert b'"same":true' in sock.recv(1000)


def test_handlers_that_wait_too_long_are_cancelled() -> None:
    started, cancelled = threading.Event(), threading.Event()

    async def wait(req: Any) -> None:
        started.set()
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with handler(wait) as client, client.send("/") as sock:
        assert started.wait(10)
        start = time.monotonic()
        client.server.stop(0.05)
        assert time.monotonic() - start < 20 and cancelled.is_set()
        assert sock.recv(1000) == b""


def test_handlers_whose_clients_left_are_cancelled_at_the_end() -> None:
    started, cancelled = threading.Event(), threading.Event()

    async def wait(req: Any) -> None:
        started.set()
        try:
            await asyncio.sleep(100)
        finally:
            cancelled.set()

    with handler(wait) as client:
        sock = client.send("/")
        assert started.wait(10)
        reset(sock)
    assert cancelled.is_set()


def test_background_tasks_are_cancelled_at_the_end() -> None:
    cancelled = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            cancelled.set()

    kept = []

    async def start(req: Any) -> str:
        kept.append(asyncio.create_task(forever()))
        await asyncio.sleep(0)
        return "ok"

    with handler(start) as client:
        client.body("/")
    assert cancelled.is_set()


def test_async_generators_are_closed_at_the_end() -> None:
    closed = threading.Event()

    async def numbers() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            closed.set()

    kept = []

    async def start(req: Any) -> int:
        generator = numbers()
        kept.append(generator)
        return await anext(generator)

    with handler(start) as client:
        assert client.body("/") == 1
    assert closed.is_set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_run(number: int) -> None:
    port = free_port()
    script = f"""if True:
        import asyncio
        from cello import App
        app = App()

        @app.get("/")
        async def show(req):
            await asyncio.sleep(0.001)
            return "ok"

        app.run("127.0.0.1", {port}, env="production", argv=False)
        print("ended")
    """
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script], stdout=subprocess.PIPE, text=True
    )
    try:
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                assert httpx.get(f"http://127.0.0.1:{port}/").text == "ok"
                break
            time.sleep(0.05)
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
        assert out == "ended\n" and process.returncode == 0
    finally:
        process.kill()


def test_system_exit_in_a_handler_ends_the_server() -> None:
    async def leave(req: Any) -> None:
        await asyncio.sleep(0)
        sys.exit(3)

    app = App()
    app.get("/")(leave)
    server = app.start()
    with contextlib.suppress(http.client.HTTPException, OSError):
        Client(server).get("/")
    with pytest.raises(SystemExit) as error:
        server.wait()
    assert error.value.code == 3


# ---- under another loop ----


async def serve_and_ask(**options: Any) -> list[Any]:
    port = free_port()
    serving_task = asyncio.create_task(small_app().serve("127.0.0.1", port, logs=False, **options))
    url = f"http://127.0.0.1:{port}"
    await asyncio.sleep(0)
    async with httpx.AsyncClient() as client:
        answers = []
        for path in ("/def", "/async", "/sleep", "/sleep", "/fail", "/async"):
            answers.append((await client.get(url + path)).text)
        many = await asyncio.gather(*(client.get(f"{url}/sleep") for _ in range(20)))
        assert all(answer.json() == {"same": True} for answer in many)
    waiting = asyncio.create_task(httpx.AsyncClient().get(f"{url}/sleep?s=100"))
    await asyncio.sleep(0.1)
    serving_task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving_task
    with pytest.raises(httpx.TransportError):
        await waiting
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return answers


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "uvloop":
        return uvloop.new_event_loop()
    return EngineLoop() if name == "own" else asyncio.SelectorEventLoop()


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("name", ["asyncio", "uvloop", "own"])
def test_serve_under_a_running_loop(name: str, debug: bool) -> None:
    with asyncio.Runner(loop_factory=lambda: new_loop(name), debug=debug) as runner:
        answers = runner.run(serve_and_ask())
    assert answers[:4] == ["plain", "async", '{"same":true}', '{"same":true}']
    assert '"status":500' in answers[4] and answers[5] == "async"


async def time_limit_and_turns(monkeypatch: pytest.MonkeyPatch, idle: float) -> tuple[float, int]:
    """How long a connection stays open after its answer, and the engine's turns in that time."""
    app, port = App(), free_port()
    engines: list[_cello.Server] = []
    app.set_timeouts(TimeoutConfig(idle=idle))
    app.get("/")(lambda req: "ok")

    async def serve_and_show(engine: _cello.Server, lifespan: LifespanRun) -> None:
        engines.append(engine)
        await serve(engine, lifespan)

    monkeypatch.setattr(_loop, "serve", serve_and_show)
    serving_task = asyncio.create_task(app.serve("127.0.0.1", port, logs=False))
    await asyncio.sleep(0)
    (server,) = engines
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    begin, turns = time.monotonic(), server.stats()["turns"]
    assert await reader.read() == b""
    open_s, turns = time.monotonic() - begin, server.stats()["turns"] - turns
    writer.close()
    serving_task.cancel()
    await asyncio.wait([serving_task])
    return open_s, turns


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_time_limits_under_another_loop_are_scheduled(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with asyncio.Runner(loop_factory=lambda: new_loop(name)) as runner:
        open_s, turns = runner.run(time_limit_and_turns(monkeypatch, 1.0))
    assert 0.99 < open_s < 2
    assert turns < 10  # not one every so often


def test_serve_gives_back_what_it_opened() -> None:
    """Without the help of the garbage collector: closures may hold the server in a cycle."""

    async def serve_and_cancel() -> None:
        app = App()

        @app.get("/")
        async def hello() -> str:
            return "hello"

        task = asyncio.create_task(app.serve("127.0.0.1", 0))
        await asyncio.sleep(0.05)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(serve_and_cancel())
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        asyncio.run(serve_and_cancel())
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()


def test_a_loop_serves_several_servers() -> None:
    """The first one drives the loop, the others are its guests."""

    async def main() -> None:
        ports = [free_port() for _ in range(3)]
        tasks = [
            asyncio.create_task(small_app().serve("127.0.0.1", port, logs=False)) for port in ports
        ]
        await asyncio.sleep(0.01)
        for _ in range(3):
            async with httpx.AsyncClient() as client:
                urls = [f"http://127.0.0.1:{port}/async" for port in ports]
                answers = await asyncio.gather(*map(client.get, urls))
            assert {answer.status_code for answer in answers} == {200}
            first = tasks.pop(0)
            del ports[0]
            first.cancel()
            await asyncio.wait([first])

    with asyncio.Runner(loop_factory=EngineLoop) as runner:
        runner.run(main())


# ---- what asyncio may lack ----


@pytest.mark.parametrize(
    "poison",
    [
        "del asyncio.tasks._enter_task",
        "del asyncio.tasks._leave_task",
        "asyncio.Task = asyncio.tasks._PyTask",
        "asyncio.Task = lambda *args, **options: asyncio.tasks._PyTask(*args, **options)",
        "asyncio.Future = asyncio.futures._PyFuture",
    ],
)
def test_without_asyncios_private_names(poison: str) -> None:
    run_script(
        f"""
        import asyncio, asyncio.futures, asyncio.tasks, urllib.request
        {poison}
        from cello import App
        app = App()

        @app.get("/async")
        async def plain(req):
            return "ok"

        @app.get("/sleep")
        async def sleep(req):
            task = asyncio.current_task()
            await asyncio.sleep(0.001)
            assert asyncio.current_task() is task is not None
            return "ok"

        with app.start() as server:
            for path in ("/async", "/sleep") * 3:
                assert urllib.request.urlopen(server.url + path, timeout=20).read() == b"ok"
        """
    )


def test_attaching_is_checked() -> None:
    with pytest.raises(TypeError):
        _cello.attach_loop(None)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Server"):
        _cello.attach_loop(None, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Server"):
        _cello.detach_loop(None)  # type: ignore[arg-type]
