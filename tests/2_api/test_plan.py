"""Plans: how C makes a handler's arguments from a request, and what it says of requests that do not
fit."""

import gc
import json
import sys
import weakref
from typing import Any

import msgspec
import pytest
from api_client import Answer, Client, serving
from cello import Request, Response, _cello
from cello._cello import Converter, Plan
from planned import (
    INT,
    INTS,
    REQUEST,
    RESPONSE,
    STR,
    PlannedApp,
    body,
    constant,
    cookie,
    form,
    header,
    path,
    query,
    value,
)

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def show(*values: Any, **named: Any) -> Any:
    return [*values, named] if named else list(values)


def errors(answer: Answer) -> list[tuple[Any, str]]:
    """loc and type of each, in order."""
    assert answer.status == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert all(e["msg"] for e in answer.data["detail"])
    return [(tuple(e["loc"]), e["type"]) for e in answer.data["detail"]]


# ---- one value ----


@pytest.fixture(scope="module")
def client():
    app = PlannedApp()
    app.plan("/path/{id}", show, (path("id"),))
    app.plan("/query", show, (query("a", INT), query("b", STR, "none")))
    ints = Converter("set", item=INT)
    app.plan(
        "/queries", lambda a, b: [a, sorted(b)], (query("a", INTS, [7]), query("b", ints, {1}))
    )
    app.plan("/header", show, (header("x-number", INT), header("user-agent")))
    app.plan("/headers", show, (header("x-number", INTS),))
    app.plan("/cookie", show, (cookie("a", INT), cookie("b", STR, None), cookie("c", INTS, [])))
    app.plan("/form", show, (form("a", INT), form("b", STR, ""), form("c", INTS, [])))
    app.plan("/request", lambda r: [type(r) is Request, r.method, r.query["a"]], (REQUEST,))
    app.plan("/constant", show, (constant("c"),))
    app.plan("/order", show, (query("a"), query("b")), (), (1, 0, 1))
    app.plan("/named", show, (query("a"), query("b")), (), (0, 1), keywords=("other",))
    many = tuple(query(f"q{i}", INT, i) for i in range(60))
    app.plan("/many", show, many)
    app.plan("/many-turned", show, many, (), tuple(reversed(range(60))))
    with serving(app) as client:
        yield client


def test_path(client: Client) -> None:
    assert client.get("/path/42").data == [42]
    assert errors(client.get("/path/x")) == [(("path", "id"), "int_parsing")]
    assert client.get("/path/%zz").status == 400


def test_query(client: Client) -> None:
    assert client.get("/query?a=1&b=x%20y").data == [1, "x y"]
    assert client.get("/query?a=1&a=2").data == [2, "none"]
    assert errors(client.get("/query?b=1")) == [(("query", "a"), "missing")]
    assert errors(client.get("/query?a=")) == [(("query", "a"), "int_parsing")]
    assert client.get("/query?a=%zz").status == 400


def test_all_values_of_a_query(client: Client) -> None:
    assert client.get("/queries?a=1&a=2&b=3").data == [[1, 2], [3]]
    assert client.get("/queries").data == [[7], [1]]
    assert errors(client.get("/queries?a=1&a=x")) == [(("query", "a", 1), "int_parsing")]
    numbers = list(range(100))
    target = "/queries?" + "&".join(f"a={n}" for n in numbers)
    assert client.get(target).data == [numbers, [1]]


def test_headers(client: Client) -> None:
    assert client.get("/header", X_Number="5", User_Agent="me").data == [5, "me"]
    assert errors(client.get("/header", User_Agent="me")) == [(("header", "x-number"), "missing")]
    request = b"GET /headers HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Number: 1\r\nx-number: 2"
    assert client.raw(request + b"\r\n\r\n").endswith(b"[[1,2]]")


def test_cookies(client: Client) -> None:
    assert client.get("/cookie", Cookie="a=1; b=x; c=1; c=2").data == [1, "x", [1, 2]]
    assert client.get("/cookie", Cookie="a=1; a=2").data == [2, None, []]
    assert errors(client.get("/cookie")) == [(("cookie", "a"), "missing")]


