"""cello.Response: what is refused, and what is kept for the engine."""

import gc
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from cello import MultiMap, Response

CONTROL = ["\r", "\n", "\0", "a\r\nb", "\x1b", "\x7f"]
FRAMING = ["Content-Length", "transfer-encoding", "CONNECTION", "Keep-Alive", "Date"]


def cookies_of(response: Response) -> list[str]:
    return response.headers.get_all("set-cookie")


def one_cookie(*args: object, **kwargs: object) -> str:
    response = Response()
    response.set_cookie(*args, **kwargs)  # type: ignore[arg-type]
    (cookie,) = cookies_of(response)
    return cookie


# ---- the constructor ----


def test_defaults() -> None:
    r = Response()
    assert r.body is None and r.status == 200 and r.content_type is None
    assert isinstance(r.headers, Mapping) and len(r.headers) == 0


def test_everything_given() -> None:
    r = Response("x", 201, {"X-A": "1", "X-B": ["2", "3"]}, "text/csv")
    assert (r.body, r.status, r.content_type) == ("x", 201, "text/csv")
    assert r.headers.multi_items() == [
        ("content-type", "text/csv"), ("x-a", "1"), ("x-b", "2"), ("x-b", "3")
    ]  # fmt: skip


def test_aliases() -> None:
    r = Response(content="x", status_code=404, media_type="text/x")
    assert r.body == "x" and r.status == r.status_code == 404
    assert r.content_type == r.media_type == "text/x"
    r.status_code = 500
    r.media_type = "text/y"
    assert r.status == 500 and r.content_type == "text/y"
    with pytest.raises(TypeError, match="'body' twice"):
        Response("x", content="y")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (None, None),
        ("", "text/plain; charset=utf-8"),
        (b"", "application/octet-stream"),
        (bytearray(), "application/octet-stream"),
        (memoryview(b""), "application/octet-stream"),
        ({}, "application/json"),
        (0, "application/json"),
        (False, "application/json"),
        (object(), "application/json"),
    ],
)
def test_content_type_by_the_body(body: object, content_type: str | None) -> None:
    r = Response(body)
    assert r.content_type == content_type and r.body is body
    r.content_type = "a/b"
    assert r.content_type == "a/b"
    r.content_type = None
    assert r.content_type == content_type


def test_body_can_be_replaced() -> None:
    r = Response.json("x")
    assert r.content_type == "application/json"
    r.body = "y"
    assert r.body == "y" and r.content_type == "text/plain; charset=utf-8"
    with pytest.raises(AttributeError):
        del r.body


@pytest.mark.parametrize("status", [0, 100, 199, 600, -200, 2**70, True, "200", 200.0, None])
def test_bad_status(status: object) -> None:
    with pytest.raises(ValueError, match="status must be an int from 200 to 599"):
        Response(status=status)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="status"):
        Response().status = status  # type: ignore[assignment]
    with pytest.raises(ValueError, match="status"):
        Response.json({}, status=status)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [*CONTROL, "", " a", "\ud800"])
def test_bad_content_type(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Response(content_type=text)
    with pytest.raises(ValueError):  # noqa: PT011
        Response().content_type = text
    with pytest.raises(ValueError):  # noqa: PT011
        Response(headers={"Content-Type": text})


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'nope'"):
        Response(nope=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="at most 4"):
        Response(1, 200, None, None, None)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="headers"):
        Response(headers=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="content_type must be str"):
        Response(content_type=b"a/b")  # type: ignore[arg-type]


# ---- headers ----


def test_set_replaces_and_append_adds() -> None:
    r = Response()
    r.append_header("X-A", "1")
    r.append_header("x-a", "2")
    assert r.headers.get_all("x-a") == ["1", "2"]
    r.set_header("X-a", "3")
    assert r.headers.get_all("X-A") == ["3"]
    r.set_header(name="X-B", value="")
    assert r.headers["x-b"] == ""


def test_headers_shows_what_is_set_later() -> None:
    r = Response("x")
    before = r.headers
    r.set_header("X-A", "1")
    assert before["x-a"] == "1"


@pytest.mark.parametrize(
    "source",
    [{"A": "1"}, [("A", "1")], (("A", "1"),), MultiMap([("A", "1")]), iter([("A", "1")])],
    ids=["dict", "list", "tuple", "multimap", "iterator"],
)
def test_sources_of_headers(source: object) -> None:
    assert Response(headers=source).headers == {"a": "1"}  # type: ignore[arg-type]


