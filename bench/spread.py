"""How connections spread over two workers, and what they cost: TCP and a unix socket, both back
ends. Each connection has one request."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

CONNECTIONS = 200
MANY = 4000
PROGRAM = """
from cello import App
app = App()
app.get("/who")(lambda: str(app.worker_id))
app.run({place}, workers=2, logs=False)
"""
ONE = b"GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
KEPT = b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n"


def connected(address: str | int) -> socket.socket:
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address))
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(address)
    return sock


def ask(address: str | int) -> tuple[str, float]:
    """Who answered on a new connection, and after how many seconds."""
    begun = time.perf_counter()
    data = b""
    with connected(address) as sock:
        sock.sendall(ONE)
        while more := sock.recv(4096):
            data += more
    return data[-1:].decode(), time.perf_counter() - begun


def at_once(address: str | int) -> Counter[str]:
    socks = [connected(address) for _ in range(CONNECTIONS)]
    for sock in socks:
        sock.sendall(KEPT)
    who = Counter(sock.recv(4096)[-1:].decode() for sock in socks)
    for sock in socks:
        sock.close()
    return who


def cpu_seconds(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(address: str | int, pids: list[int]) -> str:
    for _ in range(50):
        ask(address)
    answers = [ask(address) for _ in range(CONNECTIONS)]
    one = Counter(who for who, _ in answers)
    times = sorted(seconds * 1e6 for _, seconds in answers)
    together = at_once(address)
    before = cpu_seconds(pids)
    for _ in range(MANY):
        ask(address)
    cpu = (cpu_seconds(pids) - before) / MANY * 1e6
    p99 = times[len(times) * 99 // 100 - 1]
    return (
        f"one after the other {one['0']} : {one['1']}, at once {together['0']} : {together['1']}, "
        f"p50 {times[len(times) // 2]:.0f} us, p99 {p99:.0f} us, CPU {cpu:.0f} us a connection"
    )


def run(backend: str, kind: str, folder: str) -> None:
    path = f"{folder}/{backend}.sock"
    program = Path(folder) / "program.py"
    program.write_text(PROGRAM.format(place=f"uds={path!r}" if kind == "unix" else "port=0"))
    child = subprocess.Popen(
        [sys.executable, str(program)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CELLO_BACKEND": backend},
    )
    assert child.stderr is not None
    try:
        text = ""
        while not re.search(r"^Cello ", text, re.M):
            line = child.stderr.readline()
            assert line, text
            text += line
        pids = [int(pid) for pid in re.findall(r"worker \d \(pid (\d+)\) is ready", text)]
        port = re.search(r"http://127\.0\.0\.1:(\d+)", text)
        print(f"{backend}, {kind}: {measure(int(port[1]) if port else path, pids)}", flush=True)
    finally:
        child.terminate()
        child.communicate()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for backend in ("epoll", "io_uring"):
            for kind in ("tcp", "unix"):
                run(backend, kind, folder)


if __name__ == "__main__":
    main()
