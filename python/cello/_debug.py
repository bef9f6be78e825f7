"""The error page of development: what went wrong, where, with which values.

It shows the program's insides, so it goes to a browser on this machine only: see is_for(). It needs
no script and nothing from elsewhere, and its Content-Security-Policy allows neither.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from types import CodeType, FrameType, TracebackType
from typing import NamedTuple

from cello import _cello
from cello._secrets import HIDDEN, is_secret

# What is shown at most.
MAX_FRAMES = 40  # of one exception: half of them innermost, half outermost
MAX_EXCEPTIONS = 8
MAX_LOCALS = 40
MAX_VALUE = 400  # characters of a value's repr
MAX_TEXT = 4000  # characters of an exception's text
MAX_PLAIN = 20_000  # characters of the traceback as text
AROUND = 5  # lines of source before and after

# What names a secret in a request, besides what does everywhere.
_SECRET_WORDS = ("session", "csrf", "authorization", "cookie")

# Set by proxies: then the peer is one, and not who asks.
_PROXY_HEADERS = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def is_for(request: _cello.Request) -> bool:
    """Whether a browser on this machine asks: the peer is a loopback address, no proxy passed the
    request on, the Host is this machine too (a foreign site whose name resolves to it may not read
    the page), and HTML is asked for by name."""
    headers = request.headers
    if any(name in headers for name in _PROXY_HEADERS):
        return False
    asks = "text/html" in headers.get("accept", "") and request.accepts("text/html")
    return asks and _is_loopback(request.remote_addr) and _is_local_name(request.host)


def _is_loopback(address: str | None) -> bool:
    if not address:
        return False
    return address == "::1" or address.removeprefix("::ffff:").startswith("127.")


def _is_local_name(host: str) -> bool:
    name = host[: host.rfind("]") + 1] if host.startswith("[") else host.partition(":")[0]
    name = name.lower().rstrip(".")
    if name in ("localhost", "[::1]") or name.endswith(".localhost"):
        return True
    parts = name.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdecimal() for part in parts)


def respond(request: _cello.Request, exception: BaseException) -> _cello.Response | None:
    """The engine's question when an exception is about to become a 500: the page, or None."""
    if not is_for(request):
        return None
    return response_of(page(exception, request))


def response_of(text: str) -> _cello.Response:
    """A page as an answer that runs no script, loads nothing, and is kept nowhere."""
    headers = {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{_style_hash()}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return _cello.Response.html(text, 500, headers)


# ---- the page ----


def page(exception: BaseException, request: _cello.Request | None = None) -> str:
    """One page of HTML. request: what was being answered; None while the program starts."""
    name, text = _name_of(exception), _text_of(exception)
    title = f"{name}: {text}" if text else name
    parts = [
        "<!doctype html>\n",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title[:200])}</title><style>{_style()}</style></head><body>",
        f"<header><div>{_request_line(request)}",
        f"<h1>{escape(name)}{f'<small>{escape(text)}</small>' if text else ''}</h1></div></header>",
        "<main>",
        *_exception_parts(exception),
        _plain_traceback(exception),
        *(_request_parts(request) if request is not None else ()),
        "</main>",
        f"<footer>Cello {escape(_cello.VERSION)} · Python {escape(sys.version.split()[0])} · ",
        f"{escape(sys.platform)} · This page is shown in development only, to browsers on this ",
        "machine only.</footer></body></html>\n",
    ]
    return "".join(parts).encode("utf-8", "backslashreplace").decode()


def escape(text: str) -> str:
    """Text as HTML, also in attributes."""
    from html import escape

    return escape(text).encode("utf-8", "backslashreplace").decode()


def _style() -> str:
    path = os.path.join(os.path.dirname(__file__), "_debug.css")
    with open(path, encoding="utf-8") as file:
        return file.read()


def _style_hash() -> str:
    from binascii import b2a_base64
    from hashlib import sha256

    return b2a_base64(sha256(_style().encode()).digest(), newline=False).decode()


def _name_of(exception: BaseException) -> str:
    kind = type(exception)
    module = kind.__module__
    plain = module in ("builtins", "__main__")
    return kind.__qualname__ if plain else f"{module}.{kind.__qualname__}"


