#!/usr/bin/env python3
"""What TLS and HTTP/2 cost: CPU time per request, per handshake and per MB beside nginx, h2o and
granian, and the memory of idle connections beside a bare C program.

    .venv/bin/python bench/tls_http2.py                    prints tables, as in TLS_HTTP2.md
    .venv/bin/python bench/tls_http2.py --rows handshake   those whose names have that in them
    .venv/bin/python bench/tls_http2.py --out FILE         adds its rounds to what is in the file

All servers of one place (tls_servers.py) run at once, on core 0, and the load, on core 1, asks one
after the other: rounds are interleaved. CPU time is the server's, by the scheduler's count.
"""

import argparse
import contextlib
import json
import math
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import load
import machine
import streams
import tls_servers
from scenarios import Scenario
from servers import Failed, Meter, above_others
from tls_servers import MB_FILE, Process

import cluster

SERVER_CORE, LOAD_CORE = 0, 1
FIRST_REQUESTS = 2000  # from which a speed is guessed
FIRST_HANDSHAKES = 160
AT_A_TIME = 8  # handshakes
MB_CONNECTIONS = 8
WARMUP_S = 0.1
OPEN_BEFORE, HELD = 200, 1000  # idle connections: those that are there, those that are counted
SETTLE_S = 1.5

CELLO = ("cello", "cello-epoll")

# ---- loads -----------------------------------------------------------------------------------

# Warms a server up, and returns what asks it for some seconds and tells how often.
Load = Callable[[Process, str, float], Callable[[], int]]


def _h2load(process: Process, path: str, clients: int, streams_each: int, requests: int) -> float:
    """Returns the seconds that it took."""
    command = ["taskset", "-c", str(LOAD_CORE), "h2load", "-t1", f"-c{clients}"]
    command += [f"-m{streams_each}", f"-n{requests}", process.url(path)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=above_others)
    took = re.search(r"finished in ([\d.]+)(us|ms|s)", done.stdout)
    if not took or f"status codes: {requests} 2xx" not in done.stdout:
        raise Failed("h2load: " + (done.stderr or done.stdout)[-300:])
    if "Application protocol: h2" not in done.stdout:
        raise Failed("h2load did not get HTTP/2")
    return float(took[1]) * load.UNIT_US[took[2]] / 1e6


def h2(clients: int, streams_each: int) -> Load:
    def prepare(process: Process, path: str, seconds: float) -> Callable[[], int]:
        def ask(requests: int) -> float:
            return _h2load(process, path, clients, streams_each, requests)

        count = max(FIRST_REQUESTS, int(FIRST_REQUESTS / ask(FIRST_REQUESTS) * seconds))
        return lambda: (ask(count), count)[1]

    return prepare


def https(connections: int) -> Load:
    def prepare(process: Process, path: str, seconds: float) -> Callable[[], int]:
        scenario = Scenario("https", "", path, "")

        def ask(duration: float) -> int:
            where = (process.port, duration, LOAD_CORE, process.folder)
            got = load.closed(scenario, *where, scheme="https", connections=connections)
            if got.errors:
                raise Failed(f"{got.errors} of {got.requests} requests failed")
            return got.requests

        ask(WARMUP_S)
        return lambda: ask(seconds)

    return prepare


def handshakes(kind: str) -> Load:
    def prepare(process: Process, path: str, seconds: float) -> Callable[[], int]:
        def shake(count: int) -> float:
            program = ("handshake", LOAD_CORE, process.port, count, AT_A_TIME, kind)
            return float(streams.output(streams.client(*program)).split()[1])

        count = FIRST_HANDSHAKES / shake(FIRST_HANDSHAKES) * seconds
        count = AT_A_TIME * math.ceil(count / AT_A_TIME)
        return lambda: (shake(count), count)[1]

    return prepare


# ---- rows ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    name: str
    place: str
    prepare: Load
    path: str
    servers: tuple[str, ...]


def _requests(kind: str, place: str, prepare: Load, *more: str) -> list[Row]:
    return [
        Row(f"{kind}, constant", place, prepare, "/constant", (*CELLO, "h2o", "nginx", *more)),
        Row(f"{kind}, Python json", place, prepare, "/json", (*CELLO, "granian")),
    ]


def _handshakes(place: str, key: str, *more: str) -> list[Row]:
    path, who = "/constant", (*CELLO, "nginx", "h2o", *more)
    return [
        Row(f"handshake, {key}", place, handshakes("full"), path, who),
        Row(f"handshake, {key}, resumed", place, handshakes("resumed"), path, who),
    ]


