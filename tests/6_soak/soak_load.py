"""What clients do to the servers of the soaks, and what must not grow meanwhile."""

import itertools
import json
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")
BATCH = 100
MIB = 1 << 20
RSS_SLOPE_MAX = 0.1  # bytes a request


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nA: some agent\r\n\r\n".encode()


def post(path: str, body: bytes, length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + body


ECHO = json.dumps({"name": "ä name", "list": [1, 2.5, None, {"a": "b"}] * 5}).encode()
USUAL = [get("/json/7?q=a%20b&r=1"), post("/echo", ECHO), get("/response"), get("/native")]
FAILING = [
    get("/error"),
    get("/http-error"),
    get("/unserializable"),
    get("/keep"),
    get("/nowhere"),
    get("/json/x"),
    post("/echo", b'{"a" 1}'),
    get("/json/1?%zz=1"),
    b"DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n",
]

TYPED_USUAL = [
    get("/typed/7?q=1&q=2&day=2026-01-31"),
    get("/uuid/12345678123456781234567812345678?page=2"),
    post("/item", b'{"name": "n", "price": 2}'),
    post("/model", b'{"name": "n", "tags": [1, 2]}'),
    post("/parts", b'{"item": {"name": "n"}, "count": 2}'),
]
TYPED_FAILING = [
    get("/typed/x?q=y&day=never"),
    get("/uuid/1?size=1000"),
    get("/uuid/12345678123456781234567812345678?refuse=1"),
    get("/uuid/1").replace(b"some agent", b"nobody"),
    post("/item", b'{"price": 0}'),
    post("/model", b'{"tags": [' + b'"x",' * 300 + b"1]}"),
    post("/parts", b'{"item": {"name": 1}, "count": "x"}'),
    post("/model", b'{"name" "n"}'),
    post("/item", b"[" * 2000),
    get("/conflict"),
    get("/crash"),
    get("/unsendable"),
    get("/nowhere"),
]
GUEST_USUAL = [get("/sql/7"), get("/redis"), get("/sleep"), get("/locked"), post("/echo", ECHO)]
GUEST_FAILING = [
    get("/timeout"),
    get("/sql-timeout"),
    get("/redis-timeout"),
    get("/cancel"),
    get("/group"),
    get("/sql-error"),
    get("/thread"),
    get("/kept"),
    get("/nowhere"),
]
LAST = b"GET /native HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Load:
    """What clients do. Each method is one connection; it returns how many answers it got."""

    usual, failing = USUAL, FAILING
    big, other, keep = get("/big"), get("/response"), get("/keep")
    path = "/echo"

    def __init__(self, port: int) -> None:
        self.address = ("127.0.0.1", port)
        self.random = random.Random(1)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=30)

    def well_behaved(self) -> int:
        requests = self.random.choices(self.usual, k=BATCH - 1)
        for i in range(0, BATCH - 1, 20):
            requests[i] = self.random.choice(self.failing)
        with self.connect() as s:
            s.sendall(b"".join(requests) + LAST)
            data = b"".join(iter(lambda: s.recv(1 << 18), b""))
        answers = data.count(b"HTTP/1.1 ")
        assert answers == BATCH, data[-2000:]
        return answers

    def malformed(self) -> int:
        with self.connect() as s:
            s.sendall(self.usual[0] + b"GET / HTTP/1.1\r\nHost : x\r\n\r\n" + self.usual[0])
            data = b"".join(iter(lambda: s.recv(1 << 16), b""))
        assert data.count(b"HTTP/1.1 ") == 2 and b"HTTP/1.1 400" in data
        return 2

    def vanishing(self) -> int:
        """Asks for much, reads nothing, resets the connection."""
        with self.connect() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.sendall(self.other * 5 + self.big * 3 + self.keep)
        return 0

    def cut_off(self) -> int:
        """Goes away inside a head, or inside a body."""
        with self.connect() as s:
            s.sendall(self.usual[0] + self.random.choice([post(self.path, b"{", 100), b"GET /js"]))
        return 0

    def half_read(self) -> int:
        with self.connect() as s:
            s.sendall(self.big * 2)
            s.recv(self.random.randrange(1, 100_000))
        return 0

    def some(self, requests: int) -> None:
        """About so many requests."""
        odd: list[Callable[[], int]] = [
            self.malformed, self.vanishing, self.cut_off, self.half_read,
        ]  # fmt: skip
        for i in range(requests // BATCH):
            self.well_behaved()
            odd[i % len(odd)]()

    def storm(self, connections: int = 200) -> None:
        """All at once: the pools grow to more than the load after it will ever need."""
        sockets = [self.connect() for _ in range(connections)]
        for s in sockets:
            s.sendall(self.other * 5 + self.big * 2 + post(self.path, b"{", 100_000))
        for s in sockets:
            s.recv(1000)
        for s in sockets:
            s.close()

    def ask(self, path: str) -> dict[str, Any]:
        with self.connect() as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            data = b"".join(iter(lambda: s.recv(1 << 16), b""))
        answer: dict[str, Any] = json.loads(data.partition(b"\r\n\r\n")[2])
        return answer

    def quiet_report(self) -> dict[str, Any]:
        """When the connections that were given up are gone, and what their handlers had open is
        closed: that may take a moment longer. What never ends fails by the test's time limit."""
        fds = 0
        while True:
            report = self.ask("/report")
            opened = report.get("opened", {}).get("now")
            if report["connections"] == 1 and not opened and report["fds"] == fds:
                return report
            fds = report["fds"]  # io_uring closes a little later

    def census(self) -> dict[str, Any]:
        self.quiet_report()
        return self.ask("/census")


class TypedLoad(Load):
    """The same of typed handlers with guards and dependencies."""

    usual, failing = TYPED_USUAL, TYPED_FAILING
    big, other, keep = get("/slow"), TYPED_USUAL[2], get("/conflict")
    path = "/item"


class GuestLoad(Load):
    """Handlers that wait: for databases, timers, one another."""

    usual, failing = GUEST_USUAL, GUEST_FAILING
    big, other, keep = get("/big"), get("/sleep"), get("/kept")


LOADS = {"soak_server.py": Load, "typed_server.py": TypedLoad, "guest_server.py": GuestLoad}


@contextmanager
def server(
    backend: str, kind: str, program: str = "soak_server.py", *arguments: str
) -> Iterator[Load]:
    # asyncio reads into 256 KiB each time: from the heap these leave holes for a long while.
    heap = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"} if arguments else {}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(HERE / program), backend, kind, *arguments],
        env=os.environ | heap,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    try:
        yield LOADS[program](int(process.stdout.readline()))
        process.stdin.close()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def soak(load: Load, requests: int, samples: int, warm_up: int = 0) -> list[dict[str, Any]]:
    """Reports: one before these requests, after those to warm up, and `samples` meanwhile. The
    first one and the last one have a census with them, which touches memory: outside of what their
    pages were counted between."""
    with ThreadPoolExecutor(4) as pool:

        def send(count: int) -> None:
            list(pool.map(load.some, [count // 8] * 8))

        if warm_up:
            for _ in range(3):
                load.storm()
            send(warm_up)
        reports = [load.census() | load.quiet_report()]
        for _ in range(samples):
            send(requests // samples)
            reports.append(load.quiet_report())
    reports[-1] |= load.census()
    return reports


def slope(reports: list[dict[str, Any]], what: str) -> float:
    """Growth of a number per request: the median over all pairs of reports, so that a pool that
    reaches a new maximum once does not count, and a leak does."""
    return statistics.median(
        (b[what] - a[what]) / (b["requests"] - a["requests"])
        for a, b in itertools.combinations(reports, 2)
    )


def check_steady(first: dict[str, Any], last: dict[str, Any], objects: int = 200) -> None:
    # More handlers waiting at once than before leave six objects each, to be used again; of
    # whatever is sent, there are a thousand.
    # A type and a coroutine function are referred to by what is alive just now.
    grown = [b - a for a, b in zip(first["refs"], last["refs"], strict=True)]
    assert all(abs(n) <= 20 for n in grown), grown
    assert last["fds"] == first["fds"], (first["fds"], last["fds"])
    assert last["buffered"] <= first["buffered"] + 65536
    for name, count in last["objects"].items():
        assert count <= first["objects"][name] + objects, (name, first["objects"], last["objects"])
    assert last["blocks"] <= first["blocks"] + 1000


def check_closed(last: dict[str, Any]) -> None:
    """Every dependency that yielded has ended."""
    if "opened" in last:
        assert last["opened"]["now"] == 0
        assert min(last["opened"]["ended"], last["opened"]["thrown"]) > 100
