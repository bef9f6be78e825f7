"""Servers in processes of their own."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wire import Address

APP = Path(__file__).with_name("wire_app.py")
TIMEOUT = 30.0  # seconds


def listening(path: Path | None = None) -> socket.socket:
    """A socket that listens already, so that clients need not wait for the server's start."""
    if path is not None:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
    else:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
    sock.listen(1024)
    return sock


class Process:
    """A Python program that serves; what it writes is kept."""

    def __init__(self, args: list[str], fds: tuple[int, ...] = (), **env: str) -> None:
        self._stdout = tempfile.TemporaryFile()  # noqa: SIM115
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self._child = subprocess.Popen(
            [sys.executable, *args],
            stdin=subprocess.DEVNULL,
            stdout=self._stdout,
            stderr=self._stderr,
            pass_fds=fds,
            env={**os.environ, **env},
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    def stdout(self) -> str:
        return self._text(self._stdout)

    def stderr(self) -> str:
        return self._text(self._stderr)

    @staticmethod
    def _text(file: object) -> str:
        # Not by seek: the position is the child's too.
        fd = file.fileno()  # type: ignore[attr-defined]
        return os.pread(fd, os.fstat(fd).st_size, 0).decode()

    def send_signal(self, number: int) -> None:
        self._child.send_signal(number)

    def ends_by(self, number: int) -> bool:
        """Send a signal; whether the process has ended, now or before."""
        try:
            self._child.wait(0.05)
        except subprocess.TimeoutExpired:
            self._child.send_signal(number)
            return False
        return True

    def wait(self, timeout: float = TIMEOUT) -> int:
        """The exit code; a process that does not end is killed, and fails the test."""
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise AssertionError(f"the server did not end; it wrote:\n{self.stderr()}") from None

    def stop(self) -> int:
        self._child.send_signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """However a test ended: no process is left."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self._stdout.close()
        self._stderr.close()


class ServerProcess(Process):
    """An application served from a socket that this side has bound."""

    def __init__(
        self, backend: str, *words: str, app: Path = APP, path: Path | None = None, **env: str
    ) -> None:
        with listening(path) as sock:
            self.address: Address = sock.getsockname()
            fd = sock.fileno()
            super().__init__([str(app), str(fd), *words], (fd,), CELLO_BACKEND=backend, **env)


@contextmanager
def server_process(
    backend: str, *words: str, app: Path = APP, path: Path | None = None, **env: str
) -> Iterator[ServerProcess]:
    """A server for the length of a block; at its end it must stop cleanly."""
    server = ServerProcess(backend, *words, app=app, path=path, **env)
    try:
        yield server
        assert server.stop() == 0, server.stderr()
        assert "Sanitizer" not in server.stderr(), server.stderr()
    finally:
        server.close()


@contextmanager
def program(args: list[str], fds: tuple[int, ...] = (), **env: str) -> Iterator[Process]:
    """Any Python program for the length of a block."""
    process = Process(args, fds, **env)
    try:
        yield process
    finally:
        process.close()


def wait_readable(fd: int, timeout: float = TIMEOUT) -> None:
    ready, _, _ = select.select([fd], [], [], timeout)
    assert ready, "nothing came"
