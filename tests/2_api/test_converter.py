"""_cello.Converter: the text of a parameter to its value, and what is said of text that does not
fit. The differential tests are in test_converter_peers.py."""

import contextlib
import datetime as dt
import enum
import gc
import subprocess
import sys
import time
import uuid
import weakref
from decimal import Decimal
from typing import Any

import msgspec
import pydantic
import pytest
from cello._cello import Converter

MANY = "9" * 4300
UTC = dt.timezone.utc  # noqa: UP017


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


def zone(minutes: int) -> dt.timezone:
    return dt.timezone(dt.timedelta(minutes=minutes))


def refusal(converter: Converter, text: Any) -> tuple[str, str]:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        converter(text)
    assert type(caught.value) is ValueError
    return caught.value.type, str(caught.value)  # type: ignore[attr-defined]


# ---- values ----

GOOD = [
    ("str", "", ""),
    ("str", "x", "x"),
    ("str", "hällo ✓ 😀", "hällo ✓ 😀"),
    ("str", "a\0b", "a\0b"),
    ("int", "0", 0),
    ("int", "-0", 0),
    ("int", "42", 42),
    ("int", "-7", -7),
    ("int", "+7", 7),
    ("int", " 7 ", 7),
    ("int", "007", 7),
    ("int", "1.00", 1),
    ("int", str(2**63 - 1), 2**63 - 1),
    ("int", str(-(2**63)), -(2**63)),
    ("int", str(2**63), 2**63),
    ("int", str(-(2**63) - 1), -(2**63) - 1),
    ("int", "-1" + "0" * 99, -(10**99)),
    ("int", MANY, int(MANY)),
    ("int", "-" + MANY, -int(MANY)),
    ("int", "000" + MANY, int(MANY)),
    ("float", "1.5", 1.5),
    ("float", "-.5e1", -5.0),
    ("float", "2.", 2.0),
    ("float", "3", 3.0),
    ("float", " 1e300 ", 1e300),
    ("float", "1e-400", 0.0),
    ("float", "0.1000000000000000055511151231257827021181583404541015625", 0.1),
    ("bool", "true", True),
    ("bool", "Yes", True),
    ("bool", "1", True),
    ("bool", "ON", True),
    ("bool", "t", True),
    ("bool", "y", True),
    ("bool", "False", False),
    ("bool", "no", False),
    ("bool", "0", False),
    ("bool", "off", False),
    ("bool", "f", False),
    ("bool", "N", False),
    ("date", "2024-02-29", dt.date(2024, 2, 29)),
    ("datetime", "2024-02-29", dt.datetime(2024, 2, 29)),
    ("datetime", "2024-02-29T10:20", dt.datetime(2024, 2, 29, 10, 20)),
    ("datetime", "2024-02-29 10:20:30.5", dt.datetime(2024, 2, 29, 10, 20, 30, 500000)),
    ("datetime", "2024-02-29T10:20:30Z", dt.datetime(2024, 2, 29, 10, 20, 30, tzinfo=UTC)),
    ("datetime", "2024-02-29T10:20:30+05:30", dt.datetime(2024, 2, 29, 10, 20, 30, 0, zone(330))),
    ("datetime", "2024-02-29T10:20:30-0800", dt.datetime(2024, 2, 29, 10, 20, 30, 0, zone(-480))),
    ("time", "10:20", dt.time(10, 20)),
    ("time", "23:59:59.999999", dt.time(23, 59, 59, 999999)),
    ("time", "10:20:30z", dt.time(10, 20, 30, tzinfo=UTC)),
    ("time", "10:20:30-01:30", dt.time(10, 20, 30, tzinfo=zone(-90))),
    ("timedelta", "P1DT2H3M4.5S", dt.timedelta(1, 4.5, 0, 0, 3, 2)),
    ("timedelta", "-PT0.5S", dt.timedelta(seconds=-0.5)),
    ("timedelta", "P2W", dt.timedelta(weeks=2)),
    ("timedelta", "P999999999DT23H59M59.999999S", dt.timedelta.max),
    ("timedelta", "-P999999999D", dt.timedelta.min),
    ("decimal", "1.50", Decimal("1.50")),
    ("decimal", " -1e5 ", Decimal("-1E+5")),
    ("decimal", MANY, Decimal(MANY)),
    ("decimal", "1e4300", Decimal("1e4300")),
]


