"""Modules of python/cello import lower ranks only, those of docs/internals/python.md."""

import ast
import re
from collections.abc import Iterator

from source_tree import ROOT, tracked_files

ROW = re.compile(r"^\| ((?:`[\w.]+`(?:, )?)+) \| (\d+) \|", re.M)
# Imports that go upward, inside a function, each with its reason.
EXCEPTIONS = {
    ("_log", "_log_handler"): "the handler is made with the first line, for what logging costs",
    ("_server", "_reload"): "run(reload=True) is a supervisor or its child",
}


def read_ranks(text: str) -> dict[str, int]:
    """Modules, "cello" being the package itself, and their ranks."""
    rows = [(row[1], int(row[2])) for row in ROW.finditer(text)]
    return {name: rank for names, rank in rows for name in re.findall(r"`([\w.]+)`", names)}


RANKS = read_ranks((ROOT / "docs/internals/python.md").read_text())


def imports(node: ast.AST, *, at_top: bool = True) -> Iterator[tuple[str, bool]]:
    """(full name, whether importing this module imports it) but for type checkers."""
    for child in ast.iter_child_nodes(node):
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.orelse:
                yield from imports(ast.Module([statement], []), at_top=at_top)
            continue
        if isinstance(child, ast.ImportFrom) and child.module:
            yield from ((f"{child.module}.{alias.name}", at_top) for alias in child.names)
        elif isinstance(child, ast.Import):
            yield from ((alias.name, at_top) for alias in child.names)
        yield from imports(child, at_top=at_top and not inside)


def module_of(name: str, ranks: dict[str, int]) -> str | None:
    """The module that a full name is in; None: not one of python/cello with a rank."""
    if name.split(".")[0] != "cello" or name.startswith("cello._cello"):
        return None
    parts = name.split(".")[1:]
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in ranks:
            return ".".join(parts[:end])
    return "cello"


def violations(module: str, text: str, ranks: dict[str, int] = RANKS) -> list[str]:
    if module not in ranks:
        return [f"{module} has no rank in docs/internals/python.md"]
    found = []
    for name, at_top in imports(ast.parse(text)):
        other = module_of(name, ranks)
        if other is None or ranks[other] < ranks[module]:
            continue
        if at_top or (module, other) not in EXCEPTIONS:
            found.append(f"{module}: {other} has no lower rank")
    return found


def module_name(path: str) -> str:
    name = path.removesuffix(".py").replace("/", ".").removesuffix("__init__").rstrip(".")
    return name or "cello"


def test_every_import_goes_down() -> None:
    package = ROOT / "python/cello"
    files = tracked_files("python/cello/*.py")
    texts = {module_name(str(path.relative_to(package))): path.read_text() for path in files}
    assert [what for module, text in texts.items() for what in violations(module, text)] == []
    assert set(RANKS) == set(texts), "ranks of modules that are gone"
    for module, other in EXCEPTIONS:
        names = [module_of(name, RANKS) for name, _ in imports(ast.parse(texts[module]))]
        assert other in names, f"an exception for an import that is gone: {module}, {other}"


def test_finds_imports_that_go_up() -> None:
    ranks = {"_a": 0, "_b": 1, "_c": 1, "cello": 2, "_log": 0, "_log_handler": 1}
    assert violations("_b", "from cello._a import x\nfrom cello import _a, _cello", ranks) == []
    assert violations("_b", "from cello._c import x", ranks)
    assert violations("_a", "from cello import _b", ranks)
    assert violations("_a", "import cello._b", ranks)
    assert violations("_a", "from cello import App", ranks)
    assert violations("_a", "def f():\n    from cello._b import x", ranks)
    assert violations("_a", "if TYPE_CHECKING:\n    from cello._b import x", ranks) == []
    assert violations("_a", "if TYPE_CHECKING:\n    pass\nelse:\n    import cello._b", ranks)
    assert violations("_log", "def f():\n    from cello._log_handler import own", ranks) == []
    assert violations("_log", "from cello._log_handler import own", ranks)
    assert violations("_new", "", ranks)
