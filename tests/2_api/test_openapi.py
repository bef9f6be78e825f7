"""The OpenAPI document: what it says of handlers, valid by the specification's own schema, and how
it and its pages are served."""

import dataclasses
import enum
import functools
import gzip
import json
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import attrs
import jsonschema
import msgspec
import pydantic
import pytest
from api_client import serving
from cello import (
    App,
    Blueprint,
    Body,
    Cookie,
    Depends,
    Form,
    Header,
    HeaderVersioning,
    MediaTypeVersioning,
    Path,
    PathVersioning,
    Query,
    Request,
    Response,
)
from cello._docs import choose_coding
from cello._openapi import split_path
from cello.responses import HTMLResponse, JSONResponse, RedirectResponse
from cello.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm, Security
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


# ---- the document ----


def test_an_application_without_routes() -> None:
    document = written(App(title="shop", version="1.2"))
    assert document["openapi"] == "3.1.0"
    assert document["info"] == {"title": "shop", "version": "1.2"}
    assert document["paths"] == {}


def test_info_servers_and_tags() -> None:
    app = App(title="other", version="0")
    app.enable_openapi(
        "shop",
        "1.0",
        servers=["https://api.example", {"url": "/v1", "description": "here"}],
        tags=["plain", {"name": "things", "description": "for sale"}],
        summary="short",
        description="long",
        terms_of_service="https://example/terms",
        contact={"name": "us"},
        license_info={"name": "MIT"},
    )
    document = written(app)
    assert document["info"] == {
        "title": "shop",
        "version": "1.0",
        "summary": "short",
        "description": "long",
        "termsOfService": "https://example/terms",
        "contact": {"name": "us"},
        "license": {"name": "MIT"},
    }
    assert document["servers"][0] == {"url": "https://api.example"}
    assert document["tags"] == [{"name": "plain"}, {"name": "things", "description": "for sale"}]
    assert document["paths"] == {}, "the document does not describe itself"


def test_the_document_is_made_once() -> None:
    app = App()
    first = app.openapi()
    assert app.openapi() is first

    @app.get("/later")
    def later(req):  # type: ignore[no-untyped-def]
        pass

    assert list(app.openapi()["paths"]) == ["/later"]


# ---- operations ----


def test_what_an_operation_is_called() -> None:
    def read_item(item_id: int) -> None:
        """Read one item.

        With **care**.
        \f
        Not for the document.
        """

    found = operation(read_item, "/items/{item_id}")
    assert found["summary"] == "Read Item"
    assert found["description"] == "Read one item.\n\nWith **care**."
    assert found["operationId"] == "read_item_items__item_id__get"
    assert "deprecated" not in found and "tags" not in found


def test_a_partial_is_called_as_its_function_is() -> None:
    def read_item(kind: str, req: Request) -> None:
        pass

    app = App()
    app.get("/item")(functools.partial(read_item, "tea"))
    assert app.url_for("read_item") == "/item"
    found = written(app)["paths"]["/item"]["get"]
    assert (found["summary"], found["operationId"]) == ("Read Item", "read_item_item_get")


def test_what_a_declaration_says() -> None:
    found = operation(
        lambda req: None,
        tags=["a", "b"],
        summary="S",
        description="D",
        operation_id="op",
        deprecated=True,
    )
    assert found["tags"] == ["a", "b"] and found["deprecated"] is True
    assert (found["summary"], found["description"], found["operationId"]) == ("S", "D", "op")


def test_operation_ids_are_unique() -> None:
    app = App()
    app.route("/a", ["GET", "POST"], operation_id="same")(lambda req: None)
    app.get("/b", operation_id="same")(lambda req: None)
    found = [o["operationId"] for path in written(app)["paths"].values() for o in path.values()]
    assert found == ["same", "same_2", "same_3"]


def test_a_route_that_is_not_shown() -> None:
    app = App()
    app.get("/hidden", include_in_schema=False)(lambda req: None)
    app.get("/shown")(lambda req: None)
    assert list(written(app)["paths"]) == ["/shown"]


def test_routes_of_blueprints() -> None:
    app, api = App(), Blueprint("/v1", tags=["v1"])
    api.get("/a", tags=["own"])(lambda req: None)
    app.register_blueprint(api)
    assert written(app)["paths"]["/v1/a"]["get"]["tags"] == ["v1", "own"]


