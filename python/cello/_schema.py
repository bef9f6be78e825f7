"""JSON Schemas of Python types, for a document that refers to its components.

Types are collected first and described together, because only then can two different classes of
one name be told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from cello._types import contains_pydantic

if TYPE_CHECKING:
    from pydantic.json_schema import GenerateJsonSchema

    _Mode = Literal["validation", "serialization"]

Schema = dict[str, Any]
BINARY: Schema = {"type": "string", "format": "binary"}

REF = "#/components/schemas/"
_PENDING = "#/pending/"  # a pydantic model inside a type of msgspec's, until it has been described

# Constraints of a parameter and the keywords that say them, by the type of its schema.
KEYWORDS = {
    "number": {
        "ge": "minimum",
        "gt": "exclusiveMinimum",
        "le": "maximum",
        "lt": "exclusiveMaximum",
        "multiple_of": "multipleOf",
    },
    "string": {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern"},
    "array": {"min_length": "minItems", "max_length": "maxItems"},
}
KEYWORDS["integer"] = KEYWORDS["number"]


class Schemas:
    """The types that a document speaks of."""

    def __init__(self) -> None:
        self._holders: dict[Any, list[tuple[Schema, Mapping[str, Any]]]] = {}
        self._types: dict[Any, tuple[Any, _Mode]] = {}
        self._components: dict[str, Schema] = {}

    def add(
        self,
        annotation: Any,
        mode: _Mode = "validation",
        constraints: Mapping[str, Any] | None = None,
    ) -> Schema:
        """A schema that is empty until build(); what the caller puts into it stays.

        constraints: ge gt le lt multiple_of min_length max_length pattern.
        """
        try:
            key = hash((annotation, mode)), annotation, mode
        except TypeError:  # an annotation with, say, a list in it
            key = id(annotation), id(annotation), mode
        self._types.setdefault(key, (annotation, mode))
        schema: Schema = {}
        self._holders.setdefault(key, []).append((schema, constraints or {}))
        return schema

    def build(self) -> dict[str, Schema]:
        """Fill all schemas; the components they refer to, by name."""
        mine = {k: t for k, t in self._types.items() if not contains_pydantic(t[0])}
        others = {k: t for k, t in self._types.items() if k not in mine}
        nested: dict[Any, str] = {}
        described = self._describe_msgspec(mine, nested)
        for model, ref in nested.items():
            others[ref] = (model, "validation")
        described |= self._describe_pydantic(others)
        self._resolve(described)
        for key, holders in self._holders.items():
            for holder, constraints in holders:
                _fill(holder, described[key], constraints)
        return dict(sorted(self._components.items()))

    def resolve(self, schema: Schema) -> Schema:
        """After build(): the component that a schema refers to, or the schema itself."""
        return self._components.get(_name_of(schema), schema)

    def select(
        self, schema: Schema, selection: Mapping[str, Any], names: Mapping[str, str]
    ) -> None:
        """After build(): make of the schema of a model, or of a list of them, that of some of its
        fields. selection: as pydantic takes it. names: of the fields, by their properties."""
        if "items" in schema:
            schema["items"] = dict(schema["items"])
            self.select(schema["items"], selection, names)
            return
        model = self.resolve(schema)
        fields = dict(model.get("properties", {}))
        required = [] if "exclude_none" in selection else model.get("required", [])
        for name in list(fields):
            field = names.get(name, name)
            kept = _part(selection.get("include"), field, True)
            left_out = _part(selection.get("exclude"), field, False)
            if kept is False or left_out is True:
                del fields[name]
            elif kept is not True or left_out is not False:
                fields[name] = {}  # some of the fields of a field
        schema.clear()
        schema.update({**model, "properties": fields})
        schema["required"] = [name for name in required if name in fields]
        if not schema["required"]:
            del schema["required"]

    def _describe_msgspec(
        self, types: dict[Any, tuple[Any, _Mode]], nested: dict[Any, str]
    ) -> dict[Any, Schema]:
        from cello._msgspec_schema import Describer

        def custom(type_: type) -> Schema:
            if contains_pydantic(type_):
                return {"$ref": nested.setdefault(type_, f"{_PENDING}{len(nested)}")}
            return {} if type_ is object else {"title": type_.__name__}  # its encoder knows what

        found = Describer([annotation for annotation, _ in types.values()], REF, custom)
        schemas = dict(zip(types, found.schemas(), strict=True))
        return self._merge(schemas, found.components())

    def _describe_pydantic(self, types: dict[Any, tuple[Any, _Mode]]) -> dict[Any, Schema]:
        """What has no schema leaves the others theirs, and may be anything."""
        if not types:
            return {}
        # What pydantic and a model's own code raise is not one kind of exception.
        with suppress(Exception):
            return self._merge(*_pydantic_schemas(types))
        described: dict[Any, Schema] = {}
        for key, type_ in types.items():
            try:
                described |= self._merge(*_pydantic_schemas({key: type_}))
            except Exception:
                described[key] = {}
        return described

    def _merge(
        self, schemas: dict[Any, Schema], components: dict[str, Schema]
    ) -> dict[Any, Schema]:
        """Take components in; one whose name is another's already gets a new name."""
        clashing = self._clashing(components)
        names = {name: name for name in components}
        for name in clashing:
            names[name] = self._free_name(name, components)
        for node in _nodes([*schemas.values(), *components.values()]):
            name = _name_of(node)
            if name in clashing:
                node["$ref"] = REF + names[name]
        self._components.update({names[name]: schema for name, schema in components.items()})
        return schemas

    def _clashing(self, components: dict[str, Schema]) -> set[str]:
        """Names that are taken: by another schema, or by one that refers to such a name."""
        known = self._components
        same = {name for name, schema in components.items() if known.get(name) == schema}
        clashing = {name for name in components if name in known} - same
        while True:
            more = {
                name
                for name in same - clashing
                if any(_name_of(node) in clashing for node in _nodes([components[name]]))
            }
            if not more:
                return clashing
            clashing |= more

    def _free_name(self, name: str, components: dict[str, Schema]) -> str:
        number = 2
        while (free := f"{name}_{number}") in self._components or free in components:
            number += 1
        return free

    def _resolve(self, described: dict[Any, Schema]) -> None:
        """Put pydantic's models where msgspec's types have them."""
        for node in _nodes([*described.values(), *self._components.values()]):
            ref = node.get("$ref")
            if isinstance(ref, str) and ref.startswith(_PENDING):
                del node["$ref"]
                node.update(described[ref])