def test_forms(client: Client) -> None:
    assert client.ask("/form", "POST", b"a=1&b=x+y&c=1&c=2", FORM).data == [1, "x y", [1, 2]]
    assert errors(client.ask("/form", "POST", b"b=1", FORM)) == [(("form", "a"), "missing")]
    assert errors(client.ask("/form", "POST", b"", FORM)) == [(("form", "a"), "missing")]
    assert errors(client.get("/form")) == [(("form", "a"), "missing")]
    assert client.ask("/form", "POST", b"a=1").status == 415
    assert client.ask("/form", "POST", b"a=1", {"Content-Type": "application/json"}).status == 415
    assert client.ask("/form", "POST", b"a=%zz", FORM).status == 400
    assert client.ask("/form", "POST", b"a=1&" * 1001, FORM).status == 400


def test_request_and_constants(client: Client) -> None:
    assert client.get("/request?a=b").data == [True, "GET", "b"]
    assert client.get("/constant").data == ["c"]


def test_arguments_in_any_order_and_by_name(client: Client) -> None:
    assert client.get("/order?a=1&b=2").data == ["2", "1", "2"]
    assert client.get("/named?a=1&b=2").data == ["1", {"other": "2"}]


def test_more_arguments_than_lie_on_the_stack(client: Client) -> None:
    assert client.get("/many?q59=1").data == [*range(59), 1]
    assert client.get("/many-turned?q59=1").data == [1, *reversed(range(59))]


def test_all_errors_at_once() -> None:
    app = PlannedApp()
    app.plan("/{a}", show, (path("a"), query("b", INT), header("c"), cookie("d"), query("e", INT)))
    with serving(app) as client:
        assert errors(client.get("/x?e=1.5", c="there")) == [
            (("path", "a"), "int_parsing"),
            (("query", "b"), "missing"),
            (("cookie", "d"), "missing"),
            (("query", "e"), "int_parsing"),
        ]
        detail = client.get("/x?e=1").data["detail"]
    assert detail[1] == {"loc": ["query", "b"], "msg": "Field required", "type": "missing"}


def test_lists_dicts_and_sets_of_defaults_are_copied() -> None:
    seen: list[Any] = []

    def handler(*values: Any) -> None:
        seen.append(values)
        values[0].append(1)
        values[1]["a"] = 1
        values[2].add(1)

    app = PlannedApp()
    shared = (1,)
    app.plan(
        "/",
        handler,
        (query("l", INTS, []), query("d", STR, {}), query("s", STR, set()), constant(shared)),
    )
    with serving(app) as client:
        client.get("/")
        client.get("/")
    assert seen[0][:3] == seen[1][:3] == ([1], {"a": 1}, {1})
    assert seen[0][0] is not seen[1][0] and seen[0][3] is shared


# ---- models ----


def model(source: int, convert: Any, default: Any = ...) -> Any:
    names = {
        _cello.SOURCE_QUERY_MODEL: "query",
        _cello.SOURCE_HEADER_MODEL: "header",
        _cello.SOURCE_COOKIE_MODEL: "cookie",
        _cello.SOURCE_FORM_MODEL: "form",
    }
    return (source, "model", convert, default, (names[source],))


def test_models_get_a_dict_of_all_values() -> None:
    app = PlannedApp()
    app.plan("/query", show, (model(_cello.SOURCE_QUERY_MODEL, dict),))
    app.plan("/header", show, (model(_cello.SOURCE_HEADER_MODEL, dict),))
    app.plan("/cookie", show, (model(_cello.SOURCE_COOKIE_MODEL, dict),))
    app.plan("/form", show, (model(_cello.SOURCE_FORM_MODEL, dict, "nothing"),))
    with serving(app) as client:
        assert client.get("/query?a=1&b=2&a=3&a=4").data == [{"a": ["1", "3", "4"], "b": "2"}]
        assert client.get("/header", X_Some_Thing="1").data[0]["x-some-thing"] == "1"
        assert client.get("/cookie", Cookie="a=1; b=2; b=3").data == [{"a": "1", "b": ["2", "3"]}]
        assert client.ask("/form", "POST", b"a=1&a=2", FORM).data == [{"a": ["1", "2"]}]
        assert client.ask("/form", "POST", b"", FORM).data == ["nothing"]
        assert client.ask("/form", "POST", b"a=1").status == 415


