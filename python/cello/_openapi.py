"""The OpenAPI 3.1 document of an application, made from the signatures of its handlers.

Reads what registration found out; asks no handler anything. Imported when a document is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cello import _paths
from cello._openapi_answers import Answers
from cello._routes import handler_name, method_names
from cello._schema import BINARY, KEYWORDS, Schema, Schemas
from cello._types import constraints_of, full_name, unwrap, without_none

if TYPE_CHECKING:
    from cello._routes import Route
    from cello._signature import Endpoint, Parameter

Object = dict[str, Any]


class Info(NamedTuple):
    """What a document says of the whole API."""

    title: str
    version: str
    summary: str | None = None
    description: str | None = None
    terms_of_service: str | None = None
    contact: Mapping[str, Any] | None = None
    license_info: Mapping[str, Any] | None = None
    servers: tuple[Mapping[str, Any], ...] = ()
    tags: tuple[Mapping[str, Any], ...] = ()


class Version(NamedTuple):
    """One of the versions of an API. header: that requests say it with, if they do; optional: those
    without it mean this version."""

    name: str
    header: str | None = None
    optional: bool = False

    def parameter(self) -> Object:
        """What an operation of this version takes, so that a request can be tried out."""
        schema = {"type": "string", "enum": [self.name], "default": self.name}
        required = not self.optional
        return {"name": self.header, "in": "header", "required": required, "schema": schema}


def document(
    info: Info,
    endpoints: Iterable[Endpoint],
    version: Version | None = None,
    *,
    own_errors: bool = False,
) -> Object:
    """The document as a dict that is JSON. version: of which version; None: of all. own_errors: the
    program has exception handlers, so that errors may be of any kind."""
    writer = _Writer(version, own_errors)
    paths: dict[str, Object] = {}
    for endpoint in endpoints:
        if _is_part(endpoint.route, version):
            path, kinds = split_path(endpoint.route.path)
            for method in method_names(endpoint.route.methods):
                operation = writer.operation(endpoint, method, path, kinds)
                paths.setdefault(path, {}).setdefault(method.lower(), operation)
    found: Object = {"openapi": "3.1.0", "info": _info(info)}
    if info.servers:
        found["servers"] = [dict(server) for server in info.servers]
    found["paths"] = paths
    found["components"] = writer.components()
    if info.tags:
        found["tags"] = [dict(tag) for tag in info.tags]
    return found


def _is_part(route: Route, version: Version | None) -> bool:
    of_version = not version or not route.versions or version.name in route.versions
    return of_version and route.include_in_schema


def _info(info: Info) -> Object:
    named = {
        "title": info.title,
        "version": info.version,
        "summary": info.summary,
        "description": info.description,
        "termsOfService": info.terms_of_service,
        "contact": info.contact,
        "license": info.license_info,
    }
    return {name: value for name, value in named.items() if value is not None}


# ---- paths ----

PATH_KINDS: dict[str, Schema] = {
    "": {"type": "string"},
    "path": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "uuid": {"type": "string", "format": "uuid"},
    "date": {"type": "string", "format": "date"},
    "alpha": {"type": "string", "pattern": "^[A-Za-z]+$"},
    "slug": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
}


def split_path(path: str) -> tuple[str, dict[str, Schema]]:
    """ "/a/{id:int}" as OpenAPI writes it, and what the router takes for each parameter."""
    parts: list[str] = []
    kinds: dict[str, Schema] = {}
    for piece in _paths.split(path):
        parts.append(piece.text)
        if piece.name:
            parts.append(f"{{{piece.name}}}")
            regex = {"type": "string", "pattern": f"^(?:{piece.regex})$"}
            kinds[piece.name] = regex if piece.regex else PATH_KINDS[piece.kind]
    return "".join(parts), kinds


# ---- operations ----

_PLACES = ("path", "query", "header", "cookie")


class _Writer:
    """Writes operations, and keeps what they share."""

    def __init__(self, version: Version | None, own_errors: bool) -> None:
        self._version = version
        self._schemas = Schemas()
        self._answers = Answers(self._schemas, own_errors)
        self._ids: set[str] = set()
        self._security: dict[str, Object] = {}
        self._models = Schemas()  # of parameters; no component of theirs is referred to
        self._fields: list[tuple[Schema, dict[str, Object]]] = []

    def components(self) -> Object:
        """All that operations refer to; the last thing to be asked for."""
        schemas = self._schemas.build()
        self._answers.select()
        self._models.build()
        for model, fields in self._fields:
            _say_more(fields, self._models.resolve(model))
        found: Object = {
            "schemas": schemas,
            "responses": self._answers.shared(),
            "securitySchemes": self._security,
        }
        return {name: value for name, value in found.items() if value}

    def operation(
        self, endpoint: Endpoint, method: str, path: str, kinds: dict[str, Schema]
    ) -> Object:
        route = endpoint.route
        name = route.name or handler_name(route.handler)
        parameters = list(endpoint.flat_parameters())
        body = self._body(endpoint, parameters)
        checked = any(p.source in (*_PLACES, "form", "file", "body") for p in parameters)
        found = {
            "tags": list(route.tags) or None,
            "summary": route.summary or name.rpartition(".")[2].replace("_", " ").title(),
            "description": route.description or _description(route.handler),
            "operationId": self._operation_id(route.operation_id, name, path, method),
            "parameters": self._parameters(route, parameters, kinds) or None,
            "requestBody": body,
            "responses": self._answers.of(endpoint, checked or body is not None),
            "deprecated": route.deprecated or None,
            "security": self._requirements(endpoint) or None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _operation_id(self, given: str | None, name: str, path: str, method: str) -> str:
        """FastAPI's ids, so that generated clients keep their names."""
        wanted = given or f"{re.sub(r'[^0-9A-Za-z_]', '_', name + path)}_{method.lower()}"
        chosen, number = wanted, 2
        while chosen in self._ids:
            chosen, number = f"{wanted}_{number}", number + 1
        self._ids.add(chosen)
        return chosen

    # ---- parameters ----

    def _parameters(
        self, route: Route, parameters: list[Parameter], kinds: dict[str, Schema]
    ) -> list[Object]:
        found: list[Object] = []
        named = {p.alias for p in parameters if p.source == "path"}
        for name, kind in kinds.items():
            if name not in named:
                found.append({"name": name, "in": "path", "required": True, "schema": dict(kind)})
        for parameter in parameters:
            if parameter.source not in _PLACES or not _is_shown(parameter):
                continue
            if parameter.is_model:
                found += self._exploded(parameter)
            else:
                found.append(self._parameter(parameter, kinds))
        if self._version and self._version.header and route.versions:
            found.append(self._version.parameter())
        return found

    def _exploded(self, parameter: Parameter) -> list[Object]:
        """The fields of a model, each as a parameter."""
        fields = {_key(field.alias): self._parameter(field, {}) for field in parameter.fields}
        self._fields.append((self._models.add(parameter.annotation), fields))
        return list(fields.values())

    def _parameter(self, parameter: Parameter, kinds: dict[str, Schema]) -> Object:
        schema = self._value(parameter)
        if parameter.source == "path":
            own = kinds.get(parameter.alias, {})
            schema.update({k: v for k, v in own.items() if k in ("pattern", "format")})
        found: Object = {
            "name": parameter.alias,
            "in": parameter.source,
            "required": parameter.source == "path" or parameter.required,
            "schema": schema,
        }
        for key in ("description", "deprecated"):
            if said := getattr(parameter.marker, key, None):
                found[key] = said
        return found

    def _value(self, parameter: Parameter) -> Schema:
        """The schema of one parameter, with what its marker says of it."""
        if parameter.source == "file":
            return _file(parameter)
        bare, metadata = unwrap(parameter.annotation)
        if parameter.source != "body":  # no text is null
            bare, metadata = unwrap(without_none(bare)[0])
        limits = {**constraints_of(metadata), **parameter.constraints}
        name = full_name(bare)
        if name in _TEXTS and parameter.source != "body":
            schema = self._schemas.add(_TEXTS[name][0], "validation", limits)
            schema.update(_TEXTS[name][1])
        else:
            schema = self._schemas.add(bare, "validation", limits)
        _say(schema, parameter)
        if not parameter.required:
            default = _plain(parameter.default)
            if default is not None:
                schema["default"] = default
        return schema

    # ---- bodies ----

    def _body(self, endpoint: Endpoint, parameters: list[Parameter]) -> Object | None:
        forms = [p for p in parameters if p.source in ("form", "file") and _is_shown(p)]
        body = endpoint.body()
        if forms and body:
            schema = self._form(forms)
            required = any(_is_needed(p) for p in forms)
            return {"content": {body.media_type: {"schema": schema}}, "required": required}
        if endpoint.route.stream:
            return {"content": {"application/octet-stream": {"schema": BINARY}}}
        if body is None or body.is_form:
            return None
        parts = list(body.embedded.values()) if body.embedded else [body.parameter]
        shown = [part for part in parts if part and _is_shown(part)]
        if not shown:
            return None
        if body.embedded:
            schema = self._object(shown)
        else:
            schema = self._schemas.add(body.annotation, "validation", shown[0].constraints)
            _say(schema, shown[0])
        return {"content": {body.media_type: {"schema": schema}}, "required": body.required}

    def _form(self, forms: list[Parameter]) -> Schema:
        if len(forms) == 1 and forms[0].is_model:
            schema = self._schemas.add(forms[0].annotation)
            _say(schema, forms[0])
            return schema
        return self._object(forms)

    def _object(self, parameters: list[Parameter]) -> Schema:
        schema: Schema = {
            "type": "object",
            "properties": {p.alias: self._value(p) for p in parameters},
        }
        required = [p.alias for p in parameters if p.required]
        return {**schema, "required": required} if required else schema

    # ---- security ----

    def _requirements(self, endpoint: Endpoint) -> list[Object]:
        """Schemes that refuse are needed together; of those that do not, one is enough."""
        needed: Object = {}
        choices: list[Object] = []
        for scheme, scopes in endpoint.security():
            requirement = {self._scheme(scheme): list(scopes)}
            if getattr(scheme, "auto_error", True):
                needed |= requirement
            elif requirement not in choices:
                choices.append(requirement)
        return [{**needed, **choice} for choice in choices] or ([needed] if needed else [])

    def _scheme(self, scheme: Any) -> str:
        """The name of a scheme in the document; another one of the same name gets a number."""
        model = scheme.model()
        name, number = scheme.scheme_name, 2
        while self._security.setdefault(name, model) != model:
            name, number = f"{scheme.scheme_name}_{number}", number + 1
        return str(name)


