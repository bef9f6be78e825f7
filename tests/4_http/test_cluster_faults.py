"""Workers and their supervisor when something is missing, late or gone."""

import os
import re
import resource
import select
import signal
import subprocess
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from wire import Client, eventually, fetch, refused, request
from wire_chaos import kill
from wire_faults import ask, client_of, faulty, memory_group, pids_of

HERE = Path(__file__).parent
PRELOADS = "LD_PRELOAD" in os.environ  # a sanitizer


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# ---- starting ----


def test_a_hook_that_fails_in_one_worker(backend: str, tmp_path: Path) -> None:
    """The other one answers for it, until it succeeds."""
    with faulty(tmp_path, backend, max_restarts=100) as program:
        address = program.address()
        pids = pids_of(address)
        flag = tmp_path / "fail-1"
        flag.touch()
        os.kill(pids[1], signal.SIGKILL)
        program.expect("worker 1 fails")
        program.expect(r"ERROR +worker 1 \(pid \d+\) ended with status 1; starting another in")
        assert {ask(address)["pid"] for _ in range(40)} == {pids[0]}
        flag.unlink()
        pids[1] = program.ready_pid(1)
        assert pids_of(address) == pids
        assert program.stop() == 0
        assert "no database" in program.text


def test_a_hook_that_fails_in_one_worker_for_ever(backend: str, tmp_path: Path) -> None:
    """All end, those that served with their hooks, and the exit code is 1."""
    with faulty(tmp_path, backend, max_restarts=1) as program:
        pids = pids_of(program.address())
        (tmp_path / "fail-1").touch()
        os.kill(pids[1], signal.SIGKILL)
        assert program.wait() == 1
        assert "that is the end number 2 within 60 s: giving up" in program.text
        assert "worker 0 ends" in program.text
        assert "cluster ends in 0" in program.text


def test_a_worker_that_does_not_get_ready(backend: str, tmp_path: Path) -> None:
    with faulty(tmp_path, backend, startup_timeout=3, max_restarts=1) as program:
        pids = pids_of(program.address())
        (tmp_path / "hang-1").touch()
        os.kill(pids[1], signal.SIGKILL)
        program.expect(r"worker 1 \(pid \d+\) was not ready within 3 s: killing it")
        assert program.wait() == 1
        assert "worker 0 ends" in program.text


# ---- serving ----


def test_a_worker_that_hangs_leaves_its_stacks(backend: str, tmp_path: Path) -> None:
    with faulty(tmp_path, backend, heartbeat_timeout=2) as program:
        address = program.address()
        before = pids_of(address)
        with client_of(address, 1) as hung, client_of(address, 0) as well:
            hung.send(request("/spin"))
            program.expect(
                rf"worker 1 \(pid {before[1]}\) has not been back at its loop for .* s: asking"
            )
            program.expect(r"^Stacks of Python:(?s:.*?)in spin")
            program.expect(rf"worker 1 \(pid {before[1]}\) hangs: killing it")
            after = program.ready_pid(1)
            assert well.ask(request("/who")).json()["pid"] == before[0]
        assert pids_of(address) == {0: before[0], 1: after}
        assert program.stop() == 0


def test_an_idle_worker_that_is_stopped_counts_as_hung(backend: str, tmp_path: Path) -> None:
    with faulty(tmp_path, backend, heartbeat_timeout=1) as program:
        address = program.address()
        before = pids_of(address)
        os.kill(before[1], signal.SIGSTOP)
        program.expect(rf"worker 1 \(pid {before[1]}\) has not been back at its loop for .* s: ask")
        program.expect(rf"worker 1 \(pid {before[1]}\) hangs: killing it")
        after = program.ready_pid(1)
        assert pids_of(address) == {0: before[0], 1: after}
        assert program.stop() == 0


def test_a_supervisor_that_is_killed(backend: str, tmp_path: Path) -> None:
    """Its workers finish what they have, run their hooks, and end."""
    with faulty(tmp_path, backend) as program:
        address = program.address()
        with client_of(address, 0) as busy, client_of(address, 1) as idle:
            busy.send(request("/sleep/1"))
            program.expect("^asleep")
            program.send_signal(signal.SIGKILL)
            idle.assert_closed()
            answer = busy.answer()
            assert (answer.body, answer.closes) == (b"slept", True)
        assert program.wait() == -signal.SIGKILL  # nobody is left who could write
        assert refused(address)
        lines = set(program.text.splitlines())
        assert {"worker 0 ends", "worker 1 ends"} <= lines
        gone = "the supervisor is gone; this worker ends"
        assert {f"WARNING  worker 0: {gone}", f"WARNING  worker 1: {gone}"} <= lines
        assert program.text.count("cluster ends in 0") == 1


@pytest.mark.parametrize("victim", [0, 1])
def test_who_dies_with_news_of_a_connection(backend: str, victim: int, tmp_path: Path) -> None:
    """Of those that share a socket the kernel wakes one; if that is killed, another serves."""
    path = str(tmp_path / "s")
    with faulty(tmp_path, backend, f"unix:{path}") as program:
        program.expect(r"\(2 workers\)")
        ready = re.findall(r"^worker (\d) \(pid (\d+)\) is ready", program.text, re.M)
        pids = {int(worker_id): int(pid) for worker_id, pid in ready}
        for worker_id in pids:
            (tmp_path / f"hang-{worker_id}").touch()  # no successor shall be the one who serves
        for pid in pids.values():
            os.kill(pid, signal.SIGSTOP)
            eventually(lambda pid=pid: state_of(pid) == "T", "it is stopped")  # type: ignore[misc]
        with Client(path) as client:
            client.send(request("/who"))
            assert kill(pids[victim])
            os.kill(pids[1 - victim], signal.SIGCONT)
            assert client.answer().json()["worker"] == 1 - victim


