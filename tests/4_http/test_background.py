"""BackgroundTasks, on both back ends."""

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from cello import App, BackgroundTasks, Depends, HTTPError, Request, ThreadPoolConfig
from cello.testing import TestClient
from wire import TIMEOUT, Client, eventually, fetch, request
from wire_marks import every_transport

pytestmark = every_transport

VALUE: contextvars.ContextVar[str] = contextvars.ContextVar("VALUE", default="empty")


class Notes(list[tuple[Any, ...]]):
    """What tasks leave: a word, the thread, the context variable."""

    def write(self, word: str) -> None:
        self.append((word, threading.current_thread().name, VALUE.get()))

    async def write_later(self, word: str) -> None:
        await asyncio.sleep(0.001)
        self.write(word)

    def words(self) -> list[str]:
        return [word for word, *_ in self]


def noted_app(*, hooked: bool) -> tuple[App, Notes]:
    app, notes = App(), Notes()

    def dependency(tasks: BackgroundTasks) -> Iterator[None]:
        tasks.add_task(notes.write, "dependency")
        yield
        notes.write("closed")

    async def async_dependency(tasks: BackgroundTasks) -> AsyncIterator[None]:
        tasks.add_task(notes.write_later, "async dependency")
        yield
        notes.write("async closed")

    @app.get("/inline")
    def inline(tasks: BackgroundTasks, d: Annotated[None, Depends(dependency)]) -> str:
        VALUE.set("set")
        tasks.add_task(notes.write, word="last")
        return "answer"

    @app.get("/pooled", blocking=True)
    def pooled(tasks: BackgroundTasks, d: Annotated[None, Depends(dependency)]) -> str:
        VALUE.set("set")
        tasks.add_task(notes.write, "last")
        return "answer"

    @app.get("/async")
    async def async_(tasks: BackgroundTasks, d: Annotated[None, Depends(async_dependency)]) -> str:
        VALUE.set("set")
        tasks.add_task(notes.write, "middle")
        tasks.add_task(notes.write_later, "last")
        return "answer"

    @app.get("/suspended")
    async def suspended(tasks: BackgroundTasks, d: Annotated[None, Depends(dependency)]) -> str:
        VALUE.set("set")
        await asyncio.sleep(0.001)
        tasks.add_task(notes.write_later, "last")
        return "answer"

    if hooked:

        @app.before_request()
        def before(req: Request) -> None:
            pass

    return app, notes


@pytest.mark.parametrize("hooked", [False, True], ids=["bare", "hooked"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/inline", ["closed", "dependency", "last"]),
        ("/pooled", ["closed", "dependency", "last"]),
        ("/async", ["async closed", "async dependency", "middle", "last"]),
        ("/suspended", ["closed", "dependency", "last"]),
    ],
)
def test_tasks_run_in_order(backend: str, path: str, words: list[str], hooked: bool) -> None:
    """After the clean-up of dependencies; the plain ones on the pool, in the handler's context."""
    app, notes = noted_app(hooked=hooked)
    with app.start(backend=backend) as server:
        for _ in range(3):
            assert fetch(server.addresses[0], request(path)).body == b"answer"
            eventually(lambda: len(notes) == len(words), "the tasks")
            assert notes.words() == words
            for word, thread, value in notes[1:]:
                on_loop = word == "async dependency" or (word == "last" and "/" + path[1] in "/a/s")
                assert thread.startswith("cello-pool-") != on_loop, (word, thread)
                assert value == "set"
            notes.clear()


def test_the_client_does_not_wait(backend: str) -> None:
    app, released, ran = App(), threading.Event(), []

    def task(word: str) -> None:
        assert released.wait(TIMEOUT)
        ran.append(word)

    @app.get("/")
    def handler(word: str, tasks: BackgroundTasks) -> str:
        tasks.add_task(task, word)
        return word

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        for word in ("a", "b", "c"):
            assert client.ask(request(f"/?word={word}")).body == word.encode()
        assert not ran
        released.set()
        eventually(lambda: sorted(ran) == ["a", "b", "c"], "all tasks")


def test_one_that_raises(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    app, notes = App(), Notes()

    def fails() -> None:
        raise ValueError("in a task")

    async def fails_later() -> None:
        raise ValueError("in a task, later")

    @app.post("/{n:int}")
    async def handler(n: int, tasks: BackgroundTasks) -> None:
        tasks.add_task(fails)
        tasks.add_task(notes.write, "second")
        if n:
            tasks.add_task(fails_later)
            tasks.add_task(notes.write_later, "third")

    with app.start(backend=backend) as server:
        assert fetch(server.addresses[0], request("/0", method="POST")).status == 204
        eventually(lambda: notes.words() == ["second"], "the second")
        assert fetch(server.addresses[0], request("/1", method="POST")).status == 204
        eventually(lambda: notes.words() == ["second", "second", "third"], "the third")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "POST /{n:int}: exception in the background task fails",
        "POST /{n:int}: exception in the background task fails",
        "POST /{n:int}: exception in the background task fails_later",
    ]


def test_one_that_is_cancelled(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """Or awaits what is: it is one that raises."""
    app, notes = App(), Notes()

    def cancelled() -> None:
        raise asyncio.CancelledError

    async def awaits_cancelled() -> None:
        waiting = asyncio.get_running_loop().create_future()
        waiting.cancel()
        await waiting

    @app.get("/sync")
    def sync(tasks: BackgroundTasks) -> None:
        tasks.add_task(cancelled)
        tasks.add_task(notes.write, "sync")

    @app.get("/async")
    async def async_(tasks: BackgroundTasks) -> None:
        for task in (cancelled, awaits_cancelled):
            tasks.add_task(task)
            tasks.add_task(notes.write_later, task.__name__)

    with app.start(backend=backend) as server:
        assert fetch(server.addresses[0], request("/sync")).status == 204
        eventually(lambda: notes.words() == ["sync"], "the second")
        assert fetch(server.addresses[0], request("/async")).status == 204
        words = ["sync", "cancelled", "awaits_cancelled"]
        eventually(lambda: notes.words() == words, "the others")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "GET /sync: exception in the background task cancelled",
        "GET /async: exception in the background task cancelled",
        "GET /async: exception in the background task awaits_cancelled",
    ]


@pytest.mark.parametrize("hooked", [False, True], ids=["bare", "hooked"])
def test_a_handler_that_fails_leaves_nothing(backend: str, hooked: bool) -> None:
    app, notes = App(), Notes()
    if hooked:
        app.before_request()(lambda req: None)

    for path, blocking in (("/inline", False), ("/pooled", True)):

        @app.get(path, blocking=blocking, name=path)
        def handler(tasks: BackgroundTasks) -> str:
            tasks.add_task(notes.write, "never")
            raise HTTPError(409)

    @app.get("/async")
    async def later(tasks: BackgroundTasks) -> str:
        tasks.add_task(notes.write, "never")
        await asyncio.sleep(0)
        raise HTTPError(409)

    @app.get("/unusable")
    def unusable(tasks: BackgroundTasks) -> object:
        tasks.add_task(notes.write, "never")
        return object()

    @app.get("/good")
    def good(tasks: BackgroundTasks) -> None:
        tasks.add_task(notes.write, "good")

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        for path in ("/inline", "/pooled", "/async"):
            assert client.ask(request(path)).status == 409
        assert client.ask(request("/unusable")).status == 500
        assert client.ask(request("/good")).status == 204
        eventually(lambda: len(notes) > 0, "the good one")
    assert notes.words() == ["good"]


@pytest.mark.parametrize("hooked", [False, True], ids=["plain", "hooked"])
def test_without_a_loop(backend: str, hooked: bool) -> None:
    """The server starts one for the first coroutine function."""
    app, notes = App(), Notes()
    if hooked:
        app.before_request()(lambda req: None)

    @app.get("/{word}")
    def handler(word: str, tasks: BackgroundTasks) -> str:
        tasks.add_task(notes.write_later, word)
        tasks.add_task(notes.write, word + " after")
        return "answer"

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        for word in ("one", "two"):
            assert client.ask(request("/" + word)).body == b"answer"
            eventually(lambda word=word: word + " after" in notes.words(), "the tasks")
    assert notes.words() == ["one", "one after", "two", "two after"]
    with TestClient(app) as test_client:
        assert test_client.get("/three").text == "answer"
    assert notes.words()[-2:] == ["three", "three after"]


def test_what_add_task_refuses() -> None:
    tasks = BackgroundTasks()
    with pytest.raises(TypeError, match="a background task is a function, not 5"):
        tasks.add_task(5)  # type: ignore[arg-type]


def test_req_is_valid_in_a_task(backend: str) -> None:
    app, seen = App(), []

    def task(req: Request) -> None:
        seen.append((req.state.user, req.context, req.path, req.query["a"], req.client_ip()))

    @app.get("/{name}")
    def handler(req: Request, tasks: BackgroundTasks) -> str:
        req.state.user = "ada"
        tasks.add_task(task, req)
        return "answer"

    with app.start(backend=backend) as server:
        fetch(server.addresses[0], request("/x?a=b"))
        eventually(lambda: len(seen) == 1, "the task")
    assert seen == [("ada", {}, "/x", "b", "127.0.0.1")]


# ---- limits and the end ----


def test_a_full_pool_refuses_routes_with_tasks(backend: str) -> None:
    app, released = App(), threading.Event()
    app.set_threadpool(ThreadPoolConfig(size=1, queue=2))
    started = threading.Event()

    def task() -> None:
        started.set()
        assert released.wait(TIMEOUT)

    @app.get("/")
    def handler(tasks: BackgroundTasks) -> str:
        tasks.add_task(task)
        return "answer"

    app.get("/plain")(lambda: "plain")

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        assert client.ask(request("/")).status == 200
        assert started.wait(TIMEOUT)
        for _ in range(2):
            assert client.ask(request("/")).status == 200
        eventually(lambda: client.ask(request("/")).status == 503, "a full queue")
        assert client.ask(request("/plain")).status == 200
        released.set()
        eventually(lambda: client.ask(request("/")).status == 200, "room again")


def test_a_stop_waits_for_tasks(backend: str) -> None:
    app, notes, gate = App(), Notes(), threading.Event()

    def task() -> None:
        assert gate.wait(TIMEOUT)
        notes.write("plain")

    @app.get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(task)
        tasks.add_task(notes.write_later, "async")

    with app.start(backend=backend) as server:
        assert fetch(server.addresses[0], request("/")).status == 204
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        gate.set()
        stopper.join(TIMEOUT)
    assert notes.words() == ["plain", "async"]


def test_a_stop_that_is_over_drops_tasks(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    app, ran, gate = App(), [], threading.Event()
    app.set_threadpool(ThreadPoolConfig(size=1))
    started = threading.Event()

    def stuck() -> None:
        started.set()
        assert gate.wait(TIMEOUT)

    @app.get("/")
    def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(stuck)
        tasks.add_task(ran.append, "after it")

    server = app.start(backend=backend)
    assert fetch(server.addresses[0], request("/")).status == 204
    assert started.wait(TIMEOUT)
    assert fetch(server.addresses[0], request("/")).status == 204
    server.stop(0.05)
    gate.set()
    eventually(lambda: ran == ["after it"], "the one that runs")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("GET /: background tasks were not run before the server ended, in ")


def test_tasks_under_a_test_client() -> None:
    app, notes = noted_app(hooked=False)
    with TestClient(app) as client:
        for path in ("/inline", "/pooled", "/async", "/suspended"):
            assert client.get(path).text == "answer"
            end = time.monotonic() + TIMEOUT
            while "last" not in notes.words() and time.monotonic() < end:
                client.get("/nothing")  # turns
            assert notes.words()[-1] == "last"
            notes.clear()
