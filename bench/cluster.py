"""What several workers cost, and how fast the supervisor is: CPU time per request of two workers
against one, how connections spread, memory, the time of a reload and from a worker's death to the
first answer of who takes over.

    .venv/bin/python bench/cluster.py          prints tables, as in CLUSTER.md
    .venv/bin/python bench/cluster.py --json   prints JSON

CPU time is that of all processes, the supervisor's too, by the scheduler's count. Two set-ups: all
on core 0 and wrk on core 1, so that both sides have the same core; and all, wrk too, on every core.
Two workers have as many connections as one, and as many each; nginx shows what that costs anybody.
"""

import functools
import json
import os
import re
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import machine
import servers

BACKENDS = ("io_uring", "epoll")
ROUNDS = 5
SECONDS = 1  # of wrk, each
CONNECTIONS = 64
SPREAD = 1000  # connections
BURST, BODY = 300, 256 << 10
TIMES = 10  # reloads, deaths
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

PROGRAM = """
import os, sys
from cello import App, ClusterConfig
app = App()
PID = os.getpid()
@app.get("/")
def who():
    return {"pid": PID}
@app.post("/")
def length(req):
    return {"length": len(req.body())}
if "async" in sys.argv:
    @app.get("/async")
    async def later():
        return "later"
backend, workers, place = sys.argv[1:4]
where = {"uds": place} if "/" in place else {"port": int(place)}
cluster = ClusterConfig(workers=int(workers), max_restarts=1000, restart_window=0.05)
app.run(backend=backend, cluster=cluster, logs=False, argv=False, **where)
"""


NGINX = """
worker_processes {workers};
daemon off;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{port} reuseport;
        default_type application/json;
        location / {{ return 200 '{{"pid":12345}}'; }}
    }}
}}
"""


def connect(address: str | tuple[str, int]) -> socket.socket:
    client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    client.settimeout(20)
    client.connect(address)
    return client


def wait_until_open(address: str | tuple[str, int]) -> None:
    while True:
        try:
            connect(address).close()
            return
        except OSError:
            time.sleep(0.05)


