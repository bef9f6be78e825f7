"""Handlers with typed parameters, as a client sees them."""

import datetime
import decimal
import enum
import time
import uuid
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict

import annotated_types
import attrs
import msgspec
import pydantic
import pytest
from api_client import Answer, Client, asking, serving
from cello import App, Body, Cookie, Form, Header, Path, Query, Request, Response

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def post(client: Client, target: str, body: bytes | str, **headers: str) -> Answer:
    data = body.encode() if isinstance(body, str) else body
    return client.ask(target, "POST", data, {**JSON, **headers})


def problems(answer: Answer) -> dict[str, str]:
    """Places and types of what is wrong."""
    assert answer.status == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.data["status"] == 422
    return {".".join(map(str, e["loc"])): e["type"] for e in answer.data["detail"]}


# ---- where values come from ----


@pytest.mark.parametrize("regex", [r"\{a", r"[}]a", r"a{1,2}", r"(a|[)}])"])
def test_braces_inside_a_regex(regex: str) -> None:
    app = App()

    @app.get(f"/{{id:regex({regex})}}/{{n:int}}")
    def h(id: str, n: int) -> Any:
        return [id, n]

    sources = {p.name: p.source for p in app._endpoints[0].signature.parameters}
    assert sources == {"id": "path", "n": "path"}


def test_path_query_and_request() -> None:
    app = App()

    @app.get("/shops/{shop:int}/items/{name}")
    def items(shop: int, name: str, request: Request, page: int = 1, q: str | None = None) -> Any:
        return [shop, name, request.path, page, q]

    @app.get("/any/{a}/{b}")
    def untyped(b, r, a):  # type: ignore[no-untyped-def]
        return [a, b, r.path]

    with asking(app) as client:
        path = "/shops/7/items/x%20y"
        assert client.get(path).data == [7, "x y", "/shops/7/items/x y", 1, None]
        assert client.get(f"{path}?page=3&q=a+b").data[3:] == [3, "a b"]
        assert problems(client.get(f"{path}?page=x")) == {"query.page": "int_parsing"}
        assert client.get("/any/1/2").data == ["1", "2", "/any/1/2"]


def test_all_that_is_wrong_is_told_at_once() -> None:
    app = App()

    @app.get("/{id}")
    def handler(
        id: int,
        q: str,
        n: Annotated[int, Query(ge=10)],
        flag: Annotated[bool, Cookie()],
        x_token: Annotated[str, Header(min_length=3)],
    ) -> None:
        raise AssertionError("entered")

    with asking(app) as client:
        answer = client.get("/x?n=9", Cookie="flag=perhaps", x_token="ab")
        assert problems(answer) == {
            "path.id": "int_parsing",
            "query.q": "missing",
            "query.n": "greater_than_equal",
            "cookie.flag": "bool_parsing",
            "header.x-token": "string_too_short",
        }
        missing = next(e for e in answer.data["detail"] if e["type"] == "missing")
        assert missing == {"loc": ["query", "q"], "msg": "Field required", "type": "missing"}


def test_markers_as_defaults_and_without_parentheses() -> None:
    app = App()

    @app.get("/{item_id}")
    def handler(
        item: int = Path(alias="item_id", gt=0),
        q: str = Query("none", max_length=5),
        must: str = Query(...),
        agent: str = Header(alias="User-Agent"),
        bare: Annotated[str | None, Header] = None,
        snake_case: str = Header("-", convert_underscores=False),
        *,
        session: Annotated[str | None, Cookie] = None,
    ) -> Any:
        return [item, q, must, agent, bare, snake_case, session]

    with asking(app) as client:
        answer = client.get("/5?must=m", User_Agent="me", bare="b", Cookie="session=s")
        assert answer.data == [5, "none", "m", "me", "b", "-", "s"]
        assert problems(client.get("/0?q=123456", User_Agent="me")) == {
            "path.item_id": "greater_than",
            "query.q": "string_too_long",
            "query.must": "missing",
        }