ROWS = [
    *_requests("h2c 1x100", "h2c", h2(1, 100)),
    *_requests("h2c 32x10", "h2c", h2(32, 10)),
    *_requests("h2 1x100", "ecdsa", h2(1, 100)),
    *_requests("HTTPS", "ecdsa", https(load.CONNECTIONS), "raw-tls"),
    Row(
        "HTTPS, 1 MB",
        "ecdsa",
        https(MB_CONNECTIONS),
        f"/static/{MB_FILE}",
        (*CELLO, "h2o", "nginx"),
    ),
    *_handshakes("ecdsa", "P-256", "raw-tls"),
    *_handshakes("rsa", "RSA-2048"),
]

# ---- memory --------------------------------------------------------------------------------------

# What a server keeps for an idle connection of a kind: (kind, place, servers).
IDLE = [
    ("http", "h2c", CELLO),
    ("h2c", "h2c", CELLO),
    ("https", "ecdsa", (*CELLO, "raw-tls", "nginx", "h2o")),
    ("h2", "ecdsa", (*CELLO, "nginx", "h2o")),
]


def idle_bytes(process: Process, kind: str) -> float:
    """Unshared memory for each idle connection beyond the first."""
    with held(process, kind, OPEN_BEFORE):
        before = cluster.private_mb(process.popen.pid)
        with held(process, kind, HELD):
            after = cluster.private_mb(process.popen.pid)
    return (after - before) * 2**20 / HELD


@contextlib.contextmanager
def held(process: Process, kind: str, count: int) -> Iterator[None]:
    program = streams.client("hold", LOAD_CORE, process.port, count, kind)
    try:
        assert program.stdout
        if program.stdout.readline() != "ready\n":
            streams.output(program)
        time.sleep(SETTLE_S)
        yield
    finally:
        program.kill()
        program.communicate()


# ---- a run ---------------------------------------------------------------------------------------

Rounds = dict[str, dict[str, list[float]]]  # row -> server -> a figure for each round


class Bench:
    def __init__(self, rows: list[str], seconds: float, folder: Path) -> None:
        self.seconds, self.folder = seconds, folder
        self.rows = [r for r in ROWS if not rows or any(word in r.name for word in rows)]
        self.idle = [i for i in IDLE if not rows or "memory" in rows]
        self.failures: dict[str, str] = {}
        self.cpu_us: Rounds = defaultdict(lambda: defaultdict(list))
        self.memory: Rounds = defaultdict(lambda: defaultdict(list))

    def measure(self, process: Process, row: Row) -> float:
        """CPU microseconds for each."""
        ask = row.prepare(process, row.path, self.seconds)
        meter = Meter(process)
        return meter.cell(ask())["cpu_us"]

    @contextlib.contextmanager
    def started(self, place: str, names: set[str]) -> Iterator[list[Process]]:
        chosen, missing = tls_servers.choose(names, place)
        self.failures |= {name: why for name, why in missing.items() if name in names}
        with contextlib.ExitStack() as stack:
            found = []
            for server in chosen:
                try:
                    process = Process(server, place, SERVER_CORE, self.folder)
                    found.append(stack.enter_context(process))
                except Failed as e:
                    self.failures[f"{server.name}, {place}"] = machine.without_paths(str(e))
            yield found

    def run_place(self, place: str, rows: list[Row], rounds: int) -> None:
        with self.started(place, {name for row in rows for name in row.servers}) as found:
            todo = [(row, p) for row in rows for p in found if p.server.name in row.servers]
            for n in range(rounds):
                for row, process in list(todo):
                    name = process.server.name
                    try:
                        if n == 0:
                            process.check(row.path)
                        self.cpu_us[row.name][name].append(self.measure(process, row))
                    except Failed as e:
                        self.failures[f"{name}, {row.name}"] = str(e)
                        todo.remove((row, process))

    def run(self, rounds: int) -> None:
        for place in dict.fromkeys(row.place for row in self.rows):
            self.run_place(place, [row for row in self.rows if row.place == place], rounds)
        for kind, place, names in self.idle:
            for name in names:
                with self.started(place, {name}) as found:
                    for process in found:
                        try:
                            self.memory[kind][name].append(idle_bytes(process, kind) / 1024)
                        except Failed as e:
                            self.failures[f"{name}, idle {kind}"] = str(e)


# ---- what it says --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Goal:
    row: str
    other_row: str
    other: str
    most: float
    difference: bool = False  # else a ratio


