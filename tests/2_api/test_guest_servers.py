"""Many servers and loops in one process, at once and one after the other: what stays of them."""

import asyncio
import contextlib
import gc
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import uvloop
from async_server import Client
from cello import App
from guest_server import DRIVERS, LOOPS, Driver, at_once, drivers, guest

PAGE = os.sysconf("SC_PAGE_SIZE")
SANITIZED = "LD_PRELOAD" in os.environ


def small_app() -> App:
    """It says which loop and thread it runs on."""

    @contextlib.asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        app.state.loop = asyncio.get_running_loop()
        app.state.background = asyncio.create_task(asyncio.sleep(1000))
        yield
        app.state.loop = None

    app = App(lifespan=lifespan)

    @app.get("/where/{n:int}")
    async def where(n: int) -> list[Any]:
        await asyncio.sleep(0.001 * (n % 2))
        other = await asyncio.to_thread(threading.get_ident)
        assert asyncio.get_running_loop() is app.state.loop
        return [threading.get_ident(), other != threading.get_ident()]

    @app.get("/ask")
    async def ask(req: Any) -> list[Any]:
        async with httpx.AsyncClient() as client:
            answer = await client.get(req.query["url"])
        return [threading.get_ident(), *answer.json()]

    return app


# ---- at once ----


def test_every_kind_of_server_at_once() -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(guest(small_app(), driver)) for driver in DRIVERS]
        threads = set()
        for client in clients:
            answers = at_once(client, "/where/{n}", 6)
            assert len({thread for thread, _ in answers}) == 1 and all(ok for _, ok in answers)
            threads.add(answers[0][0])
        assert len(threads) == len(DRIVERS)
        # Each asks the next one.
        for client, other in zip(clients, [*clients[1:], clients[0]], strict=True):
            url = f"http://{other.host}:{other.port}/where/1"
            here, there, ok = client.body(f"/ask?url={url}")
            assert here != there and {here, there} <= threads and ok


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_several_servers_on_one_foreign_loop_and_one_of_its_own(loop: str) -> None:
    async def main() -> None:
        apps = [small_app() for _ in range(3)]
        socks = [socket.create_server(("127.0.0.1", 0)) for _ in apps]
        urls = ["http://{}:{}".format(*sock.getsockname()) for sock in socks]
        tasks = [
            asyncio.create_task(app.serve(fd=sock.detach(), logs=False, debug=False))
            for app, sock in zip(apps, socks, strict=True)
        ]
        with small_app().start() as own:
            urls.append(own.url)
            async with httpx.AsyncClient() as client:
                gets = [client.get(f"{url}/where/{n}") for n in range(5) for url in urls]
                answers = [answer.json()[0] for answer in await asyncio.gather(*gets)]
        assert set(answers[0::4] + answers[1::4] + answers[2::4]) == {threading.get_ident()}
        assert len(set(answers[3::4])) == 1 and threading.get_ident() not in answers[3::4]
        for task in tasks:
            task.cancel()
        assert all(
            isinstance(error, asyncio.CancelledError)
            for error in await asyncio.gather(*tasks, return_exceptions=True)
        )

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


# ---- one after the other ----


class Left:
    """What a process has more of than it needs."""

    def __init__(self) -> None:
        gc.collect()
        gc.collect()
        with open("/proc/self/statm", encoding="ascii") as statm:
            self.rss = int(statm.read().split()[1]) * PAGE
        self.fds = sorted(os.listdir("/proc/self/fd"))
        self.threads = len(os.listdir("/proc/self/task"))
        self.blocks = sys.getallocatedblocks()
        objects = gc.get_objects()
        self.tasks = sum(isinstance(o, asyncio.Future) for o in objects)
        self.loops = sum(isinstance(o, asyncio.AbstractEventLoop) for o in objects)
        self.objects = len(objects)


def check_nothing_left(once: Callable[[], None]) -> None:
    """A leak grows with every run; what is imported or cached meanwhile, once."""
    for _ in range(20):
        once()
    for attempt in range(3):
        before = Left()
        for _ in range(100):
            once()
        after = Left()
        grown = after.objects - before.objects
        if grown < 100 or attempt == 2:
            break
    # What tests before this one had left may go meanwhile.
    assert len(after.fds) <= len(before.fds)
    assert after.threads <= before.threads
    assert after.tasks <= before.tasks
    assert after.loops <= before.loops
    assert grown < 100
    assert after.blocks - before.blocks < 1000  # uvloop keeps five a connection, without us too
    assert SANITIZED or after.rss - before.rss < 3 << 20


@drivers
def test_a_hundred_starts_leave_nothing(driver: Driver) -> None:
    def once() -> None:
        with guest(small_app(), driver) as client, client.send("/where/1"):
            assert client.body("/where/0")[1] and client.get("/none")[0] == 404

    check_nothing_left(once)


@pytest.mark.parametrize("factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop])
def test_a_hundred_serves_on_one_loop_leave_nothing(
    factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:

        async def serve_once() -> None:
            app = small_app()
            sock = socket.create_server(("127.0.0.1", 0))
            address = sock.getsockname()
            task = asyncio.create_task(app.serve(fd=sock.detach(), logs=False, debug=False))
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"GET /where/1 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in await reader.readline()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            app.state.background.cancel()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        check_nothing_left(lambda: runner.run(serve_once()))


def test_an_application_starts_again_while_it_serves() -> None:
    app = App()

    @app.get("/")
    async def index() -> int:
        await asyncio.sleep(0.001)
        return threading.get_ident()

    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(app.start()) for _ in range(4)]
        seen = {Client(server).body("/") for server in servers for _ in range(3)}
        assert len(seen) == 4
        servers[0].stop()
        assert len({Client(server).body("/") for server in servers[1:]}) == 3