def test_content_type_is_one_field() -> None:
    r = Response.json({}, headers={"content-type": "application/problem+json"})
    assert r.content_type == "application/problem+json"
    r.set_header("Content-Type", "a/b")
    r.append_header("CONTENT-TYPE", "c/d")
    assert r.headers.get_all("content-type") == ["c/d"]
    both = Response("x", headers={"Content-Type": "a/b"}, content_type="c/d")
    assert both.content_type == "c/d", "the argument wins"


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", "ä", "a\0", "a\r\n", "(a)"])
def test_names_are_tokens(name: str) -> None:
    with pytest.raises(ValueError, match="token"):
        Response(headers={name: "x"})
    with pytest.raises(ValueError, match="token"):
        Response().set_header(name, "x")
    with pytest.raises(ValueError, match="token"):
        Response().append_header(name, "x")


@pytest.mark.parametrize("value", [*CONTROL, " a", "a ", "a\t"])
def test_values_have_no_control_characters(value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        Response(headers=[("X-A", value)])
    with pytest.raises(ValueError, match="control character"):
        Response().set_header("X-A", value)
    with pytest.raises(ValueError, match="control character"):
        Response().append_header("X-A", value)


@pytest.mark.parametrize("name", FRAMING)
def test_framing_belongs_to_the_engine(name: str) -> None:
    with pytest.raises(ValueError, match="the engine writes it"):
        Response(headers={name: "1"})
    with pytest.raises(ValueError, match="the engine writes it"):
        Response().set_header(name, "1")


def test_values_may_be_utf_8() -> None:
    assert Response(headers={"X-A": "ä\tö"}).headers["x-a"] == "ä\tö"
    with pytest.raises(ValueError, match="surrogate"):
        Response(headers={"X-A": "\ud800"})


@pytest.mark.parametrize(
    ("name", "value"), [("a", 1), ("a", None), ("a", b"x"), (1, "x"), (b"a", "x")]
)
def test_only_str_headers(name: object, value: object) -> None:
    with pytest.raises(TypeError):
        Response(headers={name: value})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="must be str"):
        Response().set_header(name, value)  # type: ignore[arg-type]


def test_a_refused_header_leaves_the_others() -> None:
    r = Response(headers={"X-A": "1"})
    with pytest.raises(ValueError, match="control"):
        r.set_header("X-A", "\n")
    assert r.headers["x-a"] == "1"


# ---- cookies ----


def test_cookie_defaults() -> None:
    assert one_cookie("a", "b") == "a=b; Path=/; SameSite=Lax"
    assert one_cookie("a") == "a=; Path=/; SameSite=Lax"


def test_cookie_attributes() -> None:
    cookie = one_cookie(
        "a", "b", max_age=60, expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), path="/x",
        domain="cello.example", secure=True, httponly=True, samesite="None", partitioned=True,
    )  # fmt: skip
    parts = cookie.split("; ")
    assert parts[0] == "a=b"
    assert set(parts[1:]) == {
        "Max-Age=60", "Expires=Wed, 02 Jan 2030 03:04:05 GMT", "Path=/x", "Domain=cello.example",
        "Secure", "HttpOnly", "SameSite=None", "Partitioned",
    }  # fmt: skip


def test_cookie_without_attributes() -> None:
    assert one_cookie("a", "b", path=None, samesite=None, domain=None, max_age=None) == "a=b"


def test_expires_knows_zones() -> None:
    zone = timezone(timedelta(hours=2))
    assert "02 Jan 2030 01:04:05 GMT" in one_cookie(
        "a", expires=datetime(2030, 1, 2, 3, 4, 5, 0, zone)
    )
    with pytest.raises(ValueError, match="time zone"):
        one_cookie("a", expires=datetime(2030, 1, 2))
    endless = SimpleNamespace(tzinfo=UTC, timestamp=lambda: 1e300)
    for wrong in (60, "tomorrow", object(), endless):
        with pytest.raises(TypeError, match="expires must be a datetime"):
            one_cookie("a", expires=wrong)


def test_cookies_add_up() -> None:
    r = Response()
    r.set_cookie("a", "1")
    r.set_cookie("a", "2")
    assert len(cookies_of(r)) == 2


