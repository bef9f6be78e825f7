"""Serving: run, start, serve."""

from __future__ import annotations

import os
import sys
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Unpack

from cello import _cello, _log
from cello._config import LimitsConfig, TimeoutConfig
from cello._settings import Options, Settings

if TYPE_CHECKING:
    from cello._app import App

SHUTDOWN_TIMEOUT = 30.0  # seconds for requests in flight, after a signal


class Server:
    """A server that was started: runs on a thread of its own until stopped.

    A context manager: leaving it stops the server.
    """

    def __init__(self, engine: _cello.Server) -> None:
        self._engine = engine
        self._error: BaseException | None = None
        self._last_stats: dict[str, int] = {}
        self._addresses = engine.addresses
        self._thread = threading.Thread(target=self._run, name="cello", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._engine.run()
        except BaseException as error:  # handed to whoever waits
            self._error = error
        finally:
            # On this thread: io_uring takes back what it holds only for the thread that gave it.
            self._last_stats = self._engine.stats()
            self._engine.close()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """(host, port) of every listener; ("unix:PATH", 0) for unix sockets."""
        return list(self._addresses)

    @property
    def url(self) -> str:
        """http://host:port of the first TCP listener."""
        return url_of(self._addresses[0])

    def stats(self) -> dict[str, int]:
        """Counters since the start; the last ones when the server has ended."""
        try:
            return self._engine.stats()
        except RuntimeError:
            return dict(self._last_stats)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the server has ended; False when `timeout` seconds passed before. Raises what
        ended it, if that was an error."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        if self._error:
            error, self._error = self._error, None
            raise error
        return True

    def stop(self, timeout: float | None = None) -> None:
        """Stop listening, finish what is in flight within `timeout` seconds (None: as long as it
        takes), close the rest, and wait for that; in a handler of this server, do not wait."""
        self._engine.stop(timeout)
        if threading.current_thread() is not self._thread:
            self.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop(5.0)


def url_of(address: tuple[str, int]) -> str:
    """How a client writes an address."""
    host, port = address
    if host.startswith("unix:"):
        return host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Serving:
    """How an application is served; the base of App."""

    _limits: LimitsConfig | None
    _timeouts: TimeoutConfig | None
    _log_format: str
    _debug: bool | None = None  # what App(debug=...) says

    def _settings(self, *place: Any, **options: Any) -> Settings:
        return Settings(*place, app_debug=self._debug, **options)

    def _engine(self, settings: Settings) -> _cello.Server:
        """A server that does not listen."""
        app: App = self  # type: ignore[assignment]
        return _cello.Server(
            app,
            self._limits or LimitsConfig(),
            self._timeouts or TimeoutConfig(),
            settings.backend,
            1 if settings.logs else -1,
            self._log_format,
        )

    def _open(self, settings: Settings) -> _cello.Server:
        engine = self._engine(settings)
        if settings.fd is not None:
            engine.listen_fd(settings.fd)
        elif settings.uds is not None:
            engine.listen_unix(settings.uds)
        else:
            engine.listen(settings.host, settings.port)
        return engine

    def start(
        self, host: str | None = None, port: int | None = None, **options: Unpack[Options]
    ) -> Server:
        """Serve on a thread of its own and return at once.

        port: by default CELLO_PORT, else any free one. logs, debug: off unless they or `env` say
        so. The rest is as for run(). OSError: the address is busy or not allowed.
        """
        if options.get("env") is None:
            options.setdefault("logs", False)
            options.setdefault("debug", self._debug or False)
        return Server(self._open(self._settings(host, port, default_port=0, **options)))

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        argv: list[str] | Literal[False] | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Serve on this thread, by default on http://127.0.0.1:8000, until SIGINT or SIGTERM.

        The first signal finishes what is in flight (30 s at most), the second ends the process at
        once. Off the main thread signals are the caller's. What is not given here is read from the
        command line (--host --port --env --debug --no-logs --log-level --uds --fd --backend; only
        in the program's own main thread, argv=False turns it off), then from the environment
        (CELLO_HOST, CELLO_PORT, ...). A busy port ends the program with exit code 1.

        env: "development" (debug pages and the access log) or "production" (neither). debug, logs:
        on or off, whatever env says. log_level: of the server log. uds: path of a unix socket instead of host and port. fd: a
        listening socket instead. backend: "auto", "epoll" or "io_uring". ValueError, TypeError: an
        option that is wrong.
        """
        main = threading.current_thread() is threading.main_thread()
        if argv is None and main and _called_from_main():
            argv = sys.argv[1:]
        settings = self._settings(host, port, argv=argv or None, **options)
        try:
            engine = self._open(settings)
        except OSError as error:
            where = settings.uds or f"{settings.host}:{settings.port}"
            _log.info(f"cello: cannot listen on {where}: {error.strerror}")
            raise SystemExit(1) from error
        try:
            if main:
                with _Signals(engine):
                    _run(engine, settings)
            else:
                _run(engine, settings)
        finally:
            engine.close()

    async def serve(
        self, host: str | None = None, port: int | None = None, **options: Unpack[Options]
    ) -> None:
        """Serve inside the running event loop (asyncio's or uvloop) until cancelled. The arguments
        are those of run(), without the command line."""
        from cello._loop import serve

        engine = self._open(self._settings(host, port, **options))
        try:
            await serve(engine)
        finally:
            engine.close()


def _called_from_main() -> bool:
    """Whether the program itself, not a library, called run()."""
    return sys._getframe(2).f_globals.get("__name__") == "__main__"


def _run(engine: _cello.Server, settings: Settings) -> None:
    """Tell where it listens, and serve: whoever reads that may send the first signal."""
    if settings.logs:
        where = ", ".join(url_of(a) for a in engine.addresses)
        _log.info(f"Cello {_cello.VERSION} on {where} ({engine.backend})")
    engine.run()


class _Signals:
    """SIGINT and SIGTERM drain the server; the second one ends the process."""

    def __init__(self, engine: _cello.Server) -> None:
        self._engine = engine
        self._stopping = False
        self._previous: dict[int, Any] = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stopping:
            os._exit(128 + number)
        self._stopping = True
        self._engine.stop(SHUTDOWN_TIMEOUT)

    def __enter__(self) -> None:
        import signal

        self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._engine.watch_signals(self._pipe[0])
        self._previous_fd = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._on_signal)

    def __exit__(self, *error: object) -> None:
        import signal

        for number, previous in self._previous.items():
            if previous is not None:  # None: not set by Python, which cannot restore it
                signal.signal(number, previous)
        signal.set_wakeup_fd(self._previous_fd)
        self._engine.watch_signals(-1)
        for fd in self._pipe:
            os.close(fd)
