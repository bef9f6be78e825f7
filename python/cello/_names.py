"""Names of routes, the URLs that are made from them, and the paths of versions."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from cello._base import Base
from cello._blueprint import Verbs
from cello._routes import Route
from cello._versioning import Versioning


class Routing(Verbs, Base):
    """What an application knows of all its routes; a base of App."""

    def __init__(self, versioning: Versioning | None) -> None:
        if versioning is not None and not isinstance(versioning, Versioning):
            raise TypeError(f"versioning is PathVersioning() or the like, not {versioning!r}")
        self._versioning = versioning
        if versioning and versioning._engine:
            self._version_by(*versioning._engine)
        self._names: dict[str, list[Route]] = {}

    @abstractmethod
    def _add_endpoint(self, route: Route) -> None:
        """Hand a route to the engine."""

    def _add(self, route: Route) -> None:
        self._check_name(route)
        if route.versions and self._versioning is None:
            raise ValueError(f"{route.where}: versions= needs App(versioning=PathVersioning())")
        for one in self._paths(route):
            self._add_endpoint(one)
        self._names.setdefault(route.full_name, []).append(route)

    def _paths(self, route: Route) -> list[Route]:
        return self._versioning._paths(route) if self._versioning else [route]

    def _check_name(self, route: Route) -> None:
        """ValueError: a name that was given belongs to another path of the same version."""
        if route.name is None:
            return
        for other in self._names.get(route.full_name, ()):
            together = not (route.versions or other.versions) or (
                set(route.versions) & set(other.versions)
            )
            if other.name is not None and together and other.path != route.path:
                raise ValueError(
                    f"{route.where}: the name {route.full_name!r} is that of {other.path!r} "
                    f"({other.where}) already"
                )

    def url_for(self, name: str, /, **params: Any) -> str:
        """The path of a route by its name, with its parameters filled in, below App.root_path.

        name: "function", in a blueprint "blueprint.function", or what name= said. Parameters that
        are not part of the path become the query: a list gives one for each item, None is left out.
        version= chooses among a route's versions.

        LookupError: no route has the name, or several do. ValueError: a parameter is missing, or is
        not what the path says. TypeError: a value that cannot be written in a URL.
        """
        from cello import _paths

        path = self._path_of(name, params)
        try:
            return self.root_path + _paths.fill(path, params) + _paths.query(params)
        except (TypeError, ValueError) as error:
            raise type(error)(f"url_for({name!r}): {error} (path {path!r})") from None

    def _path_of(self, name: str, params: dict[str, Any]) -> str:
        """As it was declared; takes `version` out of the parameters where it chooses."""
        found = self._names.get(name)
        if not found:
            raise LookupError(f"no route is named {name!r}{self._similar(name)}")
        found = [route for route in found if route.name is not None] or found
        if any(route.versions for route in found):
            version = params.pop("version", None)
            if version is not None:
                found = [r._replace(versions=(version,)) for r in found if version in r.versions]
            if not found:
                raise LookupError(f"the route {name!r} has no version {version!r}")
        paths = {one.path: one for route in found for one in self._paths(route)}
        if len(paths) > 1:
            places = ", ".join(f"{path!r} ({one.where})" for path, one in paths.items())
            raise LookupError(f"several routes are named {name!r}: {places}")
        return next(iter(paths))

    def _similar(self, name: str) -> str:
        last = name.rpartition(".")[2]
        near = [known for known in self._names if known.rpartition(".")[2] == last]
        return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
