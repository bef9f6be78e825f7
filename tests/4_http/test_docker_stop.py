"""What a container does to its first process: SIGTERM, some seconds, SIGKILL."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from wire import Address, Client, eventually, fetch, refused, request
from wire_chaos import children
from wire_cluster import Cluster
from wire_faults import APP, ask, client_of, faulty, pids_of


def test_sigterm_answers_what_has_come(backend: str, tmp_path: Path) -> None:
    with faulty(tmp_path, backend) as program:
        address = program.address()
        with ExitStack() as stack:
            busy, half, idle = (stack.enter_context(client_of(address, i)) for i in (0, 1, 1))
            busy.send(request("/sleep/1"))
            program.expect("^asleep")
            half.send(
                request("/length", "Expect: 100-continue", "Content-Length: 8", method="POST")
            )
            assert half.answer().status == 100
            half.send(b"half")
            program.send_signal(signal.SIGTERM)
            idle.assert_closed()
            half.send(b"half")
            answer = half.answer()
            assert (answer.body, answer.closes) == (b"8", True)
            eventually(lambda: refused(address), "nobody listens")
            answer = busy.answer()
            assert (answer.body, answer.closes) == (b"slept", True)
        assert program.wait() == 0
        assert program.text.count("has ended") == 2
        assert program.text.count("cluster ends in 0") == 1


def test_requests_are_served_during_the_delay(backend: str, tmp_path: Path) -> None:
    """A load balancer hears that it is to send nobody else, before anybody is refused."""
    with faulty(tmp_path, backend, "health", drain_delay=2.0) as program:
        address = program.address()
        assert fetch(address, request("/health/ready")).status == 200
        program.send_signal(signal.SIGTERM)
        eventually(lambda: fetch(address, request("/health/ready")).status == 503, "not ready")
        assert fetch(address, request("/health/live")).status == 200
        assert len(pids_of(address)) == 2
        with Client(address) as kept:
            assert not kept.ask(request("/who")).closes
            eventually(lambda: refused(address), "nobody listens")
            kept.assert_closed()
        assert program.wait() == 0


@pytest.mark.parametrize("path", ["/sleep/3600", "/spin"])
def test_what_does_not_end_is_ended(backend: str, path: str, tmp_path: Path) -> None:
    """At the deadline, so that nobody outside has to."""
    with faulty(tmp_path, backend, shutdown_timeout=1.0) as program:
        address = program.address()
        with client_of(address, 1) as client:
            client.send(request(path))
            if path != "/spin":
                program.expect("^asleep")
            began = time.monotonic()
            program.send_signal(signal.SIGTERM)
            assert program.wait() == 0
            assert time.monotonic() - began >= 0.9
        assert "worker 0 ends" in program.text


# ---- as the first process ----


class Contained(Cluster):
    """The program is process 1 of a namespace of its own."""

    def __init__(self, *args: str, **env: str) -> None:
        super().__init__(*args, before=("unshare", "--pid", "--fork", "--mount-proc"), **env)

    @property
    def first(self) -> int:
        """Its pid out here."""
        return children(self.pid)[0]


def can_unshare() -> bool:
    command = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    return bool(shutil.which("unshare")) and not subprocess.run(command, stderr=-3).returncode


@contextmanager
def contained(folder: Path, backend: str) -> Iterator[tuple[Contained, Address]]:
    program = Contained(APP, str(folder), '{"workers": 2}', CELLO_BACKEND=backend)
    try:
        yield program, program.address()
    finally:
        program.close()


@pytest.mark.skipif(not can_unshare(), reason="no namespaces here")
def test_the_first_process_of_a_container(backend: str, tmp_path: Path) -> None:
    with contained(tmp_path, backend) as (program, address):
        assert set(pids_of(address).values()) == {2, 3}, "the supervisor is 1"
        first = program.first
        orphan = ask(address, "/orphan")
        assert isinstance(orphan, int)
        workers = children(first)
        eventually(lambda: len(children(first)) == 2, "the orphan is no zombie")
        assert len(workers) in (2, 3)
        os.kill(first, signal.SIGUSR2)
        program.expect("SIGUSR2")
        os.kill(first, signal.SIGHUP)
        program.expect("all workers have been replaced")
        with Client(address) as busy:
            busy.send(request("/sleep/0.5"))
            program.expect("^asleep")
            os.kill(first, signal.SIGTERM)
            assert busy.answer().body == b"slept"
        assert program.wait() == 0
        assert "cluster ends in 0" in program.text


@pytest.mark.skipif(not can_unshare(), reason="no namespaces here")
def test_a_container_that_is_killed(backend: str, tmp_path: Path) -> None:
    """Nobody is left, and the port is free."""
    with contained(tmp_path, backend) as (program, address):
        with client_of(address, 0) as client:
            client.send(request("/spin"))
            os.kill(program.first, signal.SIGKILL)
            program.wait()
        eventually(lambda: refused(address), "the kernel has closed all")
