"""cello.Request as a test makes it; test_request_served.py has those of a server."""

import gc
import types
import weakref

import pytest
from cello import FormData, HTTPError, JSONDecodeError, MultiMap, Request

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def with_body(body: bytes | str, content_type: str | None = None) -> Request:
    headers = {"Content-Type": content_type} if content_type else None
    return Request("POST", "/", headers=headers, body=body)


# ---- attributes ----


def test_everything_given() -> None:
    req = Request(
        "PUT",
        "/users/7",
        params={"id": "7"},
        query=[("a", "1"), ("a", "2")],
        headers={"Host": "shop.example:8000", "User-Agent": "test/1", "Cookie": "s=1; t=2; s=3"},
        body=b"x",
    )
    assert req.method == "PUT" and req.path == "/users/7"
    assert req.params["id"] == "7" and req.query.get_all("a") == ["1", "2"]
    assert req.headers["host"] == req.host == "shop.example:8000"
    assert req.cookies["s"] == "3" and req.cookies.get_all("s") == ["1", "3"]
    assert req.url == "http://shop.example:8000/users/7?a=1&a=2"
    assert req.base_url == "http://shop.example:8000/" and req.scheme == "http"
    assert req.body() == b"x" and req.user_agent() == "test/1"
    assert repr(req) == "<Request PUT '/users/7'>"


def test_nothing_given() -> None:
    req = Request("GET", "/")
    for map_ in (req.params, req.query, req.headers, req.cookies):
        assert isinstance(map_, MultiMap) and len(map_) == 0
    assert req.body() == b"" and req.text() == ""
    assert req.host == "" and req.base_url == "/" and req.url == "/"
    assert req.client is req.remote_addr is req.ip_addr is req.client_ip() is None
    assert req.app is req.route is req.request_id is None
    assert req.content_type() is None and req.user_agent() is None
    assert req.is_secure() is False and req.is_disconnected() is False


def test_aliases() -> None:
    req = Request("GET", "/", params={"a": "1"}, query={"b": "2"})
    assert req.path_params == req.params == {"a": "1"}
    assert req.query_params == req.query == {"b": "2"}


def test_query_as_text_is_decoded() -> None:
    req = Request("GET", "/", query="q=a+b&q=%C3%A4&empty&x=1=2")
    assert req.query.multi_items() == [("q", "a b"), ("q", "ä"), ("empty", ""), ("x", "1=2")]


def test_url_is_encoded() -> None:
    req = Request("GET", "/ä b/50%?#", query=[("a b", "c&d=e"), ("+", "ü#")])
    assert req.url == "/%C3%A4%20b/50%25%3F%23?a%20b=c%26d=e&%2B=%C3%BC%23"
    with pytest.raises(ValueError, match="surrogate"):
        _ = Request("GET", "/", query={"a": "\ud800"}).url


def test_state_and_context() -> None:
    req = Request("GET", "/")
    assert isinstance(req.state, types.SimpleNamespace) and req.state is req.state
    req.state.user = "jo"
    assert req.state.user == "jo"
    with pytest.raises(AttributeError):
        _ = req.state.other
    assert req.context == {} and req.context is req.context
    other = Request("GET", "/")
    assert not hasattr(other.state, "user")


@pytest.mark.parametrize(
    "name", ["method", "path", "url", "params", "query", "headers", "state", "context", "app"]
)
def test_attributes_are_read_only(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Request("GET", "/"), name, None)


