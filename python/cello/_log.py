"""The server log: the logger "cello", whose handlers and level are the program's."""

from __future__ import annotations


def error(
    message: str, exception: BaseException | None = None, request_id: str | None = None
) -> None:
    """One line for one problem, with the traceback when there is an exception."""
    import logging  # costs 10 ms, and a program without problems never needs it

    logging.getLogger("cello").error(message, exc_info=exception)


def info(message: str) -> None:
    """A line about the server itself, on standard error where nothing is configured."""
    import sys

    print(message, file=sys.stderr, flush=True)
