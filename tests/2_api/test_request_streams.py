"""req.stream(): the body while it comes."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from api_client import Asker
from cello import App, Body, ClientDisconnected, Depends, Form, HTTPError, Request
from cello.testing import AsyncTestClient, TestClient


def make_app() -> App:
    app = App()

    @app.post("/async", body="stream", max_body=10_000_000)
    async def read_async(req: Request) -> dict[str, Any]:
        chunks = [chunk async for chunk in req.stream()]
        return {"bytes": sum(map(len, chunks)), "types": sorted({type(c).__name__ for c in chunks})}

    @app.post("/sync", body="stream", max_body=10_000_000)
    def read_sync(req: Request) -> dict[str, Any]:
        chunks = list(req.stream())
        return {"bytes": sum(map(len, chunks)), "types": sorted({type(c).__name__ for c in chunks})}

    @app.post("/small", body="stream", max_body=10)
    async def small(req: Request) -> bytes:
        return b"".join([chunk async for chunk in req.stream()])

    @app.post("/inline", body="stream", blocking=False)
    def inline(req: Request) -> bytes:
        return b"".join(req.stream())

    @app.post("/others", body="stream")
    async def others(req: Request) -> list[str]:
        said = []
        for read in (req.body, req.text, req.json, req.form):
            with pytest.raises(RuntimeError) as caught:
                read()
            said.append(str(caught.value))
        return said

    @app.post("/twice", body="stream")
    async def twice(req: Request) -> str:
        first = req.stream()
        with pytest.raises(RuntimeError, match="read once"):
            req.stream()
        return b"".join([chunk async for chunk in first]).decode()

    @app.post("/collected")
    async def collected(req: Request) -> list[str]:
        return [chunk.decode() async for chunk in req.stream()]

    return app


def pieces(count: int = 100) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 1000


@pytest.mark.parametrize("path", ["/async", "/sync"])
def test_reads_what_the_client_sends(path: str) -> None:
    with TestClient(make_app()) as client:
        for content, size in ((b"", 0), (b"abc", 3), (b"y" * 1_000_000, 1_000_000)):
            expected = {"bytes": size, "types": ["bytes"] if size else []}
            assert client.post(path, content=content).json() == expected
        assert client.post(path, content=pieces()).json()["bytes"] == 100_000
        assert client.post(path, content=iter([])).json()["bytes"] == 0


async def apieces() -> AsyncIterator[bytes]:
    for _ in range(100):
        yield b"x" * 1000
        await asyncio.sleep(0)


@pytest.mark.parametrize("path", ["/async", "/sync"])
def test_async_client(path: str) -> None:
    async def main() -> None:
        async with AsyncTestClient(make_app()) as client:
            assert (await client.post(path, content=apieces())).json()["bytes"] == 100_000
            many = await asyncio.gather(*(client.post(path, content=apieces()) for _ in range(20)))
            assert [answer.json()["bytes"] for answer in many] == [100_000] * 20

    asyncio.run(main())


def test_size_is_checked_before_python() -> None:
    asker = Asker(make_app())
    answer = asker.ask("/small", "POST", b"01234567890")
    assert answer.status == 413
    assert asker.ask("/small", "POST", b"0123456789").body == b"0123456789"


def test_chunks_beyond_the_size() -> None:
    with TestClient(make_app()) as client:
        answer = client.post("/small", content=iter([b"01234", b"56789", b"0"]))
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"


def test_other_readers_say_what_to_do() -> None:
    said = Asker(make_app()).ask("/others", "POST", b"abc").data
    assert len(said) == 4
    assert all("req.stream()" in text and 'body="stream"' in text for text in said)


def test_stream_is_read_once() -> None:
    assert Asker(make_app()).ask("/twice", "POST", b"abc").text == "abc"


def test_stream_of_a_collected_body() -> None:
    asker = Asker(make_app())
    assert asker.ask("/collected", "POST", b"abc").data == ["abc"]
    assert asker.ask("/collected", "POST", b"").data == []


def test_stream_of_a_request_made_by_hand() -> None:
    assert list(Request("POST", "/", body=b"abc").stream()) == [b"abc"]
    assert list(Request("POST", "/").stream()) == []

    async def read() -> list[bytes]:
        request = Request("POST", "/", body="äb")
        return [chunk async for chunk in request.stream()]

    assert asyncio.run(read()) == ["äb".encode()]
    request = Request("POST", "/", body=b"abc")
    stream = request.stream()
    assert iter(stream) is stream
    with pytest.raises(RuntimeError, match="read once"):
        request.stream()
    assert request.body() == b"abc"


def test_inline_handlers_cannot_wait() -> None:
    with TestClient(make_app()) as client:
        assert client.post("/inline", content=b"abc").content == b"abc"
        with pytest.raises(RuntimeError, match="cannot wait for it on the thread of the server"):
            client.post("/inline", content=pieces())


def test_sync_handlers_run_on_the_pool() -> None:
    app = App()

    @app.post("/where", body="stream")
    def where(req: Request) -> str:
        list(req.stream())
        return threading.current_thread().name

    with TestClient(app) as client:
        assert client.post("/where", content=b"abc").text.startswith("cello-pool-")


def test_what_needs_the_whole_body_is_refused() -> None:
    app = App()
    with pytest.raises(TypeError, match=r"'item' needs the whole body.*req.stream\(\)"):

        @app.post("/json", body="stream")
        def json(item: dict[str, int]) -> None: ...

    with pytest.raises(TypeError, match="'name' needs the whole body"):

        @app.post("/form", body="stream")
        def form(name: str = Form()) -> None: ...

    with pytest.raises(TypeError, match="needs the whole body"):

        @app.post("/two", body="stream")
        def two(a: int = Body(), b: int = Body()) -> None: ...

    def below(item: dict[str, int]) -> None: ...

    with pytest.raises(TypeError, match="'item' needs the whole body"):

        @app.post("/below", body="stream")
        def depends(req: Request, value: None = Depends(below)) -> None: ...

    with pytest.raises(TypeError, match="const=True"):

        @app.post("/const", body="stream", const=True)
        def const() -> str:
            return "x"


def test_parameters_and_dependencies_come_before_the_body() -> None:
    app = App()
    seen: list[str] = []

    def allowed(token: str = "") -> str:
        seen.append(token)
        if token != "secret":
            raise HTTPError(403, "No.")
        return token

    @app.put("/{name}", body="stream")
    async def put(req: Request, name: str, q: int = 1, token: str = Depends(allowed)) -> list[Any]:
        return [name, q, token, sum([len(chunk) async for chunk in req.stream()])]

    with TestClient(app) as client:
        answer = client.put("/a?q=7&token=secret", content=pieces(3))
        assert answer.json() == ["a", 7, "secret", 3000]
        assert client.put("/a?q=x", content=pieces(3)).status_code == 422
        assert client.put("/a?token=no", content=pieces(3)).status_code == 403
    assert seen == ["secret", "no"]


def test_buffer_is_the_default() -> None:
    app = App()

    @app.post("/", body="buffer")
    def read(req: Request) -> bytes:
        return req.body()

    assert Asker(app).ask("/", "POST", b"abc").body == b"abc"


def test_openapi_names_the_body() -> None:
    document = make_app().openapi()
    body = document["paths"]["/async"]["post"]["requestBody"]
    assert body["content"] == {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
    }


def test_one_reader_at_a_time() -> None:
    app = App()

    @app.post("/", body="stream")
    async def read(req: Request) -> str:
        stream = req.stream()
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task or thread"):
            await anext(stream)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        return "".join([chunk.decode() async for chunk in stream])

    async def late() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.05)
        yield b"abc"

    async def main() -> None:
        async with AsyncTestClient(app) as client:
            assert (await client.post("/", content=late())).text == "abc"

    asyncio.run(main())


def test_a_read_may_time_out_and_go_on() -> None:
    app = App()

    @app.post("/", body="stream")
    async def read(req: Request) -> list[str]:
        got: list[str] = []
        stream = req.stream()
        while True:
            try:
                async with asyncio.timeout(0.01):
                    got.append((await anext(stream)).decode())
            except TimeoutError:
                got.append("-")
            except StopAsyncIteration:
                return got

    async def late() -> AsyncIterator[bytes]:
        for piece in (b"a", b"b"):
            await asyncio.sleep(0.1)
            yield piece

    async def main() -> None:
        async with AsyncTestClient(app) as client:
            got = (await client.post("/", content=late())).json()
            assert [piece for piece in got if piece != "-"] == ["a", "b"]
            assert got[0] == "-"

    asyncio.run(main())


def test_client_disconnected_is_an_answer() -> None:
    error = ClientDisconnected()
    assert error.status == 400
    assert str(error) == "The client has gone."