GOALS = [
    Goal("h2c 1x100, constant", "h2c 1x100, constant", "h2o", 1.15),
    Goal("h2c 1x100, Python json", "h2c 1x100, constant", "cello", 1.0, difference=True),
    Goal("h2c 1x100, Python json", "h2c 1x100, Python json", "granian", 0.3),
    Goal("h2 1x100, constant", "h2 1x100, constant", "h2o", 1.15),
    Goal("h2 1x100, Python json", "h2 1x100, Python json", "granian", 0.3),
    Goal("HTTPS, Python json", "HTTPS, constant", "nginx", 1.15),
    Goal("HTTPS, 1 MB", "HTTPS, 1 MB", "nginx", 1.05),
    *(
        Goal(f"handshake, {key}", f"handshake, {key}", "nginx", 1.05)
        for key in ("P-256", "P-256, resumed", "RSA-2048", "RSA-2048, resumed")
    ),
]
MEMORY_GOALS = [("https", "raw-tls", 12.0), ("h2c", "", 20.0), ("h2", "raw-tls", 20.0)]


def goal_rows(cpu_us: Rounds) -> list[list[str]]:
    found = []
    for goal in GOALS:
        ours = cpu_us.get(goal.row, {}).get("cello", [])
        theirs = cpu_us.get(goal.other_row, {}).get(goal.other, [])
        pairs = list(zip(ours, theirs, strict=False))
        if not pairs:
            continue
        value = statistics.median(a - b if goal.difference else a / b for a, b in pairs)
        sign = "-" if goal.difference else "/"
        other = goal.other if goal.other_row == goal.row else f"{goal.other}, {goal.other_row}"
        reached = "yes" if value <= goal.most else "**no**"
        found.append([f"{goal.row} {sign} {other}", f"{value:.2f}", f"{goal.most:g}", reached])
    return found


def memory_goal_rows(memory: Rounds) -> list[list[str]]:
    found = []
    for kind, other, most in MEMORY_GOALS:
        ours = memory.get(kind, {}).get("cello")
        theirs = memory.get("https", {}).get(other)
        if not ours or (other and not theirs):
            continue
        value = statistics.median(ours) - (statistics.median(theirs) if theirs else 0)
        what = f"idle {kind}, KB" + (f" - {other}" if other else "")
        reached = "yes" if value <= most else "**no**"
        found.append([what, f"{value:.1f}", f"{most:g}", reached])
    return found


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    align = ["---"] + ["---:"] * (len(header) - 1)
    return ["| " + " | ".join(row) + " |" for row in (header, align, *rows)] + [""]


def figures(title: str, rounds: Rounds) -> list[str]:
    names = list(dict.fromkeys(name for row in rounds.values() for name in row))
    rows = []
    for row, cells in rounds.items():
        values = [f"{statistics.median(cells[n]):.2f}" if cells.get(n) else "-" for n in names]
        rows.append([row, *values])
    return table([title, *names], rows) if rows else []


def markdown(doc: dict) -> str:
    about = doc["machine"]
    what = about["machine"]
    head = f"{what['processor']}, {what['cpus']} CPUs; Linux {what['kernel']}; Python "
    head += f"{what['python']}; commit {about['commit']}; {about['when']}."
    goals = goal_rows(doc["cpu_us"]) + memory_goal_rows(doc["idle_kb"])
    text = [head, "", *figures("CPU µs per request or handshake", doc["cpu_us"])]
    text += figures("KB per idle connection", doc["idle_kb"])
    text += table(["cello against", "", "at most", "reached"], goals) if goals else []
    text += [f"- {name}: {why}" for name, why in doc["failures"].items()]
    return "\n".join(text)


def document(bench: Bench, old: dict) -> dict:
    """This run's rounds behind those of an earlier one."""
    doc = {"machine": machine.describe(), "failures": bench.failures}
    for key, new in (("cpu_us", bench.cpu_us), ("idle_kb", bench.memory)):
        doc[key] = old.get(key, {})
        for row, cells in new.items():
            for name, values in cells.items():
                doc[key].setdefault(row, {}).setdefault(name, []).extend(values)
    return doc


def main() -> None:
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--rows", nargs="+", default=[], help='parts of names; also "memory"')
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--seconds", type=float, default=0.5, help="of one measurement")
    ap.add_argument("--out", type=Path)
    a = ap.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers are stopped all the same
    with tempfile.TemporaryDirectory(prefix="cello-bench-") as folder:
        tls_servers.make_folder(Path(folder))
        bench = Bench(a.rows, a.seconds, Path(folder))
        bench.run(a.rounds)
    old = json.loads(a.out.read_text()) if a.out and a.out.exists() else {}
    doc = document(bench, old)
    if a.out:
        a.out.write_text(json.dumps(doc, indent=1) + "\n")
    print(markdown(doc))


if __name__ == "__main__":
    main()
