"""The supervisor: starting, restarting, replacing and stopping workers."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest
from wire_supervisor import Supervisor, ask, supervised


def statm_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def test_workers_serve_and_stop() -> None:
    with supervised("--workers", "3") as cluster:
        port = cluster.running()
        served = {ask(port) for _ in range(60)}
        assert {worker_id for worker_id, _ in served} == {0, 1, 2}
        assert len(served) == 3
        assert statm_mb(cluster.pid) <= 12
        assert cluster.stop() == 0
        assert cluster.text.count("has ended") == 3


def test_the_first_worker_is_told_when_it_is_the_last() -> None:
    with supervised("--workers", "3") as cluster:
        cluster.running()
        assert cluster.stop() == 0
        assert cluster.text.count("STOP 0 27000000000") == 3
        before, after = re.split(r"^worker 0 \d+ LAST.*", cluster.text, flags=re.M)
        assert re.findall(r"worker [12] \(pid \d+\) has ended", before)
        assert re.findall(r"worker (\d) \(pid \d+\) has ended", after) == ["0"]


def test_a_killed_worker_is_replaced_and_its_sockets_are_served_meanwhile() -> None:
    with supervised("--workers", "2") as cluster:
        port = cluster.running()
        pids = dict(ask(port) for _ in range(40))
        os.kill(pids[1], signal.SIGKILL)
        cluster.expect(rf"ERROR +worker 1 \(pid {pids[1]}\) was killed by signal 9 \(Killed")
        cluster.expect("starting another")
        cluster.expect(rf"worker 0 {pids[0]} ADOPT 1")
        successor = cluster.ready_pid(1)
        cluster.expect(rf"worker 0 {pids[0]} RELEASE 1")
        assert dict(ask(port) for _ in range(40)) == {0: pids[0], 1: successor}
        assert cluster.stop() == 0


def test_a_reload_replaces_all() -> None:
    with supervised("--workers", "2") as cluster:
        port = cluster.running()
        before = dict(ask(port) for _ in range(40))
        cluster.send_signal(signal.SIGHUP)
        cluster.expect_all(
            "all workers have been replaced", *(f"{pid}.* has ended" for pid in before.values())
        )
        after = dict(ask(port) for _ in range(40))
        assert set(after) == {0, 1}
        assert not set(after.values()) & set(before.values())
        assert cluster.stop() == 0
        assert cluster.text.count("RETIRE 0 27000000000") == 2


def test_a_busy_port_is_an_error_that_names_it() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        place = f"127.0.0.1:{other.getsockname()[1]}"
        with supervised("--workers", "2", listen=(f"tcp:{place}",)) as cluster:
            assert cluster.wait() == 1
            assert f"cannot listen on {place}: Address already in use" in cluster.text


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--workers", "0"), "write --listen"),
        (("--workers", "x"), "--workers cannot be x"),
        (("--nothing",), "there is no option --nothing"),
    ],
)
def test_a_wrong_command_line_is_refused(words: tuple[str, ...], why: str) -> None:
    with supervised(*words) as cluster:
        assert cluster.wait() == 2
        assert why in cluster.text


def test_unix_sockets_are_shared_and_removed(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with supervised("--workers", "2", listen=(f"unix:{path}",)) as cluster:
        cluster.expect(rf"^Cello [\d.]+ on unix:{path} \(2 workers\)")
        assert ask(path)[0] in (0, 1)
        assert cluster.stop() == 0
        assert not os.path.exists(path)


def test_an_inherited_socket_is_served() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        fd = sock.fileno()
        with supervised("--workers", "2", listen=(f"fd:{fd}",), pass_fds=(fd,)) as cluster:
            port = cluster.running()
            assert port == sock.getsockname()[1]
            assert ask(port)[0] in (0, 1)
            assert cluster.stop() == 0


def test_a_program_that_cannot_start_ends_all_at_once() -> None:
    with supervised("--workers", "2", worker=("fail",)) as cluster:
        assert cluster.wait() == 1
        assert "ended with status 3 before any worker was ready: giving up" in cluster.text


def test_a_program_that_is_not_there_is_named() -> None:
    with supervised(command=("/nowhere/python",)) as cluster:
        assert cluster.wait() == 1
        assert "/nowhere/python cannot be started: No such file or directory" in cluster.text


def test_workers_end_when_the_supervisor_is_killed() -> None:
    cluster = Supervisor("--workers", "2")
    try:
        cluster.running()
        cluster.send_signal(signal.SIGKILL)
        cluster.wait()  # until nobody has standard output any more
        assert cluster.text.count("ORPHANED") == 2
    finally:
        cluster.close()
