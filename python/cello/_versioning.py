"""How a request says which version of the API it means."""

from __future__ import annotations

from typing import Literal

from cello._routes import Route, check_prefix


class Versioning:
    """The base of the ways; App(versioning=...) takes one."""

    # What the engine is told: the way, the header's name, the version of who says none.
    _engine: tuple[Literal["header", "media_type"], str, str | None] | None = None

    def _paths(self, route: Route) -> list[Route]:
        """The route as the engine gets it."""
        return [route]


class PathVersioning(Versioning):
    """The version is the first segment: /v1/users.

    prefix: goes before the version: "/api" gives /api/v1/users. A route without versions keeps its
    path. An unknown version is a path that does not exist: 404.
    """

    def __init__(self, *, prefix: str = "") -> None:
        self.prefix = check_prefix(prefix)

    def _paths(self, route: Route) -> list[Route]:
        return [
            route._replace(path=self._path(version, route.path), versions=(version,))
            for version in route.versions
        ] or [route]

    def _path(self, version: str, path: str) -> str:
        if any(c in "/{}" for c in version):
            raise ValueError(f"a version in a path has no '/', '{{' and '}}': {version!r}")
        return f"{self.prefix}/{version}{'' if path == '/' else path}"

    def __repr__(self) -> str:
        return f"PathVersioning(prefix={self.prefix!r})"


class HeaderVersioning(Versioning):
    """The version is the value of a header: `X-API-Version: v1`.

    default: the version that a request without the header means; None: a route without versions, or
    406. An unknown version is 406. Answers of versioned paths say `Vary` with the header's name.
    """

    def __init__(self, header: str = "X-API-Version", *, default: str | None = None) -> None:
        self.header = header
        self.default = check_default(default)
        self._engine = ("header", header, default)

    def __repr__(self) -> str:
        return f"HeaderVersioning({self.header!r}, default={self.default!r})"


class MediaTypeVersioning(Versioning):
    """The version is part of a media type that the request accepts: the last part of a vendor's
    type, `Accept: application/vnd.shop.v1+json`, or a parameter, `Accept:
    application/json; version=v1`.

    default: the version that a request without such a type means; None: a route without versions,
    or 406. Unknown versions are 406. Answers of versioned paths say `Vary: Accept`; their own type
    stays what it is.
    """

    def __init__(self, *, default: str | None = None) -> None:
        self.default = check_default(default)
        self._engine = ("media_type", "Accept", default)

    def __repr__(self) -> str:
        return f"MediaTypeVersioning(default={self.default!r})"


def check_default(default: str | None) -> str | None:
    """TypeError, ValueError: neither None nor a version."""
    if default is not None and not isinstance(default, str):
        raise TypeError(f"default is a version such as 'v1', not {default!r}")
    if default == "":
        raise ValueError("default is a version such as 'v1', not ''")
    return default
