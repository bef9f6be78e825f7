"""bench/footprint.py against its bars."""

import importlib.util
import os
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "bench/footprint.py"


@pytest.mark.slow
@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="sanitizers need time and memory")
def test_footprint() -> None:
    spec = importlib.util.spec_from_file_location("footprint", SCRIPT)
    assert spec and spec.loader
    footprint = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(footprint)
    measured = footprint.measure()
    assert {name: value for name, value in measured.items() if value > footprint.BARS[name]} == {}
