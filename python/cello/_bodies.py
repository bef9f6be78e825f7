"""JSON bodies to values: decoders by msgspec and by pydantic, and what they find wrong."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

from cello._types import (
    Refused,
    contains_pydantic,
    is_pydantic,
    show,
    validate_python,
    without_none,
)

Decoder = Callable[[Any], Any]


def decoder(annotation: Any, constraints: dict[str, Any] | None = None) -> Decoder:
    """What makes a value of JSON: of any buffer, but of `bytes` only where takes_bytes(annotation).
    TypeError: a type that neither msgspec nor pydantic knows."""
    if contains_pydantic(annotation):
        return _pydantic_decoder(annotation, constraints or {})
    import msgspec

    annotation = _limited(annotation, constraints or {})
    refuse_unknown(annotation)
    decode: Decoder = msgspec.json.Decoder(annotation, dec_hook=_decode_custom).decode
    return decode


def _limited(annotation: Any, constraints: dict[str, Any]) -> Any:
    """With constraints as msgspec has them, which are of the T in T | None."""
    if not constraints:
        return annotation
    import msgspec

    bare, optional = without_none(annotation)
    limited = typing.Annotated[bare, msgspec.Meta(**constraints)]  # type: ignore[valid-type]
    return typing.Optional[limited] if optional else limited  # noqa: UP045


def takes_bytes(annotation: Any) -> bool:
    """Whether pydantic decodes it."""
    return contains_pydantic(annotation)


def _pydantic_decoder(annotation: Any, constraints: dict[str, Any]) -> Decoder:
    from pydantic import Field, TypeAdapter

    if constraints:
        annotation = typing.Annotated[annotation, Field(**constraints)]
    # The validator itself: TypeAdapter.validate_json is Python around it.
    validate: Decoder = TypeAdapter(annotation).validator.validate_json
    return validate


def _decode_custom(cls: type, value: Any) -> Any:
    """msgspec's hook: pydantic models among the fields of others."""
    if is_pydantic(cls):
        return validate_python(cls)(value)
    raise NotImplementedError(f"nothing is known of the type {show(cls)}")


_known: Any = None  # a WeakSet of classes that refuse_unknown() has gone through


def refuse_unknown(annotation: Any) -> None:
    """TypeError for a type that has, somewhere in it, a class of which msgspec knows nothing."""
    global _known
    if _known is None:
        from weakref import WeakSet

        _known = WeakSet()
    if isinstance(annotation, type) and annotation in _known:
        return
    import msgspec.inspect

    try:
        todo: list[Any] = [msgspec.inspect.type_info(annotation)]
    except NameError as error:
        raise TypeError(f"{show(annotation)} has a field of an unknown type: {error}") from error
    seen: set[int] = set()
    while todo:
        info = todo.pop()
        if isinstance(info, msgspec.inspect.CustomType) and not is_pydantic(info.cls):
            raise TypeError(f"nothing is known of the type {show(info.cls)}")
        if id(info) not in seen:
            seen.add(id(info))
            todo += _parts_of(info)
    if isinstance(annotation, type):
        _known.add(annotation)


def _parts_of(info: Any) -> list[Any]:
    """The types in one of msgspec.inspect's."""
    import msgspec.inspect

    found: list[Any] = []
    for name in info.__struct_fields__:
        part = getattr(info, name)
        parts = part if isinstance(part, tuple) else (part,)
        found += [p for p in parts if isinstance(p, msgspec.inspect.Type | msgspec.inspect.Field)]
    return found


class BodyPart(NamedTuple):
    """One of several values in one JSON object."""

    key: str
    annotation: Any
    default: Any  # ... : must be there
    constraints: dict[str, Any]


def object_decoder(parts: list[BodyPart]) -> tuple[Decoder, list[Callable[[Any], Any]]]:
    """A decoder of an object with these keys, and what takes each value out of what it gives. When
    no key must be there, those functions also take None, for no body at all."""
    from operator import attrgetter

    names = [f"p{i}" for i in range(len(parts))]
    some = any(contains_pydantic(part.annotation) for part in parts)
    decode = _pydantic_object(names, parts) if some else None
    if decode is None:
        decode = _msgspec_object(names, parts)
    if any(part.default is ... for part in parts):
        return decode, [attrgetter(name) for name in names]
    return decode, [_part_or_default(n, p.default) for n, p in zip(names, parts, strict=True)]


def _part_or_default(name: str, default: Any) -> Callable[[Any], Any]:
    from copy import deepcopy

    def get(body: Any) -> Any:
        return deepcopy(default) if body is None else getattr(body, name)

    return get


def _msgspec_object(names: list[str], parts: list[BodyPart]) -> Decoder:
    import functools
    from copy import deepcopy

    import msgspec

    fields: list[Any] = []
    for name, part in zip(names, parts, strict=True):
        hint = _limited(part.annotation, part.constraints)
        if part.default is ...:
            fields.append((name, hint))
        else:
            make = functools.partial(deepcopy, part.default)
            fields.append((name, hint, msgspec.field(default_factory=make)))
    keys = {name: part.key for name, part in zip(names, parts, strict=True)}
    return decoder(msgspec.defstruct("Body", fields, rename=keys, kw_only=True))


def _pydantic_object(names: list[str], parts: list[BodyPart]) -> Decoder | None:
    """It tells of all errors, but knows no Struct: None, when there is one."""
    from pydantic import Field, PydanticSchemaGenerationError, create_model

    fields: dict[str, Any] = {}
    for name, part in zip(names, parts, strict=True):
        field = Field(part.default, alias=part.key, **part.constraints)
        fields[name] = (part.annotation, field)
    try:
        return decoder(create_model("Body", **fields))
    except PydanticSchemaGenerationError:
        return None