# ---- paths ----


@pytest.mark.parametrize(
    ("path", "template", "kinds"),
    [
        ("/", "/", {}),
        ("/a/{id:int}.json", "/a/{id}.json", {"id": {"type": "integer"}}),
        ("/{f:float}/{u:uuid}", "/{f}/{u}", {"f": {"type": "number"},
                                            "u": {"type": "string", "format": "uuid"}}),
        ("/{d:date}", "/{d}", {"d": {"type": "string", "format": "date"}}),
        ("/{a:alpha}", "/{a}", {"a": {"type": "string", "pattern": "^[A-Za-z]+$"}}),
        ("/{s:slug}", "/{s}", {"s": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}}),
        ("/{rest:path}", "/{rest}", {"rest": {"type": "string"}}),
        ("/{c:regex([a-z]{2,3}(x|y)[)]\\))}/z", "/{c}/z",
         {"c": {"type": "string", "pattern": "^(?:[a-z]{2,3}(x|y)[)]\\))$"}}),
    ],
)  # fmt: skip
def test_paths(path: str, template: str, kinds: dict[str, Any]) -> None:
    assert split_path(path) == (template, kinds)


def test_parameters_of_the_path() -> None:
    def handler(id: int, code: str, size: Annotated[int, Path(ge=1)]) -> None: ...

    found = parameters(handler, "/{id:int}/{code:regex([A-Z]+)}/{size}/{unasked:uuid}")
    assert all(p["in"] == "path" and p["required"] for p in found.values())
    assert found["id"]["schema"] == {"type": "integer"}
    assert found["code"]["schema"] == {"type": "string", "pattern": "^(?:[A-Z]+)$"}
    assert found["size"]["schema"] == {"type": "integer", "minimum": 1}
    assert found["unasked"]["schema"] == {"type": "string", "format": "uuid"}


# ---- parameters ----


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (Decimal, {"type": "number"}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        (date, {"type": "string", "format": "date"}),
        (datetime, {"type": "string", "format": "date-time"}),
        (clock, {"type": "string", "format": "time"}),
        (int | None, {"type": "integer"}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Color, {"title": "Color", "type": "string", "enum": ["red", "blue"]}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
    ],
)
def test_types_of_parameters(annotation: Any, schema: dict[str, Any]) -> None:
    assert schema_of(annotation) == schema


@pytest.mark.parametrize(
    ("annotation", "keywords"),
    [
        (Annotated[int, Query(ge=1, le=9)], {"minimum": 1, "maximum": 9}),
        (Annotated[float, Query(gt=0, lt=1)], {"exclusiveMinimum": 0, "exclusiveMaximum": 1}),
        (Annotated[int, Query(multiple_of=5)], {"multipleOf": 5}),
        (Annotated[str, Query(min_length=1, max_length=3, pattern="^a")],
         {"minLength": 1, "maxLength": 3, "pattern": "^a"}),
        (Annotated[list[int], Query(min_length=1, max_length=3)], {"minItems": 1, "maxItems": 3}),
        (Annotated[int, msgspec.Meta(ge=2)], {"minimum": 2}),
        (Annotated[int, Query(title="T", examples=[1, 2])], {"title": "T", "examples": [1, 2]}),
    ],
)  # fmt: skip
def test_constraints(annotation: Any, keywords: dict[str, Any]) -> None:
    assert schema_of(annotation).items() >= keywords.items()


@pytest.mark.parametrize(
    ("annotation", "default", "said"),
    [(int, 3, 3), (Color, Color.RED, "red"), (Decimal, Decimal("1.5"), 1.5), (list[str], [], [])],
)
def test_defaults(annotation: Any, default: Any, said: Any) -> None:
    assert schema_of(annotation, default)["default"] == said


def test_a_default_of_none_is_not_said() -> None:
    assert schema_of(int | None, None) == {"type": "integer"}


def test_where_parameters_are() -> None:
    def handler(
        q: str,
        n: Annotated[int, Query(alias="N", description="how many", deprecated=True)] = 1,
        x_id: Annotated[str, Header()] = "",
        sid: Annotated[str | None, Cookie()] = None,
        hidden: Annotated[str, Query(include_in_schema=False)] = "",
    ) -> None: ...

    found = parameters(handler)
    places = {name: (p["in"], p["required"]) for name, p in found.items()}
    assert places == {
        "q": ("query", True),
        "N": ("query", False),
        "x-id": ("header", False),
        "sid": ("cookie", False),
    }
    assert found["N"]["description"] == "how many" and found["N"]["deprecated"] is True