def _text_of(exception: BaseException) -> str:
    try:
        text = str(exception)
    except Exception as error:  # __str__ is the program's code
        return f"(its text cannot be had: {type(error).__name__})"
    notes: Iterable[object] = getattr(exception, "__notes__", ())
    text = "\n".join((text, *map(str, notes)))
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _exception_parts(exception: BaseException) -> Iterator[str]:
    for number, (relation, found) in enumerate(related(exception)):
        if number == MAX_EXCEPTIONS:
            yield '<p class="note">There are more exceptions.</p>'
            return
        if relation:
            name, text = escape(_name_of(found)), escape(_text_of(found))
            yield f"<h2>{relation}</h2><h3><b>{name}</b>{': ' if text else ''}{text}</h3>"
        else:
            yield "<h2>Traceback <small>most recent call first</small></h2>"
        yield from _frame_parts(found)


def related(exception: BaseException) -> Iterator[tuple[str, BaseException]]:
    """An exception, the members of a group, what caused it, what was being handled; each once."""
    seen: set[int] = set()
    waiting = [("", exception)]
    while waiting:
        relation, found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield relation, found
        if isinstance(found, BaseExceptionGroup):
            waiting += [("One of the group", member) for member in found.exceptions]
        if found.__cause__ is not None:
            waiting.append(("Caused by", found.__cause__))
        elif found.__context__ is not None and not found.__suppress_context__:
            waiting.append(("While this was being handled", found.__context__))


def _plain_traceback(exception: BaseException) -> str:
    from traceback import format_exception

    text = "".join(format_exception(exception, limit=MAX_FRAMES))
    text = escape(text if len(text) <= MAX_PLAIN else f"{text[:MAX_PLAIN]}…")
    return f'<details class="more"><summary>As text, to copy</summary><pre>{text}</pre></details>'


# ---- frames ----


class Place(NamedTuple):
    """A line of a frame; columns are of the expression in it, where the interpreter knows them."""

    frame: FrameType | None
    path: str
    line: int
    function: str
    columns: tuple[int, int] | None


def _frame_parts(exception: BaseException) -> Iterator[str]:
    places = [*_syntax_place(exception), *reversed(list(places_of(exception.__traceback__)))]
    half = MAX_FRAMES // 2
    cut = len(places) - MAX_FRAMES
    first_own = next((i for i, place in enumerate(places) if not is_library(place.path)), 0)
    for i, place in enumerate(places):
        if cut > 0 and half <= i < half + cut:
            if i == half:
                yield f'<p class="note">{cut} frames are left out.</p>'
            continue
        yield _frame(
            place, is_open=i == first_own or not is_library(place.path), values=i == first_own
        )
    if not places:
        yield '<p class="note">It has no traceback.</p>'


def places_of(tb: TracebackType | None) -> Iterator[Place]:
    """The frames of a traceback, outermost first."""
    while tb is not None:
        code = tb.tb_frame.f_code
        columns = _columns(code, tb.tb_lasti, tb.tb_lineno)
        yield Place(tb.tb_frame, code.co_filename, tb.tb_lineno, code.co_qualname, columns)
        tb = tb.tb_next


def _columns(code: CodeType, instruction: int, line: int) -> tuple[int, int] | None:
    """Of the expression, in bytes of UTF-8, if it is on one line."""
    if instruction < 0:
        return None
    for index, (first, last, start, end) in enumerate(code.co_positions()):
        if index == instruction // 2:
            if first != line or last != line or start is None or end is None:
                return None
            return start, end
    return None


def _syntax_place(exception: BaseException) -> Iterator[Place]:
    """Where a program does not compile there is no frame."""
    if isinstance(exception, SyntaxError) and exception.filename and exception.lineno:
        yield Place(None, exception.filename, exception.lineno, "(does not compile)", None)


def is_library(path: str) -> bool:
    """Whether a file is of Python or of an installed package, and not the program's own."""
    if path.startswith("<"):
        return True
    parts = path.replace("\\", "/").split("/")
    if "site-packages" in parts or "dist-packages" in parts:
        return True
    return path.startswith((os.path.dirname(os.__file__), os.path.dirname(__file__)))


def _frame(place: Place, *, is_open: bool, values: bool) -> str:
    kind = "frame library" if is_library(place.path) else "frame"
    return (
        f'<details class="{kind}"{" open" if is_open else ""}>'
        f"<summary><b>{escape(place.function)}</b> "
        f'<span class="path">{escape(_short(place.path))}:{place.line}</span></summary>'
        f"{_source(place)}{_locals(place.frame, values) if place.frame else ''}</details>"
    )


