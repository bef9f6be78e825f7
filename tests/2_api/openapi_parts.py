"""What the tests of OpenAPI describe, and how they look at the document."""

import dataclasses
import enum
import json
from collections.abc import Callable
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
from cello import (
    App,
)
from openapi_spec_validator import validate


class Item(msgspec.Struct):
    """A thing for sale."""

    name: str
    price: Annotated[float, msgspec.Meta(gt=0, description="in euro")]
    tags: list[str] = []


class User(pydantic.BaseModel):
    id: int = pydantic.Field(ge=1)
    email: str | None = None


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Page:
    limit: Annotated[int, msgspec.Meta(le=100)] = 10
    x_tag: list[str] = dataclasses.field(default_factory=list)


class Point(NamedTuple):
    x: int
    y: int


class Pair(TypedDict):
    left: Item
    right: Item


@attrs.define
class Box:
    width: int
    content: User


T = TypeVar("T")


class Wrapped(msgspec.Struct, Generic[T]):
    value: T


def written(app: App, version: str | None = None) -> dict[str, Any]:
    """The document, valid, as a client reads it."""
    document: dict[str, Any] = json.loads(json.dumps(app.openapi(version)))
    validate(document)
    return document


def operation(
    handler: Callable[..., Any], path: str = "/x", method: str = "get", **more: Any
) -> Any:
    """What the document says of one handler; what it refers to, put in its place."""
    app = App()
    app.route(path, [method], **more)(handler)
    document = written(app)
    (found,) = document["paths"].values()
    return resolved(found[method], document)


def written_for(model: Any) -> Any:
    """The document of one operation that answers this."""
    app = App()
    app.get("/x", response_model=model)(lambda req: None)
    return written(app)


def resolved(node: Any, document: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [resolved(item, document) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target: Any = document
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        node = {**target, **{k: v for k, v in node.items() if k != "$ref"}}
    return {name: resolved(value, document) for name, value in node.items()}


def parameters(handler: Callable[..., Any], path: str = "/x") -> dict[str, Any]:
    return {p["name"]: p for p in operation(handler, path).get("parameters", [])}


def schema_of(annotation: Any, default: Any = ...) -> Any:
    """Of a query parameter."""

    def handler(q):  # type: ignore[no-untyped-def]
        pass

    handler.__annotations__["q"] = annotation
    if default is not ...:
        handler.__defaults__ = (default,)
    return parameters(handler)["q"]["schema"]


ITEM = {
    "title": "Item",
    "description": "A thing for sale.",
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "price": {"type": "number", "exclusiveMinimum": 0, "description": "in euro"},
        "tags": {"type": "array", "items": {"type": "string"}, "default": []},
    },
    "required": ["name", "price"],
}


def answers(returns: Any, **more: Any) -> dict[str, Any]:
    """By status, the media type and schema of what a handler with this return annotation answers,
    without problems."""

    def handler():  # type: ignore[no-untyped-def]
        pass

    if returns is not ...:
        handler.__annotations__["return"] = returns
    found = operation(handler, **more)["responses"]
    assert found.pop("default")["content"].keys() == {"application/problem+json"}
    return {
        status: [(kind, said.get("schema")) for kind, said in answer.get("content", {}).items()]
        for status, answer in found.items()
    }
