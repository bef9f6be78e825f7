"""Routes made with plans by hand, as the package makes them from signatures."""

from collections.abc import Callable
from typing import Any

from cello import App, _cello
from cello._cello import Converter

INT, STR = Converter("int"), Converter("str")
INTS = Converter("list", item=INT)

Field = tuple[int, str, Any, Any, tuple[str | int, ...]]


def path(name: str, convert: Any = INT) -> Field:
    return (_cello.SOURCE_PATH, name, convert, ..., ("path", name))


def query(name: str, convert: Any = STR, default: Any = ...) -> Field:
    return (_cello.SOURCE_QUERY, name, convert, default, ("query", name))


def header(name: str, convert: Any = STR, default: Any = ...) -> Field:
    return (_cello.SOURCE_HEADER, name, convert, default, ("header", name))


def cookie(name: str, convert: Any = STR, default: Any = ...) -> Field:
    return (_cello.SOURCE_COOKIE, name, convert, default, ("cookie", name))


def form(name: str, convert: Any = STR, default: Any = ...) -> Field:
    return (_cello.SOURCE_FORM, name, convert, default, ("form", name))


def body(convert: Callable[[Any], Any], default: Any = ..., source: int = 0) -> Field:
    return (source or _cello.SOURCE_BODY, "body", convert, default, ("body",))


def constant(value: Any) -> Field:
    return (_cello.SOURCE_CONST, "", None, value, ())


REQUEST: Field = (_cello.SOURCE_REQUEST, "request", None, ..., ())
RESPONSE: Field = (_cello.SOURCE_RESPONSE, "response", None, ..., ())


def value(function: Callable[..., Any], *slots: int) -> tuple[Any, ...]:
    return (_cello.CALL_VALUE, function, slots, ())


def generator(function: Callable[..., Any], *slots: int) -> tuple[Any, ...]:
    return (_cello.CALL_GENERATOR, function, slots, ())


class PlannedApp(App):
    def plan(
        self,
        route: str,
        function: Callable[..., Any],
        fields: tuple[Field, ...] = (),
        calls: tuple[Any, ...] = (),
        arguments: tuple[int, ...] | None = None,
        *,
        is_async: bool = False,
        status: int = 0,
        **rest: Any,
    ) -> int:
        """All methods, all fields as arguments unless said otherwise. Returns the route's id."""
        if arguments is None:
            arguments = tuple(range(len(fields)))
        plan = _cello.Plan(fields, calls, arguments, **rest)
        methods = 1 | 4 | 8  # GET, POST, PUT
        number = self._add_route(methods, route, "test", function, "handler", status, 0, (), (), 0)
        self._set_plan(number, function, is_async, plan)
        return number
