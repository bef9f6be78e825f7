"""A program of which schemathesis asks all that its document promises: every kind of parameter,
body and answer."""

import dataclasses
import enum
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID, uuid4

import msgspec
import pydantic
from cello import App, Blueprint, Body, Cookie, Depends, Form, Header, HTTPError, Query, Response
from cello.responses import HTMLResponse, PlainTextResponse
from cello.security import APIKeyHeader, HTTPBearer

app = App("described", "1.0")
app.enable_openapi()


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


# ---- parameters ----


@app.get("/paths/{i:int}/{f:float}/{u:uuid}/{d:date}/{a:alpha}/{s:slug}/{r:regex([a-f]{2,4})}")
def paths(i: int, f: float, u: UUID, d: date, a: str, s: str, r: str) -> dict[str, Any]:
    return {"i": i, "f": f, "u": u, "d": d, "a": a, "s": s, "r": r}


@app.get("/plain/{number}/{color}/{level}")
def plain(number: int, color: Color, level: Level) -> dict[str, Any]:
    return {"number": number, "color": color, "level": level}


@app.get("/queries")
def queries(
    i: Annotated[int, Query(ge=-5, lt=1000, multiple_of=5)],
    f: Annotated[float, Query(gt=0, le=1)] = 0.5,
    flag: bool = False,
    when: datetime | None = None,
    day: date | None = None,
    key: UUID | None = None,
    price: Annotated[Decimal | None, Query(ge=0)] = None,
    order: Literal["up", "down"] = "up",
    texts: Annotated[list[str], Query(max_length=3)] = [],  # noqa: B006
    numbers: Annotated[list[int], Query(min_length=1)] = [0],  # noqa: B006
    pattern: Annotated[str, Query(pattern="^[a-z]{1,8}$")] = "a",
    size: Annotated[str, Query(min_length=2, max_length=5, alias="the-size")] = "xx",
) -> list[Any]:
    return [i, f, flag, when, day, key, price, order, texts, numbers, pattern, size]


class Window(msgspec.Struct):
    size: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    names: list[str] = []
    color: Color = Color.RED


class Filter(pydantic.BaseModel):
    limit: int = pydantic.Field(10, gt=0, le=100)
    word: Literal["a", "b"] | None = None


@app.get("/query-models")
def query_models(window: Annotated[Window, Query()]) -> Window:
    return window


@app.get("/query-models/pydantic")
def pydantic_query_models(filter: Annotated[Filter, Query()]) -> Filter:
    return filter


@app.get("/headers")
def headers(
    x_count: Annotated[int, Header(ge=0)],
    x_color: Annotated[Color, Header()] = Color.RED,
    session: Annotated[int | None, Cookie()] = None,
) -> list[Any]:
    return [x_count, x_color, session]


# ---- bodies ----


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclasses.dataclass
class Size:
    width: Annotated[float, msgspec.Meta(gt=0)]
    height: float = 1.0


class Labels(TypedDict, total=False):
    short: str
    long: str