def case_id(value: Any) -> str:
    return repr(value)[:40]


@pytest.mark.parametrize(("kind", "text", "want"), GOOD, ids=case_id)
def test_values(kind: str, text: str, want: Any) -> None:
    got = Converter(kind)(text)
    assert type(got) is type(want)
    # repr tells -0.0 from 0.0, 1.5 from 1.50, and one zone from another.
    assert repr(got) == repr(want) if len(text) < 4300 else got == want


def test_zero_offset_is_utc_itself() -> None:
    for text in ("2024-02-29T10:20:30Z", "2024-02-29T10:20:30+00:00"):
        assert Converter("datetime")(text).tzinfo is UTC


UUID_TEXT = "12345678-9abc-def0-0fed-cba987654321"


@pytest.mark.parametrize(
    "text",
    [
        UUID_TEXT,
        UUID_TEXT.upper(),
        UUID_TEXT.replace("-", ""),
        "{" + UUID_TEXT + "}",
        "urn:uuid:" + UUID_TEXT,
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ],
)
def test_uuids_are_whole(text: str) -> None:
    got, want = Converter("uuid")(text), uuid.UUID(text)
    assert type(got) is uuid.UUID
    assert got == want
    assert hash(got) == hash(want)
    assert (str(got), got.int, got.bytes, got.is_safe) == (
        str(want),
        want.int,
        want.bytes,
        want.is_safe,
    )
    assert weakref.ref(got)() is got
    with pytest.raises(TypeError):
        got.int = 1


def test_choices() -> None:
    color = Converter("choice", choices={c.value: c for c in Color})
    assert color("red") is Color.RED
    assert refusal(color, "green") == ("enum", "Input should be 'red' or 'blue'")
    level = Converter("choice", choices={str(c.value): c for c in Level})
    assert level("2") is Level.HIGH
    assert refusal(level, "3") == ("enum", "Input should be 1 or 2")
    literal = Converter("choice", choices={"a": "a", "1": 1, "true": True})
    assert literal("1") == 1
    assert literal("true") is True
    assert refusal(literal, "") == ("literal_error", "Input should be 'a', 1 or True")
    single = Converter("choice", choices={"a": "a"})
    assert refusal(single, b"\xff")[0] == "string_unicode"
    assert refusal(single, "A") == ("literal_error", "Input should be 'a'")


def test_choices_are_a_copy() -> None:
    choices = {"a": 1}
    converter = Converter("choice", choices=choices)
    choices["b"] = 2
    assert refusal(converter, "b")[0] == "literal_error"


@pytest.mark.parametrize(
    ("kind", "want"),
    [("list", [1, 2, 1]), ("tuple", (1, 2, 1)), ("set", {1, 2}), ("frozenset", frozenset({1, 2}))],
)
def test_lists(kind: str, want: Any) -> None:
    converter = Converter(kind, item=Converter("int", ge=0))
    got = converter(["1", "2", "1"])
    assert type(got) is type(want)
    assert got == want
    assert converter("5") == type(want)([5])
    assert converter([]) == type(want)()
    with pytest.raises(ValueError, match="valid integer") as caught:
        converter(["1", "2", "x", "y"])
    assert caught.value.index == 2  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="greater than or equal to 0") as caught:
        converter(["-1"])
    assert caught.value.index == 0  # type: ignore[attr-defined]


def test_unions_take_the_first_that_fits() -> None:
    converter = Converter("union", choices=(Converter("int"), Converter("bool"), Converter("date")))
    assert converter("1") == 1
    assert converter("yes") is True
    assert converter("2024-02-29") == dt.date(2024, 2, 29)
    kind, message = refusal(converter, "x")
    assert kind == "int_parsing"
    assert message.split("; or: ") == [
        "Input should be a valid integer, unable to parse string as an integer",
        "Input should be a valid boolean, unable to interpret input",
        "Input should be a valid date or datetime, input is too short",
    ]


# ---- refusals ----

INT = "Input should be a valid integer, unable to parse string as an integer"
INT_SIZE = "Unable to parse input string as an integer, exceeded maximum size"
FLOAT = "Input should be a valid number, unable to parse string as a number"
FINITE = "Input should be a finite number"
BOOL = "Input should be a valid boolean, unable to interpret input"
UTF8 = "Input should be a valid string, unable to parse raw data as a unicode string"
UUID = "Input should be a valid UUID, "
DATE = "Input should be a valid date or datetime, "
DATETIME = "Input should be a valid datetime or date, "
TIME = "Input should be in a valid time format, "
DELTA = "Input should be a valid timedelta, "
DECIMAL = "Input should be a valid decimal"
DIGITS = "Decimal input should have no more than 4300 digits in total"

