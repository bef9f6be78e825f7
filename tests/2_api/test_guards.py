"""Guards: what they let in, and what they answer."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from cello import (
    And,
    App,
    Authenticated,
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
