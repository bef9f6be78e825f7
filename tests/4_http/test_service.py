"""Programs started the way systemd does it: sockets that are handed over, and what it hears."""

import os
import pty
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wire import Client, eventually, fetch, request
from wire_cluster import Cluster, cluster, written
from wire_process import listening

PROGRAM = """
import os, sys
from cello import App, ClusterConfig

app = App()

@app.get("/who")
def who():
    left = [name for name in os.environ if name.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_"))]
    open_ones = {int(n) for n in os.listdir("/proc/self/fd")}
    return {"worker": app.worker_id, "pid": os.getpid(), "left": left,
            "inherited": [n for n in open_ones if n > 2 and os.path.exists(f"/proc/self/fd/{n}")
                          and os.get_inheritable(n)]}

@app.get("/hang")
def hang():
    os.read(int(sys.argv[1]), 1)
    return "went on"

app.run(RUN)
"""

# As systemd: the sockets are descriptors from 3 on, for the process with this number.
LAUNCH = """
import fcntl, os, sys
given = [int(fd) for fd in sys.argv[1].split(",")]
fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in given]
for fd in given:
    os.close(fd)
pid = os.getpid() + int(sys.argv[2])
os.environ.update(LISTEN_PID=str(pid), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES="a:b")
for at, fd in enumerate(fds, 3):
    os.dup2(fd, at)
    os.close(fd)
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


@contextmanager
def activated(
    path: str, *socks: socket.socket, env: dict[str, str], other: int = 0
) -> Iterator[Cluster]:
    """The program with these sockets; `other`: for the process with a number higher by that."""
    fds = tuple(sock.fileno() for sock in socks)
    numbers = ",".join(map(str, fds))
    with cluster("-c", LAUNCH, numbers, str(other), path, fds=fds, **env) as program:
        yield program


class Manager:
    """The socket that NOTIFY_SOCKET names."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.path)
        self._sock.settimeout(30)

    def hear(self) -> str:
        """What is said next, besides WATCHDOG=1."""
        while (text := self._sock.recv(1000).decode()) == "WATCHDOG=1":
            pass
        return text

    def pinged(self) -> None:
        assert self._sock.recv(1000) == b"WATCHDOG=1"

    def is_silent(self) -> bool:
        """Whether nothing comes for a second."""
        while select.select([self._sock], [], [], 0)[0]:
            self._sock.recv(1000)
        return not select.select([self._sock], [], [], 1)[0]

    def close(self) -> None:
        self._sock.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    found = Manager(tmp_path)
    yield found
    found.close()


def program(folder: Path, arguments: str = "") -> str:
    return written(folder, PROGRAM.replace("RUN", arguments))


@pytest.mark.parametrize("workers", [1, 2])
def test_sockets_that_were_handed_over(
    backend: str, workers: int, tmp_path: Path, manager: Manager
) -> None:
    path = tmp_path / "s"
    env = {"NOTIFY_SOCKET": manager.path, "CELLO_BACKEND": backend}
    with listening() as tcp, listening(path) as unix:
        port = tcp.getsockname()[1]
        run = program(tmp_path, f"workers={workers}")
        with activated(run, tcp, unix, env=env) as served:
            begin = "Serving" if workers == 1 else "2 workers"
            where = f"http://127.0.0.1:{port}, unix:{path}"
            assert manager.hear() == f"READY=1\nSTATUS={begin} on {where}"
            for address in (("127.0.0.1", port), str(path)):
                answer = fetch(address, request("/who")).json()
                assert answer["left"] == [] and answer["inherited"] == []
                assert (answer["pid"] == served.pid) == (workers == 1)
            served.send_signal(signal.SIGTERM)
            assert manager.hear() == "STOPPING=1\nSTATUS=Stopping"
            assert served.wait() == 0
    assert path.exists()  # it is the manager's


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", ["argument", "variable"])
def test_sockets_that_are_not_wanted(how: str, workers: int, tmp_path: Path) -> None:
    """What says where to serve goes before them."""
    env = {"CELLO_WORKERS": str(workers)}
    arguments = "port=0"
    if how == "variable":
        arguments, env["CELLO_PORT"] = "", "0"
    with listening() as tcp, activated(program(tmp_path, arguments), tcp, env=env) as served:
        port = int(served.expect(r"on http://127\.0\.0\.1:(\d+)")[1])
        assert port != tcp.getsockname()[1]
        answer = fetch(("127.0.0.1", port), request("/who")).json()
        assert answer["left"] == [] and answer["inherited"] == []
        assert served.stop() == 0


