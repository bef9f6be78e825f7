"""A request costs no more instructions than it did: bench/gate/check.py, against its reference."""

import importlib.util
import shutil
from types import ModuleType

import pytest
from source_tree import ROOT


@pytest.fixture(scope="module")
def gate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gate_check", ROOT / "bench/gate/check.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(600)
def test_instructions_per_request(gate: ModuleType) -> None:
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    gate.build()
    reference = gate.load_reference().get(gate.tool_chain())
    if not reference:
        pytest.skip(f"no reference for {gate.tool_chain()}")
    counted = {name: gate.count(name) for name in gate.scenarios()}
    assert gate.too_many(counted, reference) == []


def test_finds_what_costs_more(gate: ModuleType) -> None:
    assert gate.too_many({"constant": 103.1, "new": 1}, {"constant": 100.0}) == [
        "constant: 103 instructions, +3.1% of 100",
        "new: 1, and no reference",
    ]
    assert gate.too_many({"constant": 102.9}, {"constant": 100.0}) == []


def test_every_scenario_has_a_reference(gate: ModuleType) -> None:
    for counts in gate.load_reference().values():
        assert set(counts) == set(gate.scenarios())
