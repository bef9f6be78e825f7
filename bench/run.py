#!/usr/bin/env python3
"""Measure Cello beside other Python servers on this machine. bench/README.md explains the figures.

make bench                          everything: peers, ceilings, latencies, memory, the GIL
make bench-quick                    Cello and the ceilings, in two minutes
bench/run.py --only robyn --scenarios json,echo --rounds 10
bench/run.py --publish              also write RESULTS.md, results/latest.json and the plot
"""

import argparse
import contextlib
import fcntl
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import environments
import load
import machine
import plot
import report
import servers
import streams
from environments import HERE, Server
from scenarios import BY_NAME, FILES, SCENARIOS, Scenario, file_bytes

FOREIGN_MAX = 0.15  # of one CPU, used by others: the cell is measured once more
RATES = (0.5, 0.8)  # of the closed loop's peak


class Lock:
    """Two runs on one machine never overlap."""

    def __enter__(self) -> "Lock":
        self.file = open(Path(tempfile.gettempdir()) / "bench.lock", "w")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def cello_server(back_end: str = "") -> Server:
    """This project, with the back end it chooses itself or the one that is asked for."""
    app = f"{sys.executable} {HERE / 'peers/cello_app.py'}"
    if not back_end:
        return Server("cello", "this project", app, sys.executable, "cello")
    env = {"CELLO_BACKEND": "io_uring" if back_end == "uring" else back_end}
    what = f"this project over {back_end}"
    return Server(f"cello-{back_end}", what, app, sys.executable, "cello", env=env)


def choose_servers(a: argparse.Namespace) -> tuple[list[Server], dict[str, str]]:
    only = set(a.only.split(",")) if a.only else None
    chosen = [cello_server()]
    chosen += [cello_server(b) for b in ("epoll", "uring") if f"cello-{b}" in (only or ())]
    ceilings, left_out = environments.ceilings(only)
    chosen += ceilings
    natives, missing = environments.natives(only)
    chosen += natives
    left_out |= missing
    if not a.quick or only:
        peers, missing = environments.peers(only)
        chosen += peers
        left_out |= missing
    unknown = (only or set()) - {s.name for s in chosen} - set(left_out)
    if unknown:
        sys.exit("no server " + ", ".join(sorted(unknown)))
    return chosen, left_out


