"""Guards: what they let in, what they answer, in which order they are asked."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from api_client import asking
from cello import (
    And,
    App,
    Authenticated,
    Blueprint,
    Guard,
    HTTPError,
    Not,
    Or,
    PermissionGuard,
    Request,
    RoleGuard,
)


def asked(identity: Any = None) -> Request:
    request = Request("GET", "/")
    request.identity = identity
    return request


def answer(guard: Callable[[Request], Any], identity: Any = None) -> Any:
    """True, False, or the status of the HTTPError."""
    try:
        found = guard(asked(identity))
        return asyncio.run(found) if hasattr(found, "__await__") else found
    except HTTPError as error:
        return error.status


def yes(request: Request) -> bool:
    return True


def no(request: Request) -> bool:
    return False


async def later(request: Request) -> bool:
    await asyncio.sleep(0)
    return request.identity is not None


def teapot(request: Request) -> bool:
    raise HTTPError(418)


def forbidden(request: Request) -> bool:
    raise HTTPError(403)


class IsLocal(Guard):
    def __call__(self, request: Request) -> bool:
        return request.remote_addr == "127.0.0.1"


def test_identity_of_a_request() -> None:
    request = Request("GET", "/")
    assert request.identity is None
    request.identity = who = object()
    assert request.identity is who
    request.identity = request  # a cycle, which the collector frees
    del request.identity
    assert request.identity is None


# guard, identity, what it says
SAYS: list[tuple[Any, Any, Any]] = [
    (Authenticated(), None, 401),
    (Authenticated(), "someone", True),
    (Authenticated(), {}, True),
    (RoleGuard("admin"), None, 401),
    (RoleGuard("admin"), {"roles": ["user", "admin"]}, True),
    (RoleGuard("admin", "owner"), {"roles": {"owner"}}, True),
    (RoleGuard(["admin", "owner"]), SimpleNamespace(roles=("owner",)), True),
    (RoleGuard("admin"), SimpleNamespace(role="admin"), True),
    (RoleGuard("admin"), {"role": "user administrator"}, False),
    (RoleGuard("admin"), {"roles": None}, False),
    (RoleGuard("admin"), "admin", False),
    (PermissionGuard("read", "write"), {"permissions": ["write", "read", "x"]}, True),
    (PermissionGuard("read", "write"), {"permissions": ["write"]}, False),
    (PermissionGuard(["read"]), {"scope": "write read"}, True),
    (PermissionGuard("read"), SimpleNamespace(scopes=["read"]), True),
    (PermissionGuard("read"), None, 401),
    (And(yes, Authenticated()), 1, True),
    (And(no, teapot), 1, False),
    (And(yes, teapot), 1, 418),
    (And(Authenticated(), yes), None, 401),
    (Or(no, yes, teapot), None, True),
    (Or(no, no), None, False),
    (Or(no, Authenticated(), RoleGuard("a")), None, 401),
    (Or(Authenticated(), yes), None, True),
    (Or(Authenticated(), forbidden), None, 401),
    (Or(forbidden, Authenticated()), None, 403),
    (Or(RoleGuard("admin"), no), {"roles": []}, False),
    (Or(teapot, yes), None, 418),
    (Or([no, yes]), None, True),
    (Not(no), None, True),
    (Not(yes), None, False),
    (Not(Authenticated()), None, True),
    (Not(Authenticated()), 1, False),
    (Not(teapot), None, 418),
    (Authenticated() & RoleGuard("a") & yes, {"roles": "a"}, True),
    (Authenticated() | RoleGuard("a"), None, 401),
    (~Authenticated(), None, True),
    (And(yes, later), 1, True),
    (And(yes, later), None, False),
    (Or(no, Not(And(later))), None, True),
    (Or(Authenticated(), later), None, 401),
    (~And(later, yes), 1, False),
]


@pytest.mark.parametrize(("guard", "identity", "says"), SAYS, ids=[repr(s[0]) for s in SAYS])
def test_what_guards_say(guard: Any, identity: Any, says: Any) -> None:
    assert answer(guard, identity) == says


def test_what_is_no_guard() -> None:
    wrong: list[Callable[[], Any]] = [
        lambda: And(),
        lambda: And(yes, 1),
        lambda: Or([]),
        lambda: RoleGuard(),
        lambda: PermissionGuard([]),
        lambda: App().add_guard("x"),  # type: ignore[type-var]
        lambda: App().authenticate("x"),  # type: ignore[type-var]
        lambda: Guard(),  # type: ignore[abstract]
    ]
    for declare in wrong:
        with pytest.raises(TypeError):
            declare()


def user(request: Request) -> Any:
    name = request.get_header("x-user")
    return {"name": name, "roles": request.get_header("x-roles", "")} if name else None


async def user_later(request: Request) -> Any:
    await asyncio.sleep(0)
    return user(request)


def who(req: Any) -> Any:
    return req.identity


@pytest.mark.parametrize("identify", [user, user_later], ids=["def", "async def"])
def test_guards_of_a_served_application(identify: Any) -> None:
    app = App()
    app.authenticate(identify, challenge="Custom realm=x")
    app.get("/open")(who)
    app.get("/mine", guards=[Authenticated()])(who)
    app.get("/admin", guards=[RoleGuard("admin"), IsLocal()])(who)
    app.get("/none", guards=[no])(who)

    @app.get("/later/{n:int}", guards=[later])
    async def number(n: int) -> int:
        return n

    with asking(app) as client:
        assert client.get("/open", x_user="me").status == 204, "no guards: nobody asks who it is"
        refused = client.get("/mine")
        assert refused.status == 401 and refused.headers["WWW-Authenticate"] == "Custom realm=x"
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.data["detail"] == "Not authenticated."
        assert client.get("/mine", x_user="me").data["name"] == "me"
        assert client.get("/admin", x_user="me", x_roles="user").status == 403
        assert client.get("/admin", x_user="me", x_roles="admin user").data["name"] == "me"
        assert client.get("/none", x_user="me").status == 403
        assert client.get("/later/5").status == 403
        assert client.get("/later/5", x_user="me").data == 5


def test_guards_are_asked_from_the_outside_in() -> None:
    asked_for: list[str] = []

    def named(name: str) -> Callable[[Request], bool]:
        def guard(request: Request) -> bool:
            asked_for.append(name)
            return name != request.query.get("stop")

        return guard

    app = App(guards=[named("app")])
    app.add_guard(named("added"))
    inner, outer = (
        Blueprint("/i", guards=[named("inner")]),
        Blueprint("/o", guards=[named("outer")]),
    )

    @inner.get("/{n:int}", guards=[named("route")])
    def show(n: int, wrong: int) -> list[int]:
        return [n, wrong]

    outer.register_blueprint(inner)
    app.register_blueprint(outer, guards=[named("include")])
    with asking(app) as client:
        assert client.get("/o/i/1?wrong=2").data == [1, 2]
        assert asked_for == ["app", "added", "include", "outer", "inner", "route"]
        del asked_for[:]
        assert client.get("/o/i/1?wrong=x&stop=outer").status == 403, "guards go before values"
        assert asked_for == ["app", "added", "include", "outer"]


def test_guards_are_declared_before_the_start() -> None:
    app = App()
    app.get("/")(who)
    with asking(app):
        for declare in (app.add_guard, app.authenticate):
            with pytest.raises(RuntimeError, match="once the application was started"):
                declare(user)


def test_an_exception_in_a_guard_is_one_of_the_route() -> None:
    app = App()
    app.get("/teapot", guards=[teapot])(who)
    app.get("/bug", guards=[lambda request: 1 / 0])(who)
    with asking(app) as client:
        assert client.get("/teapot").status == 418
        assert client.get("/bug").status == 500
