"""Generated tables are what their generators print."""

import subprocess
import sys

import pytest
from source_tree import GENERATED, ROOT, c_files, relative


@pytest.mark.parametrize(("table", "generator"), GENERATED.items())
def test_is_what_the_generator_prints(table: str, generator: str) -> None:
    command = [sys.executable, str(ROOT / generator)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == (ROOT / table).read_text(), f"run {generator} > {table}"


def test_every_generated_table_is_known() -> None:
    marked = {relative(p) for p in c_files("src", "ext") if "do not edit" in p.read_text()[:200]}
    assert marked == set(GENERATED)
