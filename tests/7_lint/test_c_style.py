"""Banned calls, and the length of functions and files (CONTRIBUTING.md, "Style")."""

import re

from source_tree import GENERATED, ROOT, c_files, code_only, functions, relative, tracked_files

BANNED = re.compile(r"\b(v?sprintf|strcpy|strcat|strtok|atoi|gets|alloca)\s*\(")

# The time of day, which somebody may set: no deadline is made of it, only what says when it is.
WALL_CLOCK = re.compile(r"\b(cl_wall_ns|CLOCK_REALTIME\w*|gettimeofday|ftime|time\s*\(\s*NULL)\b")
WALL_CLOCK_FILES = {
    "src/base/clock.h": "defines it",
    "src/cluster/report.c": "lines of the log",
    "src/handler/file.c": "ages of files",
    "src/handler/file_cache.c": "ages of files",
    "src/http/worker.h": "Date",
    "src/observe/access_log.c": "lines of the log",
}

FUNCTION_LINES = 70
STATE_MACHINE_LINES = 100
C_FILE_LINES = 1200
HEADER_LINES = 300
PYTHON_LINES = 600

OWN_C = ("src", "ext", "include", "programs", "tests", "fuzz", "bench", "examples", "tools")


def banned_calls(text: str) -> list[str]:
    return [
        f"line {number}: {call}"
        for number, line in enumerate(code_only(text).splitlines(), 1)
        for call in BANNED.findall(line)
    ]


def long_functions(text: str) -> list[str]:
    """Functions over the limit; one that says `state machine` right above it may have more."""
    lines = text.splitlines()
    found = []
    for function in functions(text):
        above = lines[function.first_line - 2] if function.first_line > 1 else ""
        limit = STATE_MACHINE_LINES if "state machine */" in above else FUNCTION_LINES
        if function.length > limit:
            found.append(f"{function.name}: {function.length} lines, at most {limit}")
    return found


def line_limit(name: str) -> int | None:
    """How many lines a file may have; None for generated tables and for other kinds of files."""
    if name in GENERATED:
        return None
    if name.endswith(".c"):
        return C_FILE_LINES
    if name.endswith(".h"):
        return HEADER_LINES
    return PYTHON_LINES if name.startswith("python/") and name.endswith(".py") else None


def too_long(name: str, lines: int) -> bool:
    limit = line_limit(name)
    return limit is not None and lines > limit


def test_no_banned_calls() -> None:
    found = {relative(path): banned_calls(path.read_text()) for path in c_files(*OWN_C)}
    assert {name: calls for name, calls in found.items() if calls} == {}


def test_no_deadline_jumps() -> None:
    files = c_files("src", "ext", "include", "programs")
    found = {relative(path) for path in files if WALL_CLOCK.search(code_only(path.read_text()))}
    assert found == set(WALL_CLOCK_FILES)


def test_finds_the_wall_clock() -> None:
    assert WALL_CLOCK.search("uint64_t now = cl_wall_ns();")
    assert WALL_CLOCK.search("clock_gettime(CLOCK_REALTIME, &t);")
    assert not WALL_CLOCK.search("clock_gettime(CLOCK_MONOTONIC, &t); on_time(NULL);")


def test_functions_are_short() -> None:
    found = {relative(path): long_functions(path.read_text()) for path in c_files(*OWN_C)}
    assert {name: long for name, long in found.items() if long} == {}


def test_files_are_short() -> None:
    counts = {
        relative(path): len(path.read_text().splitlines())
        for path in tracked_files("*.c", "*.h", "*.py")
    }
    assert {name: n for name, n in counts.items() if too_long(name, n)} == {}


def test_finds_banned_calls() -> None:
    assert banned_calls("char *p = strcpy(a, b);\nreturn atoi (p);") == [
        "line 1: strcpy",
        "line 2: atoi",
    ]
    assert banned_calls('/* strcpy(a, b) */ f("gets(x)"); my_gets(x); x->fgets(y);') == []


def make_function(lines: int, above: str = "") -> str:
    body = "    call(1);\n" * (lines - 2)
    return f"struct a {{\n    int b;\n}};\n\n{above}static int f(int (*g)(void))\n{{\n" + (
        body[: -len("    call(1);\n")] + "}\n"
    )


def test_finds_long_functions() -> None:
    machine = "/* A state machine */\n"
    assert long_functions(make_function(FUNCTION_LINES)) == []
    assert long_functions(make_function(FUNCTION_LINES + 1)) == ["f: 71 lines, at most 70"]
    assert long_functions(make_function(STATE_MACHINE_LINES, machine)) == []
    assert long_functions(make_function(STATE_MACHINE_LINES + 1, machine))


def test_sees_every_function_of_a_real_file() -> None:
    names = [function.name for function in functions((ROOT / "tools/fuzz_replay.c").read_text())]
    assert names == ["fail", "replay_file", "replay", "replay_folder", "main"]


def test_finds_long_files() -> None:
    assert too_long("src/a/b.c", C_FILE_LINES + 1)
    assert not too_long("src/a/b.c", C_FILE_LINES)
    assert too_long("src/a/b.h", HEADER_LINES + 1)
    assert too_long("src/a/b_table.h", HEADER_LINES + 1)
    assert not too_long("src/json/pow10_table.h", 5000)
    assert too_long("python/cello/app.py", PYTHON_LINES + 1)