class Color(enum.Enum):
    RED = "red"
    TWO = 2


UserId = NewType("UserId", int)
Even = Annotated[int, annotated_types.MultipleOf(2), annotated_types.Interval(ge=0, lt=10)]

SCALARS: list[tuple[Any, str, Any]] = [
    (int, "-12", -12),
    (int, "1" * 300, int("1" * 300)),
    (float, "1.5", 1.5),
    (str, "x", "x"),
    (bool, "true", True),
    (bool, "0", False),
    (uuid.UUID, f"{7:032x}", uuid.UUID(int=7)),
    (datetime.date, "2024-02-29", datetime.date(2024, 2, 29)),
    (datetime.datetime, "2024-02-29T12:30:00", datetime.datetime(2024, 2, 29, 12, 30)),
    (datetime.time, "12:30:15", datetime.time(12, 30, 15)),
    (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
    (Color, "red", Color.RED),
    (Color, "2", Color.TWO),
    (Literal["a", 1], "1", 1),
    (int | None, "3", 3),
    (int | str, "3", 3),
    (int | str, "x", "x"),
    (UserId, "8", 8),
    (Even, "4", 4),
    (Annotated[int, msgspec.Meta(gt=3)], "4", 4),
    (Annotated[int, pydantic.Field(gt=3)], "4", 4),
    (PurePosixPath, "a/b", PurePosixPath("a/b")),
    (Annotated[str, pydantic.AfterValidator(str.upper)], "x", "X"),
    (bytes, "x", b"x"),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "text", "value"), SCALARS, ids=lambda v: str(v)[:30])
def test_scalars(annotation: Any, text: str, value: Any) -> None:
    app, seen = App(), []

    def handler(v):  # type: ignore[no-untyped-def]
        seen.append(v)

    handler.__annotations__ = {"v": annotation}
    app.get("/query")(handler)
    app.get("/path/{v:path}")(handler)
    with asking(app) as client:
        assert client.get(f"/query?v={text}").status == 204
        assert client.get(f"/path/{text}").status == 204
    assert seen == [value, value] and type(seen[0]) is type(value)


@pytest.mark.parametrize(
    ("annotation", "text", "kind"),
    [
        (int, "1.5", "int_parsing"),
        (int, "", "int_parsing"),
        (float, "x", "float_parsing"),
        (bool, "2", "bool_parsing"),
        (uuid.UUID, "1", "uuid_parsing"),
        (decimal.Decimal, "x", "decimal_parsing"),
        (Color, "blue", "enum"),
        (Literal["a", "b"], "c", "literal_error"),
        (Even, "3", "multiple_of"),
        (Even, "10", "less_than"),
        (Annotated[str, Query(pattern="^a+$")], "aab", "string_pattern_mismatch"),
        (Annotated[int, msgspec.Meta(gt=3)], "3", "greater_than"),
        (Annotated[int, pydantic.Field(le=3)], "4", "less_than_equal"),
    ],
    ids=str,
)
def test_scalars_that_do_not_fit(annotation: Any, text: str, kind: str) -> None:
    app = App()

    def handler(v):  # type: ignore[no-untyped-def]
        raise AssertionError("entered")

    handler.__annotations__ = {"v": annotation}
    app.get("/")(handler)
    with asking(app) as client:
        assert problems(client.get(f"/?v={text}")) == {"query.v": kind}


def test_lists() -> None:
    app = App()

    @app.get("/")
    def handler(
        tag: list[str] = [],  # noqa: B006
        n: Annotated[set[int], Query(max_length=3)] = set(),  # noqa: B006
        pair: tuple[int, int] | None = None,
    ) -> Any:
        tag.append("own")  # a list of this request
        return [tag, sorted(n), pair]

    with asking(app) as client:
        assert client.get("/").data == [["own"], [], None]
        assert client.get("/").data == [["own"], [], None]
        assert client.get("/?tag=a&n=1&tag=b&n=1&n=2&pair=3&pair=4").data == [
            ["a", "b", "own"],
            [1, 2],
            [3, 4],
        ]
        assert problems(client.get("/?n=1&n=2&n=3&n=4&pair=1")) == {
            "query.n": "too_long",
            "query.pair": "too_short",
        }


