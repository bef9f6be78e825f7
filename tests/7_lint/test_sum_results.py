"""What CI says at the end: the sum is never better than what the runners said."""

import subprocess
import sys

import pytest
from source_tree import ROOT


def summed(log: str, status: int) -> str:
    command = [sys.executable, str(ROOT / "tools/sum_results.py"), str(status)]
    return subprocess.run(
        command, input=log, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize(
    ("line", "sum_"),
    [
        ("===== 12 passed, 3 skipped, 4 deselected in 1.50s =====", "12 passed, 0 failed"),
        ("== 1 failed, 12 passed, 2 errors in 70.1s (0:01:10) ==", "12 passed, 3 failed"),
        ("100% tests passed, 0 tests failed out of 83", "83 passed, 0 failed"),
        ("96% tests passed, 3 tests failed out of 83", "80 passed, 3 failed"),
        ("fuzz: 7 passed, 1 failed", "7 passed, 1 failed"),
        ("==== Python 3.13", "0 passed, 0 failed"),
    ],
)
def test_every_runner_is_understood(line: str, sum_: str) -> None:
    assert summed(f"before\n{line}\nafter\n", 0) == sum_


def test_the_sum_is_that_of_all_runners() -> None:
    log = (
        "= 2 passed in 1s =\n50% tests passed, 1 tests failed out of 2\nfuzz: 3 passed, 0 failed\n"
    )
    assert summed(log, 2) == "6 passed, 1 failed"


def test_a_run_that_failed_is_never_clean() -> None:
    assert summed("= 2 passed in 1s =\n", 2) == "2 passed, 1 failed"