def test_values_of_ones_own_go_into_state() -> None:
    with pytest.raises(AttributeError):
        Request("GET", "/").user = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "method"),
        (("GET",), "path"),
        ((1, "/"), "method must be str"),
        (("GET", b"/"), "path must be str"),
        (("GET", "/", 5), "params"),
        (("GET", "/", None, 5), "query"),
        (("GET", "/", None, None, {"a": 1}), "headers"),
        (("GET", "/", None, None, None, 5), "body must be"),
        (("GET", "/", None, None, None, None, None), "at most 6"),
    ],
)
def test_wrong_arguments_are_named(args: tuple[object, ...], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Request(*args)  # type: ignore[arg-type]


def test_keywords() -> None:
    assert Request(path="/a", method="GET").path == "/a"
    with pytest.raises(TypeError, match="unexpected keyword argument 'nope'"):
        Request("GET", "/", nope=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'path' twice"):
        Request("GET", "/", path="/")  # type: ignore[misc]


def test_malformed_query_text() -> None:
    with pytest.raises(HTTPError, match="query") as info:
        Request("GET", "/", query="a=%zz")
    assert info.value.status == 400


# ---- the body ----


@pytest.mark.parametrize("body", [b"\x00\xff", bytearray(b"ab"), memoryview(b"ab"), "äb", None])
def test_bodies(body: object) -> None:
    expected = body.encode() if isinstance(body, str) else bytes(body or b"")  # type: ignore
    req = Request("POST", "/", body=body)  # type: ignore[arg-type]
    assert req.body() == expected and type(req.body()) is bytes


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        (None, "ä".encode(), "ä"),
        ("text/plain", "ä".encode(), "ä"),
        ("text/plain; charset=UTF-8", "ä".encode(), "ä"),
        ('text/plain; charset="iso-8859-1"', b"\xe4", "ä"),
        ("text/plain; charset=us-ascii", b"a", "a"),
        ("text/plain; charset=utf-16", "ä".encode("utf-16"), "ä"),
        ("nonsense", b"a", "a"),
    ],
)
def test_text(content_type: str | None, body: bytes, text: str) -> None:
    assert with_body(body, content_type).text() == text


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (None, b"\xff", 400),
        ("text/plain; charset=us-ascii", b"\xff", 400),
        ("text/plain; charset=utf-16", b"a", 400),
        ("text/plain; charset=idna", b"a", 415),
        ("text/plain; charset=rot13", b"a", 415),
        ("text/plain; charset=unicode_escape", b"a", 415),
    ],
)
def test_text_that_is_none(content_type: str | None, body: bytes, status: int) -> None:
    with pytest.raises(HTTPError) as info:
        with_body(body, content_type).text()
    assert info.value.status == status


def test_json() -> None:
    assert with_body('{"a": [1, 2.5, null, true, "ä"]}').json() == {"a": [1, 2.5, None, True, "ä"]}
    assert with_body("[1]", "text/plain").json() == [1], "whatever its type says"
    req = with_body("[]")
    assert req.json() is not req.json(), "nobody else changes what the caller has"


@pytest.mark.parametrize(
    ("body", "position"), [(b"", 0), (b"{", 1), (b'{"a" 1}', 5), (b"[1] x", 4), (b'["\xff"]', 2)]
)
def test_malformed_json_says_where(body: bytes, position: int) -> None:
    with pytest.raises(JSONDecodeError, match=rf"byte {position}\b") as info:
        with_body(body).json()
    assert isinstance(info.value, ValueError)


def test_deep_json_is_refused() -> None:
    with pytest.raises(JSONDecodeError):
        with_body(b"[" * 500_000).json()


def test_form() -> None:
    form = Request("POST", "/", headers=FORM, body=b"a=1&a=2&b=x+y%20%C3%A4&c").form()
    assert isinstance(form, FormData)
    assert form.multi_items() == [("a", "1"), ("a", "2"), ("b", "x y ä"), ("c", "")]
    assert form["a"] == "2"
    typed = with_body(b"a=1", "Application/X-WWW-Form-URLencoded; charset=utf-8")
    assert typed.form() == {"a": "1"}
    assert len(Request("POST", "/", headers=FORM).form()) == 0


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (None, b"a=1", 415),
        ("application/json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data", b"--x--", 400),
        ("multipart/mixed; boundary=x", b"--x--", 415),
        (FORM["Content-Type"], b"a=%zz", 400),
        (FORM["Content-Type"], b"a=%ff", 400),
        (FORM["Content-Type"], b"a=%00", 400),
        (FORM["Content-Type"], b"a=\xff", 400),
        (FORM["Content-Type"], b"&".join([b"a=1"] * 1001), 400),
    ],
)
def test_forms_that_are_none(content_type: str | None, body: bytes, status: int) -> None:
    with pytest.raises(HTTPError) as info:
        with_body(body, content_type).form()
    assert info.value.status == status


def test_as_many_fields_as_allowed() -> None:
    assert (
        len(with_body("&".join(["a=1"] * 1000), FORM["Content-Type"]).form().get_all("a")) == 1000
    )


def test_content_type() -> None:
    assert with_body(b"", "text/plain; charset=x").content_type() == "text/plain; charset=x"


def test_awaiting_a_body_fails() -> None:
    async def handler(req: Request) -> bytes:
        return await req.body()  # type: ignore[misc]

    with pytest.raises(TypeError, match="await"):
        handler(Request("GET", "/")).send(None)


# ---- look-ups ----


def test_get() -> None:
    req = Request("GET", "/", params={"id": "x"}, query="q=1&q=2", headers={"X-A": "h"})
    assert req.get_header("x-a") == "h" and req.get_header("X-B") is None
    assert req.get_header(name="X-B", default="d") == "d"
    assert req.get_param("id") == "x" and req.get_param("no", 5) == 5
    assert req.get_query_param("q") == "2" and req.get_query_param("no", default="d") == "d"
    with pytest.raises(TypeError, match=r"get_header\(\) needs the argument 'name'"):
        req.get_header()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-12", -12), ("+7", 7), ("007", 7), ("9" * 4300, int("9" * 4300))],
)
def test_ints(text: str, value: int) -> None:
    req = Request("GET", "/", params={"n": text}, query={"n": text})
    assert req.get_query_int("n") == value and req.get_param_int("n") == value


