"""Groups of routes, and the verbs that App shares with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict, Unpack

from cello._cello import Response
from cello._config import Middleware
from cello._routes import (
    Handler,
    HandlerT,
    Route,
    Shared,
    caller,
    check_blocking,
    check_dependencies,
    check_guards,
    check_max_body,
    check_path,
    check_prefix,
    check_response_class,
    check_responses,
    check_status,
    check_texts,
    check_timeout,
    check_use,
    is_body_mode,
    local_names,
    method_bits,
    selection,
)


class RouteOptions(TypedDict, total=False):
    """What every way to declare a route takes; Verbs says what it means."""

    status: int | None
    status_code: int | None
    use: Iterable[Middleware] | None
    max_body: int | None
    name: str | None
    tags: Iterable[str] | None
    summary: str | None
    description: str | None
    guards: Iterable[Callable[..., Any]] | None
    dependencies: Iterable[Any] | None
    response_model: Any
    response_model_include: Iterable[str] | Mapping[str, Any] | None
    response_model_exclude: Iterable[str] | Mapping[str, Any] | None
    response_model_exclude_unset: bool
    response_model_exclude_defaults: bool
    response_model_exclude_none: bool
    response_class: type[Response] | None
    response_description: str | None
    body: Any
    responses: Mapping[int | str, Any] | None
    deprecated: bool
    include_in_schema: bool
    operation_id: str | None
    versions: Iterable[str] | None
    const: bool
    blocking: bool | None
    timeout: float | None


class GroupOptions(TypedDict, total=False):
    """What a group gives its routes, besides prefix, name and middleware; Blueprint says what it
    means."""

    tags: Iterable[str] | None
    guards: Iterable[Callable[..., Any]] | None
    dependencies: Iterable[Any] | None
    responses: Mapping[int | str, Any] | None
    deprecated: bool
    include_in_schema: bool
    versions: Iterable[str] | None


def shared(
    prefix: str,
    name: str = "",
    use: Iterable[Middleware] | None = None,
    *,
    tags: Iterable[str] | None = None,
    guards: Iterable[Callable[..., Any]] | None = None,
    dependencies: Iterable[Any] | None = None,
    responses: Mapping[int | str, Any] | None = None,
    deprecated: bool = False,
    include_in_schema: bool = True,
    versions: Iterable[str] | None = None,
) -> Shared:
    """Checked. ValueError, TypeError: what is wrong with a group's arguments."""
    return Shared(
        check_prefix(prefix),
        name,
        check_use(use),
        check_texts("tags", tags),
        check_guards(guards),
        check_dependencies(dependencies),
        check_responses(responses),
        bool(deprecated),
        bool(include_in_schema),
        check_texts("versions", versions),
    )


class Verbs(ABC):
    """Decorators that declare routes.

    status (or status_code): of a bare return value (200, or 204 for None). use: middleware
    configurations for this route. max_body: bytes (413), by default LimitsConfig.max_body_size.
    name: for url_for(), by default the function's. guards: callables that get the request; a false
    result is 403. dependencies: Depends(...) whose values nobody needs. response_model: the type
    that answers are filtered by, by default the declared return type. response_model_include and
    _exclude: names of its fields; response_model_exclude_unset, _defaults, _none: fields with such
    values; all of pydantic models. response_class: what a bare return value is answered by. body:
    the type of the JSON body; or "stream": the handler is called before the body is read, and reads
    it with req.stream(). versions: of the API that have this route, by default all. const: the
    handler takes nothing and is called once, now; what it returns is answered without entering
    Python, and without guards, dependencies, hooks and middleware in Python. blocking: a def runs
    on the thread pool (True) or never there (False), by default once it proves to wait. timeout:
    seconds until the response begins (504), 0 for none, by default TimeoutConfig.handler. tags,
    summary, description, responses, response_description, deprecated, include_in_schema,
    operation_id: for its documentation.

    ValueError and TypeError name what is wrong with the declaration.
    """

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
        name: str | None = None,
        tags: Iterable[str] | None = None,
        summary: str | None = None,
        description: str | None = None,
        guards: Iterable[Callable[..., Any]] | None = None,
        dependencies: Iterable[Any] | None = None,
        response_model: Any = None,
        response_model_include: Iterable[str] | Mapping[str, Any] | None = None,
        response_model_exclude: Iterable[str] | Mapping[str, Any] | None = None,
        response_model_exclude_unset: bool = False,
        response_model_exclude_defaults: bool = False,
        response_model_exclude_none: bool = False,
        response_class: type[Response] | None = None,
        response_description: str | None = None,
        body: Any = None,
        responses: Mapping[int | str, Any] | None = None,
        deprecated: bool = False,
        include_in_schema: bool = True,
        operation_id: str | None = None,
        versions: Iterable[str] | None = None,
        const: bool = False,
        blocking: bool | None = None,
        timeout: float | None = None,
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
                name,
                check_texts("tags", tags),
                summary,
                description,
                check_guards(guards),
                check_dependencies(dependencies),
                response_model,
                None if is_body_mode(body) else body,
                check_responses(responses),
                bool(deprecated),
                bool(include_in_schema),
                operation_id,
                check_texts("versions", versions),
                scope,
                selection=selection(
                    response_model_include,
                    response_model_exclude,
                    response_model_exclude_unset,
                    response_model_exclude_defaults,
                    response_model_exclude_none,
                ),
                response_class=check_response_class(response_class),
                response_description=response_description,
                const=bool(const),
                blocking=check_blocking(blocking),
                timeout=check_timeout(timeout),
                stream=is_body_mode(body) and body == "stream",
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
        check_path(path)

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
    """A group of routes; blueprints nest, and what the outer one has comes first.

    prefix: "" or "/like/this". name: goes before the names of its routes ("name.function"), by
    default the fixed parts of the prefix. use: middleware configurations for all its routes. tags,
    guards, dependencies, responses: added to those of its routes. deprecated, include_in_schema:
    of all its routes. versions: of routes that do not say their own.
    """

    def __init__(
        self,
        prefix: str = "",
        name: str | None = None,
        *,
        use: Iterable[Middleware] | None = None,
        **options: Unpack[GroupOptions],
    ) -> None:
        if name is None:
            parts = check_prefix(prefix).split("/")
            name = ".".join(part for part in parts if part and "{" not in part)
        self.prefix = prefix
        self.name = name
        self._shared = shared(prefix, name, use, **options)
        self._routes: list[Route] = []

    def _add(self, route: Route) -> None:
        self._routes.append(route)

    def register_blueprint(
        self, blueprint: Blueprint, prefix: str = "", **options: Unpack[GroupOptions]
    ) -> None:
        """Take in the routes that another blueprint has now, below a prefix and with what else is
        given here."""
        if blueprint is self:
            raise ValueError("a blueprint cannot contain itself")
        check_blueprint(blueprint)
        self._routes.extend(blueprint._below(shared(prefix, **options)))

    include = include_router = register_blueprint

    def _below(self, outer: Shared) -> list[Route]:
        """Its routes as they are in another group."""
        return [route.below(self._shared).below(outer) for route in self._routes]

    def __repr__(self) -> str:
        return f"Blueprint({self.prefix!r}, name={self.name!r}, {len(self._routes)} routes)"


def check_blueprint(blueprint: object) -> None:
    """TypeError: something else."""
    if not isinstance(blueprint, Blueprint):
        raise TypeError(f"a Blueprint is needed, not {blueprint!r}")


Router = APIRouter = Blueprint
