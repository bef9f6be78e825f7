"""Routes as they are declared: what is known of a handler is found out here, once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any, NamedTuple, TypeVar

from cello._config import Middleware
from cello._params import DependsMarker

Handler = Callable[..., Any]
HandlerT = TypeVar("HandlerT", bound=Handler)

METHODS = {
    "GET": 1 << 0,
    "HEAD": 1 << 1,
    "POST": 1 << 2,
    "PUT": 1 << 3,
    "DELETE": 1 << 4,
    "PATCH": 1 << 5,
    "OPTIONS": 1 << 6,
}

_CO_VARARGS, _CO_COROUTINE = 0x04, 0x80


# NamedTuple, not dataclass: that one imports inspect, which costs a program 15 ms at its start.
class Route(NamedTuple):
    """One handler under one path, as it was declared. `where` is "file:line" of that place."""

    methods: int
    path: str
    where: str
    handler: Handler
    status: int = 0  # 0: by the returned value
    max_body: int = 0  # bytes; 0: the limit of the server
    use: tuple[Middleware, ...] = ()
    name: str | None = None
    tags: tuple[str, ...] = ()
    summary: str | None = None
    description: str | None = None
    guards: tuple[Callable[..., Any], ...] = ()
    dependencies: tuple[DependsMarker, ...] = ()
    response_model: Any = None
    body: Any = None  # a model of the JSON body
    responses: Mapping[int | str, Any] | None = None
    deprecated: bool = False
    include_in_schema: bool = True
    operation_id: str | None = None
    versions: tuple[str, ...] = ()  # (): all
    scope: Mapping[str, Any] | None = None  # local_names() of the handler
    group: str = ""  # the names of its blueprints, with dots

    @property
    def full_name(self) -> str:
        """What url_for() calls it: "blueprint.function"."""
        name = self.name or handler_name(self.handler)
        return f"{self.group}.{name}" if self.group else name

    def below(self, shared: Shared) -> Route:
        """The same route in a group."""
        return self._replace(
            path=join(shared.prefix, self.path),
            use=shared.use + self.use,
            tags=tuple(dict.fromkeys(shared.tags + self.tags)),
            guards=shared.guards + self.guards,
            dependencies=shared.dependencies + self.dependencies,
            responses={**(shared.responses or {}), **(self.responses or {})} or None,
            deprecated=self.deprecated or shared.deprecated,
            include_in_schema=self.include_in_schema and shared.include_in_schema,
            versions=self.versions or shared.versions,
            group=".".join(name for name in (shared.name, self.group) if name),
        )


class Shared(NamedTuple):
    """What a group gives its routes; a route's own comes after it, and wins."""

    prefix: str = ""
    name: str = ""
    use: tuple[Middleware, ...] = ()
    tags: tuple[str, ...] = ()
    guards: tuple[Callable[..., Any], ...] = ()
    dependencies: tuple[DependsMarker, ...] = ()
    responses: Mapping[int | str, Any] | None = None
    deprecated: bool = False
    include_in_schema: bool = True
    versions: tuple[str, ...] = ()


def handler_name(handler: Any) -> str:
    """Without the places it was defined in; a partial is called as its function is."""
    while hasattr(handler, "func"):
        handler = handler.func
    return str(getattr(handler, "__name__", None) or type(handler).__name__)


def join(prefix: str, path: str) -> str:
    """A prefix is "" or begins with "/" and does not end with it."""
    return prefix + path if path != "/" or not prefix else prefix


def check_prefix(prefix: str) -> str:
    """ValueError unless join() can use it."""
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise ValueError(f"a prefix begins with '/' and does not end with it: {prefix!r}")
    return prefix


def method_bits(methods: Iterable[str]) -> int:
    """ValueError: a method that is not in METHODS, or none at all."""
    bits = 0
    for method in methods:
        bit = METHODS.get(method.upper())
        if bit is None:
            raise ValueError(f"unknown method {method!r}; one of {', '.join(METHODS)}")
        bits |= bit
    if not bits:
        raise ValueError("a route needs at least one method")
    return bits


