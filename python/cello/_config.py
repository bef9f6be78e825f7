"""Configuration classes: constructor arguments are attributes, wrong values fail at once.

The numbers of limits and timeouts can also be set from the environment as CELLO_LIMITS_<FIELD> and
CELLO_TIMEOUT_<FIELD>, for example CELLO_LIMITS_MAX_BODY_SIZE=1048576; an explicit argument wins.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

from cello import _cello

_UNSET: Any = object()

# The longest time that the supervisor takes, in seconds; sums stay far from the end of 64 bits.
_TEN_YEARS = 10 * 365 * 86400


class _Numbers:
    """A configuration of non-negative numbers; subclasses name their fields and defaults."""

    __slots__ = ("__dict__", "_sources")  # vars() are the fields alone

    _defaults: ClassVar[dict[str, float | None]]
    _env: ClassVar[str]
    _positive: ClassVar[frozenset[str]] = frozenset()
    _kind: ClassVar[type] = int

    def _fill(self, values: dict[str, Any]) -> None:
        self._sources: dict[str, str] = {}  # "argument", the name of a variable, or "default"
        for name, default in self._defaults.items():
            value = values[name]
            self._sources[name] = "argument"
            if value is _UNSET:
                variable = self._variable(name)
                self._sources[name] = variable if variable in os.environ else "default"
                value = self._from_env(name, default)
            setattr(self, name, self._checked(name, value))

    def _variable(self, name: str) -> str:
        return f"CELLO_{self._env}_{name.upper()}"

    def _from_env(self, name: str, default: Any) -> Any:
        """Checked. ValueError: what is wrong with the variable."""
        variable = self._variable(name)
        text = os.environ.get(variable)
        if text is None:
            return default
        try:
            value = self._read(name, text)
        except ValueError:
            kind = "on or off" if isinstance(default, bool) else "a number"
            raise ValueError(f"{variable} must be {kind}, not {text!r}") from None
        try:
            return self._checked(name, value)
        except ValueError as error:
            raise ValueError(f"{variable}: {error}") from None

    def _read(self, name: str, text: str) -> Any:
        return self._kind(text)

    def _checked(self, name: str, value: Any) -> Any:
        if value is None and self._defaults[name] is None:
            return value
        allowed = (int,) if self._kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed):
            raise TypeError(f"{name} must be a number, not {type(value).__name__}")
        if not value >= 0 or value > 2**62:
            raise ValueError(f"{name} must not be negative or beyond 2**62: {value}")
        if value == 0 and name in self._positive:
            raise ValueError(f"{name} must be at least 1")
        return value

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._defaults)
        return f"{type(self).__name__}({fields})"


class LimitsConfig(_Numbers):
    """What a worker accepts at most. Sizes are bytes; each limit's answer is in SECURITY.md.

    max_header_size: header section (431). max_headers: header fields (431). max_uri: request target
    (414). max_body_size: content (413). max_buffered_bytes: memory for bytes in transit, all
    connections together (503). max_connections: open connections; at the limit one that has been
    idle for a second or longer is closed, or new ones wait. max_connections_per_ip: per client
    address or IPv6 /64; 0: no limit (closed). max_inflight: requests in handlers; 0: no limit
    (503). max_requests_per_connection: 0: no limit (closed after the last). max_json_depth: nesting
    (400 in, 500 out). max_query_params, max_cookies: (400). max_form_parts: fields and files of a
    form (400). max_part_header: of one of its parts (400). max_form_memory: all fields of a form
    that are no files (413). max_file_size: None: no limit (413). max_pipelined, max_send_buffer:
    answers and bytes that wait for a slow reader before reading from it stops.
    """

    _env = "LIMITS"
    _defaults: ClassVar[dict[str, float | None]] = {
        "max_header_size": 16384,
        "max_headers": 100,
        "max_uri": 8192,
        "max_body_size": 10485760,
        "max_buffered_bytes": 268435456,
        "max_connections": 10000,
        "max_connections_per_ip": 0,
        "max_inflight": 0,
        "max_requests_per_connection": 0,
        "max_json_depth": 128,
        "max_query_params": 1000,
        "max_cookies": 100,
        "max_form_parts": 1000,
        "max_part_header": 8192,
        "max_form_memory": 1048576,
        "max_file_size": None,
        "max_pipelined": 64,
        "max_send_buffer": 1048576,
    }
    _positive = frozenset(
        {"max_header_size", "max_headers", "max_uri", "max_json_depth", "max_pipelined"}
        | {"max_send_buffer", "max_query_params", "max_cookies", "max_connections"}
        | {"max_form_parts", "max_part_header", "max_form_memory", "max_file_size"}
    )

    max_header_size: int
    max_headers: int
    max_uri: int
    max_body_size: int
    max_buffered_bytes: int
    max_connections: int
    max_connections_per_ip: int
    max_inflight: int
    max_requests_per_connection: int
    max_json_depth: int
    max_query_params: int
    max_cookies: int
    max_form_parts: int
    max_part_header: int
    max_form_memory: int
    max_file_size: int | None
    max_pipelined: int
    max_send_buffer: int

    def __init__(
        self,
        max_header_size: int = _UNSET,
        max_headers: int = _UNSET,
        max_uri: int = _UNSET,
        max_body_size: int = _UNSET,
        max_buffered_bytes: int = _UNSET,
        max_connections: int = _UNSET,
        max_connections_per_ip: int = _UNSET,
        max_inflight: int = _UNSET,
        max_requests_per_connection: int = _UNSET,
        max_json_depth: int = _UNSET,
        max_query_params: int = _UNSET,
        max_cookies: int = _UNSET,
        max_form_parts: int = _UNSET,
        max_part_header: int = _UNSET,
        max_form_memory: int = _UNSET,
        max_file_size: int | None = _UNSET,
        max_pipelined: int = _UNSET,
        max_send_buffer: int = _UNSET,
    ) -> None:
        self._fill(locals())
        if self.max_headers > 10000:
            raise ValueError(f"max_headers must not exceed 10000: {self.max_headers}")
        if self.max_json_depth > 1024:
            raise ValueError(f"max_json_depth must not exceed 1024: {self.max_json_depth}")
        if self.max_part_header > 1048576:
            raise ValueError(f"max_part_header must not exceed 1048576: {self.max_part_header}")


class TimeoutConfig(_Numbers):
    """How long a worker waits, in seconds; 0 turns a timeout off.

    read_header: from the first byte of a request's head to its end (408). read_body: without a byte
    of the body (408). min_body_rate: bytes per second on average, once 5 s have passed (408).
    write: without the client reading what was sent (closed). idle: between requests (closed).
    handler: of the application, until the response begins (504); a route's own `timeout` goes
    before it. handshake: of TLS, from its first byte to its last (closed).
    """

    _env = "TIMEOUT"
    _kind = float
    _defaults: ClassVar[dict[str, float | None]] = {
        "read_header": 5.0,
        "read_body": 30.0,
        "min_body_rate": 240,
        "write": 30.0,
        "idle": 60.0,
        "handler": 30.0,
        "handshake": 10.0,
    }

    read_header: float
    read_body: float
    min_body_rate: int
    write: float
    idle: float
    handler: float
    handshake: float

    def __init__(
        self,
        read_header: float = _UNSET,
        read_body: float = _UNSET,
        min_body_rate: int = _UNSET,
        write: float = _UNSET,
        idle: float = _UNSET,
        handler: float = _UNSET,
        handshake: float = _UNSET,
    ) -> None:
        self._fill(locals())
        self.min_body_rate = int(self.min_body_rate)


class ThreadPoolConfig(_Numbers):
    """Threads for handlers that wait: `blocking=True`, and those that prove to.

    size: threads at most, each started when it is needed; None: 4 for each usable CPU, 64 at most.
    offload_threshold_ms: a handler that three times in its last 20 calls took longer than that, and
    spent less than half of it on the CPU, moves to the pool. adaptive: whether any does. queue:
    requests that wait for a thread (503 with Retry-After).
    """

    _env = "THREADPOOL"
    _defaults: ClassVar[dict[str, Any]] = {
        "size": None,
        "offload_threshold_ms": 10,
        "adaptive": True,
        "queue": 1000,
    }
    _positive = frozenset({"size", "offload_threshold_ms"})

    size: int | None
    offload_threshold_ms: int
    adaptive: bool
    queue: int

    def __init__(
        self,
        size: int | None = _UNSET,
        offload_threshold_ms: int = _UNSET,
        adaptive: bool = _UNSET,
        queue: int = _UNSET,
    ) -> None:
        self._fill(locals())
        if self.size is not None and self.size > 10000:
            raise ValueError(f"size must not exceed 10000: {self.size}")

    def _read(self, name: str, text: str) -> Any:
        return _switch(text) if name == "adaptive" else super()._read(name, text)

    def _checked(self, name: str, value: Any) -> Any:
        if name == "size" and value is None:
            return None
        if name != "adaptive":
            return super()._checked(name, value)
        if not isinstance(value, bool):
            raise TypeError(f"adaptive must be True or False, not {value!r}")
        return value


class Http2Config(_Numbers):
    """HTTP/2: what clients are told in SETTINGS, for each connection. run(http2=...); False instead
    of one: HTTP/1 only.

    max_concurrent_streams: requests at once; one more is refused, and may be sent again.
    initial_window_size: bytes of a body that come before something reads them. max_frame_size:
    bytes of a frame, 16384 to 16777215 (FRAME_SIZE_ERROR). max_header_list_size: bytes of a decoded
    header section, 32 more for each field (431). keepalive: seconds of silence after which a PING
    asks whether the client is there; a connection on which nothing comes for as long again is
    closed; 0: never. h2c: also without TLS, for clients that know it beforehand.
    """

    _env = "HTTP2"
    _defaults: ClassVar[dict[str, Any]] = {
        "max_concurrent_streams": 100,
        "initial_window_size": 1048576,
        "max_frame_size": 16384,
        "max_header_list_size": 16384,
        "keepalive": 30.0,
        "h2c": False,
    }
    # RFC 9113, 6.5.2; streams as many as may still be useful.
    _range: ClassVar[dict[str, tuple[int, int]]] = {
        "max_concurrent_streams": (1, 65535),
        "initial_window_size": (1, 2**31 - 1),
        "max_frame_size": (2**14, 2**24 - 1),
        "max_header_list_size": (1, 2**32 - 1),
        "keepalive": (0, _TEN_YEARS),
    }

    max_concurrent_streams: int
    initial_window_size: int
    max_frame_size: int
    max_header_list_size: int
    keepalive: float
    h2c: bool

    def __init__(
        self,
        max_concurrent_streams: int = _UNSET,
        initial_window_size: int = _UNSET,
        max_frame_size: int = _UNSET,
        max_header_list_size: int = _UNSET,
        keepalive: float = _UNSET,
        h2c: bool = _UNSET,
    ) -> None:
        self._fill(locals())

    def _read(self, name: str, text: str) -> Any:
        if name == "h2c":
            return _switch(text)
        return float(text) if name == "keepalive" else int(text)

    def _checked(self, name: str, value: Any) -> Any:
        if name == "h2c":
            if not isinstance(value, bool):
                raise TypeError(f"h2c must be True or False, not {value!r}")
            return value
        allowed = (int, float) if name == "keepalive" else (int,)
        if isinstance(value, bool) or not isinstance(value, allowed):
            kind = "a number" if name == "keepalive" else "a whole number"
            raise TypeError(f"{name} must be {kind}, not {value!r}")
        least, most = self._range[name]
        if not least <= value <= most:
            raise ValueError(f"{name} must be {least} to {most}: {value}")
        return value


class ClusterConfig(_Numbers):
    """Workers and what their supervisor does: run(workers=..., cluster=...). Times are seconds.

    workers: None: one for each usable CPU, a fraction of one being one. cpu_affinity: each keeps to
    a CPU. A worker that ends by itself is replaced, at once, then after growing pauses; after more
    than max_restarts in restart_window all ends with exit code 1. graceful_shutdown: a stop waits
    for requests in flight, shutdown_timeout at most; before that it serves on for drain_delay while
    /ready fails. max_requests, max_rss_mb: a worker is replaced once it has answered so many
    requests, or is so large (0: never); jitter: by up to that part of it later, so that not all go
    together. heartbeat_timeout: a worker whose loop has not come round for so long is replaced (0:
    never). startup_timeout: one that does not serve by then is killed. user, group: names or
    numbers that the process takes on when its sockets are open; also with one worker, as are
    drain_delay, graceful_shutdown and shutdown_timeout.
    """

    _env = "CLUSTER"
    _kind = float
    _defaults: ClassVar[dict[str, Any]] = {
        "workers": None,
        "cpu_affinity": False,
        "max_restarts": 5,
        "restart_window": 60.0,
        "graceful_shutdown": True,
        "drain_delay": 0.0,
        "shutdown_timeout": 30.0,
        "max_requests": 0,
        "max_rss_mb": 0,
        "jitter": 0.1,
        "heartbeat_timeout": 30.0,
        "startup_timeout": 60.0,
        "user": None,
        "group": None,
    }
    _positive = frozenset({"workers", "restart_window", "startup_timeout"})
    # The most that the supervisor takes, of every number.
    _most: ClassVar[dict[str, int]] = {
        "workers": 1024,
        "max_restarts": 1000,
        "restart_window": _TEN_YEARS,
        "drain_delay": _TEN_YEARS,
        "shutdown_timeout": _TEN_YEARS,
        "max_requests": 2**62 - 1,
        "max_rss_mb": 2**26,
        "jitter": 1,
        "heartbeat_timeout": _TEN_YEARS,
        "startup_timeout": _TEN_YEARS,
    }

    workers: int | None
    cpu_affinity: bool
    max_restarts: int
    restart_window: float
    graceful_shutdown: bool
    drain_delay: float
    shutdown_timeout: float
    max_requests: int
    max_rss_mb: int
    jitter: float
    heartbeat_timeout: float
    startup_timeout: float
    user: str | None
    group: str | None

    def __init__(
        self,
        workers: int | None = _UNSET,
        cpu_affinity: bool = _UNSET,
        max_restarts: int = _UNSET,
        restart_window: float = _UNSET,
        graceful_shutdown: bool = _UNSET,
        drain_delay: float = _UNSET,
        shutdown_timeout: float = _UNSET,
        max_requests: int = _UNSET,
        max_rss_mb: int = _UNSET,
        jitter: float = _UNSET,
        heartbeat_timeout: float = _UNSET,
        startup_timeout: float = _UNSET,
        user: str | None = _UNSET,
        group: str | None = _UNSET,
    ) -> None:
        self._fill(locals())

    def _read(self, name: str, text: str) -> Any:
        default = self._defaults[name]
        if isinstance(default, bool):
            return _switch(text)
        if name in ("user", "group"):
            return text
        return float(text) if isinstance(default, float) else int(text)

    def _checked(self, name: str, value: Any) -> Any:
        default = self._defaults[name]
        if value is None and default is None:
            return None
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False, not {value!r}")
            return value
        if name in ("user", "group"):
            if not isinstance(value, str):
                raise TypeError(f"{name} must be text, not {type(value).__name__}")
            if not value or "\0" in value:
                raise ValueError(f"{name} must be a name or a number, not {value!r}")
            return value
        if isinstance(value, float) and not isinstance(default, float):
            raise TypeError(f"{name} must be a whole number, not {value!r}")
        value = super()._checked(name, value)
        if value > self._most[name]:
            raise ValueError(f"{name} must not exceed {self._most[name]}: {value}")
        return value


def _switch(text: str) -> bool:
    word = text.lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError


class Middleware:
    """A native step: what `use` takes. Subclasses are configurations."""

    def _step(self) -> Any:
        raise TypeError(f"{type(self).__name__} is not a middleware configuration")

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"


class RequestIdConfig(Middleware):
    """Give every request an id: the client's own when it is 1 to 128 characters of
    [A-Za-z0-9._:+/=@-], else 128 random bits in hexadecimal. It is `req.request_id`, and sent back.

    header: the field it is read from and sent in. ValueError: not a field name.
    """

    def __init__(self, header: str = "X-Request-ID") -> None:
        self.header = header
        self._step()  # fails now when the name is not one

    def _step(self) -> Any:
        return _cello.request_id_step(self.header)


class SecurityHeadersConfig(Middleware):
    """Response headers that make browsers careful (OWASP Secure Headers). None: not sent; a header
    that a handler set itself is kept.

    hsts_max_age: seconds for which browsers ask by HTTPS only (Strict-Transport-Security, sent on
    HTTPS only); hsts_include_subdomains, hsts_preload: what else it says.

    ValueError: a value that cannot be a header.
    """

    def __init__(
        self,
        x_frame_options: str | None = "DENY",
        x_content_type_options: bool = True,
        referrer_policy: str | None = "strict-origin-when-cross-origin",
        hsts_max_age: int | None = None,
        hsts_include_subdomains: bool = False,
        hsts_preload: bool = False,
        csp: str | None = None,
        permissions_policy: str | None = None,
        coep: str | None = None,
        coop: str | None = None,
        corp: str | None = None,
    ) -> None:
        self.x_frame_options = x_frame_options
        self.x_content_type_options = x_content_type_options
        self.referrer_policy = referrer_policy
        self.hsts_max_age = hsts_max_age
        self.hsts_include_subdomains = hsts_include_subdomains
        self.hsts_preload = hsts_preload
        self.csp = csp
        self.permissions_policy = permissions_policy
        self.coep = coep
        self.coop = coop
        self.corp = corp
        self._step()

    def _step(self) -> Any:
        return _cello.security_headers_step(
            self.x_frame_options,
            self.referrer_policy,
            self.csp,
            self.permissions_policy,
            self.coep,
            self.coop,
            self.corp,
            self._hsts(),
            self.x_content_type_options,
        )

    def _hsts(self) -> str | None:
        age = self.hsts_max_age
        if age is None:
            if self.hsts_include_subdomains or self.hsts_preload:
                raise ValueError("hsts_include_subdomains and hsts_preload need hsts_max_age")
            return None
        if isinstance(age, bool) or not isinstance(age, int):
            raise TypeError(f"hsts_max_age must be a number of seconds, not {age!r}")
        if age < 0:
            raise ValueError(f"hsts_max_age must not be negative: {age}")
        text = f"max-age={age}"
        text += "; includeSubDomains" if self.hsts_include_subdomains else ""
        return text + ("; preload" if self.hsts_preload else "")


class StoreConfig(_Numbers):
    """Memory that all workers share. Pages of it that were never needed take none.

    size: bytes for keys and values, 1 MiB or more; full, it gives up what was not used for longest.
    ring_size: bytes of the messages of each worker that others may still read, 64 KiB to 1 GiB,
    rounded up to a power of two; a message has at most a quarter.
    """

    _env = "STORE"
    _defaults: ClassVar[dict[str, Any]] = {"size": 67108864, "ring_size": 1048576}

    size: int
    ring_size: int

    def __init__(self, size: int = _UNSET, ring_size: int = _UNSET) -> None:
        self._fill(locals())

    def _checked(self, name: str, value: Any) -> Any:
        value = super()._checked(name, value)
        least, most = (1 << 20, 1 << 40) if name == "size" else (64 << 10, 1 << 30)
        if not least <= value <= most:
            raise ValueError(f"{name} must be {least} to {most}: {value}")
        return value
