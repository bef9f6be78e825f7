"""`cello routes`: what an application answers, how the engine does it, what Python does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

from cello import _cello
from cello._app import App
from cello._files import StaticFilesConfig
from cello._hooks import hooks_of
from cello._load import Stop
from cello._params import name_of
from cello._routes import method_bits, method_names
from cello._signature import Dependency, Endpoint, Parameter, needed


class Python(TypedDict):
    """What runs in Python for a route besides its handler and dependencies."""

    before_request: list[str]
    middleware: list[str]
    after_request: list[str]
    runner: str | None  # "def" or "async def": what calls all these


class Row(TypedDict):
    """One route, as `--json` gives it."""

    methods: list[str]
    path: str
    handler: str | None  # None: a constant answer, which needs none
    where: str
    is_async: bool
    blocking: bool | None  # as declared; None: by how it proves to be
    timeout: float | None  # seconds; None: the server's
    parameters: list[dict[str, Any]]
    dependencies: list[str]
    guards: list[str]
    native: list[str]
    python: Python


def show(app: App, *, as_json: bool) -> int:
    """Print the table; the status for the process. Stop: the application could not start."""
    try:
        app._freeze()
    except (ValueError, TypeError, RuntimeError) as error:
        raise Stop(str(error)) from error
    rows = rows_of(app)
    if as_json:
        print(_cello.json_dumps({"native": _global_steps(app), "routes": rows}).decode())
        return 0
    for line in table(app, rows):
        print(line)
    return 0


def rows_of(app: App) -> list[Row]:
    """One for each route, in the order of paths."""
    rows = [_row(app, endpoint) for endpoint in app._endpoints if not endpoint.route.const]
    once = [endpoint.route for endpoint in app._endpoints if endpoint.route.const]
    constants = [*app._constants, *((r.methods, r.path, r.where) for r in once)]
    rows += [_native(*constant) for constant in constants]
    rows += [_files(config, where) for config, where in app._static]
    rows += list(_health(app))
    return sorted(rows, key=lambda row: (row["path"], row["methods"]))


def _row(app: App, endpoint: Endpoint) -> Row:
    route = endpoint.route
    return Row(
        methods=method_names(route.methods),
        path=route.path,
        handler=endpoint.signature.name,
        where=_short(route.where),
        is_async=endpoint.signature.is_async,
        blocking=route.blocking,
        timeout=route.timeout,
        parameters=list(_parameters(endpoint)),
        dependencies=[*map(_dependency, (*endpoint.dependencies, *needed(endpoint.signature)))],
        guards=[_name(guard) for guard in (*app._guards, *route.guards)],
        native=[repr(config) for config in route.use],
        python=_python(app, endpoint),
    )


def _files(config: StaticFilesConfig, where: str) -> Row:
    path = f"{config._path()}/{{path:path}}"
    return _native(method_bits(("GET", "HEAD")), path, where, f"(files of {config.root})")


def _health(app: App) -> Iterator[Row]:
    config = app._health
    if config is None:
        return
    for name in ("live", "ready", "startup"):
        checks = f": {', '.join(config.checks)}" if config.checks and name == "ready" else ""
        path = f"{config.base_path}/{name}"
        yield _native(method_bits(("GET", "HEAD")), path, app._health_where, f"(health{checks})")


def _native(methods: int, path: str, where: str, handler: str | None = None) -> Row:
    python = Python(before_request=[], middleware=[], after_request=[], runner=None)
    return Row(
        methods=method_names(methods),
        path=path,
        handler=handler,
        where=_short(where),
        is_async=False,
        blocking=None,
        timeout=None,
        parameters=[],
        dependencies=[],
        guards=[],
        native=[],
        python=python,
    )


def _global_steps(app: App) -> list[str]:
    return [repr(config) for config in app._used]


def _short(where: str) -> str:
    """ "file:line" below the current folder where it is there."""
    path, _, line = where.rpartition(":")
    below = os.path.relpath(path)
    return f"{path if below.startswith('..') else below}:{line}"


def _name(function: Callable[..., Any]) -> str:
    has_name = hasattr(function, "__qualname__")
    return name_of(function) if has_name else repr(function)


def _parameters(endpoint: Endpoint) -> Iterator[dict[str, Any]]:
    """What the request gives, to dependencies and to the handler."""
    seen = set()
    for signature in [d.signature for d, _ in endpoint.tree()] + [endpoint.signature]:
        for p in signature.parameters if signature else ():
            key = (p.source, p.alias or p.name)
            if p.source not in ("depends", "scopes") and key not in seen:
                seen.add(key)
                yield _parameter(p)


def _parameter(p: Parameter) -> dict[str, Any]:
    found = {
        "name": p.alias or p.name,
        "source": p.source,
        "type": _type(p.annotation),
        "required": p.required,
    }
    if not p.required:
        found["default"] = repr(p.default)
    if p.constraints:
        found["constraints"] = {name: str(value) for name, value in p.constraints.items()}
    return found


def _type(annotation: Any) -> str:
    if annotation is None or annotation is ... or annotation is Any:
        return "Any"
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__qualname__.rpartition("<locals>.")[2]
    return str(annotation).replace("typing.", "")


def _dependency(dependency: Dependency) -> str:
    """`session(pool)`: what it is, and what it depends on itself."""
    if isinstance(dependency.call, str):
        return repr(dependency.call)
    below = needed(dependency.signature) if dependency.signature else []
    inner = f"({', '.join(map(_dependency, below))})" if below else ""
    return _name(dependency.call) + inner


def _python(app: App, endpoint: Endpoint) -> Python:
    path = endpoint.route.path
    runs = app._assembled(endpoint)
    runner = None
    if runs.call is not endpoint.signature.call:
        runner = "async def" if runs.is_async else "def"
    return Python(
        before_request=[_name(hook.function) for hook in hooks_of(app._before, path)],
        middleware=[_name(middleware) for middleware in app._middleware],
        after_request=[_name(hook.function) for hook in hooks_of(app._after, path)],
        runner=runner,
    )


# ---- the table ----


def table(app: App, rows: list[Row]) -> Iterator[str]:
    """Lines for people."""
    if not rows:
        yield "no routes"
        return
    lines = [(",".join(r["methods"]), r["path"], _handler(r), r["where"]) for r in rows]
    head = ("METHOD", "PATH", "HANDLER", "WHERE")
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(3)]
    yield _line(head, widths)
    for row, cells in zip(rows, lines, strict=True):
        yield _line(cells, widths)
        for detail in _details(row):
            yield "    " + detail
    if app._used:
        yield f"every request: {', '.join(_global_steps(app))}"
    handlers = [*app._exception_handlers, *app._status_handlers]
    if handlers:
        names = (h.__name__ if isinstance(h, type) else str(h) for h in handlers)
        yield f"Python: exception handlers for {', '.join(names)}"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    *padded, last = cells
    return "  ".join([*(c.ljust(w) for c, w in zip(padded, widths, strict=True)), last])


def _handler(row: Row) -> str:
    if row["handler"] is None:
        return "(constant)"
    return ("async " if row["is_async"] else "") + row["handler"]


_WHERE = {True: "on the thread pool", False: "inline"}


def _details(row: Row) -> Iterator[str]:
    if row["parameters"]:
        yield "takes    " + ", ".join(map(_written, row["parameters"]))
    listed = {"needs": row["dependencies"], "guards": row["guards"], "native": row["native"]}
    for title, names in listed.items():
        if names:
            yield f"{title:<8} {', '.join(names)}"
    runs = [] if row["blocking"] is None else [_WHERE[row["blocking"]]]
    if row["timeout"] is not None:
        runs.append(f"timeout {row['timeout']:g} s" if row["timeout"] else "no timeout")
    if runs:
        yield "runs     " + ", ".join(runs)
    python = row["python"]
    parts = [f"before_request {name}" for name in python["before_request"]]
    parts += [f"middleware {name}" for name in python["middleware"]]
    parts += [f"after_request {name}" for name in python["after_request"]]
    if python["runner"]:
        parts.append(f"called by a Python {python['runner']}")
    if parts:
        yield "Python:  " + ", ".join(parts)


def _written(p: dict[str, Any]) -> str:
    """`page: int = 1 (query, ge=1)`"""
    if p["source"] in ("request", "response", "background"):
        return str(p["source"])
    default = "" if p["required"] else f" = {p['default']}"
    limits = "".join(f", {k}={v}" for k, v in p.get("constraints", {}).items())
    return f"{p['name']}: {p['type']}{default} ({p['source']}{limits})"
