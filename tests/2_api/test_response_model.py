"""What a declared return type, or response_model, lets out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from api_client import asking
from cello import App, Depends, Response


class User(msgspec.Struct):
    name: str


class Admin(User):
    password: str


class Team(msgspec.Struct):
    lead: User


@dataclass
class Point:
    x: int


@dataclass
class Point3(Point):
    z: int


class Movie(TypedDict):
    title: str


class Size(NamedTuple):
    w: int


@attrs.define
class Animal:
    kind: str


@attrs.define
class Dog(Animal):
    chip: int


class Out(pydantic.BaseModel):
    name: str


class In(Out):
    password: str


class Money:
    def __init__(self, amount: int) -> None:
        self.amount = amount


class Priced(msgspec.Struct):
    price: Money


class Discounted(Priced):
    discount: int


class Unrelated:
    name = "n"
    password = "p"


ADMIN = Admin("n", "p")
SECRET = {"name": "n", "password": "p"}
NAME = {"name": "n"}

FILTERED: list[tuple[Any, Any, Any]] = [
    (User, User("n"), NAME),
    (User, ADMIN, NAME),
    (User, SECRET, NAME),
    (User, Unrelated(), NAME),
    (User | None, ADMIN, NAME),
    (User | Response, ADMIN, NAME),
    (list[User], [User("n"), ADMIN], [NAME, NAME]),
    (dict[str, User], {"a": ADMIN}, {"a": NAME}),
    (Team, {"lead": ADMIN}, {"lead": NAME}),
    (User | Point, ADMIN, NAME),
    (User | Point, Point3(1, 2), {"x": 1}),
    (Point, Point3(1, 2), {"x": 1}),
    (Point, {"x": 1, "z": 2}, {"x": 1}),
    (Movie, {"title": "t", "secret": 1}, {"title": "t"}),
    (list[Movie], [{"title": "t", "secret": 1}], [{"title": "t"}]),
    (Size, Size(1), [1]),
    (Animal, Dog("dog", 7), {"kind": "dog"}),
    (Out, Out(name="n"), NAME),
    (Out, In(name="n", password="p"), NAME),
    (Out, SECRET, NAME),
    (Out, Unrelated(), NAME),
    (list[Out], [Out(name="n"), In(name="n", password="p")], [NAME, NAME]),
    (Out | None, In(name="n", password="p"), NAME),
    (Annotated[User, "text"], ADMIN, NAME),
    (Priced, Discounted(Money(3), 1), {"price": "3 EUR"}),
    (dict, SECRET, SECRET),
    (dict[str, Any], SECRET, SECRET),
    (list[int], [1], [1]),
    (Any, ADMIN, SECRET),
    (int, "not checked", None),
]


@pytest.mark.parametrize("with_hook", [False, True])
@pytest.mark.parametrize(("declared", "value", "expected"), FILTERED, ids=lambda v: str(v)[:30])
def test_filters(declared: Any, value: Any, expected: Any, with_hook: bool) -> None:
    app = App()

    def annotated():  # type: ignore[no-untyped-def]
        return value

    async def later():  # type: ignore[no-untyped-def]
        return value

    annotated.__annotations__ = later.__annotations__ = {"return": declared}
    app.get("/annotated")(annotated)
    app.get("/later")(later)
    app.get("/model", response_model=declared)(lambda: value)
    app.get("/tuple", response_model=declared)(lambda: (value, 201))
    app.get("/response", response_model=declared)(lambda: Response.json({"own": 1}))
    app.json_encoder(Money)(lambda money: f"{money.amount} EUR")
    if with_hook:
        app.after_request()(lambda req, response: None)
    with asking(app) as client:
        for path in ("/annotated", "/later", "/model"):
            answer = client.get(path)
            assert answer.status == 200
            assert (answer.text if expected is None else answer.data) == (expected or value)
        assert client.get("/tuple").status == 201
        assert client.get("/tuple").text == client.get("/model").text
        assert client.get("/response").data == {"own": 1}


def test_tuples_with_a_status() -> None:
    app = App()

    @app.post("/")
    def handler() -> tuple[User, int, dict[str, str]]:
        return ADMIN, 201, {"X-A": "b"}

    with asking(app) as client:
        answer = client.ask("/", "POST")
        assert (answer.status, answer.data, answer.headers["X-A"]) == (201, NAME, "b")


def test_model_before_annotation() -> None:
    app = App()

    @app.get("/", response_model=User)
    def handler() -> dict[str, str]:
        return SECRET

    with asking(app) as client:
        assert client.get("/").data == NAME


def test_with_async_dependencies() -> None:
    app = App()

    async def later() -> int:
        return 1

    def opens() -> Iterator[int]:
        yield 1

    @app.get("/", dependencies=[Depends(later), Depends(opens)])
    def handler() -> User:
        return ADMIN

    with asking(app) as client:
        assert client.get("/").data == NAME


@pytest.mark.parametrize("declared", [User, Out, list[User], User | Point])
def test_values_that_do_not_fit(declared: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    app.get("/", response_model=declared)(lambda: {"nam": "n"})
    app.get("/hook", response_model=declared)(lambda: {"nam": "n"})
    app.after_request("/hook")(lambda req, response: None)
    with asking(app) as client:
        assert client.get("/").status == client.get("/hook").status == 500
    assert "GET /: " in caplog.text and "GET /hook: " in caplog.text


def test_types_that_cannot_be_told_apart() -> None:
    def handler() -> list[User | Team]:
        return [User("n")]

    with pytest.raises(TypeError, match=r"handler 'handler': the return type: .*[Ss]truct"):
        App().get("/")(handler)
    app = App()
    app.get("/", response_model=list)(handler)
    with asking(app) as client:
        assert client.get("/").data == [NAME]


def test_none_and_empty_answers() -> None:
    app = App()

    @app.get("/")
    def handler() -> User | None:
        return None

    with asking(app) as client:
        assert client.get("/").status == 204
