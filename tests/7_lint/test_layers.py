"""Folders include lower ranks only, third-party headers stay in their folder (src/LAYERS)."""

import re
from dataclasses import dataclass
from pathlib import Path

from source_tree import ROOT, c_files, code_only, relative, without_comments

# ISO C, POSIX and Linux: what every folder may include. All else is third-party.
SYSTEM = re.compile(
    r"(assert|ctype|dirent|elf|endian|errno|execinfo|fcntl|float|grp|ifaddrs|inttypes|limits|link|"
    r"malloc|math|netdb|poll|pthread|pwd|sched|semaphore|setjmp|signal|stdalign|stdarg|stdatomic|"
    r"stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|syslog|time|ucontext|unistd|"
    r"(arpa|linux|net|netinet|sys|sanitizer)/\w+|"
    r"arm_neon|cpuid|[a-z]mmintrin|x86intrin)\.h"
)
PYTHON = re.compile(r"(Python|structmember|datetime|frameobject)\.h")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(<[^>]+>|"[^"]+")', re.M)


@dataclass(frozen=True)
class Layer:
    rank: int
    third_party: frozenset[str]

    def allows(self, header: str) -> bool:
        """A name that ends in "/" stands for all headers of that folder."""
        return header in self.third_party or any(
            name.endswith("/") and header.startswith(name) for name in self.third_party
        )


def read_layers(text: str) -> dict[str, Layer]:
    """The table of src/LAYERS: folder, rank, comma-separated third-party headers or folders of
    them, or "-"."""
    layers = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        folder, rank, third_party = line.split()
        layers[folder] = Layer(int(rank), frozenset(third_party.split(",")) - {"-"})
    return layers


LAYERS = read_layers((ROOT / "src/LAYERS").read_text())


def includes(text: str) -> list[str]:
    return INCLUDE.findall(without_comments(text))


def violations_in_src(folder: str, text: str) -> list[str]:
    """What a file of src/<folder>/ includes and must not."""
    if folder not in LAYERS:
        return [f"folder {folder} is not in src/LAYERS"]
    layer, found = LAYERS[folder], []
    for include in includes(text):
        name, other = include[1:-1], include[1:-1].split("/")[0]
        if include[0] == "<":
            if not (name.startswith("cello/") or SYSTEM.fullmatch(name)):
                found += [] if layer.allows(name) else [f"{include} is fenced off"]
        elif other not in LAYERS or "/" not in name:
            found.append(f'{include} is not written as "folder/file.h"')
        elif other != folder and LAYERS[other].rank >= layer.rank:
            found.append(f"{include} has no lower rank than {folder}")
        elif other != folder and name.endswith("_internal.h"):
            found.append(f"{include} is internal to {other}")
    return found


def json_kernels() -> set[str]:
    """Headers of src/json and what they include: ext/convert compiles them into its walkers."""
    known: set[str] = set()
    todo = [f"json/{path.name}" for path in (ROOT / "src/json").glob("*.h")]
    while todo:
        name = todo.pop()
        if name not in known:
            known.add(name)
            text = (ROOT / "src" / name).read_text()
            todo += [i[1:-1] for i in includes(text) if i[0] == '"']
    return known


# The leaves of libcello that the walkers over Python objects call besides the kernels.
CONVERT_LEAVES = {"base/alloc.h", "base/cpu.h", "base/hash.h"}


def violations_in_ext(path: str, text: str) -> list[str]:
    """ext knows libcello by <cello/...>; ext/convert/ also by the inline JSON kernels."""
    found = []
    for include in includes(text):
        name = include[1:-1]
        if include[0] == "<":
            public = name.startswith("cello/") or SYSTEM.fullmatch(name) or PYTHON.fullmatch(name)
            if not public:
                found.append(f"{include} is fenced off")
        elif name.split("/")[0] in LAYERS and not (
            path.startswith("ext/convert/") and name in json_kernels() | CONVERT_LEAVES
        ):
            found.append(f"{include} is inside libcello")
    return found


def violations_in_public(text: str, *, python: bool = False) -> list[str]:
    """Public headers and the C examples know the public API and the system."""
    found = []
    for include in includes(text):
        name = include[1:-1]
        allowed = SYSTEM.fullmatch(name) or (python and PYTHON.fullmatch(name))
        if include[0] != "<" or not (name.startswith("cello/") or allowed):
            found.append(f"{include} is not public")
    return found


def violations_in_program(text: str) -> list[str]:
    """Programs that are installed may look inside libcello, and need no other library."""
    found = []
    for include in includes(text):
        name = include[1:-1]
        if include[0] == "<":
            public = name.startswith("cello/") or SYSTEM.fullmatch(name)
            found += [] if public else [f"{include} is fenced off"]
        elif name.endswith("_internal.h") or name.split("/")[0] not in LAYERS:
            found.append(f"{include} is not to be seen from outside its folder")
    return found


