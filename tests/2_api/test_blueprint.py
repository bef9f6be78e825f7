"""Blueprints: prefixes, nesting, middleware."""

from typing import Any

import pytest
from api_client import serving
from cello import APIRouter, App, Blueprint, Router, SecurityHeadersConfig

VERBS = ["get", "post", "put", "delete", "patch", "options", "head"]


def test_names() -> None:
    assert Router is APIRouter is Blueprint
    assert Blueprint("/a/b").name == "a.b" and Blueprint().name == "root"
    assert Blueprint("/a", "mine").name == "mine" and Blueprint("/a").prefix == "/a"
    assert repr(Blueprint("/a")) == "Blueprint('/a', name='a', 0 routes)"


def test_all_verbs() -> None:
    blueprint = Blueprint("/b")
    for verb in VERBS:
        getattr(blueprint, verb)(f"/{verb}", status=202)(lambda: "x")
    blueprint.route("/two", ["GET", "PUT"])(lambda: "x")
    blueprint.add_route("/added", lambda: "x", ["POST"])
    app = App()
    app.register_blueprint(blueprint)
    with serving(app) as client:
        for verb in VERBS:
            assert client.ask(f"/b/{verb}", verb.upper()).status == 202
        assert client.ask("/b/two", "PUT").status == client.ask("/b/added", "POST").status == 200


def test_prefixes_and_nesting() -> None:
    inner, middle, outer = Blueprint("/inner"), Blueprint(), Blueprint("/outer/{id:int}")
    inner.get("/")(lambda req: [req.route, dict(req.params)])
    inner.get("/x")(lambda req: [req.route, dict(req.params)])
    middle.register_blueprint(inner, "/between")
    outer.include(middle)
    app = App()
    app.include_router(outer, prefix="/api")
    app.include(inner)
    with serving(app) as client:
        route = "/api/outer/{id:int}/between/inner"
        assert client.get("/api/outer/7/between/inner").data == [route, {"id": "7"}]
        assert client.get("/api/outer/7/between/inner/x").data == [f"{route}/x", {"id": "7"}]
        assert client.get("/inner").data == ["/inner", {}]
        assert client.get("/inner/").status == 404


def test_routes_are_copied_when_registered() -> None:
    blueprint = Blueprint("/b")
    blueprint.get("/early")(lambda: "x")
    app = App()
    app.register_blueprint(blueprint)
    blueprint.get("/late")(lambda: "x")
    with serving(app) as client:
        assert client.get("/b/early").status == 200 and client.get("/b/late").status == 404


def test_middleware_from_the_outside_in() -> None:
    inner = Blueprint("/i", use=[SecurityHeadersConfig(csp="inner", coop="inner")])
    outer = Blueprint("/o", use=[SecurityHeadersConfig(csp="outer", coop="outer", corp="outer")])
    inner.get("/", use=[SecurityHeadersConfig(csp="route")])(lambda: "x")
    outer.register_blueprint(inner)
    app = App(use=[SecurityHeadersConfig(csp="app", coep="app")])
    app.register_blueprint(outer)
    with serving(app) as client:
        headers = client.get("/o/i").headers
        assert headers["Content-Security-Policy"] == "route"
        assert headers["Cross-Origin-Opener-Policy"] == "inner"
        assert headers["Cross-Origin-Resource-Policy"] == "outer"
        assert headers["Cross-Origin-Embedder-Policy"] == "app"
        assert client.get("/").headers["Content-Security-Policy"] == "app"


@pytest.mark.parametrize("prefix", ["a", "/", "/a/", "a/"])
def test_wrong_prefixes(prefix: str) -> None:
    for declare in (
        lambda: Blueprint(prefix),
        lambda: App().register_blueprint(Blueprint(), prefix),
        lambda: Blueprint().register_blueprint(Blueprint(), prefix),
    ):
        with pytest.raises(ValueError, match="prefix"):
            declare()


def test_what_cannot_be_declared() -> None:
    blueprint = Blueprint("/a")
    with pytest.raises(ValueError, match="itself"):
        blueprint.register_blueprint(blueprint)
    with pytest.raises(TypeError, match="use"):
        Blueprint(use=[5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="status"):
        blueprint.get("/", status=1)(lambda: "x")

    def handler(a: Any, b: Any) -> None:
        pass

    blueprint.get("/")(handler)
    with pytest.raises(TypeError, match=r"test_blueprint\.py:\d+: handler .*'b'"):
        App().register_blueprint(blueprint)