@pytest.mark.parametrize(
    "text", ["", "x", "-", "1.0", "1_0", " 1", "1 ", "0x1", "1e3", "٣", "1\0", "--1", "9" * 4301]
)
def test_not_ints(text: str) -> None:
    req = Request("GET", "/", params={"page": text}, query={"page": text})
    with pytest.raises(HTTPError, match="query parameter 'page' must be an integer") as info:
        req.get_query_int(name="page", default=1)
    assert info.value.status == 422
    with pytest.raises(HTTPError, match="path parameter 'page' must be an integer"):
        req.get_param_int("page")


@pytest.mark.parametrize(("text", "value"), [("1", 1.0), ("-2.5e3", -2500.0), (".5", 0.5)])
def test_floats(text: str, value: float) -> None:
    assert Request("GET", "/", query={"x": text}).get_query_float("x") == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "nan", "inf", "-Infinity", "1e999", " 1", "1 ", "1_0", "1\0", "0x1p3", "1" * 600],
)
def test_not_floats(text: str) -> None:
    with pytest.raises(HTTPError, match="'x' must be a finite number") as info:
        Request("GET", "/", query={"x": text}).get_query_float("x")
    assert info.value.status == 422


@pytest.mark.parametrize("text", ["true", "1", "yes", "on", "TRUE", "On"])
def test_true(text: str) -> None:
    assert Request("GET", "/", query={"x": text}).get_query_bool("x") is True


@pytest.mark.parametrize("text", ["false", "0", "no", "off", "FALSE"])
def test_false(text: str) -> None:
    assert Request("GET", "/", query={"x": text}).get_query_bool("x") is False


@pytest.mark.parametrize("text", ["", "2", "y", "truee", "true\0"])
def test_not_bools(text: str) -> None:
    with pytest.raises(HTTPError, match="'x' must be true or false") as info:
        Request("GET", "/", query={"x": text}).get_query_bool("x")
    assert info.value.status == 422


def test_absent_parameters_give_the_default() -> None:
    req = Request("GET", "/")
    marker = object()
    assert req.get_query_int("n") is None and req.get_query_int("n", 5) == 5
    assert req.get_query_float("n", 0.5) == 0.5 and req.get_query_bool("n", default=True) is True
    assert req.get_param_int("n", marker) is marker


@pytest.mark.parametrize(
    ("accept", "offer", "wanted"),
    [
        (None, "text/html", True),
        (["text/html"], "text/html", True),
        (["text/html"], "application/json", False),
        (["text/*;q=0.1"], "text/html", True),
        (["*/*", "text/html;q=0"], "text/html", False),
        (["text/html", "application/json"], "application/json", True),
    ],
)
def test_accepts(accept: list[str] | None, offer: str, wanted: bool) -> None:
    req = Request("GET", "/", headers={"Accept": accept} if accept else None)
    assert req.accepts(offer) is wanted


def test_accepts_takes_a_str() -> None:
    with pytest.raises(TypeError, match="media_type must be str"):
        Request("GET", "/").accepts(b"text/html")  # type: ignore[arg-type]


# ---- memory ----


def test_weak_references() -> None:
    req = Request("GET", "/")
    gone = weakref.ref(req)
    assert gone() is req
    del req
    assert gone() is None


def test_cycles_are_collected() -> None:
    req = Request("GET", "/", query={"a": "1"})
    req.state.request = req
    req.context["view"] = req.query
    gone = weakref.ref(req)
    del req
    gc.collect()
    assert gone() is None


def test_the_type_is_final() -> None:
    with pytest.raises(TypeError):
        type("Mine", (Request,), {})
    with pytest.raises(TypeError):
        Request.method = "x"  # type: ignore[misc,assignment]


def test_the_url_has_names_for_its_parts() -> None:
    url = Request("GET", "/a b", query={"q": "1"}, headers={"Host": "Shop.Example:8000"}).url
    assert url == "http://Shop.Example:8000/a%20b?q=1" and isinstance(url, str)
    assert (url.scheme, url.netloc) == ("http", "Shop.Example:8000")
    assert (url.hostname, url.port) == ("shop.example", 8000)
    assert (url.path, url.query) == ("/a%20b", "q=1")
    assert repr(url) == "URL('http://Shop.Example:8000/a%20b?q=1')"
    relative = Request("GET", "/a").url
    assert (relative.scheme, relative.hostname, relative.port) == ("", None, None)