def test_parameters_of_dependencies_once() -> None:
    def token(x_token: Annotated[str, Header()]) -> str:
        return x_token

    def handler(
        x_token: Annotated[str, Header()], a: str = Depends(token), b: str = Depends(token)
    ) -> None: ...

    assert list(parameters(handler)) == ["x-token"]


def test_a_model_of_parameters() -> None:
    def handler(
        p: Annotated[Page, Query()], h: Annotated[Page, Header()], u: Annotated[User, Cookie()]
    ) -> None: ...

    found = operation(handler)["parameters"]
    by_place = {(p["in"], p["name"]): p for p in found}
    assert list(by_place) == [
        ("query", "limit"),
        ("query", "x_tag"),
        ("header", "limit"),
        ("header", "x-tag"),
        ("cookie", "id"),
        ("cookie", "email"),
    ]
    limit = by_place["query", "limit"]
    assert not limit["required"]
    assert limit["schema"] == {"type": "integer", "maximum": 100, "default": 10}
    assert by_place["cookie", "id"]["required"]
    assert by_place["cookie", "id"]["schema"] == {"type": "integer", "minimum": 1}
    assert by_place["cookie", "email"]["schema"] == {"type": "string"}


# ---- bodies ----

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


def body_of(handler: Callable[..., Any], **more: Any) -> Any:
    return operation(handler, method="post", **more)["requestBody"]


@pytest.mark.parametrize("model", [Item, Page, Point, Pair, Box, User, list[Item], dict[str, User]])
def test_kinds_of_bodies(model: Any) -> None:
    def handler(body):  # type: ignore[no-untyped-def]
        pass

    handler.__annotations__["body"] = model
    found = body_of(handler)
    assert found["required"] is True
    assert found["content"]["application/json"]["schema"]["type"] in ("object", "array")


def test_a_body() -> None:
    def handler(item: Item) -> None: ...

    assert body_of(handler) == {"content": {"application/json": {"schema": ITEM}}, "required": True}


def test_a_body_that_need_not_be_there() -> None:
    def handler(item: Item | None = None) -> None: ...

    assert body_of(handler)["required"] is False


def test_what_markers_say_of_bodies() -> None:
    form_type = "application/x-www-form-urlencoded"
    said: dict[str, Any] = {"title": "T", "description": "D", "examples": [1], "deprecated": True}

    def json_of(call: Any, media: str = "application/json") -> Any:
        return operation(call, method="post")["requestBody"]["content"][media]["schema"]

    def one(body: Annotated[Item, Body(**said)]) -> None: ...
    def two(a: Annotated[int, Body(**said)], b: Annotated[int, Body(include_in_schema=False)]): ...
    def form(a: Annotated[int, Form(**said)]) -> None: ...
    def model(a: Annotated[Item, Form(**said)]) -> None: ...
    def none(body: Annotated[Item, Body(include_in_schema=False)]) -> None: ...

    assert json_of(one).items() >= said.items()
    assert json_of(two)["properties"] == {"a": {"type": "integer", **said}}
    assert json_of(form, form_type)["properties"]["a"].items() >= said.items()
    assert json_of(model, form_type).items() >= said.items()
    assert "requestBody" not in operation(none, method="post")


def test_a_body_that_the_route_declares() -> None:
    def handler(req):  # type: ignore[no-untyped-def]
        pass

    assert body_of(handler, body=Item)["content"]["application/json"]["schema"] == ITEM


def test_several_bodies_are_one_object() -> None:
    def handler(item: Item, user: User, n: Annotated[int, Body(ge=1)] = 2) -> None: ...

    schema = body_of(handler)["content"]["application/json"]["schema"]
    assert list(schema["properties"]) == ["item", "user", "n"]
    assert schema["properties"]["n"] == {"type": "integer", "minimum": 1, "default": 2}
    assert schema["required"] == ["item", "user"]