def test_unannotated_defaults_are_left_alone() -> None:
    app = App()
    app.get("/closure")(lambda i=5: str(i))

    def anything(r: Any, x: Any = None) -> Any:
        return [r.path, x]

    app.get("/anything")(anything)
    app.get("/behind")(lambda i=5, *, q=Query("x"): [i, q])
    with asking(app) as client:
        assert client.get("/closure?i=7").text == "5"
        assert client.get("/behind?i=7&q=y").data == [5, "y"]
        assert client.get("/anything?x=1").data == ["/anything", "1"]


def test_response_is_injected() -> None:
    app = App()

    @app.get("/")
    def handler(response: Response, teapot: bool = False) -> Any:
        response.set_header("X-Mine", "yes")
        response.set_cookie("a", "b")
        if teapot:
            response.status = 418
        return {"a": 1}

    with asking(app) as client:
        answer = client.get("/")
        assert answer.status == 200 and answer.data == {"a": 1}
        assert answer.headers["X-Mine"] == "yes" and "a=b" in answer.headers["Set-Cookie"]
        assert client.get("/?teapot=1").status == 418


# ---- bodies ----


class Item(msgspec.Struct):
    name: str
    price: Annotated[float, msgspec.Meta(gt=0)]
    tags: list[str] = []


@dataclass
class Point:
    x: int
    y: int = 0


class Movie(TypedDict):
    title: str


class Size(NamedTuple):
    w: int
    h: int = 1


@attrs.define
class Animal:
    kind: str


class User(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(ge=18)


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    tricks: int


Pet = Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]


def test_a_union_with_a_discriminator() -> None:
    app = App()

    @app.post("/")
    def handler(pet: Pet) -> Any:
        return type(pet).__name__

    with asking(app) as client:
        assert post(client, "/", '{"kind": "dog", "tricks": 1}').text == "Dog"
        assert problems(post(client, "/", '{"kind": "dog"}')) == {"body.dog.tricks": "missing"}
        assert problems(post(client, "/", '{"kind": "cow"}')) == {"body": "union_tag_invalid"}
    body = app.openapi()["paths"]["/"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert schema["discriminator"]["propertyName"] == "kind"


MODELS: list[tuple[Any, str, Any]] = [
    (Item, '{"name": "n", "price": 1, "extra": 0}', Item("n", 1.0)),
    (Point, '{"x": 1}', Point(1)),
    (Movie, '{"title": "t"}', {"title": "t"}),
    (Size, "[1, 2]", Size(1, 2)),
    (Animal, '{"kind": "cat"}', Animal("cat")),
    (User, '{"name": "n", "age": 18}', User(name="n", age=18)),
    (list[Item], '[{"name": "n", "price": 1}]', [Item("n", 1.0)]),
    (list[User], '[{"name": "n", "age": 18}]', [User(name="n", age=18)]),
    (dict[str, Point], '{"a": {"x": 1}}', {"a": Point(1)}),
    (dict, '{"a": 1}', {"a": 1}),
    (dict[str, Any], '{"a": 1}', {"a": 1}),
    (list, "[1]", [1]),
    (Annotated[int, Body(gt=3)], "4", 4),
    (Annotated[Any, Body()], "[null]", [None]),
    (Item | None, "null", None),
    (Annotated[list[int], Body()], "[1, 2]", [1, 2]),
]


@pytest.mark.parametrize(("annotation", "text", "value"), MODELS, ids=lambda v: str(v)[:30])
def test_bodies(annotation: Any, text: str, value: Any) -> None:
    app, seen = App(), []

    def handler(v):  # type: ignore[no-untyped-def]
        seen.append(v)

    handler.__annotations__ = {"v": annotation}
    app.post("/")(handler)
    app.get("/")(handler)
    with asking(app) as client:
        assert post(client, "/", text).status == 204
        assert client.ask("/", "GET", text.encode()).status == 204, "without a content type"
        assert post(client, "/", text, **{"Content-Type": "text/plain"}).status == 415
        answer = post(client, "/", text + "]")
        assert answer.status == 400 and "byte" in answer.data["detail"]
        assert post(client, "/", b'"\xff"').status == 400
        assert post(client, "/", "[" * 1000).status == 400
    assert seen == [value, value]


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (Item, '{"name": "n"}', {"body.price": "missing"}),
        (Item, '{"name": "n", "price": 0}', {"body.price": "greater_than"}),
        (Item, '{"name": 1, "price": 1}', {"body.name": "string_type"}),
        (list[Item], '[{"name": "n", "price": 1, "tags": [0]}]', {"body.0.tags.0": "string_type"}),
        (Item, "[]", {"body": "dict_type"}),
        (User, '{"age": 1}', {"body.name": "missing", "body.age": "greater_than_equal"}),
        (dict[str, User], '{"a": {"age": 20}}', {"body.a.name": "missing"}),
        (Annotated[int, Body(gt=3)], "3", {"body": "greater_than_equal"}),
        (Item, "", {"body": "missing"}),
        (User, "", {"body": "missing"}),
    ],
    ids=str,
)
def test_bodies_that_do_not_fit(annotation: Any, text: str, expected: Any) -> None:
    app = App()

    def handler(v):  # type: ignore[no-untyped-def]
        raise AssertionError("entered")

    handler.__annotations__ = {"v": annotation}
    app.post("/")(handler)
    with asking(app) as client:
        assert problems(post(client, "/", text)) == expected


