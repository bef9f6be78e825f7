"""URLs from the names of routes: what is made is what the router takes."""

import datetime
import enum
import uuid
from typing import Any

import pytest
from api_client import asking
from cello import App, Blueprint
from cello._versioning import HeaderVersioning, PathVersioning

ID = uuid.UUID("12345678-1234-5678-9abc-def012345678")


class Colour(enum.Enum):
    RED = "a b"


class Size(enum.StrEnum):
    BIG = "big"


def show(req: Any) -> list[Any]:
    return [req.route, dict(req.params), {k: req.query.get_all(k) for k in req.query}]


# path, parameters, the URL, what arrives
MADE: list[tuple[str, dict[str, Any], str, dict[str, str]]] = [
    ("/", {}, "/", {}),
    ("/plain", {}, "/plain", {}),
    ("/café/{x}", {"x": "é/ ?#%&+"}, "/caf%C3%A9/%C3%A9%2F%20%3F%23%25&+", {"x": "é/ ?#%&+"}),
    ("/i/{x:int}", {"x": -5}, "/i/-5", {"x": "-5"}),
    ("/i/{x:int}", {"x": "12"}, "/i/12", {"x": "12"}),
    ("/f/{x:float}", {"x": 2.5}, "/f/2.5", {"x": "2.5"}),
    ("/f/{x:float}", {"x": 1e16}, "/f/10000000000000000.000000", {"x": f"{1e16:f}"}),
    ("/u/{x:uuid}", {"x": ID}, f"/u/{ID}", {"x": str(ID)}),
    ("/d/{x:date}", {"x": datetime.date(2024, 2, 29)}, "/d/2024-02-29", {"x": "2024-02-29"}),
    ("/a/{x:alpha}", {"x": "abc"}, "/a/abc", {"x": "abc"}),
    ("/s/{x:slug}", {"x": "a-b_9"}, "/s/a-b_9", {"x": "a-b_9"}),
    ("/p/{x:path}", {"x": "a b/c;d/"}, "/p/a%20b/c;d/", {"x": "a b/c;d/"}),
    ("/v{a:int}.json/{b}", {"a": 3, "b": "..x"}, "/v3.json/..x", {"a": "3", "b": "..x"}),
    ("/e{a}/{b}", {"a": Colour.RED, "b": Size.BIG}, "/ea%20b/big", {"a": "a b", "b": "big"}),
    ("/b/{a}/{b}", {"a": True, "b": "\\"}, "/b/true/%5C", {"a": "true", "b": "\\"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "params", "url", "arrives"), MADE, ids=[m[2] for m in MADE])
def test_urls_lead_back(
    path: str, params: dict[str, Any], url: str, arrives: dict[str, str]
) -> None:
    app = App()
    app.get(path)(show)
    assert app.url_for("show", **params) == url
    with asking(app) as client:
        assert client.get(url).data == [path, arrives, {}]


def test_what_is_not_in_the_path_is_the_query() -> None:
    app = App()
    app.get("/{id:int}")(show)
    url = app.url_for("show", id=1, q="a&b=c d+é", tags=["x", 2], page=None, on=False, empty="")
    assert url == "/1?q=a%26b%3Dc%20d%2B%C3%A9&tags=x&tags=2&on=false&empty="
    with asking(app) as client:
        query = {"q": ["a&b=c d+é"], "tags": ["x", "2"], "on": ["false"], "empty": [""]}
        assert client.get(url).data == ["/{id:int}", {"id": "1"}, query]


# path, parameters, what the message says
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("/{x}", {}, "url_for('show'): the parameter 'x' is missing (path '/{x}')"),
    ("/{x}", {"x": ""}, "is text, not ''"),
    ("/{x}", {"x": None}, "the parameter 'x' cannot be part of a URL: None"),
    ("/{x}", {"x": b"a"}, "cannot be part of a URL: b'a'"),
    ("/{x}", {"x": ".."}, "'.' or '..'"),
    ("/{x}", {"x": 1, "q": {}}, "the parameter 'q' cannot be part of a URL: {}"),
    ("/{x}", {"x": 1, "q": [[1]]}, "the parameter 'q' cannot"),
    ("/{x:int}", {"x": "a"}, "the parameter 'x' is int, not 'a'"),
    ("/{x:int}", {"x": 1.5}, "is int, not 1.5"),
    ("/{x:int}", {"x": "\N{ARABIC-INDIC DIGIT ONE}"}, "is int, not"),
    ("/{x:float}", {"x": float("nan")}, "is float, not nan"),
    ("/{x:uuid}", {"x": "1234"}, "is uuid, not '1234'"),
    ("/{x:date}", {"x": "2023-02-29"}, "is date, not '2023-02-29'"),
    ("/{x:date}", {"x": "2020-W01-1"}, "is date, not"),
    ("/{x:alpha}", {"x": "é"}, "is alpha, not 'é'"),
    ("/{x:slug}", {"x": "a b"}, "is slug, not 'a b'"),
    ("/{x:path}", {"x": ""}, "is path, not ''"),
    ("/{x:path}", {"x": "/evil.example"}, "would begin with '//'"),
    ("/p/{x:path}", {"x": "a/../b"}, "'.' or '..'"),
]


