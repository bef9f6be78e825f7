"""What typed handlers must not cost: frames of Python, imports."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import msgspec
import pydantic
from api_client import profiled
from cello import App, Body, Depends, Header, Query, Request, Response


class Item(msgspec.Struct):
    name: str
    price: Annotated[float, msgspec.Meta(gt=0)] = 1.0


class Model(pydantic.BaseModel):
    name: str


class Page(msgspec.Struct):
    page: int = 1


def opened() -> Iterator[int]:
    yield 1


def below(value: int = Depends(opened), q: str = "") -> int:
    return value


async def later(value: int = Depends(opened)) -> int:
    return value


FORBIDDEN = """
import socket, sys, msgspec
before = set(sys.modules)
from cello import App, Depends
app = App()
class Item(msgspec.Struct):
    name: str
def dependency(q: str = "x"):
    yield q
@app.post("/{id}")
def handler(id: int, item: Item, d: str = Depends(dependency)) -> Item:
    return item
with app.start("127.0.0.1", 0) as server:
    for body in (b'{"name":"n"}', b'{"name":1234}'):
        with socket.create_connection(server.addresses[0]) as s:
            s.sendall(b"POST /7 HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d\\r\\n\\r\\n"
                      % len(body) + body)
            print(s.recv(65536).decode().split()[1])
heavy = {"asyncio", "inspect", "pydantic", "json", "logging", "dataclasses"}
print(*heavy & (set(sys.modules) - before))
"""


def test_frames_of_a_typed_request() -> None:
    app = App()

    @app.post("/all/{id}")
    def everything(
        id: int,
        item: Item,
        response: Response,
        tags: list[str] = Query([]),
        agent: str = Header("", alias="User-Agent"),
    ) -> Item:
        return item

    @app.post("/model")
    def model(model: Model, embedded: Annotated[int, Body()] = 1) -> list[Model]:
        return [model]

    @app.get("/dependencies")
    def dependencies(value: int = Depends(below), again: int = Depends(opened)) -> int:
        return value

    @app.get("/later")
    async def with_async(value: int = Depends(later)) -> int:
        return value

    @app.get("/page")
    def page(page: Annotated[Page, Query()], request: Request) -> Page:
        return page

    expected = {
        ("POST", "/all/7?tags=a"): {"everything": 1},
        ("POST", "/model"): {"model": 1, "BaseModel.model_dump": 1},  # pydantic's own
        ("GET", "/dependencies"): {"opened": 2, "below": 1, "dependencies": 1},
        ("GET", "/page"): {"page": 1, "constructor.<locals>.make": 1},
        ("GET", "/all/x"): {},
    }
    bodies = {"/all/7?tags=a": b'{"name":"n"}', "/model": b'{"model":{"name":"n"}}'}
    prefix = "test_frames_of_a_typed_request.<locals>."
    with profiled(app) as (client, frames):
        for (method, target), calls in expected.items():
            frames.clear()
            for _ in range(10):
                answer = client.ask(target, method, bodies.get(target))
                assert answer.status in (200, 405), answer.text
            frames.pop("BaseEventLoop._run_once", None)
            seen = {k.removeprefix(prefix): n for k, n in frames.items() if n >= 10}
            assert seen == {name: 10 * n for name, n in calls.items()}, target
        frames.clear()
        for _ in range(10):
            assert client.get("/later").status == 200
        assert frames[f"{prefix}with_async"] == frames["later"] == 10
        deadline = time.monotonic() + 10
        while frames["opened"] < 20 and time.monotonic() < deadline:
            time.sleep(0.001)  # the last one ends after its answer
        assert frames["opened"] == 20


def test_typed_requests_import_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORBIDDEN], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "200\n422\n\n"
