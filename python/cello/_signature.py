"""What handlers and their dependencies ask for, read from their signatures once, at registration.

Everything that is wrong with a signature is a TypeError or ValueError that names the place of the
route, the handler and the parameter.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any, NamedTuple, NoReturn

from cello import _bodies, _cello, _models, _types
from cello._background import BackgroundTasks
from cello._callables import (
    CO_ASYNC_GENERATOR,
    CO_COROUTINE,
    CO_GENERATOR,
    Raw,
    Shape,
    function_of,
    resolve,
    shape_of,
)
from cello._params import DependsMarker, ParamMarker, SecurityScopes, name_of
from cello._results import ResultFilter

if typing.TYPE_CHECKING:
    from cello._routes import Route

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

_REQUEST_NAMES = ("req", "request")
# Annotations that say nothing of where a parameter called `req` comes from.
_ANYTHING = (..., Any, object)


class Parameter(NamedTuple):
    """One parameter of a handler or a dependency.

    source: "path" "query" "header" "cookie" "form" "file" "body" "request" "response" "background"
    "scopes" "depends". annotation: without Annotated. default: `...` if required. converter: of a
    scalar or a list the _cello.Converter, of a body what decodes its bytes, of a file its kind.
    fields: of a model that is read from named values, and then converter makes the model, as
    by_fields says.
    """

    name: str
    source: str
    annotation: Any = Any
    alias: str = ""
    default: Any = ...
    constraints: Mapping[str, Any] = {}
    marker: ParamMarker | DependsMarker | None = None
    converter: Any = None
    by_keyword: bool = False
    dependency: Dependency | None = None
    fields: tuple[Parameter, ...] = ()
    by_fields: bool = False  # the model is made of converted fields, not of a dict of their texts

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is ...

    @property
    def is_model(self) -> bool:
        """Whether several named values make it."""
        return bool(self.fields)


class Signature:
    """Of a callable: what it is called with, and how."""

    __slots__ = ("call", "is_async", "is_generator", "name", "parameters", "returns")

    def __init__(self, call: Callable[..., Any], shape: Shape) -> None:
        self.call = call
        self.name = name_of(call)
        self.is_async = bool(shape.flags & (CO_COROUTINE | CO_ASYNC_GENERATOR))
        self.is_generator = bool(shape.flags & (CO_GENERATOR | CO_ASYNC_GENERATOR))
        self.parameters: list[Parameter] = []
        self.returns: Any = None

    @property
    def gives_coroutine(self) -> bool:
        """Whether a call is to be awaited; an async generator is not."""
        return self.is_async and not self.is_generator


class Dependency:
    """One place that asks for a dependency. signature: None for a registered singleton."""

    __slots__ = ("call", "scopes", "signature", "use_cache")

    def __init__(
        self,
        call: Callable[..., Any] | str,
        use_cache: bool,
        scopes: tuple[str, ...],
        signature: Signature | None,
    ) -> None:
        self.call = call
        self.use_cache = use_cache
        self.scopes = scopes
        self.signature = signature


# ---- reading ----


class Reader:
    """Reads the callables of one route.

    signatures: what was read before, by callable and names of the path; dependencies that many
    routes share are read once.
    """

    def __init__(
        self,
        where: str,
        handler: Any,
        path: str,
        scope: Mapping[str, Any] | None,
        signatures: dict[Any, Signature],
    ) -> None:
        self._place = f"{where}: handler {name_of(handler)!r}"
        if not isinstance(path, str):
            raise TypeError(f"{self._place}: the path must be a str, not {path!r}")
        self._names = _names_in(path)
        self._scope = scope
        self._signatures = signatures
        self._chain: list[Any] = []

    def handler(self, handler: Any, body: Any = None) -> Signature:
        """Of the route's handler. body: the model that the route declares for the JSON body."""
        found = self._read(handler, body)
        taken = [p for p in found.parameters if p.source == "body"]
        if body is not None and taken and taken[0].annotation != body:
            self._fail(taken[0].name, f"the route declares the body to be {_types.show(body)}")
        shape = shape_of(handler)
        if shape.returns is not ...:
            try:
                found.returns = resolve(shape.returns, shape.namespace, self._scope)
            except Exception as error:
                raise TypeError(
                    f"{self._place}: the return annotation {shape.returns!r}: {error}"
                ) from None
        return found

    def dependency(self, marker: DependsMarker, annotation: Any = ...) -> Dependency:
        """Of Depends(), at a parameter with that annotation or among a route's dependencies."""
        call = marker.call
        if call is None:
            call = annotation if callable(annotation) else None
        if call is None:
            raise TypeError(f"{self._place}: Depends() without a callable needs an annotated class")
        if isinstance(call, str):
            return Dependency(call, True, (), None)
        return Dependency(call, marker.use_cache, marker.scopes, self.signature(call))

    def checked(self, body: Any) -> Dependency:
        """What decodes a declared body that the handler has no parameter for."""
        signature = Signature(bool, Shape([], None, False, ..., 0, {}))
        raw = Raw("body", body, ..., False, False)
        signature.parameters.append(self._body(raw, body, ParamMarker("body"), {}))
        return Dependency(bool, False, (), signature)

    def signature(self, call: Callable[..., Any]) -> Signature:
        """Of a dependency."""
        check_chain(self._place, self._chain, call)
        key = (call, self._names)
        try:
            found = self._signatures.get(key)
        except TypeError:  # an object without a hash
            return self._below(call)
        if found is None:
            found = self._signatures[key] = self._below(call)
        return found

    def _below(self, call: Callable[..., Any]) -> Signature:
        self._chain.append(call)
        try:
            return self._read(call, None)
        finally:
            self._chain.pop()

    def _fail(self, parameter: str, what: str) -> NoReturn:
        place = self._place
        if self._chain:
            call = self._chain[-1]
            code = getattr(function_of(call), "__code__", None)
            at = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
            place += f": dependency {name_of(call)!r}{at}"
        # Without its cause, which is told in `what`: a traceback begins in the program.
        raise TypeError(f"{place}: parameter {parameter!r}: {what}") from None

    def _read(self, call: Callable[..., Any], body: Any) -> Signature:
        if not callable(call):
            raise TypeError(f"{self._place}: a handler must be callable, not {call!r}")
        try:
            shape = shape_of(call)
        except (ValueError, TypeError, NameError) as error:  # NameError: from Python 3.14 on
            raise TypeError(f"{self._place}: {name_of(call)} has no signature: {error}") from None
        signature = Signature(call, shape)
        if shape.only_star:
            signature.parameters.append(Parameter(shape.star or "", "request"))
            return signature
        by_keyword = False
        for raw in shape.parameters:
            found = self._parameter(raw, shape, signature, body)
            if found is None:
                by_keyword = True  # those behind a parameter that keeps its default
                continue
            if by_keyword and raw.by_position:
                self._fail(raw.name, "it stands behind one that nothing fills")
            signature.parameters.append(found._replace(by_keyword=by_keyword or raw.by_keyword))
        if shape.star and not hasattr(call, "__wrapped__"):
            self._fail(shape.star, "nothing fills a * parameter")
        if sum(p.source == "request" for p in signature.parameters) > 1:
            names = [p.name for p in signature.parameters if p.source == "request"]
            self._fail(names[1], f"{names[0]!r} is the request already; annotate this one")
        return signature

    def _parameter(
        self, raw: Raw, shape: Shape, signature: Signature, body: Any
    ) -> Parameter | None:
        """None: it keeps its default."""
        if raw.name in _REQUEST_NAMES and _is_name_of_request(raw.annotation):
            return Parameter(raw.name, "request", _cello.Request)
        annotation = raw.annotation
        if annotation is not ...:
            try:
                annotation = resolve(annotation, shape.namespace, self._scope)
            except Exception as error:
                self._fail(raw.name, f"the annotation {raw.annotation!r}: {error}")
        bare, metadata = _types.unwrap(annotation)
        marker = self._marker(raw, metadata)
        if isinstance(marker, DependsMarker):
            if raw.name in self._names:
                self._fail(raw.name, "a path parameter cannot be a dependency")
            dependency = self._dependency_of(raw.name, marker, bare)
            return Parameter(raw.name, "depends", bare, marker=marker, dependency=dependency)
        if marker is None:
            special = self._special(raw, bare, signature, body)
            if special is not None:
                return special
            if annotation is ... and raw.name not in self._names and raw.default is not ...:
                return None
        return self._value(raw, ... if annotation is ... else annotation, metadata, marker)

    def _dependency_of(self, name: str, marker: DependsMarker, bare: Any) -> Dependency:
        if marker.call is None and (not isinstance(bare, type) or bare is Any):
            self._fail(name, "Depends() without a callable needs a class as annotation")
        return self.dependency(marker, bare)

    def _marker(self, raw: Raw, metadata: list[Any]) -> ParamMarker | DependsMarker | None:
        markers = _types.markers_of(metadata)
        if isinstance(raw.default, ParamMarker | DependsMarker):
            markers.append(raw.default)
        elif isinstance(raw.default, FunctionType):
            markers += _types.markers_of([raw.default])
        if len(markers) > 1:
            self._fail(raw.name, f"both {markers[0]!r} and {markers[1]!r} say where it comes from")
        return markers[0] if markers else None

    def _special(self, raw: Raw, bare: Any, signature: Signature, body: Any) -> Parameter | None:
        """What is known by its name or by a class of Cello's."""
        if bare is _cello.Request or (raw.name in _REQUEST_NAMES and bare in _ANYTHING):
            return Parameter(raw.name, "request", _cello.Request)
        if isinstance(bare, type) and issubclass(bare, _cello.Response):
            return Parameter(raw.name, "response", bare)
        if bare is BackgroundTasks:
            return Parameter(raw.name, "background", bare)
        if bare is SecurityScopes:
            return Parameter(raw.name, "scopes", bare)
        # Any says as little as no annotation.
        if bare not in (..., Any) or raw.name in self._names or raw.default is not ...:
            return None
        has_request = any(p.source == "request" for p in signature.parameters)
        if body is not None and (raw.name == "body" or has_request):
            return self._body(raw, body, ParamMarker("body"), {})
        if raw.by_keyword:
            self._fail(raw.name, "nothing gives it, as it is keyword-only; annotate it")
        if has_request:
            self._fail(raw.name, "nothing gives it; annotate it")
        return Parameter(raw.name, "request", _cello.Request)

    def _value(
        self, raw: Raw, annotation: Any, metadata: list[Any], marker: ParamMarker | None
    ) -> Parameter:
        """What a request has under a name, or as its body."""
        annotation = str if annotation is ... else annotation
        kind = _types.file_kind(annotation)
        if marker is None and kind in ("file", "files"):
            marker = ParamMarker("file")
        if marker is not None and (marker.source == "file" or kind in ("file", "files")):
            return self._file(raw, annotation, kind, marker)
        try:
            shape = _types.shape(annotation)
            if marker is None:
                source = "path" if raw.name in self._names else "query"
                source = "body" if shape == "body" and source == "query" else source
                marker_or_plain = ParamMarker(source)
            else:
                marker_or_plain, source = marker, marker.source
            limits = _types.constraints_of([*metadata, marker_or_plain])
            if source == "body":
                return self._body(raw, annotation, marker_or_plain, limits, marker)
            found = self._named(raw, annotation, shape, source, marker_or_plain, marker)
            return found._replace(constraints=limits)
        except (TypeError, ValueError, NameError) as error:
            if str(error).startswith(self._place):
                raise
            self._fail(raw.name, str(error))

    def _file(self, raw: Raw, annotation: Any, kind: str | None, marker: ParamMarker) -> Parameter:
        if marker.source != "file":
            self._fail(raw.name, f"a file is declared with File(), not {marker!r}")
        if kind is None:
            shown = _types.show(_types.unwrap(annotation)[0])
            self._fail(raw.name, f"File() gives UploadedFile, bytes or a list of them, not {shown}")
        if raw.name in self._names:
            self._fail(raw.name, "a path parameter cannot be a file")
        bare, alias = _types.unwrap(annotation)[0], marker.alias or raw.name
        default = _default(raw, marker)
        return Parameter(raw.name, "file", bare, alias, default, marker=marker, converter=kind)

    def _named(
        self,
        raw: Raw,
        annotation: Any,
        shape: str,
        source: str,
        marker: ParamMarker,
        given: ParamMarker | None,
    ) -> Parameter:
        alias = marker.alias or raw.name
        if source == "header" and not marker.alias and marker.convert_underscores:
            alias = alias.replace("_", "-")
        default = _default(raw, marker)
        if source == "path":
            if alias not in self._names:
                self._fail(raw.name, f"the path has no {{{alias}}}")
            if default is not ...:
                self._fail(raw.name, "a path parameter has no default: without it no route matches")
            if shape != "scalar":
                self._fail(raw.name, "a path parameter is one value, no list and no model")
        bare, _ = _types.unwrap(annotation)
        found = Parameter(raw.name, source, bare, alias, default, marker=given)
        if shape != "body":
            converter = _types.converter(annotation, marker.constraints)
            return found._replace(converter=converter)
        model, _ = _types.without_none(bare)
        if not _types.is_model(model):
            self._fail(raw.name, f"{_types.show(bare)} cannot be read from one {source} parameter")
        return self._model(found, model, marker)

    def _model(self, found: Parameter, model: Any, marker: ParamMarker) -> Parameter:
        """A model of named values: its fields are parameters of their own."""
        source = found.source
        dashes = source == "header" and marker.convert_underscores
        fields = _models.model_fields(model)
        by_fields = not _types.is_pydantic(model)
        parameters = []
        for field in fields:
            if _types.file_kind(field.annotation) in ("file", "files"):
                whose = f"the field {field.key!r} of {_types.show(model)}"
                self._fail(found.name, f"{whose} is a file: make it a parameter of its own")
            alias = field.name.replace("_", "-") if dashes else field.name
            raw = Raw(field.key, field.annotation, field.default, True, False)
            inner = ParamMarker(source, alias=alias)
            if by_fields:
                shape = _types.shape(field.annotation)
                parameters.append(self._named(raw, field.annotation, shape, source, inner, None))
                continue
            bare, metadata = _types.unwrap(field.annotation)
            limits = _types.constraints_of(metadata)
            parameters.append(Parameter(field.key, source, bare, alias, field.default, limits))
        names = {p.alias.lower() if source == "header" else p.alias: f.name
                 for p, f in zip(parameters, fields, strict=True)}  # fmt: skip
        make = (
            _models.constructor(model, fields, source)
            if by_fields
            else _models.model_reader(model, source, names)
        )
        return found._replace(fields=tuple(parameters), converter=make, by_fields=by_fields)

    def _body(
        self,
        raw: Raw,
        annotation: Any,
        marker: ParamMarker,
        limits: Mapping[str, Any],
        given: ParamMarker | None = None,
    ) -> Parameter:
        if raw.name in self._names:
            self._fail(raw.name, "a path parameter cannot be the body")
        default = _default(raw, marker)
        bare = _types.plain(annotation)
        return Parameter(
            raw.name,
            "body",
            bare,
            marker.alias or raw.name,
            default,
            limits,
            given,
            _bodies.decoder(bare, dict(limits)),
        )


