"""The text of every tracked file: no path of one machine, no registry, nothing left undone."""

import re

from source_tree import relative, tracked_files

# Written so that no pattern matches itself: this file passes its own lint.
RULES = {
    "path of a machine": r"(^|[^\w.:/])/(work|root|farm|home/[a-z]+)/",
    "package registry": r"(https?://|deb )[\w./:-]*(debian|pypi|pythonhosted|npmjs|golang|crates)",
    "work left undone": r"\b(TO[D]O|FIX[M]E|X[X]X)\b",
    "test switched off": r"pytest\.mark\.skip[(]",
}
NOT_TEXT = (".lock", ".png", ".svg", ".zip")


def violations(text: str) -> list[str]:
    return [
        f"line {number}: {rule}"
        for number, line in enumerate(text.splitlines(), 1)
        for rule, pattern in RULES.items()
        if re.search(pattern, line)
    ]


def test_text_of_every_file() -> None:
    found = {}
    for path in tracked_files():
        if path.suffix in NOT_TEXT or "fuzz/seeds" in relative(path):
            continue
        found[relative(path)] = violations(path.read_text(errors="replace"))
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_finds_each_kind() -> None:
    machine, person, registry, undone = "root", "home/jane", "files.pythonhosted.org", "TO" + "DO"
    assert violations(f"see /{machine}/.venv/bin") == ["line 1: path of a machine"]
    assert violations(f"\nx = '/{person}/cello'") == ["line 2: path of a machine"]
    assert violations(f"https://{registry}/x") == ["line 1: package registry"]
    assert violations(f"/* {undone}: later */") == ["line 1: work left undone"]
    assert violations("@pytest.mark." + "skip(reason='')") == ["line 1: test switched off"]
    assert violations("GET /home HTTP/1.1, /network/, https://cello.example/work/x") == []