BAD = [
    ("str", b"\xff", "string_unicode", UTF8),
    ("str", b"a\xc3", "string_unicode", UTF8),
    ("str", b"\xed\xa0\x80", "string_unicode", UTF8),
    ("int", "", "int_parsing", INT),
    ("int", "1.5", "int_parsing", INT),
    ("int", "1_0", "int_parsing", INT),
    ("int", "0x10", "int_parsing", INT),
    ("int", "\u0661", "int_parsing", INT),
    ("int", b"\xff", "int_parsing", INT),
    ("int", "1\0", "int_parsing", INT),
    ("int", MANY + "9", "int_parsing_size", INT_SIZE),
    ("int", "9" * 100_000, "int_parsing_size", INT_SIZE),
    ("float", "", "float_parsing", FLOAT),
    ("float", "1,5", "float_parsing", FLOAT),
    ("float", "0x1p3", "float_parsing", FLOAT),
    ("float", "1_0.0", "float_parsing", FLOAT),
    ("float", "nan", "finite_number", FINITE),
    ("float", "-Infinity", "finite_number", FINITE),
    ("float", "1e999", "finite_number", FINITE),
    ("bool", "", "bool_parsing", BOOL),
    ("bool", "2", "bool_parsing", BOOL),
    ("bool", " true", "bool_parsing", BOOL),
    ("uuid", "1234", "uuid_parsing", UUID + "invalid length"),
    ("uuid", UUID_TEXT[:-1] + "g", "uuid_parsing", UUID + "invalid character"),
    ("date", "", "date_from_datetime_parsing", DATE + "input is too short"),
    (
        "date",
        "2023-02-29",
        "date_from_datetime_parsing",
        DATE + "day value is outside expected range",
    ),
    (
        "datetime",
        "2024-13-01T00:00",
        "datetime_from_date_parsing",
        DATETIME + "month value is outside expected range of 1-12",
    ),
    (
        "datetime",
        "2024-01-01T00:00:60",
        "datetime_from_date_parsing",
        DATETIME + "second value is outside expected range of 0-59",
    ),
    ("time", "24:00", "time_parsing", TIME + "hour value is outside expected range of 0-23"),
    ("timedelta", "1", "time_delta_parsing", DELTA + "expected `P`"),
    ("timedelta", "P1Y", "time_delta_parsing", DELTA + "years and months have no definite length"),
    (
        "timedelta",
        "P1000000000D",
        "time_delta_parsing",
        DELTA + "durations may not exceed 999,999,999 days",
    ),
    ("decimal", "x", "decimal_parsing", DECIMAL),
    ("decimal", "1_0", "decimal_parsing", DECIMAL),
    ("decimal", "NaN", "finite_number", FINITE),
    ("decimal", "1e4301", "decimal_max_digits", DIGITS),
    ("decimal", "1e-999999999999999999999", "decimal_max_digits", DIGITS),
    ("decimal", MANY + "9", "decimal_max_digits", DIGITS),
]


@pytest.mark.parametrize(("kind", "text", "error", "message"), BAD, ids=case_id)
def test_refusals(kind: str, text: Any, error: str, message: str) -> None:
    assert refusal(Converter(kind), text) == (error, message)


def test_the_interpreters_own_limit_of_digits() -> None:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(700)
    try:
        assert Converter("int")("9" * 700) == 10**700 - 1
        assert refusal(Converter("int"), "9" * 701) == ("int_parsing_size", INT_SIZE)
    finally:
        sys.set_int_max_str_digits(limit)


# ---- constraints ----

DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12)
AT_LEAST = "Input should be greater than or equal to "
OVER = "Input should be greater than "
AT_MOST = "Input should be less than or equal to "
UNDER = "Input should be less than "
MULTIPLE = "Input should be a multiple of "

