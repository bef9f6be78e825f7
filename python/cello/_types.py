"""Annotations taken apart, and the converters of those that one text or several give.

Runs at registration. No module is imported for a type: types are known by the names of their
classes.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Container, Iterable
from typing import Any, Literal

from cello import _cello
from cello._params import BARE, CONSTRAINTS, DependsMarker, ParamMarker

# Text to value in C, by the class's full name.
KINDS = {
    "builtins.str": "str",
    "builtins.int": "int",
    "builtins.float": "float",
    "builtins.bool": "bool",
    "uuid.UUID": "uuid",
    "datetime.date": "date",
    "datetime.datetime": "datetime",
    "datetime.time": "time",
    "datetime.timedelta": "timedelta",
    "decimal.Decimal": "decimal",
}
_NUMBERS = ("ge", "gt", "le", "lt", "multiple_of")
_LENGTHS = ("min_length", "max_length")
# Which constraints a kind takes.
_TAKES: dict[str, tuple[str, ...]] = {
    "str": (*_LENGTHS, "pattern"),
    "int": _NUMBERS,
    "float": _NUMBERS,
    "decimal": _NUMBERS,
    "date": _NUMBERS[:4],
    "datetime": _NUMBERS[:4],
    "time": _NUMBERS[:4],
    "timedelta": _NUMBERS[:4],
    "list": _LENGTHS,
    "set": _LENGTHS,
    "frozenset": _LENGTHS,
    "tuple": _LENGTHS,
}
# Types of others whose constructor takes their text.
_BY_CONSTRUCTOR = ("ipaddress", "pathlib")
_LISTS = {
    "builtins.list": "list",
    "builtins.set": "set",
    "builtins.frozenset": "frozenset",
    "builtins.tuple": "tuple",
    "collections.abc.Sequence": "list",
    "collections.abc.Iterable": "list",
    "collections.abc.Collection": "list",
    "collections.abc.Set": "set",
}


def full_name(cls: Any) -> str:
    return f"{getattr(cls, '__module__', '')}.{getattr(cls, '__qualname__', '')}"


def show(annotation: Any) -> str:
    """An annotation as a message names it."""
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)


# ---- taking annotations apart ----


def unwrap(annotation: Any) -> tuple[Any, list[Any]]:
    """What Annotated, NewType and type aliases stand for, and the metadata on the way, innermost
    first."""
    metadata: list[Any] = []
    while True:
        if hasattr(annotation, "__metadata__"):
            metadata[:0] = annotation.__metadata__
            annotation = annotation.__origin__
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation, metadata


def markers_of(metadata: Iterable[Any]) -> list[Any]:
    """The markers among the metadata of an Annotated."""
    found: list[Any] = []
    for item in metadata:
        if isinstance(item, ParamMarker | DependsMarker):
            found.append(item)
        elif isinstance(item, types.FunctionType) and item in BARE:
            found.append(item())
    return found


def plain(annotation: Any) -> Any:
    """Without its markers; what else Annotated says stays, where only pydantic reads it."""
    bare, metadata = unwrap(annotation)
    kept = [m for m in metadata if not markers_of([m])]
    if _is_custom_pydantic(bare, kept) or any(getattr(m, "discriminator", None) for m in kept):
        return typing.Annotated[bare, *kept]
    return bare


def members(annotation: Any) -> tuple[Any, ...]:
    """The types of a Union, or ()."""
    if isinstance(annotation, type):
        return ()
    origin = typing.get_origin(annotation)
    return typing.get_args(annotation) if origin in (typing.Union, types.UnionType) else ()


def without_none(annotation: Any) -> tuple[Any, bool]:
    """Optional[T] as (T, True)."""
    parts = members(annotation)
    if type(None) not in parts:
        return annotation, False
    rest = tuple(part for part in parts if part is not type(None))
    return (rest[0] if len(rest) == 1 else typing.Union[rest]), True  # noqa: UP007


def constraints_of(metadata: Iterable[Any]) -> dict[str, Any]:
    """What markers, msgspec.Meta, annotated_types and pydantic's Field say; the last one wins."""
    found: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, ParamMarker):
            found.update(item.constraints)
            continue
        root = type(item).__module__.partition(".")[0]
        if root not in ("msgspec", "annotated_types", "pydantic"):
            continue
        nested = getattr(item, "metadata", None)  # pydantic's FieldInfo
        if isinstance(nested, list):
            found.update(constraints_of(nested))
        for name in CONSTRAINTS:
            value = getattr(item, name, None)
            if value is not None:
                found[name] = getattr(value, "pattern", value)
    return found


