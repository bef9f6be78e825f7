"""Guards: who may enter a route."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from typing import Any, ClassVar, TypeVar, overload

from cello._base import Base
from cello._cello import Request
from cello._errors import HTTPError
from cello._routes import Route, check_guards

Check = Callable[[Request], Any]
CheckT = TypeVar("CheckT", bound=Check)
Asking = Generator[Check, bool, bool]


class Guard(ABC):
    """The base of guards that are objects; any callable that takes the request is a guard too.

    A false result is 403, an HTTPError what it says. `a & b`, `a | b` and `~a` are And, Or and Not.
    """

    @abstractmethod
    def __call__(self, request: Request) -> bool | Awaitable[bool]:
        """Whether the request may go on; `async def` if that takes waiting."""

    def __and__(self, other: Check) -> And:
        return And(self, other)

    def __or__(self, other: Check) -> Or:
        return Or(self, other)

    def __invert__(self) -> Not:
        return Not(self)


class Authenticated(Guard):
    """Lets in who has an identity; 401 for others. See App.authenticate."""

    def __call__(self, request: Request) -> bool:
        identity_of(request)
        return True

    def __repr__(self) -> str:
        return "Authenticated()"


class RoleGuard(Guard):
    """Lets in who has one of these roles: 401 without an identity, 403 without the role.

    They are the identity's `roles` or `role`, an attribute or an item: a list, or names with spaces
    between.
    """

    _held: ClassVar[tuple[str, ...]] = ("roles", "role")

    def __init__(self, *names: Any) -> None:
        self.names = frozenset(flat(names))
        if not self.names:
            raise TypeError(f"{type(self).__name__} needs at least one name")

    def __call__(self, request: Request) -> bool:
        return not self.names.isdisjoint(held_by(identity_of(request), self._held))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(sorted(map(repr, self.names)))})"


class PermissionGuard(RoleGuard):
    """Lets in who has all of these permissions: 401 without an identity, 403 without one of them.

    They are the identity's `permissions`, `scopes` or `scope`, an attribute or an item: a list, or
    names with spaces between.
    """

    _held: ClassVar[tuple[str, ...]] = ("permissions", "scopes", "scope")

    def __call__(self, request: Request) -> bool:
        return self.names <= held_by(identity_of(request), self._held)


def flat(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Of (a, b) and of ([a, b],): (a, b)."""
    one = given[0] if len(given) == 1 else None
    return tuple(one) if isinstance(one, (list, tuple, set, frozenset)) else given


def identity_of(request: Request) -> Any:
    """HTTPError 401: there is none."""
    if request.identity is not None:
        return request.identity
    challenge = getattr(request.app, "_challenge", None)
    headers = {"WWW-Authenticate": challenge} if challenge else None
    raise HTTPError(401, "Not authenticated.", headers=headers)


def held_by(identity: Any, keys: Iterable[str]) -> frozenset[Any]:
    """What an identity has under the first of these names that it knows."""
    for key in keys:
        known = isinstance(identity, Mapping)
        value = identity.get(key) if known else getattr(identity, key, None)
        if value is not None:
            return frozenset(value.split() if isinstance(value, str) else value)
    return frozenset()


# ---- guards of guards ----


class Combined(Guard):
    """The base of And, Or and Not; asynchronous if one of its guards is."""

    _awaiting: ClassVar[type[Combined]]

    def __new__(cls, *guards: Any) -> Combined:
        from cello._callables import is_async

        some = any(is_async(guard) for guard in flat(guards) if callable(guard))
        return super().__new__(cls._awaiting if some else cls)

    def __init__(self, *guards: Any) -> None:
        self.guards = check_guards(flat(guards))
        if not self.guards:
            raise TypeError(f"{type(self).__name__} needs at least one guard")

    @abstractmethod
    def _ask(self) -> Asking:
        """Yields guards, is sent what they say or thrown what they raise, and returns the answer.
        It knows nothing of waiting."""

    def __call__(self, request: Request) -> Any:
        asking = self._ask()
        try:
            guard = next(asking)
            while True:
                try:
                    answer = bool(guard(request))
                except HTTPError as error:
                    guard = asking.throw(error)
                else:
                    guard = asking.send(answer)
        except StopIteration as end:
            return end.value

    def __repr__(self) -> str:
        name = type(self).__name__.removeprefix("Async")
        return f"{name}({', '.join(map(repr, self.guards))})"


