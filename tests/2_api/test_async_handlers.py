"""Async handlers: each is a task of its own, as its code sees it from the first line on."""

import asyncio
import contextvars
import gc
import logging
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from async_server import handler, reset, run_script, serving
from cello import App, HTTPError

# Handlers that return at once, that suspend, and that suspend for the first time after returning
# at once take different ways through the guest: each check makes several requests.
ROUNDS = 4


async def at_once() -> None:
    pass


async def yield_once() -> None:
    await asyncio.sleep(0)


async def wait_a_little() -> None:
    await asyncio.sleep(0.005)


pauses = pytest.mark.parametrize("pause", [at_once, yield_once, wait_a_little])
Pause = Callable[[], Awaitable[None]]


# ---- the task ----


@pauses
def test_the_current_task_is_the_same_all_the_time(pause: Pause) -> None:
    async def show(req: Any) -> dict[str, Any]:
        before = asyncio.current_task()
        await pause()
        after = asyncio.current_task()
        assert before is not None and before in asyncio.all_tasks()
        return {"same": before is after, "done": before.done(), "is_task": type(before) is not None
                and isinstance(before, asyncio.Task)}  # fmt: skip

    with handler(show) as client:
        for _ in range(ROUNDS):
            assert client.body("/") == {"same": True, "done": False, "is_task": True}


def test_between_requests_no_task_is_seen() -> None:
    seen: list[int] = []
    app = App()

    @app.get("/wait")
    async def wait(req: Any) -> str:
        await asyncio.sleep(0.001)
        return "ok"

    @app.get("/count")
    async def count(req: Any) -> str:
        seen.append(len(asyncio.all_tasks() - {asyncio.current_task()}))
        return "ok"

    with serving(app) as client:
        for _ in range(ROUNDS):
            client.body("/wait")
            client.body("/count")
    # The loop's main task is always there.
    assert seen == [1] * ROUNDS


def test_the_coroutine_and_the_context_of_the_task_are_the_handlers() -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    async def show(req: Any) -> dict[str, Any]:
        variable.set("set")
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        name = task.get_coro().__qualname__  # type: ignore[union-attr]
        context = task.get_context()  # type: ignore[attr-defined]
        return {"name": name.rpartition(".")[2], "value": context[variable], "repr": repr(task)}

    with handler(show) as client:
        for _ in range(ROUNDS):
            body = client.body("/")
            assert body["name"] == "show" and body["value"] == "set"
            assert "show" in body["repr"]


@pauses
def test_a_task_that_was_kept_ends_with_its_handlers_result(pause: Pause) -> None:
    kept: list[asyncio.Task[Any]] = []

    async def keep(req: Any) -> dict[str, int]:
        task = asyncio.current_task()
        assert task is not None
        kept.append(task)
        await pause()
        return {"n": len(kept)}

    with handler(keep) as client:
        for n in range(1, ROUNDS + 1):
            assert client.body("/") == {"n": n}
    assert len(set(map(id, kept))) == ROUNDS
    assert [task.result() for task in kept] == [{"n": n} for n in range(1, ROUNDS + 1)]


@pauses
def test_what_is_done_to_a_task_does_not_reach_the_next_request(pause: Pause) -> None:
    called: list[str] = []
    references: list[weakref.ref[Any]] = []

    async def mark(req: Any) -> dict[str, Any]:
        task = asyncio.current_task()
        assert task is not None
        found = {
            "attribute": hasattr(task, "mark"),
            "name": task.get_name() == "marked",
            "cancelling": task.cancelling(),
            "known": any(reference() is task for reference in references),
        }
        await pause()
        way = req.query["way"]
        if way == "attribute":
            task.mark = 1  # type: ignore[attr-defined]
        elif way == "dict":
            vars(task)["mark"] = 1
        elif way == "name":
            task.set_name("marked")
        elif way == "callback":
            task.add_done_callback(lambda task: called.append(task.result()["attribute"]))
        elif way == "weak":
            references.append(weakref.ref(task))
        elif way == "cancel":
            task.cancel()
            task.uncancel()
        return found

    clean = {"attribute": False, "name": False, "cancelling": 0, "known": False}
    with handler(mark) as client:
        for way in ("attribute", "dict", "name", "callback", "weak", "none", "cancel", "none") * 2:
            status, body = client.get(f"/?way={way}")
            if way != "cancel":
                assert (status, body) == (200, clean), way
    assert called == [False, False]


# ---- asyncio's tools ----


def test_timeout() -> None:
    async def slow(req: Any) -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        except TimeoutError:
            task = asyncio.current_task()
            assert task is not None
            return f"too slow {task.cancelling()}"
        return "?"

    with handler(slow) as client:
        for _ in range(ROUNDS):
            assert client.body("/") == "too slow 0"


def test_wait_for() -> None:
    async def slow(req: Any) -> str:
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        except TimeoutError:
            return "too slow"
        return "?"

    with handler(slow) as client:
        for _ in range(ROUNDS):
            assert client.body("/") == "too slow"


