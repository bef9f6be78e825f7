"""Python handles no socket, parses no HTTP and no JSON: what python/cello may not import.

asyncio is imported when the first async handler needs it, never by `import cello`.
"""

import ast

from source_tree import ROOT, tracked_files

NEVER = {"socket", "ssl", "selectors", "http", "json", "urllib", "email"}
NOT_AT_TOP = {"asyncio"}

# Files that may, each with its reason.
EXCEPTIONS: dict[str, set[str]] = {
    # asyncio's own machinery around our poller: a SelectorEventLoop with our selector.
    "_loop.py": {"asyncio", "selectors", "socket"},
    # The development server's parent, which serves nothing, holds the listening socket.
    "_dev.py": {"socket"},
    # The parts of req.url, for programs that ask; the engine has split the target before.
    "_url.py": {"urllib"},
}


def _is_typing_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module.split(".")[0]]
    return []


def _walk(node: ast.AST, *, at_top: bool) -> list[tuple[str, bool]]:
    """(module, whether importing this file imports it) for every import below `node`."""
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt) and _is_typing_only(child):
            continue
        found += [(name, at_top) for name in _imported(child)]
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        found += _walk(child, at_top=at_top and not is_function)
    return found


def violations(name: str, text: str) -> list[str]:
    allowed = EXCEPTIONS.get(name, set())
    return [
        f"{name}: imports {module}"
        for module, at_top in _walk(ast.parse(text), at_top=True)
        if module not in allowed and (module in NEVER or (module in NOT_AT_TOP and at_top))
    ]


def test_python_leaves_the_wire_to_the_engine() -> None:
    package = ROOT / "python/cello"
    files = tracked_files("python/cello/*.py")
    assert files
    names = {str(path.relative_to(package)): path.read_text() for path in files}
    assert [what for name, text in names.items() for what in violations(name, text)] == []
    assert set(EXCEPTIONS) <= set(names), "an exception for a file that is gone"


def test_finds_forbidden_imports() -> None:
    assert violations("app.py", "import socket")
    assert violations("app.py", "from http.client import HTTPConnection")
    assert violations("app.py", "def f():\n    import json")
    assert violations("app.py", "try:\n    import asyncio\nexcept ImportError:\n    pass")
    assert violations("app.py", "def f():\n    import asyncio") == []
    assert violations("app.py", "if TYPE_CHECKING:\n    import asyncio") == []
    assert violations("app.py", "from .http import x\nimport httpx") == []
