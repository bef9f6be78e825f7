#!/usr/bin/env python3
"""Count the instructions of a request and compare them with what they were.

    bench/gate/check.py            build the release, count, compare; exit 1 at +3 %
    bench/gate/check.py --store    count, and make that the reference

bench/micro/http_gate_bench.c serves fixed requests over memory; callgrind counts what one costs,
the same number on every machine with this compiler, C library and nghttp2 (they are the key of a
reference in instructions.json). Times vary with the machine and its load; this does not.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "bench/gate/instructions.json"
PROGRAM = ROOT / "build/release/bench/http_gate_bench"
TOLERANCE = 0.03
REQUESTS = 8192  # a multiple of what one turn of the loop serves in every scenario


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def tool_chain() -> str:
    """What decides the numbers besides the code."""
    cache = (ROOT / "build/release/CMakeCache.txt").read_text()
    found = re.search(r"^CMAKE_C_COMPILER:\w+=(.*)$", cache, re.M)
    compiler = found[1] if found else "cc"
    kind = "clang" if "clang" in _run(compiler, "--version") else "gcc"
    version = _run(compiler, "-dumpfullversion" if kind == "gcc" else "-dumpversion").strip()
    nghttp2 = _run("pkg-config", "--modversion", "libnghttp2").strip()
    libraries = f"{' '.join(platform.libc_ver())}, nghttp2 {nghttp2}"
    return f"{kind} {version}, {libraries}, {platform.machine()}"


def build() -> None:
    if not (ROOT / "build/release/build.ninja").exists():
        _run("cmake", "--preset", "release")
    _run("cmake", "--build", "--preset", "release", "--target", "bench_http_gate_bench")


def scenarios() -> list[str]:
    source = (ROOT / "bench/micro/http_gate_bench.c").read_text()
    table = source[source.index("scenarios[] = {") : source.index("enum { SCENARIOS")]
    return re.findall(r'^    \{"(\w+)"', table, re.M)


def count(scenario: str) -> float:
    """Instructions per request."""
    with tempfile.TemporaryDirectory() as folder:
        out = _run(
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"),
            *("--collect-atstart=no", "--toggle-collect=gate_serve*"),
            *(PROGRAM, scenario, str(REQUESTS)),
        )
    found = re.search(r"Collected : (\d+)", out)
    if not found:
        sys.exit(out)
    return round(int(found[1]) / REQUESTS, 1)


def too_many(counted: dict[str, float], reference: dict[str, float]) -> list[str]:
    """What costs more than it did, and what nothing is known about."""
    found = []
    for name, now in counted.items():
        before = reference.get(name)
        if before is None:
            found.append(f"{name}: {now:.0f}, and no reference")
        elif now > before * (1 + TOLERANCE):
            found.append(f"{name}: {now:.0f} instructions, {now / before - 1:+.1%} of {before:.0f}")
    return found


def load_reference() -> dict[str, dict[str, float]]:
    return json.loads(REFERENCE.read_text()) if REFERENCE.exists() else {}


def main() -> None:
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--store", action="store_true")
    a = ap.parse_args()
    build()
    key, references = tool_chain(), load_reference()
    counted = {name: count(name) for name in scenarios()}
    before = references.get(key, {})
    for name, now in counted.items():
        change = f"{now / before[name] - 1:+.1%}" if name in before else ""
        print(f"{name:12} {now:8.1f} instructions  {change}")
    if a.store:
        references[key] = counted
        REFERENCE.write_text(json.dumps(references, indent=2, sort_keys=True) + "\n")
    elif not before:
        print(f"no reference for {key}: --store makes one")
    elif found := too_many(counted, before):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
