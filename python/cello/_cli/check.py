"""`cello check`: everything that starting does but serving, and all settings with their source."""

from __future__ import annotations

import os
import sys
from typing import Any

from cello import _cello, _config, _env_file, _tls
from cello._app import App
from cello._health import HealthCheckConfig
from cello._load import Target, UserError, load
from cello._secrets import HIDDEN, is_secret
from cello._settings import wrong_variables

_CONFIGS: tuple[type[_config._Numbers], ...] = (
    _config.LimitsConfig,
    _config.TimeoutConfig,
    _config.ThreadPoolConfig,
    _config.StoreConfig,
    _config.ClusterConfig,
    _config.Http2Config,
    HealthCheckConfig,
    _tls.TlsConfig,
)
_SECRET_ENDS = ("_key", "_keys", "_url")  # a URL may have a password
_NOT_SECRET = ("tls_key",)  # a path
_OWN_VARIABLES = ("CELLO_CPU",)


def check(target: Target, *, print_all: bool) -> int:
    """Print what is wrong, and with `print_all` every setting; 0 when nothing is, else 1."""
    problems = _problems_of_environment()
    try:
        app: App | None = load(target)
    except UserError as error:
        problems.append(f"{target} cannot be imported:\n{error.lines().rstrip()}")
        app = None
    if app is not None:
        problems += _problems_of_start(app, environment_is_fine=not problems)
    if print_all and app is not None and not problems:
        for line in settings_lines(app):
            print(line)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems and app is not None:
        count = len(app._endpoints) + len(app._constants) + len(app._static)
        print(f"{target}: {count} route{'' if count == 1 else 's'}, no problems")
    return 1 if problems else 0


# ---- problems ----


def _problems_of_environment() -> list[str]:
    """Every variable that is wrong, not only the first."""
    found = []
    for config in _CONFIGS:
        bare = config.__new__(config)
        for name, default in config._defaults.items():
            try:
                bare._checked(name, bare._from_env(name, default))
            except (TypeError, ValueError) as error:
                found.append(str(error))
    return found + wrong_variables() + _unknown_variables()


def _variables() -> list[str]:
    return sorted(name for name in os.environ if name.startswith("CELLO_"))


def _unknown_variables() -> list[str]:
    """Those that look like settings and are none."""
    import difflib

    known = [f"CELLO_{c._env}_{name.upper()}" for c in _CONFIGS for name in c._defaults]
    found = []
    for name in _variables():
        if name in known or not name.startswith(tuple(f"CELLO_{c._env}_" for c in _CONFIGS)):
            continue
        meant = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {meant[0]}?" if meant else ""
        found.append(f"nothing reads {name}{hint}")
    return found


def _problems_of_start(app: App, *, environment_is_fine: bool) -> list[str]:
    """What freezing the routes and making a server finds wrong."""
    found = []
    steps: list[Any] = [app._freeze]
    if environment_is_fine:
        steps.append(lambda: app._engine(app._settings()).close())
        steps.append(lambda: _check_tls(app._settings().tls))
    for step in steps:
        try:
            step()
        except (ValueError, TypeError, LookupError, RuntimeError, OSError) as error:
            if str(error) not in found:  # what the first step finds, the second does, too
                found.append(str(error))
    return found


def _check_tls(config: _tls.TlsConfig | None) -> None:
    if config is not None:
        _cello.check_tls(_tls.engine_config(config))


# ---- settings ----


def settings_lines(app: App) -> list[str]:
    """`name = value  # source`, by sections."""
    settings = app._settings()
    lines = ["[server]"]
    values = settings.values()
    lines += _section((n, values[n], settings.sources[n]) for n in values)
    for config in (
        app._limits or _CONFIGS[0](),
        app._timeouts or _CONFIGS[1](),
        app._threadpool or _CONFIGS[2](),
        app._store_config or _CONFIGS[3](),
        _CONFIGS[4](),  # run() may be given another one
        settings.http2 or _CONFIGS[5](),
        app._health or _CONFIGS[6](),
        *filter(None, [settings.tls]),
    ):
        lines += ["", f"[{type(config).__name__}]"]
        lines += _section((n, getattr(config, n), config._sources[n]) for n in config._defaults)
    for step in app._used:
        lines += ["", f"[{type(step).__name__}]"]
        lines += _section((n, v, "argument") for n, v in vars(step).items() if n[0] != "_")
    others = [name for name in _variables() if name in _OWN_VARIABLES]
    if others:
        lines += ["", "[environment]", *_section((n, os.environ[n], n) for n in others)]
    return lines


def _section(items: Any) -> list[str]:
    rows = [(name, _shown(name, value), _source(source)) for name, value, source in items]
    name_width = max((len(name) for name, _, _ in rows), default=0)
    value_width = min(40, max((len(value) for _, value, _ in rows), default=0))
    return [f"{n:<{name_width}} = {v:<{value_width}}  # {s}" for n, v, s in rows]


def _shown(name: str, value: Any) -> str:
    hidden = is_secret(name) or name.lower().endswith(_SECRET_ENDS)
    hidden = hidden and name not in _NOT_SECRET
    return HIDDEN if hidden and value else repr(value)


def _source(source: str) -> str:
    """A variable that a file set is the file's."""
    path = _env_file.used.get(source)
    return f"{source} in {path}" if path else source