def test_forms() -> None:
    def fields(a: Annotated[str, Form(max_length=3)], b: Annotated[int, Form()] = 1) -> None: ...
    def model(page: Annotated[Page, Form()]) -> None: ...

    kind = "application/x-www-form-urlencoded"
    assert body_of(fields) == {
        "content": {
            kind: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "a": {"type": "string", "maxLength": 3},
                        "b": {"type": "integer", "default": 1},
                    },
                    "required": ["a"],
                }
            }
        },
        "required": True,
    }
    assert "limit" in body_of(model)["content"][kind]["schema"]["properties"]


# ---- answers ----


ANYTHING = [("*/*", None)]


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


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        (..., {"200": ANYTHING}),
        (Any, {"200": ANYTHING}),
        (Response, {"200": ANYTHING}),
        (RedirectResponse, {"307": []}),
        (AsyncIterator[str], {"200": ANYTHING}),
        (str, {"200": [("text/plain", {"type": "string"})]}),
        (Literal["a"], {"200": [("text/plain", {"type": "string", "enum": ["a"]})]}),
        (int, {"200": [("application/json", {"type": "integer"})]}),
        (Item, {"200": [("application/json", ITEM)]}),
        (list[Item], {"200": [("application/json", {"type": "array", "items": ITEM})]}),
        (None, {"204": []}),
        (Item | None, {"200": [("application/json", ITEM)], "204": []}),
        (HTMLResponse, {"200": [("text/html", {"type": "string"})]}),
        (JSONResponse, {"200": [("application/json", None)]}),
        (Item | Response, {"200": [("application/json", ITEM)]}),
        (str | Item, {"200": ANYTHING}),
        (tuple[Item, int], {"200": [("application/json", ITEM)]}),
        (tuple[Item, int, dict[str, str]], {"200": [("application/json", ITEM)]}),
    ],
)
def test_what_a_return_annotation_says(returns: Any, expected: dict[str, Any]) -> None:
    assert answers(returns) == expected


def test_bytes_are_binary() -> None:
    ((kind, _),) = answers(bytes)["200"]
    assert kind == "application/octet-stream"


def test_status_and_response_model() -> None:
    assert answers(Item, status=201) == {"201": [("application/json", ITEM)]}
    assert answers(dict, response_model=Item) == {"200": [("application/json", ITEM)]}
    assert answers(Item, status=204) == {"204": []}


def test_declared_responses() -> None:
    found = operation(
        lambda req: None,
        responses={
            404: {"model": Item, "description": "none"},
            409: "conflict",
            410: Item,
            "5XX": {"description": "broken"},
            200: {"content": {"image/png": {}}},
        },
    )["responses"]
    assert found["404"]["description"] == "none"
    assert found["404"]["content"]["application/json"]["schema"] == ITEM
    assert found["409"] == {"description": "conflict"}
    assert found["410"]["description"] == "Gone"
    assert found["5XX"] == {"description": "broken"}
    assert found["200"] == {"description": "Successful Response", "content": {"image/png": {}}}


def test_the_answer_to_what_does_not_fit() -> None:
    def plain() -> None: ...
    def checked(q: int) -> None: ...

    assert "422" not in operation(plain)["responses"]
    found = operation(checked)["responses"]["422"]["content"]["application/problem+json"]["schema"]
    entry = found["properties"]["detail"]["items"]
    assert set(entry["properties"]) == {"loc", "msg", "type"}


def test_the_problem_schemas_describe_what_is_answered() -> None:
    app = App()

    @app.get("/n/{n}")
    def number(n: int) -> int:
        return n

    document = written(app)
    found = resolved(document["paths"]["/n/{n}"]["get"], document)["responses"]
    with serving(app) as client:
        for path, status, key in (("/n/x", 422, "422"), ("/none", 404, "default")):
            answer = client.get(path)
            kind = answer.headers["Content-Type"].partition(";")[0]
            assert answer.status == status
            jsonschema.validate(answer.data, found[key]["content"][kind]["schema"])


# ---- components ----