CONSTRAINTS = [
    ("int", {"ge": 1}, ["1", "2"], ["0"], "greater_than_equal", AT_LEAST + "1"),
    ("int", {"gt": 1}, ["2"], ["1", "-5"], "greater_than", OVER + "1"),
    ("int", {"le": 1}, ["1", "-9"], ["2", MANY], "less_than_equal", AT_MOST + "1"),
    ("int", {"lt": 1}, ["0"], ["1"], "less_than", UNDER + "1"),
    ("int", {"ge": 1.5}, ["2"], ["1"], "greater_than_equal", AT_LEAST + "1.5"),
    ("int", {"ge": 2**70}, [str(2**70)], [str(2**70 - 1)], "greater_than_equal", AT_LEAST),
    ("int", {"multiple_of": 3}, ["0", "-9", "12"], ["4", "-1"], "multiple_of", MULTIPLE + "3"),
    ("float", {"ge": 1.0}, ["1"], ["0.999999"], "greater_than_equal", AT_LEAST + "1"),
    ("float", {"gt": 0}, ["5e-324"], ["0", "-0.0"], "greater_than", OVER + "0"),
    ("float", {"le": 0.5}, ["0.5"], ["0.5000001"], "less_than_equal", AT_MOST + "0.5"),
    ("float", {"lt": 2}, ["1.9999999"], ["2"], "less_than", UNDER + "2"),
    ("float", {"multiple_of": 0.1}, ["0.3", "-7.7"], ["0.35"], "multiple_of", MULTIPLE + "0.1"),
    (
        "decimal",
        {"ge": Decimal("1.50")},
        ["1.5"],
        ["1.49"],
        "greater_than_equal",
        AT_LEAST + "1.50",
    ),
    ("decimal", {"gt": 0.1}, ["0.11"], ["0.1"], "greater_than", OVER + "0.1"),
    ("decimal", {"multiple_of": 0.01}, ["1.55"], ["1.555", "1e50"], "multiple_of", MULTIPLE),
    (
        "date",
        {"ge": DAY},
        ["2024-02-29"],
        ["2024-02-28"],
        "greater_than_equal",
        AT_LEAST + str(DAY),
    ),
    (
        "datetime",
        {"lt": NOON},
        ["2024-02-29T11:59:59.999999"],
        ["2024-02-29T12:00", "2024-02-29T11:00Z"],
        "less_than",
        UNDER + "2024-02-29T12:00:00",
    ),
    ("time", {"le": dt.time(12)}, ["12:00"], ["12:00:01"], "less_than_equal", AT_MOST + "12:00:00"),
    (
        "timedelta",
        {"gt": dt.timedelta(1)},
        ["P1DT0.000001S"],
        ["P1D"],
        "greater_than",
        OVER + "1 day, 0:00:00",
    ),
    (
        "str",
        {"min_length": 1},
        ["x"],
        [""],
        "string_too_short",
        "String should have at least 1 character",
    ),
    (
        "str",
        {"min_length": 2},
        ["é✓"],
        ["😀"],
        "string_too_short",
        "String should have at least 2 characters",
    ),
    (
        "str",
        {"max_length": 2},
        ["", "é✓"],
        ["abc"],
        "string_too_long",
        "String should have at most 2 characters",
    ),
    (
        "str",
        {"pattern": "^a'?b$"},
        ["ab", "a'b"],
        ["abc", "ab\n", ""],
        "string_pattern_mismatch",
        "String should match pattern '^a'?b$'",
    ),
    ("str", {"pattern": "b"}, ["abc"], ["ac"], "string_pattern_mismatch", "String should match"),
]


@pytest.mark.parametrize(
    ("kind", "limits", "good", "bad", "error", "message"), CONSTRAINTS, ids=case_id
)
def test_constraints(
    kind: str, limits: dict[str, Any], good: list[str], bad: list[str], error: str, message: str
) -> None:
    converter, free = Converter(kind, **limits), Converter(kind)
    for text in good:
        assert converter(text) == free(text)
    for text in bad:
        found = refusal(converter, text)
        assert found[0] == error
        assert found[1].startswith(message)


def test_all_constraints_hold_together() -> None:
    converter = Converter("int", ge=2, lt=10, multiple_of=2)
    kept = [i for i in range(-3, 14) if _fits(converter, str(i))]
    assert kept == [2, 4, 6, 8]