def test_delete_cookie() -> None:
    r = Response()
    r.delete_cookie("a")
    r.delete_cookie("__Host-b")
    r.delete_cookie("c", path="/x", domain="cello.example")
    a, b, c = cookies_of(r)
    assert "Max-Age=0" in a and "Expires=Thu, 01 Jan 1970 00:00:00 GMT" in a and "Path=/;" in a
    assert "Secure" in b and "Path=/x" in c and "Domain=cello.example" in c


@pytest.mark.parametrize("text", [*CONTROL, ";", "a b", ",", '"', "\\", "ä"])
def test_bad_cookie_values(text: str) -> None:
    with pytest.raises(ValueError, match="by its value"):
        one_cookie("a", text)


@pytest.mark.parametrize("name", [*CONTROL, "", "a b", "a=b", "a;b", "ä"])
def test_bad_cookie_names(name: str) -> None:
    with pytest.raises(ValueError, match="by its name"):
        one_cookie(name, "x")
    with pytest.raises(ValueError, match="by its name"):
        Response().delete_cookie(name)


@pytest.mark.parametrize(
    ("fault", "kwargs"),
    [
        *(("path", {"path": text}) for text in (*CONTROL, "x", "/;", "/ä")),
        *(("domain", {"domain": text}) for text in (*CONTROL, "a b", "a;b", "ä.example")),
        ("secure", {"samesite": "none"}),
        ("secure", {"partitioned": True}),
        ("secure", {"key": "__Secure-a"}),
        ("secure", {"key": "__Host-a"}),
        ("path", {"key": "__Host-a", "secure": True, "path": "/x"}),
        ("domain", {"key": "__Host-a", "secure": True, "domain": "a.example"}),
        ("value", {"value": "x" * 5000}),
    ],
)
def test_bad_cookie_attributes(fault: str, kwargs: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"by its {fault}"):
        one_cookie(**{"key": "a", "value": "b"} | kwargs)


def test_cookie_argument_types() -> None:
    with pytest.raises(ValueError, match="samesite must be"):
        one_cookie("a", samesite="sometimes")
    for name, wrong in {"max_age": "1", "secure": 1, "httponly": "yes", "domain": 1}.items():
        with pytest.raises(TypeError, match=f"{name} must be"):
            one_cookie("a", **{name: wrong})
    with pytest.raises(ValueError, match="max_age is out of range"):
        one_cookie("a", max_age=2**70)
    with pytest.raises(TypeError, match="positional"):
        one_cookie("a", "b", 5)


# ---- the class methods ----


def test_json() -> None:
    for value in ({"a": 1}, [], "text", None, 5):
        r = Response.json(value)
        assert r.body == value and r.status == 200 and r.content_type == "application/json"
    assert Response.json({}, 400, {"X-A": "1"}).headers["x-a"] == "1"


@pytest.mark.parametrize(
    ("make", "content_type"),
    [
        (Response.text, "text/plain; charset=utf-8"),
        (Response.html, "text/html; charset=utf-8"),
        (Response.xml, "application/xml"),
    ],
)
def test_text_kinds(make, content_type: str) -> None:  # type: ignore[no-untyped-def]
    assert make("x").content_type == content_type
    assert make(b"x", status=404).status == 404
    assert make("x", headers={"Content-Type": "a/b"}).content_type == "a/b"
    for wrong in ({"a": 1}, None, 5):
        with pytest.raises(TypeError, match="body must be str or bytes"):
            make(wrong)


def test_binary() -> None:
    assert Response.binary(b"x").content_type == "application/octet-stream"
    with pytest.raises(TypeError, match="body must be bytes-like"):
        Response.binary("x")  # type: ignore[arg-type]


def test_redirect() -> None:
    r = Response.redirect("/next")
    assert r.status == 307 and r.headers["location"] == "/next" and r.body is None
    assert Response.redirect("/x", 301).status == 301
    assert Response.redirect("/x", status=303, headers={"X-A": "1"}).headers["x-a"] == "1"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://a.example/ä b?q=ü#x", "https://a.example/%C3%A4%20b?q=%C3%BC#x"),
        ("/50%25/[1]?a=b&c=d+e", "/50%25/[1]?a=b&c=d+e"),
        ('/"<>\\^`{|}', "/%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("", ""),
    ],
)
def test_redirect_encodes(url: str, location: str) -> None:
    assert Response.redirect(url).headers["location"] == location
    assert Response.created(location=url).headers["location"] == location


