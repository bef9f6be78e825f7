"""Routes as they are declared, and the checks of what declares them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from cello._cello import Response
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
    selection: Mapping[str, Any] | None = None  # selection() of a response's fields
    response_class: type[Response] | None = None  # of bare values
    response_description: str | None = None
    const: bool = False  # the handler is called once
    blocking: bool | None = None  # on the thread pool; None: once it proves to wait
    timeout: float | None = None  # seconds; None: the server's
    stream: bool = False  # the handler reads the body itself

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
    """ValueError, TypeError: unless join() can use it."""
    if not isinstance(prefix, str):
        raise TypeError(f"a prefix is '' or like '/this', not {prefix!r}")
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise ValueError(f"a prefix begins with '/' and does not end with it: {prefix!r}")
    return prefix


def method_bits(methods: Iterable[str]) -> int:
    """ValueError: a method that is not in METHODS, or none at all. TypeError: not a list."""
    bits = 0
    for method in _listed("methods", methods, "'GET'"):
        bit = METHODS.get(str(method).upper())
        if bit is None:
            raise ValueError(f"unknown method {method!r}; one of {', '.join(METHODS)}")
        bits |= bit
    if not bits:
        raise ValueError("a route needs at least one method")
    return bits


def method_names(bits: int) -> list[str]:
    """What method_bits() was given."""
    return [name for name, bit in METHODS.items() if bits & bit]


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
    if not isinstance(max_body, int) or isinstance(max_body, bool) or max_body < 1:
        raise ValueError(f"max_body must be a positive number of bytes, not {max_body!r}")
    return max_body


def check_blocking(blocking: bool | None) -> bool | None:
    """TypeError: not True, False or None."""
    if blocking is not None and not isinstance(blocking, bool):
        raise TypeError(f"blocking must be True, False or None, not {blocking!r}")
    return blocking


def check_timeout(timeout: float | None) -> float | None:
    """Seconds; 0 means none, None that of the server. TypeError, ValueError: not a number of
    them."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be a number of seconds, not {timeout!r}")
    if not 0 <= timeout <= 1e9:
        raise ValueError(f"timeout must be a number of seconds, 0 for none, not {timeout!r}")
    return timeout


def is_body_mode(body: Any) -> bool:
    """Whether that says how a body is read, and not what it is. ValueError: it is neither."""
    if isinstance(body, str) and body not in ("buffer", "stream"):
        raise ValueError(f'body must be a model, "buffer" or "stream", not {body!r}')
    return isinstance(body, str)


def _listed(what: str, values: Iterable[Any] | None, example: str) -> tuple[Any, ...]:
    """TypeError: one value, where a list is wanted."""
    if isinstance(values, str) or not isinstance(values or (), Iterable):
        raise TypeError(f"{what} is a list such as [{example}], not {values!r}")
    return tuple(values or ())


def check_path(path: Any) -> None:
    """TypeError: a decorator without its path takes the handler for it."""
    if not isinstance(path, str):
        raise TypeError(f"a decorator of routes needs a path, as in @app.get('/'), not {path!r}")


def check_use(use: Iterable[Middleware] | None) -> tuple[Middleware, ...]:
    """TypeError: something that is not a middleware configuration, or no list."""
    steps = _listed("use", use, "RequestIdConfig()")
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
    """TypeError: something that cannot be called, or no list."""
    checked = _listed("guards", guards, "Authenticated()")
    for guard in checked:
        if not callable(guard):
            raise TypeError(f"guards are callables that get the request, not {guard!r}")
    return checked


def check_dependencies(dependencies: Iterable[Any] | None) -> tuple[DependsMarker, ...]:
    """TypeError: something else than Depends(...), or no list."""
    checked = _listed("dependencies", dependencies, "Depends(function)")
    for dependency in checked:
        if not isinstance(dependency, DependsMarker) or dependency.call is None:
            raise TypeError(f"dependencies is a list of Depends(function), not of {dependency!r}")
    return checked


def selection(
    include: Iterable[str] | Mapping[str, Any] | None,
    exclude: Iterable[str] | Mapping[str, Any] | None,
    exclude_unset: bool,
    exclude_defaults: bool,
    exclude_none: bool,
) -> Mapping[str, Any] | None:
    """What pydantic is told of the fields of a response; None: to write all. TypeError: include or
    exclude is one str."""
    found: dict[str, Any] = {}
    for name, fields in (("include", include), ("exclude", exclude)):
        if isinstance(fields, str):
            raise TypeError(f"response_model_{name} is a set of names, not the str {fields!r}")
        if fields is not None:
            found[name] = dict(fields) if isinstance(fields, Mapping) else set(fields)
    flags = {
        "exclude_unset": exclude_unset,
        "exclude_defaults": exclude_defaults,
        "exclude_none": exclude_none,
    }
    found.update({name: True for name, flag in flags.items() if flag})
    return found or None


def check_response_class(response_class: type[Response] | None) -> type[Response] | None:
    """TypeError: no class of responses."""
    if response_class is None or (
        isinstance(response_class, type) and issubclass(response_class, Response)
    ):
        return response_class
    raise TypeError(f"response_class is a subclass of Response, not {response_class!r}")


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