class Page(msgspec.Struct):
    page: int
    tag: str = ""


def test_what_a_model_refuses_is_under_its_source() -> None:
    def convert(values: dict[str, Any]) -> Page:
        return msgspec.convert(values, Page, strict=False)

    def broken(values: dict[str, Any]) -> None:
        raise KeyError("mine")

    app = PlannedApp()
    app.plan("/", lambda page: page.page, (model(_cello.SOURCE_QUERY_MODEL, convert),))
    app.plan("/broken", show, (model(_cello.SOURCE_QUERY_MODEL, broken),))
    with serving(app) as client:
        assert client.get("/?page=3").data == 3
        (loc, _) = errors(client.get("/?page=x"))[0]
        assert loc == ("query", "page")
        assert client.get("/broken").status == 500


# ---- bodies ----


def decode(data: Any) -> Any:
    return msgspec.json.decode(data)


def decode_ints(data: Any) -> Any:
    return msgspec.json.decode(data, type=dict[str, int])


@pytest.fixture(scope="module")
def bodies():
    app = PlannedApp()
    app.plan("/any", lambda value: value, (body(decode),))
    app.plan("/ints", show, (body(decode_ints), query("q", INT, 0)))
    app.plan("/optional", show, (body(decode, None),))
    app.plan("/json", lambda r: r.json(), (REQUEST,))
    app.plan("/type", lambda t: t, (body(lambda data: type(data).__name__),))
    app.plan("/size", lambda n: n, (body(len),))
    bytes_ = body(lambda d: [type(d).__name__, len(d)], source=_cello.SOURCE_BODY_BYTES)
    app.plan("/bytes", lambda n: n, (bytes_,))
    app.plan("/deep", lambda: 1 / 0, (body(recurse),), (), ())
    with serving(app) as client:
        yield client


def recurse(data: Any) -> Any:
    raise RecursionError


def test_bodies_are_decoded_where_they_lie(bodies: Client) -> None:
    assert bodies.ask("/any", "POST", b'{"a":[1]}').data == {"a": [1]}
    assert bodies.ask("/type", "POST", b"1").text == "BodyView"
    assert bodies.ask("/size", "POST", b"12345").data == 5
    assert bodies.ask("/bytes", "POST", b"12345").data == ["bytes", 5]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("APPLICATION/JSON", 200),
        ("application/vnd.api+json", 200),
        ("application/problem+json ; a=b", 200),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
        ("application/jsonx", 415),
        ("+json", 415),
        ("application/x; a=+json", 415),
        ("json", 415),
    ],
)
def test_media_types(bodies: Client, content_type: str, status: int) -> None:
    assert bodies.ask("/any", "POST", b"1", {"Content-Type": content_type}).status == status


def test_a_body_that_is_missing(bodies: Client) -> None:
    assert errors(bodies.ask("/any", "POST", b"")) == [(("body",), "missing")]
    assert bodies.ask("/optional", "POST", b"").data == [None]
    assert bodies.ask("/optional", "POST", b"", {"Content-Type": "text/plain"}).data == [None]


def test_a_body_that_does_not_fit(bodies: Client) -> None:
    assert bodies.ask("/ints", "POST", b'{"a":1}').data == [{"a": 1}, 0]
    found = errors(bodies.ask("/ints?q=x", "POST", b'{"a":"1"}'))
    assert [loc[0] for loc, _ in found] == ["body", "query"]


MALFORMED = [
    b"{", b'{"a":}', b"[1,]", b'"abc', b"nul", b"\xff", b'"\xff"', b" ", b"1 2", b"\xef\xbb\xbf1",
    b'"\\ud800"', b"NaN", b"[" * 200, b"[" * 128 + b"]" * 128, b"[" * 129 + b"]" * 129,
    b'{"a":' * 130 + b"1" + b"}" * 130, b"[" * 5000 + b"]" * 5000, b"[" + b'"[{[{",' * 200 + b"1]",
    b'["' + b'\\"[' * 300 + b'"' + b"]",
]  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_json_is_told_as_by_req_json(bodies: Client, text: bytes) -> None:
    by_hand = bodies.ask("/json", "POST", text)
    typed = bodies.ask("/any", "POST", text)
    assert typed.status == by_hand.status
    if by_hand.status == 400:
        assert typed.data["detail"] == by_hand.data["detail"]
    else:
        assert typed.data == by_hand.data