@pauses
def test_task_group(pause: Pause) -> None:
    async def child(n: int) -> int:
        await pause()
        return n * n

    async def parent(req: Any) -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(n)) for n in range(4)]
        return [task.result() for task in tasks]

    with handler(parent) as client:
        for _ in range(ROUNDS):
            assert client.body("/") == [0, 1, 4, 9]


def test_a_failing_task_group_cancels_the_handler() -> None:
    async def fail() -> None:
        raise KeyError("child")

    async def parent(req: Any) -> str:
        result = "?"
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.sleep(10)
        except* KeyError:
            result = "caught"
        return result

    with handler(parent) as client:
        for _ in range(ROUNDS):
            assert client.body("/") == "caught"


def test_gather_and_background_tasks() -> None:
    background: set[asyncio.Task[None]] = set()
    ended = threading.Event()

    async def later() -> None:
        await asyncio.sleep(0.01)
        ended.set()

    async def start(req: Any) -> list[int]:
        task = asyncio.create_task(later())
        background.add(task)
        task.add_done_callback(background.discard)
        return await asyncio.gather(*(asyncio.sleep(0.001, n) for n in range(3)))

    with handler(start) as client:
        assert client.body("/") == [0, 1, 2]
        assert ended.wait(10)
    assert not background


def test_futures_and_events_between_handlers() -> None:
    app = App()
    waiting: list[asyncio.Future[str]] = []

    @app.get("/wait")
    async def wait(req: Any) -> str:
        future = asyncio.get_running_loop().create_future()
        waiting.append(future)
        return await future

    @app.get("/set")
    async def set_(req: Any) -> str:
        waiting.pop().set_result("from another")
        return "ok"

    with serving(app) as client:
        for _ in range(ROUNDS):
            with client.send("/wait") as sock:
                while not waiting:
                    client.get("/none")
                client.body("/set")
                assert b"from another" in sock.recv(1000)


def test_locks_let_handlers_in_one_by_one() -> None:
    inside = most = 0
    lock = asyncio.Lock()

    async def locked(req: Any) -> str:
        nonlocal inside, most
        async with lock:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1
        return "ok"

    with handler(locked) as client, client.send("/", 8) as sock:
        received = b""
        while received.count(b"200 OK") < 8:
            received += sock.recv(10000)
    assert most == 1


def test_anyio() -> None:
    async def use_anyio(req: Any) -> str:
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep(10)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
        value = await anyio.to_thread.run_sync(lambda: "thread")
        return f"{scope.cancelled_caught} {value}"

    with handler(use_anyio) as client:
        for _ in range(ROUNDS):
            assert client.body("/") == "True thread"


# ---- cancellation ----


@pauses
def test_a_handler_that_cancels_itself(pause: Pause) -> None:
    async def cancel(req: Any) -> str:
        await pause()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(10)
        return "?"

    with handler(cancel) as client:
        for _ in range(ROUNDS):
            status, body = client.get("/")
            assert status == 503 and body["detail"] == "The handler was cancelled."


def test_a_handler_that_cancels_itself_may_go_on() -> None:
    async def cancel(req: Any) -> list[str]:
        task = asyncio.current_task()
        assert task is not None
        happened = []
        for wait in (0, 0.001):
            task.cancel()
            try:
                await asyncio.sleep(wait)
            except asyncio.CancelledError:
                happened.append(f"cancelled {task.uncancel()}")
            await asyncio.sleep(wait)
        return happened

    with handler(cancel) as client:
        for _ in range(ROUNDS):
            assert client.body("/") == ["cancelled 0", "cancelled 0"]


def test_one_handler_cancels_another() -> None:
    app = App()
    tasks: list[asyncio.Task[Any]] = []

    @app.get("/wait")
    async def wait(req: Any) -> str:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError as error:
            return f"cancelled: {error}"
        return "?"

    @app.get("/cancel")
    async def cancel(req: Any) -> dict[str, bool]:
        return {"cancel": tasks.pop().cancel("by another")}

    with serving(app) as client:
        for _ in range(ROUNDS):
            with client.send("/wait") as sock:
                while not tasks:
                    client.get("/none")
                assert client.body("/cancel") == {"cancel": True}
                assert b"cancelled: by another" in sock.recv(1000)


def test_a_finalizer_may_schedule_while_a_task_does() -> None:
    out = run_script(
        """
        import asyncio, gc
        from async_server import serving
        from cello import App

        app = App()
        asked, called = [], []

        class Cycle:
            def __init__(self, loop):
                self.itself, self.loop = self, loop

            def __del__(self):
                asked.append(1)
                self.loop.call_soon(called.append, 1)

        @app.get("/")
        async def waits():
            cycle = Cycle(asyncio.get_running_loop())
            await asyncio.sleep(0)
            return b""

        @app.get("/counts")
        async def counts():
            gc.collect()
            await asyncio.sleep(0.01)
            return [len(asked), len(called)]

        with serving(app) as client:
            gc.set_threshold(1)
            for _ in range(20):
                assert client.get("/")[0] == 200
            gc.set_threshold(700)
            print(client.body("/counts"))
        """,
        PYTHONPATH=os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
    )
    assert out == "[20, 20]\n"