def _is_subclass(annotation: Any, base: str) -> bool:
    """Whether it is a class below one that need not be imported."""
    return isinstance(annotation, type) and any(full_name(c) == base for c in annotation.__mro__)


def is_typed_dict(annotation: Any) -> bool:
    return isinstance(annotation, type) and hasattr(annotation, "__total__")


def is_named_tuple(annotation: Any) -> bool:
    return (
        isinstance(annotation, type)
        and issubclass(annotation, tuple)
        and hasattr(annotation, "_fields")
    )


def is_struct(annotation: Any) -> bool:
    return hasattr(annotation, "__struct_fields__") and isinstance(annotation, type)


def is_pydantic(annotation: Any) -> bool:
    """A model or a dataclass of pydantic's."""
    return isinstance(annotation, type) and hasattr(annotation, "__pydantic_core_schema__")


def is_model(annotation: Any) -> bool:
    """A class with declared fields."""
    bare = typing.get_origin(annotation) or annotation
    return isinstance(bare, type) and (
        is_struct(bare)
        or is_pydantic(bare)
        or is_typed_dict(bare)
        or is_named_tuple(bare)
        or hasattr(bare, "__dataclass_fields__")
        or hasattr(bare, "__attrs_attrs__")
    )


def _is_custom_pydantic(annotation: Any, metadata: list[Any]) -> bool:
    """Whether only pydantic knows what it means: EmailStr, HttpUrl, AfterValidator(...)."""
    if not is_pydantic(annotation) and hasattr(annotation, "__get_pydantic_core_schema__"):
        return True
    return any(
        type(item).__module__.startswith("pydantic.functional_")
        or hasattr(item, "__get_pydantic_core_schema__")
        for item in metadata
    )


def contains_pydantic(annotation: Any) -> bool:
    bare, metadata = unwrap(annotation)
    if is_pydantic(typing.get_origin(bare) or bare) or _is_custom_pydantic(bare, metadata):
        return True
    return any(contains_pydantic(part) for part in typing.get_args(bare) if part is not ...)


def is_answer(annotation: Any) -> bool:
    """tuple[T, int] and tuple[T, int, headers]: a body with its status."""
    parts = typing.get_args(annotation)
    return len(parts) in (2, 3) and parts[1] is int


# ---- scalars ----


def shape(annotation: Any) -> str:
    """ "scalar": one text gives it; "list": several do; "body": it has structure. TypeError: none
    of them."""
    bare, metadata = unwrap(annotation)
    if _is_custom_pydantic(bare, metadata):
        return "scalar"
    bare, optional = without_none(bare)
    if optional:
        return shape(bare)
    parts = members(bare)
    if parts:
        shapes = {shape(part) for part in parts}
        return shapes.pop() if len(shapes) == 1 and "list" not in shapes else "body"
    item = list_item(bare)
    if item is not None:
        return "list" if shape(item) == "scalar" else "body"
    if _is_scalar(bare):
        return "scalar"
    if is_model(bare) or is_container(bare):
        return "body"
    raise TypeError(f"nothing is known of the type {show(bare)}")


def file_kind(annotation: Any) -> str | None:
    """ "file" for UploadedFile, "bytes", and "files", "list of bytes" for lists of them; with
    or without None. None: another type."""
    bare = unwrap(without_none(unwrap(annotation)[0])[0])[0]
    if bare is bytes:
        return "bytes"
    if bare is _cello.UploadedFile:
        return "file"
    if typing.get_origin(bare) is list:
        item = unwrap(bare.__args__[0])[0]
        return {_cello.UploadedFile: "files", bytes: "list of bytes"}.get(item)
    return None


