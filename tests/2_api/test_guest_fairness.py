"""HTTP and asyncio share a thread: neither waits for the other to be idle. Counted, not timed.

A loop's round serves both: callbacks that are ready, and a turn of the engine. So while one side is
never idle, the other one's work is a matter of rounds."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from async_server import Client
from cello import App
from guest_server import Driver, drivers, guest

CONNECTIONS = 32
SPIN_S = 0.002  # twice what a batch may hold the GIL for


@contextlib.contextmanager
def full_load(client: Client, path: str) -> Iterator[None]:
    """Every connection asks again as soon as it is answered, from another process."""
    wrk = shutil.which("wrk")
    if not wrk:
        pytest.skip("needs wrk: see `tools/setup_system.sh test`")
    url = f"http://{client.host}:{client.port}{path}"
    process = subprocess.Popen(
        [wrk, "-t1", f"-c{CONNECTIONS}", "-d100s", url],
        stdout=subprocess.DEVNULL,
    )
    try:
        while client.body("/served") < 2 * CONNECTIONS:
            pass
        yield
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


class Program:
    """What runs beside the requests. `served` counts these."""

    def __init__(self) -> None:
        self.served = 0

    async def rounds(self, count: int) -> int:
        """Requests that were served in `count` rounds of the loop."""
        before = self.served
        for _ in range(count):
            await asyncio.sleep(0)
        return self.served - before

    async def both(self, step: Callable[[], Awaitable[object]], count: int) -> int:
        """At least `count` steps, until a request was served meanwhile: steps."""
        before, steps = self.served, 0
        while steps < count or self.served == before:
            await step()
            steps += 1
        return steps

    async def timers(self, count: int) -> int:
        return await self.both(lambda: asyncio.sleep(0.001), count)

    async def sockets(self, count: int) -> int:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())

        async def ping() -> None:
            writer.write(b"ping")
            await reader.readexactly(4)

        steps = await self.both(ping, count)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return steps

    async def threads(self, count: int) -> int:
        return await self.both(lambda: asyncio.to_thread(lambda: None), count)


def loaded_app() -> App:
    app = App()
    program = Program()

    @app.get("/def")
    def plain() -> str:
        program.served += 1
        return "plain"

    @app.get("/async")
    async def at_once() -> str:
        program.served += 1
        return "at once"

    @app.get("/yield")
    async def yields() -> str:
        await asyncio.sleep(0)
        program.served += 1
        return "yields"

    @app.get("/spin")
    def spin() -> str:
        program.served += 1
        end = time.perf_counter() + SPIN_S
        while time.perf_counter() < end:
            pass
        return "spin"

    @app.get("/served")
    def served() -> int:
        return program.served

    @app.get("/run/{name}/{count:int}")
    async def run(name: str, count: int) -> int:
        return int(await getattr(program, name)(count))

    return app


@pytest.mark.parametrize("path", ["/def", "/async", "/yield"])
@drivers
def test_full_load_lets_a_program_go_on(driver: Driver, path: str) -> None:
    with guest(loaded_app(), driver) as client, full_load(client, path):
        # In a round each connection is answered once, and a callback of ours runs.
        assert client.body("/run/rounds/300") <= 300 * 2 * CONNECTIONS
        # That these end says that both sides went on.
        for name in ("timers", "sockets", "threads"):
            assert client.body(f"/run/{name}/30") >= 30


@drivers
def test_slow_handlers_let_a_program_go_on(driver: Driver) -> None:
    # A batch ends after a millisecond, however many requests are left.
    with guest(loaded_app(), driver) as client, full_load(client, "/spin"):
        assert client.body("/run/rounds/20") <= 20 * 2


# ---- the other way round ----


class Busy:
    """A program that always has something to do; `rounds` of the loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.rounds = 0
        self.going_on = True

    def again(self) -> None:
        if self.going_on:
            self.loop.call_soon(self.again)

    def count(self) -> None:
        self.rounds += 1
        if self.going_on:
            self.loop.call_soon(self.count)


@contextlib.contextmanager
def readable_sockets(count: int, callback: Any) -> Iterator[None]:
    """They stay readable: nobody reads."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            here, there = (stack.enter_context(s) for s in socket.socketpair())
            there.send(b"x")
            loop.add_reader(here, callback)
            stack.callback(loop.remove_reader, here)
        yield


def busy_app(kind: str, begun: threading.Event, go_on: threading.Event) -> App:
    @contextlib.asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        busy = app.state.busy = Busy()
        with contextlib.ExitStack() as stack:
            if kind == "callbacks":
                for _ in range(300):
                    busy.again()
            elif kind == "sockets":
                stack.enter_context(readable_sockets(300, lambda: None))
            else:
                for _ in range(300):
                    stack.callback(asyncio.ensure_future(_sleep_for_ever(0)).cancel)
            busy.count()
            yield
            busy.going_on = False

    app = App(lifespan=lifespan)

    @app.get("/hold")
    def hold() -> int:
        """The thread waits here until the test has sent all it wants to send."""
        begun.set()
        go_on.wait()
        return int(app.state.busy.rounds)

    @app.get("/def")
    def plain() -> int:
        return int(app.state.busy.rounds)

    @app.get("/yield")
    async def yields() -> int:
        await asyncio.sleep(0)
        return int(app.state.busy.rounds)

    return app


async def _sleep_for_ever(seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)


def body_of(sock: socket.socket, count: int) -> int:
    """The number in the last of `count` pipelined answers."""
    received = b""
    while received.count(b"\r\n\r\n") < count:
        received += sock.recv(100_000)
    head, _, body = received.rpartition(b"\r\n\r\n")
    length = int(head.rpartition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(100_000)
    return int(body)


@pytest.mark.parametrize("kind", ["callbacks", "sockets", "tasks"])
@drivers
def test_a_busy_program_lets_requests_through(driver: Driver, kind: str) -> None:
    begun, go_on = threading.Event(), threading.Event()
    each, connections = 20, 10
    with (
        guest(busy_app(kind, begun, go_on), driver) as client,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(go_on.set)
        held = stack.enter_context(client.send("/hold"))
        assert begun.wait(20)
        socks = [stack.enter_context(client.send("/def", each)) for _ in range(connections)]
        socks += [stack.enter_context(client.send("/yield", each)) for _ in range(connections)]
        go_on.set()
        first = body_of(held, 1)
        last = max(body_of(sock, each) for sock in socks)
        # Each round serves one request of each connection or more; one that suspends takes two.
        assert last - first <= 3 * each + 20
