"""Paths as routes declare them, taken apart and filled in. Imported when a URL is made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from cello import _cello


class Piece(NamedTuple):
    """Fixed text of a path, and the parameter behind it; the last piece may have none."""

    text: str
    name: str = ""
    kind: str = ""  # "", "int", ..., "path", "regex"
    regex: str = ""  # the expression of kind "regex"


_PARAMETER = re.compile(r"\{(\w+)(?::(regex\()?(\w*))?")
_REGEX_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]", re.S)


def split(path: str) -> tuple[Piece, ...]:
    """The pieces of a path that the router has accepted."""
    pieces: list[Piece] = []
    at = 0
    while found := _PARAMETER.search(path, at):
        text, end = path[at : found.start()], found.end()
        if found[2]:
            start, end = found.start(3), _end_of_regex(path, found.start(3))
            pieces.append(Piece(text, found[1], "regex", path[start : end - 1]))
        else:
            pieces.append(Piece(text, found[1], found[3] or ""))
        at = end + 1
    if at < len(path):
        pieces.append(Piece(path[at:]))
    return tuple(pieces)


_known = lru_cache(maxsize=4096)(split)


def _end_of_regex(path: str, at: int) -> int:
    """Behind the ')' that closes regex(; escapes and classes hide parentheses."""
    depth = 1
    for token in _REGEX_TOKEN.finditer(path, at):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    raise ValueError(f"unclosed regex( in {path!r}")


# ---- values ----

_KINDS = {
    "int": re.compile(r"-?[0-9]+"),
    "float": re.compile(r"-?[0-9]+(\.[0-9]+)?"),
    "uuid": re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
    "alpha": re.compile(r"[A-Za-z]+"),
    "slug": re.compile(r"[A-Za-z0-9_-]+"),
    "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
}


def text_of(value: Any) -> str:
    """A value as it is written in a URL. TypeError: one that has no place there."""
    if isinstance(value, str):
        return str(value.value) if hasattr(value, "value") else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if value is None or isinstance(value, (bytes, bytearray, Mapping, list, tuple, set)):
        raise TypeError(f"cannot be part of a URL: {value!r}")
    if isinstance(value, float):
        return format(value, "f") if "e" in repr(value) else repr(value)
    return text_of(value.value) if hasattr(value, "value") else str(value)


def _is_date(text: str) -> bool:
    from datetime import date

    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _fits(piece: Piece, text: str) -> bool:
    """Whether the router would take this text for the parameter."""
    if piece.kind == "regex":
        whole = _cello.Converter("str", pattern=rf"\A(?:{piece.regex})\z")
        try:
            whole(text)
        except ValueError:
            return False
    known = _KINDS.get(piece.kind)
    if known and not known.fullmatch(text):
        return False
    return bool(text) and (piece.kind != "date" or _is_date(text))


_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# RFC 3986: pchar; in a query "&", "+" and "=" have a meaning of their own.
_IN_PATH = [chr(b) if b in _SAFE or b in b"!$&'()*+,;=:@" else f"%{b:02X}" for b in range(256)]
_IN_QUERY = [chr(b) if b in _SAFE or b in b"!$'()*,:@/?" else f"%{b:02X}" for b in range(256)]


def _quote(text: str, table: list[str]) -> str:
    return "".join([table[byte] for byte in text.encode()])


def fill(path: str, params: dict[str, Any]) -> str:
    """The path with its parameters, percent-encoded; takes those out of `params`.

    ValueError: one is missing, or is not what the path says. TypeError: see text_of().
    """
    parts: list[str] = []
    for piece in _known(path):
        parts += [_quote(part, _IN_PATH) + "/" for part in piece.text.split("/")]
        parts[-1] = parts[-1][:-1]
        if piece.name:
            if piece.name not in params:
                raise ValueError(f"the parameter {piece.name!r} is missing")
            parts.append(_value(piece, params.pop(piece.name)))
    filled = "".join(parts)
    # A browser removes dot segments, and takes what follows "//" for a host.
    if any(part in (".", "..") for part in filled.split("/")):
        raise ValueError(f"a segment of the path would be '.' or '..': {filled!r}")
    if filled.startswith("//"):
        raise ValueError(f"the path would begin with '//': {filled!r}")
    return filled


def _value(piece: Piece, value: Any) -> str:
    try:
        text = text_of(value)
    except TypeError as error:
        raise TypeError(f"the parameter {piece.name!r} {error}") from None
    if not _fits(piece, text):
        kind = f"{piece.kind}({piece.regex})" if piece.regex else piece.kind or "text"
        raise ValueError(f"the parameter {piece.name!r} is {kind}, not {value!r}")
    separate = "/" if piece.kind == "path" else "\0"
    return separate.join([_quote(part, _IN_PATH) for part in text.split(separate)])


def query(params: Mapping[str, Any]) -> str:
    """ "?a=1&b=2", or "". None is left out, a list gives one for each of its items."""
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        many = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
        for item in value if many else (value,):
            if item is not None:
                try:
                    pairs.append((name, text_of(item)))
                except TypeError as error:
                    raise TypeError(f"the parameter {name!r} {error}") from None
    text = "&".join([f"{_quote(n, _IN_QUERY)}={_quote(v, _IN_QUERY)}" for n, v in pairs])
    return f"?{text}" if text else ""
