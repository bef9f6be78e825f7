"""Random texts, right ones and damaged ones: the same values as pydantic and msgspec. What they
take and Cello does not is named here, kind by kind."""

import datetime as dt
import random
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from cello._cello import Converter

ROUNDS = 3000
DAMAGE = "0123456789+-.:,eETZPWDHMS_ {}xé"


class Maker:
    """Texts of each kind, most of them right."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def digits(self, most: int) -> str:
        return "".join(self.rng.choices("0123456789", k=self.rng.randint(1, most)))

    def pick(self, *options: str) -> str:
        return self.rng.choice(options)

    def int(self) -> str:
        return self.pick("", "", "-", "+") + self.digits(40) + self.pick("", "", ".0", ".000")

    def float(self) -> str:
        exponent = self.pick("", "e", "E-", "e+")
        text = self.pick("", "-", "+") + self.digits(25) + self.pick("", "." + self.digits(25))
        return text + (exponent + self.digits(3) if exponent else "")

    decimal = float

    def bool(self) -> str:
        word = self.pick(*["true", "false", "1", "0", "on", "off", "yes", "no", "t", "f", "y", "n"])
        return "".join(self.pick(c.upper(), c) for c in word)

    def uuid(self) -> str:
        text = str(uuid.UUID(int=self.rng.getrandbits(128)))
        text = self.pick(text, text.upper(), text.replace("-", ""))
        return self.pick(text, text, "{" + text + "}", "urn:uuid:" + text)

    def date(self) -> str:
        day = dt.date(1, 1, 1) + dt.timedelta(self.rng.randrange(3652059))
        return day.isoformat()

    def time(self) -> str:
        rng = self.rng
        text = f"{rng.randrange(24):02}:{rng.randrange(60):02}"
        if rng.random() < 0.8:
            text += f":{rng.randrange(60):02}" + self.pick("", "." + self.digits(9))
        hours, minutes = f"{rng.randrange(24):02}", f"{rng.randrange(60):02}"
        offset = self.pick("+", "-") + hours + self.pick(":", "") + minutes
        return text + self.pick("", "Z", "z", offset)

    def datetime(self) -> str:
        return self.pick(self.date(), self.date() + self.pick(*"Tt _") + self.time())

    def timedelta(self) -> str:
        part = self.rng.random
        days = [self.digits(3) + unit for unit in "WD" if part() < 0.5]
        hours = [self.digits(4) + unit for unit in "HM" if part() < 0.5]
        if part() < 0.5:
            hours.append(self.digits(6) + self.pick("", "." + self.digits(6)) + "S")
        if not days and not hours:
            days = ["0D"]
        return (
            self.pick("", "-", "+") + "P" + "".join(days) + ("T" if hours else "") + "".join(hours)
        )

    def damaged(self, text: str) -> str:
        at = self.rng.randrange(len(text))
        kept = self.rng.choice([0, 1])
        return text[:at] + self.pick("", *DAMAGE) + text[at + kept :]


def outcome(function: Callable[[str], Any], text: str) -> Any:
    """The value and what comparing it does not tell, or None."""
    try:
        value = function(text)
    except (ValueError, msgspec.ValidationError):
        return None
    offset = value.utcoffset() if isinstance(value, dt.datetime | dt.time) else None
    shown = repr(value) if isinstance(value, float | Decimal | bool) else None
    return (type(value), value, offset, shown)


TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "bool": bool,
    "uuid": uuid.UUID,
    "date": dt.date,
    "datetime": dt.datetime,
    "time": dt.time,
    "timedelta": dt.timedelta,
    "decimal": Decimal,
}

# Texts that pydantic refuses and Cello takes: UUIDs without hyphens in braces or a URN, as
# uuid.UUID does, and URNs in any case, as RFC 8141 says; durations of large numbers.
CELLO_ONLY: dict[str, Callable[[str], Any]] = {
    "uuid": lambda s: s[:4].lower() == "urn:" or s[0] == "{",
    "timedelta": lambda s: re.search(r"\d{7}", s),
}
# Texts that pydantic takes and Cello refuses.
PYDANTIC_ONLY: dict[str, Callable[[str], Any]] = {
    "int": lambda s: "_" in s or re.match("[-+]?0+[-+]", s),
    # Values that are not finite are no JSON.
    "float": lambda s: "_" in s or abs(float(s)) == float("inf"),
    "decimal": lambda s: "_" in s or abs(Decimal(s).adjusted()) > 4300,
    "bool": lambda s: False,
    "uuid": lambda s: False,
    # Timestamps, and datetimes at midnight.
    "date": lambda s: not re.fullmatch(r"\d{4}-\d\d-\d\d", s),
    "datetime": lambda s: re.fullmatch(r"[+-]?[\d.]+(e\d+)?", s),
    "time": lambda s: re.fullmatch(r"[\d.]+", s),
    # Years, months, any order, a unit twice, fractions everywhere, "1 day, 10:00:00".
    "timedelta": lambda s: True,
}
# What msgspec reads otherwise. It rounds to microseconds where Cello and pydantic cut off.
MSGSPEC_ONLY: dict[str, Callable[[str], Any]] = {
    **PYDANTIC_ONLY,
    "int": lambda s: "e" in s.lower() or "." in s,
    "float": lambda s: s[:2] == "-0",
    "decimal": lambda s: s[:2] == "-0" or PYDANTIC_ONLY["decimal"](s),
    "bool": lambda s: s == "-0",
    "datetime": lambda s: re.search(r"\.\d{7}", s) or PYDANTIC_ONLY["datetime"](s),
    "time": lambda s: re.search(r"\.\d{7}", s),
}


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_right_is_taken(kind: str) -> None:
    maker, convert = Maker(1), Converter(kind)
    refused = []
    for _ in range(ROUNDS):
        text = getattr(maker, kind)()
        if outcome(convert, text) is None and not (kind == "float" and "e" in text.lower()):
            refused.append(text)
    assert refused == []


@pytest.mark.parametrize("kind", TYPES)
def test_like_pydantic(kind: str) -> None:
    maker, convert = Maker(2), Converter(kind)
    validate = pydantic.TypeAdapter(TYPES[kind]).validate_python
    different, taken = [], 0
    for i in range(ROUNDS):
        text = getattr(maker, kind)()
        text = maker.damaged(text) if i % 2 else text
        ours, theirs = outcome(convert, text), outcome(validate, text)
        taken += ours is not None
        known = PYDANTIC_ONLY[kind] if ours is None else CELLO_ONLY.get(kind, lambda s: False)
        if ours != theirs and not (None in (ours, theirs) and known(text)):
            different.append((text, ours, theirs))
    assert different == []
    assert taken > ROUNDS / 3


@pytest.mark.parametrize("kind", TYPES)
def test_like_msgspec_where_it_takes_a_text(kind: str) -> None:
    maker, convert = Maker(3), Converter(kind)
    different, taken = [], 0
    for i in range(ROUNDS):
        text = getattr(maker, kind)()
        text = maker.damaged(text) if i % 2 else text
        ours = outcome(convert, text)
        theirs = outcome(lambda s: msgspec.convert(s, TYPES[kind], strict=False), text)
        taken += theirs is not None
        if theirs not in (None, ours) and not MSGSPEC_ONLY[kind](text):
            different.append((text, ours, theirs))
    assert different == []
    assert taken > ROUNDS / 20


LIMITS: list[tuple[str, dict[str, Any]]] = [
    ("int", {"ge": -5, "lt": 7}),
    ("int", {"gt": -5, "le": 7, "multiple_of": 3}),
    ("float", {"ge": -0.5, "lt": 7.25}),
    ("float", {"gt": -5.0, "multiple_of": 0.25}),
    ("decimal", {"ge": Decimal("-0.5"), "le": Decimal("7.25")}),
    ("str", {"min_length": 2, "max_length": 3}),
    ("str", {"pattern": "^-?[0-9]+$"}),
]


@pytest.mark.parametrize(("kind", "limits"), LIMITS)
def test_constraints_like_pydantic(kind: str, limits: dict[str, Any]) -> None:
    rng, convert = random.Random(4), Converter(kind, **limits)
    hint = pydantic.TypeAdapter(Annotated[TYPES.get(kind, str), pydantic.Field(**limits)])
    for _ in range(ROUNDS):
        number = rng.randrange(-40, 40)
        text = str(number if kind == "int" else number / 4)
        try:
            theirs: Any = ("value", hint.validate_python(text))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            theirs = (first["type"], first["msg"])
        try:
            ours: Any = ("value", convert(text))
        except ValueError as error:
            ours = (error.type, str(error))  # type: ignore[attr-defined]
        assert ours == theirs, text


MESSAGES = [
    (kind, text)
    for kind, texts in {
        "int": ["", "x", "1.5", "1e3", "9" * 4301],
        "float": ["", "x", "1e"],
        "bool": ["", "x", "2"],
        "date": ["", "2024-1-1", "2024/01/01", "2024-0x-01", "2024-13-01", "2023-02-29"],
        "datetime": ["", "2024-13-01", "2023-02-29", "2024/01/01"],
        "time": ["", "10", "24:00", "10:60", "10:20:60", "10:20x"],
        "timedelta": ["P", "P1000000000D"],
        "decimal": ["", "x", "nan"],
    }.items()
    for text in texts
]


@pytest.mark.parametrize(("kind", "text"), MESSAGES, ids=lambda s: s[:20])
def test_messages_like_pydantic(kind: str, text: str) -> None:
    with pytest.raises(pydantic.ValidationError) as theirs:
        pydantic.TypeAdapter(TYPES[kind]).validate_python(text)
    with pytest.raises(ValueError) as ours:  # noqa: PT011
        Converter(kind)(text)
    first = theirs.value.errors()[0]
    assert (ours.value.type, str(ours.value)) == (first["type"], first["msg"])  # type: ignore[attr-defined]
