"""The document of the API, and the pages that show it.

Swagger UI and ReDoc come with the wheel and are served as they lie there, compressed; a page asks
no other server for anything. Everything a page refers to is relative to it, so that it works behind
a proxy that adds a prefix.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cello import _cello
from cello._base import Base
from cello._errors import HTTPError
from cello._routes import Route, caller, method_bits

if TYPE_CHECKING:
    from cello._openapi import Info, Version

# What a page may load: itself. Where "Try it out" sends requests is the user's choice.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src *; worker-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_HTML = "text/html; charset=utf-8"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
{styles}<style>body {{ margin: 0 }} nav {{ padding: 1em; font-family: sans-serif }}</style>
</head>
<body>
{versions}<div id="{kind}"></div>
<script src="{bundle}?{stamp}"></script>
<script src="{start}?{stamp}" data-url="{url}"></script>
</body>
</html>
"""


class _Kind(NamedTuple):
    """One of the two pages: the id of its element, and its files."""

    name: str
    bundle: str
    start: str
    styles: tuple[str, ...]


_SWAGGER = _Kind("swagger-ui", "swagger-ui-bundle.js", "start-swagger.js", ("swagger-ui.css",))
_REDOC = _Kind("redoc", "redoc.standalone.js", "start-redoc.js", ())


class Content:
    """Bytes in the codings that a client may ask for, compressed once."""

    def __init__(self, plain: bytes, content_type: str) -> None:
        import gzip
        import hashlib

        self._codings = {"gzip": gzip.compress(plain, 6, mtime=0), "identity": plain}
        self._content_type = content_type
        self._tag = hashlib.sha256(plain).hexdigest()[:20]

    def answer(self, req: _cello.Request) -> _cello.Response:
        """In the best coding that the client takes; 304 if it has that already."""
        coding = choose_coding(req.get_header("accept-encoding"), list(self._codings))
        tag = f'"{self._tag}-{coding}"'
        headers = {"ETag": tag, "Vary": "Accept-Encoding", "Cache-Control": "no-cache"}
        known = [known.strip() for known in (req.get_header("if-none-match") or "").split(",")]
        if tag in known or f"W/{tag}" in known:
            return _cello.Response(None, 304, headers)
        if coding != "identity":
            headers["Content-Encoding"] = coding
        return _cello.Response(self._codings[coding], 200, headers, self._content_type)


def choose_coding(accepted: str | None, codings: list[str]) -> str:
    """The first of the codings that Accept-Encoding does not rule out (RFC 9110, 12.5.3);
    "identity", the last one, if all are."""
    weights = {}
    for item in (accepted or "").split(","):
        name, _, weight = item.partition(";")
        weights[name.strip().lower()] = weight.replace(" ", "").rstrip("0") not in ("q=", "q=0.")
    others = weights.get("*", False)
    allowed = (coding for coding in codings if weights.get(coding, others))
    return next(allowed, "identity")


class Documented(Base):
    """How an application is described; a base of App."""

    _about: Info | None = None
    # By version; and of how many endpoints, and whether there were exception handlers.
    _documents: dict[str | None, tuple[tuple[int, bool], dict[str, Any]]] | None = None

    def enable_openapi(
        self,
        title: str | None = None,
        version: str | None = None,
        docs_url: str | None = "/docs",
        redoc_url: str | None = "/redoc",
        openapi_url: str = "/openapi.json",
        *,
        servers: Iterable[Mapping[str, Any] | str] | None = None,
        tags: Iterable[Mapping[str, Any] | str] | None = None,
        summary: str | None = None,
        description: str | None = None,
        terms_of_service: str | None = None,
        contact: Mapping[str, Any] | None = None,
        license_info: Mapping[str, Any] | None = None,
    ) -> None:
        """Serve the OpenAPI document of this application, and pages that show it.

        title, version: by default the application's. docs_url: of Swagger UI; redoc_url: of ReDoc;
        None: without that page. servers, tags: OpenAPI's objects, or only their url or name;
        servers by default App.root_path. The rest is for the document's `info`. RuntimeError:
        called twice, or Cello was built without the pages.
        """
        from cello._openapi import Info

        if self._about is not None:
            raise RuntimeError("enable_openapi was called before")
        self._about = Info(
            title or self.title,
            version or self.version,
            summary,
            description,
            terms_of_service,
            contact,
            license_info,
            _objects(servers if servers or not self.root_path else [self.root_path], "url"),
            _objects(tags, "name"),
        )
        site = _Site(self, openapi_url, caller(1))
        site.add_document()
        if docs_url is not None:
            site.add_page(_SWAGGER, docs_url, f"{self._about.title} - Swagger UI")
        if redoc_url is not None:
            site.add_page(_REDOC, redoc_url, f"{self._about.title} - ReDoc")

    def openapi(self, version: str | None = None) -> dict[str, Any]:
        """The OpenAPI 3.1 document: the same object each time, which a program may add to before it
        is first served.

        version: of an application with versions, one of them (ValueError: it has none such). None:
        all of them where the version is part of the path, else the default, or the last one that
        was declared.
        """
        from cello._openapi import Info, document

        if self._documents is None:
            self._documents = {}
        own_errors = bool(self._exception_handlers or self._status_handlers)
        state = len(self._endpoints), own_errors
        known, found = self._documents.get(version, (None, {}))
        if known != state:
            info = self._about or Info(self.title, self.version)
            chosen = self._chosen(version)
            if chosen:
                info = info._replace(version=chosen.name)
            found = document(info, self._endpoints, chosen, own_errors=own_errors)
            self._documents[version] = state, found
        return found

    def _api_versions(self) -> list[str]:
        """In the order of their declaration."""
        names = (name for endpoint in self._endpoints for name in endpoint.route.versions)
        return list(dict.fromkeys(names))

    def _chosen(self, version: str | None) -> Version | None:
        from cello._openapi import Version

        names = self._api_versions()
        if version is not None and version not in names:
            raise ValueError(f"the API has no version {version!r}; its versions are {names}")
        way, header, default = (self._versioning and self._versioning._engine) or ("", "", None)
        if version is None and way and names:
            version = default if default in names else names[-1]
        if version is None:
            return None
        return Version(version, header if way == "header" else None, version == default)