def _is_scalar(bare: Any) -> bool:
    return (
        full_name(bare) in KINDS
        or bare in (Any, object, bytes)
        or typing.get_origin(bare) is Literal
        or _is_subclass(bare, "enum.Enum")
        or _by_constructor(bare)
    )


def is_container(bare: Any) -> bool:
    origin = typing.get_origin(bare) or bare
    return full_name(origin) in _LISTS or full_name(origin) in (
        "builtins.dict",
        "collections.abc.Mapping",
        "collections.abc.MutableMapping",
        "msgspec.Raw",
    )


def _by_constructor(bare: Any) -> bool:
    return (
        isinstance(bare, type)
        and not is_model(bare)
        and (
            bare.__module__.partition(".")[0] in _BY_CONSTRUCTOR
            or issubclass(bare, str | int | float)
        )
    )


def list_item(bare: Any) -> Any:
    """The type of the items of list[T], set[T], tuple[T, ...] or tuple[T, T]; None: no such."""
    if full_name(typing.get_origin(bare)) not in _LISTS:
        return None
    parts = [part for part in typing.get_args(bare) if part is not ...]
    return parts[0] if parts and all(part == parts[0] for part in parts) else None


def converter(annotation: Any, constraints: dict[str, Any] | None = None) -> Any:
    """The _cello.Converter of a scalar, or of a list of scalars. TypeError: it is neither, or a
    constraint does not fit."""
    bare, metadata = unwrap(annotation)
    limits = {**constraints_of(metadata), **(constraints or {})}
    if _is_custom_pydantic(bare, metadata):
        return _made("any", {}, function=validate_python(annotation))
    bare, optional = without_none(bare)
    if optional:
        return converter(bare, limits)
    parts = members(bare)
    if parts:
        return _made("union", limits, choices=tuple(converter(part) for part in parts))
    item = list_item(bare)
    if item is not None:
        if typing.get_origin(bare) is tuple and ... not in typing.get_args(bare):
            limits["min_length"] = limits["max_length"] = len(typing.get_args(bare))
        kind = _LISTS[full_name(typing.get_origin(bare))]
        return _made(kind, limits, item=converter(item))
    return _scalar(bare, limits)


def _scalar(bare: Any, limits: dict[str, Any]) -> Any:
    kind = KINDS.get(full_name(bare))
    if kind:
        return _made(kind, limits)
    if bare is Any or bare is object:
        return _made("str", limits)
    if typing.get_origin(bare) is Literal:
        return _made("choice", limits, choices=_choices(typing.get_args(bare)))
    if _is_subclass(bare, "enum.Enum"):
        return _made("choice", limits, choices={_text(m.value): m for m in bare})
    if bare is bytes:
        return _made("any", limits, function=str.encode)
    if _by_constructor(bare):
        return _made("any", limits, function=bare)
    raise TypeError(f"{show(bare)} cannot be read from one text")


def _text(value: Any) -> str:
    """How a choice is written in a request."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _choices(values: tuple[Any, ...]) -> dict[str, Any]:
    return {_text(value): value for value in values}


_plain: dict[str, Any] = {}  # converters without parts and limits, one of each kind


def _made(kind: str, limits: dict[str, Any], **parts: Any) -> Any:
    for name in limits:
        if name not in _TAKES.get(kind, ()):
            what = {"any": "this type", "choice": "a choice", "union": "a union"}.get(kind, kind)
            raise TypeError(f"{name} says nothing about {what}")
    if limits or parts:
        return _cello.Converter(kind, **parts, **limits)
    if kind not in _plain:
        _plain[kind] = _cello.Converter(kind)
    return _plain[kind]


class Refused(ValueError):
    """What pydantic found wrong in a model of headers. names: of its fields in the request."""

    def __init__(self, error: Any, names: Container[str]) -> None:
        super().__init__(str(error))
        self.error = error
        self.names = names


def validate_python(annotation: Any) -> Callable[[Any], Any]:
    from pydantic import TypeAdapter

    validate: Callable[[Any], Any] = TypeAdapter(annotation).validate_python
    return validate
