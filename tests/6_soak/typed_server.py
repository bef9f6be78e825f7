"""Typed handlers for test_soak.py: typed_server.py BACKEND def|async. The same routes for both."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pydantic
from cello import App, Body, Depends, Header, HTTPError, Query, Request, Response
from soak_report import serve


class Item(msgspec.Struct):
    name: str
    price: Annotated[float, msgspec.Meta(gt=0)] = 1.0


class Model(pydantic.BaseModel):
    name: str
    tags: list[int] = []


class Conflict(Exception):
    pass


app = App()
app.enable_request_id()
handlers: list[Callable[..., Any]] = []
opened = {"now": 0, "ended": 0, "thrown": 0}


def route(path: str, method: str = "GET", **options: Any) -> Any:
    """app.route(), which also remembers the handler."""

    def declare(handler: Any) -> Any:
        handlers.append(handler)
        return app.route(path, methods=(method,), **options)(handler)

    return declare


# ---- dependencies ----


def connection(request: Request, response: Response) -> Iterator[dict[str, Any]]:
    response.set_header("X-Connection", "1")
    opened["now"] += 1
    try:
        yield {"request": request}  # a cycle with what the request holds must not stay
    except BaseException:
        opened["thrown"] += 1
        raise
    finally:
        opened["now"] -= 1
        opened["ended"] += 1


async def session(held: dict[str, Any] = Depends(connection)) -> AsyncIterator[str]:
    opened["now"] += 1
    try:
        await asyncio.sleep(0)
        yield "session"
    finally:
        await asyncio.sleep(0)
        opened["now"] -= 1


class Page:
    def __init__(self, page: int = 1, size: Annotated[int, Query(le=100)] = 10) -> None:
        self.page, self.size = page, size


def guard(request: Request) -> bool:
    if request.headers.get("a") == "nobody":
        raise HTTPError(401, headers={"WWW-Authenticate": "Bearer"})
    return request.query.get("refuse") is None


async def aguard(request: Request) -> bool:
    await asyncio.sleep(0)
    return request.query.get("refuse") is None


# ---- handlers ----


@app.exception_handler(Conflict)
def on_conflict(request: Request, error: Conflict) -> Response:
    return Response.json({"path": request.path, "error": str(error)}, 409)


def add_def_handlers() -> None:
    @route("/typed/{id}")
    def typed(
        id: int, q: list[int] = Query([]), day: date | None = None, a: str | None = Header(None)
    ) -> Any:
        return {"id": id, "q": q, "day": day, "a": a}

    @route("/uuid/{id}", guards=[guard])
    def of_uuid(id: UUID, page: Page = Depends()) -> Any:
        return {"id": id, "page": page.page}

    @route("/item", "POST", response_model=Item)
    def item(item: Item, held: dict[str, Any] = Depends(connection)) -> Any:
        return item

    @route("/model", "POST")
    def model(model: Model, held: dict[str, Any] = Depends(connection)) -> Model:
        return model

    @route("/parts", "POST")
    def parts(item: Annotated[Item, Body()], count: Annotated[int, Body()] = 1) -> Any:
        return [item] * count

    @route("/conflict")
    def conflict(held: dict[str, Any] = Depends(connection)) -> Any:
        raise Conflict("c")

    @route("/crash")
    def crash(held: dict[str, Any] = Depends(connection)) -> Any:
        return 1 / 0

    @route("/unsendable")
    def unsendable(held: dict[str, Any] = Depends(connection)) -> Any:
        return object()

    @route("/slow")
    def slow(held: dict[str, Any] = Depends(connection)) -> bytes:
        return bytes(200_000)


def add_async_handlers() -> None:
    @route("/typed/{id}")
    async def typed(
        id: int, q: list[int] = Query([]), day: date | None = None, a: str | None = Header(None)
    ) -> Any:
        await asyncio.sleep(0)
        return {"id": id, "q": q, "day": day, "a": a}

    @route("/uuid/{id}", guards=[guard, aguard])
    async def of_uuid(id: UUID, page: Page = Depends()) -> Any:
        return {"id": id, "page": page.page}

    @route("/item", "POST", response_model=Item)
    async def item(item: Item, held: str = Depends(session)) -> Any:
        return item

    @route("/model", "POST")
    async def model(model: Model, held: dict[str, Any] = Depends(connection)) -> Model:
        await asyncio.sleep(0.001)
        return model

    @route("/parts", "POST")
    async def parts(item: Annotated[Item, Body()], count: Annotated[int, Body()] = 1) -> Any:
        return [item] * count

    @route("/conflict")
    async def conflict(held: str = Depends(session)) -> Any:
        await asyncio.sleep(0)
        raise Conflict("c")

    @route("/crash")
    async def crash(held: str = Depends(session)) -> Any:
        return 1 / 0

    @route("/unsendable")
    async def unsendable(held: dict[str, Any] = Depends(connection)) -> Any:
        await asyncio.sleep(0)
        return object()

    @route("/slow")
    async def slow(held: str = Depends(session)) -> bytes:
        await asyncio.sleep(0.02)  # its client may be gone by then
        return bytes(200_000)

    @app.before_request("/conflict")
    async def before(request: Request) -> None:
        request.state.seen = request

    @app.after_request("/crash")
    async def after(request: Request, response: Response) -> None:
        response.set_header("X-After", request.path)


if __name__ == "__main__":
    {"def": add_def_handlers, "async": add_async_handlers}[sys.argv[2]]()
    referred = [*handlers, app, Item, Model, HTTPError, Response, Request]
    serve(app, referred, opened=opened)