def test_parameters_and_body_are_told_together() -> None:
    app = App()

    @app.put("/{id}")
    def handler(id: int, item: Item) -> None:
        raise AssertionError("entered")

    with asking(app) as client:
        answer = client.ask("/x", "PUT", b'{"name":1}', JSON)
        assert list(problems(answer)) == ["path.id", "body.name"], "in the order of a request"


def test_several_bodies_are_one_object() -> None:
    app = App()

    @app.post("/structs")
    def structs(item: Item, point: Point, n: Annotated[int, Body(ge=1)] = 5) -> Any:
        return [item.name, point.x, n]

    @app.post("/models")
    def models(user: User, note: str = Body("none", alias="the-note")) -> Any:
        return [user.name, note]

    @app.post("/mixed")
    def mixed(item: Item, user: User) -> Any:
        return [item.name, user.name]

    @app.post("/one")
    def one(item: Item = Body(embed=True)) -> Any:
        return item.name

    item, user = '"item": {"name": "i", "price": 1}', '"user": {"name": "u", "age": 20}'
    with asking(app) as client:
        body = f'{{{item}, "point": {{"x": 1}}}}'
        assert post(client, "/structs", body).data == ["i", 1, 5]
        assert post(client, "/structs", body[:-1] + ', "n": 2}').data == ["i", 1, 2]
        assert problems(post(client, "/structs", f"{{{item}}}")) == {"body.point": "missing"}
        assert post(client, "/models", f"{{{user}}}").data == ["u", "none"]
        assert post(client, "/models", f'{{{user}, "the-note": "x"}}').data == ["u", "x"]
        assert post(client, "/mixed", f"{{{item}, {user}}}").data == ["i", "u"]
        wrong = f'{{{item}, "user": {{"name": "u", "age": 1}}}}'
        assert problems(post(client, "/mixed", wrong)) == {"body.user.age": "greater_than_equal"}
        assert post(client, "/one", f"{{{item}}}").text == "i"


