"""Versions of an API: in the path, in a header, in a media type."""

from collections.abc import Callable
from typing import Any

import pytest
from api_client import Asker, asking
from cello import (
    App,
    Blueprint,
    HeaderVersioning,
    MediaTypeVersioning,
    PathVersioning,
    SecurityHeadersConfig,
)


def says(text: str) -> Callable[[], str]:
    return lambda: text


def shop(app: App) -> None:
    """/items in v1 and v2, /old in v1, /new in v2, and /all and part of /mixed in every version."""
    app.get("/items", versions=["v1"])(says("one"))
    app.get("/items", versions=["v2"])(says("two"))
    app.post("/items", versions=["v2"])(says("posted"))
    app.get("/old/{id:int}", versions=["v1"])(lambda req: [req.route, req.params["id"]])
    api = Blueprint("/b", versions=["v2"])
    api.get("/new")(says("new"))
    api.get("/both", versions=["v1", "v2"])(says("both"))
    app.register_blueprint(api)
    app.get("/all")(says("all"))


def test_versions_in_the_path() -> None:
    app = App(versioning=PathVersioning())
    shop(app)
    app.get("/", versions=["v1"])(says("root"))
    with asking(app) as client:
        assert client.get("/v1/items").text == "one" and client.get("/v2/items").text == "two"
        assert client.ask("/v2/items", "POST").text == "posted"
        assert client.ask("/v1/items", "POST").status == 405
        assert client.get("/v1/old/7").data == ["/v1/old/{id:int}", "7"]
        assert client.get("/v2/b/new").text == "new" and client.get("/v1/b/new").status == 404
        assert client.get("/v1/b/both").text == client.get("/v2/b/both").text == "both"
        assert client.get("/all").text == "all" and client.get("/v1").text == "root"
        for path in ("/v9/items", "/items", "/V1/items", "/v1/all"):
            answer = client.get(path)
            assert answer.status == 404 and "Vary" not in answer.headers


def header(version: str) -> dict[str, str]:
    return {"X-API-Version": version}


def vendor(version: str) -> dict[str, str]:
    return {"Accept": f"application/vnd.shop.{version}+json"}


def parameter(version: str) -> dict[str, str]:
    return {"Accept": f"application/json; version={version}, text/html;q=0"}


WAYS: list[Any] = [
    (HeaderVersioning, header, "X-API-Version"),
    (MediaTypeVersioning, vendor, "Accept"),
    (MediaTypeVersioning, parameter, "Accept"),
]


def problem(client: Asker, path: str, headers: dict[str, str], vary: str) -> str:
    answer = client.ask(path, headers=headers)
    assert answer.status == 406 and answer.headers["Vary"] == vary
    assert answer.headers["Content-Type"] == "application/problem+json"
    return str(answer.data["detail"])


@pytest.mark.parametrize(("kind", "wanting", "vary"), WAYS, ids=["header", "vendor", "parameter"])
def test_versions_in_headers(kind: Any, wanting: Callable[[str], Any], vary: str) -> None:
    app = App(versioning=kind())
    shop(app)
    with asking(app) as client:
        for version, text in (("v1", "one"), ("V2", "two")):
            answer = client.ask("/items", headers=wanting(version))
            assert answer.text == text and answer.headers["Vary"] == vary
        assert client.ask("/items", "HEAD", headers=wanting("v2")).headers["Content-Length"] == "3"
        assert client.ask("/items", "POST", headers=wanting("v2")).text == "posted"
        assert client.ask("/old/7", headers=wanting("v1")).data == ["/old/{id:int}", "7"]
        assert client.ask("/b/both", headers=wanting("v2")).text == "both"
        assert client.ask("/b/new", headers=wanting("v2")).text == "new"
        both = "The resource has the versions v1, v2."
        assert problem(client, "/items", wanting("v9"), vary) == both
        assert problem(client, "/items", {}, vary) == both
        assert problem(client, "/b/new", wanting("v1"), vary) == "The resource has the versions v2."
        free = client.ask("/all", headers=wanting("v9"))
        assert free.text == "all" and "Vary" not in free.headers
        missing = client.ask("/missing", headers=wanting("v1"))
        assert missing.status == 404
        assert client.ask("/items", "PUT", headers=wanting("v1")).headers["Allow"]


