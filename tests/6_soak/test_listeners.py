"""Very many clients that listen: what each of them costs, and that a burst's memory goes back."""

import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from soak_load import SANITIZED

HERE = Path(__file__).parent
PAGE = resource.getpagesize()
EVENTS = b"GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
PUBLISH = b"POST /publish HTTP/1.1\r\nHost: a\r\n\r\n"


def rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    while True:
        try:
            client.connect(str(path))
            return client
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.02)  # it starts


def ask(client: socket.socket, request: bytes, until: bytes) -> None:
    client.sendall(request)
    read(client, until)


def read(client: socket.socket, until: bytes) -> None:
    text = b""
    while until not in text:
        part = client.recv(4096)
        assert part
        text += part


@pytest.mark.slow
@pytest.mark.skipif(SANITIZED, reason="measures memory")
@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
def test_listeners_in_64_megabytes(backend: str, tmp_path: Path) -> None:
    """5,000 of them, after three events each; a second later, when the burst's memory is back."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(hard, 12000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    count = min(5000, soft - 200)
    program = str(HERE / "listeners_server.py")
    path = tmp_path / "socket"
    process = subprocess.Popen([sys.executable, program, str(path), backend], env=os.environ)
    listeners: list[socket.socket] = []
    publisher = connect(path)
    try:
        ask(publisher, PUBLISH, b"\r\n\r\n1")
        before = rss(process.pid)
        for _ in range(count):
            listeners.append(connect(path))
            listeners[-1].sendall(EVENTS)
        for listener in listeners:
            read(listener, b"data: 1\n\n")
        for number in (b"2", b"3", b"4"):
            ask(publisher, PUBLISH, b"\r\n\r\n" + number)
            for listener in listeners:
                read(listener, b"data: " + number + b"\n\n")
        each = float("inf")
        while each > (64e6 - before) / 5000:  # ends by the test's time limit
            time.sleep(0.1)
            each = (rss(process.pid) - before) / count
        print(f"{before / 1e6:.1f} MB before, {each:.0f} bytes for each of {count}")
    finally:
        for client in (*listeners, publisher):
            client.close()
        process.terminate()
        assert process.wait() == 0
