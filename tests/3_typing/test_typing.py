"""The types users see: mypy --strict over the package, the examples, what must and what must not
check; and the stub of the engine against the engine itself."""

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
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file", ""]
    done = subprocess.run(
        [*command, *map(str, paths)], cwd=HERE, capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if ": error:" in line]


@pytest.mark.timeout(180)
def test_what_must_check() -> None:
    assert mypy(HERE / "must_check.py", *EXAMPLES) == []


@pytest.mark.timeout(180)
def test_what_must_not_check() -> None:
    path = HERE / "must_not_check.py"
    expected = {
        (number, found[1])
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (found := re.search(r"# E: ([a-z-]+)$", line))
    }
    reported = set()
    for line in mypy(path):
        found = re.search(r":(\d+): error: .*\[([a-z-]+)\]$", line)
        assert found, line
        reported.add((int(found[1]), found[2]))
    assert reported == expected


@pytest.mark.timeout(180)
def test_the_stub_is_the_engine(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "cello"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout
