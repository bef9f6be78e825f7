"""What test clients make of streams, and of what an application does behind its answers."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
from cello import App, BackgroundTasks, Depends, Response, SseStream
from cello.responses import StreamingResponse
from cello.testing import AsyncTestClient, TestClient

# ---- background tasks and clean-up ----


def tasks_app(done: list[str], *, is_async: bool) -> App:
    app = App()

    def opened() -> Iterator[int]:
        yield 1
        done.append("closed")

    async def later(word: str) -> None:
        await asyncio.sleep(0.01)
        done.append(word)

    if is_async:

        @app.post("/")
        async def handler(tasks: BackgroundTasks, _: Annotated[int, Depends(opened)]) -> str:
            tasks.add_task(later, "first")
            tasks.add_task(done.append, "second")
            return "ok"

    else:

        @app.post("/")
        def handler(tasks: BackgroundTasks, _: Annotated[int, Depends(opened)]) -> str:
            tasks.add_task(done.append, "first")
            tasks.add_task(done.append, "second")
            return "ok"

    return app


@pytest.mark.parametrize("is_async", [False, True])
def test_a_request_is_over_when_its_tasks_are(is_async: bool) -> None:
    done: list[str] = []
    with TestClient(tasks_app(done, is_async=is_async)) as client:
        for _ in range(3):
            assert client.post("/").text == "ok"
            assert done == ["closed", "first", "second"]
            done.clear()
        with client.stream("POST", "/") as answer:
            answer.read()
        assert done == ["closed", "first", "second"]


@pytest.mark.parametrize("is_async", [False, True])
def test_the_same_on_the_loop_of_the_test(is_async: bool) -> None:
    done: list[str] = []

    async def run() -> None:
        async with AsyncTestClient(tasks_app(done, is_async=is_async)) as client:
            assert (await client.post("/")).text == "ok"
            assert done == ["closed", "first", "second"]
            await asyncio.gather(client.post("/"), client.post("/"))
            assert done.count("second") == 3

    asyncio.run(run())


def test_a_task_that_takes_longer_than_the_limit_goes_on_later() -> None:
    app = App()
    goes_on, ended = threading.Event(), threading.Event()

    def waits() -> None:
        goes_on.wait(20)
        ended.set()

    @app.post("/")
    def handler(tasks: BackgroundTasks) -> str:
        tasks.add_task(waits)
        return "ok"

    app.get("/other")(lambda: "other")
    with TestClient(app, timeout=0.05) as client:
        assert client.post("/").text == "ok"
        assert not ended.is_set()
        assert client.get("/other").text == "other"
        goes_on.set()
    assert ended.is_set()


# ---- streams ----


def test_an_async_stream_of_a_plain_handler() -> None:
    app = App()

    async def words() -> Any:
        for word in ("a", "b"):
            await asyncio.sleep(0)
            yield word

    @app.get("/")
    def handler() -> Response:
        return StreamingResponse(words())

    with TestClient(app) as client:
        assert client.get("/").text == "ab"
        assert client.get("/").text == "ab"


def test_a_streaming_response_has_trailers() -> None:
    app = App()
    app.get("/")(lambda: StreamingResponse(["a"], trailers={"X-Sum": "1"}))
    with TestClient(app) as client:
        assert client.get("/").headers["trailer"] == "X-Sum"


def failing_app() -> App:
    app = App()

    @app.get("/sync")
    def sync() -> Iterator[str]:
        yield "half"
        raise ValueError("sync")

    @app.get("/later")
    async def later() -> Any:
        yield "half"
        await asyncio.sleep(0.001)
        raise ValueError("later")

    return app


@pytest.mark.parametrize("name", ["sync", "later"])
def test_what_a_stream_raises_midway_is_raised_in_the_test(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with TestClient(failing_app()) as client:
        with pytest.raises(ValueError, match=name):
            client.get(f"/{name}")
        with (
            client.stream("GET", f"/{name}") as answer,
            pytest.raises(ValueError, match=name),
            contextlib.closing(answer),
        ):
            for _ in answer.iter_text():
                pass
    assert not caplog.records

    async def run() -> None:
        async with AsyncTestClient(failing_app()) as client:
            with pytest.raises(ValueError, match=name):
                await client.get(f"/{name}")

    asyncio.run(run())
    assert not caplog.records
    with (
        TestClient(failing_app(), raise_server_exceptions=False) as client,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        client.get(f"/{name}")
    assert "exception midway" in caplog.text


def test_a_stream_that_is_left(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    ended = []

    @app.get("/")
    async def handler() -> Any:
        try:
            while True:
                yield "tick"
                await asyncio.sleep(0.001)
        finally:
            ended.append(1)

    with TestClient(app) as client, client.stream("GET", "/") as answer:
        next(answer.iter_text())
    assert ended == [1]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_events_are_pushed_while_a_stream_is_open() -> None:
    app = App()
    listeners: list[SseStream] = []

    @app.get("/events")
    def events() -> Any:
        listeners.append(SseStream())
        return listeners[-1]

    @app.post("/say/{word}")
    def say(word: str, tasks: BackgroundTasks) -> None:
        tasks.add_task(listeners[0].send, word)

    with TestClient(app) as client, client.stream("GET", "/events") as answer:
        lines = answer.iter_lines()
        for word in ("one", "two"):
            assert client.post(f"/say/{word}").status_code == 204
            assert (next(lines), next(lines)) == (f"data: {word}", "")
        listeners[0].close()
        assert list(lines) == []