class Nginx:
    """The same answer from nginx; a context manager."""

    def __init__(self, workers: int, core: int | None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.address = ("127.0.0.1", servers.free_port())
        folder, port = self._folder.name, self.address[1]
        settings = Path(folder) / "nginx.conf"
        settings.write_text(NGINX.format(workers=workers, folder=folder, port=port))
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        self.child = subprocess.Popen([*pinned, "nginx", "-p", folder, "-c", str(settings)])
        wait_until_open(self.address)

    def __enter__(self) -> "Nginx":
        return self

    def __exit__(self, *_: object) -> None:
        self.child.terminate()
        self.child.wait()
        self._folder.cleanup()


class Program:
    """The processes of one application; a context manager."""

    def __init__(
        self, backend: str, workers: int, place: str = "", core: int | None = None, *words: str
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        script = Path(self._folder.name) / "program.py"
        script.write_text(PROGRAM)
        place = place or str(servers.free_port())
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        self.child = subprocess.Popen(
            [*pinned, sys.executable, str(script), backend, str(workers), place, *words],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.address = place if "/" in place else ("127.0.0.1", int(place))
        if workers > 1:
            self.read(r"\(\d+ workers\)")
        else:
            wait_until_open(self.address)  # one process says nothing without logs
        self.workers = servers.process_tree(self.child.pid)[-workers:]

    def read(self, pattern: str) -> re.Match:
        """Lines of the log until one is found."""
        for line in self.child.stderr:
            if found := re.search(pattern, line):
                return found
        raise SystemExit(f"no {pattern} in the log")

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self.child.terminate()
        self.child.communicate()
        self._folder.cleanup()

    def connect(self) -> socket.socket:
        return connect(self.address)

    def signal(self, number: int) -> None:
        self.child.send_signal(number)


def answer(client: socket.socket) -> dict:
    data = b""
    while not data.endswith(b"}"):
        data += client.recv(4096)
    return json.loads(data.partition(b"\r\n\r\n")[2])


def wrk(program: Program | Nginx, core: int | None, connections: int) -> tuple[float, float]:
    """CPU microseconds per request, and requests a second."""
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    url = f"http://127.0.0.1:{program.address[1]}/"
    before = servers.usage(program.child.pid)
    command = [*pinned, "wrk", "-t1", f"-c{connections}", f"-d{SECONDS:g}s", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    used = (servers.usage(program.child.pid) - before).run_ns
    requests = int(re.search(r"(\d+) requests in", done.stdout)[1])
    return used / requests / 1e3, requests / SECONDS


def cpu(start: Callable[[int, int | None], Program | Nginx], apart: bool) -> dict:
    """One worker and two, in turns; apart: from wrk."""
    core, client = (0, 1) if apart else (None, None)
    with start(1, core) as one, start(2, core) as two:
        rounds = [
            (
                wrk(one, client, CONNECTIONS),
                wrk(two, client, CONNECTIONS),
                wrk(two, client, 2 * CONNECTIONS),
            )
            for _ in range(ROUNDS + 1)
        ][1:]
    return {
        "one_us": statistics.median(a[0] for a, _, _ in rounds),
        "two_us": statistics.median(b[0] for _, b, _ in rounds),
        "ratio": statistics.median(b[0] / a[0] for a, b, _ in rounds),
        "ratio_each": statistics.median(c[0] / a[0] for a, _, c in rounds),
        "ratios": [[b[0] / a[0], c[0] / a[0]] for a, b, c in rounds],
        "per_second": [statistics.median(r[i][1] for r in rounds) for i in range(3)],
    }


def spread(backend: str, place: str) -> dict:
    """The busier worker's part of connections that come one after the other, and at once."""
    with Program(backend, 2, place) as program:
        parts = {}
        for name, size in (("in turn", 1), ("at once", SPREAD // 10)):
            found: Counter[int] = Counter()
            for _ in range(SPREAD // size):
                clients = [program.connect() for _ in range(size)]
                for client in clients:
                    client.sendall(REQUEST)
                found.update(answer(client)["pid"] for client in clients)
                for client in clients:
                    client.close()
            parts[name] = max(found.values()) / SPREAD
    return parts


def private_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"^Private_\w+: +(\d+)", text, re.M))) / 1024


def rss_mb(pid: int) -> float:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def memory(backend: str, *words: str) -> dict:
    with Program(backend, 2, "", None, *words) as program:
        for _ in range(20):
            with program.connect() as client:
                client.sendall(REQUEST)
                answer(client)
        time.sleep(2)
        idle = max(map(private_mb, program.workers))
        clients = [program.connect() for _ in range(BURST)]
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n".encode()
        for client in clients:
            client.sendall(head + b"x" * (BODY - 1))
        time.sleep(0.5)
        full = max(map(private_mb, program.workers))
        for client in clients:
            client.sendall(b"x")
            answer(client)
            client.close()
        time.sleep(4)
        after = max(map(private_mb, program.workers))
        supervisor = rss_mb(program.child.pid)
    return {"supervisor": supervisor, "idle": idle, "burst": full, "after": after}


def reload_ms(backend: str) -> float:
    with Program(backend, 2) as program:
        times = []
        for _ in range(TIMES):
            start = time.monotonic()
            program.signal(signal.SIGHUP)
            program.read("all workers have been replaced")
            times.append(time.monotonic() - start)
    return statistics.median(times) * 1e3


def death_ms(backend: str) -> dict:
    """Until all of 20 connections made after a death are answered, by who adopts the socket, and
    until there is a successor."""
    answers, successors = [], []
    with Program(backend, 2) as program:
        for _ in range(TIMES):
            victim = servers.process_tree(program.child.pid)[-1]
            process = os.pidfd_open(victim)
            start = time.monotonic()
            signal.pidfd_send_signal(process, signal.SIGKILL)
            wait_until_gone(process)
            clients = [program.connect() for _ in range(20)]
            for client in clients:
                client.sendall(REQUEST)
            for client in clients:
                answer(client)
                client.close()
            answers.append(time.monotonic() - start)
            program.read("is ready")
            successors.append(time.monotonic() - start)
    return {
        "adopted_ms": statistics.median(answers) * 1e3,
        "successor_ms": statistics.median(successors) * 1e3,
    }


def wait_until_gone(process: int) -> None:
    select.select([process], [], [])
    os.close(process)


def program_on(backend: str, workers: int, core: int | None) -> Program:
    return Program(backend, workers, "", core)


def both_cpus(start: Callable[[int, int | None], Program | Nginx]) -> dict:
    return {"core 0": cpu(start, True), "all cores": cpu(start, False)}


def measure() -> dict:
    results: dict = {"nginx": {"cpu": both_cpus(Nginx)}}
    for backend in BACKENDS:
        path = f"/tmp/cello-bench-{os.getpid()}"
        results[backend] = {
            "cpu": both_cpus(functools.partial(program_on, backend)),
            "spread": {"tcp": spread(backend, ""), "unix": spread(backend, path)},
            "memory_mb": {"def": memory(backend), "async": memory(backend, "async")},
            "reload_ms": reload_ms(backend),
            **death_ms(backend),
        }
    return results


def tables(found: dict) -> str:
    columns = (*BACKENDS, "nginx")
    out = ["| | " + " | ".join(columns) + " | at most |", "| --- | " + "---: | " * 4]

    def row(name: str, *path: str, style: str = "{:.1f}", bar: str = "") -> None:
        cells = []
        for column in columns:
            at = found[column]
            for key in path:
                at = at.get(key, {})
            cells.append(style.format(at) if at != {} else "")
        out.append(f"| {name} | {' | '.join(cells)} | {bar} |")

    for where in ("core 0", "all cores"):
        row(f"CPU µs per request, one worker, {where}", "cpu", where, "one_us", style="{:.2f}")
        row(f"two workers, {where}", "cpu", where, "two_us", style="{:.2f}")
        row(f"ratio, {where}", "cpu", where, "ratio", style="{:.3f}", bar="1.05")
        name = f"the same with {CONNECTIONS} connections each"
        row(name, "cpu", where, "ratio_each", style="{:.3f}", bar="1.05")
    for place in ("tcp", "unix"):
        for how in ("in turn", "at once"):
            name = f"the busier worker's part of {SPREAD} connections, {place}, {how}"
            row(name, "spread", place, how, style="{:.2f}")
    row("MB resident, supervisor", "memory_mb", "def", "supervisor", bar="12")
    for kind in ("def", "async"):
        row(f"MB unshared, idle worker, {kind}", "memory_mb", kind, "idle", bar="20")
        row(f"with half of {BURST} bodies of {BODY >> 10} KB", "memory_mb", kind, "burst")
        row("4 s after", "memory_mb", kind, "after")
    row("ms for a reload of both workers", "reload_ms", style="{:.0f}")
    row("ms from a kill to the answers of who adopts the socket", "adopted_ms")
    row("ms from a kill to a successor", "successor_ms", style="{:.0f}")
    return "\n".join(out)


def main() -> None:
    results = measure()
    if "--json" in sys.argv:
        print(json.dumps({"machine": machine.describe(), "results": results}))
    else:
        about = machine.describe()
        print(
            f"{about['machine']['processor']}, {about['machine']['cpus']} CPUs; Linux "
            f"{about['machine']['kernel']}; Python {about['machine']['python']}; commit "
            f"{about['commit']}; {about['when']}.\n"
        )
        print(tables(results))


if __name__ == "__main__":
    main()
