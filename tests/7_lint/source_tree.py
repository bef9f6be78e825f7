"""What the lints share: the files of the project, and C source as they need to see it."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Tables that a program wrote -> the program; it prints them.
GENERATED = {
    "src/http/headers_table.h": "tools/gen_headers.py",
    "src/json/pow10_table.h": "tools/gen_pow10_table.py",
}

COMMENT = r"/\*.*?\*/|//[^\n]*"
LITERAL = r'"(?:\\.|[^"\\\n])*"|' r"'(?:\\.|[^'\\\n])*'"
DIRECTIVE = r"^[ \t]*#(?:\\\n|[^\n])*"


def tracked_files(*patterns: str, root: Path = ROOT) -> list[Path]:
    """Files that git knows, as absolute paths; what others have not committed is not linted."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=root, capture_output=True, check=True
    ).stdout.decode()
    paths = (root / name for name in listing.split("\0") if name)
    return sorted(path for path in paths if path.is_file())


def c_files(*folders: str) -> list[Path]:
    return [path for path in tracked_files(*folders) if path.suffix in {".c", ".h"}]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def without_comments(text: str) -> str:
    """Comments become blanks; every line and column stays where it is."""
    return re.sub(f"{LITERAL}|({COMMENT})", lambda m: _blank(m) if m[1] else m[0], text, flags=re.S)


def code_only(text: str) -> str:
    """Comments, literals and preprocessor lines become blanks."""
    text = re.sub(f"{COMMENT}|{LITERAL}", _blank, text, flags=re.S)
    return re.sub(DIRECTIVE, _blank, text, flags=re.M)


@dataclass(frozen=True)
class Function:
    name: str
    first_line: int
    last_line: int

    @property
    def length(self) -> int:
        return self.last_line - self.first_line + 1


def functions(text: str) -> Iterator[Function]:
    """Every function definition of a C file, from its signature to its closing brace."""
    code = code_only(text)
    depth = 0
    start = 0  # where the declaration that is being read began
    name = None
    for at, char in enumerate(code):
        if char == "{":
            if depth == 0:
                name = _function_name(code[start:at])
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0 and name:
                head = start + len(code[start:at]) - len(code[start:at].lstrip())
                yield Function(name, _line(code, head), _line(code, at))
                name, start = None, at + 1
        elif char == ";" and depth == 0:
            start = at + 1


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _function_name(head: str) -> str | None:
    """The last name before a parenthesis at the outer level; None for a struct or an array."""
    if "=" in head:
        return None
    depth, flat = 0, []
    for char in head:
        depth -= char == ")"
        if depth == 0:
            flat.append(char)
        depth += char == "("
    names = re.findall(r"(\w+)\s*\(", "".join(flat))
    return names[-1] if names else None
