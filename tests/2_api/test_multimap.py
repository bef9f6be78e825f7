"""cello.MultiMap: a mapping with more than one value for a name."""

import gc
import weakref

import pytest
from cello import MultiMap, Request

PAIRS = [("a", "1"), ("b", "2"), ("a", "3")]


def headers_of(*pairs: tuple[str, str]) -> MultiMap:
    return Request("GET", "/", headers=pairs).headers


def test_the_last_value_counts() -> None:
    m = MultiMap(PAIRS)
    assert m["a"] == "3" and m.get("a") == "3" and m["b"] == "2"
    assert m.get("c") is None and m.get("c", "no") == "no"
    assert m.get_all("a") == ["1", "3"] and m.get_all("c") == []
    with pytest.raises(KeyError, match="'c'"):
        m["c"]


def test_it_is_a_mapping() -> None:
    m = MultiMap(PAIRS)
    assert len(m) == 2 and list(m) == ["a", "b"] and "a" in m and "c" not in m
    assert list(m.keys()) == ["a", "b"] and list(m.values()) == ["3", "2"]
    assert list(m.items()) == [("a", "3"), ("b", "2")]
    assert m.keys() & {"a", "x"} == {"a"}
    assert dict(m) == {"a": "3", "b": "2"} and {**m} == dict(m)
    match m:
        case {"a": value}:
            assert value == "3"
        case _:
            pytest.fail("no mapping pattern matches")


def test_all_pairs_in_order() -> None:
    m = MultiMap(PAIRS)
    copy = m.multi_items()
    assert copy == PAIRS
    copy.clear()
    assert m.multi_items() == PAIRS


def test_empty() -> None:
    for m in (MultiMap(), MultiMap(None), MultiMap([]), MultiMap({})):
        assert len(m) == 0 and not m and list(m) == [] and repr(m) == "MultiMap([])"


@pytest.mark.parametrize(
    "source",
    [
        PAIRS,
        tuple(PAIRS),
        [list(pair) for pair in PAIRS],
        iter(PAIRS),
        {"a": ["1", "3"], "b": "2"},
        {"a": ("1", "3"), "b": ["2"]},
        MultiMap(PAIRS),
    ],
    ids=["list", "tuple", "lists", "iterator", "mapping", "mapping-of-tuples", "multimap"],
)
def test_sources(source: object) -> None:
    m = MultiMap(source)  # type: ignore[arg-type]
    assert m.get_all("a") == ["1", "3"] and m.get_all("b") == ["2"]


@pytest.mark.parametrize(
    "source",
    [5, "ab", b"ab", [("a",)], [("a", "b", "c")], ["ab"], [("a", 1)], [(1, "a")], {"a": 1},
     {"a": [1]}, {"a": None}, {1: "a"}, [("a", ["b"])]],
    ids=repr,
)  # fmt: skip
def test_only_str_pairs(source: object) -> None:
    with pytest.raises(TypeError, match=r"MultiMap\(\)"):
        MultiMap(source)  # type: ignore[arg-type]


def test_errors_of_the_source_pass_through() -> None:
    def broken():
        yield ("a", "1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        MultiMap(broken())


def test_arguments() -> None:
    with pytest.raises(TypeError):
        MultiMap(pairs=PAIRS)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        MultiMap(PAIRS, PAIRS)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        MultiMap().get()  # type: ignore[call-overload]


def test_equality() -> None:
    m = MultiMap(PAIRS)
    assert m == MultiMap(PAIRS) and (m != MultiMap(PAIRS)) is False
    assert m == MultiMap([("b", "2"), ("a", "1"), ("a", "3")]), "names have no order"
    assert m != MultiMap([("a", "3"), ("b", "2"), ("a", "1")]), "values of a name have"
    assert m != MultiMap([("a", "3"), ("b", "2")])
    assert m == {"a": "3", "b": "2"} and m != {"a": "1", "b": "2"}
    assert m != PAIRS and m != "a"
    with pytest.raises(TypeError):
        m < m  # type: ignore[operator]  # noqa: B015


def test_read_only() -> None:
    m = MultiMap(PAIRS)
    with pytest.raises(TypeError):
        m["a"] = "x"  # type: ignore[index]
    with pytest.raises(TypeError):
        del m["a"]  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        m.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        m.keys().mapping["a"] = "x"  # type: ignore[index]
    with pytest.raises(TypeError):
        hash(m)
    with pytest.raises(TypeError):
        MultiMap.get = None  # type: ignore[method-assign,assignment]


def test_repr_is_an_expression() -> None:
    m = MultiMap([("a'b", 'c"\n'), ("ä", "\0")])
    assert eval(repr(m)) == m


@pytest.mark.parametrize("name", [1, None, b"a", ("a",), [], {}], ids=repr)
def test_other_keys_are_just_missing(name: object) -> None:
    for m in (MultiMap(PAIRS), headers_of(("a", "1"))):
        assert name not in m  # type: ignore[operator]
        assert m.get(name, "no") == "no"  # type: ignore[arg-type]
        assert m.get_all(name) == []  # type: ignore[arg-type]
        with pytest.raises(KeyError):
            m[name]  # type: ignore[index]


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "ä", "🎻", "", " ", "x" * 100_000])
def test_hostile_text_is_kept_as_it_is(text: str) -> None:
    m = MultiMap([(text, text)])
    assert m[text] == text and text in m and list(m) == [text]
    assert m.get(text + "x") is None
    assert headers_of((text, text)).get(text) == text


def test_many_names_take_linear_time() -> None:
    m = MultiMap((f"name{i}", "v") for i in range(100_000))
    assert len(m) == 100_000
    assert sum(1 for name in m if m[name] == "v") == 100_000


# ---- headers ----


def test_headers_compare_without_case() -> None:
    h = headers_of(("X-One", "1"), ("Accept", "a"), ("x-one", "2"))
    assert h["x-one"] == h["X-ONE"] == h.get("X-oNe") == "1", "the first one counts"
    assert h.get_all("X-One") == ["1", "2"]
    assert "ACCEPT" in h and "x-two" not in h
    assert list(h) == ["x-one", "accept"] and len(h) == 2
    assert h.multi_items() == [("x-one", "1"), ("accept", "a"), ("x-one", "2")]


def test_only_ascii_letters_have_case() -> None:
    # U+212A, the Kelvin sign, is "k" to str.lower().
    assert "\u212aey" not in headers_of(("key", "1"))


def test_queries_have_case() -> None:
    assert "A" not in MultiMap(PAIRS)


# ---- memory ----


def test_cycles_through_it_are_collected() -> None:
    class Node:
        me: object

    request = Request("GET", "/", query=PAIRS)
    node = Node()
    node.me = (node, request, request.query)
    request.state.node = node
    gone = weakref.ref(node)
    del node, request
    gc.collect()
    assert gone() is None
