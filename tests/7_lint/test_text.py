"""Tracked files: no path of one machine, no registry, nothing left undone, nothing left over."""

import re

from source_tree import relative, tracked_files

# Written so that no pattern matches itself: this file passes its own lint.
RULES = {
    "path of a machine": r"(^|[^\w.:/])/(work|root|farm|home/[a-z]+|tmp/\w+)/",
    "package registry": r"(https?://|deb )[\w./:-]*(debian|pypi|pythonhosted|npmjs|golang|crates)",
    "work left undone": r"\b(TO[D]O|FIX[M]E|X[X]X)\b",
    "test switched off": r"pytest\.mark\.skip[(]",
}
AT_THE_TOP = {
    "AGENTS.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CMakeLists.txt",
    "CMakePresets.json",
    "CODEOWNERS",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "pyproject.toml",
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


def test_no_other_file_at_the_top() -> None:
    names = {relative(path) for path in tracked_files()}
    assert {name for name in names if "/" not in name and name[0] != "."} == AT_THE_TOP


def test_finds_each_kind() -> None:
    machine, person, registry, undone = "root", "home/jane", "files.pythonhosted.org", "TO" + "DO"
    assert violations(f"see /tmp/{machine}/app.py") == ["line 1: path of a machine"]
    assert violations("/tmp/cello.sock, /tmp/cello-XXXXXX/a, build/tmp/x/y") == []
    assert violations(f"see /{machine}/.venv/bin") == ["line 1: path of a machine"]
    assert violations(f"\nx = '/{person}/cello'") == ["line 2: path of a machine"]
    assert violations(f"https://{registry}/x") == ["line 1: package registry"]
    assert violations(f"/* {undone}: later */") == ["line 1: work left undone"]
    assert violations("@pytest.mark." + "skip(reason='')") == ["line 1: test switched off"]
    assert violations("GET /home HTTP/1.1, /network/, https://cello.example/work/x") == []
