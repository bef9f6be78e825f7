"""What the tests of the command line share: the command in a process of its own."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CELLO = (sys.executable, "-W", "error", "-m", "cello")


def environment(**variables: str) -> dict[str, str]:
    """Without what would change how Cello serves."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("CELLO_")}
    return {**own, "PYTHONDONTWRITEBYTECODE": "1", **variables}


def cello(*args: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*CELLO, *args],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


class Running:
    """A command that goes on, and the lines that it writes on standard error."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self.lines.append("")  # the end
            self._news.notify_all()

    def line_with(self, text: str, after: int = 0) -> str:
        """Wait for a line that has `text`; `after` lines are skipped."""
        at = after

        def found() -> bool:
            nonlocal at
            while at < len(self.lines):
                if text in self.lines[at] or self.lines[at] == "":
                    return True
                at += 1
            return False

        with self._news:
            assert self._news.wait_for(found, 20), f"no line with {text!r}: {self.lines}"
            assert self.lines[at], f"the command ended: {self.lines}"
            return self.lines[at]

    def stop(self, number: int = signal.SIGINT) -> int:
        """The status it ends with."""
        self.process.send_signal(number)
        status = self.process.wait(20)
        self.join()
        return status

    def join(self) -> None:
        """Until all that the command wrote is read."""
        self._reader.join(20)


@contextmanager
def running(
    command: tuple[str, ...],
    cwd: Path,
    pass_fds: tuple[int, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(**variables or {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
    )
    with process:
        command_running = Running(process)
        try:
            yield command_running
        finally:
            process.kill()
            command_running.join()
