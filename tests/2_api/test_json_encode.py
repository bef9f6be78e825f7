"""What JSON the encoder makes of Python objects."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import sys
import typing
import uuid

import attrs
import msgspec
import pydantic
import pytest
from cello import _cello

dumps = _cello.json_dumps


class Color(enum.Enum):
    RED = "red"
    TWO = 2


class Level(enum.IntEnum):
    LOW = 1


class Point(typing.NamedTuple):
    x: int
    y: float


class Movie(typing.TypedDict):
    name: str


@dataclasses.dataclass
class User:
    id: int
    name: str
    tags: list[str] = dataclasses.field(default_factory=list)
    kind: typing.ClassVar[str] = "user"
    seed: dataclasses.InitVar[int] = 0


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int
    user: User


class Text(str):
    pass


class Number(int):
    def __repr__(self):
        return "not digits"


class Real(float):
    pass


class Items(list):
    pass


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        10**18,
        -(10**18),
        2**63 - 1,
        -(2**63),
        2**63,
        2**64,
        10**400,
        0.0,
        -0.0,
        1.5,
        "",
        "a",
        '\x00\x1f"\\/\x7f',
        "é",
        "ÿ",
        "中文",
        "😀",
        "a" * 15 + "\n" + "b" * 40,
        [],
        {},
        (),
        [[]],
        [{}],
        {"a": [1, 2, {"b": None}]},
        {"": ""},
        [1, "x", None, True, 2.5],
    ],
    ids=repr,
)
def test_plain_values_as_the_standard_library(value):
    assert dumps(value) == json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (0.25, "0.25"),
        (-3.75, "-3.75"),
        (9999999999999.75, "9999999999999.75"),
        (999999999999999.75, "999999999999999.8"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1.5e300, "1.5e+300"),
        (0.00001, "0.00001"),
        (1.5e-7, "1.5e-7"),
        (5e-324, "5e-324"),
        (sys.float_info.max, "1.7976931348623157e+308"),
    ],
)
def test_form_of_floats(value, text):
    assert dumps(value) == text.encode()


UTC = dt.UTC
EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))
WEST = dt.timezone(-dt.timedelta(hours=3, seconds=20))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (dt.datetime(2024, 1, 31, 23, 59, 58), "2024-01-31T23:59:58"),
        (dt.datetime(1, 1, 1, microsecond=1200), "0001-01-01T00:00:00.001200"),
        (dt.datetime(2024, 1, 31, tzinfo=UTC), "2024-01-31T00:00:00Z"),
        (dt.datetime(2024, 1, 31, tzinfo=EAST), "2024-01-31T00:00:00+05:30"),
        (dt.datetime(2024, 1, 31, tzinfo=WEST), "2024-01-31T00:00:00-03:00"),
        (dt.date(2024, 2, 29), "2024-02-29"),
        (dt.time(1, 2, 3), "01:02:03"),
        (dt.time(1, 2, 3, 4, tzinfo=UTC), "01:02:03.000004Z"),
        (uuid.UUID("12345678-1234-5678-9abc-def012345678"), "12345678-1234-5678-9abc-def012345678"),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (decimal.Decimal("1.10"), "1.10"),
        (decimal.Decimal("1E+400"), "1E+400"),
        (Color.RED, "red"),
        (Text("tëxt"), "tëxt"),
    ],
    ids=repr,
)
def test_values_that_are_strings(value, text):
    assert dumps(value) == json.dumps(text, ensure_ascii=False).encode()
    assert json.loads(dumps({value: 1})) == {text: 1}
    assert json.loads(dumps([value, {"v": value}])) == [text, {"v": text}]


@pytest.mark.parametrize(
    ("value", "same"),
    [
        (Color.TWO, 2),
        (Level.LOW, 1),
        (Number(5), 5),
        (Number(10**30), 10**30),
        (Real(2.5), 2.5),
        (Items([1, Items()]), [1, []]),
        (Point(1, 2.5), [1, 2.5]),
        (Movie(name="x"), {"name": "x"}),
        (collections.defaultdict(int, a=1), {"a": 1}),
        (User(1, "Ada", ["x"], seed=3), {"id": 1, "name": "Ada", "tags": ["x"]}),
        (Slotted(1, User(2, "é")), {"a": 1, "user": {"id": 2, "name": "é", "tags": []}}),
    ],
    ids=repr,
)
def test_values_that_become_others(value, same):
    assert json.loads(dumps(value)) == same
    assert json.loads(dumps({"v": [value, value]})) == {"v": [same, same]}


def test_a_dict_subclass_keeps_its_own_order():
    ordered = collections.OrderedDict(a=1, b=2, c=3)
    ordered.move_to_end("a")
    assert dumps(ordered) == b'{"b":2,"c":3,"a":1}'


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (1, "1"),
        (-(10**30), str(-(10**30))),
        (2.5, "2.5"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (Color.TWO, "2"),
    ],
)
def test_keys_that_are_not_strings(key, text):
    assert dumps({key: [key]}).startswith(b'{"%s":' % text.encode())


@pytest.mark.parametrize("key", [(1, 2), b"x", frozenset(), Point(1, 2)], ids=repr)
def test_keys_that_have_no_form(key):
    with pytest.raises(TypeError, match="key of type"):
        dumps({key: 1})


def test_attrs_classes():
    @attrs.define
    class Box:
        width: int
        inner: object = None

    assert dumps(Box(1, Box(2))) == b'{"width":1,"inner":{"width":2,"inner":null}}'


def test_msgspec_structs():
    class Plain(msgspec.Struct):
        a: int
        b: str | msgspec.UnsetType = msgspec.UNSET

    class Renamed(msgspec.Struct, rename="camel"):
        first_name: str

    class Tagged(msgspec.Struct, tag="t", omit_defaults=True):
        a: int = 0
        b: int = 1

    class Rows(msgspec.Struct, array_like=True):
        a: int
        b: int

    for value in (
        Plain(1, "x"),
        Plain(1),
        Renamed("Ada"),
        Tagged(0, 5),
        Rows(1, 2),
        [Plain(2), {"k": Rows(3, 4)}],
    ):
        assert json.loads(dumps(value)) == json.loads(msgspec.json.encode(value))


def test_pydantic_models():
    class Inner(pydantic.BaseModel):
        when: dt.datetime

    class Model(pydantic.BaseModel):
        id: int
        inner: Inner

    model = Model(id=1, inner=Inner(when=dt.datetime(2024, 1, 1, tzinfo=UTC)))
    assert json.loads(dumps([model])) == [json.loads(model.model_dump_json())]

    class Renamed(pydantic.BaseModel):
        plural: int = pydantic.Field(alias="item-count")

    assert dumps(Renamed(**{"item-count": 2})) == b'{"item-count":2}'


@pytest.mark.parametrize("value", [object(), b"bytes", range(2), 1j, type], ids=repr)
def test_types_without_a_form_name_themselves(value):
    with pytest.raises(
        TypeError, match=f"Object of type {type(value).__name__} is not JSON serializable"
    ):
        dumps([value])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), Real("nan")])
def test_nan_and_infinity(value):
    with pytest.raises(ValueError, match="nan and infinity"):
        dumps([value])


@pytest.mark.parametrize("text", ["\ud800", "a" * 40 + "\udfff", "中\ud83d", "😀\ude00"])
def test_lone_surrogates(text):
    with pytest.raises(UnicodeEncodeError):
        dumps([text])
    with pytest.raises(UnicodeEncodeError):
        dumps({text: 1})


def test_too_many_digits():
    assert len(dumps(10**4299)) == 4300
    with pytest.raises(ValueError, match="digits"):
        dumps([10**4300])


def nested(levels, wrap):
    value = wrap(None)
    for _ in range(levels - 1):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"k": v}, lambda v: (v,)])
def test_depth_is_limited(wrap):
    assert json.loads(dumps(nested(128, wrap))) == json.loads(json.dumps(nested(128, wrap)))
    with pytest.raises(ValueError, match="deeper than 128"):
        dumps(nested(129, wrap))


def test_cycles_end():
    items, pairs = [], {}
    items.append(items)
    pairs["self"] = [pairs]
    user = User(1, "x")
    user.tags.append(user)
    for value in (items, pairs, user):
        with pytest.raises(ValueError, match="deeper than 128"):
            dumps(value)


class Thing:
    pass


def test_the_default_hook():
    assert dumps({"a": Thing()}, default=lambda o: [type(o).__name__]) == b'{"a":["Thing"]}'
    with pytest.raises(ValueError, match="deeper than 128"):
        dumps(Thing(), default=lambda o: o)
    with pytest.raises(ZeroDivisionError):
        dumps([Thing()], default=lambda o: 1 / 0)


def test_the_hook_may_pull_the_rug():
    """User code that empties what is being walked ends in an error or in less, never in a crash."""
    for _ in range(200):
        inner = {"t": Thing(), "rest": ["x" * 50]}
        outer = [inner, {"more": [1, 2, 3]}]

        def hook(_, outer=outer, inner=inner):
            outer.clear()
            inner.clear()
            return 1

        with pytest.raises(RuntimeError, match="changed size"):
            dumps(outer, default=hook)

        items = [Thing(), "y" * 50, "z" * 50]

        def empty(_, items=items):
            items.clear()
            return 1

        assert dumps(items, default=empty) == b"[1]"


@pytest.mark.parametrize("size", [*range(70), 500, 511, 512, 513, 1025, 5000])
@pytest.mark.parametrize("char", ["a", "é", "ж", "中", "😀", "\n"])
def test_strings_of_every_length(size, char):
    """Through vectors and their ends, with the odd character at either end and in the middle."""
    for text in (
        char * size,
        "x" * size + char,
        char + "x" * size,
        "ж" * size + '"' + char * size,
        " ж中" * size + char,
    ):
        want = json.dumps(text, ensure_ascii=False).encode()
        assert dumps(text) == want
        assert dumps({text: text}) == b"{" + want + b":" + want + b"}"


@pytest.mark.parametrize("size", [1, 7, 8, 9, 17, 100])
def test_text_whose_utf8_is_known(size):
    """A str may carry its UTF-8, for instance since it named an attribute."""
    text = "ж" * size + "\n"
    setattr(Thing(), text, None)
    want = json.dumps([text, text], ensure_ascii=False, separators=(",", ":")).encode()
    assert dumps([text, text]) == want


def test_dicts_of_every_shape_are_walked_whole() -> None:
    """Tables of all sizes, with holes, split, of mixed keys, and alone or in a list."""

    class Plain:
        def __init__(self) -> None:
            self.a, self.b, self.c = 1, 2, 3

    plain = Plain()
    del plain.b
    shapes: list[dict[typing.Any, typing.Any]] = [
        vars(plain),
        vars(Plain()),
        {},
        {"": 0},
        {1: "x", "y": 2},
    ]
    for size in (1, 5, 6, 10, 11, 85, 86, 170, 300, 70_000):
        full = {f"k{i}": i for i in range(size)}
        holes = {f"k{i}": i for i in range(size)}
        for i in range(0, size, 3):
            del holes[f"k{i}"]
        again = dict(holes)
        again["k0"] = -1
        shapes += [full, holes, again]
    for shape in shapes:
        expected = json.loads(json.dumps(shape))
        assert json.loads(dumps(shape)) == expected
        assert list(json.loads(dumps(shape))) == list(expected)
        assert json.loads(dumps([shape] * 4)) == [expected] * 4
    assert json.loads(dumps(shapes)) == json.loads(json.dumps(shapes))


def test_rows_do_not_confuse_keys() -> None:
    """Lists of dicts keep what their keys looked like: escapes, order, long and many keys."""
    long_key = "k" * 40
    rows: list[dict[str, typing.Any]] = [
        {'a"b': 1, "\n": 2, long_key: 3, "é": 4},
        {'a"b': 5, "\n": 6, long_key: 7, "é": 8},
        {"é": 9, 'a"b': 10, "z": 11},
        {'""': 12, '"\\"': 13},
        {'""': 14, '"\\"': 15},
        {f"key{i}": i for i in range(60)},
        {f"key{i}": -i for i in range(60)},
        {},
    ]
    mixed: list[typing.Any] = [*rows, 1, None, [rows], "x", *rows]
    assert json.loads(dumps(mixed)) == mixed


def test_sets_are_arrays() -> None:
    assert dumps([set(), {1}, frozenset({"a"})]) == b'[[],[1],["a"]]'
    assert sorted(json.loads(dumps({1, 2, 3}))) == [1, 2, 3]
    with pytest.raises(TypeError, match="object is not JSON"):
        dumps({object()})


def test_durations() -> None:
    assert dumps(dt.timedelta(days=1, seconds=1.5)) == b'"P1DT1.5S"'
    assert dumps({"a": -dt.timedelta(hours=1)}) == b'{"a":"-PT3600S"}'
    with pytest.raises(TypeError, match="a key of type"):
        dumps({dt.timedelta(1): 1})