class Awaiting(Combined):
    """The asynchronous form of each."""

    async def __call__(self, request: Request) -> bool:
        asking = self._ask()
        try:
            guard = next(asking)
            while True:
                try:
                    answer = guard(request)
                    if hasattr(answer, "__await__"):
                        answer = await answer
                except HTTPError as error:
                    guard = asking.throw(error)
                else:
                    guard = asking.send(bool(answer))
        except StopIteration as end:
            return bool(end.value)


class And(Combined):
    """Lets in whom all guards let in; they are asked in order, until one refuses."""

    def _ask(self) -> Asking:
        for guard in self.guards:
            if not (yield guard):
                return False
        return True


class Or(Combined):
    """Lets in whom one of the guards lets in; they are asked in order. If none does, the first
    HTTPError that one of them raised is the answer, else 403."""

    def _ask(self) -> Asking:
        refusal: HTTPError | None = None
        for guard in self.guards:
            try:
                if (yield guard):
                    return True
            except HTTPError as error:
                refusal = refusal or refusal_of(error)
        if refusal:
            raise refusal
        return False


class Not(Combined):
    """Lets in whom the guard refuses, by a false result or by 401 or 403."""

    def __init__(self, guard: Check) -> None:
        super().__init__(guard)

    def _ask(self) -> Asking:
        try:
            return not (yield self.guards[0])
        except HTTPError as error:
            refusal_of(error)
            return True


def refusal_of(error: HTTPError) -> HTTPError:
    """Raises the others again."""
    if error.status not in (401, 403):
        raise error
    return error


class AsyncAnd(Awaiting, And):
    pass


class AsyncOr(Awaiting, Or):
    pass


class AsyncNot(Awaiting, Not):
    pass


And._awaiting, Or._awaiting, Not._awaiting = AsyncAnd, AsyncOr, AsyncNot
for _one in (AsyncAnd, AsyncOr, AsyncNot):
    _one._awaiting = _one


# ---- the application's part ----


class Identify:
    """Asked before the guards: sets the request's identity."""

    def __init__(self, function: Callable[[Request], Any]) -> None:
        self._function = function

    def __call__(self, request: Request) -> Any:
        request.identity = self._function(request)
        return True


class IdentifyLater(Identify):
    """By an async function."""

    async def __call__(self, request: Request) -> bool:
        request.identity = await self._function(request)
        return True


class Guarded(Base):
    """Guards and identities; a base of App."""

    _identify: Identify | None = None
    _challenge: str | None = None  # WWW-Authenticate of a 401

    def add_guard(self, guard: CheckT) -> CheckT:
        """A guard for every route, after those that are there: see Guard."""
        self._check_open("guards")
        self._guards += check_guards([guard])
        return guard

    @overload
    def authenticate(self, function: CheckT, *, challenge: str | None = None) -> CheckT: ...
    @overload
    def authenticate(
        self, function: None = None, *, challenge: str | None = None
    ) -> Callable[[CheckT], CheckT]: ...
    def authenticate(
        self, function: CheckT | None = None, *, challenge: str | None = None
    ) -> CheckT | Callable[[CheckT], CheckT]:
        """Declare who asks: function(request) gives what becomes request.identity, None for nobody;
        `def` or `async def`. It runs before the guards, on routes that have any.

        challenge: the value of WWW-Authenticate in a 401 of the guards, such as "Bearer".

        @app.authenticate
        def user(request): return users.get(request.get_header("x-user"))
        """
        from cello._callables import is_async

        def declare(function: CheckT) -> CheckT:
            self._check_open("guards")
            check_guards([function])
            self._identify = (IdentifyLater if is_async(function) else Identify)(function)
            self._challenge = challenge
            return function

        return declare(function) if function is not None else declare

    def _guards_of(self, route: Route) -> tuple[Check, ...]:
        """All that is asked before a route, in order."""
        guards = (*self._guards, *route.guards)
        return (self._identify, *guards) if guards and self._identify else guards