def caller(depth: int) -> str:
    """ "file:line" of the code `depth` calls above this one's caller."""
    frame = sys._getframe(depth + 1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def local_names(handler: Any, depth: int) -> Mapping[str, Any] | None:
    """What names mean in the function `depth` calls above this one's caller, when the handler has
    annotations that are text; None where those names are global."""
    hints = getattr(handler, "__annotations__", None) or {}
    # Looked at last: f_locals keeps alive what the function holds by then.
    if not any(isinstance(hint, str) for hint in hints.values()):
        return None
    frame = sys._getframe(depth + 1)
    return None if frame.f_locals is frame.f_globals else frame.f_locals


def check_status(status: int | None, status_code: int | None) -> int:
    """The route's own status; 0 means by the returned value."""
    value = status if status is not None else status_code
    if value is None:
        return 0
    if not isinstance(value, int) or not 200 <= value <= 599:
        raise ValueError(f"status must be an int from 200 to 599, not {value!r}")
    return value


def check_max_body(max_body: int | None) -> int:
    """Bytes; 0 means the limit of the server."""
    if max_body is None:
        return 0
    if not isinstance(max_body, int) or max_body < 1:
        raise ValueError(f"max_body must be a positive number of bytes, not {max_body!r}")
    return max_body


def check_use(use: Iterable[Middleware] | None) -> tuple[Middleware, ...]:
    """TypeError: something that is not a middleware configuration."""
    steps = tuple(use or ())
    for step in steps:
        if not isinstance(step, Middleware):
            raise TypeError(f"use takes configurations such as RequestIdConfig(), not {step!r}")
    return steps


def check_texts(what: str, values: Iterable[str] | None) -> tuple[str, ...]:
    """TypeError: not a list of str."""
    texts = () if values is None else values if isinstance(values, str) else tuple(values)
    if isinstance(texts, str) or not all(isinstance(text, str) and text for text in texts):
        raise TypeError(f"{what} is a list of str, not {values!r}")
    return texts


def check_guards(guards: Iterable[Callable[..., Any]] | None) -> tuple[Callable[..., Any], ...]:
    """TypeError: something that cannot be called."""
    if callable(guards):
        raise TypeError(f"guards is a list, not {guards!r}")
    checked = tuple(guards or ())
    for guard in checked:
        if not callable(guard):
            raise TypeError(f"guards are callables that get the request, not {guard!r}")
    return checked


def check_dependencies(dependencies: Iterable[Any] | None) -> tuple[DependsMarker, ...]:
    """TypeError: something else than Depends(...)."""
    checked = tuple(dependencies or ())
    for dependency in checked:
        if not isinstance(dependency, DependsMarker) or dependency.call is None:
            raise TypeError(f"dependencies is a list of Depends(function), not of {dependency!r}")
    return checked


def check_responses(
    responses: Mapping[int | str, Any] | None,
) -> Mapping[int | str, Any] | None:
    """ValueError: keys that are not a status, "4XX" or "default"."""
    for key in responses or ():
        if not _is_status(str(key)):
            raise ValueError(f"responses: {key!r} is no status, no '4XX' and not 'default'")
    return dict(responses) if responses else None


def _is_status(key: str) -> bool:
    return key == "default" or (
        len(key) == 3 and key[0] in "12345" and (key[1:].isdigit() or key[1:] == "XX")
    )


class Plan(NamedTuple):
    """How a handler is called."""

    is_async: bool
    wants_request: bool
    name: str


def plan(handler: Handler, where: str) -> Plan:
    """Look at a handler's signature: h() or h(req). TypeError names the place and the parameter."""
    if not callable(handler):
        raise TypeError(f"{where}: a handler must be callable, not {handler!r}")
    if isinstance(handler, FunctionType) and not hasattr(handler, "__wrapped__"):
        code = handler.__code__
        name = handler.__qualname__
        required = code.co_argcount - len(handler.__defaults__ or ())
        names = code.co_varnames[: code.co_argcount]
        keyword_only = code.co_kwonlyargcount - len(handler.__kwdefaults__ or ())
        takes_any = bool(code.co_flags & _CO_VARARGS)
        is_async = bool(code.co_flags & _CO_COROUTINE)
    else:
        name, required, names, keyword_only, takes_any, is_async = _inspect(handler)
    if required > 1 or keyword_only > 0:
        extra = names[1] if required > 1 else "a keyword-only one"
        raise TypeError(
            f"{where}: handler {name!r} must be h() or h(req); "
            f"nothing gives its parameter {extra!r}"
        )
    if len(names) > required and required == 0 and names[0] not in ("req", "request"):
        return Plan(is_async, False, name)
    return Plan(is_async, bool(names) or takes_any, name)


def _inspect(handler: Handler) -> tuple[str, int, tuple[str, ...], int, bool, bool]:
    """The same for callables that are not plain functions: methods, partials, objects, and what
    functools.wraps made."""
    import inspect

    parameters = list(inspect.signature(handler, follow_wrapped=False).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        # A decorator that hands everything on: what it decorates says what that may be.
        parameters = list(inspect.signature(handler).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = sum(p.default is p.empty for p in positional)
    keyword_only = sum(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    target = handler
    while hasattr(target, "func"):
        target = target.func
    is_async = inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(
        type(target).__call__  # an object with an async __call__
    )
    name = getattr(handler, "__qualname__", None) or type(handler).__qualname__
    return name, required, tuple(p.name for p in positional), keyword_only, takes_any, is_async