class Bench:
    """One run: its settings, and what was measured so far."""

    def __init__(self, a: argparse.Namespace, folder: Path) -> None:
        self.a = a
        self.folder = folder
        self.scenarios = [BY_NAME[n] for n in a.scenarios.split(",")] if a.scenarios else SCENARIOS
        self.rounds: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
        self.latency: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
        self.memory: dict[str, list[float]] = defaultdict(list)
        self.failures: dict[str, dict[str, str]] = defaultdict(dict)
        self.stats: dict[str, dict[str, float | None]] = {}

    # ---- one cell ----

    def measure_once(self, process: servers.Process, scenario: Scenario) -> dict:
        a = self.a
        if scenario.load != "wrk":
            measure = streams.MEASURES[scenario.load]
            return measure(process, scenario, a.duration, a.load_core, a.listeners)
        with contextlib.suppress(servers.Failed):  # too slow for a single answer
            load.closed(scenario, process.port, a.warmup, a.load_core, self.folder)
        meter = servers.Meter(process)
        got = load.closed(scenario, process.port, a.duration, a.load_core, self.folder)
        if got.errors > got.requests * 0.001:
            raise servers.Failed(f"{got.errors} of {got.requests} requests failed")
        return meter.cell(got.requests * scenario.units) | asdict(got)

    def measure(self, process: servers.Process, scenario: Scenario) -> dict:
        cell = self.measure_once(process, scenario)
        if cell["foreign"] > FOREIGN_MAX:
            again = self.measure_once(process, scenario)
            cell = min(cell, again, key=lambda c: c["foreign"])
        return cell

    # ---- one server ----

    def todo(self, server: Server, variant: str) -> list[Scenario]:
        return [
            s
            for s in self.scenarios
            if s.variant == variant
            and (not server.rows or s.name in server.rows)
            and (not s.only or server.name in s.only)
            and s.name not in server.without
            and s.name not in self.failures[server.name]
        ]

    def visit(self, server: Server, variant: str) -> None:
        """Start a server, measure every scenario of this variant once, stop it."""
        todo = self.todo(server, variant)
        if not todo:
            return
        try:
            with Lock(), servers.Process(server, variant, self.a.server_core, self.folder) as p:
                for scenario in todo:
                    self.visit_scenario(p, scenario)
                if not variant:
                    self.memory[server.name].append(p.usage().rss_bytes / 1e6)
        except servers.Failed as e:
            why = machine.without_paths(str(e))
            for scenario in todo:
                self.failures[server.name].setdefault(scenario.name, why)

    def visit_scenario(self, p: servers.Process, scenario: Scenario) -> None:
        name = p.server.name
        why = p.problem(scenario)
        if not why:
            try:
                cell = self.measure(p, scenario)
                self.rounds[scenario.name][name].append(cell)
                return
            except servers.Failed as e:
                why = str(e)
        self.failures[name][scenario.name] = why

    def run_rounds(self, chosen: list[Server]) -> None:
        variants = list(dict.fromkeys(s.variant for s in self.scenarios))
        started = time.monotonic()
        for n in range(1, self.a.rounds + 1):
            for server in chosen:
                for variant in variants:
                    self.visit(server, variant)
                print(f"{time.monotonic() - started:5.0f} s  round {n}  {server.name}", flush=True)

    # ---- latency at a fixed rate ----

    def peak(self, scenario: Scenario, name: str) -> float | None:
        cells = self.rounds[scenario.name].get(name)
        return statistics.median(c["per_second"] for c in cells) if cells else None

    def run_latency(self, chosen: list[Server], oha: str) -> None:
        """p50 and p99 at shares of each server's own peak, as far as the generator can follow;
        pipelining has no such figure. The ceilings show what of it is the generator's own."""
        for server in chosen:
            todo = [s for s in self.todo(server, "") if s.pipelined == 1]
            if not todo:
                continue
            try:
                with Lock(), servers.Process(server, "", self.a.server_core, self.folder) as p:
                    for scenario in todo:
                        self.latency_of(p, scenario, oha)
            except servers.Failed as e:
                print(f"latency of {server.name}: {e}", flush=True)
            print(f"latency  {server.name}", flush=True)

    def latency_of(self, p: servers.Process, scenario: Scenario, oha: str) -> None:
        peak = self.peak(scenario, p.server.name)
        for share in RATES if peak else ():
            rate, seconds = min(share * peak, load.FIXED_RATE_MAX), self.a.latency_duration
            got = load.fixed_rate(oha, scenario, p.port, rate, seconds, self.a.load_core)
            cell = {**asdict(got), "share": share, "asked_per_second": rate}
            self.latency[scenario.name][p.server.name].append(cell)

    # ---- the GIL ----

    def run_stats(self) -> None:
        """Cello's own counters per request, from a process that shows them."""
        server = cello_server()
        server.command += " --stats"
        try:
            with Lock(), servers.Process(server, "", self.a.server_core, self.folder) as p:
                for scenario in self.todo(server, ""):
                    before = self.read_stats(p)
                    load.closed(scenario, p.port, 0.5, self.a.load_core, self.folder)
                    after = self.read_stats(p)
                    self.stats[scenario.name] = _per_request(before, after)
        except (servers.Failed, ValueError) as e:
            print(f"no counters: {e}", flush=True)

    def read_stats(self, p: servers.Process) -> dict:
        status, _, body = p.ask("GET", "/stats")
        if status != 200:
            raise servers.Failed(f"/stats answers {status}: {p.last_words()}")
        return json.loads(body)


def _per_request(before: dict, after: dict) -> dict[str, float | None]:
    """Missing counters become None: a dash in the table."""
    n = max(after["requests"] - before["requests"], 1)

    def share(key: str) -> float | None:
        return (after[key] - before[key]) / n if key in after else None

    held_ns = share("gil_held_ns")
    return {
        "gil_acquisitions": share("gil_acquisitions"),
        "gil_held_us": None if held_ns is None else held_ns / 1e3,
        "application_calls": share("application_calls"),
        "turns": share("turns"),
    }


