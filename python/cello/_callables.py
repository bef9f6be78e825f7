"""What a callable is called with: names, annotations and defaults, and what calling it gives.

Plain functions are read without importing inspect.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Mapping
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

from cello import _cello

_CO_VARARGS = 0x04
CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR = 0x20, 0x80, 0x200


class Raw(NamedTuple):
    name: str
    annotation: Any  # ...: none
    default: Any  # ...: none
    by_keyword: bool
    by_position: bool


class Shape(NamedTuple):
    parameters: list[Raw]
    star: str | None  # *args, which nothing fills; **kwargs stays empty
    only_star: bool  # *args and nothing else
    returns: Any
    flags: int
    namespace: dict[str, Any]


def shape_of(call: Callable[..., Any]) -> Shape:
    if isinstance(call, FunctionType) and not hasattr(call, "__wrapped__"):
        return _function_shape(call)
    return _inspected_shape(call)


def _function_shape(function: FunctionType) -> Shape:
    """Without importing inspect."""
    code = function.__code__
    hints = function.__annotations__
    count = code.co_argcount
    names = code.co_varnames
    defaults = function.__defaults__ or ()
    first_default = count - len(defaults)
    keyword_defaults = function.__kwdefaults__ or {}
    parameters = [
        Raw(
            name,
            hints.get(name, ...),
            defaults[i - first_default] if i >= first_default else ...,
            False,
            i < code.co_posonlyargcount,
        )
        for i, name in enumerate(names[:count])
    ]
    end = count + code.co_kwonlyargcount
    parameters += [
        Raw(name, hints.get(name, ...), keyword_defaults.get(name, ...), True, False)
        for name in names[count:end]
    ]
    star = names[end] if code.co_flags & _CO_VARARGS else None
    return Shape(
        parameters,
        star,
        star is not None and not parameters,
        hints.get("return", ...),
        code.co_flags,
        function.__globals__,
    )


def _inspected_shape(call: Callable[..., Any]) -> Shape:
    """Of methods, partials, objects, classes, and what functools.wraps made."""
    import inspect

    signature = inspect.signature(call, follow_wrapped=False)
    found = list(signature.parameters.values())
    source: Any = call
    if hasattr(call, "__wrapped__") and any(p.kind is p.VAR_POSITIONAL for p in found):
        # A decorator that hands everything on: what it decorates says what that may be.
        signature = inspect.signature(call)
        found = list(signature.parameters.values())
        source = inspect.unwrap(call)
    star = next((p.name for p in found if p.kind is p.VAR_POSITIONAL), None)
    empty = inspect.Parameter.empty
    parameters = [
        Raw(
            p.name,
            ... if p.annotation is empty else p.annotation,
            ... if p.default is empty else p.default,
            p.kind is p.KEYWORD_ONLY,
            p.kind is p.POSITIONAL_ONLY,
        )
        for p in found
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    returns = ... if signature.return_annotation is empty else signature.return_annotation
    return Shape(
        parameters,
        star,
        star is not None and not parameters,
        returns,
        _flags(call),
        _namespace(source),
    )


def function_of(call: Any) -> Any:
    """The function that runs when an object is called; a class itself."""
    while hasattr(call, "func"):
        call = call.func
    if isinstance(call, type):
        return call
    if not isinstance(call, FunctionType) and not hasattr(call, "__func__"):
        call = type(call).__call__
    return getattr(call, "__func__", call)


def _flags(call: Any) -> int:
    import inspect

    function = function_of(call)
    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(function):
        return CO_COROUTINE
    code = getattr(function, "__code__", None)
    return code.co_flags if code else 0


def is_async(call: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine."""
    flags = call.__code__.co_flags if isinstance(call, FunctionType) else _flags(call)
    return bool(flags & CO_COROUTINE)


def _namespace(call: Any) -> dict[str, Any]:
    """Where the names of its annotations are looked up."""
    function = function_of(call)
    if isinstance(function, type):
        function = getattr(function, "__init__", function)
        function = function if hasattr(function, "__globals__") else function_of(call)
    found = getattr(function, "__globals__", None)
    if found is None:
        module = sys.modules.get(getattr(function, "__module__", ""))
        found = vars(module) if module else {}
    return typing.cast("dict[str, Any]", found)


def resolve(annotation: Any, namespace: dict[str, Any], scope: Mapping[str, Any] | None) -> Any:
    """An annotation with all its texts evaluated. NameError, or what else evaluating raises."""
    if annotation is None:
        return type(None)
    if isinstance(annotation, type):
        return annotation
    names: dict[str, Any] = dict(scope) if scope else {}
    holder = SimpleNamespace(__annotations__={"value": annotation})
    while True:
        try:
            hints = typing.get_type_hints(holder, namespace, names, include_extras=True)
            return hints["value"]
        except NameError as error:
            # Imported for type checkers only: these are known here.
            known: dict[str, Any] = {"Request": _cello.Request, "Response": _cello.Response}
            known["cello"] = SimpleNamespace(**known)
            if error.name in names or error.name not in known:
                raise
            names[error.name] = known[error.name]