def _names_in(path: str) -> frozenset[str]:
    """The parameters of "/items/{id:int}/{rest:path}"; of a path that the router will refuse, those
    that can be told."""
    if "regex(" not in path:  # then no brace is inside another pair
        return frozenset(part.partition("}")[0].partition(":")[0] for part in path.split("{")[1:])
    from cello import _paths

    try:
        return frozenset(piece.name for piece in _paths.split(path) if piece.name)
    except ValueError:
        return frozenset()


def _is_name_of_request(annotation: Any) -> bool:
    """ "Request" as a text, which need not be imported where it stands."""
    return isinstance(annotation, str) and annotation.rpartition(".")[2] == "Request"


def _default(raw: Raw, marker: ParamMarker) -> Any:
    given = raw.default
    if given is ... or isinstance(given, ParamMarker) or (given is not None and _is_bare(given)):
        return marker.default
    return given


def _is_bare(default: Any) -> bool:
    return isinstance(default, FunctionType) and bool(_types.markers_of([default]))


# ---- what a whole route asks for ----


class Body(NamedTuple):
    """The body of a route. embedded: its parts by key, when it is an object of several."""

    annotation: Any
    required: bool
    media_type: str
    embedded: dict[str, Parameter] | None
    parameter: Parameter | None = None

    @property
    def is_form(self) -> bool:
        """Whether it is a form and not JSON."""
        return self.media_type != "application/json"


