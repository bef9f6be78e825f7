"""Signals that end the server of this process, or have its access log opened again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cello import _cello, _log

if TYPE_CHECKING:
    from types import FrameType

    from cello._settings import Settings


def signals_of(settings: Settings, worker: _cello.Cluster | None) -> dict[str, bool]:
    """Those that somebody handles, and whether they end this process. A terminal sends SIGINT and
    SIGHUP to all processes: those of workers are their supervisor's, who tells them."""
    if worker is not None:
        return {"SIGTERM": True, "SIGINT": False, "SIGHUP": False}
    if settings.reload:
        return {"SIGTERM": True}
    names = {"SIGINT": True, "SIGTERM": True}
    import signal

    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: it is to live on
        names["SIGHUP"] = True
    return names


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _ignore(number: int, frame: FrameType | None) -> None:
    pass


class Signals:
    """Signals that end the server drain it; the second one ends the process. Before it serves, the
    first one ends the start. names: of signals; false: nothing is done about it. delay: seconds
    before it drains, which are announced."""

    def __init__(
        self,
        engine: _cello.Server,
        timeout: float,
        names: dict[str, bool],
        delay: float,
        announce: Callable[[], object],
    ) -> None:
        self._delay, self._announce = delay, announce
        self._engine = engine
        self._timeout = timeout
        self._names = names
        self._stopping = False
        self.drain = False  # there is something to drain
        self.reopening: tuple[str, ...] = ()  # signals on which the access log is opened again
        self.reloading: tuple[str, ...] = ()  # signals on which certificates are read again
        self._terminal = _has_terminal()
        self._previous: dict[int, Any] = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stopping:
            os._exit(128 + number)
        self._stopping = True
        if not self.drain:
            raise SystemExit(128 + number)
        self._announce()
        self._engine.service_stopping()
        if self._delay:
            later = threading.Timer(self._delay, self._engine.stop, (self._timeout,))
            later.daemon = True
            later.start()
            _log.notice(f"Stopping in {self._delay:g} s; a second signal ends it now")
            return
        self._engine.stop(self._timeout)
        busy = self._engine.stats()["inflight"]
        if busy:
            what = "a request" if busy == 1 else f"{busy} requests"
            _log.notice(
                f"Finishing {what}, for up to {self._timeout:g} s; a second signal ends it now"
            )

    def _on_moved_log(self, number: int, frame: FrameType | None) -> None:
        self._engine.reopen_log()

    def _on_reload(self, number: int, frame: FrameType | None) -> None:
        if self._terminal and not _has_terminal():  # it was closed, and nobody asked for a reload
            self._on_signal(number, frame)
        elif self.drain and self._engine.reload_tls():
            _log.notice("SIGHUP: new connections get the certificates as they are now")

    def __enter__(self) -> None:
        import signal

        self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._engine.watch_signals(self._pipe[0])
        self._previous_fd = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        # Not SIG_IGN, which programs that this one starts would inherit.
        handlers: list[tuple[str, Callable[[int, FrameType | None], None]]] = [
            *((name, self._on_signal if ends else _ignore) for name, ends in self._names.items()),
            *((name, self._on_moved_log) for name in self.reopening),
            *((name, self._on_reload) for name in self.reloading),
        ]
        for name, handler in handlers:
            before = signal.signal(signal.Signals[name], handler)
            self._previous.setdefault(signal.Signals[name], before)

    def __exit__(self, *error: object) -> None:
        import signal

        for number, previous in self._previous.items():
            if previous is not None:  # None: not set by Python, which cannot restore it
                signal.signal(number, previous)
        signal.set_wakeup_fd(self._previous_fd)
        self._engine.watch_signals(-1)
        for fd in self._pipe:
            os.close(fd)