@pytest.mark.parametrize("text", CONTROL)
def test_locations_have_no_control_characters(text: str) -> None:
    with pytest.raises(ValueError, match="url has a control character"):
        Response.redirect("/" + text)
    with pytest.raises(ValueError, match="location has a control character"):
        Response.created(location="/" + text)


@pytest.mark.parametrize("status", [200, 300, 304, 306, 400])
def test_redirect_redirects(status: int) -> None:
    with pytest.raises(ValueError, match="301, 302, 303, 307 or 308"):
        Response.redirect("/", status)


def test_redirect_takes_a_str() -> None:
    with pytest.raises(TypeError, match="url must be str"):
        Response.redirect(b"/")  # type: ignore[arg-type]


def test_no_content_and_created() -> None:
    empty = Response.no_content({"X-A": "1"})
    assert empty.status == 204 and empty.body is None and empty.headers == {"x-a": "1"}
    made = Response.created({"id": 1}, location="/items/1")
    assert made.status == 201 and made.body == {"id": 1} and made.headers["location"] == "/items/1"
    assert made.content_type == "application/json"
    bare = Response.created()
    assert bare.body is None and bare.content_type is None and "location" not in bare.headers
    assert Response.created("x").content_type == "application/json"


# ---- headers as a mapping ----


def test_headers_are_set_through_the_mapping() -> None:
    r = Response("x")
    r.headers["X-A"] = "1"
    r.headers.append("x-a", "2")
    assert r.headers.get_all("X-A") == ["1", "2"] and r.headers["x-a"] == "1"
    r.headers["x-A"] = "3"
    assert r.headers.get_all("x-a") == ["3"] and len(r.headers) == 2
    assert r.headers.setdefault("X-A", "4") == "3" and r.headers.setdefault("X-B", "5") == "5"
    r.headers.update({"X-B": "6", "content-type": "text/csv"})
    r.headers.update([("X-C", "7")])
    assert r.content_type == "text/csv"
    assert dict(r.headers) == {"content-type": "text/csv", "x-a": "3", "x-b": "6", "x-c": "7"}
    del r.headers["X-a"]
    assert "x-a" not in r.headers and r.headers.get("x-a", "none") == "none"
    assert repr(r.headers).startswith("ResponseHeaders([('content-type'")


def test_what_the_mapping_refuses() -> None:
    headers = Response("x").headers
    for name, value in [("X A", "1"), ("X-A", "1\r\nX-B: 2"), ("Content-Length", "9")]:
        with pytest.raises(ValueError, match="cannot be set"):
            headers[name] = value
    with pytest.raises(TypeError, match="header value must be str"):
        headers["X-A"] = 1  # type: ignore[assignment]
    with pytest.raises(KeyError):
        del headers["X-A"]
    with pytest.raises(KeyError):
        headers["X-A"]
    with pytest.raises(TypeError, match="mapping or pairs"):
        headers.update(["ab", "abc"])  # type: ignore[list-item]


def test_headers_keep_their_response() -> None:
    headers = Response("x", headers={"X-A": "1"}).headers
    gc.collect()
    assert headers["x-a"] == "1" and headers == Response("y", headers={"X-A": "1"}).headers


# ---- subclasses and memory ----


class Csv(Response):
    def __init__(self, rows: list[list[str]], status: int = 200) -> None:
        super().__init__("\n".join(map(",".join, rows)), status, content_type="text/csv")


def test_subclasses() -> None:
    r = Csv([["a", "b"], ["c"]])
    assert r.body == "a,b\nc" and r.content_type == "text/csv"
    r.note = 1  # type: ignore[attr-defined]
    assert repr(r) == "<Csv 200 text/csv>" and repr(Response()) == "<Response 200 None>"
    made = Csv.text("x")
    assert type(made) is Csv and made.body == "x"


def test_init_again_starts_over() -> None:
    r = Response("x", 404, {"X-A": "1"}, "a/b")
    r.__init__("y")  # type: ignore[misc]
    assert (
        r.body == "y"
        and r.status == 200
        and r.headers.multi_items() == [("content-type", "text/plain; charset=utf-8")]
    )


def test_cycles_are_collected() -> None:
    r = Response()
    r.body = [r]
    gone = weakref.ref(r)
    del r
    gc.collect()
    assert gone() is None
