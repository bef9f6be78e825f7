"""What handlers return: filters by what they declare."""

from __future__ import annotations

import typing
from collections import abc
from collections.abc import Callable, Mapping
from typing import Any

from cello import _cello
from cello._types import (
    contains_pydantic,
    is_answer,
    is_container,
    is_model,
    is_typed_dict,
    list_item,
    members,
    show,
    unwrap,
    without_none,
)

# What a stream's items are, as _cello.App._set_stream counts them.
UNKNOWN, TEXT, BYTES, EVENTS = range(4)

ResultFilter = tuple[type | None, bool, Callable[[Any], Any]]


def body_type(annotation: Any) -> Any:
    """Of tuple[T, int], T | Response: T; None: only a Response."""
    bare, _ = unwrap(annotation)
    if typing.get_origin(bare) is tuple and is_answer(bare):
        return body_type(typing.get_args(bare)[0])
    if _is_response(bare):
        return None
    parts = members(bare)
    kept = tuple(part for part in parts if not _is_response(part))
    if len(kept) == len(parts):
        return annotation
    return typing.Union[kept] if kept else None  # noqa: UP007


def stream_items(annotation: Any, is_generator: bool) -> int | None:
    """What the items of a declared iterator or generator are; None: it declares something else. An
    Iterable is also said of what is sent as JSON, unless a generator function says it."""
    bare, _ = unwrap(annotation)
    origin = typing.get_origin(bare) or bare
    if origin not in _ITERATORS and not (is_generator and origin in _ITERABLES):
        return None
    item, _ = unwrap((typing.get_args(bare) or (Any,))[0])
    kinds = {_item_kind(part) for part in members(item) or (item,)}
    return kinds.pop() if len(kinds) == 1 else UNKNOWN


_ITERATORS = (abc.Iterator, abc.Generator, abc.AsyncIterator, abc.AsyncGenerator)
_ITERABLES = (abc.Iterable, abc.AsyncIterable)


def _item_kind(item: Any) -> int:
    if item is str:
        return TEXT
    if item in (bytes, bytearray, memoryview):
        return BYTES
    return EVENTS if item is _cello.SseEvent else UNKNOWN


def result_filter(
    annotation: Any, selection: Mapping[str, Any] | None = None
) -> ResultFilter | None:
    """(exact type that goes out as it is, whether in a list, what makes of other values only what
    is declared); None: nothing is filtered. selection: of its fields, as pydantic's dump takes it.
    TypeError: msgspec and pydantic know nothing of it."""
    annotation = body_type(annotation)
    bare, _ = without_none(unwrap(annotation)[0])
    if selection:
        return None, False, _selecting_filter(annotation, selection)
    if not _has_model(bare):
        return None
    item = list_item(bare) if typing.get_origin(bare) is list else None
    exact = item if item is not None else bare
    if not isinstance(exact, type) or is_typed_dict(exact):
        exact = None
    return exact, item is not None, _filter(annotation)


def _is_response(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, _cello.Response)


def _has_model(annotation: Any) -> bool:
    bare, _ = unwrap(annotation)
    if is_model(bare):
        return True
    origin = typing.get_origin(bare)
    if origin is None or not (members(bare) or is_container(bare)):
        return False
    return any(_has_model(part) for part in typing.get_args(bare) if part is not ...)


def _filter(annotation: Any) -> Callable[[Any], Any]:
    if contains_pydantic(annotation):
        return _pydantic_filter(annotation)
    import functools

    import msgspec

    kept = members(unwrap(annotation)[0])
    if sum(is_model(part) for part in kept) > 1:
        return _union_filter([part for part in kept if is_model(part)])
    msgspec.json.Decoder(annotation)  # TypeError: a union that it cannot tell apart
    return functools.partial(msgspec.convert, type=annotation, from_attributes=True)


def _pydantic_filter(annotation: Any, set_only: bool = False) -> Callable[[Any], Any]:
    """set_only: without the fields of models that nobody has set."""
    from pydantic import TypeAdapter

    adapter = TypeAdapter(annotation)

    def convert(value: Any) -> Any:
        # Objects of a subclass would pass as they are; their attributes do not.
        if hasattr(type(value), "model_dump"):
            value = value.model_dump(by_alias=False, exclude_unset=set_only)
        elif isinstance(value, list):
            value = [
                v.model_dump(exclude_unset=set_only) if hasattr(type(v), "model_dump") else v
                for v in value
            ]
        return adapter.validate_python(value, from_attributes=True, by_name=True, by_alias=True)

    return convert


def _selecting_filter(annotation: Any, selection: Mapping[str, Any]) -> Callable[[Any], Any]:
    if not contains_pydantic(annotation):
        names = ", ".join(f"response_model_{name}" for name in selection)
        raise TypeError(f"{names}: only pydantic models can leave out fields")
    from pydantic import TypeAdapter

    adapter = TypeAdapter(annotation)
    convert = _pydantic_filter(annotation, "exclude_unset" in selection)
    if list_item(unwrap(annotation)[0]) is not None:  # pydantic would take names for indices
        of_items = {k: {"__all__": v} for k, v in selection.items() if k in ("include", "exclude")}
        selection = {**selection, **of_items}

    def select(value: Any) -> Any:
        return adapter.dump_python(convert(value), mode="json", by_alias=True, **selection)

    return select


def answered_by(
    response_class: type[_cello.Response], status: int, result: ResultFilter | None
) -> ResultFilter:
    """What makes a Response of a bare value, after what filters it."""

    def respond(value: Any) -> _cello.Response:
        if result:
            value = result[2](value)
        return response_class(value, status)

    return None, False, respond


def _union_filter(models: list[Any]) -> Callable[[Any], Any]:
    filters = {model: _filter(model) for model in models}

    def convert(value: Any) -> Any:
        if value is None or type(value) in filters:
            return value
        for model, filter_ in filters.items():
            if isinstance(value, model):
                return filter_(value)
        raise TypeError(f"{show(type(value))} is none of the declared types")

    return convert
