"""Mistakes in handlers are found when they are declared, with place, handler and parameter."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from cello import (
    App,
    Blueprint,
    Body,
    Cookie,
    Depends,
    Form,
    Header,
    Path,
    Query,
    Request,
    Response,
    UploadFile,
)
from cello.testing import TestClient


class Unknown:
    pass


class Nested(msgspec.Struct):
    inner: list[Unknown]


class Item(msgspec.Struct):
    a: int


def unknown(x: Unknown) -> None: ...
def unknown_item(x: list[Unknown]) -> None: ...
def unknown_field(x: Nested) -> None: ...
def unknown_query(x: Annotated[Unknown, Query()]) -> None: ...
def nowhere(x: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def not_in_path(x: Annotated[int, Path()]) -> None: ...
def two_markers(x: Annotated[int, Query(), Header()]) -> None: ...
def marker_twice(x: Annotated[int, Query()] = Query(1)) -> None: ...
def two_requests(req: Request, request: Request) -> None: ...
def two_untyped(a, b): ...  # type: ignore[no-untyped-def]
def star(req: Request, *rest: Any) -> None: ...
def keyword(*, a): ...  # type: ignore[no-untyped-def]
def anything(a: Any, b: Any) -> None: ...
def wrong_limit(x: Annotated[str, Query(ge=3)]) -> None: ...
def limit_of_list(x: Annotated[list[int], Query(ge=3)]) -> None: ...
def json_and_form(x: Item, y: Annotated[str, Form()]) -> None: ...
def dict_of_query(x: Annotated[dict[str, int], Query()]) -> None: ...
def no_class(x: Any = Depends()) -> None: ...
def below(x: Any = Depends(unknown)) -> None: ...
def not_callable_return() -> "Nowhere": ...  # type: ignore[name-defined]  # noqa: F821
def first(x: "Annotated[int, Depends(second)]") -> None: ...
def second(x: Annotated[int, Depends(first)]) -> None: ...
def circle(x: Any = Depends(first)) -> None: ...
def path_default(id: int = 3) -> None: ...
def path_marker_default(id: int = Path(3)) -> None: ...
def path_body(id: Item) -> None: ...
def path_list(id: list[int]) -> None: ...
def path_depends(id: Any = Depends(Item)) -> None: ...


MISTAKES: list[tuple[Callable[..., Any], str, str]] = [
    (unknown, "'x'", "nothing is known of the type Unknown"),
    (unknown_item, "'x'", "nothing is known of the type Unknown"),
    (unknown_field, "'x'", "nothing is known of the type Unknown"),
    (unknown_query, "'x'", "nothing is known of the type Unknown"),
    (nowhere, "'x'", "'Nowhere'.*not defined"),
    (not_in_path, "'x'", r"the path has no \{x\}"),
    (two_markers, "'x'", r"both Query\(\) and Header\(\)"),
    (marker_twice, "'x'", r"both Query\(\) and Query\(\)"),
    (two_requests, "'request'", "'req' is the request already"),
    (two_untyped, "'b'", "nothing gives it; annotate it"),
    (star, "'rest'", r"nothing fills a \* parameter"),
    (keyword, "'a'", "keyword-only"),
    (anything, "'b'", "nothing gives it; annotate it"),
    (wrong_limit, "'x'", "ge says nothing about str"),
    (limit_of_list, "'x'", "ge says nothing about list"),
    (json_and_form, "", "'x' is JSON and 'y' is of a form"),
    (dict_of_query, "'x'", "cannot be read from one query parameter"),
    (no_class, "'x'", r"Depends\(\) without a callable needs a class"),
    (below, "'x'", "nothing is known of the type Unknown"),
    (not_callable_return, "", "the return annotation 'Nowhere'"),
    (circle, "", "circle: first -> second -> first"),
    (path_default, "'id'", "has no default"),
    (path_marker_default, "'id'", "has no default"),
    (path_body, "'id'", "one value"),
    (path_list, "'id'", "one value"),
    (path_depends, "'id'", "cannot be a dependency"),
]


@pytest.mark.parametrize(
    ("handler", "parameter", "message"), MISTAKES, ids=lambda v: getattr(v, "__name__", "")
)
def test_mistakes(handler: Callable[..., Any], parameter: str, message: str) -> None:
    path = "/{id}" if handler.__name__.startswith("path") else "/"
    with pytest.raises((TypeError, ValueError)) as info:
        App().get(path)(handler)
    text = str(info.value)
    line = info.traceback[0].lineno + 1
    assert text.startswith(f"{__file__}:{line}: handler {handler.__name__!r}: "), text
    info.match(message)
    if parameter:
        info.match(f"parameter {parameter}: ")


def test_dependencies_are_named_with_their_place() -> None:
    line = unknown.__code__.co_firstlineno
    with pytest.raises(TypeError, match=rf"handler 'below': dependency 'unknown' \(.*:{line}\): "):
        App().get("/")(below)


def test_blueprints_name_the_place_of_the_route() -> None:
    blueprint = Blueprint("/b")
    blueprint.get("/")(unknown)
    with pytest.raises(TypeError, match=r"test_signature_errors\.py:\d+: handler 'unknown'"):
        App().register_blueprint(blueprint)


def test_nothing_is_left_of_a_refused_route() -> None:
    app = App()
    with pytest.raises(TypeError):
        app.get("/")(unknown)
    app.get("/")(lambda: "x")


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: Query(minimum=3), "minimum"),
        (lambda: Cookie(embed=True), "embed"),
        (lambda: Body(embedded=True), "embedded"),
        (lambda: Depends(5), "callable or a name, not 5"),
        (lambda: App().get("/", response_model=Unknown)(lambda: 1), "response_model: nothing is"),
        (lambda: App().get("/", body=Unknown)(lambda: 1), "nothing is known"),
        (lambda: App().get("/", body=Item)(path_body), None),
        (lambda: App().get("/", body=dict)(path_body), "declares the body to be dict"),
        (lambda: App().register_singleton("", 1), "name"),
        (lambda: App().get("/")(5), "callable"),
    ],
)
def test_wrong_declarations(declare: Callable[[], Any], message: str | None) -> None:
    if message is None:
        declare()
        return
    with pytest.raises(TypeError, match=message):
        declare()


def test_annotations_that_only_type_checkers_import() -> None:
    app = App()

    def handler(req: "Request", other: "cello.Response") -> "Response":  # type: ignore[name-defined]  # noqa: F821
        return other

    del handler.__globals__["__annotations__"]
    app.get("/")(handler)


def test_a_handler_that_yields_has_no_response() -> None:
    app = App()

    def sync(response: Response) -> Any:
        yield "a"

    async def later(response: Response) -> Any:
        yield "a"

    for handler in (sync, later):
        with pytest.raises(TypeError, match=r"\.py:\d+: handler .*yields has no Response.*stream"):
            app.get("/")(handler)

    def sets(response: Response) -> None:
        response.status = 202
        response.headers["X-Set"] = "1"

    def text(_: Annotated[None, Depends(sets)]) -> Any:
        yield "a"

    app.get("/")(text)
    with TestClient(app) as client:
        answer = client.get("/")
        assert (answer.status_code, answer.text, answer.headers["X-Set"]) == (202, "a", "1")


def test_body_says_what_it_may_be() -> None:
    with pytest.raises(ValueError, match='a model, "buffer" or "stream", not \'streaming\''):
        App().post("/", body="streaming")(lambda req: None)


def test_an_await_too_many_is_explained() -> None:
    app = App()

    @app.post("/")
    async def handler(file: UploadFile) -> Any:
        return await file.read()  # type: ignore[misc]

    with TestClient(app) as client, pytest.raises(TypeError) as error:
        client.post("/", files={"file": b"hello"})
    (note,) = error.value.__notes__
    assert "UploadedFile" in note
    assert "remove the await" in note


class UploadOfStruct(msgspec.Struct):
    title: str
    file: UploadFile


class UploadOfPydantic(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    title: str
    files: list[UploadFile] | None = None


def test_files_are_no_fields_of_models() -> None:
    def struct(form: Annotated[UploadOfStruct, Form()]) -> None: ...
    def model(form: Annotated[UploadOfPydantic, Form()]) -> None: ...

    for handler in (struct, model):
        with pytest.raises(TypeError, match=r"'form': the field 'files?' of \w+ is a file: make"):
            App().post("/")(handler)
