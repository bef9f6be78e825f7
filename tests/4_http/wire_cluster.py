"""Programs that call run() with several workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wire import Address
from wire_supervisor import Supervisor


class Cluster(Supervisor):
    """A program that becomes a supervisor, in a process group of its own."""

    def __init__(
        self, *args: str, fds: tuple[int, ...] = (), before: tuple[str, ...] = (), **env: str
    ) -> None:
        """before: the words of a program that starts Python."""
        self._child = subprocess.Popen(
            [*before, sys.executable, *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=fds,
            env={**os.environ, **env},
        )
        self.text = ""
        self._read = 0

    def address(self) -> Address:
        """Waits until all workers serve on TCP."""
        return "127.0.0.1", self.running()


@contextmanager
def cluster(*args: str, fds: tuple[int, ...] = (), **env: str) -> Iterator[Cluster]:
    """For the length of a block; however it ends, no process is left."""
    processes = Cluster(*args, fds=fds, **env)
    try:
        yield processes
    finally:
        processes.close()


def written(folder: Path, text: str) -> str:
    """A program; its path."""
    path = folder / "program.py"
    path.write_text(text)
    return str(path)
