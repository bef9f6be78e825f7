"""What the decoder makes of JSON text, and what it refuses."""

import json
import math
import sys

import pytest
from cello import _cello

loads = _cello.json_loads


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "7",
        "-12",
        "123456789012345678",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "1" + "0" * 400,
        "1.5",
        "-0.0",
        "1e5",
        "1E+2",
        "2e-3",
        "0.1",
        "123456.789",
        "1e22",
        "1e23",
        "5e-324",
        "1.7976931348623157e308",
        "9007199254740993.0",
        "1e-400",
        '""',
        '"a"',
        '"é"',
        '"中文"',
        '"😀"',
        '"\\u00e9\\ud83d\\ude00"',
        '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
        '"\\u0000"',
        "[]",
        "{}",
        "[[],{}]",
        " [ 1 , 2 ]\n",
        '{ "a" : { "b" : [ null ] } }',
        '{"a":1,"b":2,"a":3}',
        '{"":""}',
        "[" * 128 + "]" * 128,
        '"\x7f"',
    ],
)
def test_as_the_standard_library(text):
    want = json.loads(text)
    for given in (text, text.encode()):
        got = loads(given)
        assert got == want
        assert repr(got) == repr(want)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        (b"", 0, "unexpected end"),
        (b" ", 1, "unexpected end"),
        (b"nul", 0, "expected a value"),
        (b"[1,]", 3, "expected a value"),
        (b"[1 2]", 3, "expected ',' or ']'"),
        (b'{"a":1,}', 7, "expected a key"),
        (b'{"a" 1}', 5, "expected ':'"),
        (b'{"a":1 "b"', 7, "expected ',' or '}'"),
        (b"1 1", 2, "more text"),
        (b"01", 1, "malformed number"),
        (b"1.", 2, "malformed number"),
        (b"[-]", 2, "malformed number"),
        (b"1e999", 0, "largest double"),
        (b"NaN", 0, "expected a value"),
        (b"Infinity", 0, "expected a value"),
        (b'"abc', 0, "not closed"),
        (b'"a\nb"', 2, "control character"),
        (b'"\x00"', 1, "control character"),
        (b'"\\x"', 1, "malformed escape"),
        (b'"\\u12g4"', 1, "malformed escape"),
        (b'"\\ud800"', 1, "malformed escape"),
        (b'"\\udc00"', 1, "malformed escape"),
        (b'"\\ud800\\u0041"', 1, "malformed escape"),
        (b'"ab\xff"', 3, "not UTF-8"),
        (b'"\xed\xa0\x80"', 1, "not UTF-8"),
        (b'"\xc0\x80"', 1, "not UTF-8"),
        (b'"\xf4\x90\x80\x80"', 1, "not UTF-8"),
        (b"\xef\xbb\xbf1", 0, "byte order mark"),
        (b"'a'", 0, "expected a value"),
    ],
)
def test_malformed_text_tells_where(text, position, message):
    for padding in (b"", b" " * 600):
        with pytest.raises(ValueError, match=message) as caught:
            loads(padding + text)
        assert f"(byte {len(padding) + position})" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[" * 129, "[" * 400_000, '{"a":' * 129 + "1" + "}" * 129, '[{"a":' * 100_000]
)
def test_depth_is_limited(text):
    with pytest.raises(ValueError, match="nested too deep"):
        loads(text)


def test_integers_are_exact_up_to_the_limit():
    assert loads("9" * 4300) == 10**4300 - 1
    assert loads("-" + "9" * 4300) == 1 - 10**4300
    with pytest.raises(ValueError, match="digits"):
        loads("[" + "9" * 4301 + "]")


def test_every_cut_of_a_document_is_an_error():
    text = b'{"key \xc3\xa9":[1.5e3,-12,"\\u00e9\\ud83d\\ude00",true,false,null,{"x":""}]}'
    assert loads(text)
    for end in range(len(text)):
        with pytest.raises(ValueError, match="byte"):
            loads(text[:end])


@pytest.mark.parametrize("size", [*range(70), 250, 255, 256, 257, 520, 1000, 5000])
@pytest.mark.parametrize("char", ["a", "é", "ж", "中", "😀", "\n", " ж", "x中 "])
def test_strings_of_every_length(size, char):
    for text in (char * size, "x" * size + char, char + "x" * size, "ж" * size + '"' + char * size):
        for ascii_only in (True, False):
            document = json.dumps({text: [text, 1]}, ensure_ascii=ascii_only)
            assert loads(document.encode()) == {text: [text, 1]}


def test_strings_have_their_narrowest_form():
    """Equal strings must be of one kind, or dict look-ups and comparisons break."""
    for text in (
        "é",
        "éa",
        "ÿ" * 50,
        "Ā",
        "abcé" * 20,
        "ж é",
        "é " * 30,
        "中",
        "a😀",
        "\uffff" * 9,
        "\U00010000",
    ):
        got = loads(json.dumps(text, ensure_ascii=False).encode())
        assert got == text
        assert sys.getsizeof(got) <= sys.getsizeof(text)
        assert {text: 1}[got] == 1


def test_malformed_characters_at_every_place():
    for bad in (
        b"\x80",
        b"\xc3",
        b"\xe4\xb8",
        b"\xf0\x9f\x98",
        b"\xc1\xbf",
        b"\xe0\x80\x80",
        b"\xff",
    ):
        for size in range(40):
            for fill in ("x", "é", "中", "😀"):
                text = b'"' + fill.encode() * size + bad + fill.encode() * 3 + b'"'
                with pytest.raises(ValueError, match="UTF-8") as caught:
                    loads(text)
                assert f"(byte {1 + len(fill.encode()) * size})" in str(caught.value)


def test_keys_come_from_a_cache_but_compare_right():
    """More keys than the cache holds, of all lengths, in documents whose shape changes."""
    for i in range(3000):
        value = {f"key{i}": i, f"key{i % 7}": {"k" * (i % 40): 1}, "é": 2, "same": 3}
        assert loads(json.dumps(value)) == value
    first, second = loads('[{"name":1},{"name":2}]')
    assert next(iter(first)) is next(iter(second))


def test_equal_prefixes_are_other_keys():
    for text in ('{"ab":1,"a":2,"abc":3}', '{"a":1}', '{"ab":1}', '{"a\\"":1}', '{"":1}'):
        for _ in range(3):
            assert loads(text) == json.loads(text)


def test_large_containers():
    assert loads(json.dumps(list(range(100_000)))) == list(range(100_000))
    big = {str(i): [i] for i in range(20_000)}
    assert loads(json.dumps(big)) == big


def test_doubles_are_the_nearest():
    for text in (
        "2.2250738585072011e-308",
        "0.500000000000000166533453693773481063544750213623046875",
        "3.518437208883201171875e13",
        "62.5364939768271845828",
        "8.10109172351e-10",
        "1.50000000000000011102230246251565",
        "9007199254740991.4999999999999999999999999999999995",
        "1" + "0" * 300 + ".0e-290",
        "0." + "0" * 310 + "12345678901234567890123e10",
    ):
        assert loads(text) == float(text)
        assert math.copysign(1, loads("-" + text)) == -1