def test_depth_is_that_of_the_limits(bodies: Client) -> None:
    assert bodies.ask("/any", "POST", b"[" * 128 + b"]" * 128).status == 200
    answer = bodies.ask("/any", "POST", b"[" * 129 + b"]" * 129)
    assert answer.status == 400
    assert "byte 128" in answer.data["detail"]


def test_a_validator_that_nests_too_deep(bodies: Client) -> None:
    assert bodies.ask("/deep", "POST", b"[1]").status == 400


def test_views_that_are_kept_show_their_own_body() -> None:
    kept: list[Any] = []

    class Raw(msgspec.Struct):
        raw: msgspec.Raw

    def keep(data: Any) -> int:
        kept.append(
            (data, memoryview(data), memoryview(data)[2:], msgspec.json.decode(data, type=Raw))
        )
        return len(data)

    app = PlannedApp()
    app.plan("/", lambda n: n, (body(keep),))
    texts = [json.dumps({"raw": [i] * 50}).encode() for i in range(50)]
    with serving(app) as client:
        for text in texts:
            assert client.ask("/", "POST", text).data == len(text)
        check = [(bytes(d), bytes(m), bytes(s), bytes(r.raw)) for d, m, s, r in kept]
    for text, (data, view, part, raw) in zip(texts, check, strict=True):
        assert data == view == text
        assert part == text[2:]
        assert raw == json.dumps(json.loads(text)["raw"]).encode()
    with pytest.raises(TypeError):
        kept[0][1][0] = 1
    del check
    kept.clear()  # after the server has gone


# ---- the answer ----


def test_the_injected_response_is_merged() -> None:
    def handler(response: Response) -> Any:
        response.status = 202
        response.set_header("X-Made", "yes")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return {"a": 1}

    def untouched(response: Response) -> Any:
        return {"status": response.status}

    def typed(response: Response) -> Any:
        response.content_type = "application/vnd.api+json"
        response.status = 200
        return {}

    def both(response: Response) -> Any:
        response.status = 202
        response.set_header("X-Made", "yes")
        return Response("text", 203)

    app = PlannedApp()
    app.plan("/", handler, (RESPONSE,), status=201)
    app.plan("/untouched", untouched, (RESPONSE,), status=201)
    app.plan("/typed", typed, (RESPONSE,), status=201)
    app.plan("/both", both, (RESPONSE,))
    app.plan("/shared", lambda a, b: a is b, (RESPONSE, RESPONSE))
    app.plan("/raising", lambda r: r.set_header("X-Made", "yes") or 1 / 0, (RESPONSE,))
    with serving(app) as client:
        answer = client.get("/")
        assert (answer.status, answer.data) == (202, {"a": 1})
        assert answer.headers["X-Made"] == "yes"
        assert len(answer.headers.get_all("Set-Cookie")) == 2
        assert client.get("/untouched").status == 201
        answer = client.get("/typed")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/vnd.api+json")
        answer = client.get("/both")
        assert (answer.status, answer.text, answer.headers["X-Made"]) == (203, "text", "yes")
        assert client.get("/shared").data is True
        answer = client.get("/raising")
        assert answer.status == 500 and answer.headers["X-Made"] is None


class Public(msgspec.Struct):
    name: str


class Private(Public):
    secret: str = "hidden"