def _fits(converter: Converter, text: str) -> bool:
    try:
        converter(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "name"),
    [("list", "List"), ("set", "Set"), ("tuple", "Tuple"), ("frozenset", "Frozenset")],
)
def test_constraints_on_the_number_of_items(kind: str, name: str) -> None:
    converter = Converter(kind, item=Converter("int"), min_length=1, max_length=2)
    assert len(converter(["1", "2"])) == 2
    assert refusal(converter, []) == (
        "too_short",
        f"{name} should have at least 1 item after validation, not 0",
    )
    assert refusal(converter, ["1", "2", "3"]) == (
        "too_long",
        f"{name} should have at most 2 items after validation, not 3",
    )


def test_sets_count_what_is_left() -> None:
    converter = Converter("set", item=Converter("int"), min_length=2, max_length=2)
    assert converter(["1", "2", "2", "1"]) == {1, 2}
    assert refusal(converter, ["1", "1"])[0] == "too_short"


def test_members_of_unions_have_their_own_constraints() -> None:
    converter = Converter("union", choices=(Converter("int", ge=5), Converter("str", max_length=2)))
    assert converter("7") == 7
    assert converter("4") == "4"
    assert refusal(converter, "abc")[1].endswith("; or: String should have at most 2 characters")


# ---- patterns meet hostile text ----


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|aa)+[!;]", "a*a*a*a*[!;]", "(a|b|ab)*c[d]"])
def test_hostile_text_meets_a_limit(pattern: str) -> None:
    converter = Converter("str", pattern=pattern)
    start = time.perf_counter()
    for size in (40, 2000, 16384, 1_000_000):
        assert refusal(converter, "a" * size + "?")[0] == "string_pattern_mismatch"
    assert time.perf_counter() - start < 2  # seconds; backtracking without a limit takes years


def test_long_text_that_is_honest_matches() -> None:
    converter = Converter("str", pattern=r"^[\w ]+$")
    text = "word " * 3000
    assert converter(text) == text


def test_patterns_are_ascii_and_utf8() -> None:
    assert Converter("str", pattern="^.$")("é") == "é"
    assert refusal(Converter("str", pattern=r"^\d$"), "\u0661")[0] == "string_pattern_mismatch"


# ---- functions ----


def test_functions() -> None:
    assert Converter("any", function=str.upper)("abc") == "ABC"
    assert refusal(Converter("any", function=str.upper), b"\xff")[0] == "string_unicode"
    found = refusal(Converter("any", function=int), "x")
    assert found == (
        "value_error",
        "Value error, invalid literal for int() with base 10: 'x'",
    )


def test_what_functions_raise() -> None:
    def fail(exception: BaseException) -> Converter:
        def function(text: str) -> Any:
            raise exception

        return Converter("any", function=function)

    assert refusal(fail(AssertionError("hm")), "x") == ("assertion_error", "Assertion failed, hm")
    for exception in (TypeError("t"), KeyError("k"), RuntimeError("r"), KeyboardInterrupt()):
        with pytest.raises(type(exception)) as caught:
            fail(exception)("x")
        assert caught.value is exception
        assert caught.traceback[-1].name == "function"


def test_errors_of_pydantic_and_msgspec_keep_their_words() -> None:
    adapter = pydantic.TypeAdapter(pydantic.HttpUrl)
    found = refusal(Converter("any", function=adapter.validate_python), "nowhere")
    assert found == ("url_parsing", "Input should be a valid URL, relative URL without a base")

    def convert(text: str) -> int:
        return msgspec.convert(text, int)

    assert refusal(Converter("any", function=convert), "x") == (
        "value_error",
        "Expected `int`, got `str`",
    )