def test_two_classes_of_one_name() -> None:
    def first() -> Any:
        class Thing(msgspec.Struct):
            a: int

        return Thing

    def second() -> Any:
        class Thing(msgspec.Struct):
            b: int

        return Thing

    def third() -> Any:
        class Thing(pydantic.BaseModel):
            c: int

        return Thing

    app = App()
    for number, model in enumerate((first(), second(), third())):

        def handler(body):  # type: ignore[no-untyped-def]
            pass

        handler.__annotations__ = {"body": model, "return": list[model]}
        app.post(f"/{number}")(handler)
    document = written(app)
    names = sorted(document["components"]["schemas"])
    assert len(names) == 3 and names[0] == "Thing" and names[1].endswith("first._locals_.Thing")
    for number, field in enumerate("abc"):
        found = resolved(document["paths"][f"/{number}"]["post"], document)
        taken = found["requestBody"]["content"]["application/json"]["schema"]
        given = found["responses"]["200"]["content"]["application/json"]["schema"]["items"]
        assert list(taken["properties"]) == list(given["properties"]) == [field]


def test_classes_that_are_made_alike() -> None:
    def made(field: str) -> Any:
        class Thing(msgspec.Struct):
            pass

        return msgspec.defstruct("Thing", [(field, int)], bases=(Thing,), module="here")

    schemas = written_for(tuple[made("a"), made("b")])["components"]["schemas"]
    assert sorted(schemas) == ["here.Thing", "here.Thing_2"]


def test_models_that_differ_in_what_they_refer_to() -> None:
    def with_msgspec() -> Any:
        inner = msgspec.defstruct("Inner", [("a", int)])
        return msgspec.defstruct("Outer", [("inner", inner)])

    def with_pydantic() -> Any:
        inner = pydantic.create_model("Inner", b=(int, ...))
        return pydantic.create_model("Outer", inner=(inner, ...))

    app = App()
    for path, model in (("/a", with_msgspec()), ("/b", with_pydantic())):
        app.get(path, response_model=model)(lambda req: None)
    document = written(app)
    for name in "ab":
        found = resolved(document["paths"][f"/{name}"]["get"], document)["responses"]["200"]
        schema = found["content"]["application/json"]["schema"]
        assert list(schema["properties"]["inner"]["properties"]) == [name]


def test_a_pydantic_model_inside_others() -> None:
    found = operation(lambda req: None, response_model=Box)["responses"]["200"]
    content = found["content"]["application/json"]["schema"]["properties"]["content"]
    assert content["properties"]["id"]["minimum"] == 1


def test_input_and_output_of_a_model_differ() -> None:
    class Computed(pydantic.BaseModel):
        a: int = 1

        @pydantic.computed_field  # type: ignore[prop-decorator]
        @property
        def twice(self) -> int:
            return 2 * self.a

    def handler(body):  # type: ignore[no-untyped-def]
        pass

    handler.__annotations__ = {"body": Computed, "return": Computed}
    found = operation(handler, method="post")
    taken = found["requestBody"]["content"]["application/json"]["schema"]
    given = found["responses"]["200"]["content"]["application/json"]["schema"]
    assert "twice" not in taken["properties"] and "twice" in given["properties"]


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (datetime, {"type": "string", "format": "date-time"}),
        (clock | None, {"anyOf": [{"type": "string", "format": "time"}, {"type": "null"}]}),
        (timedelta, {"type": "string", "format": "duration"}),
        (bytes, {"type": "string", "contentEncoding": "base64"}),
        (Literal[1, "a"], {"enum": [1, "a"]}),
        (object, {}),
        (set[int], {"type": "array", "items": {"type": "integer"}}),
        (
            tuple[int, str],
            {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
            },
        ),
        (
            dict[int, str],
            {
                "type": "object",
                "propertyNames": {"pattern": "^-?(0|[1-9][0-9]*)$"},
                "additionalProperties": {"type": "string"},
            },
        ),
        (
            Annotated[list[int], msgspec.Meta(min_length=1, description="some")],
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "description": "some"},
        ),
    ],
)
def test_types_of_fields(annotation: Any, schema: dict[str, Any]) -> None:
    model = msgspec.defstruct("Model", [("field", annotation)])
    ((_, found),) = answers(model)["200"]
    assert found["properties"] == {"field": schema} and found["required"] == ["field"]


