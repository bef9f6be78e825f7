"""The load generators: wrk as fast as it can (closed loop), oha at a fixed rate."""

import json
import math
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from scenarios import Scenario
from servers import Failed, above_others

CONNECTIONS = 64
# What oha keeps up with on one core without adding delays of its own (tried on raw-epoll).
FIXED_RATE_MAX = 40_000
UNIT_US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}


@dataclass
class Load:
    requests: int
    per_second: float
    p50_us: float | None
    p99_us: float | None
    errors: int  # not answered, or not with 2xx


def _wrk_script(scenario: Scenario, folder: Path) -> list[str]:
    if scenario.body:
        text = (
            f'wrk.method = "POST"\nwrk.body = [==[{scenario.body.decode()}]==]\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
        )
    elif scenario.pipelined > 1:
        text = (
            "local batch\n"
            f'function init() local r = wrk.format("GET", "{scenario.path}")\n'
            f"batch = r:rep({scenario.pipelined}) end\n"
            "function request() return batch end\n"
        )
    else:
        return []
    path = folder / f"{scenario.name}.lua"
    path.write_text(text)
    return ["-s", str(path)]


def _latency_us(out: str, percent: int) -> float | None:
    m = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", out, re.M)
    return float(m[1]) * UNIT_US[m[2]] if m else None


def closed(
    scenario: Scenario,
    port: int,
    seconds: float,
    core: int,
    folder: Path,
    scheme: str = "http",
    connections: int = CONNECTIONS,
) -> Load:
    """Each connection asks again as soon as it was answered."""
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", "--latency"]
    command += [f"-d{math.ceil(seconds) + 1}s", *_wrk_script(scenario, folder)]
    started = time.monotonic()
    p = subprocess.Popen(
        [*command, f"{scheme}://127.0.0.1:{port}{scenario.path}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=above_others,
    )
    time.sleep(seconds)
    p.send_signal(signal.SIGINT)  # wrk takes whole seconds only
    try:
        out, _ = p.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        p.kill()
        raise Failed("wrk did not end") from None
    m = re.search(r"(\d+) requests in", out)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if not m or not rate or int(m[1]) == 0:
        raise Failed("wrk: no answers in " + f"{time.monotonic() - started:.1f} s")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    lost = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    errors = int(bad[1]) if bad else 0
    errors += sum(map(int, lost.groups())) if lost else 0
    # Of several requests in one write, wrk's percentiles are none: p99 comes out as 0.
    p50, p99 = (_latency_us(out, n) if scenario.pipelined == 1 else None for n in (50, 99))
    return Load(int(m[1]), float(rate[1]), p50, p99, errors)


def find_oha(given: str | None) -> str | None:
    return given or shutil.which("oha")


def fixed_rate(
    oha: str, scenario: Scenario, port: int, rate: float, seconds: float, core: int
) -> Load:
    """Requests leave at this rate whether or not the server keeps up; latency counts from the
    moment a request should have left, so a server that stalls cannot hide it."""
    command = ["taskset", "-c", str(core), oha, "--no-tui", "--output-format", "json"]
    command += ["-z", f"{seconds:g}s", "-c", str(CONNECTIONS), "-q", str(round(rate))]
    command += ["--latency-correction", "-w"]
    if scenario.body:
        command += ["-m", "POST", "-T", "application/json", "-d", scenario.body.decode()]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{scenario.path}"],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        preexec_fn=above_others,
    )
    try:
        doc = json.loads(done.stdout)
    except ValueError:
        raise Failed("oha: " + (done.stderr or done.stdout)[-200:]) from None
    doc["errorDistribution"].pop("aborted due to deadline", None)
    percentiles = doc["latencyPercentiles"]
    statuses = doc["statusCodeDistribution"]
    answered = sum(statuses.values())
    good = sum(n for status, n in statuses.items() if status.startswith("2"))
    return Load(
        answered,
        doc["summary"]["requestsPerSec"],
        (percentiles["p50"] or 0) * 1e6,
        (percentiles["p99"] or 0) * 1e6,
        answered - good + sum(doc["errorDistribution"].values()),
    )
