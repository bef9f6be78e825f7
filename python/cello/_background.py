"""Background tasks: what a handler leaves to be done when its answer was sent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, ParamSpec

from cello import _cello, _log
from cello._callables import is_async
from cello._params import name_of

P = ParamSpec("P")


class _Task(NamedTuple):
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    is_async: bool


class BackgroundTasks:
    """Functions that run one after the other when the response was sent. A parameter of a handler
    or a dependency that is annotated with this class gets the one of the request.

    A def runs on the thread pool, an async def on the server's loop. What one raises is logged, and
    the next one runs. A handler that raises leaves nothing to be done.
    """

    __slots__ = ("_is_async", "_tasks")

    def __init__(self) -> None:
        self._is_async = False
        self._tasks: list[_Task] = []

    def add_task(self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call function(*args, **kwargs) after the response. TypeError: it cannot be called."""
        if not callable(function):
            raise TypeError(f"a background task is a function, not {function!r}")
        needs_loop = is_async(function)
        self._is_async = self._is_async or needs_loop
        self._tasks.append(_Task(function, args, kwargs, needs_loop))

    def _run(self, where: str) -> None:
        """All of them, none async, on a thread of the pool. where: for the log, "GET /path"."""
        for task in self._tasks:
            try:
                task.function(*task.arguments, **task.keywords)
            except BaseException as error:
                if not isinstance(error, Exception) and not _is_cancellation(error):
                    raise
                _log_failure(where, task, error)

    async def _run_async(self, where: str) -> None:
        """All of them, on the loop."""
        for task in self._tasks:
            try:
                if task.is_async:
                    await task.function(*task.arguments, **task.keywords)
                else:
                    call = partial(task.function, *task.arguments, **task.keywords)
                    await _cello.offload(call)
            except BaseException as error:
                if not isinstance(error, Exception) and not _is_of_awaited(error):
                    raise
                _log_failure(where, task, error)


def _is_cancellation(error: BaseException) -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def _is_of_awaited(error: BaseException) -> bool:
    """Somebody has cancelled what a task awaited, and nobody the tasks."""
    import asyncio

    current = asyncio.current_task()
    return _is_cancellation(error) and current is not None and not current.cancelling()


def _log_failure(where: str, task: _Task, error: BaseException) -> None:
    _log.error(f"{where}: exception in the background task {name_of(task.function)}", error)
