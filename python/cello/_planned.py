"""The application's part of plans: handlers are read when they are declared, and compiled at the
start."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from cello import _cello, _results, _types
from cello._guards import Guarded
from cello._hooks import Hooks, hooks_of
from cello._params import DependsMarker
from cello._plan import Assembled, assemble
from cello._routes import Route
from cello._runner import Around, filtered
from cello._signature import Endpoint, Reader, Signature


class Overrides(dict[Callable[..., Any], Callable[..., Any]]):
    """App.dependency_overrides: every change takes effect at once, also while serving."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed

    def __setitem__(self, key: Callable[..., Any], value: Callable[..., Any]) -> None:
        if not callable(value):
            raise TypeError(f"a dependency is overridden by a callable, not {value!r}")
        super().__setitem__(key, value)
        self._changed()

    def __delitem__(self, key: Callable[..., Any]) -> None:
        super().__delitem__(key)
        self._changed()

    def clear(self) -> None:
        super().clear()
        self._changed()

    def pop(self, *args: Any) -> Any:
        value = super().pop(*args)
        self._changed()
        return value

    def popitem(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        item = super().popitem()
        self._changed()
        return item

    def setdefault(self, key: Callable[..., Any], default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> Overrides:  # type: ignore[override,misc]
        self.update(other)
        return self


class Planned(Guarded, Hooks):
    """Reads handlers when they are declared and makes their plans at the start; a base of App."""

    def _init_plans(self) -> None:
        self._endpoints = []
        self._signatures: dict[Any, Signature] = {}
        self._singletons: dict[str, Any] = {}
        self._overrides = Overrides(self._on_override)
        self._overridden: dict[Any, Any] = {}

    @property
    def dependency_overrides(self) -> dict[Callable[..., Any], Callable[..., Any]]:
        """What is called instead of a dependency, by the dependency. Changes take effect at once,
        also while the application is served. (A server, unlike a test client, that was started for
        an application without anything async has no loop for an async one.)"""
        return self._overrides

    @dependency_overrides.setter
    def dependency_overrides(self, other: Mapping[Callable[..., Any], Callable[..., Any]]) -> None:
        if other is not self._overrides:
            self._overrides.clear()
            self._overrides.update(other)

    def register_singleton(self, name: str, value: Any) -> None:
        """Declare a value that `Depends(name)` gives to handlers."""
        if not isinstance(name, str) or not name:
            raise TypeError(f"a singleton's name is a str, not {name!r}")
        self._check_open("singletons")
        self._singletons[name] = value

    def _add_endpoint(self, route: Route) -> None:
        self._register(route, (*self._dependencies, *route.dependencies))

    def _register(self, route: Route, markers: tuple[DependsMarker, ...]) -> None:
        reader = Reader(route.where, route.handler, route.path, route.scope, self._signatures)
        signature = reader.handler(route.handler, route.body)
        dependencies = tuple(reader.dependency(marker) for marker in markers)
        if route.body is not None and not any(p.source == "body" for p in signature.parameters):
            dependencies = (reader.checked(route.body), *dependencies)
        endpoint = Endpoint(0, route._replace(scope=None), signature, dependencies)
        _check_body(endpoint)
        endpoint.result = _result_of(endpoint)
        _check_blocking(endpoint)
        _check_generator(endpoint)
        if route.const:
            self._add_once(endpoint)
        else:
            self._add_handler(endpoint)
        self._endpoints.append(endpoint)

    def _add_handler(self, endpoint: Endpoint) -> None:
        route = endpoint.route
        endpoint.id = self._add_route(
            route.methods,
            route.path,
            route.where,
            route.handler,
            f"{endpoint.signature.name} ({route.where})",
            route.status,
            route.max_body,
            tuple(config._step() for config in route.use),
            route.versions,
            _body_mode(endpoint),
        )
        blocking = route.blocking
        if blocking is None and route.stream and not endpoint.signature.is_async:
            blocking = True  # it will wait for its client
        self._set_terms(endpoint.id, blocking, route.timeout, _has_background(endpoint))

        signature = endpoint.signature
        items = _results.stream_items(signature.returns, signature.is_generator)
        if items is not None or signature.is_generator:
            is_async = signature.is_async and signature.is_generator
            self._set_stream(endpoint.id, items or _results.UNKNOWN, is_async)

    def _add_once(self, endpoint: Endpoint) -> None:
        """Call the handler now. TypeError: it asks for something, or stands behind something that
        would have to run for each request."""
        route, signature = endpoint.route, endpoint.signature
        place = _place_of(endpoint)
        needs = {
            "parameters": signature.parameters,
            "dependencies": endpoint.dependencies,
            "guards": route.guards,
            "use": route.use,
            "versions": route.versions,
            'body="stream"': route.stream,
        }
        found = [name for name, value in needs.items() if value]
        if found or signature.is_async or signature.is_generator:
            raise TypeError(f"{place}: const=True goes with a def without {', '.join(needs)}")
        value = route.handler()
        response = _cello.to_response(
            filtered(value, endpoint.result) if endpoint.result else value, route.status
        )
        if response.content_type is None:
            raise TypeError(f"{place}: const=True needs a body, not {response.body!r}")
        fields = [(n, v) for n, v in response.headers.multi_items() if n != "content-type"]
        self._add_constant(
            route.methods,
            route.path,
            route.where,
            response.status,
            response.content_type,
            fields,
            response._render(self._encode),
        )

    @abstractmethod
    def _add_home(self) -> None:
        """Routes that are there unless the program has them."""

    @abstractmethod
    def _encode(self, value: object) -> Any:
        """What is encoded instead of an object that JSON does not know."""

    def _freeze(self) -> None:
        if self._frozen:
            return
        self._check_hooks([endpoint.route.path for endpoint in self._endpoints])
        self._overridden = dict(self._overrides)
        for endpoint in self._endpoints:
            if not endpoint.route.const:
                self._set_plan(endpoint.id, *self._assembled(endpoint))
            elif self._guards:
                where = endpoint.route.where
                raise RuntimeError(f"{where}: const=True: the application's guards would not run")
        self._add_refusals()
        self._add_home()
        self._frozen = True

    def _assembled(self, endpoint: Endpoint) -> Assembled:
        route = endpoint.route
        reader = Reader(route.where, route.handler, route.path, None, self._signatures)
        around = Around(
            hooks_of(self._before, route.path),
            hooks_of(self._after, route.path),
            tuple(self._middleware),
            self._guards_of(route),
            self._has_async_exception_handler,
        )
        return assemble(endpoint, self._overrides, reader.signature, self._singletons, around)

    def _on_override(self) -> None:
        if not self._frozen:
            return
        before, now = self._overridden, dict(self._overrides)
        changed = {call for call in (*before, *now) if before.get(call) is not now.get(call)}
        changed |= set(before)  # what replaced these may need what has changed
        self._overridden = now
        affected = [e for e in self._endpoints if any(_is_in(d.call, changed) for d, _ in e.tree())]
        plans = [(endpoint.id, *self._assembled(endpoint)) for endpoint in affected]
        for plan in plans:
            self._set_plan(*plan)


def _is_in(call: Any, calls: set[Any]) -> bool:
    try:
        return call in calls
    except TypeError:  # an object without a hash
        return False


def _check_blocking(endpoint: Endpoint) -> None:
    if endpoint.route.blocking and endpoint.signature.is_async:
        raise TypeError(
            f"{_place_of(endpoint)}: blocking=True is for a def: an async def runs on the event "
            "loop; write def, or await asyncio.to_thread() around what blocks"
        )


def _check_generator(endpoint: Endpoint) -> None:
    """What an injected Response says goes into the head, which is made before a generator runs."""
    signature = endpoint.signature
    if signature.is_generator and any(p.source == "response" for p in signature.parameters):
        raise TypeError(
            f"{_place_of(endpoint)}: a handler that yields has no Response: return "
            "Response.stream(items, status, headers), or set it in a dependency"
        )


def _has_background(endpoint: Endpoint) -> bool:
    signatures = [endpoint.signature, *(d.signature for d, _ in endpoint.tree())]
    return any(p.source == "background" for s in signatures if s for p in s.parameters)


def _place_of(endpoint: Endpoint) -> str:
    return f"{endpoint.route.where}: handler {endpoint.signature.name!r}"


def _body_mode(endpoint: Endpoint) -> int:
    """Forms are parsed and stored while they arrive."""
    if endpoint.route.stream:
        return _cello.BODY_STREAM
    body = endpoint.body()
    return _cello.BODY_FORM if body and body.is_form else _cello.BODY_BUFFER


def _check_body(endpoint: Endpoint) -> None:
    """Raise now what would come up at the start."""
    try:
        body = endpoint.body()
    except ValueError as error:
        raise ValueError(f"{_place_of(endpoint)}: {error}") from error
    if body and endpoint.route.stream:
        name = endpoint.of_body()[0].name
        raise TypeError(
            f"{_place_of(endpoint)}: {name!r} needs the whole body, and the route says "
            'body="stream": take the request, and read req.stream()'
        )


def _result_of(endpoint: Endpoint) -> _results.ResultFilter | None:
    """How what the handler returns is filtered. TypeError: nothing is known of its type."""
    route, signature = endpoint.route, endpoint.signature
    is_stream = _results.stream_items(signature.returns, signature.is_generator) is not None
    returns = None if signature.is_generator or is_stream else signature.returns
    model = returns if route.response_model is None else route.response_model
    result: _results.ResultFilter | None = None
    try:
        if route.response_model is not None:
            declared = _results.body_type(model)
            if declared is not None:
                _types.shape(declared)
        if model is not None or route.selection:
            result = _results.result_filter(model, route.selection)
    except TypeError as error:
        what = "the return type" if route.response_model is None else "response_model"
        raise TypeError(f"{_place_of(endpoint)}: {what}: {error}") from error
    if route.response_class:
        status = route.status or 200
        result = _results.answered_by(route.response_class, status, result)
    return result
