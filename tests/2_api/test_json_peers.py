"""Random values and random damage: the same answers as the standard library, orjson and msgspec."""

import json
import random

import msgspec
import orjson
import pytest
from cello import _cello

PIECES = [
    *("a", "b", " ", '"', "\\", "\n", "\x00", "\x1f", "\x7f", "/", "x" * 20, "hello world "),
    *(
        "é",
        "ß",
        "ÿ",
        "Ā",
        "ж",
        "中",
        "😀",
        "\u07ff",
        "\u0800",
        "\uffff",
        "\U00010000",
        "\U0010ffff",
    ),
]
DAMAGE = b'"\\{}[],:0123456789eE+-.\x00\xff\xc3\x80 tfn'


class Maker:
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def text(self):
        rng = self.rng
        if rng.random() < 0.5:
            return (
                "q" * rng.randrange(80)
                + rng.choice(["", '"', "\\", "\t", "é"])
                + "z" * rng.randrange(50)
            )
        return "".join(
            rng.choice(PIECES)
            for _ in range(rng.choice([0, 1, 2, 3, 5, 8, 16, 31, 32, 33, 64, 100]))
        )

    def number(self):
        rng = self.rng
        if rng.random() < 0.5:
            return rng.randrange(-(10 ** rng.randrange(1, 19)), 10 ** rng.randrange(1, 19))
        return rng.choice(
            [0.0, -0.0, 1.5, 5e-324, rng.random(), rng.random() * 10.0 ** rng.randrange(-300, 300)]
        )

    def value(self, depth=0):
        kind = self.rng.randrange(9 if depth < 5 else 5)
        if kind == 0:
            return self.rng.choice([None, True, False])
        if kind in (1, 2):
            return self.number()
        if kind in (3, 4):
            return self.text()
        if kind < 7:
            return [self.value(depth + 1) for _ in range(self.rng.randrange(8))]
        return {self.key(): self.value(depth + 1) for _ in range(self.rng.randrange(8))}

    def key(self):
        return self.text() if self.rng.random() < 0.3 else self.rng.choice("abcdefgh")

    def damaged(self, text):
        data = bytearray(text)
        for _ in range(self.rng.randrange(1, 3)):
            data[self.rng.randrange(len(data))] = self.rng.choice(DAMAGE)
        return bytes(data[: self.rng.randrange(len(data) + 1)] if self.rng.random() < 0.5 else data)


def accepts(decode, text):
    try:
        decode(text)
    except (ValueError, RecursionError):
        return False
    return True


@pytest.mark.parametrize("seed", range(20))
def test_values_go_round(seed):
    make = Maker(seed)
    for _ in range(200):
        value = make.value()
        text = _cello.json_dumps(value)
        assert json.loads(text) == value
        for form in (
            text,
            json.dumps(value).encode(),
            json.dumps(value, indent=1, ensure_ascii=False).encode(),
        ):
            assert repr(_cello.json_loads(form)) == repr(value)


@pytest.mark.parametrize("seed", range(20))
def test_the_same_bytes_and_verdicts_as_orjson(seed):
    make = Maker(seed + 100)
    for _ in range(200):
        value = make.value()
        text = orjson.dumps(value)
        assert _cello.json_dumps(value) == text
        assert repr(_cello.json_loads(text)) == repr(orjson.loads(text))
        damaged = make.damaged(text)
        assert accepts(_cello.json_loads, damaged) == accepts(orjson.loads, damaged), damaged


@pytest.mark.parametrize("seed", range(10))
def test_the_same_values_as_msgspec(seed):
    make = Maker(seed + 200)
    for _ in range(200):
        value = make.value()
        text = msgspec.json.encode(value)
        assert repr(_cello.json_loads(text)) == repr(msgspec.json.decode(text))
        assert msgspec.json.decode(_cello.json_dumps(value)) == value