def test_decimals_are_digits() -> None:
    ((_, found),) = answers(msgspec.defstruct("Model", [("field", Decimal)]))["200"]
    text, number = found["properties"]["field"]["anyOf"]
    assert number == {"type": "number"}
    pattern = text["pattern"]
    assert [bool(re.search(pattern, digits)) for digits in ("-1.50", "7", "x", "1.", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_forms_of_structs() -> None:
    class Cat(msgspec.Struct, tag="cat", forbid_unknown_fields=True):
        name: str = msgspec.field(name="Name")

    class Dog(msgspec.Struct, tag="dog"):
        age: int = 0

    class Row(msgspec.Struct, array_like=True):
        a: int
        b: int = 0

    document = written_for(tuple[Cat | Dog, Row])
    schemas = document["components"]["schemas"]
    assert schemas["Cat"] == {
        "title": "Cat",
        "type": "object",
        "properties": {"type": {"type": "string", "enum": ["cat"]}, "Name": {"type": "string"}},
        "required": ["type", "Name"],
        "additionalProperties": False,
    }
    assert schemas["Dog"]["required"] == ["type"]
    assert (schemas["Row"]["minItems"], len(schemas["Row"]["prefixItems"])) == (1, 2)
    both = written_for(Cat | Dog)["paths"]["/x"]["get"]["responses"]["200"]["content"]
    assert both["application/json"]["schema"]["discriminator"] == {
        "propertyName": "type",
        "mapping": {"cat": "#/components/schemas/Cat", "dog": "#/components/schemas/Dog"},
    }


def test_generic_structs() -> None:
    schemas = written_for(Wrapped[int] | list[Wrapped[str]])["components"]["schemas"]
    assert sorted(schemas) == ["Wrapped_int_", "Wrapped_str_"]
    assert schemas["Wrapped_int_"]["title"] == "Wrapped[int]"


def test_a_recursive_model() -> None:
    class Tree(msgspec.Struct):
        children: list["Tree"] = []

    Tree.__annotations__["children"] = list[Tree]
    app = App()
    app.get("/", response_model=Tree)(lambda req: None)
    schema = written(app)["components"]["schemas"]["Tree"]
    assert schema["properties"]["children"]["items"] == {"$ref": "#/components/schemas/Tree"}


def test_a_type_without_a_schema_is_anything() -> None:
    class Opaque:
        pass

    class Odd(msgspec.Struct):
        field: Any = Opaque()

    class Unknown(pydantic.BaseModel):
        field: Callable[[], int]

    app = App()
    app.get("/custom", response_model=dict[str, Opaque])(lambda req: None)
    app.get("/odd", response_model=Odd)(lambda req: None)
    app.get("/unknown", response_model=Unknown)(lambda req: None)
    app.get("/user", response_model=User)(lambda req: None)
    app.get("/good", response_model=Item)(lambda req: None)
    document = resolved(app.openapi(), app.openapi())

    def schema(path: str) -> Any:
        answer = document["paths"][path]["get"]["responses"]["200"]
        return answer["content"]["application/json"]["schema"]

    assert schema("/custom")["additionalProperties"] == {"title": "Opaque"}
    assert schema("/odd")["properties"] == {"field": {}}, "a default that is no JSON is left out"
    assert (schema("/unknown"), schema("/good")) == ({}, ITEM)
    assert schema("/user")["title"] == "User"


# ---- security ----


class Scheme:
    """Stands for an object of cello.security."""

    def __init__(self, name: str, model: dict[str, str], auto_error: bool = True) -> None:
        self.scheme_name = name
        self.auto_error = auto_error
        self._model = model

    def model(self) -> dict[str, str]:
        return self._model

    def __call__(self, req):  # type: ignore[no-untyped-def]
        return None


BEARER = {"type": "http", "scheme": "bearer"}
KEY = {"type": "apiKey", "in": "header", "name": "x-key"}


def secured(*schemes: Scheme) -> dict[str, Any]:
    app = App()
    app.get("/", dependencies=[Depends(scheme) for scheme in schemes])(lambda req: None)
    return written(app)


def test_schemes_that_are_all_needed() -> None:
    document = secured(Scheme("Bearer", BEARER), Scheme("Key", KEY))
    assert document["components"]["securitySchemes"] == {"Bearer": BEARER, "Key": KEY}
    assert document["paths"]["/"]["get"]["security"] == [{"Bearer": [], "Key": []}]


def test_schemes_of_which_one_is_enough() -> None:
    document = secured(Scheme("Bearer", BEARER, False), Scheme("Key", KEY, False))
    assert document["paths"]["/"]["get"]["security"] == [{"Bearer": []}, {"Key": []}]


def test_two_schemes_of_one_name() -> None:
    other = {**KEY, "name": "x-other"}
    document = secured(Scheme("Key", KEY), Scheme("Key", other))
    assert document["components"]["securitySchemes"] == {"Key": KEY, "Key_2": other}


def test_schemes_of_cello() -> None:
    oauth2 = OAuth2PasswordBearer("token", scopes={"read": "to read"})

    def user(token: Annotated[str, Depends(oauth2)]) -> str:
        return token

    app = App()

    @app.get("/")
    def index(user: Annotated[str, Security(user, scopes=["read"])]) -> None: ...

    @app.post("/token")
    def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> None: ...

    document = written(app)
    assert document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["type"] == "oauth2"
    assert document["paths"]["/"]["get"]["security"] == [{"OAuth2PasswordBearer": ["read"]}]
    assert "parameters" not in document["paths"]["/"]["get"]
    body = document["paths"]["/token"]["post"]["requestBody"]["content"]
    assert body["application/x-www-form-urlencoded"]["schema"]["required"] == [
        "username",
        "password",
    ]


# ---- versions ----


def versioned(versioning: Any) -> App:
    app = App(versioning=versioning)
    app.get("/a", versions=["v1"], summary="old")(lambda req: None)
    app.get("/a", versions=["v2"], summary="new")(lambda req: None)
    app.get("/b")(lambda req: None)
    app.enable_openapi()
    return app


def test_versions_in_the_path() -> None:
    app = versioned(PathVersioning())
    assert list(written(app)["paths"]) == ["/v1/a", "/v2/a", "/b"]
    document = written(app, "v2")
    assert document["info"]["version"] == "v2" and list(document["paths"]) == ["/v2/a", "/b"]


def test_versions_in_a_header() -> None:
    app = versioned(HeaderVersioning("X-V", default="v1"))
    for version, summary in ((None, "old"), ("v1", "old"), ("v2", "new")):
        paths = written(app, version)["paths"]
        assert paths["/a"]["get"]["summary"] == summary
        (parameter,) = paths["/a"]["get"]["parameters"]
        assert (parameter["in"], parameter["name"]) == ("header", "X-V")
        assert parameter["required"] is (version == "v2")
        assert "parameters" not in paths["/b"]["get"]


def test_the_last_version_is_shown_where_none_is_default() -> None:
    assert written(versioned(MediaTypeVersioning()))["paths"]["/a"]["get"]["summary"] == "new"


def test_versions_are_served() -> None:
    with serving(versioned(PathVersioning())) as client:
        assert list(client.get("/openapi.json?version=v1").data["paths"]) == ["/v1/a", "/b"]
        assert client.get("/openapi.json?version=v3").status == 404
        assert '<a href="?version=v2">v2</a>' in client.get("/docs").text


def test_an_unknown_version() -> None:
    with pytest.raises(ValueError, match="no version 'v3'"):
        versioned(PathVersioning()).openapi("v3")


# ---- served ----


def documented(**options: Any) -> App:
    app = App(title="<shop>", version="1.0")

    @app.get("/items/{id}")
    def item(id: int) -> Item:
        return Item("a", 1.0)

    app.enable_openapi(**options)
    return app


def test_off_until_it_is_called() -> None:
    app = App()
    with serving(app) as client:
        assert [client.get(p).status for p in ("/openapi.json", "/docs", "/redoc")] == [404] * 3


def test_the_document_is_served_compressed() -> None:
    app = documented()
    with serving(app) as client:
        plain = client.get("/openapi.json")
        packed = client.get("/openapi.json", accept_encoding="br, gzip")
    assert plain.headers["Content-Type"] == "application/json"
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body
    assert plain.data == app.openapi()


def test_who_has_the_document_is_told_so() -> None:
    with serving(documented()) as client:
        tag = client.get("/openapi.json").headers["ETag"]
        packed = client.get("/openapi.json", accept_encoding="gzip").headers["ETag"]
        again = client.get("/openapi.json", if_none_match=f'"other", W/{tag}')
        changed = client.get("/openapi.json", if_none_match='"other"')
    assert tag != packed
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    assert changed.status == 200


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5, deflate", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip; q=0.000, identity", "identity"),
        ("*", "gzip"),
        ("*;q=0, gzip", "gzip"),
        ("gzip;q=0, *", "identity"),
    ],
)
def test_the_coding_is_chosen(accepted: str | None, coding: str) -> None:
    assert choose_coding(accepted, ["gzip", "identity"]) == coding