@pytest.mark.parametrize(("kind", "wanting", "vary"), WAYS, ids=["header", "vendor", "parameter"])
def test_defaults(kind: Any, wanting: Callable[[str], Any], vary: str) -> None:
    app = App(versioning=kind(default="v2"))
    shop(app)
    with asking(app) as client:
        assert client.get("/items").text == "two"
        assert client.ask("/items", headers={"Accept": "*/*"}).text == "two"
        assert client.ask("/items", headers=wanting("v1")).text == "one"
        assert problem(client, "/items", wanting("v9"), vary)
        assert problem(client, "/old/1", {}, vary) == "The resource has the versions v1."


def test_a_route_without_versions_has_those_that_are_left() -> None:
    app = App(versioning=HeaderVersioning("X-V"))
    app.get("/x", versions=["v2"])(says("two"))
    app.get("/x")(says("others"))
    app.static_response("/y", "constant")
    app.get("/y", versions=["v2"])(says("two"))
    with asking(app) as client:
        assert client.get("/x", X_V="v2").text == client.get("/y", X_V="v2").text == "two"
        assert client.get("/x").text == client.get("/x", X_V="v1").text == "others"
        answer = client.get("/y", X_V="v9")
        assert answer.text == "constant" and answer.headers["Vary"] == "X-V"


def test_each_version_has_its_own_middleware_and_limits() -> None:
    app = App(versioning=HeaderVersioning("X-V"))
    app.post("/x", versions=["v1"], use=[SecurityHeadersConfig(coop="one")], max_body=1)(says("1"))
    app.post("/x", versions=["v2"], status=201)(says("2"))
    with asking(app) as client:
        first = client.ask("/x", "POST", body=b"1", headers={"X-V": "v1"})
        assert first.status == 200 and first.headers["Cross-Origin-Opener-Policy"] == "one"
        assert client.ask("/x", "POST", body=b"12", headers={"X-V": "v1"}).status == 413
        second = client.ask("/x", "POST", body=b"12", headers={"X-V": "v2"})
        assert second.status == 201 and "Cross-Origin-Opener-Policy" not in second.headers


def test_errors_vary_too() -> None:
    app = App(versioning=HeaderVersioning("X-V", default="v1"))
    app.get("/x", versions=["v1"])(lambda: 1 / 0)
    with asking(app) as client:
        answer = client.get("/x")
        assert answer.status == 500 and answer.headers["Vary"] == "X-V"


@pytest.mark.parametrize("versioning", [PathVersioning(), HeaderVersioning()])
def test_the_same_version_twice_names_both_places(versioning: Any) -> None:
    app = App(versioning=versioning)
    app.get("/x", versions=["v1", "v2"])(says("1"))
    with pytest.raises(ValueError, match=r"test_versioning\.py:\d+.*test_versioning\.py:\d+"):
        app.get("/x", versions=["v2", "v3"])(says("2"))


def test_what_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match="versioning is PathVersioning"):
        App(versioning="path")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name of a header"):
        App(versioning=HeaderVersioning("X Version"))
    with pytest.raises(ValueError, match="'/'"):
        App(versioning=PathVersioning()).get("/", versions=["v/1"])(says("x"))
    with pytest.raises(ValueError, match="prefix"):
        PathVersioning(prefix="api")
    with pytest.raises(ValueError, match=r"test_versioning\.py:\d+: versions= needs App"):
        App().get("/", versions=["v1"])(says("x"))
    for wrong in (1, ""):
        for kind in (HeaderVersioning, MediaTypeVersioning):
            with pytest.raises((TypeError, ValueError), match="default is a version"):
                kind(default=wrong)  # type: ignore[arg-type]
    assert repr(HeaderVersioning("X", default="v1")) == "HeaderVersioning('X', default='v1')"
    assert repr(MediaTypeVersioning()) == "MediaTypeVersioning(default=None)"
    assert repr(PathVersioning()) == "PathVersioning(prefix='')"
