"""The schemas of an OpenAPI document: types, models, and how they are named."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from cello import (
    App,
)
from openapi_parts import (
    ITEM,
    Box,
    Item,
    User,
    Wrapped,
    answers,
    operation,
    resolved,
    written,
    written_for,
)


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
