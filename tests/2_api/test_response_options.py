"""Which fields of a model go out, what answers bare values, and how the document says it."""

from typing import Any

import pytest
from cello import App, Response
from cello.responses import HTMLResponse, JSONResponse
from cello.testing import TestClient
from pydantic import BaseModel, Field


class Box(BaseModel):
    name: str
    size: int = 1
    note: str | None = None
    inner: "Box | None" = None
    tag: str = Field("t", alias="theTag")


def answer(value: Any, path: str = "/", middleware: bool = False, **options: Any) -> Any:
    app = App()
    app.get(path, **options)(lambda: value)
    if middleware:

        @app.after_request
        def nothing(req: Any, response: Any) -> None: ...

    with TestClient(app) as client:
        return client.get(path)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"exclude_unset": True}, {"name": "n", "size": 1}),
        ({"exclude_defaults": True}, {"name": "n"}),
        ({"exclude_none": True}, {"name": "n", "size": 1, "theTag": "t"}),
        ({"include": {"name", "note"}}, {"name": "n", "note": None}),
        ({"exclude": ["inner", "tag", "note"]}, {"name": "n", "size": 1}),
        ({"include": {"name"}, "exclude_none": True}, {"name": "n"}),
    ],
)
@pytest.mark.parametrize("middleware", [False, True])
def test_fields(options: dict[str, Any], expected: dict[str, Any], middleware: bool) -> None:
    named = {f"response_model_{name}": value for name, value in options.items()}
    for value in (Box(name="n", size=1), {"name": "n", "size": 1}):
        found = answer(value, middleware=middleware, response_model=Box, **named)
        assert found.json() == expected
        listed = answer([value], middleware=middleware, response_model=list[Box], **named)
        assert listed.json() == [expected]
    tuple_ = answer((Box(name="n", size=1), 201), response_model=Box, **named)
    assert (tuple_.status_code, tuple_.json()) == (201, expected)


def test_fields_of_the_declared_return_type() -> None:
    app = App()

    @app.get("/", response_model_exclude={"inner": {"inner"}, "tag": True})
    def box() -> Box:
        return Box(name="a", inner=Box(name="b"))

    inner = {"name": "b", "size": 1, "note": None, "theTag": "t"}
    with TestClient(app) as client:
        found = client.get("/").json()
    assert found == {"name": "a", "size": 1, "note": None, "inner": inner}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"response_model_include": "name"}, "a set of names, not the str 'name'"),
        ({"response_model": dict[str, int], "response_model_exclude_none": True}, "only pydantic"),
        ({"response_model_exclude_unset": True}, "response_model_exclude_unset: only pydantic"),
        ({"response_class": "text/html"}, "a subclass of Response, not 'text/html'"),
    ],
)
def test_wrong_declarations(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        App().get("/", **options)(lambda: None)


class Shouted(Response):
    def __init__(self, content: Any = None, status_code: int = 200) -> None:
        super().__init__(f"{content}!", status_code, content_type="text/shouted")


@pytest.mark.parametrize("middleware", [False, True])
def test_response_class(middleware: bool) -> None:
    page = answer("<p>", middleware=middleware, response_class=HTMLResponse, status=201)
    assert (page.status_code, page.text) == (201, "<p>")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    text = answer("a", middleware=middleware, response_class=JSONResponse)
    assert (text.headers["Content-Type"], text.text) == ("application/json", '"a"')
    own = answer("a", middleware=middleware, response_class=Shouted)
    assert (own.headers["Content-Type"], own.text) == ("text/shouted", "a!")
    tuple_ = answer(("a", 404, {"X-A": "1"}), middleware=middleware, response_class=Shouted)
    assert (tuple_.status_code, tuple_.text, tuple_.headers["X-A"]) == (404, "a!", "1")
    given = answer(Response.text("t"), middleware=middleware, response_class=HTMLResponse)
    assert (given.headers["Content-Type"], given.text) == ("text/plain; charset=utf-8", "t")
    model = answer(
        {"name": "n", "secret": 1},
        middleware=middleware,
        response_class=JSONResponse,
        response_model=Box,
        response_model_exclude_unset=True,
    )
    assert model.json() == {"name": "n"}


def responses(**options: Any) -> Any:
    app = App()
    app.get("/", **options)(lambda: None)
    return app.openapi()["paths"]["/"]["get"]["responses"]["200"]


def test_the_document() -> None:
    assert responses(response_description="A box", response_model=int) == {
        "description": "A box",
        "content": {"application/json": {"schema": {"type": "integer"}}},
    }
    assert responses(response_class=HTMLResponse)["content"] == {
        "text/html": {"schema": {"type": "string"}}
    }
    assert responses(response_class=JSONResponse)["content"] == {"application/json": {}}
    assert responses(response_class=Shouted)["content"] == {"*/*": {}}


def schema_of(**options: Any) -> Any:
    app = App()
    app.get("/", **options)(lambda: None)
    content = app.openapi()["paths"]["/"]["get"]["responses"]["200"]["content"]
    return content["application/json"]["schema"]


def test_the_document_has_the_chosen_fields() -> None:
    whole = App()
    whole.get("/", response_model=Box)(lambda: None)
    fields = whole.openapi()["components"]["schemas"]["Box"]["properties"]
    some = {"name": fields["name"], "size": fields["size"]}
    found = {"type": "object", "title": "Box", "properties": some, "required": ["name"]}
    assert schema_of(response_model=Box, response_model_include=["name", "size"]) == found
    left_out = {"inner": True, "note": ..., "tag": True}
    assert schema_of(response_model=Box, response_model_exclude=left_out) == found
    assert schema_of(response_model=list[Box], response_model_include=["name", "size"]) == {
        "type": "array",
        "items": found,
    }
    partly = schema_of(response_model=Box, response_model_exclude={"inner": {"inner"}})
    assert partly["properties"] == {**fields, "inner": {}}
    assert "required" not in schema_of(response_model=Box, response_model_exclude_none=True)
    unset = schema_of(response_model=Box, response_model_exclude_unset=True)
    assert (unset["properties"], unset["required"]) == (fields, ["name"])
