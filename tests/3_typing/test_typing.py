"""The types users see: mypy --strict and pyright over the examples, what must and what must not
check; and the stub of the engine against the engine itself."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="types need no sanitizer")

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# The shortest program there is has no annotations.
EXAMPLES = [p for p in sorted((ROOT / "examples/python").glob("*.py")) if p.stem != "01_hello"]


def mypy(*paths: Path) -> list[str]:
    """Its errors, as "file:line: error: ... [code]"."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    command += ["--config-file", str(HERE / "mypy.ini")]
    done = subprocess.run(
        [*command, *map(str, paths)], cwd=HERE, capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if ": error:" in line]


def mistakes() -> set[tuple[int, str]]:
    """Line and kind of those in must_not_check.py."""
    lines = (HERE / "must_not_check.py").read_text().splitlines()
    found = ((number, re.search(r"# E: ([a-z-]+)$", line)) for number, line in enumerate(lines, 1))
    return {(number, mark[1]) for number, mark in found if mark}


@pytest.mark.timeout(180)
def test_what_must_check() -> None:
    assert mypy(HERE / "must_check.py", *EXAMPLES) == []


@pytest.mark.timeout(180)
def test_what_must_not_check() -> None:
    reported = set()
    for line in mypy(HERE / "must_not_check.py"):
        found = re.search(r":(\d+): error: .*\[([a-z-]+)\]$", line)
        assert found, line
        reported.add((int(found[1]), found[2]))
    assert reported == mistakes()


# ---- pyright ----


def pyright(*paths: Path) -> list[tuple[str, int, str]]:
    """File, line and message of what it says, in its basic mode, which editors have."""
    pytest.importorskip("pyright")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(
        [*command, *map(str, paths)], cwd=HERE, capture_output=True, text=True, timeout=150
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1, found["message"])
        for found in json.loads(done.stdout)["generalDiagnostics"]
    ]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_what_must_check_for_pyright() -> None:
    assert pyright(HERE / "must_check.py", *EXAMPLES) == []


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_what_must_not_check_for_pyright() -> None:
    found = {line for _, line, _ in pyright(HERE / "must_not_check.py")}
    assert found == {line for line, _ in mistakes()}


# ---- the stub, and that checkers find it ----


def test_the_wheel_has_the_types() -> None:
    installed = {str(path) for path in importlib.metadata.files("cello") or ()}
    assert {"cello/py.typed", "cello/_cello.pyi"} <= installed


@pytest.mark.timeout(180)
def test_the_stub_is_the_engine(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "cello"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout
