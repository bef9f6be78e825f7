"""Where and how to serve, and which of several places said so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, TypedDict

from cello import _cello
from cello._config import Http2Config
from cello._cpus import usable_workers
from cello._log import LEVELS
from cello._tls import TlsConfig

DEFAULT_PORT = 8000  # of run() and serve()
BACKENDS = ("auto", "epoll", "io_uring")
ENVIRONMENTS = ("development", "production")
UDS_MODE = 0o666
LOOPBACK = "127.0.0.0/8,::1"


class SettingError(ValueError):
    """A setting has a value that it cannot have; the message names the place that says so, an
    argument of the program or (is_typed) a command line or the environment."""

    def __init__(self, message: str, *, is_typed: bool) -> None:
        super().__init__(message)
        self.is_typed = is_typed


class Options(TypedDict, total=False):
    """What every way to serve takes; run() says what it means."""

    env: str | None
    logs: bool | None
    debug: bool | None
    log_level: str | None
    uds: str | None
    uds_mode: int | str | None
    fd: int | None
    proxy_protocol: bool | str | Iterable[str] | None
    http2: Http2Config | bool | None
    backend: str | None
    tls: TlsConfig | None
    workers: int | Literal["auto"] | None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("must be text")
    return value


def _number(low: int, high: int, what: str) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            number = None
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise ValueError(f"must be {what}")
        return number

    return check


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be on or off (1, 0, true, false, yes, no)")


def _one_of(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return check


def _workers(value: Any) -> int:
    if value == "auto":
        return usable_workers()
    return _number(1, 1024, "a number from 1 to 1024, or 'auto'")(value)


def _level(value: Any) -> str:
    return _one_of(*LEVELS)(value.lower() if isinstance(value, str) else value)


def _mode(value: Any) -> int:
    """Text is octal, as chmod reads it."""
    try:
        mode = int(value, 8) if isinstance(value, str) else value
    except ValueError:
        mode = None
    if isinstance(mode, bool) or not isinstance(mode, int) or not 0 <= mode <= 0o777:
        raise ValueError("must be permissions from 0 to 0o777")
    return mode


def _proxies(value: Any) -> str:
    """Networks for the engine; empty: off."""
    try:
        return LOOPBACK if _switch(value) else ""
    except ValueError:
        pass
    networks = value if isinstance(value, str) else _joined(value)
    if not networks or not _cello.are_networks(networks):
        raise ValueError("must be on, off, or addresses and networks such as 10.0.0.0/8")
    return networks


def _joined(value: Any) -> str | None:
    if not isinstance(value, Iterable):
        return None
    items = list(value)
    return ",".join(items) if all(isinstance(item, str) for item in items) else None


def _http2(value: Any) -> Http2Config | Literal[False]:
    if isinstance(value, Http2Config):
        return value
    if value == "h2c":
        return Http2Config(h2c=True)
    try:
        return Http2Config() if _switch(value) else False
    except ValueError:
        raise ValueError("must be on, off, h2c or an Http2Config") from None


class _Setting(NamedTuple):
    check: Callable[[Any], Any]
    default: Any
    flags: dict[str, Any]  # options without a value, and the value they stand for
    variable: str = ""  # of the environment; empty: CELLO_ and its name


_SETTINGS = {
    "host": _Setting(_text, "127.0.0.1", {}),
    "port": _Setting(_number(0, 65535, "a port from 0 to 65535"), DEFAULT_PORT, {}),
    "uds": _Setting(_text, None, {}),
    "uds_mode": _Setting(_mode, UDS_MODE, {}),
    "fd": _Setting(_number(0, 2**31 - 1, "the number of a descriptor"), None, {}),
    "proxy_protocol": _Setting(_proxies, "", {"--proxy-protocol": True}),
    "http2": _Setting(_http2, None, {}),
    "env": _Setting(_one_of(*ENVIRONMENTS), "development", {}),
    "debug": _Setting(_switch, None, {"--debug": True}),
    "logs": _Setting(_switch, None, {"--no-logs": False}),
    "log_level": _Setting(_level, None, {}),
    "backend": _Setting(_one_of(*BACKENDS), "auto", {}),
    "reload": _Setting(_switch, False, {"--reload": True}),
    "workers": _Setting(_workers, None, {}),
    "tls_cert": _Setting(_text, None, {}, "CELLO_TLS_CERT_PATH"),
    "tls_key": _Setting(_text, None, {}, "CELLO_TLS_KEY_PATH"),
    "user": _Setting(_text, None, {}),
    "group": _Setting(_text, None, {}),
}


def _variable(name: str) -> str:
    return _SETTINGS[name].variable or f"CELLO_{name.upper()}"


def _checked(name: str, source: str, value: Any) -> Any:
    try:
        return _SETTINGS[name].check(value)
    except ValueError as error:
        is_typed = source != "argument"
        place = source if is_typed else name
        raise SettingError(f"{place} {error}, not {value!r}", is_typed=is_typed) from None


def wrong_variables() -> list[str]:
    """What is wrong with the environment, a line each."""
    found = []
    for name in _SETTINGS:
        variable = _variable(name)
        if os.environ.get(variable):
            try:
                _checked(name, variable, os.environ[variable])
            except SettingError as error:
                found.append(str(error))
    return found


class Settings:
    """Explicit arguments, then the command line, then the environment, then the default.

    sources: for each name, which of them it was: "argument", "--port", "CELLO_PORT", "default".
    ValueError: a value that is wrong; its message names the place.
    """

    host: str
    port: int
    uds: str | None
    uds_mode: int
    fd: int | None
    proxy_protocol: str  # networks, split by commas; empty: off
    http2: Http2Config | Literal[False] | None  # None: as the environment says
    env: str
    debug: bool  # error pages with tracebacks, and templates that are read again
    logs: bool  # the access log
    log_level: str | None  # of the server log; None: as the program has configured logging
    backend: str
    reload: bool
    workers: int | None  # None: as ClusterConfig says, or one
    tls: TlsConfig | None  # None: plain HTTP
    tls_cert: str | None  # of a command line or the environment
    tls_key: str | None
    user: str | None  # None: as ClusterConfig says
    group: str | None

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        argv: list[str] | None = None,
        default_port: int = DEFAULT_PORT,
        app_debug: bool | None = None,
        app_logs: bool = False,
        tls: TlsConfig | None = None,
        **given: Any,
    ) -> None:
        for name in given:
            if name not in _SETTINGS:
                raise TypeError(f"there is no option {name!r}")
        if given.get("debug") is None:
            given["debug"] = app_debug  # what App(debug=...) says is explicit, too
        line = _command_line(argv or [])
        self.sources: dict[str, str] = {}
        for name in _SETTINGS:
            explicit = {"host": host, "port": port}.get(name, given.get(name))
            setattr(self, name, self._pick(name, explicit, line))
        if self.sources["port"] == "default":
            self.port = default_port
        if self.logs is None and app_logs:
            self.logs = True
            self.sources["logs"] = "enable_logging(file=)"
        for name in ("debug", "logs"):
            if getattr(self, name) is None:
                setattr(self, name, self.env == "development")
                self.sources[name] = f"env is {self.env}"

        self.tls = tls if tls is not None else self._tls_of_files()
        if not isinstance(self.tls, TlsConfig | None):
            raise TypeError(f"tls is a TlsConfig, not {tls!r}")

    def _tls_of_files(self) -> TlsConfig | None:
        """What else there is to say of it, the environment does."""
        if self.tls_cert is None and self.tls_key is None:
            return None
        if self.tls_cert is None or self.tls_key is None:
            missing = "tls_cert" if self.tls_cert is None else "tls_key"
            option = "--" + missing.replace("_", "-")
            raise SettingError(f"HTTPS needs {option} or {_variable(missing)}, too", is_typed=True)
        try:
            return TlsConfig(self.tls_cert, self.tls_key)
        except ValueError as error:
            raise SettingError(str(error), is_typed=True) from None

    def _pick(self, name: str, explicit: Any, line: dict[str, tuple[str, Any]]) -> Any:
        variable = _variable(name)
        if explicit is not None:
            source, value = "argument", explicit
        elif name in line:
            source, value = line[name]
        elif os.environ.get(variable):
            source, value = variable, os.environ[variable]
        else:
            self.sources[name] = "default"
            return _SETTINGS[name].default
        self.sources[name] = source
        return _checked(name, source, value)

    def values(self) -> dict[str, Any]:
        """Every setting by its name."""
        return {name: getattr(self, name) for name in _SETTINGS}


def _command_line(argv: list[str]) -> dict[str, tuple[str, Any]]:
    """name -> (option, value) for Cello's own options; what else is there is the program's."""
    flags = {flag: (name, v) for name, s in _SETTINGS.items() for flag, v in s.flags.items()}
    valued = {"--" + n.replace("_", "-"): n for n, s in _SETTINGS.items() if not s.flags}
    either = {"--proxy-protocol": "proxy_protocol"}  # alone, or with a value behind "="
    found: dict[str, tuple[str, Any]] = {}
    items = iter(argv)
    for item in items:
        option, equals, value = item.partition("=")
        if item in flags:
            name, meaning = flags[item]
            found[name] = (item, meaning)
        elif equals and option in either:
            found[either[option]] = (option, value)
        elif option in valued:
            if not equals:
                value = next(items, "")
            found[valued[option]] = (option, value)
    return found