class Endpoint:
    """A route and what its handler and dependencies ask for. dependencies: those that the app, the
    blueprints and the route declare without a parameter, in this order. result: how what the
    handler returns is filtered."""

    def __init__(
        self,
        id: int,
        route: Route,
        signature: Signature,
        dependencies: tuple[Dependency, ...] = (),
    ) -> None:
        self.id = id
        self.route = route
        self.signature = signature
        self.dependencies = dependencies
        self.result: ResultFilter | None = None

    def tree(self) -> Iterator[tuple[Dependency, tuple[str, ...]]]:
        """Every dependency below it with the scopes above it, outermost first."""
        todo = [(d, d.scopes) for d in self.dependencies]
        todo += [(d, d.scopes) for d in needed(self.signature)]
        todo.reverse()
        while todo:
            dependency, scopes = todo.pop()
            yield dependency, scopes
            if dependency.signature:
                below = needed(dependency.signature)
                todo += [(d, (*scopes, *d.scopes)) for d in reversed(below)]

    def _signatures(self) -> Iterator[Signature]:
        for dependency, _ in self.tree():
            if dependency.signature:
                yield dependency.signature
        yield self.signature

    def flat_parameters(self) -> list[Parameter]:
        """What the request has under names, each once, those of dependencies first; models too."""
        found: dict[tuple[str, str], Parameter] = {}
        for signature in self._signatures():
            for p in signature.parameters:
                if p.source in ("path", "query", "header", "cookie", "form", "file"):
                    found.setdefault((p.source, p.alias), p)
        return list(found.values())

    def of_body(self) -> list[Parameter]:
        """What needs the body, those of dependencies first."""
        every = (p for signature in self._signatures() for p in signature.parameters)
        return [p for p in every if p.source in ("body", "form", "file")]

    def body(self) -> Body | None:
        """What is asked for as the body: JSON, or a form."""
        return body_of(self._signatures())

    def security(self) -> list[tuple[Any, list[str]]]:
        """The security schemes (objects of cello.security) with the scopes asked for."""
        found: dict[int, tuple[Any, list[str]]] = {}
        for dependency, scopes in self.tree():
            if hasattr(dependency.call, "scheme_name"):
                _, known = found.setdefault(id(dependency.call), (dependency.call, []))
                known += [scope for scope in scopes if scope not in known]
        return list(found.values())


