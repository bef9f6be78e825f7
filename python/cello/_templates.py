"""HTML from Jinja2 templates; Jinja2 is imported when templates are enabled."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cello import _cello
from cello._base import Base

if TYPE_CHECKING:
    from jinja2 import Environment


class Templates(Base):
    """Templates of an application; a base of App."""

    _environment: Environment | None = None

    def enable_templates(
        self,
        directory: str | os.PathLike[str] = "templates",
        *,
        autoescape: bool = True,
        filters: Mapping[str, Callable[..., Any]] | None = None,
        globals: Mapping[str, Any] | None = None,
        cache_directory: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """Make render() take templates from a directory; the Jinja2 Environment, for what is not
        offered here.

        directory: relative to the file that calls this. autoescape: values become text in HTML
        unless they are marked safe; off only for templates that are not HTML. filters, globals:
        for all templates, which have `url_for` besides. cache_directory: where compiled templates
        are kept between starts; who can write there can run code. While the application is
        debugged, templates are read again when they were saved.

        ImportError: Jinja2 is not installed. NotADirectoryError: there is no such directory.
        """
        try:
            import jinja2
        except ImportError:
            raise ImportError("templates need Jinja2: pip install 'cello[templates]'") from None
        here = os.path.dirname(os.path.abspath(sys._getframe(1).f_code.co_filename))
        path = os.path.join(here, directory)
        if not os.path.isdir(path):
            raise NotADirectoryError(f"there is no directory of templates {path!r}")
        cache = (
            jinja2.FileSystemBytecodeCache(os.fspath(cache_directory)) if cache_directory else None
        )
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(path),
            autoescape=autoescape,
            bytecode_cache=cache,
            auto_reload=False,
        )
        environment.filters.update(filters or {})
        environment.globals.update(url_for=self.url_for)  # type: ignore[attr-defined]
        environment.globals.update(globals or {})
        self._environment = environment
        return environment

    def render(
        self,
        req: _cello.Request,
        name: str,
        context: Mapping[str, Any] | None = None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> _cello.Response:
        """A template as an HTML response. In the template: what `context` has, `request` (also
        `req`) and `url_for(name, **params)`.

        RuntimeError: enable_templates() was not called. jinja2.TemplateNotFound, and what the
        template raises.
        """
        environment = self._environment
        if environment is None:
            raise RuntimeError("render() needs App.enable_templates() before")
        if not isinstance(name, str):
            raise TypeError("render() takes the request, then the name of the template")
        environment.auto_reload = self._debug_pages
        values = {"request": req, "req": req, **(context or {})}
        text = environment.get_template(name).render(values)
        return _cello.Response.html(text, status, headers)
