"""Every Python block of the README and of docs/ runs; links and named tests lead somewhere; the
API reference has every public name.

    ```python             runs by itself, as a script
    ```python continues   runs after the blocks before it on the page, back to the last plain one

There is no third kind. `app.run()` in a block starts the server on a free port and stops it. A
block that asks for DATABASE_URL finds PostgreSQL there, and Redis at REDIS_URL.
"""

import contextlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cello
import pytest
import services
from source_tree import ROOT, relative, tracked_files

FENCE = re.compile(r"^```(py[^\n]*)\n(.*?)^```$", re.M | re.S)
KINDS = ("python", "python continues")

# Runs before a block: a server that would serve for ever starts, and stops again.
PRELUDE = """
import cello
def _start_and_stop(app, host="127.0.0.1", port=0, cluster=None, **settings):
    if settings.get("tls") and settings["tls"].redirect_http:
        settings["tls"].redirect_http = 0
    with app.start(host, port=0, **settings):
        pass
cello.App.run = _start_and_stop
"""


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    kind: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str, text: str) -> list[Block]:
    blocks: list[Block] = []
    for found in FENCE.finditer(text):
        kind, code = found[1].strip(), found[2]
        if kind == "python continues" and blocks:
            code = blocks[-1].code + code
        blocks.append(Block(page, text.count("\n", 0, found.start()) + 1, kind, code))
    return blocks


def make_certificate(folder: Path) -> None:
    """The files that pages about HTTPS name, for servers and of clients."""
    files = ("-keyout", "site.key", "-out", "site.pem")
    words = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *files)
    command = ("openssl", "req", *words, "-subj", "/CN=localhost", "-days", "1")
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (folder / "clients.pem").write_bytes((folder / "site.pem").read_bytes())


def run(
    block: Block,
    folder: Path,
    prelude: str = PRELUDE,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    script = folder / "block.py"
    script.write_text(block.code)
    code = f"{prelude}\nimport runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=20,
    )


LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
TEST = re.compile(r"`(test_\w+)(?:\.py)?`")


def dangling(page: Path, text: str, tests: set[str]) -> list[str]:
    """Links to files that are not there, and tests that nobody wrote."""
    links = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    return links + [name for name in TEST.findall(text) if name not in tests]


def all_tests() -> set[str]:
    """Names of tests and of files of tests, in Python and in C."""
    names: set[str] = set()
    for path in tracked_files("tests/*.py", "tests/*.c"):
        names |= {path.stem, *re.findall(r"\b(?:def|void) (test_\w+)\(", path.read_text())}
    return names


BLOCKS = [
    block for path in tracked_files("*.md") for block in blocks_of(relative(path), path.read_text())
]


def test_every_block_is_of_a_known_kind() -> None:
    assert [str(block) for block in BLOCKS if block.kind not in KINDS] == []


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block_runs(block: Block, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        environment = None
        if "TlsConfig(" in block.code:
            make_certificate(tmp_path)
        if "DATABASE_URL" in block.code:
            if services.missing():
                pytest.skip(services.missing())
            environment = stack.enter_context(services.environment())
        done = run(block, tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr


def test_links_and_named_tests_lead_somewhere() -> None:
    tests = all_tests()
    found = {relative(p): dangling(p, p.read_text(), tests) for p in tracked_files("*.md")}
    assert {page: names for page, names in found.items() if names} == {}


def unnamed(words: set[str], public: dict[str, object]) -> list[str]:
    """Public names, and those of the classes among them, that a page does not have."""
    found = [name for name in public if name not in words]
    for name, value in public.items():
        if isinstance(value, type):
            inherited = dir(Exception) if issubclass(value, Exception) else []
            own = (n for n in dir(value) if not n.startswith("_") and n not in inherited)
            found += [f"{name}.{n}" for n in own if n not in words]
    return found


def test_the_api_page_has_every_public_name() -> None:
    words = set(re.findall(r"\w+", (ROOT / "docs/api.md").read_text()))
    assert unnamed(words, {name: getattr(cello, name) for name in cello.__all__}) == []


def test_finds_a_public_name_without_a_word() -> None:
    public: dict[str, object] = {"App": cello.App, "gone": 1}
    words = {name for name in dir(cello.App) if name != "serve"} | {"App"}
    assert unnamed(words, public) == ["gone", "App.serve"]


def test_finds_what_leads_nowhere() -> None:
    text = "[a](b.md#c) [d](../e.md) [web](https://x) `test_gone` `test_there` `test_file.py`"
    page = ROOT / "docs/README.md"
    assert dangling(page, text, {"test_there", "test_file"}) == ["b.md", "../e.md", "test_gone"]
    assert dangling(page, "[t](security.md) [r](../README.md#try-it)", set()) == []


def test_finds_a_broken_block(tmp_path: Path) -> None:
    page = "# T\n```python\nx = 1\n```\n```python continues\nassert x == 2\n```\n"
    first, second = blocks_of("page.md", page)
    assert (first.line, second.line) == (2, 5)
    assert run(first, tmp_path, prelude="").returncode == 0
    assert run(second, tmp_path, prelude="").returncode == 1