def test_results_are_filtered_unless_they_have_the_type() -> None:
    calls: list[Any] = []

    def convert(made: Any) -> Any:
        calls.append(made)
        if isinstance(made, list):
            return [Public(p.name) for p in made]
        return Public(made.name)

    one, many = (Public, False, convert), (Public, True, convert)
    app = PlannedApp()
    results: dict[str, Any] = {
        "exact": Public("a"),
        "sub": Private("a"),
        "tuple": (Private("a"), 203),
        "headers": (Private("a"), 203, {"X-A": "b"}),
        "response": Response("as it is"),
        "wrong": 5,
        "after": _cello.After(Private("a"), list),
    }
    for name, result in results.items():
        app.plan(f"/{name}", lambda result=result: result, result=one)
    app.plan("/list", lambda: [Public("a"), Public("b")], result=many)
    app.plan("/mixed", lambda: [Public("a"), Private("b")], result=many)
    app.plan("/any", lambda: Private("a"), result=(None, False, convert))
    with serving(app) as client:
        assert client.get("/exact").data == {"name": "a"}
        assert client.get("/list").data == [{"name": "a"}, {"name": "b"}]
        assert calls == []
        assert client.get("/sub").data == client.get("/any").data == {"name": "a"}
        answer = client.get("/tuple")
        assert (answer.status, answer.data) == (203, {"name": "a"})
        answer = client.get("/headers")
        assert (answer.data, answer.headers["X-A"]) == ({"name": "a"}, "b")
        assert client.get("/response").text == "as it is"
        assert client.get("/mixed").data == [{"name": "a"}, {"name": "b"}]
        assert client.get("/after").data == {"name": "a"}
        assert client.get("/wrong").status == 500


def test_to_response() -> None:
    made = _cello.to_response({"a": 1}, 201)
    assert (made.status, made.body, made.content_type) == (201, {"a": 1}, "application/json")
    assert _cello.to_response(None).status == 204
    assert _cello.to_response(None, 200).status == 200
    assert _cello.to_response("text").content_type == "text/plain; charset=utf-8"
    made = _cello.to_response(("x", 203, {"X-A": "b"}), 201)
    assert (made.status, made.body, made.headers["x-a"]) == (203, "x", "b")
    response = Response("x", 299)
    assert _cello.to_response(response, 201) is response
    injected = Response(headers={"X-B": "c"})
    assert _cello.to_response("x", 201, injected).status == 201
    injected.status = 202
    made = _cello.to_response("x", 201, injected)
    assert (made.status, made.headers["x-b"]) == (202, "c")
    assert _cello.to_response(("x", 203), 0, injected).status == 203
    for wrong in ((), (1, 2, 3, 4), (1, "x"), ("x",)):
        with pytest.raises(TypeError):
            _cello.to_response(wrong)
    for status in (99, 600):
        with pytest.raises(ValueError, match="status"):
            _cello.to_response("x", status)


# ---- the constructor ----