# ---- types ----

# What a parameter's text looks like, where JSON would write the type in another way or without
# saying its format.
_TEXTS: dict[str, tuple[Any, Schema]] = {
    "decimal.Decimal": (float, {}),
    "datetime.datetime": (str, {"format": "date-time"}),
    "datetime.time": (str, {"format": "time"}),
}
_OF_FIELDS = {"default", "examples", "format"}.union(*(k.values() for k in KEYWORDS.values()))


def _file(parameter: Parameter) -> Schema:
    several = parameter.converter in ("files", "list of bytes")
    schema: Schema = {"type": "array", "items": BINARY} if several else {**BINARY}
    _say(schema, parameter)
    return schema


def _say(schema: Schema, parameter: Parameter) -> None:
    """What a marker says of a value; some of it parameters, unlike parts of bodies, say beside
    their schema."""
    beside = () if parameter.source in _PLACES else ("description", "deprecated")
    for key in ("title", "examples", *beside):
        if said := getattr(parameter.marker, key, None):
            schema[key] = _plain(said)


def _say_more(fields: dict[str, Object], model: Schema) -> None:
    """What a model says of its fields, for the parameters that they are."""
    for name, said in model.get("properties", {}).items():
        parameter = fields.get(_key(name))
        if parameter is None:
            continue
        if "description" in said:
            parameter["description"] = said["description"]
        kinds = [kind for kind in said.get("anyOf", ()) if kind.get("type") != "null"]
        whole = {**said, **kinds[0]} if len(kinds) == 1 else said
        schema = parameter["schema"]
        schema.update({k: v for k, v in whole.items() if k in _OF_FIELDS and v is not None})


def _key(name: str) -> str:
    """A field's name, whether as a header or not."""
    return name.replace("-", "_")


def _is_needed(parameter: Parameter) -> bool:
    """A model is there if its fields may all be left out."""
    fields = parameter.fields
    return any(f.required for f in fields) if fields else parameter.required


def _is_shown(parameter: Parameter) -> bool:
    return bool(getattr(parameter.marker, "include_in_schema", True))


def _plain(value: Any) -> Any:
    """A default as JSON has it; None: it has none."""
    import msgspec

    try:
        return msgspec.to_builtins(value if type(value).__name__ != "Decimal" else float(value))
    except TypeError:
        return None


def _description(handler: Any) -> str | None:
    """The docstring, up to a form feed."""
    from inspect import cleandoc

    text = getattr(handler, "__doc__", None) if hasattr(handler, "__name__") else None
    return cleandoc(text).partition("\f")[0].strip() or None if text else None
