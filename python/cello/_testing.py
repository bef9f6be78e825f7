"""The engine under a test client: opened without a port, run while a request waits, closed.

Two ways to run it. `Pump` is for synchronous tests: the engine turns on the thread that waits for
an answer, alone or, when the application has async handlers or hooks, inside an EngineLoop. `Guest`
is for asynchronous tests: the engine is a guest of the loop that runs the test.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cello import _cello, _log
from cello._settings import Settings

if TYPE_CHECKING:
    import asyncio

    from cello._app import App
    from cello._lifespan import LifespanRun

# For what is in flight when a test is over; what takes longer is cut off.
STOP_TIMEOUT = 5.0

_TOO_LATE = "the application has not answered in time"


class Engine:
    """What both ways have in common: one server of an application, made when it is needed."""

    def __init__(self, app: App, client: tuple[str, int], raises: bool) -> None:
        self.app = app
        self._client = client
        self._raises = raises  # what handlers raise goes to take_error(), not to the log
        self._server: _cello.Server | None = None
        self._served: asyncio.Task[None] | None = None  # while an asyncio loop has the server
        self._lifespan: LifespanRun | None = None  # started, and not shut down yet
        self._errors: list[BaseException] = []
        self._stopped = False  # by something that a handler raised for the program
        self._waiting: set[Callable[[], object]] = set()

    def _new_server(self) -> _cello.Server:
        debug = self.app._debug or False  # whatever the environment says
        settings = Settings(env="production", debug=debug, logs=False, backend="epoll")
        server = self.app._engine(settings)
        server.on_error = self._on_error
        server.on_settled = self._wake
        self._stopped = False
        return server

    def _on_error(self, error: BaseException) -> bool:
        self._stopped = self._stopped or not isinstance(error, Exception)
        if self._raises:
            _log.explain(error)
            self._errors.append(error)
        return self._raises

    def _start_serving(self, loop: asyncio.AbstractEventLoop, server: _cello.Server) -> None:
        from cello._loop import serve

        self._served = loop.create_task(serve(server), name="cello")
        self._served.add_done_callback(lambda task: self._wake())

    def _wake(self) -> None:
        for wake in list(self._waiting):
            wake()

    def _connect(self) -> _cello.Connection:
        assert self._server is not None
        return self._server.connect(*self._client)

    def take_error(self) -> BaseException | None:
        """The oldest exception that nothing handled and nobody took."""
        return self._errors.pop(0) if self._errors else None

    def log_errors(self) -> None:
        """Those that nobody took: their requests were given up before."""
        while self._errors:
            _log.error("exception in a request that was given up", self._errors.pop(0))

    def _raise_end(self) -> None:
        """The server ended under a request: raises why."""
        server, self._server = self._server, None
        served, self._served = self._served, None
        if served is not None and served.done():
            served.result()
        if server is not None:
            try:
                server.turn(0)  # what a handler raised that is meant for the program
            finally:
                server.close()
        raise ConnectionResetError("the server was stopped")


class Pump(Engine):
    """Runs the engine on the calling thread, while somebody waits; threads take turns, by `lock`.

    What a handler raises that is no Exception (SystemExit, pytest.fail) has stopped the engine: the
    next request gets a new one.
    """

    def __init__(self, app: App, client: tuple[str, int], raises: bool) -> None:
        super().__init__(app, client, raises)
        self.lock = threading.RLock()
        self._runner: asyncio.Runner | None = None
        self._waits = False

    def open(self, *, start_up: bool = False) -> None:
        """Idempotent. start_up: with what the application wants to be called at its start."""
        if self._server is None:
            lifespan = self.app._lifespan_run()
            server = self._new_server()
            if server.needs_loop or lifespan.needs_loop:
                self._start_serving(self._loop(), server)
            self._server = server
        if start_up and self._lifespan is None:
            self._start_up()

    def _loop(self) -> asyncio.AbstractEventLoop:
        import asyncio

        from cello._loop import EngineLoop

        if _loop_runs():
            raise RuntimeError(
                "TestClient would block the running event loop: use AsyncTestClient in async code"
            )
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=EngineLoop)
        return self._runner.get_loop()

    def _start_up(self) -> None:
        lifespan = self.app._lifespan_run()
        try:
            if self._runner is not None:
                self._loop().run_until_complete(lifespan.startup())
            else:
                lifespan.startup_now()
        except BaseException:
            self.close()
            raise
        self._lifespan = lifespan

    def connect(self) -> _cello.Connection:
        self.open()
        return self._connect()

    def catch_up(self) -> None:
        """What is due by now happens, time limits for one."""
        if self._stopped:
            self._drop_server()
        if self._server is None:
            return
        if self._served is not None:
            self._run_what_is_due(self._server)
        elif self._server.needs_loop:  # since a dependency was overridden by an async one
            self._start_serving(self._loop(), self._server)
        else:
            self._turn(0)

    def _run_what_is_due(self, server: _cello.Server) -> None:
        due = server.next_turn_in
        if due is not None and due <= 0:
            loop = self._loop()
            loop.call_soon(loop.stop)
            loop.run_forever()

    def wait(self, connection: _cello.Connection, seconds: float | None) -> None:
        """Run the engine until something has happened on the connection, perhaps; TimeoutError
        after so many seconds."""
        if seconds is not None and seconds <= 0:
            raise TimeoutError(_TOO_LATE)
        self._waits = True
        try:
            if self._served is None and self._server is not None and self._server.needs_loop:
                self._start_serving(self._loop(), self._server)  # an async stream was returned
            if self._served is None:
                self._turn(2**63 if seconds is None else int(seconds * 1e9))
            else:
                self._run_loop(connection, seconds)
        finally:
            self._waits = False

    def settle(self, seconds: float | None) -> None:
        """Run the engine until dependencies are cleaned up and background tasks done, for so many
        seconds at most."""
        server, clock = self._server, Clock(seconds)
        if server is None or server.settled or self._waits or _loop_runs():
            return
        self._waits = True
        try:
            while not (server.settled or server.done or (left := clock.left()) == 0):
                if self._served is None and server.needs_loop:
                    self._start_serving(self._loop(), server)
                elif self._served is None:
                    server.turn(2**63 if left is None else int(left * 1e9))
                elif not self._served.done():
                    self._run_loop(None, left)
                else:
                    break
        finally:
            self._waits = False

    def check_idle(self) -> None:
        """RuntimeError: it runs what has called this."""
        if self._waits:
            raise RuntimeError("a TestClient cannot be closed by the application that it runs")

    def _turn(self, timeout_ns: int) -> None:
        if self._server is None:
            raise ConnectionResetError("the server was stopped")
        self._server.turn(timeout_ns)
        if self._server.done:
            self._raise_end()

    def _run_loop(self, connection: _cello.Connection | None, seconds: float | None) -> None:
        loop = self._loop()
        news = loop.create_future()

        def wake() -> None:
            if not news.done():
                news.set_result(None)

        timer = None if seconds is None else loop.call_later(seconds, wake)
        if connection is not None:
            connection.on_ready = wake
        self._waiting.add(wake)
        try:
            loop.run_until_complete(news)
        finally:
            self._waiting.discard(wake)
            if connection is not None:
                connection.on_ready = None
            if timer is not None:
                timer.cancel()
        if self._served is not None and self._served.done():
            self._raise_end()

    def close(self) -> None:
        """Finish what is in flight, shut the application down if it was started up, and let go of
        everything. It may be opened again."""
        try:
            self._drop_server()
        finally:
            self.log_errors()
            lifespan, self._lifespan = self._lifespan, None
            runner, self._runner = self._runner, None
            loop = None if runner is None else runner.get_loop()
            try:
                if lifespan is not None and loop is not None:
                    loop.run_until_complete(lifespan.shutdown())
                elif lifespan is not None:
                    lifespan.shutdown_now()
            finally:
                if runner is not None:
                    runner.close()

    def _drop_server(self) -> None:
        server, self._server = self._server, None
        served, self._served = self._served, None
        self._stopped = False
        if server is None:
            return
        _stop(server)
        try:
            while served is None and not server.done:
                server.turn(10**9)
                if server.needs_loop:  # for what is left to do
                    self._start_serving(self._loop(), server)
                    served, self._served = self._served, None
            if served is not None and not served.done():
                self._loop().run_until_complete(served)
        finally:
            server.close()

    def cut_off(self) -> None:
        """Let go at once, where no loop can run."""
        server, self._server = self._server, None
        served, self._served = self._served, None
        runner, self._runner = self._runner, None
        if server is not None:
            _cello.detach_loop(server)
            server.close()
        if served is not None:
            served._log_destroy_pending = False  # type: ignore[attr-defined]
        if runner is not None:
            runner.get_loop().close()


def _stop(server: _cello.Server) -> None:
    for task in _cello.handler_tasks(server):
        task.cancel()  # its client has given up
    server.stop(STOP_TIMEOUT)


def abandon(pump: Pump) -> None:
    """Close what nobody holds any more, wherever that is noticed."""
    with pump.lock:
        if _loop_runs():
            pump.cut_off()
        else:
            pump.close()


def _loop_runs() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


class Guest(Engine):
    """The engine as a guest of the running loop; its async handlers are tasks of that loop."""

    def __init__(self, app: App, client: tuple[str, int], raises: bool) -> None:
        super().__init__(app, client, raises)
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Idempotent."""
        import asyncio

        loop = asyncio.get_running_loop()
        if self._stopped and self._server is not None and self._served and self._served.done():
            self._server.close()
            self._server = None
        if self._server is None:
            self._server, self._loop = self._new_server(), loop
            self._start_serving(loop, self._server)
        elif loop is not self._loop:
            raise RuntimeError("the client is used under another event loop than before")

    async def start_up(self) -> None:
        """What the application wants to be called at its start."""
        self.open()
        if self._lifespan is None:
            lifespan = self.app._lifespan_run()
            try:
                await lifespan.startup()
            except BaseException:
                await self.aclose()
                raise
            self._lifespan = lifespan

    def connect(self) -> _cello.Connection:
        self.open()
        return self._connect()

    async def settle(self, seconds: float | None) -> None:
        """Until dependencies are cleaned up and background tasks done, for so many seconds at
        most."""
        server, clock = self._server, Clock(seconds)
        try:
            while server and server is self._server and not server.settled:
                await self.wait(None, clock.left())
        except (TimeoutError, ConnectionError):
            return

    async def wait(self, connection: _cello.Connection | None, seconds: float | None) -> None:
        """Until something has happened on the connection, or all is settled, perhaps; TimeoutError
        after so many seconds."""
        import asyncio

        if self._served is None or self._served.done():
            self._raise_end()
        news = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not news.done():
                news.set_result(None)

        if connection is not None:
            connection.on_ready = wake
        self._waiting.add(wake)
        try:
            async with asyncio.timeout(seconds):
                await news
        except TimeoutError:
            raise TimeoutError(_TOO_LATE) from None
        finally:
            self._waiting.discard(wake)
            if connection is not None:
                connection.on_ready = None

    async def aclose(self) -> None:
        """Finish what is in flight, shut the application down if it was started up, and let go of
        everything. It may be opened again."""
        server, self._server = self._server, None
        served, self._served = self._served, None
        lifespan, self._lifespan = self._lifespan, None
        try:
            if server is not None and served is not None and not served.done():
                _stop(server)
                await served
        finally:
            self.log_errors()
            if server is not None:
                server.close()
            if lifespan is not None:
                await lifespan.shutdown()


class Clock:
    """The time that is left of a limit."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - time.monotonic())