def test_body_that_need_not_be_there() -> None:
    app = App()

    @app.post("/one")
    def one(item: Item | None = None) -> Any:
        return item

    @app.post("/two")
    def two(item: Item | None = None, tags: list[str] = Body([])) -> Any:
        tags.append("own")
        return [item, tags]

    with asking(app) as client:
        assert post(client, "/one", "").status == 204
        assert post(client, "/two", "").data == [None, ["own"]]
        assert post(client, "/two", "").data == [None, ["own"]]
        assert post(client, "/two", '{"tags": ["a"]}').data == [None, ["a", "own"]]


def test_body_of_the_route() -> None:
    app = App()
    app.post("/request", body=Item)(lambda req: req.json())
    app.post("/value", body=Item)(lambda req, item: item.name)
    app.post("/body", body=Item)(lambda body: body.name)
    with asking(app) as client:
        good, bad = '{"name": "n", "price": 1}', '{"name": "n"}'
        assert post(client, "/request", good).data == {"name": "n", "price": 1}
        for path in ("/request", "/value", "/body"):
            assert problems(post(client, path, bad)) == {"body.price": "missing"}
        assert post(client, "/value", good).text == post(client, "/body", good).text == "n"


def test_hostile_input() -> None:
    app = App()

    @app.post("/{id}")
    def handler(
        id: int,
        body: Annotated[int, Body()],
        q: Annotated[str, Query(pattern="^(a+)+$", max_length=5000)] = "",
        x_h: Annotated[str, Header()] = "",
        c: Annotated[str, Cookie()] = "",
    ) -> int:
        return body

    with serving(app) as client:
        assert post(client, "/1", "1" * 4300).text == "1" * 4300
        assert post(client, "/1", "1" * 4301).status == 400
        assert problems(post(client, "/" + "1" * 4301, "1")) == {"path.id": "int_parsing_size"}
        assert post(client, "/1?q=%ff", "1").status == post(client, "/%ff", "1").status == 400
        assert problems(post(client, "/1", "1", **{"x-h": "\xff", "Cookie": "c=\xff"})) == {
            "header.x-h": "string_unicode",
            "cookie.c": "string_unicode",
        }
        begin = time.monotonic()
        kind = problems(post(client, f"/1?q={'a' * 4000}b", "1"))
        assert kind == {"query.q": "string_pattern_mismatch"}
        assert time.monotonic() - begin < 1, "a regular expression has a limit"
        assert problems(post(client, f"/1?q={'a' * 5001}", "1")) == {"query.q": "string_too_long"}
        answer = post(client, "/1", '"\\ud800"')
        assert answer.status == 400 and "byte" in answer.data["detail"]


# ---- models of named values, forms ----


class Page(msgspec.Struct):
    page: Annotated[int, msgspec.Meta(ge=1)] = 1
    tags: list[str] = []
    sort: str = msgspec.field(default="id", name="order-by")


@dataclass
class Window:
    size: int
    names: list[str] = field(default_factory=lambda: ["x"])


class Filter(pydantic.BaseModel):
    model_config = {"extra": "forbid"}
    limit: int = pydantic.Field(10, le=100)
    tags: list[str] = []


class Agent(pydantic.BaseModel):
    user_agent: str
    x_tag: list[str] = []


class Checked(msgspec.Struct):
    a: int

    def __post_init__(self) -> None:
        if self.a == 13:
            raise ValueError("unlucky")