GIL = re.compile(
    r"\b(PyEval_(Save|Restore|Acquire|Release)Thread|PyGILState_\w+|Py_BEGIN_ALLOW_\w+)"
)
# Where the GIL changes hands, and when.
GIL_FILES = {
    "ext/bridge/batch.c": "for the handlers of a turn, and around a turn inside asyncio",
    "ext/bridge/pool.c": "while a thread of the pool waits for work, or for the engine",
    "ext/types/cluster.c": "while a worker waits for the others, at its start and its end",
    "ext/types/server.c": "while a server runs without asyncio, and while it is deleted",
    "ext/types/selector.c": "while asyncio waits and no server turns",
    "ext/types/upload_io.c": "while an upload is read from a file, or saved",
}


def changes_hands(text: str) -> bool:
    return GIL.search(code_only(text)) is not None


def violations(path: Path) -> list[str]:
    name, text = relative(path), path.read_text()
    top, second = name.split("/")[:2]
    if top == "src":
        found = violations_in_src(second, text)
    elif top == "ext":
        found = violations_in_ext(name, text)
    elif top == "programs":
        found = violations_in_program(text)
    else:
        found = violations_in_public(text, python=name.endswith("_module.c"))
    return [f"{name}: {what}" for what in found]


def test_every_include_is_allowed() -> None:
    files = c_files("src", "ext", "include", "programs", "examples/c")
    assert files
    assert [what for path in files for what in violations(path)] == []


def test_the_gil_changes_hands_where_it_is_known_to() -> None:
    files = {relative(path) for path in c_files("ext") if changes_hands(path.read_text())}
    assert files == set(GIL_FILES)


def test_finds_where_the_gil_changes_hands() -> None:
    assert changes_hands("    PyGILState_STATE s = PyGILState_Ensure();")
    assert changes_hands("Py_BEGIN_ALLOW_THREADS")
    assert not changes_hands("/* PyEval_SaveThread() */ save(PyThreadState_Get());")


def test_every_folder_has_a_rank() -> None:
    folders = {path.parent.name for path in c_files("src")}
    assert folders <= set(LAYERS)


def test_finds_what_src_must_not_include() -> None:
    assert violations_in_src("base", '#include "base/arena.h"\n#include <stdio.h>') == []
    assert violations_in_src("http1", '#include "http/request.h"') == []
    assert violations_in_src("http", '#include "http1/parser.h"')
    assert violations_in_src("handler", '#include "middleware/chain.h"')
    assert violations_in_src("http", "#include <Python.h>")
    assert violations_in_src("http", "  #  include <pcre2.h>")
    assert violations_in_src("router", "#include <pcre2.h>") == []
    assert violations_in_src("tls", "#include <openssl/ssl.h>\n#include <openssl/err.h>") == []
    assert violations_in_src("tls", "#include <opensslx/ssl.h>")
    assert violations_in_src("server", "#include <openssl/ssl.h>")
    assert violations_in_src("http2", "#include <nghttp2/nghttp2.h>") == []
    assert violations_in_src("http2", "#include <nghttp2/other.h>")
    assert violations_in_src("http", '#include "arena.h"')
    assert violations_in_src("http", '#include "base/x_internal.h"')
    assert violations_in_src("nowhere", "")
    assert violations_in_src("http", '/* #include "server/server.h" */') == []


def test_finds_what_ext_must_not_include() -> None:
    assert violations_in_ext("ext/module.c", "#include <Python.h>\n#include <cello/app.h>") == []
    assert violations_in_ext("ext/types/request.c", '#include "types/request.h"') == []
    assert violations_in_ext("ext/module.c", '#include "http/request.h"')
    assert violations_in_ext("ext/convert/walk.c", '#include "server/server.h"')
    assert violations_in_ext("ext/module.c", "#include <liburing.h>")


def test_finds_what_programs_must_not_include() -> None:
    assert violations_in_program('#include <stdio.h>\n#include "cluster/supervisor.h"') == []
    assert violations_in_program('#include "cluster/policy_internal.h"')
    assert violations_in_program('#include "types/request.h"')
    assert violations_in_program("#include <Python.h>")


def test_finds_what_public_headers_must_not_include() -> None:
    assert violations_in_public("#include <cello/error.h>\n#include <stddef.h>") == []
    assert violations_in_public('#include "base/common.h"')
    assert violations_in_public("#include <Python.h>")
    assert violations_in_public("#include <Python.h>", python=True) == []
