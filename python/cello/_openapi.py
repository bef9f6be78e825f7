"""The OpenAPI 3.1 document of an application, made from the signatures of its handlers.

Reads what registration found out; asks no handler anything. Imported when a document is asked for.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, get_args, get_origin

from cello import _cello, _paths, _results
from cello._routes import handler_name, method_names
from cello._schema import BINARY, KEYWORDS, Schema, Schemas
from cello._types import (
    constraints_of,
    full_name,
    is_answer,
    list_item,
    members,
    unwrap,
    without_none,
)

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

PROBLEM: Object = {
    "type": "object",
    "title": "Problem",
    "description": "A problem document of RFC 9457.",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "default": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 100, "maximum": 599},
        "detail": {},
        "instance": {"type": "string", "format": "uri-reference"},
    },
}

_FIELD_ERROR: Object = {
    "type": "object",
    "title": "FieldError",
    "properties": {
        "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
        "msg": {"type": "string"},
        "type": {"type": "string"},
    },
    "required": ["loc", "msg", "type"],
}

VALIDATION_PROBLEM: Object = {
    **PROBLEM,
    "title": "ValidationProblem",
    "description": "What is wrong with the request, each with its place.",
    "properties": {
        **PROBLEM["properties"],
        "status": {"type": "integer", "examples": [422]},
        "detail": {"type": "array", "items": _FIELD_ERROR},
    },
}

RESPONSES: Object = {
    "Problem": {
        "description": "Error",
        "content": {"application/problem+json": {"schema": PROBLEM}},
    },
    "ValidationProblem": {
        "description": "Validation Error",
        "content": {"application/problem+json": {"schema": VALIDATION_PROBLEM}},
    },
}

_STATUS_TEXTS = {
    200: "Successful Response",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Validation Error",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class _Writer:
    """Writes operations, and keeps what they share."""

    def __init__(self, version: Version | None, own_errors: bool) -> None:
        self._version = version
        self._own_errors = own_errors
        self._schemas = Schemas()
        self._ids: set[str] = set()
        self._security: dict[str, Object] = {}
        self._models = Schemas()  # of parameters; no component of theirs is referred to
        self._fields: list[tuple[Schema, dict[str, Object]]] = []
        self._selections: list[tuple[Schema, Mapping[str, Any], Mapping[str, str]]] = []
        self._shared: set[str] = set()

    def components(self) -> Object:
        """All that operations refer to; the last thing to be asked for."""
        schemas = self._schemas.build()
        for schema, selection, names in self._selections:
            self._schemas.select(schema, selection, names)
        self._models.build()
        for model, fields in self._fields:
            _say_more(fields, self._models.resolve(model))
        found: Object = {
            "schemas": schemas,
            "responses": {name: self._error(name) for name in sorted(self._shared)},
            "securitySchemes": self._security,
        }
        return {name: value for name, value in found.items() if value}

    def _error(self, name: str) -> Object:
        found: Object = RESPONSES[name]
        if not self._own_errors:
            return found
        return {**found, "content": {**found["content"], "*/*": {}}}

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
            "responses": self._responses(endpoint, checked or body is not None),
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

    # ---- responses ----

    def _responses(self, endpoint: Endpoint, checked: bool) -> Object:
        """What the handler declares, then what Cello answers by itself."""
        route = endpoint.route
        model = route.response_model
        answer = endpoint.signature.returns if model is None else model
        found = self._answers(answer, route)
        for status, given in (route.responses or {}).items():
            key = str(status)
            found[key] = {**found.get(key, {}), **self._declared(key, given)}
        if checked and "422" not in found:
            found["422"] = self._ref("ValidationProblem")
        if "default" not in found:
            found["default"] = self._ref("Problem")
        return found

    def _answers(self, annotation: Any, route: Route) -> Object:
        """By status, what a handler that returns this type answers."""
        bare, optional = _returned(annotation)
        status = route.status
        description = route.response_description
        answered_by = media_type(route.response_class) if route.response_class else None
        if bare is type(None):
            status = status or 204
            return {str(status): {"description": description or _text_of(status)}}
        status = status or (307 if full_name(bare) == _REDIRECT else 200)
        found: Object = {"description": description or _text_of(status)}
        if status < 300 and status not in (204, 205):
            media = answered_by or media_type(bare)
            found["content"] = {media: self._content(bare, media)} if media else {"*/*": {}}
            if route.selection and media:
                schema = found["content"][media]["schema"]
                self._selections.append((schema, route.selection, _names_of_fields(bare)))
        answers = {str(status): found}
        if optional and status == 200:
            answers["204"] = {"description": _text_of(204)}
        return answers

    def _content(self, annotation: Any, media: str) -> Object:
        if _results.stream_items(annotation, True) is not None:
            return {"schema": BINARY if media == "application/octet-stream" else {"type": "string"}}
        is_response = isinstance(annotation, type) and issubclass(annotation, _cello.Response)
        if is_response or annotation is None or annotation is Any:
            return {"schema": {"type": "string"}} if media.startswith("text/") else {}
        return {"schema": self._schemas.add(annotation, "serialization")}

    def _declared(self, status: str, given: Any) -> Object:
        """An entry of responses=: a description, a type, or an object of OpenAPI in which "model"
        is a type."""
        if isinstance(given, str):
            return {"description": given}
        found = dict(given) if isinstance(given, Mapping) else {"model": given}
        model = found.pop("model", None)
        if model is not None:
            media = media_type(model) or "application/json"
            schema = self._schemas.add(model, "serialization")
            content = dict(found.get("content", {}))
            content[media] = {"schema": schema, **content.get(media, {})}
            found["content"] = content
        found.setdefault("description", _text_of(int(status) if status.isdigit() else 0))
        return found

    def _ref(self, name: str) -> Object:
        self._shared.add(name)
        return {"$ref": f"#/components/responses/{name}"}

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
_OF_RESPONSES = {
    "cello.responses.HTMLResponse": "text/html",
    "cello.responses.JSONResponse": "application/json",
    "cello.responses.PlainTextResponse": "text/plain",
}
_REDIRECT = "cello.responses.RedirectResponse"
_OF_ITEMS = (None, "text/plain", "application/octet-stream", "text/event-stream")


def media_type(annotation: Any) -> str | None:
    """What a value of this type goes out as; None: it cannot be told."""
    if annotation is None or annotation is Any:
        return None
    if annotation in (str, bytes):
        return "text/plain" if annotation is str else "application/octet-stream"
    parts = members(annotation)
    if parts:
        kinds = {media_type(part) for part in parts}
        return kinds.pop() if len(kinds) == 1 else None
    origin = get_origin(annotation) or annotation
    if origin is Literal and all(isinstance(value, str) for value in get_args(annotation)):
        return "text/plain"
    if isinstance(origin, type) and issubclass(origin, _cello.Response):
        found = (_OF_RESPONSES.get(full_name(base)) for base in origin.__mro__)
        return next((kind for kind in found if kind), None)
    items = _results.stream_items(annotation, origin is AsyncIterable)
    if items is not None:
        return _OF_ITEMS[items]
    return "application/json"


def _returned(annotation: Any) -> tuple[Any, bool]:
    """The type of the body, and whether there may be none, which is a 204."""
    bare, _ = unwrap(annotation)
    if get_origin(bare) is tuple and is_answer(bare):
        return _returned(get_args(bare)[0])
    if bare is type(None):
        return bare, False
    kept = [part for part in members(bare) if media_type(part)]
    if kept and len(kept) < len(members(bare)):  # without Response and None
        optional = type(None) in members(bare)
        kept = [part for part in kept if part is not type(None)]
        return (Union[tuple(kept)] if kept else None), optional  # noqa: UP007
    bare, optional = without_none(bare)
    return (annotation if not optional else bare), optional


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


def _names_of_fields(annotation: Any) -> dict[str, str]:
    """By what a pydantic model calls them where it is JSON; of a list, its items'."""
    bare, _ = unwrap(list_item(annotation) or annotation)
    fields = getattr(bare, "__pydantic_fields__", {})
    return {field.serialization_alias or name: name for name, field in fields.items()}


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


def _text_of(status: int) -> str:
    return _STATUS_TEXTS.get(status, "Response")


def _description(handler: Any) -> str | None:
    """The docstring, up to a form feed."""
    from inspect import cleandoc

    text = getattr(handler, "__doc__", None) if hasattr(handler, "__name__") else None
    return cleandoc(text).partition("\f")[0].strip() or None if text else None
