"""The development server: one process that holds the listening socket, and one that serves on it
and is replaced whenever a file was saved.

The supervisor imports nothing of the program. It waits for four kinds of events in one queue: a
file was saved, the serving process ended, a signal came, the watcher failed. Requests that arrive
between two serving processes wait in the socket's backlog. When the program cannot be imported, its
process serves a page that says why, until the next save.

The serving process is in _reload.py. It ends with the supervisor, however that one ends: it reads a
pipe whose other end only the supervisor has. One more is kept that has imported Cello and waits to
be told what to serve, so that a save need not wait for an interpreter to start.
"""

from __future__ import annotations

import fnmatch
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from cello import _cello, _log
from cello._settings import Settings

GRACE = 1.0  # seconds that a process which is replaced has for its shutdown hooks
FINAL_GRACE = 10.0  # the same when the supervisor ends
BACKLOG = 1024  # connections that wait while no process serves
STEP_MS = 15  # changes that follow each other within this time are one
DEBOUNCE_MS = 200  # ... but after this one is told anyway
WATCH_MS = 5000  # the watcher looks after its thread this often
POLL_MS = 200  # between looks, where files must be looked at
SPARE_DELAY = 0.5  # seconds before the next process is made: what was saved starts first
IGNORED_FOLDERS = ("__pycache__", "node_modules", "site-packages")


class Watch(NamedTuple):
    """What to watch. patterns: of file names, or of paths when they have a slash."""

    folders: tuple[Path, ...]
    patterns: tuple[str, ...] = ("*.py",)
    env_file: Path | None = None

    def concerns(self, text: str) -> bool:
        """Whether the program is started again for a change of this file."""
        path = Path(text)
        if path == self.env_file:
            return True
        below = self._below(path)
        if any(name.startswith(".") or name in IGNORED_FOLDERS for name in below.parts):
            return False
        return any(
            fnmatch.fnmatch(str(below) if "/" in pattern else path.name, pattern)
            for pattern in self.patterns
        )

    def _below(self, path: Path) -> Path:
        for folder in self.folders:
            if path.is_relative_to(folder):
                return path.relative_to(folder)
        return Path(path.name)

    def roots(self) -> list[Path]:
        """The folders, without those that are inside others."""
        folders = {f for f in self.folders if f.is_dir()}
        if self.env_file and self.env_file.parent.is_dir():
            folders.add(self.env_file.parent)
        return sorted(f for f in folders if not folders & set(f.parents))


# ---- the supervisor ----


class Event(NamedTuple):
    kind: str  # "change", "exit", "signal", "blind", "spare"
    what: Any


class Serving(NamedTuple):
    """A serving process, and the pipe through which it is told what to serve."""

    process: subprocess.Popen[bytes]
    orders: int

    def serve(self, command: list[str]) -> bool:
        """False: it has ended."""
        try:
            os.write(self.orders, "\0".join(command).encode())
        except BrokenPipeError:
            return False
        finally:
            os.close(self.orders)
        return True

    def drop(self) -> None:
        """It never served."""
        os.close(self.orders)
        self.process.wait()