def references(page: str) -> list[str]:
    return re.findall(r'(?:src|href|data-url)="(?!data:)([^"?]+)', page)


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_a_page_and_all_it_refers_to(path: str) -> None:
    with serving(documented()) as client:
        page = client.get(path)
        assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "&lt;shop&gt;" in page.text and "<shop>" not in page.text
        for reference in references(page.text):
            assert not reference.startswith(("/", "http")), "a prefix would not be there"
            answer = client.get(f"/{reference}", accept_encoding="gzip")
            assert answer.status == 200
            if answer.headers.get("Content-Encoding") == "gzip":
                assert gzip.decompress(answer.body)


def test_other_places() -> None:
    app = documented(docs_url="/api/docs", redoc_url=None, openapi_url="/api/schema.json")
    with serving(app) as client:
        assert client.get("/redoc").status == client.get("/docs").status == 404
        assert client.get("/api/schema.json").status == 200
        page = client.get("/api/docs").text
        for reference in references(page):
            assert client.get(f"/api/{reference}", accept_encoding="gzip").status == 200


def test_a_page_at_the_root() -> None:
    with serving(documented(docs_url="/", redoc_url=None)) as client:
        for reference in references(client.get("/").text):
            assert client.get(f"/{reference}", accept_encoding="gzip").status == 200