WRONG_PLANS: list[tuple[Any, str]] = [
    (((1,), (), ()), "field 0: it must be a tuple"),
    (([], (), ()), "fields must be a tuple, not list"),
    ((((99, "a", INT, ..., ()),), (), ()), "field 0: the source"),
    ((((0, 5, INT, ..., ()),), (), ()), "name"),
    ((((0, "a", INT, ..., []),), (), ()), "field 0: loc"),
    (((path("a"), (0, "a", int, ..., ())), (), ()), "field 1: convert must be a Converter"),
    ((((9, "a", 5, ..., ()),), (), ()), "field 0: convert must be callable"),
    ((((12, "a", None, ..., ()),), (), ()), "field 0: a constant needs"),
    (((), ((0, show, (), ()),), (1,)), "the handler's arguments: a slot"),
    (((), ((0, show, (0,), ()),), ()), "call 0: a slot"),
    (((), ((7, show, (), ()),), ()), "call 0: the kind"),
    (((), ((0, 5, (), ()),), ()), "call 0: it must be callable"),
    (((), ((0, show, [], ()),), ()), "call 0: the slots"),
    (((), ((0, show, (), ("a",)),), ()), "call 0: the keywords"),
    (((), (5,), ()), "call 0: it must be a tuple"),
    (((), (), (0,)), "the handler's arguments: a slot"),
    (((), (), (-1,)), "the handler's arguments: a slot"),
    (((path("a"),), (), (0,), ("x", "y")), "the handler's arguments: the keywords"),
    (((path("a"),), (), (0,), (5,)), "the handler's arguments: the keywords"),
    (((), (), (), (), (5,)), "guard 0: it must be callable"),
    (((), (), (), (), (), 5), "result must be None"),
    (((), (), (), (), (), (5, False, show)), "result must be None"),
    (((), (), (), (), (), (None, False, 5)), "result must be None"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_PLANS)
def test_what_a_plan_refuses(arguments: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Plan(*arguments)


def test_a_plan_has_a_limit() -> None:
    with pytest.raises(ValueError, match="more than 1000"):
        Plan((constant(1),) * 1001, (), ())
    assert len(Plan((constant(1),) * 1000, (), ()).fields) == 1000


def test_a_plan_shows_its_parts_and_goes_with_its_cycle() -> None:
    fields = (path("a"),)
    plan = Plan(fields, (), (0,), guards=(show,))
    assert plan.fields is fields and plan.guards == (show,) and plan.result is None

    class Guard:
        plan: Any = None

        def __call__(self, request: Any) -> bool:
            return True

    guard = Guard()
    guard.plan = Plan((), (), (), guards=(guard,))
    gc.collect()
    before = len(gc.get_objects())
    del guard
    assert gc.collect() >= 2
    assert len(gc.get_objects()) < before


def test_an_application_goes_with_its_plans() -> None:
    def served_once() -> weakref.ref[PlannedApp]:
        app = PlannedApp()

        def guard(request: Request) -> bool:
            return app is not None

        app.plan("/", lambda c: None, (constant(app),), guards=(guard,))
        with serving(app) as client:
            assert client.get("/").status == 204
        return weakref.ref(app)

    gone = served_once()
    gc.collect()
    assert gone() is None


def test_set_plan_checks_its_arguments() -> None:
    app = PlannedApp()
    number = app.plan("/", show)
    for arguments, kind in [
        ((0, show, False, None), ValueError),
        ((number + 1, show, False, None), ValueError),
        ((-1, show, False, None), OverflowError),
        ((number, 5, False, None), TypeError),
        ((number, show, False, 5), TypeError),
        ((number, show, False), TypeError),
    ]:
        with pytest.raises(kind):
            app._set_plan(*arguments)  # type: ignore[arg-type]


# ---- resolve ----


def test_resolve_gives_the_arguments_of_a_request() -> None:
    plan = Plan((path("a"), query("b", STR, "x"), REQUEST), (), (1, 0, 2))
    app = PlannedApp()

    def handler(request: Request) -> Any:
        b, a, same = plan.resolve(request)
        return [a, b, same is request]

    app.plan("/{a}", handler, (REQUEST,))
    app.plan("/calls/{a}", Plan((), (value(show),), ()).resolve, (REQUEST,))
    with serving(app) as client:
        assert client.get("/1").data == [1, "x", True]
        assert errors(client.get("/x")) == [(("path", "a"), "int_parsing")]
        assert client.get("/calls/1").status == 500
    with pytest.raises(TypeError, match="that a server made"):
        plan.resolve(Request("GET", "/"))


# ---- nothing is lost ----


def test_references_stay_as_they_are() -> None:
    default, fixed = object(), object()
    app = PlannedApp()

    def guard(request: Request) -> bool:
        return True

    def made(number: int) -> list[int]:
        return [number]

    app.plan(
        "/{id}",
        lambda id, q, c, r, v: None,
        (path("id"), query("q", INT, default), constant(fixed), REQUEST),
        (value(made, 0),),
        (0, 1, 2, 3, 4),
        guards=(guard,),
    )
    app.plan("/body/{id}", lambda id, b: None, (path("id"), body(decode_ints)))
    with serving(app) as client:
        counts = []
        for _ in range(3):
            for i in range(200):
                client.get(f"/{i}")
                client.get(f"/{i}?q=x")
                client.get("/x")
                client.ask(f"/body/{i}", "POST", b'{"a":1}')
                client.ask(f"/body/{i}", "POST", b'{"a":"1"}')
                client.ask(f"/body/{i}", "POST", b'{"a":')
            gc.collect()
            counts.append(
                (
                    *(sys.getrefcount(o) for o in (default, fixed, guard, made, INT)),
                    sum(type(o).__name__ in ("Request", "BodyView") for o in gc.get_objects()),
                )
            )
    assert counts[1] == counts[2]