def test_sockets_of_another_process(tmp_path: Path) -> None:
    with listening() as sock, activated(program(tmp_path), sock, env={}, other=1) as served:
        served.expect(r"127\.0\.0\.1:8000\b")  # the default, whether that is free or not


@pytest.mark.parametrize("workers", [1, 2])
def test_a_socket_that_does_not_listen(workers: int, tmp_path: Path) -> None:
    path = program(tmp_path, f"workers={workers}")
    with socket.socket() as sock, activated(path, sock, env={}) as served:
        assert served.wait() == 1
        assert "cannot listen on descriptor 3: " in served.text
        assert "Traceback" not in served.text


def test_a_loop_that_hangs_says_nothing(backend: str, tmp_path: Path, manager: Manager) -> None:
    reading, writing = os.pipe()
    env = {
        "NOTIFY_SOCKET": manager.path,
        "WATCHDOG_USEC": "100000",
        "CELLO_BACKEND": backend,
    }
    path = program(tmp_path, "port=0")
    with cluster(path, str(reading), fds=(reading,), **env) as served:
        port = int(served.expect(r"on http://127\.0\.0\.1:(\d+)")[1])
        assert manager.hear().startswith("READY=1\n")
        for _ in range(3):
            manager.pinged()
        with Client(("127.0.0.1", port)) as client:
            client.send(request("/hang"))
            eventually(manager.is_silent, "silence, twenty pings long")
            os.write(writing, b"x")
            assert client.answer().body == b"went on"
        manager.pinged()
        assert served.stop() == 0
    os.close(reading)
    os.close(writing)


def test_a_stop_is_told_when_its_delay_begins(tmp_path: Path, manager: Manager) -> None:
    path = program(tmp_path, "port=0, cluster=ClusterConfig(workers=1, drain_delay=600)")
    with cluster(path, NOTIFY_SOCKET=manager.path) as served:
        assert manager.hear().startswith("READY=1\n")
        served.send_signal(signal.SIGTERM)
        assert manager.hear() == "STOPPING=1\nSTATUS=Stopping"
        served.send_signal(signal.SIGTERM)
        assert served.wait() == 128 + signal.SIGTERM


# ---- SIGHUP without a supervisor ----


@pytest.fixture
def hangups() -> Iterator[None]:
    """Programs hear them, even where these tests run below nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangups")
def test_sighup_stops_one_process(backend: str, tmp_path: Path) -> None:
    """Like SIGTERM: what is in flight is finished."""
    reading, writing = os.pipe()
    path = program(tmp_path, "port=0")
    with cluster(path, str(reading), fds=(reading,), CELLO_BACKEND=backend) as served:
        port = int(served.expect(r"on http://127\.0\.0\.1:(\d+)")[1])
        with Client(("127.0.0.1", port)) as client:
            client.send(request("/hang"))
            served.send_signal(signal.SIGHUP)
            os.write(writing, b"x")
            assert client.answer().body == b"went on"
            client.assert_closed()
        assert served.wait() == 0
    os.close(reading)
    os.close(writing)


def test_sighup_does_nothing_below_nohup(tmp_path: Path) -> None:
    text = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + PROGRAM
    with cluster(written(tmp_path, text.replace("RUN", "port=0"))) as served:
        port = int(served.expect(r"on http://127\.0\.0\.1:(\d+)")[1])
        served.send_signal(signal.SIGHUP)
        answer = fetch(("127.0.0.1", port), request("/who"))
        assert answer.status == 200 and not answer.closes
        assert served.stop() == 0


TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.usefixtures("hangups")
def test_a_terminal_that_is_closed_stops_one_process(backend: str, tmp_path: Path) -> None:
    """It sends SIGHUP, and nothing can be written to it any more."""
    reading, writing = os.pipe()
    outside, inside = pty.openpty()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = sock.getsockname()
        fd = sock.fileno()
        path = program(tmp_path, f"fd={fd}")
        args = [sys.executable, "-c", TERMINAL, path, str(reading)]
        child = subprocess.Popen(
            args,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            pass_fds=(reading, fd),
            env={**os.environ, "CELLO_BACKEND": backend},
        )
    try:
        os.close(inside)
        with Client(address) as client:
            assert client.ask(request("/who")).status == 200
            client.send(request("/hang"))
            os.close(outside)
            os.write(writing, b"x")
            assert client.answer().body == b"went on"
            client.assert_closed()
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.wait()
        os.close(reading)
        os.close(writing)