class Supervisor:
    """Serves by processes that it replaces. `command`: what _reload.child() understands."""

    def __init__(self, command: list[str], listener: socket.socket, watch: Watch) -> None:
        self._command = command
        self._listener = listener
        self._watch = watch
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._child: subprocess.Popen[bytes] | None = None
        self._spare: Serving | None = None
        self._life = os.pipe2(os.O_CLOEXEC)
        self._stopping = False

    def run(self) -> int:
        """Until SIGINT or SIGTERM; the status for the process."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        watcher = _watcher(self._watch.roots())  # before the program is read
        threading.Thread(target=self._watch_files, args=(watcher,), daemon=True).start()
        self._start(self._command)
        while True:
            kind, what = self._events.get()
            if kind == "signal":
                break
            if kind == "change":
                self._replace(what)
            elif kind == "exit" and self._child and what is self._child:
                self._mourn(self._child.returncode)
            elif kind == "spare" and self._spare is None:
                self._spare = self._make()
            elif kind == "blind":
                _log.notice(f"cello: no longer watching files: {what}")
        self._drop_spare()
        self._end(FINAL_GRACE)
        return 0

    def _on_signal(self, number: int, frame: object) -> None:
        if self._stopping:
            if self._child:
                self._child.kill()
            os._exit(128 + number)
        self._stopping = True
        self._events.put(Event("signal", number))

    def _watch_files(self, watcher: Any) -> None:
        try:
            while True:
                changes = watcher.watch(DEBOUNCE_MS, STEP_MS, WATCH_MS, None)
                if isinstance(changes, set):
                    paths = {path for _, path in changes if self._watch.concerns(path)}
                    if paths:
                        self._events.put(Event("change", paths))
        except Exception as error:
            self._events.put(Event("blind", error))

    def _make(self) -> Serving:
        orders = os.pipe2(os.O_CLOEXEC)
        fds = (self._listener.fileno(), self._life[0], orders[0])
        flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        code = "from cello._reload import child; child()"
        # A terminal sends SIGINT to all: it waits until they have their own way with it.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        process = subprocess.Popen(
            [sys.executable, *flags, "-c", code, *map(str, fds)], pass_fds=fds
        )
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        os.close(orders[0])
        return Serving(process, orders[1])

    def _start(self, command: list[str]) -> None:
        made, self._spare = self._spare or self._make(), None
        if not made.serve(command):
            made = self._make()
            made.serve(command)
        self._child = process = made.process

        def wait() -> None:
            process.wait()
            self._events.put(Event("exit", process))

        threading.Thread(target=wait, daemon=True).start()
        timer = threading.Timer(SPARE_DELAY, self._events.put, [Event("spare", None)])
        timer.daemon = True
        timer.start()

    def _drop_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare:
            spare.drop()

    def _replace(self, paths: Iterable[str]) -> None:
        names = sorted({os.path.relpath(path) for path in paths})
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        _log.notice(f"cello: {', '.join(names[:3])}{more} changed")
        self._end(GRACE)
        self._read_env_file()
        if not self._stopping:
            self._start(self._command)

    def _read_env_file(self) -> None:
        if self._watch.env_file is None:
            return
        from cello import _env_file
        from cello._load import Stop

        before = dict(os.environ)
        try:
            _env_file.use(self._watch.env_file)
        except Stop as stop:
            _log.notice(f"cello: {stop}; its variables stay as they were")
        if os.environ != before:
            self._drop_spare()  # it has the old ones

    def _mourn(self, status: int) -> None:
        """It ended by itself. Show so to who asks, until the next save."""
        if status < 0:
            how = f"was ended by signal {-status} ({signal.strsignal(-status)})"
        else:
            how = f"ended with status {status}"
        _log.notice(f"cello: the program {how}")
        self._start(["ended", f"The program {how}. The terminal may say why."])

    def _end(self, grace: float) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        with suppress(ProcessLookupError):
            child.terminate()
        try:
            child.wait(grace)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _watcher(roots: list[Path]) -> Any:
    """watchfiles' RustNotify, which remembers what happens from now on."""
    from watchfiles._rust_notify import RustNotify

    # Where the kernel does not tell, as in some containers: watchfiles' own switch.
    polling = os.environ.get("WATCHFILES_FORCE_POLLING", "false").lower()
    poll = polling not in ("", "0", "false", "disable", "disabled")
    return RustNotify([str(root) for root in roots], False, poll, POLL_MS, True, True)


def listen(settings: Settings) -> socket.socket:
    """OSError: the address is busy or not allowed."""
    if settings.fd is not None:
        return socket.socket(fileno=settings.fd)
    if settings.uds is not None:
        return _listen_unix(settings.uds, settings.uds_mode)
    found = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, address = found[0]
    return socket.create_server(address[:2], family=family, backlog=BACKLOG)


def _listen_unix(path: str, mode: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    with suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # left behind by a process that was killed
    listener.bind(path)
    os.chmod(path, mode)
    listener.listen(BACKLOG)
    return listener


def supervise(command: list[str], settings: Settings, watch: Watch) -> int:
    """Serve `command` until SIGINT or SIGTERM, again after every save; the status for the
    process."""
    from importlib.util import find_spec

    from cello import _tls

    if settings.tls is not None:
        _tls.check_or_end(settings.tls)
        _tls.for_children(settings.tls)
    if find_spec("watchfiles") is None:
        _log.notice("cello: restarting on changes needs watchfiles: pip install 'cello[standard]'")
        return 1
    try:
        listener = listen(settings)
    except OSError as error:
        where = settings.uds or f"{settings.host}:{settings.port}"
        _log.notice(f"cello: cannot listen on {where}: {error.strerror}")
        return 1
    try:
        shown = ", ".join(os.path.relpath(folder) for folder in watch.roots())
        _log.notice(f"Cello {_cello.VERSION} on {_url(listener, settings)}, watching {shown}")
        return Supervisor(command, listener, watch).run()
    finally:
        listener.close()
        if settings.uds is not None:
            with suppress(FileNotFoundError):
                os.unlink(settings.uds)


def _url(listener: socket.socket, settings: Settings) -> str:
    from cello._attend import url_of

    name = listener.getsockname()
    address = (f"unix:{name}", 0) if isinstance(name, str) else name[:2]
    return url_of(address, "https" if settings.tls else "http")


def supervise_program(settings: Settings) -> int:
    """supervise() for the program that runs in this process."""
    main: Any = sys.modules["__main__"]
    if getattr(main, "__spec__", None) is not None:
        name = main.__spec__.name.removesuffix(".__main__")
        command, folder = ["module", name], Path.cwd()
    elif getattr(main, "__file__", None):
        command, folder = ["script", main.__file__], Path(main.__file__).resolve().parent
    else:
        raise RuntimeError("reload=True needs a program in a file")
    watch = Watch((Path.cwd(), folder))
    return supervise([*command, *sys.argv[1:]], settings, watch)
