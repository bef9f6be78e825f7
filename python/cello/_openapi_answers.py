"""What operations answer, for the OpenAPI document: by status, from what handlers return."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from cello import _cello, _results
from cello._schema import BINARY, Schema, Schemas
from cello._types import full_name, is_answer, list_item, members, unwrap, without_none

if TYPE_CHECKING:
    from cello._routes import Route
    from cello._signature import Endpoint

Object = dict[str, Any]

# ---- errors ----

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


class Answers:
    """Writes the responses of operations, and keeps what they share."""

    def __init__(self, schemas: Schemas, own_errors: bool) -> None:
        self._schemas = schemas
        self._own_errors = own_errors
        self._selections: list[tuple[Schema, Mapping[str, Any], Mapping[str, str]]] = []
        self._shared: set[str] = set()

    def select(self) -> None:
        """Leave out the fields that routes do, when the schemas are built."""
        for schema, selection, names in self._selections:
            self._schemas.select(schema, selection, names)

    def shared(self) -> Object:
        """The responses that operations refer to; the last thing to be asked for."""
        return {name: self._error(name) for name in sorted(self._shared)}

    def of(self, endpoint: Endpoint, checked: bool) -> Object:
        """What the handler declares, by status, then what Cello answers by itself. checked: its
        parameters are, so that there may be a 422."""
        route = endpoint.route
        model = route.response_model
        answer = endpoint.signature.returns if model is None else model
        found = self._declared_by(answer, route)
        for status, given in (route.responses or {}).items():
            key = str(status)
            found[key] = {**found.get(key, {}), **self._said(key, given)}
        if checked and "422" not in found:
            found["422"] = self._ref("ValidationProblem")
        if "default" not in found:
            found["default"] = self._ref("Problem")
        return found

    def _declared_by(self, annotation: Any, route: Route) -> Object:
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
        answers = (_cello.Response, _cello.SseStream)
        is_response = isinstance(annotation, type) and issubclass(annotation, answers)
        if is_response or annotation is None or annotation is Any:
            return {"schema": {"type": "string"}} if media.startswith("text/") else {}
        return {"schema": self._schemas.add(annotation, "serialization")}

    def _said(self, status: str, given: Any) -> Object:
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

    def _error(self, name: str) -> Object:
        found: Object = RESPONSES[name]
        if not self._own_errors:
            return found
        return {**found, "content": {**found["content"], "*/*": {}}}


# ---- types ----

_OF_RESPONSES = {
    "cello.responses.EventSourceResponse": "text/event-stream",
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
    if origin is _cello.SseStream:
        return "text/event-stream"
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


def _names_of_fields(annotation: Any) -> dict[str, str]:
    """By what a pydantic model calls them where it is JSON; of a list, its items'."""
    bare, _ = unwrap(list_item(annotation) or annotation)
    fields = getattr(bare, "__pydantic_fields__", {})
    return {field.serialization_alias or name: name for name, field in fields.items()}


def _text_of(status: int) -> str:
    return _STATUS_TEXTS.get(status, "Response")
