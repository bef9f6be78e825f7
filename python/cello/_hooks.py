"""Python around handlers: hooks before and after them, middleware, and exception handlers."""

# ruff: noqa: F811 (at run time overload is our own, which ruff does not see through)
from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cello import _cello, _debug, _log
from cello._base import Base
from cello._callables import is_async, shape_of
from cello._errors import HTTPError, Problem

if TYPE_CHECKING:
    from typing import overload
else:

    def overload(function):
        """typing's own keeps the function for ever, and with it the module."""
        return function


Function = Callable[..., Any]
FunctionT = TypeVar("FunctionT", bound=Function)
CallNext = Callable[[_cello.Request], Awaitable[_cello.Response]]
Middleware = Callable[[_cello.Request, CallNext], Awaitable[Any]]


def arguments_needed(function: Function) -> int:
    """How many positional arguments a call must give."""
    return sum(p.default is ... and not p.by_keyword for p in shape_of(function).parameters)


def arguments_taken(function: Function, most: int) -> int:
    """With how many positional arguments to call it: as many as it takes, `most` at most."""
    shape = shape_of(function)
    return most if shape.star else min(sum(not p.by_keyword for p in shape.parameters), most)


class Hook(NamedTuple):
    """A function before or after handlers. path: as declared, None for every route."""

    function: Function
    path: str | None
    is_async: bool
    call: Function

    def concerns(self, path: str) -> bool:
        """Whether it belongs to the route declared with this path."""
        if self.path is None or self.path == path:
            return True
        below = self.path.removesuffix("/*")
        return below != self.path and (path == below or path.startswith(below + "/"))


def hooks_of(hooks: list[Hook], path: str) -> tuple[Hook, ...]:
    """Those of the route declared with this path, in the order they run in."""
    return tuple(hook for hook in hooks if hook.concerns(path))


