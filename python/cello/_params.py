"""Where the values of a handler's parameters come from, as a program declares it.

    def search(q: Annotated[str, Query(max_length=50)], db: Annotated[Db, Depends(session)]): ...
    def search(q: str = Query("", max_length=50), db: Db = Depends(session)): ...

The functions are typed as Any so that both forms check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypedDict, Unpack

CONSTRAINTS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern")


class ParamOptions(TypedDict, total=False):
    """What every place takes. alias: the name in the request. ge gt le lt multiple_of: of numbers;
    min_length max_length: of text and lists; pattern: a regular expression (PCRE2) that is found
    in the text. The rest is for the documentation of the API."""

    alias: str | None
    ge: float | None
    gt: float | None
    le: float | None
    lt: float | None
    multiple_of: float | None
    min_length: int | None
    max_length: int | None
    pattern: str | None
    title: str | None
    description: str | None
    examples: list[Any] | None
    deprecated: bool
    include_in_schema: bool


class FileOptions(TypedDict, total=False):
    """What File() takes: how large files may be is said by LimitsConfig."""

    alias: str | None
    title: str | None
    description: str | None
    examples: list[Any] | None
    deprecated: bool
    include_in_schema: bool


class ParamMarker:
    """One declared place. source: "path", "query", "header", "cookie", "form", "file" or "body"."""

    __slots__ = (
        "alias",
        "constraints",
        "convert_underscores",
        "default",
        "deprecated",
        "description",
        "embed",
        "examples",
        "include_in_schema",
        "source",
        "title",
    )

    def __init__(
        self,
        source: str,
        default: Any = ...,
        *,
        alias: str | None = None,
        title: str | None = None,
        description: str | None = None,
        examples: list[Any] | None = None,
        deprecated: bool = False,
        include_in_schema: bool = True,
        embed: bool = False,
        convert_underscores: bool = True,
        **constraints: Any,
    ) -> None:
        unknown = [name for name in constraints if name not in CONSTRAINTS]
        if embed and source != "body":
            unknown.append("embed")
        if not convert_underscores and source != "header":
            unknown.append("convert_underscores")
        if source == "file":
            unknown += [name for name, value in constraints.items() if value is not None]
        if unknown:
            raise TypeError(f"{source.capitalize()}() has no argument {unknown[0]!r}")
        self.source = source
        self.default = default
        self.alias = alias
        self.title = title
        self.description = description
        self.examples = examples
        self.deprecated = deprecated
        self.include_in_schema = include_in_schema
        self.embed = embed
        self.convert_underscores = convert_underscores
        self.constraints = {k: v for k, v in constraints.items() if v is not None}

    def __repr__(self) -> str:
        return f"{self.source.capitalize()}()"


def Path(default: Any = ..., **options: Unpack[ParamOptions]) -> Any:
    """A part of the path."""
    return ParamMarker("path", default, **options)


def Query(default: Any = ..., **options: Unpack[ParamOptions]) -> Any:
    """A value of the query, all its values for a list, or its values as the fields of a model."""
    return ParamMarker("query", default, **options)


def Header(
    default: Any = ..., *, convert_underscores: bool = True, **options: Unpack[ParamOptions]
) -> Any:
    """A header; `_` in the parameter's name is `-` in the header's."""
    return ParamMarker("header", default, convert_underscores=convert_underscores, **options)


def Cookie(default: Any = ..., **options: Unpack[ParamOptions]) -> Any:
    """A cookie."""
    return ParamMarker("cookie", default, **options)


def Form(default: Any = ..., **options: Unpack[ParamOptions]) -> Any:
    """A field of a form, or a whole form as a model."""
    return ParamMarker("form", default, **options)


def File(default: Any = ..., **options: Unpack[FileOptions]) -> Any:
    """A file of a multipart form, as `UploadedFile` or `bytes`, or all of its name as a list."""
    return ParamMarker("file", default, **options)


def Body(default: Any = ..., *, embed: bool = False, **options: Unpack[ParamOptions]) -> Any:
    """The JSON body. embed: it is an object that has the value under the parameter's name, as
    when a handler takes several bodies."""
    return ParamMarker("body", default, embed=embed, **options)


class DependsMarker:
    """A declared dependency. call: what makes the value; None: the parameter's own annotation; a
    str: the name of a registered singleton."""

    __slots__ = ("call", "scopes", "use_cache")

    def __init__(
        self,
        call: Callable[..., Any] | str | None,
        use_cache: bool = True,
        scopes: Iterable[str] = (),
    ) -> None:
        if call is not None and not isinstance(call, str) and not callable(call):
            raise TypeError(f"Depends() takes a callable or a name, not {call!r}")
        if isinstance(scopes, str):
            raise TypeError(f"scopes is a list of names, not the str {scopes!r}")
        self.call = call
        self.use_cache = use_cache
        self.scopes = tuple(scopes)

    def __repr__(self) -> str:
        name = self.call if self.call is None or isinstance(self.call, str) else name_of(self.call)
        return f"Depends({name or ''})"


def name_of(call: Any) -> str:
    """What a callable is called in messages."""
    name = getattr(call, "__qualname__", None) or type(call).__qualname__
    return str(name).rpartition("<locals>.")[2]


def Depends(dependency: Callable[..., Any] | str | None = None, *, use_cache: bool = True) -> Any:
    """A value made by a function, an async function, a generator (what follows its `yield` runs
    after the response), a class or another callable; its own parameters are as a handler's.
    Without an argument: the annotated class. A str: what App.register_singleton got under that
    name. use_cache: one value for a request, wherever it is asked for."""
    return DependsMarker(dependency, use_cache)


def Security(
    dependency: Callable[..., Any] | None = None,
    *,
    scopes: Iterable[str] = (),
    use_cache: bool = True,
) -> Any:
    """Depends() with the scopes that the route needs; see SecurityScopes."""
    return DependsMarker(dependency, use_cache, scopes)


class SecurityScopes:
    """Injected by its annotation: the scopes that the Security() above this dependency ask for."""

    __slots__ = ("scope_str", "scopes")

    def __init__(self, scopes: Iterable[str] = ()) -> None:
        self.scopes = list(scopes)
        self.scope_str = " ".join(self.scopes)

    def __repr__(self) -> str:
        return f"SecurityScopes({self.scopes!r})"


# `Annotated[str, Query]` says the same as `Annotated[str, Query()]`.
BARE: frozenset[Any] = frozenset((Path, Query, Header, Cookie, Form, File, Body, Depends, Security))