def test_raising_cancelled_error_is_no_end_of_the_server() -> None:
    async def cancelled(req: Any) -> None:
        raise asyncio.CancelledError

    with handler(cancelled) as client:
        for _ in range(ROUNDS):
            assert client.get("/")[0] == 503


# ---- context variables ----


@pauses
def test_context_variables_stay_over_await_and_do_not_leak(pause: Pause) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def child() -> str:
        await pause()
        return variable.get()

    async def remember(req: Any) -> dict[str, Any]:
        before = variable.get("unset")
        value = req.query["value"]
        variable.set(value)
        await pause()
        return {
            "before": before,
            "after": variable.get(),
            "child": await asyncio.create_task(child()),
        }

    with handler(remember) as client:
        for n in range(ROUNDS):
            expected = {"before": "unset", "after": str(n), "child": str(n)}
            assert client.body(f"/?value={n}") == expected


def test_context_variables_of_waiting_handlers_are_apart() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    async def remember(req: Any) -> dict[str, bool]:
        value = id(asyncio.current_task())
        variable.set(value)
        for _ in range(5):
            await asyncio.sleep(0)
            assert variable.get() == value
        return {"ok": True}

    with handler(remember) as client, client.send("/", 20) as sock:
        received = b""
        while received.count(b'{"ok":true}') < 20:
            received += sock.recv(10000)


# ---- results and exceptions ----


@pauses
def test_results_of_every_kind(pause: Pause) -> None:
    async def give(req: Any) -> Any:
        await pause()
        return {"none": None, "str": "text", "tuple": ({"made": 1}, 201)}[req.query["kind"]]

    with handler(give) as client:
        for _ in range(ROUNDS):
            assert client.get("/?kind=none") == (204, "")
            assert client.get("/?kind=str") == (200, "text")
            assert client.get("/?kind=tuple") == (201, {"made": 1})


@pauses
def test_exceptions(pause: Pause, caplog: pytest.LogCaptureFixture) -> None:
    kept: list[Any] = []

    async def fail(req: Any) -> None:
        if "keep" in req.query:
            kept.append(asyncio.current_task())
        await pause()
        if "known" in req.query:
            raise HTTPError(409, "taken")
        raise ValueError("a mistake")

    with caplog.at_level(logging.DEBUG, "asyncio"), handler(fail) as client:
        for _ in range(ROUNDS):
            assert client.get("/")[0] == 500
            assert client.get("/?known=1")[1]["detail"] == "taken"
            assert client.get("/?keep=1")[0] == 500
        assert all(isinstance(task.exception(), ValueError) for task in kept)
        kept.clear()
        gc.collect()
    # Answered and logged by the server; asyncio has nothing to add.
    assert "never retrieved" not in caplog.text


def test_what_is_not_awaitable_is_a_500() -> None:
    async def good(req: Any) -> str:
        return "ok"

    class Odd:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0.001).__await__()
            return "odd"

    app = App()
    app.get("/good")(good)

    @app.get("/odd")
    async def odd(req: Any) -> Any:
        return await Odd()

    with serving(app) as client:
        for _ in range(ROUNDS):
            assert client.body("/odd") == "odd"
            assert client.body("/good") == "ok"


def test_nothing_of_a_request_stays() -> None:
    class Thing:
        pass

    alive: list[weakref.ref[Any]] = []

    async def make(req: Any) -> str:
        thing = Thing()
        alive.append(weakref.ref(thing))
        if "fail" in req.query:
            raise HTTPError(400)  # not logged: a log record would keep it
        await asyncio.sleep(0)
        return "ok"

    with handler(make) as client:
        for _ in range(ROUNDS):
            client.get("/")
            client.get("/?fail=1")
        client.get("/")
        assert [reference() for reference in alive[:-1]] == [None] * (2 * ROUNDS)


# ---- clients that leave ----


def test_a_handler_whose_client_has_left_is_cancelled() -> None:
    app = App()
    started, ended = threading.Event(), threading.Event()

    @app.get("/wait")
    async def wait(req: Any) -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if req.is_disconnected():
                ended.set()
            raise
        return "nobody reads this"

    with serving(app) as client:
        for _ in range(ROUNDS):
            sock = client.send("/wait")
            assert started.wait(10)
            reset(sock)
            assert ended.wait(10)
            started.clear()
            ended.clear()
            assert client.get("/none")[0] == 404


def test_pipelined_answers_come_in_order() -> None:
    async def answer(req: Any) -> str:
        n = int(req.query["n"])
        await asyncio.sleep(0.001 * (5 - n))
        return f"<{n}>"

    with handler(answer) as client, client.send("/?n=0") as sock:
        for n in range(1, 5):
            sock.sendall(f"GET /?n={n} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        received = b""
        while b"<4>" not in received:
            received += sock.recv(10000)
    places = [received.index(f"<{n}>".encode()) for n in range(5)]
    assert places == sorted(places)
