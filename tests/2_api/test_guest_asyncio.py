"""What handlers share by asyncio's own means, and debug mode, under every loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest
from async_server import run_script
from cello import App
from guest_server import DRIVERS, Driver, at_once, drivers, guest

debugs = pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])


def debug_of(driver: Driver, debug: bool, monkeypatch: pytest.MonkeyPatch) -> bool:
    """The engine's own loop asks the environment."""
    if debug:
        monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    return debug


# ---- between requests ----


class Shared:
    """Made in the lifespan: on the loop that the handlers run on."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[int] = asyncio.Queue(2)
        self.event = asyncio.Event()
        self.lock = asyncio.Lock()
        self.semaphore = asyncio.Semaphore(3)
        self.condition = asyncio.Condition()
        self.inside = self.most = self.turn = 0


def sharing_app() -> App:
    @contextlib.asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        app.state.shared = Shared()
        yield

    app = App(lifespan=lifespan)

    @app.get("/put/{n:int}")
    async def put(n: int) -> str:
        await app.state.shared.queue.put(n)  # which holds two: most wait for a reader
        return "put"

    @app.get("/get/{n:int}")
    async def get(n: int) -> int:
        return int(await app.state.shared.queue.get())

    @app.get("/wait/{n:int}")
    async def wait(n: int) -> bool:
        return bool(await app.state.shared.event.wait())

    @app.get("/set")
    async def set_() -> str:
        app.state.shared.event.set()
        return "set"

    @app.get("/locked/{name}/{n:int}")
    async def locked(name: str, n: int) -> str:
        shared: Shared = app.state.shared
        async with getattr(shared, name):
            shared.inside += 1
            shared.most = max(shared.most, shared.inside)
            await asyncio.sleep(0)
            shared.inside -= 1
        return "ok"

    @app.get("/most")
    async def most() -> int:
        shared: Shared = app.state.shared
        found, shared.most = shared.most, 0
        return found

    @app.get("/turn/{n:int}")
    async def turn(n: int) -> int:
        shared: Shared = app.state.shared
        async with shared.condition:
            await shared.condition.wait_for(lambda: shared.turn == n)
            shared.turn += 1
            shared.condition.notify_all()
        return n

    return app


@debugs
@drivers
def test_handlers_wait_for_one_another(
    driver: Driver, debug: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with guest(sharing_app(), driver, debug_of(driver, debug, monkeypatch)) as client:
        with client.send("/put/0", 1), contextlib.ExitStack() as waiting:
            for n in range(1, 8):
                waiting.enter_context(client.send(f"/put/{n}"))
            assert sorted(at_once(client, "/get/{n}", 8)) == list(range(8))
        with contextlib.ExitStack() as stack:
            waiting_for_event = [stack.enter_context(client.send(f"/wait/{n}")) for n in range(5)]
            assert client.body("/set") == "set"
            assert all(sock.recv(1000).endswith(b"true") for sock in waiting_for_event)
        for name, most in (("lock", 1), ("semaphore", 3)):
            at_once(client, f"/locked/{name}/{{n}}", 10)
            assert 1 <= client.body("/most") <= most
        assert at_once(client, "/turn/{n}", 6) == list(range(6))


# ---- within one ----

variable: ContextVar[str] = ContextVar("variable", default="unset")


def lone_app() -> App:
    app = App()

    @app.get("/group/{n:int}")
    async def group(n: int) -> list[str]:
        variable.set(f"request {n}")

        async def child(m: int) -> str:
            await asyncio.sleep(0)
            before = variable.get()
            variable.set(f"child {m}")
            await asyncio.sleep(0.001)
            return f"{before}, {variable.get()}"

        async with asyncio.TaskGroup() as tasks:
            children = [tasks.create_task(child(m)) for m in range(2)]
        return [*(c.result() for c in children), variable.get()]

    @app.get("/unset")
    async def unset() -> str:
        await asyncio.sleep(0)
        return variable.get()

    @app.get("/timeouts")
    async def timeouts() -> list[str]:
        seen = []
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append("inner")
        async with asyncio.timeout(30) as outer:
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time()):
                    await asyncio.sleep(30)
            except TimeoutError:
                seen.append(f"at {outer.expired()}")
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.sleep(0.01)), 0.001)
        except TimeoutError:
            seen.append("wait_for")
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0
        return seen

    @app.get("/failing-group")
    async def failing_group() -> list[str]:
        seen = []

        async def fail() -> None:
            await asyncio.sleep(0)
            raise KeyError("child")

        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                seen.append("cancelled")

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(wait())
                tasks.create_task(fail())
                await asyncio.Event().wait()
        except* KeyError as group:
            seen.append(repr(group.exceptions[0]))
        return seen

    @app.get("/completed")
    async def completed() -> list[int]:
        sleeps = [asyncio.sleep(0.002 * n, n) for n in (3, 1, 2)]
        return [await first for first in asyncio.as_completed(sleeps)]

    @app.get("/timers")
    async def timers() -> list[str]:
        loop, seen = asyncio.get_running_loop(), list[str]()
        done = loop.create_future()
        loop.call_later(0.003, seen.append, "later")
        loop.call_soon(seen.append, "soon")
        loop.call_later(0.001, seen.append, "never").cancel()
        loop.call_at(loop.time() + 0.006, done.set_result, "done")
        return [await done, *seen]

    return app


@debugs
@drivers
def test_within_a_handler(driver: Driver, debug: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with guest(lone_app(), driver, debug_of(driver, debug, monkeypatch)) as client:
        expected = [
            [f"request {n}, child 0", f"request {n}, child 1", f"request {n}"] for n in range(6)
        ]
        assert at_once(client, "/group/{n}", 6) == expected
        for _ in range(2):
            assert client.body("/unset") == "unset"
            assert client.body("/timeouts") == ["inner", "at False", "wait_for"]
            assert client.body("/failing-group") == ["cancelled", "KeyError('child')"]
            assert client.body("/completed") == [1, 2, 3]
            assert client.body("/timers") == ["done", "soon", "later"]


# ---- debug mode ----


@pytest.mark.parametrize("driver", [d for d in DRIVERS if d[0] != "uvloop"], ids="-".join)
def test_slow_callbacks_are_logged(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.get("/")
    async def slow() -> bool:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0
        await asyncio.sleep(0)
        return loop.get_debug()

    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    with guest(app, driver, debug=True) as client:
        assert client.body("/") is True
    lines = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    assert any("slow" in line and "took" in line for line in lines), lines


@drivers
def test_debug_mode_may_change_while_handlers_wait(driver: Driver) -> None:
    app = App()

    @app.get("/wait/{n:int}")
    async def wait(n: int) -> int:
        for _ in range(5):
            await asyncio.sleep(0.0005 * (n % 3))
        return n

    @app.get("/debug/{on:int}")
    async def debug(on: int) -> bool:
        asyncio.get_running_loop().set_debug(bool(on))
        await asyncio.sleep(0)
        return asyncio.get_running_loop().get_debug()

    with guest(app, driver) as client:
        for on in (True, False) * 3:
            with client.send("/wait/2", 3):
                assert client.body(f"/debug/{int(on)}") is on
                assert at_once(client, "/wait/{n}", 4) == list(range(4))


# ---- programs ----

TWICE = """
import asyncio, threading, urllib.request
import {module}
from cello import App

app = App()
count = 0

@app.get("/")
async def index():
    global count
    count += 1
    await asyncio.sleep(0.001)
    return await asyncio.to_thread(lambda: count)

async def main():
    server = asyncio.create_task(app.serve("127.0.0.1", {port}, logs=False))
    await asyncio.sleep(0)
    def ask():
        with urllib.request.urlopen("http://127.0.0.1:{port}/", timeout=20) as answer:
            return int(answer.read())
    answers = [await asyncio.to_thread(ask) for _ in range(3)]
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)
    return answers

print(*[{run}(main()) for _ in range(2)])
with app.start() as server, urllib.request.urlopen(server.url, timeout=20) as answer:
    print(int(answer.read()))
print({run}(main()))
"""


@pytest.mark.parametrize("run", ["asyncio.run", "uvloop.run"])
@pytest.mark.parametrize("debug", ["", "1"])
@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
def test_asyncio_run_again_and_again(run: str, debug: str, backend: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    script = TWICE.format(module=run.partition(".")[0], port=port, run=run)
    out = run_script(script, PYTHONASYNCIODEBUG=debug, CELLO_BACKEND=backend)
    assert out == "[1, 2, 3] [4, 5, 6]\n7\n[8, 9, 10]\n"
