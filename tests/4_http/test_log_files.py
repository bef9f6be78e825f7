"""The access log in a file: shared by workers, moved away, opened again."""

import os
import re
import signal
import tempfile
import threading
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from wire import Address, Client, eventually, request
from wire_cluster import Cluster, cluster, written
from wire_process import program

PROGRAM = """
import sys
from cello import App

app = App()
app.enable_request_id()
app.enable_logging("{worker_id} {request_id} {header:x-pad} end", FILE)
app.get("/")(lambda: "x")
app.run(port=0, workers=int(sys.argv[1]), env="production", argv=False)
"""
PAD = "p" * 900
LINE = re.compile(rf"([01]) (\d+-\d+) {PAD} end")


def program_with(folder: Path, file: object) -> str:
    return written(folder, PROGRAM.replace("FILE", repr(file)))


class Load:
    """Clients that ask, each request with an id of its own, until they are stopped."""

    def __init__(self, address: Address, clients: int = 3) -> None:
        self.sent: list[str] = []
        self._stop = threading.Event()
        self._address = address
        self._threads = [threading.Thread(target=self._ask, args=(i,)) for i in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self, client: int) -> None:
        ids = (f"{client}-{number}" for number in count())
        while not self._stop.is_set():
            with Client(self._address) as connection:
                for _, name in zip(range(20), ids, strict=False):
                    self.sent.append(name)
                    connection.ask(request("/", f"X-Request-ID: {name}", f"X-Pad: {PAD}"))

    def stop(self) -> list[str]:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.sent


def address_of(process: Cluster) -> Address:
    return "127.0.0.1", int(process.expect(r"Cello [\d.]+ on http://127.0.0.1:(\d+)").group(1))


def has_lines_of(file: Path, workers: int) -> bool:
    text = file.read_text() if file.exists() else ""
    return {line[0] for line in text.splitlines()} == {str(i) for i in range(workers)}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_moved_file_loses_and_tears_no_line(backend: str, workers: int, tmp_path: Path) -> None:
    """Logs are on in production, too, where they have a file."""
    file = tmp_path / "access.log"
    args = (program_with(tmp_path, str(file)), str(workers))
    with cluster(*args, CELLO_BACKEND=backend) as process:
        load = Load(address_of(process))
        try:
            for number in range(3):
                eventually(lambda: has_lines_of(file, workers), "all workers write into it")
                file.rename(tmp_path / f"access.log.{number}")
                process.send_signal(signal.SIGUSR1)
            eventually(lambda: has_lines_of(file, workers), "and into the last one")
        finally:
            sent = load.stop()
        assert process.stop() == 0, process.text
    files = [file.read_text() for file in tmp_path.glob("access.log*")]
    assert len(files) == 4
    lines = [line for text in files for line in text.splitlines()]
    found = [LINE.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match][:3]
    assert Counter(match.group(2) for match in found if match) == Counter(sent)
    assert file.stat().st_mode & 0o137 == 0


WAITING = """
@app.on_startup(per="cluster")
def wait():
    print("waiting", flush=True)
    sys.stdin = open(FIFO)
    sys.stdin.read()
"""


def test_a_file_that_is_moved_before_workers_serve(backend: str, tmp_path: Path) -> None:
    file, fifo = tmp_path / "access.log", tmp_path / "fifo"
    os.mkfifo(fifo)
    text = PROGRAM.replace("app.get", WAITING.replace("FIFO", repr(str(fifo))) + "app.get")
    args = (written(tmp_path, text.replace("FILE", repr(str(file)))), "2")
    with cluster(*args, CELLO_BACKEND=backend) as process:
        process.expect("waiting")
        eventually(lambda: openers(file) == 2, "both have opened it")
        file.rename(tmp_path / "moved")
        process.send_signal(signal.SIGUSR1)
        fifo.write_text("go")
        load = Load(address_of(process))
        try:
            eventually(lambda: has_lines_of(file, 2), "both write into the new one")
        finally:
            load.stop()
        assert process.stop() == 0
    assert (tmp_path / "moved").read_text() == ""


def openers(file: Path) -> int:
    """How many processes have it open."""
    links = Path("/proc").glob("[0-9]*/fd/*")
    return len({link.parts[2] for link in links if target(link) == str(file)})


def target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:  # of another user, or gone
        return ""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_cannot_be_opened(backend: str, workers: int, tmp_path: Path) -> None:
    file = tmp_path / "none" / "access.log"
    args = [program_with(tmp_path, str(file)), str(workers)]
    with program(args, CELLO_BACKEND=backend) as process:
        assert process.wait() == 1
        assert f"cannot write the access log {file}: No such file" in process.stderr()
        assert process.stderr().count("\n") == 1


def test_it_stays_in_the_old_file_where_there_is_no_new_one(backend: str, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    file = folder / "access.log"
    args = (program_with(tmp_path, str(file)), "1")
    with cluster(*args, CELLO_BACKEND=backend) as process:
        address = address_of(process)
        moved = folder.rename(tmp_path / "moved")
        process.send_signal(signal.SIGUSR1)
        process.expect(f"cannot open the access log {file} again, it stays in the old file: No")
        with Client(address) as client:
            assert client.ask(request("/", "X-Request-ID: 1-1", f"X-Pad: {PAD}")).status == 200
        assert process.stop() == 0
    assert LINE.fullmatch((moved / "access.log").read_text().rstrip("\n"))


def test_without_a_file_the_signal_is_not_ours(backend: str, tmp_path: Path) -> None:
    args = (program_with(tmp_path, None), "1")
    with cluster(*args, CELLO_BACKEND=backend, CELLO_LOGS="1") as process:
        address_of(process)
        process.send_signal(signal.SIGUSR1)
        assert process.wait() == -signal.SIGUSR1


def test_what_is_said_explicitly_turns_it_off(backend: str, tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    text = PROGRAM.replace("FILE", repr(str(file))).replace("argv=False", "argv=False, logs=False")
    args = (written(tmp_path, text), "2")
    with cluster(*args, CELLO_BACKEND=backend) as process:
        with Client(address_of(process)) as client:
            assert client.ask(request("/")).status == 200
        assert process.stop() == 0
    assert not file.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_a_file_that_only_root_may_write_ends_the_start(tmp_path: Path) -> None:
    """Before any worker starts, which all would find it out for themselves."""
    file = tmp_path / "access.log"
    file.touch(0o600)
    text = PROGRAM.replace("FILE", repr(str(file)))
    text = text.replace("argv=False", "argv=False, user='65534'")
    with cluster(written(tmp_path, text), "2") as process:
        assert process.wait() == 1
        (line,) = process.text.splitlines()
        assert line.endswith(f"cannot write the access log {file}: Permission denied")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_the_file_is_opened_with_the_rights_that_serve(backend: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        file = Path(folder, "access.log")
        # All is imported before: Python may lie where another user cannot read.
        text = PROGRAM.replace("import sys", "import logging, signal, sys")
        text = text.replace("FILE", repr(str(file)))
        text = text.replace("argv=False", "argv=False, cluster=ClusterConfig(user='65534')")
        text = text.replace("import App", "import App, ClusterConfig")
        with cluster("-c", text, "1", CELLO_BACKEND=backend) as process:
            address_of(process)
            assert file.stat().st_uid == 65534
            assert process.stop() == 0