class Dog(msgspec.Struct, tag=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    barks: bool


class Cat(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    name: str
    lives: Annotated[int, msgspec.Meta(ge=0, le=9)] = 9


class Everything(msgspec.Struct, rename="camel"):
    some_id: UUID
    pet: Dog | Cat
    point: Point
    size: Size | None = None
    labels: Labels = {}
    colors: set[Color] = set()
    levels: frozenset[Level] = frozenset()
    pair: tuple[int, str] = (0, "")
    by_number: dict[int, float] = {}
    day: date | None = None
    clock: time | None = None
    price: Decimal = Decimal(1)
    children: "list[Everything]" = []


@app.post("/everything", status=201)
def everything(body: Everything) -> Everything:
    return body


@app.put("/pets/{id:uuid}")
async def put_pet(id: UUID, pet: Dog | Cat) -> Dog | Cat:
    return pet


@app.post("/several")
def several(
    size: Size,
    labels: Labels,
    count: Annotated[int, Body(ge=0)],
    note: Annotated[str | None, Body(max_length=5)] = None,
) -> dict[str, Any]:
    return {"size": size, "labels": labels, "count": count, "note": note}


@app.post("/embedded")
def embedded(day: Annotated[date, Body(embed=True)]) -> date:
    return day


@app.patch("/optional")
def optional(size: Size | None = None) -> Size | None:
    return size


class Address(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)
    street: str = pydantic.Field(min_length=1, alias="Street")
    number: int = pydantic.Field(gt=0)


class Person(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    name: str
    addresses: list[Address] = pydantic.Field(max_length=3)
    tags: set[str] = set()
    boss: "Person | None" = None


@app.post("/people", response_model_exclude={"tags"})
def people(person: Person) -> Person:
    return person


@app.post("/forms")
def forms(
    name: Annotated[str, Form(min_length=1)],
    count: Annotated[int, Form(le=5)] = 0,
    tags: Annotated[list[Color], Form()] = [],  # noqa: B006
) -> dict[str, Any]:
    return {"name": name, "count": count, "tags": tags}


@app.post("/form-models")
def form_models(window: Annotated[Window, Form()]) -> Window:
    return window


# ---- answers ----


@app.get("/texts/{kind}", responses={404: "No such kind"})
def texts(kind: Literal["page", "text", "none"]) -> Response:
    if kind == "none":
        raise HTTPError(404, "none", kind=kind)
    return HTMLResponse("<p>") if kind == "page" else PlainTextResponse("text")


@app.get("/page", response_class=HTMLResponse)
def page() -> str:
    return "<p>page</p>"


@app.delete("/nothing")
def nothing() -> None:
    return None


@app.get("/status", responses={203: {"model": dict[str, bool]}})
def status(teapot: bool = False) -> tuple[dict[str, bool], int]:
    return {"teapot": teapot}, 203 if teapot else 200


# ---- resources, dependencies, security ----

NOTES: dict[UUID, "Note"] = {}


class NewNote(msgspec.Struct):
    text: Annotated[str, msgspec.Meta(max_length=100)]


class Note(NewNote):
    id: UUID


def page_of(
    offset: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1)] = 10
) -> Any:
    return slice(offset, offset + limit)


notes = Blueprint("/notes", tags=["notes"])


@notes.post("/", status=201, responses={201: {"model": Note}})
def add_note(note: NewNote) -> Note:
    added = Note(note.text, uuid4())
    NOTES[added.id] = added
    while len(NOTES) > 50:
        del NOTES[next(iter(NOTES))]
    return added


@notes.get("/")
async def list_notes(page: Annotated[slice, Depends(page_of)]) -> list[Note]:
    return list(NOTES.values())[page]


def existing(id: UUID) -> Note:
    if id not in NOTES:
        raise HTTPError(404, "no such note")
    return NOTES[id]


@notes.get("/{id:uuid}")
def get_note(note: Annotated[Note, Depends(existing)]) -> Note:
    return note


@notes.delete("/{id:uuid}")
def delete_note(note: Annotated[Note, Depends(existing)]) -> None:
    NOTES.pop(note.id, None)


app.register_blueprint(notes)

api_key = APIKeyHeader(name="X-API-Key")
bearer = HTTPBearer()


def client(key: Annotated[str, Depends(api_key)]) -> str:
    if key != "key":
        raise HTTPError(401, "wrong key", headers={"WWW-Authenticate": "APIKey"})
    return key


@app.get("/secret")
def secret(key: Annotated[str, Depends(client)]) -> str:
    return key


@app.get("/token")
async def token(credentials: Annotated[Any, Depends(bearer)]) -> str:
    if credentials.credentials != "token":
        raise HTTPError(401, "wrong token", headers={"WWW-Authenticate": "Bearer"})
    return "yes"
