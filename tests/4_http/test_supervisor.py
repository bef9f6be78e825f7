"""The supervisor: starting, restarting, replacing and stopping workers."""

import os
import re
import resource
import signal
import socket
import time
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


def test_a_new_supervisor_takes_over() -> None:
    with supervised("--workers", "2") as cluster:
        port = cluster.running()
        before = dict(ask(port) for _ in range(40))
        cluster.send_signal(signal.SIGUSR2)
        heir = int(cluster.expect(r"^SIGUSR2: a new supervisor \(pid (\d+)\) was started")[1])
        assert cluster.running() == port
        cluster.expect(rf"^the new supervisor \(pid {heir}\) serves: leaving")
        cluster.expect_all(*(f"^worker {i} {pid} RETIRE" for i, pid in before.items()))
        assert cluster.exit_code() == 0
        after = dict(ask(port) for _ in range(40))
        assert set(after) == {0, 1}
        assert not set(after.values()) & set(before.values())
        os.kill(heir, signal.SIGTERM)
        cluster.rest()
        assert cluster.text.count("STOP 0 27000000000") == 2


def test_the_unix_socket_stays_with_the_new_supervisor(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with supervised(listen=(f"unix:{path}",)) as cluster:
        cluster.expect("^Cello")
        cluster.send_signal(signal.SIGUSR2)
        heir = int(cluster.expect(r"a new supervisor \(pid (\d+)\)")[1])
        cluster.expect("serves: leaving")
        assert cluster.exit_code() == 0
        assert ask(path)[0] == 0
        os.kill(heir, signal.SIGTERM)
        cluster.rest()
        assert not os.path.exists(path)


def test_a_new_supervisor_that_fails_changes_nothing(tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    with supervised("--workers", "2", worker=(f"fail-if={flag}",)) as cluster:
        port = cluster.running()
        before = dict(ask(port) for _ in range(40))
        flag.touch()
        cluster.send_signal(signal.SIGUSR2)
        cluster.expect("before any worker was ready: giving up")
        cluster.expect(r"ERROR +the new supervisor \(pid \d+\) ended with status 1: this one goes")
        assert dict(ask(port) for _ in range(40)) == before
        flag.unlink()
        cluster.send_signal(signal.SIGUSR2)  # and may be tried again
        cluster.expect("serves: leaving")
        assert cluster.exit_code() == 0


def test_a_stop_ends_a_new_supervisor_too(tmp_path: Path) -> None:
    flag = tmp_path / "slow"
    with supervised("--workers", "2", worker=(f"wait-if={flag}",)) as cluster:
        cluster.running()
        flag.touch()
        cluster.send_signal(signal.SIGUSR2)
        cluster.expect("was started")
        cluster.expect("^worker 0 .* WAITS")
        assert cluster.stop() == 0
        assert cluster.text.count("SIGTERM: stopping") == 2


# ---- what workers do wrong ----


def test_a_worker_that_hangs_is_replaced() -> None:
    flags = ("--workers", "2", "--heartbeat-timeout", "0.4")
    with supervised(*flags, worker=("hang-on-request",)) as cluster:
        port = cluster.running()
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"hang")
            cluster.expect(
                r"ERROR +worker \d \(pid \d+\) has not been back at its loop for 0\.\d+ s"
            )
            pid = cluster.expect(r"ERROR +worker \d \(pid (\d+)\) hangs: killing it")[1]
            cluster.expect(rf"worker \d \(pid {pid}\) was killed by signal 9 \(Killed\); starting")
            cluster.expect("is ready")
        assert cluster.stop() == 0


def test_a_worker_that_has_served_enough_is_replaced() -> None:
    with supervised("--workers", "1", "--max-requests", "10", worker=("requests=15",)) as cluster:
        first = cluster.ready_pid(0)
        cluster.expect(rf"worker 0 \(pid {first}\) has answered 15 requests: replacing it")
        cluster.expect(rf"is ready and replaces pid {first}")
        cluster.expect(rf"worker 0 \(pid {first}\) has ended")
        assert cluster.stop() == 0


def test_a_worker_that_grows_is_replaced() -> None:
    with supervised("--max-rss-mb", "100", worker=("megabytes=120",)) as cluster:
        first = cluster.ready_pid(0)
        cluster.expect(rf"worker 0 \(pid {first}\) has 1[2-4]\d MB of memory: replacing it")
        cluster.expect(rf"is ready and replaces pid {first}")
        assert cluster.stop() == 0


def test_all_look_for_what_one_has_left(tmp_path: Path) -> None:
    flag = tmp_path / "left"
    flag.touch()
    worker = ("look", f"left-if={flag}")
    with supervised("--workers", "2", worker=worker) as cluster:
        cluster.expect_all(r"worker 0 \d+ LOOKS", r"worker 1 \d+ LOOKS")
        assert cluster.stop() == 0


def test_a_worker_that_never_starts_is_killed_and_at_last_given_up() -> None:
    flags = ("--startup-timeout", "0.2", "--max-restarts", "2")
    with supervised(*flags, worker=("never-ready",)) as cluster:
        assert cluster.wait() == 1
        assert cluster.text.count("was not ready within 0.2 s: killing it") == 3
        assert "that is the end number 3 within 60 s: giving up" in cluster.text


def test_a_reload_that_fails_keeps_the_old(tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    with supervised("--workers", "2", worker=(f"fail-if={flag}",)) as cluster:
        port = cluster.running()
        before = dict(ask(port) for _ in range(40))
        flag.touch()
        cluster.send_signal(signal.SIGHUP)
        cluster.expect(r"ended with status 3 before it was ready; the old one \(pid \d+\) goes on")
        assert dict(ask(port) for _ in range(40)) == before
        assert cluster.stop() == 0


def test_who_does_not_stop_is_killed() -> None:
    flags = ("--workers", "2", "--shutdown-timeout", "0.5")
    with supervised(*flags, worker=("stuck=1",)) as cluster:
        cluster.running()
        assert cluster.stop() == 0
        assert re.search(r"worker 1 \(pid \d+\) has not ended in time: killing it", cluster.text)
        assert "worker 1 (pid" in cluster.text
        assert re.search(r"^worker 0 \d+ LAST", cluster.text, re.M)


def test_the_second_signal_ends_it_now() -> None:
    with supervised("--workers", "2", worker=("stuck",)) as cluster:
        cluster.running()
        cluster.send_signal(signal.SIGTERM)
        cluster.expect_all(r"worker 0 \d+ STOP", r"worker 1 \d+ STOP")
        cluster.send_signal(signal.SIGINT)
        assert cluster.wait() == 0
        assert "SIGINT: ending now" in cluster.text


def test_a_drain_delay_still_serves() -> None:
    with supervised("--workers", "2", "--drain-delay", "1") as cluster:
        port = cluster.running()
        cluster.send_signal(signal.SIGTERM)
        cluster.expect("SIGTERM: stopping")
        assert ask(port)[0] in (0, 1)
        assert "STOP" not in cluster.text
        assert cluster.wait() == 0


# ---- surroundings ----


def test_log_files_are_opened_again() -> None:
    with supervised("--workers", "2") as cluster:
        cluster.running()
        cluster.send_signal(signal.SIGUSR1)
        cluster.expect_all(r"^worker 0 \d+ REOPEN", r"^worker 1 \d+ REOPEN")
        assert cluster.stop() == 0


def test_workers_keep_to_a_cpu_each() -> None:
    cpus = sorted(os.sched_getaffinity(0))
    with supervised("--workers", "3", "--affinity") as cluster:
        port = cluster.running()
        for worker_id, pid in {ask(port) for _ in range(60)}:
            assert os.sched_getaffinity(pid) == {cpus[worker_id % len(cpus)]}
        assert cluster.stop() == 0


def test_workers_inherit_what_is_theirs() -> None:
    env = {"NOTIFY_SOCKET": "@nobody", "LISTEN_FDS": "1", "WATCHDOG_USEC": "1", "KEPT": "yes"}
    with supervised(worker=("show",), env=env) as cluster:
        cluster.expect(r"worker 0 \d+ variables KEPT$")
        # Standard streams, the segment (twice, its map has one), the control, a socket, two bells.
        assert int(cluster.expect(r"worker 0 \d+ descriptors (\d+)")[1]) == 3 + 2 + 1 + 1 + 2
        cluster.expect(r"worker 0 \d+ ignores HUP INT QUIT USR1 USR2$")
        cluster.running()
        assert cluster.stop() == 0


def test_systemd_hears_of_every_step() -> None:
    name = f"cello-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(30)

        def hear() -> str:
            while (text := manager.recv(1000).decode()) == "WATCHDOG=1":
                pass
            return text

        env = {"NOTIFY_SOCKET": f"@{name}", "WATCHDOG_USEC": "200000"}
        with supervised("--workers", "2", env=env) as cluster:
            port = cluster.running()
            assert hear() == f"READY=1\nSTATUS=2 workers on http://127.0.0.1:{port}"
            assert [manager.recv(1000) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            cluster.send_signal(signal.SIGHUP)
            assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=.*", hear())
            assert hear().startswith("READY=1\n")
            cluster.send_signal(signal.SIGUSR2)
            heir = int(cluster.expect(r"a new supervisor \(pid (\d+)\)")[1])
            assert hear().startswith("READY=1\n")
            assert hear() == f"MAINPID={heir}\nREADY=1"
            assert cluster.exit_code() == 0
            os.kill(heir, signal.SIGTERM)
            assert hear() == "STOPPING=1\nSTATUS=Stopping"
            cluster.rest()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "s"
    words = (
        "--user",
        "54321",
        "--group",
        "54322",
        "--uds-mode",
        "600",
        "--shutdown-timeout",
        "0.1",
    )
    show = "grep -hE '^(Uid|Gid|Groups):' /proc/$PPID/status /proc/$$/status; exec sleep 60"
    with supervised(*words, command=("/bin/sh", "-c", show), listen=(f"unix:{path}",)) as cluster:
        for _ in ("supervisor", "worker"):
            cluster.expect("^Uid:\t54321\t54321\t54321\t54321$")
            cluster.expect("^Gid:\t54322\t54322\t54322\t54322$")
            cluster.expect("^Groups:\t54322 *$")
        found = path.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (54321, 54322, 0o600)
        assert cluster.stop() == 0


def test_a_user_that_is_not_there_is_an_error() -> None:
    with supervised("--user", "no-such-user") as cluster:
        assert cluster.wait() == 1
        assert "there is no user no-such-user" in cluster.text


def test_without_descriptors_it_goes_on_with_those_that_live() -> None:
    with supervised("--workers", "2") as cluster:
        port = cluster.running()
        pids = dict(ask(port) for _ in range(40))
        soft, hard = resource.prlimit(cluster.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(cluster.pid, resource.RLIMIT_NOFILE, (8, hard))
        os.kill(pids[1], signal.SIGKILL)
        cluster.expect(r"worker 1 cannot be started: Too many open files; trying again in \d\.\d s")
        cluster.expect(rf"worker 0 {pids[0]} ADOPT 1")
        assert {ask(port) for _ in range(20)} == {(0, pids[0])}
        resource.prlimit(cluster.pid, resource.RLIMIT_NOFILE, (soft, hard))
        cluster.expect(r"worker 1 \(pid \d+\) is ready")
        assert cluster.stop() == 0


def test_a_log_that_nobody_reads_holds_up_nobody() -> None:
    with supervised("--workers", "2", worker=("quiet",)) as cluster:
        port = cluster.running()
        cluster.fill_log()
        pids = dict(ask(port) for _ in range(40))
        os.kill(pids[1], signal.SIGKILL)
        deadline = time.monotonic() + 30
        while dict(ask(port) for _ in range(40)).get(1, pids[1]) == pids[1]:
            assert time.monotonic() < deadline
        cluster.send_signal(signal.SIGTERM)
        assert cluster.exit_code() == 0


def test_orphans_are_reaped() -> None:
    """What the first process of a container inherits."""
    with supervised(worker=("orphan",), subreaper=True) as cluster:
        orphan = int(cluster.expect(r"worker 0 \d+ orphan (\d+)")[1])
        deadline = time.monotonic() + 30
        while Path(f"/proc/{orphan}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        cluster.running()
        assert cluster.stop() == 0


@pytest.mark.parametrize("kind", ["quiet=1", "no-program=1"])
def test_a_worker_that_floods_it_holds_up_nobody(kind: str) -> None:
    options = ("--workers", "2", "--shutdown-timeout", "2")
    with supervised(*options, worker=("flood=1", kind)) as cluster:
        cluster.running()
        cluster.send_signal(signal.SIGHUP)  # signals are read when the packets are
        cluster.expect("SIGHUP: replacing all workers")
        assert cluster.stop() == 0
        assert cluster.text.count("cannot be started") < 10


def test_a_worker_that_breaks_the_shared_memory_does_not_break_the_supervisor() -> None:
    """It listens for health all the while: that thread reads the memory, too."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        admin = free.getsockname()
    options = ("--workers", "2", "--admin", f"127.0.0.1:{admin[1]}", "--max-restarts", "1")
    with supervised(*options, worker=("spoil-on-request=1",)) as cluster:
        port = cluster.running()
        pids = dict(ask(port) for _ in range(40))
        cluster.expect("SPOILT")
        with socket.create_connection(admin, 30) as client:
            client.sendall(b"GET /health/workers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.makefile().readline() == "HTTP/1.1 200 OK\n"
        os.kill(pids[1], signal.SIGKILL)
        cluster.expect(rf"worker 1 \(pid {pids[1]}\) was killed by signal 9")
        # What takes its place finds nothing that it could use.
        cluster.expect("giving up")
        assert cluster.wait() == 1
