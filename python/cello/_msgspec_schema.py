"""JSON Schemas of the types that msgspec reads, from what msgspec.inspect tells of them.

msgspec's own schemas leave out the formats of dates without a rule about time zones, and know no
two classes of one name in one module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec.inspect
from msgspec import NODEFAULT, to_builtins

Schema = dict[str, Any]

_DECIMAL = r"^[+-]?[0-9]+(\.[0-9]+)?$"

_SIMPLE: dict[str, Schema] = {
    "AnyType": {},
    "RawType": {},
    "NoneType": {"type": "null"},
    "BoolType": {"type": "boolean"},
    "IntType": {"type": "integer"},
    "FloatType": {"type": "number"},
    "StrType": {"type": "string"},
    "BytesType": {"type": "string", "contentEncoding": "base64"},
    "ByteArrayType": {"type": "string", "contentEncoding": "base64"},
    "MemoryViewType": {"type": "string", "contentEncoding": "base64"},
    "DateTimeType": {"type": "string", "format": "date-time"},
    "TimeType": {"type": "string", "format": "time"},
    "DateType": {"type": "string", "format": "date"},
    "TimeDeltaType": {"type": "string", "format": "duration"},
    "UUIDType": {"type": "string", "format": "uuid"},
    "DecimalType": {
        "anyOf": [
            {"type": "string", "format": "decimal", "pattern": _DECIMAL},
            {"type": "number"},  # is read as well
        ]
    },
}

_LIMITS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}

_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


class Describer:
    """Describes types together, so that every class has a component and a name of its own.

    ref: what goes before a component's name. custom: gives the schema of a class that msgspec does
    not know. A type that it cannot read may be anything.
    """

    def __init__(self, annotations: list[Any], ref: str, custom: Callable[[type], Schema]) -> None:
        self._infos = _infos_of(annotations)
        self._ref = ref
        self._custom = custom
        self._classes = {info.cls: info for info in _with_a_class(self._infos)}
        self._names = _names_of(self._classes)

    def schemas(self) -> list[Schema]:
        return [self._schema(info) for info in self._infos]

    def components(self) -> dict[str, Schema]:
        return {self._names[cls]: self._whole(info) for cls, info in self._classes.items()}

    def _schema(self, info: Any) -> Schema:
        """What stands where a type is used."""
        extra: Schema = {}
        while isinstance(info, msgspec.inspect.Metadata):
            extra = {**(info.extra_json_schema or {}), **extra}
            info = info.type
        name = self._names.get(getattr(info, "cls", None))
        found = {"$ref": self._ref + name} if name else self._whole(info)
        return {**found, **extra}

    def _whole(self, info: Any) -> Schema:
        kind = type(info).__name__
        if kind in _SIMPLE:
            return {**_SIMPLE[kind], **_limits(info, kind)}
        describe = getattr(self, f"_{kind}", None)
        return describe(info) if describe else {}  # {}: anything, for what a newer msgspec knows

    # ---- by kind; the names are those of msgspec.inspect ----

    def _CustomType(self, info: Any) -> Schema:
        return self._custom(info.cls)

    def _LiteralType(self, info: Any) -> Schema:
        return _enum(list(info.values))

    def _EnumType(self, info: Any) -> Schema:
        return {**_titled(info), **_enum([member.value for member in info.cls])}

    def _ListType(self, info: Any) -> Schema:
        found: Schema = {"type": "array", **_limits(info, "array")}
        items = self._schema(info.item_type)
        return {**found, "items": items} if items else found

    _VarTupleType = _ListType

    # Without uniqueItems: a set takes an item twice, and has it once.
    _SetType = _FrozenSetType = _ListType

    def _TupleType(self, info: Any) -> Schema:
        items = [self._schema(item) for item in info.item_types]
        return {**_tuple(items, len(items)), "maxItems": len(items)}

    def _DictType(self, info: Any) -> Schema:
        found: Schema = {"type": "object", **_limits(info, "object")}
        keys = _of_key(self._schema(info.key_type))
        values = self._schema(info.value_type)
        if keys:
            found["propertyNames"] = keys
        return {**found, "additionalProperties": values} if values else found

    _FrozenDictType = _DictType

    def _UnionType(self, info: Any) -> Schema:
        found: Schema = {"anyOf": [self._schema(item) for item in info.types]}
        tagged = [item for item in info.types if getattr(item, "tag_field", None)]
        if len(tagged) == len(info.types):
            found["discriminator"] = {
                "propertyName": tagged[0].tag_field,
                "mapping": {str(t.tag): self._ref + self._names[t.cls] for t in tagged},
            }
        return found

    def _StructType(self, info: Any) -> Schema:
        fields = {field.encode_name: self._field(field) for field in info.fields}
        required = [field.encode_name for field in info.fields if field.required]
        if info.array_like:
            tag = [] if info.tag is None else [_enum([info.tag])]
            least = _required_items(info.fields)
            found = {**_titled(info), **_tuple([*tag, *fields.values()], len(tag) + least)}
            return {**found, "maxItems": len(tag) + len(fields)} if _is_strict(info) else found
        if info.tag_field is not None:
            fields = {info.tag_field: _enum([info.tag]), **fields}
            required = [info.tag_field, *required]
        found = {**_titled(info), **_object(fields, required)}
        return {**found, "additionalProperties": False} if _is_strict(info) else found

    def _DataclassType(self, info: Any) -> Schema:
        fields = {field.encode_name: self._field(field) for field in info.fields}
        required = [field.encode_name for field in info.fields if field.required]
        return {**_titled(info), **_object(fields, required)}

    _TypedDictType = _DataclassType

    def _NamedTupleType(self, info: Any) -> Schema:
        items = [self._field(field) for field in info.fields]
        found = {**_titled(info), **_tuple(items, _required_items(info.fields))}
        return {**found, "maxItems": len(items)}

    def _field(self, field: Any) -> Schema:
        """With its default, if that is JSON."""
        found = self._schema(field.type)
        default = field.default
        if field.default_factory in (list, dict, set, frozenset, tuple):
            default = field.default_factory()
        if default is not NODEFAULT:
            with suppress(TypeError):
                found["default"] = to_builtins(default, str_keys=True)
        return found


def _infos_of(annotations: list[Any]) -> list[Any]:
    # Evaluating a program's annotations may raise anything.
    with suppress(Exception):
        return list(msgspec.inspect.multi_type_info(annotations))
    infos: list[Any] = []
    for annotation in annotations:
        try:
            infos.append(msgspec.inspect.type_info(annotation))
        except Exception:
            infos.append(msgspec.inspect.AnyType())
    return infos


def _with_a_class(infos: Iterable[Any]) -> Iterator[Any]:
    """Those of models and enums, each class once, in the order of their appearance."""
    todo = list(infos)[::-1]
    seen: set[Any] = set()
    while todo:
        info = todo.pop()
        cls = getattr(info, "cls", None)
        if cls is not None:
            if cls in seen or isinstance(info, msgspec.inspect.CustomType):
                continue
            seen.add(cls)
            yield info
        parts: list[Any] = []
        for name in ("type", "item_type", "item_types", "key_type", "value_type", "types"):
            part = getattr(info, name, ())
            parts += part if isinstance(part, tuple) else (part,)
        parts += [field.type for field in getattr(info, "fields", ())]
        todo += parts[::-1]


def _names_of(classes: Iterable[Any]) -> dict[Any, str]:
    """Names of components: that of the class; with its module, where there are several; with a
    number, where that is not enough."""
    by_name: dict[str, list[Any]] = {}
    for cls in classes:
        by_name.setdefault(_normal(_name_of(cls)), []).append(cls)
    names: dict[Any, str] = {}
    taken: set[str] = set()
    for name, those in by_name.items():
        for cls in those:
            wanted = name if len(those) == 1 else _normal(_qualified(cls))
            chosen, number = wanted, 2
            while chosen in taken:
                chosen, number = f"{wanted}_{number}", number + 1
            taken.add(chosen)
            names[cls] = chosen
    return names


def _name_of(cls: Any) -> str:
    return f"{getattr(cls, '__origin__', cls).__name__}{_arguments(cls)}"


def _qualified(cls: Any) -> str:
    base = getattr(cls, "__origin__", cls)
    return f"{base.__module__}.{base.__qualname__}{_arguments(cls)}"


def _arguments(cls: Any) -> str:
    names = [getattr(a, "__name__", None) or str(a) for a in getattr(cls, "__args__", ())]
    return f"[{', '.join(names)}]" if names else ""


def _normal(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def _titled(info: Any) -> Schema:
    """The title and, unless Python made it, the docstring."""
    cls = getattr(info.cls, "__origin__", info.cls)
    found = {"title": _name_of(info.cls)}
    from inspect import cleandoc

    text = cleandoc(cls.__doc__ or "")
    made = text == "An enumeration." or (text.startswith(f"{cls.__name__}(") and text[-1] == ")")
    return {**found, "description": text} if text and not made else found


def _limits(info: Any, kind: str) -> Schema:
    """Its constraints; None says that there is none."""
    found: Schema = {}
    for name, keyword in _LIMITS.items():
        value = getattr(info, name, None)
        if value is not None:
            if kind == "array":
                keyword = keyword.replace("Length", "Items")
            elif kind == "object":
                keyword = keyword.replace("Length", "Properties")
            elif kind in ("BytesType", "ByteArrayType", "MemoryViewType"):
                value = 4 * ((value + 2) // 3)  # in base64
            found[keyword] = value
    return found


def _enum(values: list[Any]) -> Schema:
    kinds = {_JSON_TYPES.get(type(value)) for value in values}
    named = {"type": kinds.pop()} if len(kinds) == 1 and None not in kinds else {}
    return {**named, "enum": values}


def _object(fields: dict[str, Schema], required: list[str]) -> Schema:
    found: Schema = {"type": "object", "properties": fields}
    return {**found, "required": required} if required else found


def _tuple(items: list[Schema], least: int) -> Schema:
    found: Schema = {"type": "array", "minItems": least}
    return {**found, "prefixItems": items} if items else found


def _required_items(fields: Any) -> int:
    """How many items of an array must be there: up to the last one that is required."""
    return max((n for n, field in enumerate(fields, 1) if field.required), default=0)


def _is_strict(info: Any) -> bool:
    return bool(info.forbid_unknown_fields)


def _of_key(schema: Schema) -> Schema:
    """The names of an object's properties, which are always text."""
    kind = schema.get("type")
    if kind == "integer":
        return {"pattern": "^-?(0|[1-9][0-9]*)$"}
    if kind == "number":
        return {"pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"}
    if kind == "string":
        return {name: value for name, value in schema.items() if name != "type"}
    return schema if "$ref" in schema else {}
