"""What the tests of asyncio as a guest share: an application under each loop and back end."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import services
import uvloop
from async_server import Client, serving
from cello import App

# The engine's own loop in a thread of the server, or `await app.serve()` under another one.
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop] | None] = {
    "engine": None,
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}
DRIVERS = [(loop, backend) for loop in LOOPS for backend in ("epoll", "io_uring")]
drivers = pytest.mark.parametrize("driver", DRIVERS, ids="-".join)
Driver = tuple[str, str]

needs_services = pytest.mark.skipif(bool(services.missing()), reason=services.missing())


class _Place:
    """The part of a Server that tests use. stop() cancels serve(), which leaves no time."""

    def __init__(self, sock: socket.socket) -> None:
        self.addresses = [sock.getsockname()]
        self.url = "http://{}:{}".format(*self.addresses[0])
        self.stop: Callable[..., None]


class _Thread:
    """`await app.serve()` in a thread, on a loop of the test's choice."""

    def __init__(self, app: App, loop: str, debug: bool, options: dict[str, Any]) -> None:
        self._app, self._options = app, options
        self._factory, self._debug = LOOPS[loop], debug
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="serve")
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._factory, debug=self._debug) as runner:
                runner.run(self._serve())
        except BaseException as error:  # handed to whoever waits
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._ready.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._app.serve(**self._options)

    def stop(self) -> None:
        if self._error is None and self._task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
        if self._error is not None:
            raise self._error


@contextlib.contextmanager
def guest(app: App, driver: Driver, debug: bool = False) -> Iterator[Client]:
    """debug: of a loop that is not the engine's own, which takes PYTHONASYNCIODEBUG."""
    loop, backend = driver
    if LOOPS[loop] is None:
        with serving(app, backend=backend) as client:
            yield client
        return
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        place = _Place(sock)
        # Connections wait in the backlog until the start-up hooks are through.
        options = {"fd": os.dup(sock.fileno()), "backend": backend, "logs": False, "debug": False}
        thread = _Thread(app, loop, debug, options)
        place.stop = lambda timeout=None: thread.stop()
    try:
        yield Client(place)  # type: ignore[arg-type]
    finally:
        thread.stop()


def at_once(client: Client, path: str, count: int) -> list[Any]:
    """The bodies of `count` requests that are all there before the first is answered."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda n: client.body(path.format(n=n)), range(count)))
