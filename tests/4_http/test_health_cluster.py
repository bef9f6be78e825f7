"""Health and diagnosis of several workers: the supervisor's listener, stacks, crashes."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from wire import Client, eventually, fetch, request
from wire_cluster import Cluster, cluster, written

PROGRAM = """
import ctypes, os, re, sys
from cello import App, ClusterConfig, HealthCheckConfig

app = App()

@app.get("/pid")
def pid():
    return str(os.getpid())

@app.get("/spin")
def spin():
    while True:
        pass

@app.get("/spin-in-c")
def spin_in_c():
    re.match(r"(a+)+$", "a" * 100 + "b")

@app.get("/crash/{how}")
def crash(how: str):
    ctypes.string_at(0)

def check():
    return not os.path.exists(sys.argv[2])

app.enable_health_checks(HealthCheckConfig(checks={"check": check}, admin=sys.argv[1]))
app.run(port=0, logs=False, workers=int(sys.argv[3]), argv=False,
        cluster=ClusterConfig(heartbeat_timeout=float(sys.argv[4]), drain_delay=float(sys.argv[5])))
"""


class Served:
    """The program above."""

    def __init__(self, processes: Cluster, admin: str, flag: Path) -> None:
        self.processes, self.admin, self.flag = processes, admin, flag
        self.address = processes.address()

    def ask(self, page: str) -> tuple[int, Any]:
        answer = fetch(self.admin, request(f"/health/{page}"))
        return answer.status, answer.json()

    def workers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("workers")[1]["workers"]
        return found

    def pids(self) -> set[int]:
        return {worker["pid"] for worker in self.workers()}


def arguments(folder: Path, workers: int, heartbeat: float = 30, delay: float = 0) -> list[str]:
    numbers = (str(workers), str(heartbeat), str(delay))
    admin, flag = folder / "health.sock", folder / "flag"
    return [written(folder, PROGRAM), f"unix:{admin}", str(flag), *numbers]


def served(processes: Cluster, folder: Path) -> Served:
    return Served(processes, str(folder / "health.sock"), folder / "flag")


def test_the_supervisor_tells_of_all_workers(backend: str, tmp_path: Path) -> None:
    with cluster(*arguments(tmp_path, 2), CELLO_BACKEND=backend) as processes:
        program = served(processes, tmp_path)
        eventually(lambda: program.ask("ready")[1]["ready"] == 2, "both are ready")
        assert program.ask("live")[0] == program.ask("startup")[0] == 200
        workers = program.workers()
        assert sorted(worker["id"] for worker in workers) == [0, 1]
        assert {worker["state"] for worker in workers} == {"ready"}
        pid = int(fetch(program.address, request("/pid")).body)
        assert pid in program.pids()
        assert fetch(program.address, request("/health/ready")).status == 200


def test_checks_of_workers_reach_the_supervisor(backend: str, tmp_path: Path) -> None:
    with cluster(*arguments(tmp_path, 2), CELLO_BACKEND=backend) as processes:
        program = served(processes, tmp_path)
        eventually(lambda: program.ask("ready")[0] == 200, "ready")
        program.flag.touch()
        eventually(lambda: program.ask("ready")[0] == 503, "the check fails")
        assert all(worker["checks"]["failing"] == 1 for worker in program.workers())
        assert program.ask("live")[0] == 200


@pytest.mark.parametrize("target", ["/spin", "/spin-in-c"])
def test_all_workers_hang(backend: str, tmp_path: Path, target: str) -> None:
    """The listener says so; their stacks are written down, and they are replaced."""
    with cluster(*arguments(tmp_path, 2, heartbeat=1.5), CELLO_BACKEND=backend) as processes:
        program = served(processes, tmp_path)
        eventually(lambda: program.ask("ready")[1]["ready"] == 2, "both are ready")
        before = program.pids()
        name = target[1:].replace("-", "_")
        clients = [Client(program.address) for _ in range(16)]
        for client in clients:
            client.send(request(target))
        processes.expect(f"handling GET {target}\n")
        processes.expect(rf"in {name}\n")
        eventually(lambda: not before & program.pids(), "they are replaced")
        eventually(lambda: program.ask("ready")[1]["ready"] == 2, "the new ones are ready")
        for client in clients:
            client.sock.close()


def test_ready_fails_before_the_end_begins(backend: str, tmp_path: Path) -> None:
    with cluster(*arguments(tmp_path, 2, delay=2.0), CELLO_BACKEND=backend) as processes:
        program = served(processes, tmp_path)
        eventually(lambda: program.ask("ready")[0] == 200, "ready")
        processes.send_signal(signal.SIGTERM)
        eventually(lambda: program.ask("ready")[1]["status"] == "stopping", "the listener knows")
        ready = fetch(program.address, request("/health/ready"))
        assert (ready.status, ready.json()) == (503, {"status": "stopping"})
        assert fetch(program.address, request("/pid")).status == 200
        assert program.ask("live")[0] == 200


def test_stacks_of_all_workers_and_of_one(backend: str, tmp_path: Path) -> None:
    with cluster(*arguments(tmp_path, 2), CELLO_BACKEND=backend) as processes:
        program = served(processes, tmp_path)
        eventually(lambda: program.ask("ready")[1]["ready"] == 2, "both are ready")
        command = [sys.executable, "-m", "cello", "stacks"]
        done = subprocess.run(
            [*command, str(processes.pid)], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
        pids = [worker["pid"] for worker in program.workers()]
        for worker in program.workers():
            assert f"process {worker['pid']}, thread {worker['pid']}, worker {worker['id']}\n" in (
                done.stdout
            )
        assert done.stdout.count("Stacks of Python:") == 2
        done = subprocess.run([*command, str(pids[0])], capture_output=True, text=True, timeout=60)
        assert done.stdout.count("Stacks of Python:") == 1
        os.kill(pids[0], 0)


def test_a_worker_that_crashes_names_itself(backend: str, tmp_path: Path) -> None:
    with cluster(*arguments(tmp_path, 2), CELLO_BACKEND=backend) as processes:
        program = served(processes, tmp_path)
        with Client(program.address) as client:
            client.send(request("/crash/now"))
            processes.expect(r"crashed: SIGSEGV")
            processes.expect(r"worker [01]\nhandling GET /crash/{how}\n")
        eventually(lambda: program.ask("ready")[1]["ready"] == 2, "another one has its place")
        assert fetch(program.address, request("/pid")).status == 200


def test_the_next_supervisor_has_the_listener(backend: str, tmp_path: Path) -> None:
    """SIGUSR2: it waits for the address, which it has once the other one has left."""
    with cluster(*arguments(tmp_path, 2), CELLO_BACKEND=backend) as processes:
        program = served(processes, tmp_path)
        eventually(lambda: program.ask("ready")[1]["ready"] == 2, "both are ready")
        before = program.pids()
        processes.send_signal(signal.SIGUSR2)
        processes.exit_code()

        def has_moved() -> bool:
            try:
                return not before & program.pids() and program.ask("ready")[1]["ready"] == 2
            except (ConnectionError, FileNotFoundError):
                return False

        eventually(has_moved, "the new one answers")
