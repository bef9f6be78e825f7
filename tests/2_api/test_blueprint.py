"""Blueprints: prefixes, nesting, middleware, and what else they give their routes."""

from typing import Any

import pytest
from api_client import asking
from cello import APIRouter, App, Blueprint, Router, SecurityHeadersConfig
from cello._params import Depends
from cello._routes import Route

VERBS = ["get", "post", "put", "delete", "patch", "options", "head"]


def test_names() -> None:
    assert Router is APIRouter is Blueprint
    assert Blueprint("/a/{id:int}/b").name == "a.b" and Blueprint().name == ""
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
    with asking(app) as client:
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
    with asking(app) as client:
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
    with asking(app) as client:
        assert client.get("/b/early").status == 200 and client.get("/b/late").status == 404


def test_middleware_from_the_outside_in() -> None:
    inner = Blueprint("/i", use=[SecurityHeadersConfig(csp="inner", coop="inner")])
    outer = Blueprint("/o", use=[SecurityHeadersConfig(csp="outer", coop="outer", corp="outer")])
    inner.get("/", use=[SecurityHeadersConfig(csp="route")])(lambda: "x")
    outer.register_blueprint(inner)
    app = App(use=[SecurityHeadersConfig(csp="app", coep="app")])
    app.register_blueprint(outer)
    with asking(app) as client:
        headers = client.get("/o/i").headers
        assert headers["Content-Security-Policy"] == "route"
        assert headers["Cross-Origin-Opener-Policy"] == "inner"
        assert headers["Cross-Origin-Resource-Policy"] == "outer"
        assert headers["Cross-Origin-Embedder-Policy"] == "app"
        assert client.get("/").headers["Content-Security-Policy"] == "app"


class Recorder(App):
    """Keeps the routes as they arrive at the application."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Route] = []

    def _add(self, route: Route) -> None:
        self.seen.append(route)


def handler() -> str:
    return "x"


def test_what_groups_give_their_routes() -> None:
    def guard(req: Any) -> bool:
        return True

    outer_guard, inner_guard, route_guard = (lambda req: guard(req) for _ in range(3))
    first, second, third, fourth = (Depends(lambda: None) for _ in range(4))
    inner = Blueprint(
        "/i",
        tags=["b", "c"],
        guards=[inner_guard],
        dependencies=[third],
        responses={404: {"description": "inner"}, "4XX": {}},
        versions=["v1"],
    )
    inner.get(
        "/",
        tags=["d", "b"],
        guards=[route_guard],
        dependencies=[fourth],
        responses={404: {"description": "route"}},
        versions=["v2"],
    )(handler)
    inner.get("/x", name="mine", deprecated=True, include_in_schema=False)(handler)
    outer = Blueprint(
        "/o", "out", tags=["a"], guards=[outer_guard], dependencies=[second], versions=["v3"]
    )
    outer.register_blueprint(inner, responses={500: {}, 404: {"description": "outer"}})
    outer.get("/own")(handler)
    app = Recorder()
    app.register_blueprint(outer, tags=["z"], dependencies=[first], deprecated=True)

    route, named, own = app.seen
    assert route.tags == ("z", "a", "b", "c", "d") and named.tags == ("z", "a", "b", "c")
    assert route.guards == (outer_guard, inner_guard, route_guard)
    assert route.dependencies == (first, second, third, fourth)
    assert own.dependencies == (first, second) and own.guards == (outer_guard,)
    assert route.responses == {500: {}, 404: {"description": "route"}, "4XX": {}}
    assert named.responses == {500: {}, 404: {"description": "inner"}, "4XX": {}}
    assert (route.versions, named.versions, own.versions) == (("v2",), ("v1",), ("v3",))
    assert route.deprecated and named.deprecated and own.deprecated
    assert route.include_in_schema and not named.include_in_schema
    assert [r.full_name for r in app.seen] == ["out.i.handler", "out.i.mine", "out.handler"]
    hidden = Blueprint("/h", include_in_schema=False)
    hidden.get("/")(handler)
    app.include(hidden)
    assert not app.seen[-1].include_in_schema and not app.seen[-1].deprecated


def test_options_of_a_route_are_kept() -> None:
    app = Recorder()
    app.add_route(
        "/",
        handler,
        summary="short",
        description="long",
        response_model=int,
        body=float,
        operation_id="id",
    )
    (route,) = app.seen
    assert (route.summary, route.description, route.operation_id) == ("short", "long", "id")
    assert route.response_model is int and route.body is float
    assert route.scope is None and route.full_name == "handler" and route.name is None
    assert route.where.rpartition(":")[0] == __file__


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tags": "users"}, "tags is a list of str, not 'users'"),
        ({"tags": [5]}, "tags is a list of str"),
        ({"versions": "v1"}, "versions is a list"),
        ({"guards": handler}, "guards is a list"),
        ({"guards": [1]}, "callables that get the request, not 1"),
        ({"dependencies": [handler]}, r"list of Depends\(function\)"),
        ({"dependencies": [Depends()]}, r"list of Depends\(function\)"),
        ({"responses": {"what": {}}}, "'what' is no status"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Blueprint(**options)
    with pytest.raises((TypeError, ValueError), match=message):
        App().register_blueprint(Blueprint(), **options)
    with pytest.raises((TypeError, ValueError), match=message):
        App().get("/", **options)(handler)
    if options.keys() <= {"guards", "dependencies"}:
        with pytest.raises(TypeError, match=message):
            App(**options)


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


def test_a_route_is_refused_with_all_its_methods() -> None:
    app = App()
    app.delete("/x")(handler)
    place = r"test_blueprint\.py:\d+"
    with pytest.raises(ValueError, match=rf"{place}: route .DELETE /x. .*{place}"):
        app.route("/x", ["GET", "POST", "DELETE"])(handler)
    app.get("/x")(lambda: "the second try")
    with asking(app) as client:
        assert client.get("/x").text == "the second try"
        assert client.ask("/x", "POST").status == 405