class _Site:
    """Adds the routes of a document and its pages. where: "file:line" that asked for them."""

    def __init__(self, app: Documented, url: str, where: str) -> None:
        self._app = app
        self._url = url
        self._where = where

    def add_document(self) -> None:
        app = self._app
        made: dict[str | None, Content] = {}

        def openapi(req: _cello.Request) -> _cello.Response:
            version = req.get_query_param("version")
            if version not in made:
                if version is not None and version not in app._api_versions():
                    raise HTTPError(404, f"the API has no version {version!r}")
                data = _cello.json_dumps(app.openapi(version))
                made[version] = Content(data, "application/json")
            return made[version].answer(req)

        self._route(self._url, openapi)

    def add_page(self, kind: _Kind, url: str, title: str) -> None:
        folder = url.rstrip("/")
        policy = ("Content-Security-Policy", _POLICY)

        def page(req: _cello.Request) -> _cello.Response:
            body = self._page(kind, url, title, self._app._api_versions())
            return _cello.Response(body, 200, [policy], _HTML)

        if self._app._versioning is None:
            self._constant(url, _HTML, self._page(kind, url, title, []), policy)
        else:  # versions are known when all routes are
            self._route(url, page)
        for name in (kind.bundle, kind.start, *kind.styles):
            self._add_file(f"{folder}/{name}", name)

    def _page(self, kind: _Kind, url: str, title: str, versions: list[str]) -> bytes:
        from html import escape

        from cello import _paths

        folder = url.rstrip("/")
        links = [
            f'<a href="{escape(_paths.query({"version": name}))}">{escape(name)}</a>\n'
            for name in versions
        ]
        stamp = _stamp()
        styles = "".join(
            f'<link rel="stylesheet" href="{escape(_from(url, f"{folder}/{name}"))}?{stamp}">\n'
            for name in kind.styles
        )
        return _PAGE.format(
            title=escape(title),
            styles=styles,
            versions=f"<nav>Version\n{''.join(links)}</nav>\n" if links else "",
            kind=kind.name,
            bundle=escape(_from(url, f"{folder}/{kind.bundle}")),
            start=escape(_from(url, f"{folder}/{kind.start}")),
            stamp=stamp,
            url=escape(_from(url, self._url)),
        ).encode()

    def _add_file(self, path: str, name: str) -> None:
        """Files of others lie compressed, and go out so: what shows these pages can read gzip."""
        kind = _TYPES[posixpath.splitext(name)[1]]
        kept = ("Cache-Control", "public, max-age=31536000, immutable")
        if name in _OWN:
            self._constant(path, kind, _content(name), kept)
        else:
            self._constant(path, kind, _content(f"{name}.gz"), kept, ("Content-Encoding", "gzip"))

    def _constant(self, path: str, kind: str, body: bytes, *headers: tuple[str, str]) -> None:
        get = method_bits(("GET",))
        self._app._add_constant(get, path, self._where, 200, kind, list(headers), body)

    def _route(self, path: str, handler: Callable[[_cello.Request], _cello.Response]) -> None:
        """The application's dependencies are of its own routes; its guards are of this one too."""
        route = Route(method_bits(("GET",)), path, self._where, handler)
        self._app._register(route._replace(include_in_schema=False), ())


def _from(page: str, target: str) -> str:
    """The relative URL of one absolute path in the page at another."""
    return posixpath.relpath(target, posixpath.dirname(page))


def _objects(
    given: Iterable[Mapping[str, Any] | str] | None, name: str
) -> tuple[Mapping[str, Any], ...]:
    return tuple({name: item} if isinstance(item, str) else item for item in given or ())


# ---- files ----

_FOLDER = posixpath.join(posixpath.dirname(__file__), "_pages")
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_OWN = ("start-swagger.js", "start-redoc.js")


def _content(name: str) -> bytes:
    try:
        with open(f"{_FOLDER}/{name}", "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise RuntimeError(
            "this build of Cello is without the pages of Swagger UI and ReDoc: build it with "
            "CELLO_PAGES on, or call enable_openapi(docs_url=None, redoc_url=None)"
        ) from None


def _stamp() -> str:
    """Changes with the files, so that browsers may keep them for ever."""
    import zlib

    return f"{zlib.crc32(_content('packages.txt') + _cello.VERSION.encode()):08x}"