@pytest.mark.parametrize(("path", "params", "message"), REFUSED, ids=range(len(REFUSED)))
def test_values_that_do_not_fit(path: str, params: dict[str, Any], message: str) -> None:
    app = App()
    app.get(path)(show)
    with pytest.raises((ValueError, TypeError)) as caught:
        app.url_for("show", **params)
    assert message in str(caught.value)


def test_names() -> None:
    app, users, admin = App(), Blueprint("/users"), Blueprint("/admin", "staff")
    app.get("/", name="home")(show)
    users.get("/{id:int}")(show)
    users.post("/{id:int}")(show)
    users.get("/{id:int}/posts", name="posts")(show)
    admin.register_blueprint(users)
    app.register_blueprint(users)
    app.register_blueprint(admin, prefix="/x")
    assert app.url_for("home") == "/"
    assert app.url_for("users.show", id=1) == "/users/1"
    assert app.url_for("staff.users.show", id=1) == "/x/admin/users/1"
    assert app.url_for("staff.users.posts", id=1) == "/x/admin/users/1/posts"
    with pytest.raises(LookupError, match=r"no route is named 'nobody'$"):
        app.url_for("nobody")
    with pytest.raises(LookupError, match=r"did you mean 'users.posts' or 'staff.users.posts'\?"):
        app.url_for("posts")


def test_a_given_name_is_taken_once() -> None:
    app = App()
    app.get("/a", name="same")(show)
    app.post("/a", name="same")(show)
    with pytest.raises(ValueError, match=r"test_url_for\.py:\d+: .*'same' .*'/a' \(.*\.py:\d+\)"):
        app.get("/b", name="same")(show)
    with asking(app) as client:
        assert client.get("/b").status == 404, "the refused route is not there"
    assert app.url_for("same") == "/a"


def test_functions_may_share_a_name_until_it_is_used() -> None:
    app = App()
    app.get("/a")(show)
    app.get("/b")(show)
    with pytest.raises(LookupError, match=r"several .*'/a' \(.*\.py:\d+\), '/b' \("):
        app.url_for("show")
    app.get("/c", name="show")(lambda: "x")
    assert app.url_for("show") == "/c", "a name that was given goes first"


def test_a_refused_route_leaves_no_name() -> None:
    app = App()
    app.get("/{a}")(lambda: "x")
    with pytest.raises(ValueError, match="conflicts"):
        app.get("/{b}", name="b")(lambda: "x")
    with pytest.raises(LookupError):
        app.url_for("b", b=1)


def test_versions_in_the_path() -> None:
    app = App(versioning=PathVersioning(prefix="/api"))
    app.get("/users/{id}", versions=["v1", "v2"], name="user")(show)
    app.get("/people/{id}", versions=["v3"], name="user")(show)
    app.get("/one", versions=["v1"], name="one")(show)
    assert app.url_for("user", id=1, version="v2") == "/api/v2/users/1"
    assert app.url_for("user", id=1, version="v3") == "/api/v3/people/1"
    assert app.url_for("one") == "/api/v1/one"
    with pytest.raises(LookupError, match="several"):
        app.url_for("user", id=1)
    with pytest.raises(LookupError, match="no version 'v9'"):
        app.url_for("user", id=1, version="v9")
    with pytest.raises(ValueError, match="'user'"):
        app.get("/others/{id}", versions=["v2"], name="user")(show)


def test_versions_in_a_header() -> None:
    app = App(versioning=HeaderVersioning())
    app.get("/users", versions=["v1"], name="user")(show)
    app.get("/people", versions=["v2"], name="user")(show)
    assert app.url_for("user", version="v2", q=1) == "/people?q=1"


def test_root_path_is_put_back() -> None:
    app = App(root_path="/shop", trailing_slash="redirect")
    app.get("/items/{id:int}", name="item")(lambda req: "item")
    assert app.url_for("item", id=1, page=2) == "/shop/items/1?page=2"
    app.enable_openapi()
    assert app.openapi()["servers"] == [{"url": "/shop"}]
    with asking(app) as client:  # as the proxy asks; where it leads holds below any prefix
        assert client.get("/items/1/").headers["Location"] == "../1"
    with pytest.raises(ValueError, match="a prefix begins with '/'"):
        App(root_path="shop/")