def summary(rounds: dict[str, dict[str, list[dict]]]) -> dict[str, dict[str, dict]]:
    """Medians over the rounds, and the cheapest round."""
    keys = ("per_second", "cpu_us", "p50_us", "p99_us", "generator_busy", "foreign")
    keys += ("memory_mb", "connected_mb", "json_p50_us", "over_json")
    out: dict[str, dict[str, dict]] = {}
    for scenario, cells in rounds.items():
        out[scenario] = {}
        for name, row in cells.items():
            known = {k: [c[k] for c in row if c.get(k) is not None] for k in keys}
            cell = {k: statistics.median(v) for k, v in known.items() if v}
            cell |= {"cpu_min_us": min(c["cpu_us"] for c in row), "rounds": len(row)}
            out[scenario][name] = cell
    return out


def arguments() -> argparse.Namespace:
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--quick", action="store_true", help="no peers, short rounds")
    ap.add_argument(
        "--only", help="these beside Cello, comma-separated; also cello-epoll, cello-uring"
    )
    ap.add_argument("--scenarios", help=",".join(BY_NAME))
    ap.add_argument("--rounds", type=int)
    ap.add_argument("--duration", type=float, help="seconds of one measurement")
    ap.add_argument("--warmup", type=float)
    ap.add_argument("--latency-duration", type=float, default=2)
    ap.add_argument("--listeners", type=int, default=5000, help="of the events row")
    ap.add_argument("--no-latency", action="store_true")
    ap.add_argument("--oha", help="the fixed-rate generator; default: oha on PATH")
    ap.add_argument("--server-core", type=int, default=0)
    ap.add_argument("--load-core", type=int, default=1)
    ap.add_argument("--out", type=Path, help="default: bench/results/local/DATE.json")
    ap.add_argument("--publish", action="store_true", help="write what the repository shows")
    a = ap.parse_args()
    a.rounds = a.rounds or (3 if a.quick else 5)
    a.duration = a.duration or (0.3 if a.quick else 1)
    a.warmup = a.warmup or (0.1 if a.quick else 0.2)
    return a


def main() -> None:
    a = arguments()
    if os.cpu_count() == 1:
        sys.exit("measuring needs two CPUs: one for the server, one for the load")
    chosen, left_out = choose_servers(a)
    oha = None if a.no_latency or a.quick else load.find_oha(a.oha)
    with (
        tempfile.TemporaryDirectory(prefix="cello-bench-") as folder,
        tempfile.TemporaryDirectory(prefix="cello-bench-", dir=streams.memory_folder()) as uploads,
    ):
        files = {name: file_bytes(size) for name, size in FILES.items()}
        streams.make_folder(Path(folder), Path(uploads), files)
        bench = Bench(a, Path(folder))
        bench.run_rounds(chosen)
        bench.run_stats()
        if oha:
            bench.run_latency(chosen, oha)
        idle = {s.name: servers.idle_rss_bytes(s.python) / 1e6 for s in chosen if s.python}
    doc = {
        **machine.describe(),
        "settings": {k: v for k, v in vars(a).items() if isinstance(v, int | float)},
        "servers": {s.name: {"what": s.what, "kind": s.kind, "without": s.without} for s in chosen},
        "left_out": left_out,
        "failures": bench.failures,
        "summary": summary(bench.rounds),
        "latency": bench.latency,
        "memory_mb": {n: statistics.median(v) for n, v in bench.memory.items()},
        "idle_interpreter_mb": idle,
        "stats": bench.stats,
        "rounds": bench.rounds,
    }
    out = a.out or HERE / "results/local" / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    write(doc, out, publish=a.publish)


def write(doc: dict, out: Path, *, publish: bool) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(doc, indent=1) + "\n")
    text = report.markdown(doc)
    out.with_suffix(".md").write_text(text)
    out.with_suffix(".svg").write_text(plot.svg(doc))
    print(text, f"\nwritten: {out}", flush=True)
    if publish:
        (HERE / "results/latest.json").write_text(json.dumps(doc, indent=1) + "\n")
        (HERE / "RESULTS.md").write_text(text)
        assets = HERE.parent / "docs/assets"
        assets.mkdir(parents=True, exist_ok=True)
        (assets / "bench.svg").write_text(plot.svg(doc))


if __name__ == "__main__":
    main()