# ---- errors of bodies ----

# Of one body in an answer: items of a list may be wrong by the million.
MAX_ERRORS = 100
# More than so many are only counted: pydantic cannot tell of the first ones alone.
MAX_READ = 10_000
# Characters of a key that the client sent, and of a message that may quote one.
MAX_TEXT = 500


def body_errors(error: BaseException) -> list[dict[str, Any]] | None:
    """What a decoder found wrong, as {loc, msg, type}; None: the JSON itself is malformed. Raises
    `error` if no decoder's complaint."""
    if isinstance(error, Refused):
        return _by_header(error)
    root = type(error).__module__.partition(".")[0]
    if root in ("pydantic", "pydantic_core") and hasattr(error, "errors"):
        found = pydantic_errors(error, "body")
        return None if found and found[0]["type"] == "json_invalid" else found
    msgspec = sys.modules.get("msgspec")
    if msgspec and isinstance(error, msgspec.ValidationError):
        return _msgspec_errors(error)
    if isinstance(error, UnicodeDecodeError) or (
        msgspec and isinstance(error, msgspec.DecodeError)
    ):
        return None
    raise error


def pydantic_errors(error: Any, source: str) -> list[dict[str, Any]]:
    """Each with its place; what is too much to tell as a number, the last of them."""
    count = error.error_count()
    told = []
    if count <= MAX_READ:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        for e in found[:MAX_ERRORS]:
            loc = [source, *map(_shortened, e["loc"])]
            told.append({"loc": loc, "msg": _shortened(e["msg"]), "type": e["type"]})
    if count > len(told):
        text = f"{count - len(told)} {'more ' if told else ''}errors are not listed"
        told.append({"loc": [source], "msg": text, "type": "too_many_errors"})
    return told


def _by_header(error: Refused) -> list[dict[str, Any]]:
    """With `-` where the request has it."""
    found = pydantic_errors(error.error, "header")
    for loc in (e["loc"] for e in found):
        if len(loc) > 1 and str(loc[1]).replace("_", "-").lower() in error.names:
            loc[1] = loc[1].replace("_", "-")
    return found


def _shortened(text: Any) -> Any:
    return f"{text[:MAX_TEXT]}…" if isinstance(text, str) and len(text) > MAX_TEXT else text


# What msgspec's messages begin with, and pydantic's type of the same error.
_MESSAGES = (
    ("Object contains unknown field", "extra_forbidden"),
    ("Invalid enum value", "enum"),
    ("Invalid value", "value_error"),
    ("Invalid UUID", "uuid_parsing"),
    ("Invalid RFC3339 encoded datetime", "datetime_parsing"),
    ("Invalid RFC3339 encoded date", "date_parsing"),
    ("Invalid RFC3339 encoded time", "time_parsing"),
    ("Invalid ISO8601 duration", "time_delta_parsing"),
    ("Invalid decimal string", "decimal_parsing"),
    ("Integer value out of range", "int_parsing_size"),
)
_EXPECTED = {
    "int": "int_type",
    "float": "float_type",
    "bool": "bool_type",
    "str": "string_type",
    "array": "list_type",
    "object": "dict_type",
    "null": "none_required",
}


def _msgspec_errors(error: Any) -> list[dict[str, Any]]:
    """One, or those that a pydantic model inside of it has."""
    found = _msgspec_error(str(error))
    if not hasattr(error.__cause__, "errors"):
        return [found]
    inner = pydantic_errors(error.__cause__, "body")
    return [{**e, "loc": [*found["loc"], *e["loc"][1:]]} for e in inner]


def _msgspec_error(text: str) -> dict[str, Any]:
    """ "Expected `int`, got `str` - at `$.a[0]`" taken apart."""
    message, _, place = text.rpartition(" - at ")
    if not message:
        message, place = text, ""
    loc: list[Any] = ["body", *_path(place)]
    for name in ("Object missing required field `", "Missing required field `"):
        if message.startswith(name):
            loc.append(message[len(name) : -1])
            return {"loc": loc, "msg": "Field required", "type": "missing"}
    return {"loc": loc, "msg": _shortened(message), "type": _type_of(message)}


def _type_of(message: str) -> str:
    for start, kind in _MESSAGES:
        if message.startswith(start):
            return kind
    if not message.startswith("Expected "):
        return "value_error"
    expected, _, rest = message[len("Expected `") :].partition("`")
    for sign, kind in (
        (" >= ", "greater_than_equal"),
        (" <= ", "less_than_equal"),
        (" > ", "greater_than"),
        (" < ", "less_than"),
        (" that's a multiple of ", "multiple_of"),
        (" matching regex ", "string_pattern_mismatch"),
    ):
        if rest.startswith(sign):
            return kind
    if rest.startswith(" of length"):
        short = not rest.startswith(" of length <=")
        if expected == "str":
            return "string_too_short" if short else "string_too_long"
        return "too_short" if short else "too_long"
    return _EXPECTED.get(expected.partition(" |")[0], "value_error")


def _path(place: str) -> list[Any]:
    """`$.a[0].b` as ["a", 0, "b"]; `key` in `$.a` as ["a", "[key]"]."""
    of_key = place.startswith("`key` in ")
    text = place.removeprefix("`key` in ").strip("`").removeprefix("$")
    found: list[Any] = []
    for name in text.replace("[", ".[").split("."):
        if name.startswith("[") and name.endswith("]") and name[1:-1].isdigit():
            found.append(int(name[1:-1]))
        elif name and name != "[" and not name.endswith("]"):
            found.append(name)
    return [*found, "[key]"] if of_key else found