# ---- without ----


def test_a_worker_without_descriptors(backend: str, tmp_path: Path) -> None:
    """Its clients wait until others have left; none is refused."""
    (tmp_path / "descriptors-1").touch()
    with faulty(tmp_path, backend) as program, ExitStack() as stack:
        address = program.address()
        pids = pids_of(address)
        clients = [stack.enter_context(Client(address)) for _ in range(60)]
        served = Counter[int]()
        for client in clients:
            client.send(request("/who"))
        program.expect("cannot accept connections, which wait: Too many open files")
        while clients:
            socks = [client.sock for client in clients]
            ready, _, _ = select.select(socks, [], [], 30)
            assert ready, f"{len(clients)} are not answered"
            for client in [client for client in clients if client.sock in ready]:
                served[client.answer().json()["pid"]] += 1
                client.sock.close()
                clients.remove(client)
        assert set(served) == set(pids.values())
        assert pids_of(address) == pids
        assert program.stop() == 0


def test_a_worker_without_descriptors_cannot_help(backend: str, tmp_path: Path) -> None:
    """What waits for another one, waits for its successor."""
    (tmp_path / "descriptors-1").touch()
    with faulty(tmp_path, backend) as program:
        address = program.address()
        pids = pids_of(address)
        with ExitStack() as stack:
            program.send_signal(signal.SIGSTOP)  # no successor before the clients wait
            assert kill(pids[0])
            clients = [stack.enter_context(Client(address)) for _ in range(60)]
            for client in clients:
                client.send(request("/who"))
            program.send_signal(signal.SIGCONT)
            program.expect("cannot accept")
            pids[0] = program.ready_pid(0)
            socks = [client.sock for client in clients]
            served: set[int] = set()
            while served != set(pids.values()):
                ready, _, _ = select.select(socks, [], [], 30)
                assert ready
                for client in [client for client in clients if client.sock in ready]:
                    served.add(client.answer().json()["pid"])
                    socks.remove(client.sock)
        assert pids_of(address) == pids
        assert program.stop() == 0


@pytest.mark.skipif(PRELOADS, reason="a sanitizer has memory of its own")
def test_without_memory(backend: str, tmp_path: Path) -> None:
    """A request that cannot be served is answered so; nobody else knows of it."""
    with faulty(tmp_path, backend) as program:
        address = program.address()
        before = pids_of(address)
        with client_of(address, 0) as client:
            assert client.ask(request("/fill")).status == 500
            assert client.ask(request("/who")).json()["pid"] == before[0]
        assert pids_of(address) == before
        assert program.stop() == 0
        assert "MemoryError" in program.text


def test_without_memory_in_the_container(backend: str, tmp_path: Path) -> None:
    """The kernel kills the worker that took it all: what it was at fails, nothing else, and the log
    says what it may have been."""
    with memory_group(192 << 20) as group, faulty(tmp_path, backend, max_restarts=100) as program:
        address = program.address()
        pids = pids_of(address)
        for pid in (program.pid, *pids.values()):
            (group / "cgroup.procs").write_text(str(pid))
        with client_of(address, 0) as other, client_of(address, 1) as hog:
            hog.send(request("/hog"))
            hog.assert_closed()
            program.expect(
                rf"worker 1 \(pid {pids[1]}\) was killed by signal 9 \(Killed, by somebody else or "
                r"for lack of memory\); starting another"
            )
            assert other.ask(request("/who")).json()["pid"] == pids[0]
        pids[1] = program.ready_pid(1)
        assert pids_of(address) == pids
        assert program.stop() == 0


def test_without_memory_for_another_worker(backend: str, tmp_path: Path) -> None:
    """Those that live answer for it, until it can be started."""
    with faulty(tmp_path, backend, max_restarts=1000) as program:
        address = program.address()
        before = pids_of(address)
        soft, hard = resource.prlimit(program.pid, resource.RLIMIT_AS)
        resource.prlimit(program.pid, resource.RLIMIT_AS, (8 << 20, hard))
        assert kill(before[1])
        program.expect(r"worker 1 .*; (starting another|trying again) in")
        assert {ask(address)["pid"] for _ in range(40)} == {before[0]}
        resource.prlimit(program.pid, resource.RLIMIT_AS, (soft, hard))
        after = program.ready_pid(1)
        assert pids_of(address) == {0: before[0], 1: after}
        assert program.stop() == 0


@pytest.mark.skipif(PRELOADS, reason="something else is preloaded")
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_clock_that_jumps(backend: str, mode: str, tmp_path: Path) -> None:
    """Nothing is early, late or hung by the time of day."""
    library = tmp_path / "clock.so"
    source = str(HERE / "clock_that_jumps.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", source, "-o", str(library)], check=True)
    env = {"LD_PRELOAD": str(library)}
    with faulty(tmp_path, backend, mode, env=env, heartbeat_timeout=5) as program:
        address = program.address()
        before = pids_of(address)
        dates = {fetch(address, request("/who")).get("Date") for _ in range(20)}
        assert len(dates) > 1, "it does not jump"
        with Client(address) as idle, Client(address) as busy:
            pid = idle.ask(request("/who")).json()["pid"]
            for _ in range(5):
                assert busy.ask(request("/sleep/0.2")).body == b"slept"
                if mode == "async":
                    assert busy.ask(request("/wait")).body == b"waited"
            assert idle.ask(request("/who")).json()["pid"] == pid
        assert pids_of(address) == before
        program.send_signal(signal.SIGHUP)
        program.expect("all workers have been replaced")
        eventually(lambda: not set(pids_of(address).values()) & set(before.values()), "new ones")
        assert program.stop() == 0
        assert "kill" not in program.text
