"""What a process says when it crashes, and what one that hangs tells `cello stacks`."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cello
import pytest
from wire import Client, eventually, fetch, request
from wire_process import Process, ServerProcess

HERE = Path(__file__).parent
APP = HERE / "crash_app.py"

pytestmark = pytest.mark.usefixtures("crashes_are_ours")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("crash") / "crash_library.so"
    source = str(HERE / "crash_library.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O0", source, "-o", str(path)], check=True)
    return str(path)


def crashed(backend: str, library: str, target: str, *words: str) -> tuple[int, str]:
    """The exit code and what was written, of a server that a request has ended."""
    server = ServerProcess(backend, library, *words, app=APP)
    try:
        assert fetch(server.address, request("/plain")).body == b"hello"
        with Client(server.address) as client:
            client.send(request(target))
            return server.wait(), server.stderr()
    finally:
        server.close()


CASES = [
    ("/fault/x", signal.SIGSEGV, "GET /fault/{name}", "in fault"),
    ("/abort", signal.SIGABRT, "GET /abort", "in abort"),
    ("/overflow", signal.SIGSEGV, "GET /overflow", "in overflow"),
    ("/pool/overflow", signal.SIGSEGV, "GET /pool/overflow", "in pool_overflow"),
    ("/async/abort", signal.SIGABRT, "GET /async/abort", "in async_abort"),
]


@pytest.mark.parametrize(("target", "number", "route", "frame"), CASES, ids=lambda v: str(v))
def test_a_crash_is_reported(
    backend: str, library: str, target: str, number: int, route: str, frame: str
) -> None:
    words = ("async",) if "async" in target else ()
    code, said = crashed(backend, library, target, *words)
    assert code == -number
    name = signal.Signals(number).name
    assert re.search(rf"^Cello {cello.__version__} crashed: {name}", said, re.M), said
    assert re.search(r"^build [0-9a-f]{40}, process \d+, thread \d+", said, re.M), said
    assert f"\nhandling {route}\n" in said
    c_stack, _, python_stacks = said.partition("\nStacks of Python:\n")
    ours = "crash_library" if "overflow" in target else "_cello"
    assert re.search(ours + r"[^ ]*\.so\(\w*\+0x[0-9a-f]+\)\[0x[0-9a-f]+\]", c_stack), said
    assert "\0" not in said
    assert "most recent call first" in python_stacks
    assert frame in python_stacks


def test_a_crash_outside_of_requests_names_no_route(backend: str, library: str) -> None:
    server = ServerProcess(backend, library, app=APP)
    try:
        assert fetch(server.address, request("/plain")).status == 200
        server.send_signal(signal.SIGSEGV)
        assert server.wait() == -signal.SIGSEGV
        assert f"crashed: SIGSEGV, sent by process {os.getpid()}\n" in server.stderr()
        assert "handling" not in server.stderr()
    finally:
        server.close()


def test_who_enabled_faulthandler_keeps_it(backend: str, library: str) -> None:
    code, said = crashed(backend, library, "/fault/x", "faulthandler")
    assert code == -signal.SIGSEGV
    assert "handling GET /fault/{name}" in said
    assert "Fatal Python error: Segmentation fault" in said


def test_start_leaves_signals_to_the_program(backend: str, library: str) -> None:
    code, said = crashed(backend, library, "/fault/x", "start")
    assert code == -signal.SIGSEGV
    assert "crashed" not in said


# ---- stacks on request ----


def stacks(pid: int, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cello", "stacks", str(pid), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


HANGS = [
    ("/spin", "handling GET /spin", "in spin"),
    ("/spin-in-c", "handling GET /spin-in-c", "in spin_in_c"),
    ("/pool/sleep", "cello", "in pool_sleep"),
]


@pytest.mark.parametrize(("target", "said", "frame"), HANGS, ids=lambda v: str(v))
def test_stacks_of_a_process_that_hangs(
    backend: str, library: str, target: str, said: str, frame: str
) -> None:
    server = ServerProcess(backend, library, app=APP)
    try:
        assert fetch(server.address, request("/plain")).status == 200
        with Client(server.address) as client:
            client.send(request(target))
            eventually(lambda: frame in stacks(server.pid).stdout, "the handler runs")
            done = stacks(server.pid)
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout
        assert re.search(r"^build [0-9a-f]{40}, process", done.stdout, re.M)
        assert f"C stack of thread {server.pid} (" in done.stdout
        assert done.stdout.index("C stack of thread") < done.stdout.index("Stacks of Python:")
        assert server.stderr() == "", "the one who asked has them"
    finally:
        server.close()


def test_stacks_of_an_idle_process_leave_it_well(backend: str, library: str) -> None:
    server = ServerProcess(backend, library, app=APP)
    try:
        for _ in range(3):
            assert fetch(server.address, request("/plain")).body == b"hello"
            assert "Stacks of Python:" in stacks(server.pid).stdout
        assert server.stop() == 0
    finally:
        server.close()


def test_who_reads_stacks_may_leave(backend: str, library: str) -> None:
    server = ServerProcess(backend, library, app=APP)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert fetch(server.address, request("/plain")).status == 200
        command = [sys.executable, "-m", "cello", "stacks", str(server.pid)]
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (1, "")
    finally:
        os.close(writer)
        server.close()


def test_stacks_of_what_gives_none() -> None:
    other = Process(["-c", "import time; print(flush=True); time.sleep(60)"])
    try:
        eventually(lambda: other.stdout() != "", "it runs")
        done = stacks(other.pid)
        assert done.returncode == 1
        assert "not a process that serves with Cello's run()" in done.stderr
        assert not other.ends_by(0), "it was left alone"
    finally:
        other.close()
    done = stacks(other.pid)
    assert done.returncode == 1
    assert "there is no such process" in done.stderr


def test_stacks_of_a_process_that_is_stopped(backend: str, library: str) -> None:
    server = ServerProcess(backend, library, app=APP)
    try:
        assert fetch(server.address, request("/plain")).status == 200
        server.send_signal(signal.SIGSTOP)
        done = stacks(server.pid, "--timeout", "0.2")
        assert done.returncode == 1
        assert "does not answer" in done.stderr
    finally:
        server.close()