class Hooks(Base):
    """Hooks, middleware and exception handlers of an application; a base of App."""

    _before: list[Hook]
    _after: list[Hook]  # the last one declared first
    _middleware: list[Middleware]  # the last one declared first, which is the outermost

    def _init_hooks(self, exception_handlers: Mapping[Any, Function] | None) -> None:
        self._before, self._after, self._middleware = [], [], []
        self._exception_handlers, self._status_handlers = {}, {}
        for kind, function in (exception_handlers or {}).items():
            self.add_exception_handler(kind, function)

    # ---- before and after ----

    @overload
    def before_request(self, path: FunctionT, /) -> FunctionT: ...
    @overload
    def before_request(self, path: str | None = None) -> Callable[[FunctionT], FunctionT]: ...
    def before_request(self, path: Any = None) -> Any:
        """Call a function with the Request before the handler, and before parameters are checked.

        path: of the route it belongs to, as that was declared ("/items/{id}"); "/admin/*" for all
        below /admin and /admin itself; None: every route. What the function returns is the answer,
        unless it is None or the request itself: then the next hook, and at last the handler, run.
        """
        return self._hook(self._add_before, path)

    @overload
    def after_request(self, path: FunctionT, /) -> FunctionT: ...
    @overload
    def after_request(self, path: str | None = None) -> Callable[[FunctionT], FunctionT]: ...
    def after_request(self, path: Any = None) -> Any:
        """Call a function with (req, response), or (response), when a handler has been answered.

        It may change the Response, or return another one. path: as for before_request. The last
        one declared runs first.
        """
        return self._hook(self._add_after, path)

    def _hook(self, add: Callable[[Function, str | None], None], path: Any) -> Any:
        if callable(path):  # without parentheses: @app.before_request
            add(path, None)
            return path
        if path is not None and (not isinstance(path, str) or not path.startswith("/")):
            raise ValueError(f"path begins with '/', or is None for every route: {path!r}")

        def declare(function: FunctionT) -> FunctionT:
            add(function, path)
            return function

        return declare

    def _add_before(self, function: Function, path: str | None) -> None:
        self._check_open("hooks and exception handlers")
        taken = arguments_taken(function, 1)
        call = function if taken else lambda request: function()
        self._before.append(Hook(function, path, is_async(function), call))

    def _add_after(self, function: Function, path: str | None) -> None:
        self._check_open("hooks and exception handlers")
        taken = arguments_taken(function, 2)
        if taken == 0:
            raise TypeError(
                f"an after_request hook takes (req, response) or (response): {function!r}"
            )
        call = function if taken == 2 else lambda request, response: function(response)
        self._after.insert(0, Hook(function, path, is_async(function), call))

    def middleware(self, kind: str = "http") -> Callable[[Function], Function]:
        """Wrap handlers: `async def middleware(req, call_next)`, where `await call_next(req)` gives
        the Response of what is inside. The one declared last is outermost."""
        if kind != "http":
            raise ValueError(f"middleware is for 'http', not {kind!r}")

        def declare(function: Function) -> Function:
            if not is_async(function):
                raise TypeError(
                    f"a middleware is 'async def {getattr(function, '__name__', 'name')}"
                    "(req, call_next)'; a plain function goes into before_request or after_request"
                )
            self._check_open("hooks and exception handlers")
            self._middleware.insert(0, function)
            return function

        return declare

    # ---- exception handlers ----

    def exception_handler(
        self, kind: type[BaseException] | int
    ) -> Callable[[FunctionT], FunctionT]:
        """Call a function with (req, exc) for exceptions of a type and its subtypes, or for a
        status that an HTTPError, or the engine for lack of a route (404, 405), would answer with.

        What it returns is the answer, as of a handler; a bare value has the error's status, which
        is 500 for exceptions that have none.
        """

        def declare(function: FunctionT) -> FunctionT:
            self.add_exception_handler(kind, function)
            return function

        return declare

    def add_exception_handler(self, kind: type[BaseException] | int, function: Function) -> None:
        """exception_handler without a decorator. TypeError, ValueError: what is wrong with it."""
        self._check_open("hooks and exception handlers")
        if not callable(function):
            raise TypeError(f"an exception handler is a function of (req, exc), not {function!r}")
        taken = arguments_taken(function, 2)
        if taken != 2:
            raise TypeError(f"an exception handler takes (req, exc): {function!r}")
        if isinstance(kind, int) and not isinstance(kind, bool):
            if not 400 <= kind <= 599:
                raise ValueError(f"a status handler is for 400 to 599, not {kind}")
            self._status_handlers[kind] = function
        elif isinstance(kind, type) and issubclass(kind, Exception):
            self._exception_handlers[kind] = function
        else:
            raise TypeError(f"a type of exceptions or a status is needed, not {kind!r}")
        self._set_exception_hook(self._answer_exception)

    @property
    def _has_async_exception_handler(self) -> bool:
        handlers = (*self._exception_handlers.values(), *self._status_handlers.values())
        return any(map(is_async, handlers))

    def _add_refusals(self) -> None:
        """Requests that no route answers become exceptions, if there are handlers for those."""
        kinds = [kind for kind in self._exception_handlers if kind is not Exception]
        by_type = any(issubclass(HTTPError, kind) for kind in kinds)
        for status, refuse in ((404, _not_found), (405, _not_allowed)):
            if by_type or status in self._status_handlers:
                self._add_refusal(status, refuse, f"the handler of status {status}")

    def _check_hooks(self, paths: list[str]) -> None:
        """ValueError: a hook that no route has, which may be a check that never happens."""
        for hook in (*self._before, *self._after):
            if hook.path is not None and not any(map(hook.concerns, paths)):
                kind = "before_request" if hook in self._before else "after_request"
                raise ValueError(
                    f"{kind}({hook.path!r}): no route is declared with this path "
                    "('/path/*' is for all below a path)"
                )

    def _find_exception_handler(self, error: Exception) -> tuple[Function | None, bool]:
        """The handler for an exception, and whether it is one for whatever nobody expected."""
        if isinstance(error, Problem):
            by_status = self._status_handlers.get(error.status)
            if by_status is not None:
                return by_status, False
        for base in type(error).__mro__:
            if base is Exception:
                break
            found = self._exception_handlers.get(base)
            if found is not None:
                return found, False
        if isinstance(error, Problem):
            return None, False
        if isinstance(error, _cello.JSONDecodeError):
            return self._status_handlers.get(400), False
        last_resort = self._exception_handlers.get(Exception) or self._status_handlers.get(500)
        return last_resort, True

    def _answer_exception(self, request: _cello.Request, error: Exception) -> Any:
        """The engine's question about every exception: what a handler returns is the answer, or a
        coroutine that gives it; None: nobody handles it."""
        handler, unexpected = self._find_exception_handler(error)
        if handler is None:
            return None
        if unexpected:
            if self._debug_pages and _debug.is_for(request):
                return None  # the engine logs it, and asks for the page
            _log.error(f"{request.method} {request.route}: exception", error, request.request_id)
        try:
            value = handler(request, error)
        except Problem as problem:
            return problem
        return _cello.Response(None, _status_of(error)) if value is None else value


def _status_of(error: Exception) -> int:
    if isinstance(error, Problem):
        return error.status
    return 400 if isinstance(error, _cello.JSONDecodeError) else 500


# What the engine says for lack of a route, where a program wants to say it.


def _not_found() -> None:
    raise HTTPError(404, "No route matches this path.")


def _not_allowed() -> None:
    raise HTTPError(405, "The resource does not support this method.")