def _pydantic_schemas(
    types: dict[Any, tuple[Any, _Mode]],
) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """The schemas of types, and the components they refer to."""
    from pydantic import TypeAdapter

    inputs = [
        (str(number), mode, TypeAdapter(annotation))
        for number, (annotation, mode) in enumerate(types.values())
    ]
    found, rest = TypeAdapter.json_schemas(
        inputs, ref_template=REF + "{model}", schema_generator=_pydantic_generator()
    )
    schemas = [dict(found[number, mode]) for number, mode, _ in inputs]
    return dict(zip(types, schemas, strict=True)), rest.get("$defs", {})


def _pydantic_generator() -> type[GenerateJsonSchema]:
    """It says of sets what is true of them: one takes an item twice, and has it once."""
    global _generator
    if _generator is None:
        from pydantic.json_schema import GenerateJsonSchema

        class _Generator(GenerateJsonSchema):
            def set_schema(self, schema: Any) -> Schema:
                found = super().set_schema(schema)
                return {name: value for name, value in found.items() if name != "uniqueItems"}

            frozenset_schema = set_schema

        _generator = _Generator
    return _generator


_generator: type[GenerateJsonSchema] | None = None


def _part(names: Any, name: str, default: bool) -> Any:
    """Whether a field is among those of include or exclude; neither True nor False: partly."""
    if names is None:
        return default
    found = names.get(name, False) if isinstance(names, Mapping) else name in names
    return True if found is ... else found


def _name_of(node: Schema) -> str:
    """The component that a schema refers to; "" if none."""
    ref = node.get("$ref")
    return ref.removeprefix(REF) if isinstance(ref, str) else ""


def _nodes(schemas: list[Any]) -> Iterator[Schema]:
    """All schemas inside schemas. Values, such as defaults, are not."""
    for schema in schemas:
        if isinstance(schema, list):
            yield from _nodes(schema)
        elif isinstance(schema, dict):
            yield schema
            for keyword, value in list(schema.items()):
                if keyword in ("properties", "patternProperties", "$defs"):
                    yield from _nodes(list(value.values()))
                elif keyword not in ("default", "examples", "enum", "const", "discriminator"):
                    yield from _nodes([value])


def _fill(holder: Schema, schema: Schema, constraints: Mapping[str, Any]) -> None:
    own = dict(holder)
    holder.clear()
    holder.update(schema)
    holder.update(_limits(schema, constraints))
    if constraints and "anyOf" in schema:  # T | None
        holder["anyOf"] = [{**part, **_limits(part, constraints)} for part in schema["anyOf"]]
    holder.update(own)


def _limits(schema: Schema, constraints: Mapping[str, Any]) -> Schema:
    keywords = KEYWORDS.get(str(schema.get("type")), {})
    return {keywords[k]: v for k, v in constraints.items() if k in keywords}
