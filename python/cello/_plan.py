"""From what an endpoint asks for to what C walks.

A route without anything async around it has only a _cello.Plan. Where a dependency, a guard or a
hook is a coroutine, or where hooks and middleware apply, the plan leads to a function of _runner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cello import _bodies, _cello, _models, _results
from cello._callables import is_async
from cello._params import SecurityScopes
from cello._runner import Around, Call, Inner, async_runner, core_of, sync_runner
from cello._signature import (
    Body,
    Dependency,
    Endpoint,
    Parameter,
    Signature,
    body_of,
    check_chain,
    needed,
)

_SOURCES = {
    "path": _cello.SOURCE_PATH,
    "query": _cello.SOURCE_QUERY,
    "header": _cello.SOURCE_HEADER,
    "cookie": _cello.SOURCE_COOKIE,
    "form": _cello.SOURCE_FORM,
}
_FILE_SOURCES = {
    "file": _cello.SOURCE_FILE,
    "files": _cello.SOURCE_FILES,
    "bytes": _cello.SOURCE_FILE_BYTES,
    "list of bytes": _cello.SOURCE_FILES_BYTES,
}
_MODEL_SOURCES = {
    "query": _cello.SOURCE_QUERY_MODEL,
    "header": _cello.SOURCE_HEADER_MODEL,
    "cookie": _cello.SOURCE_COOKIE_MODEL,
    "form": _cello.SOURCE_FORM_MODEL,
}
# One for the whole call, whoever asks for it.
_SINGLE = {
    "request": _cello.SOURCE_REQUEST,
    "response": _cello.SOURCE_RESPONSE,
    "background": _cello.SOURCE_BACKGROUND,
}
REQUEST_FIELD = (_cello.SOURCE_REQUEST, "request", None, ..., ())


class Assembled(NamedTuple):
    """What the engine runs for a route."""

    call: Callable[..., Any]
    is_async: bool
    plan: Any  # a _cello.Plan, or None for h()


# ---- dependencies ----


class _Node:
    """A dependency of one route: what is called, once, for everyone who shares it."""

    __slots__ = ("below", "scopes", "signature", "slot")

    def __init__(self, signature: Signature, scopes: tuple[str, ...]) -> None:
        self.signature = signature
        self.scopes = scopes
        self.below: dict[str, _Node | str] = {}  # by parameter; a str names a singleton
        self.slot: int | None = None


class _Tree:
    """The dependencies of one endpoint, after overrides; each stands behind what it needs."""

    def __init__(
        self,
        endpoint: Endpoint,
        overrides: Mapping[Any, Callable[..., Any]],
        read: Callable[[Callable[..., Any]], Signature],
    ) -> None:
        self._overrides = overrides
        self._read = read
        self._where = f"{endpoint.route.where}: handler {endpoint.signature.name!r}"
        self._shared: dict[Any, _Node] = {}
        self._chain: list[Any] = []
        self.nodes: list[_Node] = []
        for dependency in endpoint.dependencies:
            self._node(dependency, ())
        self.root = _Node(endpoint.signature, ())
        self._fill(self.root)

    def _node(self, dependency: Dependency, above: tuple[str, ...]) -> _Node | str:
        call = dependency.call
        if isinstance(call, str):
            return call
        assert dependency.signature
        scopes = tuple(dict.fromkeys((*above, *dependency.scopes)))
        signature = dependency.signature
        other = self._override(call)
        if other is not None:
            call, signature = other, self._read(other)
        key = (_identity(call), scopes if _wants_scopes(signature) else ())
        if dependency.use_cache and key in self._shared:
            return self._shared[key]
        check_chain(self._where, self._chain, call)
        node = _Node(signature, scopes)
        self._chain.append(call)
        self._fill(node)
        self._chain.pop()
        if dependency.use_cache:
            self._shared[key] = node
        self.nodes.append(node)
        return node

    def _override(self, call: Callable[..., Any]) -> Callable[..., Any] | None:
        try:
            return self._overrides.get(call)
        except TypeError:  # an object without a hash
            return None

    def _fill(self, node: _Node) -> None:
        for parameter in node.signature.parameters:
            if parameter.dependency:
                node.below[parameter.name] = self._node(parameter.dependency, node.scopes)

    def signatures(self) -> Iterator[Signature]:
        for node in self.nodes:
            yield node.signature
        yield self.root.signature


def _identity(call: Any) -> Any:
    try:
        hash(call)
    except TypeError:
        return id(call)
    return call


def _wants_scopes(signature: Signature) -> bool:
    return any(p.source == "scopes" for p in signature.parameters) or any(
        d.signature is not None and _wants_scopes(d.signature) for d in needed(signature)
    )


# ---- fields and calls ----


class _Layout:
    """Fields and calls of one endpoint, each with its slot."""

    def __init__(self, tree: _Tree, singletons: Mapping[str, Any], where: str) -> None:
        self.fields: list[tuple[Any, ...]] = []
        self.calls: list[Call] = []
        self._singletons = singletons
        self._where = where
        self._known: dict[Any, int] = {}
        self._bodies: dict[str, int] = {}
        self._lay_named(tree)
        self._lay_body(body_of(tree.signatures()))
        for node in tree.nodes:
            signature = node.signature
            slots, keywords = self._arguments(node)
            call = Call(signature.call, slots, keywords, signature.is_async, signature.is_generator)
            node.slot = self._call(call)
        slots, keywords = self._arguments(tree.root)
        handler = tree.root.signature
        self.last = Call(handler.call, slots, keywords, handler.gives_coroutine)

    def slot_of(self, source: str) -> int | None:
        """Of the injected Response, or of the background tasks."""
        return self._known.get(source)

    def _call(self, call: Call) -> int:
        self.calls.append(call)
        return ~(len(self.calls) - 1)

    def _field(self, *field: Any) -> int:
        self.fields.append(field)
        return len(self.fields) - 1

    def _arguments(self, node: _Node) -> tuple[tuple[int, ...], tuple[str, ...]]:
        slots: list[int] = []
        keywords: list[str] = []
        for parameter in node.signature.parameters:
            slots.append(self._slot(parameter, node))
            if parameter.by_keyword:
                keywords.append(parameter.name)
        return tuple(slots), tuple(keywords)

    def _slot(self, parameter: Parameter, node: _Node) -> int:
        source = parameter.source
        if source == "depends":
            below = node.below[parameter.name]
            if isinstance(below, str):
                return self._singleton(below, parameter.name)
            assert below.slot is not None
            return below.slot
        if source == "scopes":
            return self._constant(SecurityScopes(node.scopes))
        if source == "body":
            return self._bodies[parameter.alias]
        if source in _SINGLE:
            return self._single(source)
        return self._named(parameter)

    def _constant(self, value: Any) -> int:
        return self._field(_cello.SOURCE_CONST, "", None, value, ())

    def _singleton(self, name: str, parameter: str) -> int:
        if name not in self._singletons:
            raise ValueError(
                f"{self._where}: parameter {parameter!r}: no singleton {name!r} was registered; "
                f"App.register_singleton({name!r}, value) before the start"
            )
        return self._constant(self._singletons[name])

    def _single(self, source: str) -> int:
        if source not in self._known:
            self._known[source] = self._field(_SINGLE[source], source, None, ..., ())
        return self._known[source]

    def _named(self, p: Parameter) -> int:
        """A value with a name, or a model of such values."""
        key = (p.source, p.alias, id(p.converter), id(p.default))
        if key not in self._known:
            self._known[key] = self._model(p) if p.is_model else self._scalar(p)
        return self._known[key]

    def _scalar(self, p: Parameter) -> int:
        loc = (_models.place_of(p.source), p.alias)
        if p.source == "file":
            return self._field(_FILE_SOURCES[p.converter], p.alias, None, p.default, loc)
        return self._field(_SOURCES[p.source], p.alias, p.converter, p.default, loc)

    def _model(self, p: Parameter) -> int:
        if not p.by_fields:
            kind, loc = _MODEL_SOURCES[p.source], (_models.place_of(p.source),)
            return self._field(kind, p.alias, p.converter, p.default, loc)
        return self._call(Call(p.converter, tuple(self._scalar(f) for f in p.fields), ()))

    def _lay_named(self, tree: _Tree) -> None:
        """Before the body: what is wrong is told in the order of the fields."""
        for signature in tree.signatures():
            for parameter in signature.parameters:
                if parameter.source in _SOURCES or parameter.source == "file":
                    self._named(parameter)

    def _lay_body(self, body: Body | None) -> None:
        if body is None or body.is_form:
            return
        if body.parameter:
            p = body.parameter
            self._bodies[p.alias] = self._body(p.converter, [p], p.default)
            return
        assert body.embedded
        parameters = list(body.embedded.values())
        decode, takes = _bodies.object_decoder(
            [
                _bodies.BodyPart(p.alias, p.annotation, p.default, dict(p.constraints))
                for p in parameters
            ]
        )
        slot = self._body(decode, parameters, ... if body.required else None)
        for parameter, take in zip(parameters, takes, strict=True):
            self._bodies[parameter.alias] = self._call(Call(take, (slot,), ()))

    def _body(self, decode: _bodies.Decoder, parts: list[Parameter], default: Any) -> int:
        some = any(_bodies.takes_bytes(part.annotation) for part in parts)
        source = _cello.SOURCE_BODY_BYTES if some else _cello.SOURCE_BODY
        return self._field(source, "body", decode, default, ("body",))


def _numbered(slots: Iterable[int], fields: int) -> tuple[int, ...]:
    """As _cello.Plan counts: fields first, then calls."""
    return tuple(slot if slot >= 0 else fields + ~slot for slot in slots)


# ---- all together ----


def assemble(
    endpoint: Endpoint,
    overrides: Mapping[Any, Callable[..., Any]],
    read: Callable[[Callable[..., Any]], Signature],
    singletons: Mapping[str, Any],
    around: Around,
) -> Assembled:
    """What the engine runs for an endpoint. ValueError: a circle, an unknown singleton."""
    route, handler = endpoint.route, endpoint.signature
    tree = _Tree(endpoint, overrides, read)
    layout = _Layout(tree, singletons, f"{route.where}: handler {handler.name!r}")
    fields = tuple(layout.fields)
    result = endpoint.result
    later = around.before or around.after or around.middleware
    async_guards = any(is_async(guard) for guard in around.guards)
    blocking = route.blocking is True
    if not later and not async_guards:
        guards = around.guards
        if not any(call.is_async for call in layout.calls):
            return Assembled(
                handler.call, handler.gives_coroutine, _whole_plan(layout, fields, guards, result)
            )
        core, awaited = core_of(len(fields), layout.calls, layout.last, route.path, blocking)
        every = tuple(range(len(fields)))
        return Assembled(core, awaited, _cello.Plan(fields, (), every, (), guards, result))
    hooks = (*around.before, *around.after)
    outside = async_guards or around.middleware or around.async_errors
    any_async = outside or any(part.is_async for part in (*hooks, *layout.calls, layout.last))
    offloads = blocking and bool(any_async)
    core, awaited = core_of(len(fields), layout.calls, layout.last, route.path, offloads)
    guards = () if async_guards else around.guards
    plan = _cello.Plan(fields, (), tuple(range(len(fields))), (), guards)
    inner = Inner(
        plan,
        core,
        awaited,
        route.status,
        result,
        layout.slot_of("response"),
        layout.slot_of("background"),
    )
    around = around._replace(guards=around.guards if async_guards else ())
    outer = _cello.Plan((REQUEST_FIELD,), (), (0,))
    if any_async:
        return Assembled(async_runner(inner, around), True, outer)
    return Assembled(sync_runner(inner, around), False, outer)


def _whole_plan(
    layout: _Layout,
    fields: tuple[Any, ...],
    guards: tuple[Callable[..., Any], ...],
    result: _results.ResultFilter | None,
) -> Any:
    """None for h(), which needs none."""
    if not (fields or layout.calls or guards or result):
        return None
    count = len(fields)
    calls = tuple(
        (
            _cello.CALL_GENERATOR if call.is_generator else _cello.CALL_VALUE,
            call.function,
            _numbered(call.slots, count),
            call.keywords,
        )
        for call in layout.calls
    )
    last = layout.last
    arguments = _numbered(last.slots, count)
    return _cello.Plan(fields, calls, arguments, last.keywords, guards, result)
