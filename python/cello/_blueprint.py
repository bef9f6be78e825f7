"""Groups of routes, and the verbs that App shares with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict, Unpack

from cello._config import Middleware
from cello._routes import (
    Handler,
    HandlerT,
    Route,
    caller,
    check_max_body,
    check_prefix,
    check_status,
    check_use,
    local_names,
    method_bits,
)


class RouteOptions(TypedDict, total=False):
    """What every way to declare a route takes; Verbs says what it means."""

    status: int | None
    status_code: int | None
    use: Iterable[Middleware] | None
    max_body: int | None


class Verbs(ABC):
    """Decorators that declare routes. status: of a bare return value (200, or 204 for None);
    use: middleware configurations for this route; max_body: bytes (413), by default
    LimitsConfig.max_body_size. ValueError and TypeError name what is wrong with the declaration."""

    @abstractmethod
    def _add(self, route: Route) -> None:
        """App and Blueprint each keep routes in their own way."""

    def add_route(
        self,
        path: str,
        handler: Handler,
        methods: Iterable[str] = ("GET",),
        **options: Unpack[RouteOptions],
    ) -> None:
        """Declare a route without a decorator."""
        self._declare(path, handler, methods, caller(1), local_names(handler, 1), **options)

    def _declare(
        self,
        path: str,
        handler: Handler,
        methods: Iterable[str],
        where: str,
        scope: Mapping[str, Any] | None,
        *,
        status: int | None = None,
        status_code: int | None = None,
        use: Iterable[Middleware] | None = None,
        max_body: int | None = None,
    ) -> None:
        self._add(
            Route(
                method_bits(methods),
                path,
                where,
                handler,
                check_status(status, status_code),
                check_max_body(max_body),
                check_use(use),
                scope=scope,
            )
        )

    def route(
        self, path: str, methods: Iterable[str] = ("GET",), **options: Unpack[RouteOptions]
    ) -> Callable[[HandlerT], HandlerT]:
        """Declare a route for several methods."""
        return self._verb(path, methods, options)

    def _verb(
        self, path: str, methods: Iterable[str], options: RouteOptions
    ) -> Callable[[HandlerT], HandlerT]:
        def declare(handler: HandlerT) -> HandlerT:
            self._declare(path, handler, methods, caller(1), local_names(handler, 1), **options)
            return handler

        return declare

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """GET, and HEAD where no route of its own answers it."""
        return self._verb(path, ("GET",), options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """POST."""
        return self._verb(path, ("POST",), options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """PUT."""
        return self._verb(path, ("PUT",), options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """DELETE."""
        return self._verb(path, ("DELETE",), options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """PATCH."""
        return self._verb(path, ("PATCH",), options)

    def options(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """OPTIONS; without such a route the engine answers it with `Allow`."""
        return self._verb(path, ("OPTIONS",), options)

    def head(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """HEAD."""
        return self._verb(path, ("HEAD",), options)


class Blueprint(Verbs):
    """A group of routes under a prefix, with middleware of its own; blueprints nest.

    prefix: "" or "/like/this". use: middleware configurations for all its routes.
    """

    def __init__(
        self, prefix: str = "", name: str | None = None, *, use: Iterable[Middleware] | None = None
    ) -> None:
        self.prefix = check_prefix(prefix)
        self.name = name or prefix.strip("/").replace("/", ".") or "root"
        self._use = check_use(use)
        self._routes: list[Route] = []

    def _add(self, route: Route) -> None:
        self._routes.append(route)

    def register_blueprint(self, blueprint: Blueprint, prefix: str = "") -> None:
        """Take in the routes that another blueprint has now."""
        if blueprint is self:
            raise ValueError("a blueprint cannot contain itself")
        self._routes.extend(blueprint.routes(prefix))

    include = include_router = register_blueprint

    def routes(self, prefix: str = "") -> list[Route]:
        """Its routes as they are below `prefix`."""
        below = check_prefix(prefix) + self.prefix
        return [route.below(below, use=self._use) for route in self._routes]

    def __repr__(self) -> str:
        return f"Blueprint({self.prefix!r}, name={self.name!r}, {len(self._routes)} routes)"


Router = APIRouter = Blueprint
