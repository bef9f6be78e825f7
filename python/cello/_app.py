"""The application: what a program declares."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar, Unpack

from cello import _cello, _log
from cello._background import BackgroundTasks
from cello._blueprint import Blueprint, GroupOptions, check_blueprint, shared
from cello._config import (
    LimitsConfig,
    Middleware,
    RequestIdConfig,
    SecurityHeadersConfig,
    ThreadPoolConfig,
    TimeoutConfig,
)
from cello._docs import Documented
from cello._errors import ClientDisconnected, HTTPError, Problem, RequestValidationError
from cello._files import Files
from cello._names import Routing
from cello._planned import Planned
from cello._routes import (
    caller,
    check_dependencies,
    check_guards,
    check_prefix,
    check_use,
    method_bits,
)
from cello._server import Serving
from cello._store import Shared
from cello._templates import Templates
from cello._url import URL
from cello._versioning import Versioning


def _body_errors(error: BaseException) -> list[dict[str, Any]] | None:
    from cello._bodies import body_errors

    return body_errors(error)


_cello.connect(
    Problem,
    HTTPError,
    _log.error,
    RequestValidationError,
    _body_errors,
    URL,
    BackgroundTasks,
    ClientDisconnected,
)
Mapping.register(_cello.MultiMap)
Mapping.register(_cello.FormData)
Mapping.register(_cello.ResponseHeaders)

T = TypeVar("T")


class App(Documented, Files, Planned, Serving, Shared, Templates, Routing):
    """Routes, middleware and how they are served.

    dependencies, guards: of every route, before its own. use: middleware configurations for every
    request. debug: error pages for exceptions, to browsers on this machine; None: in development.
    lifespan: a function of the application that gives a context manager, entered before the first
    request and left after the last. exception_handlers: as exception_handler(), by exception type
    or status. trailing_slash: "strict" (a path with the other trailing slash is 404) or "redirect"
    (307, or 308 for methods other than GET and HEAD). root_path: the prefix that a proxy takes away
    before it hands requests on; url_for() and the OpenAPI document put it back. versioning: how
    requests say which version of a route they mean. state: a free namespace for the program's own
    values.
    """

    def __init__(
        self,
        title: str = "Cello API",
        version: str = "0.1.0",
        *,
        dependencies: Iterable[Any] | None = None,
        guards: Iterable[Callable[..., Any]] | None = None,
        debug: bool | None = None,
        lifespan: Callable[..., Any] | None = None,
        use: Iterable[Middleware] | None = None,
        exception_handlers: Mapping[Any, Callable[..., Any]] | None = None,
        versioning: Versioning | None = None,
        trailing_slash: str = "strict",
        root_path: str = "",
    ) -> None:
        if trailing_slash not in ("strict", "redirect"):
            raise ValueError(f"trailing_slash is 'strict' or 'redirect', not {trailing_slash!r}")
        Routing.__init__(self, versioning)
        self.title = title
        self.version = version
        self.root_path = check_prefix(root_path)
        self.state = SimpleNamespace()
        self._dependencies = check_dependencies(dependencies)
        self._guards = list(check_guards(guards))
        self._limits = None
        self._timeouts = None
        self._threadpool = None
        self._log_format = "combined"
        self._log_file = None
        self._log_sample = 1.0
        self._encoders = {}
        self._used: list[Middleware] = []  # for every request
        self._constants: list[tuple[int, str, str]] = []  # methods, path, where
        self._debug = debug
        self._init_files()
        self._init_lifespan(lifespan)
        self._init_hooks(exception_handlers)
        self._init_plans()
        self._redirect_slashes(trailing_slash == "redirect")
        for config in check_use(use):
            self.use(config)

    # ---- routes ----

    def static_response(
        self,
        path: str,
        body: str | bytes,
        status: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        methods: Iterable[str] = ("GET",),
    ) -> None:
        """An answer that never changes, given by the engine without entering Python: no hook,
        guard or dependency runs.

        content_type: by default text/plain for str, application/octet-stream for bytes. methods:
        that it answers. ValueError: a status, header, path or method that is wrong, or a path that
        is taken.
        """
        if content_type is None:
            content_type = (
                "text/plain; charset=utf-8" if isinstance(body, str) else "application/octet-stream"
            )
        bits, where = method_bits(methods), caller(1)
        self._add_constant(
            bits,
            path,
            where,
            status,
            content_type,
            list((headers or {}).items()),
            body.encode() if isinstance(body, str) else bytes(memoryview(body)),  # not of an int
        )
        self._constants.append((bits, path, where))

    def register_blueprint(
        self, blueprint: Blueprint, prefix: str = "", **options: Unpack[GroupOptions]
    ) -> None:
        """Add the routes that a blueprint has now, below a prefix and with what else is given
        here."""
        check_blueprint(blueprint)
        for route in blueprint._below(shared(prefix, **options)):
            self._add(route)

    include = include_router = register_blueprint

    # ---- middleware and settings ----

    def use(self, config: Middleware) -> None:
        """A native step for every request, also those that no route answers."""
        for step in check_use([config]):
            self._add_step(step._step())
            self._used.append(step)

    def enable_request_id(self, header: str = "X-Request-ID") -> None:
        """use(RequestIdConfig(header))"""
        self.use(RequestIdConfig(header))

    def enable_security_headers(self, config: SecurityHeadersConfig | None = None) -> None:
        """use(SecurityHeadersConfig())"""
        self.use(config or SecurityHeadersConfig())

    def enable_logging(
        self,
        format: str = "combined",
        file: str | os.PathLike[str] | None = None,
        *,
        sample: float = 1.0,
    ) -> None:
        """The format of the access log: "combined", "json", or text with fields in braces such as
        "{remote_addr} {method} {path} {status} {bytes} {duration_us} {header:user-agent}".
        "json" also makes the server log's lines JSON, where the program does not configure it.

        file: lines are appended to it, by all workers, instead of the standard output; it turns
        the log on where neither `logs` nor its variable or option says otherwise. SIGUSR1 to the
        process that run() began in opens it again, after it was moved. sample: share of the
        requests that have a line, 0 to 1; those answered with 500 and above always have one.
        ValueError: sample, an empty path. TypeError: not a path.
        """
        if isinstance(sample, bool) or not isinstance(sample, (int, float)):
            raise TypeError(f"sample is a number from 0 to 1, not {sample!r}")
        if not 0 <= sample <= 1:
            raise ValueError(f"sample is a number from 0 to 1, not {sample!r}")
        self._log_file = _path_of(file) if file is not None else None
        self._log_format, self._log_sample = format, float(sample)

    def set_limits(self, limits: LimitsConfig) -> None:
        """For servers that are started from now on."""
        if not isinstance(limits, LimitsConfig):
            raise TypeError(f"set_limits takes a LimitsConfig, not {limits!r}")
        self._limits = limits

    def set_timeouts(self, timeouts: TimeoutConfig) -> None:
        """For servers that are started from now on."""
        if not isinstance(timeouts, TimeoutConfig):
            raise TypeError(f"set_timeouts takes a TimeoutConfig, not {timeouts!r}")
        self._timeouts = timeouts

    def set_threadpool(self, config: ThreadPoolConfig) -> None:
        """For servers that are started from now on."""
        if not isinstance(config, ThreadPoolConfig):
            raise TypeError(f"set_threadpool takes a ThreadPoolConfig, not {config!r}")
        self._threadpool = config

    def json_encoder(self, type_: type[T]) -> Callable[[Callable[[T], Any]], Callable[[T], Any]]:
        """Declare how objects of a type, and of its subclasses, are made JSON:

        @app.json_encoder(Money)
        def money(value): return str(value)

        TypeError: not a type.
        """
        if not isinstance(type_, type):
            raise TypeError(f"write @app.json_encoder(Type): a type is needed, not {type_!r}")

        def declare(encode: Callable[[T], Any]) -> Callable[[T], Any]:
            self._encoders[type_] = encode
            self._set_json_default(self._encode)
            return encode

        return declare

    def _encode(self, value: object) -> Any:
        for base in type(value).__mro__:
            encode = self._encoders.get(base)
            if encode is not None:
                return encode(value)
        return NotImplemented


def _path_of(file: str | os.PathLike[str]) -> str:
    """Absolute: the program may change its folder before the file is opened again."""
    path = os.fspath(file)
    if not isinstance(path, str):
        raise TypeError(f"file is a path, not {file!r}")
    if not path or "\0" in path:
        raise ValueError(f"file is a path, not {file!r}")
    return os.path.abspath(path)
