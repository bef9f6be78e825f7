"""The installed supervisor with workers of the test's own (fake_worker.py)."""

from __future__ import annotations

import ctypes
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cello

SUPERVISOR = Path(cello.__file__).with_name("cello-supervisor")
WORKER = Path(__file__).with_name("fake_worker.py")
TIMEOUT = 30.0  # seconds


PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """As the first process of a container does."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Supervisor:
    """A supervisor in a process group of its own; what it and its workers write is one text."""

    def __init__(
        self,
        *options: str,
        worker: tuple[str, ...] = (),
        command: tuple[str, ...] | None = None,
        listen: tuple[str, ...] = ("tcp:127.0.0.1:0",),
        pass_fds: tuple[int, ...] = (),
        env: dict[str, str] | None = None,
        subreaper: bool = False,
    ) -> None:
        places = [word for place in listen for word in ("--listen", place)]
        if command is None:
            command = (sys.executable, "-S", "-E", str(WORKER), *worker)
        self._child = subprocess.Popen(
            [str(SUPERVISOR), *places, *options, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
            env={**os.environ, **(env or {})},
            preexec_fn=adopt_orphans if subreaper else None,
        )
        self.text = ""
        self._read = 0  # what expect() has seen

    @property
    def pid(self) -> int:
        return self._child.pid

    def _more(self, deadline: float) -> bool:
        """False: nobody writes any more."""
        assert self._child.stdout is not None
        fd = self._child.stdout.fileno()
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"waited in vain; so far:\n{self.text}"
        found = os.read(fd, 65536).decode()
        self.text += found
        return bool(found)

    def expect(self, pattern: str, timeout: float = TIMEOUT) -> re.Match[str]:
        """The next place in the text, behind those found before, where `pattern` matches."""
        deadline = time.monotonic() + timeout
        while True:
            found = re.compile(pattern, re.M).search(self.text, self._read)
            if found:
                self._read = found.end()
                return found
            assert self._more(deadline), f"no {pattern!r} in:\n{self.text}"

    def expect_all(self, *patterns: str) -> None:
        """All of them, in any order."""
        start, end = self._read, 0
        for pattern in patterns:
            self._read = start
            self.expect(pattern)
            end = max(end, self._read)
        self._read = end

    def running(self) -> int:
        """Waits until all workers serve; the port."""
        return int(self.expect(r"^Cello [\d.]+ on http://127\.0\.0\.1:(\d+)").group(1))

    def ready_pid(self, worker_id: int) -> int:
        return int(self.expect(rf"^worker {worker_id} \(pid (\d+)\) is ready").group(1))

    def send_signal(self, number: int) -> None:
        self._child.send_signal(number)

    def rest(self) -> None:
        """Reads what is written until no process is left that could write."""
        deadline = time.monotonic() + TIMEOUT
        while self._more(deadline):
            pass

    def exit_code(self) -> int:
        """Of this supervisor; another one may have taken over."""
        return self._child.wait(TIMEOUT)

    def wait(self) -> int:
        """The exit code when all have ended; what was written is in `text`."""
        self.rest()
        return self.exit_code()

    def fill_log(self) -> None:
        """Nothing more goes into the pipe that it logs to."""
        assert self._child.stdout is not None
        fd = os.open(f"/proc/self/fd/{self._child.stdout.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while True:
                os.write(fd, b"." * 4096)
        os.close(fd)

    def stop(self) -> int:
        self.send_signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """However a test ended: no process of the group is left."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()


@contextmanager
def supervised(*options: str, **how: object) -> Iterator[Supervisor]:
    cluster = Supervisor(*options, **how)  # type: ignore[arg-type]
    try:
        yield cluster
    finally:
        cluster.close()


def ask(address: int | str, text: str = "") -> tuple[int, int]:
    """Who serves a port or the path of a unix socket: worker id and pid."""
    if isinstance(address, int):
        client = socket.create_connection(("127.0.0.1", address), TIMEOUT)
    else:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(TIMEOUT)
        client.connect(address)
    with client:
        with suppress(BrokenPipeError):  # it has answered and closed already
            client.sendall(text.encode() or b"\n")
        worker_id, pid = client.recv(100).split()
    return int(worker_id), int(pid)
