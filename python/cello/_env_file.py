"""Files of variables: one NAME=VALUE a line.

Lines that are empty or begin with "#" say nothing; `export ` before a name is left out. A value in
single quotes is taken as it is; in double quotes \\n, \\t, \\" and \\\\ are what they stand for;
any other ends before " #". Nothing is expanded.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from cello._load import Stop

_LINE = re.compile(
    r"""(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*
    (?:'(?P<single>[^']*)'\s*(?:\#.*)? | "(?P<double>(?:[^"\\]|\\.)*)"\s*(?:\#.*)? |
    (?P<bare>[^'"].*|))$""",
    re.X | re.A,
)
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}

used: dict[str, str] = {}  # name -> the file that gave its value, for `cello check --print`


def read(path: Path) -> dict[str, str]:
    """Stop: it cannot be read, or a line is not NAME=VALUE."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Stop(f"cannot read {str(path)!r}: {reason}") from None
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise Stop(f"{path}:{number}: this is not NAME=VALUE")
        found[match["name"]] = _value(match)
    return found


def _value(match: re.Match[str]) -> str:
    if match["single"] is not None:
        return match["single"]
    if match["double"] is not None:
        return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), match["double"])
    return re.split(r"(?:^|\s)#", match["bare"], maxsplit=1)[0].strip()


def use(path: Path) -> None:
    """Put what is in the file into the environment, where that does not say otherwise; what an
    earlier call put there goes.

    Stop: it cannot be read; then nothing changes.
    """
    found = read(path)
    for name in used:
        os.environ.pop(name, None)
    used.clear()
    for name, value in found.items():
        if name not in os.environ:
            os.environ[name] = value
            used[name] = str(path)
