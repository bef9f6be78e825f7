"""The OpenAPI document: what it says of handlers, valid by the specification's own schema."""

import functools
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date, datetime
from datetime import time as clock
from decimal import Decimal
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
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
    SseEvent,
    SseStream,
)
from cello._openapi import split_path
from cello.responses import EventSourceResponse, HTMLResponse, JSONResponse, RedirectResponse
from cello.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm, Security
from openapi_parts import (
    ITEM,
    Box,
    Color,
    Item,
    Page,
    Pair,
    Point,
    User,
    answers,
    operation,
    parameters,
    resolved,
    schema_of,
    written,
)

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
BINARY = {"type": "string", "format": "binary"}


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        (..., {"200": ANYTHING}),
        (Any, {"200": ANYTHING}),
        (Response, {"200": ANYTHING}),
        (RedirectResponse, {"307": []}),
        (AsyncIterator[Any], {"200": ANYTHING}),
        (AsyncIterator[str], {"200": [("text/plain", {"type": "string"})]}),
        (Iterator[bytes], {"200": [("application/octet-stream", BINARY)]}),
        (AsyncIterator[SseEvent], {"200": [("text/event-stream", {"type": "string"})]}),
        (EventSourceResponse, {"200": [("text/event-stream", {"type": "string"})]}),
        (SseStream, {"200": [("text/event-stream", {"type": "string"})]}),
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