# ---- making one ----


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "message"),
    [
        ((), {}, TypeError, "needs the argument 'kind'"),
        (("complex",), {}, ValueError, "there is no 'complex'"),
        ((5,), {}, ValueError, "there is no 5"),
        (("int", {}), {}, TypeError, "at most 1 positional"),
        (("int",), {"step": 1}, TypeError, "'step'"),
        (("str",), {"ge": "a"}, TypeError, "ge is not for 'str'"),
        (("bool",), {"lt": 1}, TypeError, "lt is not for 'bool'"),
        (("date",), {"multiple_of": DAY}, TypeError, "multiple_of is not for 'date'"),
        (("int",), {"ge": "1"}, TypeError, "ge='1' does not fit 'int'"),
        (("int",), {"ge": Decimal(1)}, TypeError, "does not fit 'int'"),
        (("int",), {"multiple_of": 0}, TypeError, "multiple_of=0 does not fit"),
        (("date",), {"ge": "2024-02-29"}, TypeError, "does not fit 'date'"),
        (("datetime",), {"ge": DAY}, TypeError, "does not fit 'datetime'"),
        (("int",), {"min_length": 1}, TypeError, "min_length is not for 'int'"),
        (("str",), {"min_length": -1}, ValueError, "min_length=-1 is no length"),
        (("str",), {"max_length": 2**70}, ValueError, "is no length"),
        (("str",), {"max_length": "1"}, ValueError, "is no length"),
        (("int",), {"pattern": "a"}, TypeError, "pattern must be"),
        (("str",), {"pattern": b"a"}, TypeError, "pattern must be"),
        (("str",), {"pattern": "(a"}, ValueError, "missing closing parenthesis, at byte 2"),
        (("choice",), {}, TypeError, "choices must be a dict"),
        (("choice",), {"choices": {}}, TypeError, "choices must be a dict that is not empty"),
        (("choice",), {"choices": {1: 1}}, TypeError, "str keys"),
        (("int",), {"choices": {"a": 1}}, TypeError, "choices is not for 'int'"),
        (("union",), {"choices": ()}, TypeError, "tuple of converters"),
        (("union",), {"choices": ("int",)}, TypeError, "tuple of converters"),
        (("list",), {}, TypeError, "item must be"),
        (("list",), {"item": "int"}, TypeError, "item must be"),
        (("str",), {"item": Converter("int")}, TypeError, "item is not for 'str'"),
        (("any",), {}, TypeError, "function must be callable"),
        (("any",), {"function": 5}, TypeError, "function must be callable"),
        (("int",), {"function": int}, TypeError, "function is not for 'int'"),
    ],
)
def test_what_cannot_be_made(
    arguments: Any, keywords: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message.replace("(", r"\(")):
        Converter(*arguments, **keywords)


def test_lists_have_no_lists_as_items() -> None:
    inner = Converter("list", item=Converter("int"))
    with pytest.raises(TypeError, match="item must be a converter of one text"):
        Converter("list", item=inner)
    with pytest.raises(TypeError, match="converters of one text"):
        Converter("union", choices=(inner,))


def test_what_it_cannot_be_called_with() -> None:
    for wrong in (5, None, ["1"], "\ud800"):
        with pytest.raises(TypeError):
            Converter("int")(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="list of str"):
        Converter("list", item=Converter("int"))([1])  # type: ignore[list-item]


def test_it_is_immutable_and_final() -> None:
    converter = Converter("int")
    with pytest.raises(AttributeError):
        converter.kind = "str"  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        type("Mine", (Converter,), {})


def test_it_is_collected_with_its_cycle() -> None:
    class Function:
        converter: Converter

        def __call__(self, text: str) -> str:
            return text

    function = Function()
    function.converter = Converter(
        "list", item=Converter("union", choices=(Converter("any", function=function),))
    )
    ref = weakref.ref(function)
    del function
    gc.collect()
    assert ref() is None


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = """
import sys
from cello._cello import Converter
Converter("int")("5"), Converter("bool")("1"), Converter("str", pattern="a")("a")
light = {"uuid", "decimal"} & set(sys.modules)
Converter("uuid"), Converter("decimal"), Converter("date")
print(light, {"uuid", "decimal", "datetime"} - set(sys.modules))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set() set()"


def test_nothing_leaks() -> None:
    converters = [
        (Converter("uuid"), [UUID_TEXT, "x"]),
        (Converter("decimal", ge=1), ["5", "0", "x", "nan"]),
        (Converter("datetime", ge=NOON), ["2025-01-01T00:00+01:00", "2025-01-01", "x"]),
        (Converter("list", item=Converter("int"), max_length=2), [["1", "2"], ["x"], ["1"] * 3]),
        (Converter("set", item=Converter("int"), max_length=1), [["1", "1"], ["1", "2"]]),
        (Converter("union", choices=(Converter("int"), Converter("date"))), ["x", "2024-02-29"]),
        (Converter("any", function=int), ["x", "5"]),
        (Converter("str", pattern="^a$", max_length=3), ["a", "b", "abcd", b"\xff"]),
    ]

    def run() -> None:
        for converter, texts in converters:
            for text in texts:
                with contextlib.suppress(ValueError):
                    converter(text)  # type: ignore[arg-type]

    for _ in range(50):
        run()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        run()
    gc.collect()
    assert abs(sys.getallocatedblocks() - before) < 500  # some caches fill; a leak is 1,000 or more