def check_chain(place: str, chain: list[Any], call: Any) -> None:
    """ValueError: a dependency is among those that need it."""
    if call in chain:
        circle = [*chain[chain.index(call) :], call]
        names = " -> ".join(map(name_of, circle))
        raise ValueError(f"{place}: dependencies go round in a circle: {names}")


def needed(signature: Signature) -> list[Dependency]:
    """What a callable's own parameters depend on."""
    return [p.dependency for p in signature.parameters if p.dependency]


def body_of(signatures: Iterable[Signature]) -> Body | None:
    """ValueError: a form and JSON at once, or two bodies under one key."""
    bodies: dict[str, Parameter] = {}
    forms: list[Parameter] = []
    for signature in signatures:
        for p in signature.parameters:
            if p.source in ("form", "file"):
                forms.append(p)
            elif p.source == "body":
                other = bodies.setdefault(p.alias, p)
                if other.annotation != p.annotation:
                    raise ValueError(f"two bodies of different types are called {p.alias!r}")
    if bodies and forms:
        first = next(iter(bodies.values()))
        raise ValueError(
            f"{first.name!r} is JSON and {forms[0].name!r} is of a form: not in one body"
        )
    if forms:
        required = any(p.required for p in forms)
        has_file = any(p.source == "file" for p in forms)
        return Body(None, required, MULTIPART if has_file else URLENCODED, None)
    parts = list(bodies.values())
    if not parts:
        return None
    single = parts[0] if len(parts) == 1 else None
    if single and not (isinstance(single.marker, ParamMarker) and single.marker.embed):
        return Body(single.annotation, single.required, "application/json", None, single)
    required = any(p.required for p in parts)
    return Body(None, required, "application/json", {p.alias: p for p in parts})
