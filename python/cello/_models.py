"""Models that are read from named values: queries, forms, headers and cookies."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

from cello._errors import RequestValidationError
from cello._types import Refused, is_named_tuple, is_pydantic, is_struct, is_typed_dict, shape


def place_of(source: str) -> str:
    """What errors call the place of a value: a form is the body, as in FastAPI."""
    return "body" if source in ("form", "file") else source


UNSET: Any = type("Unset", (), {"__repr__": lambda self: "UNSET"})()


class ModelField(NamedTuple):
    key: str  # in the model
    name: str  # in the request
    annotation: Any
    default: Any  # ...: must be there; UNSET: the model makes it


def model_fields(model: Any) -> list[ModelField]:
    """The fields of a class that is_model()."""
    if is_struct(model):
        return [_struct_field(f) for f in sys.modules["msgspec"].structs.fields(model)]
    if is_pydantic(model):
        return [
            ModelField(key, f.alias or key, f.annotation, ... if f.is_required() else UNSET)
            for key, f in _pydantic_fields(model).items()
        ]
    hints = typing.get_type_hints(model, include_extras=True)
    if is_typed_dict(model):
        return [
            ModelField(
                key, key, _plain_hint(hint), ... if key in model.__required_keys__ else UNSET
            )
            for key, hint in hints.items()
        ]
    if is_named_tuple(model):
        defaults = model._field_defaults
        keys = model._fields
        return [
            ModelField(k, k, hints.get(k, str), ... if k not in defaults else UNSET) for k in keys
        ]
    if hasattr(model, "__attrs_attrs__"):
        nothing = sys.modules["attr"].NOTHING
        return [
            ModelField(
                a.alias, a.alias, hints.get(a.name, str), ... if a.default is nothing else UNSET
            )
            for a in model.__attrs_attrs__
            if a.init
        ]
    from dataclasses import MISSING, fields

    return [
        ModelField(
            f.name,
            f.name,
            hints[f.name],
            ... if f.default is MISSING and f.default_factory is MISSING else UNSET,
        )
        for f in fields(model)
        if f.init
    ]


def _pydantic_fields(model: Any) -> dict[str, Any]:
    fields = getattr(model, "model_fields", None) or model.__pydantic_fields__
    return dict(fields)


def _plain_hint(hint: Any) -> Any:
    """Of Required[T], NotRequired[T], ReadOnly[T]."""
    while getattr(typing.get_origin(hint), "_name", "") in ("Required", "NotRequired", "ReadOnly"):
        hint = hint.__args__[0]
    return hint


def _struct_field(field: Any) -> ModelField:
    return ModelField(field.name, field.encode_name, field.type, ... if field.required else UNSET)


def constructor(model: Any, fields: list[ModelField], source: str) -> Callable[..., Any]:
    """What makes the model of the values of its fields, in their order, where UNSET ones are left
    to the model."""
    keys = [field.key for field in fields]

    def make(*values: Any) -> Any:
        given = {}
        for key, value in zip(keys, values, strict=True):
            if value is not UNSET:
                given[key] = value
        try:
            return model(**given)
        except (ValueError, TypeError) as error:  # of the model's own checks
            problem = {"loc": [place_of(source)], "msg": str(error), "type": "value_error"}
            raise RequestValidationError([problem]) from error

    return make


def model_reader(model: Any, source: str, names: dict[str, str]) -> Callable[[dict[str, Any]], Any]:
    """What makes a pydantic model of the values of a query, a form, cookies or headers. names: of
    the fields in the request, to their own."""
    from pydantic import TypeAdapter

    validate = TypeAdapter(model).validator.validate_python
    lists = {f.name for f in model_fields(model) if _is_list(f.annotation)}

    def read(values: dict[str, Any]) -> Any:
        given = {}
        for name, value in values.items():
            key = names.get(name)
            if key is None and source == "header":
                continue
            key = key or name
            given[key] = _as_declared(value, key in lists)
        try:
            return validate(given)
        except ValueError as error:
            if source != "header" or not hasattr(error, "errors"):
                raise
            raise Refused(error, names) from None

    return read


def _is_list(annotation: Any) -> bool:
    try:
        return shape(annotation) == "list"
    except TypeError:  # known to pydantic only
        return False


def _as_declared(value: Any, many: bool) -> Any:
    """A list for a list, the last value for everything else."""
    if isinstance(value, list):
        return value if many else value[-1]
    return [value] if many else value
