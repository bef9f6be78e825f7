"""Loads that wrk has no form of: uploads, very many listeners, the first byte of a stream. Each is
a C program of clients/; this starts it, watches the server, and makes a cell of what it prints."""

import os
import subprocess
import time
from pathlib import Path

import environments
from environments import HERE
from scenarios import UPLOAD_MB, Scenario
from servers import Failed, Meter, Process, above_others

CLIENT_LIMIT_S = 120
BROADCASTS = 4  # at least, and at a time
SETTLE_S = 2.0  # from the last connection until memory is read


# What programs of clients/ are linked with.
LIBRARIES = {"handshake": ["-lssl", "-lcrypto"], "hold": ["-lssl", "-lcrypto"]}


def client(name: str, core: int, *arguments: object) -> subprocess.Popen:
    """A program of clients/ on its core, compiled when it is not yet."""
    target = environments.cache_folder() / "clients" / name
    why = environments.compile_c(HERE / "clients" / f"{name}.c", target, LIBRARIES.get(name, []))
    if why:
        raise Failed(f"clients/{name}.c: {why}")
    return subprocess.Popen(
        ["taskset", "-c", str(core), str(target), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=above_others,
    )


def output(program: subprocess.Popen) -> str:
    """All that it prints until it ends."""
    try:
        out, error = program.communicate(timeout=CLIENT_LIMIT_S)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        raise Failed(f"not done in {CLIENT_LIMIT_S} s") from None
    if program.returncode:
        raise Failed(error.strip() or f"the client ended with {program.returncode}")
    return out


# ---- uploads ------------------------------------------------------------------------------------


def _upload(p: Process, s: Scenario, seconds: float, core: int) -> int:
    """For at least so long. Returns how often."""
    kind = "form" if s.form else "plain"
    program = client("upload", core, p.port, s.method, s.path, UPLOAD_MB, seconds, kind)
    return int(output(program).split()[0])


def upload(p: Process, s: Scenario, seconds: float, core: int, listeners: int) -> dict:
    stored = p.folder / "uploads/body"
    stored.unlink(missing_ok=True)
    _upload(p, s, 0, core)
    size = stored.stat().st_size if stored.exists() else None
    if size != UPLOAD_MB << 20:
        raise Failed(f"stored {size} bytes of {UPLOAD_MB << 20}")
    meter = Meter(p)
    uploads = _upload(p, s, seconds, core)
    return meter.cell(uploads * s.units) | {"memory_mb": p.usage().rss_bytes / 1e6}


# ---- many listeners -----------------------------------------------------------------------------


def _line(program: subprocess.Popen) -> list[str]:
    assert program.stdout
    words = program.stdout.readline().split()
    if not words:
        output(program)
        raise Failed("the client ended early")
    return words


def _broadcast(program: subprocess.Popen) -> list[float]:
    """Events, and the median and 99th percentile of the time to the last listener."""
    assert program.stdin
    program.stdin.write(f"{BROADCASTS}\n")
    program.stdin.flush()
    return [float(word) for word in _line(program)]


def events(p: Process, s: Scenario, seconds: float, core: int, listeners: int) -> dict:
    program = client("sse", core, p.port, s.path, "/publish", listeners)
    try:
        _line(program)
        time.sleep(SETTLE_S)
        connected_mb = p.usage().rss_bytes / 1e6
        _broadcast(program)
        meter = Meter(p, program.pid)
        got = [_broadcast(program)]
        while meter.seconds() < seconds:
            got.append(_broadcast(program))
        cell = meter.cell(int(sum(events for events, _, _ in got)))
    finally:
        program.kill()
        program.communicate()
    cell["p50_us"] = sorted(p50 for _, p50, _ in got)[len(got) // 2]
    cell["p99_us"] = max(p99 for _, _, p99 in got)
    memory_mb = max(connected_mb, p.usage().rss_bytes / 1e6)
    return cell | {"connected_mb": connected_mb, "memory_mb": memory_mb, "listeners": listeners}


# ---- the first byte -----------------------------------------------------------------------------


def first(p: Process, s: Scenario, seconds: float, core: int, listeners: int) -> dict:
    """The json row takes turns with it: their ratio is what counts."""
    paths = ("/json", s.path)
    output(client("first_byte", core, p.port, 0.1, *paths))
    meter = Meter(p)
    lines = output(client("first_byte", core, p.port, seconds, *paths)).splitlines()
    (_, json_p50, _), (count, p50, p99) = ([float(word) for word in line.split()] for line in lines)
    cell = meter.cell(2 * int(count)) | {"p50_us": p50, "p99_us": p99, "json_p50_us": json_p50}
    return cell | {"over_json": p50 / json_p50}


MEASURES = {"upload": upload, "events": events, "first": first}


def memory_folder() -> str | None:
    """Where uploads go, so that no disk takes part; None: wherever temporary files do."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def make_folder(folder: Path, uploads: Path, files: dict[str, bytes]) -> None:
    """What every server finds below BENCH_FOLDER."""
    (folder / "files").mkdir()
    (folder / "uploads").symlink_to(uploads)
    for name, content in files.items():
        (folder / "files" / name).write_bytes(content)