def _short(path: str) -> str:
    """A file below the current folder as it is called from there."""
    here = os.path.join(os.getcwd(), "")
    return path.removeprefix(here)


def _source(place: Place) -> str:
    import linecache

    lines = linecache.getlines(place.path, place.frame.f_globals if place.frame else None)
    first = max(place.line - AROUND, 1)
    shown = lines[first - 1 : place.line + AROUND]
    if not shown:
        return ""
    spans = (_line(place, first + i, line.rstrip("\n")[:1000]) for i, line in enumerate(shown))
    return f'<pre class="source">{"".join(spans)}</pre>'


def _line(place: Place, number: int, text: str) -> str:
    if number != place.line:
        return f'<span data-line="{number}">{escape(text)}</span>'
    raw = text.encode("utf-8", "surrogatepass")
    start, end = place.columns or (0, 0)
    if not raw[:start].strip() and not raw[end:].strip():
        start = end = 0  # all of the line: nothing to point at
    parts = [
        escape(part.decode("utf-8", "replace")) for part in (raw[:start], raw[start:end], raw[end:])
    ]
    marked = f"<u>{parts[1]}</u>" if parts[1] else ""
    return f'<span class="here" data-line="{number}">{parts[0]}{marked}{parts[2]}</span>'


def _locals(frame: FrameType, is_open: bool) -> str:
    try:
        values = list(frame.f_locals.items())
    except Exception:  # a class body's namespace may be anybody's mapping
        return ""
    if frame.f_code.co_name == "<module>":
        values = [(n, v) for n, v in values if not n.startswith("__")]
    rows = [(str(name), _shown(str(name), value)) for name, value in values[:MAX_LOCALS]]
    if len(values) > MAX_LOCALS:
        rows.append(("…", f"{len(values) - MAX_LOCALS} more"))
    if not rows:
        return ""
    opened = " open" if is_open else ""
    return (
        f'<div class="locals"><details{opened}><summary>Local variables</summary>'
        f"{_table(rows)}</details></div>"
    )


def _shown(name: str, value: object) -> str:
    return HIDDEN if _is_secret(name) else short_repr(value)


def _is_secret(name: str) -> bool:
    return is_secret(name) or any(word in name.lower() for word in _SECRET_WORDS)


def short_repr(value: object) -> str:
    """repr(), of bounded length, whatever the value's own __repr__ does."""
    from reprlib import Repr

    limited = Repr()
    limited.maxstring, limited.maxother, limited.maxlong = 200, MAX_VALUE, 100
    limited.maxdict = limited.maxlist = limited.maxtuple = limited.maxset = 20
    limited.maxlevel = 4
    try:
        text = limited.repr(value)
    except Exception as error:
        text = f"<{type(value).__qualname__}, whose repr raised {type(error).__name__}>"
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"


# ---- the request ----


def _request_line(request: _cello.Request | None) -> str:
    if request is None:
        return '<p class="request">while the program started</p>'
    return (
        f'<p class="request"><code>{escape(request.method)} {escape(_target(request))}</code></p>'
    )


def _target(request: _cello.Request) -> str:
    """The path and the query, without the values of secrets."""
    pairs = [f"{n}={HIDDEN if _is_secret(n) else v}" for n, v in request.query.multi_items()]
    return f"{request.path}?{'&'.join(pairs)}" if pairs else request.path


def _request_parts(request: _cello.Request) -> Iterator[str]:
    facts = [
        ("Route", request.route or "none"),
        ("Path parameters", ", ".join(f"{n}={v!r}" for n, v in request.params.multi_items())),
        ("Client", str(request.remote_addr)),
        ("Request id", request.request_id or ""),
    ]
    yield f'<h2>Request</h2><div class="panel">{_table([f for f in facts if f[1]])}</div>'
    headers = [
        (name, HIDDEN if _is_secret(name) else value)
        for name, value in request.headers.multi_items()
    ]
    yield f'<h2>Headers</h2><div class="panel">{_table(headers)}</div>'


def _table(rows: list[tuple[str, str]]) -> str:
    cells = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{''.join(cells)}</table>"
