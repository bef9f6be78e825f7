"""What was built: libcello needs no Python, the module is hardened and exports its entry only."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from source_tree import ROOT

LIBCELLO = ROOT / "build/dev/libcello.a"
# The head of a function that other files can call: no `static`, and a body behind it.
DEFINITION = re.compile(r"^(?!static\b)[A-Za-z][\w *]*?\b(cl_\w+)\([^;{]*\)\s*\{", re.MULTILINE)


def output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def python_symbols(path: Path) -> set[str]:
    """Symbols of CPython's API that an object or archive needs."""
    needed = re.findall(r"\bU (\w+)", output("nm", "--undefined-only", path))
    return {name for name in needed if re.match(r"_?Py[A-Z_]", name)}


def exported_symbols(path: Path) -> set[str]:
    return set(re.findall(r"\b[TDBRVW] (\w+)", output("nm", "-D", "--defined-only", path)))


def weaknesses(path: Path) -> set[str]:
    """Hardening that a shared object lacks."""
    headers = output("readelf", "--wide", "--segments", path)
    dynamic = output("readelf", "--wide", "--dynamic", path)
    needed = output("nm", "-D", "--undefined-only", path)
    checks = {
        "relro": "GNU_RELRO" in headers,
        "bind now": re.search(r"BIND_NOW|FLAGS.*NOW", dynamic) is not None,
        "stack not executable": re.search(r"GNU_STACK.* RW ", headers) is not None,
        "stack protector": "__stack_chk_fail" in needed,
        "fortified libc calls": re.search(r"__\w+_chk\b(?<!__stack_chk_fail)", needed) is not None,
        "no text relocations": "TEXTREL" not in dynamic,
        "no rpath": re.search(r"R(UN)?PATH", dynamic) is None,
    }
    return {name for name, is_met in checks.items() if not is_met}


def loaded(path: Path) -> set[str]:
    """The libraries that a program or shared object has loaded with it, without their versions."""
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "--wide", "--dynamic", path))
    return {re.split(r"[-\d.]", name)[0] for name in needed}


def module_path() -> Path:
    spec = importlib.util.find_spec("cello._cello")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def test_libcello_needs_no_python() -> None:
    assert LIBCELLO.exists(), "build it: cmake --preset dev && cmake --build --preset dev"
    assert python_symbols(LIBCELLO) == set()


def test_module_is_hardened() -> None:
    assert weaknesses(module_path()) == set()


def test_module_exports_its_entry_only() -> None:
    assert exported_symbols(module_path()) == {"PyInit__cello"}


def test_supervisor_is_hardened_and_needs_no_python() -> None:
    supervisor = module_path().with_name("cello-supervisor")
    assert weaknesses(supervisor) == set()
    assert "DYN (Position-Independent" in output("readelf", "--file-header", supervisor)
    assert loaded(supervisor).isdisjoint({"libpython", "libssl", "libcrypto", "libnghttp"})
    assert {"libcrypto", "libnghttp"} <= loaded(module_path())


def test_the_binding_and_libcello_share_no_name() -> None:
    """Both are linked into one module, where one of the two would silently be left out."""
    binding: set[str] = set()
    for path in (ROOT / "ext").rglob("*.c"):
        binding |= set(DEFINITION.findall(path.read_text()))
    library = set(re.findall(r"\b[TDBR] (\w+)", output("nm", "--defined-only", LIBCELLO)))
    assert {"cl_bridge_run", "cl_pyrequest_wrap"} <= binding
    assert "cello_server_new" in library
    assert binding & library == set()


def test_finds_definitions_others_can_call() -> None:
    source = "int cl_a(int x,\n         int y) {\n}\nstatic int cl_b(void) {\n}\nint cl_c(void);\n"
    assert DEFINITION.findall(source) == ["cl_a"]


@pytest.fixture
def weak_object(tmp_path: Path) -> Path:
    """A shared object that breaks every rule."""
    source = tmp_path / "weak.c"
    source.write_text("extern int PyErr_Check(void);\nint leak(void) { return PyErr_Check(); }\n")
    built = tmp_path / "weak.so"
    compiler = shutil.which("gcc") or "cc"
    # fmt: off
    output(compiler, "-shared", "-fPIC", "-fno-stack-protector", "-U_FORTIFY_SOURCE", source,
           "-Wl,-z,norelro,-z,lazy,-z,execstack,-rpath,/opt", "-o", built)
    # fmt: on
    return built


def test_finds_a_weak_object(weak_object: Path) -> None:
    assert weaknesses(weak_object) == {
        "relro",
        "bind now",
        "stack not executable",
        "stack protector",
        "fortified libc calls",
        "no rpath",
    }
    assert exported_symbols(weak_object) == {"leak"}


def test_finds_a_python_symbol(weak_object: Path) -> None:
    assert python_symbols(weak_object) == {"PyErr_Check"}