def test_models_of_the_query() -> None:
    app = App()

    @app.get("/struct")
    def struct(page: Annotated[Page, Query()]) -> Any:
        return page

    @app.get("/dataclass")
    def window(window: Window = Query()) -> Any:
        return window

    @app.get("/model")
    def model(filter: Annotated[Filter, Query()]) -> Any:
        return filter

    @app.get("/headers")
    def headers(agent: Annotated[Agent, Header()]) -> Any:
        return agent

    @app.get("/checked")
    def checked(checked: Annotated[Checked, Query()]) -> Any:
        return checked

    with asking(app) as client:
        assert client.get("/struct").data == {"page": 1, "tags": [], "order-by": "id"}
        answer = client.get("/struct?page=2&tags=a&tags=b&order-by=x")
        assert answer.data == {"page": 2, "tags": ["a", "b"], "order-by": "x"}
        assert problems(client.get("/struct?page=0")) == {"query.page": "greater_than_equal"}
        assert client.get("/dataclass?size=1").data == {"size": 1, "names": ["x"]}
        assert problems(client.get("/dataclass")) == {"query.size": "missing"}
        assert client.get("/model?limit=5&tags=a").data == {"limit": 5, "tags": ["a"]}
        assert problems(client.get("/model?limit=500&x=1")) == {
            "query.limit": "less_than_equal",
            "query.x": "extra_forbidden",
        }
        answer = client.get("/headers", User_Agent="me", X_Tag="a")
        assert answer.data == {"user_agent": "me", "x_tag": ["a"]}
        assert problems(client.get("/headers")) == {"header.user-agent": "missing"}
        assert client.get("/checked?a=1").data == {"a": 1}
        assert problems(client.get("/checked?a=13")) == {"query": "value_error"}


def test_forms() -> None:
    app = App()

    @app.post("/fields")
    def fields(name: Annotated[str, Form()], n: int = Form(1), t: list[str] = Form([])) -> Any:
        return [name, n, t]

    @app.post("/struct")
    def struct(window: Annotated[Window, Form()]) -> Any:
        return window

    @app.post("/model")
    def model(filter: Annotated[Filter, Form()]) -> Any:
        return filter

    with asking(app) as client:
        answer = client.ask("/fields", "POST", b"name=a+b&t=1&t=%32", FORM)
        assert answer.data == ["a b", 1, ["1", "2"]]
        assert problems(client.ask("/fields", "POST", b"n=x", FORM)) == {
            "body.name": "missing",
            "body.n": "int_parsing",
        }
        answer = client.ask("/struct", "POST", b"size=3&names=q", FORM)
        assert answer.data == {"size": 3, "names": ["q"]}
        answer = client.ask("/model", "POST", b"limit=3", FORM)
        assert answer.data == {"limit": 3, "tags": []}
        assert post(client, "/fields", "{}").status == 415
        assert client.ask("/fields", "POST", b"name=%ff", FORM).status == 400


def test_annotations_are_names_of_the_function_around() -> None:
    class Local(msgspec.Struct):
        a: int

    app = App()

    @app.post("/")
    def handler(
        local: "Local", other: "list[Local] | None" = None, req: "Request" = None
    ) -> "Local":  # type: ignore[assignment]
        return local

    with asking(app) as client:
        assert post(client, "/", '{"local": {"a": 1}}').data == {"a": 1}


def test_async_handlers() -> None:
    app = App()

    @app.post("/{id}")
    async def handler(id: int, item: Item, q: str = "x") -> Any:
        return [id, item.name, q]

    with asking(app) as client:
        assert post(client, "/3", '{"name": "n", "price": 1}').data == [3, "n", "x"]
        assert problems(post(client, "/3", "{}")) == {"body.name": "missing"}


def test_limits_of_bodies_that_may_be_null() -> None:
    app = App()

    @app.post("/one")
    def one(n: Annotated[int | None, Body(ge=1)] = None) -> Any:
        return [n]

    @app.post("/two")
    def two(n: Annotated[int | None, Body(ge=1)], s: str | None = Body(None, max_length=2)) -> Any:
        return [n, s]

    with serving(app) as client:
        for body, n in ((b"", None), (b"null", None), (b"3", 3)):
            assert client.ask("/one", "POST", body).data == [n]
        assert problems(client.ask("/one", "POST", b"0")) == {"body": "greater_than_equal"}
        assert client.ask("/two", "POST", b'{"n":null}').data == [None, None]
        answer = client.ask("/two", "POST", b'{"n":3,"s":"abc"}')
        assert problems(answer) == {"body.s": "string_too_long"}
