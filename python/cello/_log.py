"""The server log: the logger "cello" of the standard library.

A program that configures logging gets these records like any others. Where nothing is configured,
lines go to standard error in Cello's own format. Records have `request_id` (None outside of
requests) and `worker` (None in a process without a supervisor); exceptions are in `exc_info`. Lines
of the engine's own, made without Python, go to standard error in any case, and look the same.
`logging` costs 10 ms, so it is imported with the first line.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cello import _cello

if TYPE_CHECKING:
    import logging
    from types import TracebackType

LEVELS = ("debug", "info", "warning", "error", "critical")

# What programs of other frameworks stumble over.
AWAITED = (
    "Cello's body(), text(), json(), form(), files() and is_disconnected(), and the methods of "
    "UploadedFile, are plain calls: remove the await."
)

# How lines look that Cello writes itself; of the server that was started last.
_style = "development"  # or "production", "json"

# Which of several workers this process is.
worker: int | None = None


def configure(*, level: str | None = None, style: str = "development") -> None:
    """level: one of LEVELS, for the logger "cello"; None: as it is, and INFO where nothing is
    configured. style: "development" (tracebacks below the line), "production" (one line for one
    problem), "json" (one object a line)."""
    global _style
    _style = style
    least = "error" if level == "critical" else level or "warning"
    _cello.log_as(style, least, -1 if worker is None else worker)
    if level is not None:
        import logging

        logging.getLogger("cello").setLevel(level.upper())


def notice(message: str) -> None:
    """To whoever started the server: where it listens. Also seen where a program has configured
    logging without a level for "cello" and for warnings only."""
    if _style == "development" and "logging" not in sys.modules:
        _print(message)  # as a record would look, and 10 ms faster
        return
    import logging

    if not info(message) and logging.getLogger("cello").level == logging.NOTSET:
        _print(message)


def _print(message: str) -> None:
    with suppress(OSError):  # a terminal that is gone: SIGHUP
        print(_of_worker(message, worker), file=sys.stderr, flush=True)


def _of_worker(message: str, number: int | None) -> str:
    return message if number is None else f"worker {number}: {message}"


def info(message: str) -> bool:
    """About the server itself. False: nobody wants to know."""
    return _write(20, message, None, None)


def warning(message: str) -> None:
    """What should be looked at, but hurt no request."""
    _write(30, message, None, None)


def explain(exception: BaseException) -> None:
    """Add what to do about a mistake that is often made."""
    awaited = type(exception) is TypeError and "in 'await' expression" in str(exception)
    if awaited and AWAITED not in getattr(exception, "__notes__", ()):
        exception.add_note(AWAITED)


def error(
    message: str, exception: BaseException | None = None, request_id: str | None = None
) -> None:
    """One problem, with the exception behind it."""
    if exception is not None:
        explain(exception)
    _write(40, message, exception, request_id)


def critical(message: str, exception: BaseException | None = None) -> None:
    """What ends the server."""
    _write(50, message, exception, None)


def _write(
    level: int, message: str, exception: BaseException | None, request_id: str | None
) -> bool:
    import logging

    logger = logging.getLogger("cello")
    configured = logger.hasHandlers()
    if not configured and logger.level == logging.NOTSET:
        if level < logging.INFO or logger.disabled or logger.manager.disable >= level:
            return False
    elif not logger.isEnabledFor(level):
        return False
    exc_info = (type(exception), exception, exception.__traceback__) if exception else None
    where = _origin(exception)
    extra = {"request_id": request_id, "worker": worker}
    record = logger.makeRecord("cello", level, *where, message, (), exc_info, extra=extra)
    if configured:
        logger.handle(record)
    elif logger.filter(record):
        from cello._log_handler import own

        own.handle(record)
    return True


def _origin(exception: BaseException | None) -> tuple[str, int]:
    """The file and line of a record: where the exception was raised."""
    tb = exception.__traceback__ if exception is not None else None
    if tb is None:
        return "(cello)", 0
    while tb.tb_next is not None:
        tb = tb.tb_next
    return tb.tb_frame.f_code.co_filename, tb.tb_lineno


def from_program(exception: BaseException) -> BaseException:
    """The exception, its traceback beginning with the program's code, not with what called it."""
    callers = {
        os.path.dirname(__file__),
        os.path.dirname(getattr(sys.modules.get("asyncio"), "__file__", "")),
    }
    tb = exception.__traceback__
    while tb is not None and os.path.dirname(tb.tb_frame.f_code.co_filename) in callers:
        tb = tb.tb_next
    return exception.with_traceback(tb) if tb is not None else exception


# ---- where the program did not configure logging ----


def line_of(record: logging.LogRecord, style: str | None = None) -> str:
    """A record as a line, or in development as a line and a traceback. style: of the server that
    was started last."""
    style = style or _style
    if style == "json":
        return _json(record)
    exception = record.exc_info[1] if record.exc_info else None
    request_id: str | None = getattr(record, "request_id", None)
    message = record.getMessage()
    if request_id:
        message = f"[{request_id}] {message}"
    parts = [_of_worker(message, getattr(record, "worker", None))]
    if style == "production" or record.levelno != 20:
        parts.insert(0, f"{record.levelname:<8}")
    if style == "production":
        parts.insert(0, _time(record.created))
    line = one_line(" ".join(parts))
    if exception is None:
        return line
    if style == "production" and record.levelno < 50:
        return f"{line}: {one_line(summary(exception))}"
    return f"{line}\n{_traceback(exception)}"


def _json(record: logging.LogRecord) -> str:
    entry: dict[str, Any] = {
        "time": _time(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    number = getattr(record, "worker", None)
    if number is not None:
        entry["worker"] = number
    request_id = getattr(record, "request_id", None)
    if request_id:
        entry["request_id"] = request_id
    if record.exc_info and record.exc_info[1] is not None:
        entry["exception"] = _traceback(record.exc_info[1])
    return _cello.json_dumps(entry, _replaced).decode()


def _replaced(value: object) -> str:
    return repr(value)


def _time(seconds: float) -> str:
    from time import gmtime, strftime

    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(seconds))}.{int(seconds % 1 * 1000):03d}Z"


def _traceback(exception: BaseException) -> str:
    from traceback import format_exception

    text = "".join(format_exception(exception)).rstrip("\n")
    return text.encode("utf-8", "backslashreplace").decode()


MAX_FRAMES = 8


def summary(exception: BaseException) -> str:
    """An exception in a line: type, text, and the places of the innermost calls, innermost first,
    then the same of what caused it."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = exception
    while current is not None and id(current) not in seen and len(parts) < 4:
        seen.add(id(current))
        places = " < ".join(_places(current.__traceback__))
        parts.append(f"{_name_and_text(current)}{f' ({places})' if places else ''}")
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
    return "; from ".join(parts)


def _name_and_text(exception: BaseException) -> str:
    try:
        text = str(exception)
    except Exception:  # __str__ is the program's code
        text = "(its text cannot be had)"
    name = type(exception).__qualname__
    return f"{name}: {text}" if text else name


def _places(tb: TracebackType | None) -> list[str]:
    found = []
    while tb is not None:
        code = tb.tb_frame.f_code
        found.append(f"{os.path.basename(code.co_filename)}:{tb.tb_lineno} {code.co_name}")
        tb = tb.tb_next
    return found[: -MAX_FRAMES - 1 : -1]


def one_line(text: str) -> str:
    """Without line breaks and other control characters, which could forge lines."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