def test_guards_are_asked_and_dependencies_are_not() -> None:
    def token(x_token: Annotated[str, Header()]) -> str:
        return x_token

    guarded = App(guards=[lambda req: "x-key" in req.headers])
    depending = App(dependencies=[Depends(token)])
    for app in (guarded, depending):
        app.get("/a")(lambda req: "a")
        app.enable_openapi()
    with serving(guarded) as client:
        assert client.get("/openapi.json").status == 403
        assert client.get("/openapi.json", x_key="1").status == 200
        assert client.get("/docs").status == 200
    with serving(depending) as client:
        assert client.get("/a").status == 422
        assert client.get("/openapi.json").status == 200


def test_called_twice() -> None:
    app = documented()
    with pytest.raises(RuntimeError, match="called before"):
        app.enable_openapi()


def test_without_the_pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr("cello._docs._FOLDER", str(tmp_path))
    with pytest.raises(RuntimeError, match="CELLO_PAGES"):
        documented()
    documented(docs_url=None, redoc_url=None)


def test_licences_are_in_the_wheel() -> None:
    from cello import _docs

    for name in ("swagger-ui-dist", "redoc"):
        with open(f"{_docs._FOLDER}/licenses/{name}/LICENSE") as file:
            assert "License" in file.read()


# ---- cost: that of a thousand routes is in bench/footprint.py ----


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys; from cello import App; app = App(); app.enable_openapi();"
        "print([m for m in ('msgspec', 'pydantic', 'gzip', 'inspect') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_errors_of_programs_with_exception_handlers() -> None:
    """They may be answered by anything."""
    app = App()
    app.get("/")(lambda n: None)
    problem = app.openapi()["components"]["responses"]["Problem"]["content"]
    assert set(problem) == {"application/problem+json"}
    app.exception_handler(404)(lambda req, exc: "gone")
    own = app.openapi()["components"]["responses"]["Problem"]["content"]
    assert own == {**problem, "*/*": {}}


def test_parts_of_a_body_may_be_null() -> None:
    def parts(n: Annotated[int | None, Body(ge=1)] = None, day: date | None = Body(None)) -> None:
        pass

    found = operation(parts, method="post")["requestBody"]["content"]["application/json"]
    assert found["schema"]["properties"] == {
        "n": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        "day": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
    }

    def text(n: int | None = None) -> None: ...

    assert parameters(text)["n"]["schema"] == {"type": "integer"}


def test_sets_take_items_twice() -> None:
    """As their decoders do."""

    class Tags(pydantic.BaseModel):
        tags: set[str]
        more: frozenset[int]

    def handler(body: Tags) -> None: ...

    content = operation(handler, method="post")["requestBody"]["content"]
    assert "uniqueItems" not in json.dumps(content)
