"""Handlers on the thread pool, over real sockets, on both back ends."""

import asyncio
import contextvars
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import pytest
from cello import (
    App,
    Body,
    ClientDisconnected,
    Depends,
    HTTPError,
    Request,
    Response,
    ThreadPoolConfig,
    TimeoutConfig,
)
from wire import TIMEOUT, Client, Closed, eventually, fetch, refused, request
from wire_marks import every_transport, in_clear
from wire_process import program

pytestmark = every_transport

VALUE: contextvars.ContextVar[str] = contextvars.ContextVar("VALUE", default="empty")


def here() -> str:
    return threading.current_thread().name


def is_pooled(name: object) -> bool:
    return str(name).startswith("cello-pool-")


def reset(client: Client) -> None:
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sock.close()


class Gate:
    """Holds handlers until it is opened; counts those that have come."""

    def __init__(self) -> None:
        self.entered = 0
        self._lock = threading.Lock()
        self._open = threading.Event()

    def pass_through(self) -> None:
        with self._lock:
            self.entered += 1
        assert self._open.wait(TIMEOUT)

    def open(self) -> None:
        self._open.set()


def gated_app(size: int, queue: int = 1000, **options: Any) -> tuple[App, Gate]:
    app, gate = App(), Gate()
    app.set_threadpool(ThreadPoolConfig(size=size, queue=queue))

    @app.get("/held", blocking=True, **options)
    def held(n: int = 0) -> dict[str, Any]:
        gate.pass_through()
        return {"n": n, "thread": here()}

    @app.get("/inline")
    def inline() -> str:
        return here()

    return app, gate


# ---- where handlers run ----


def test_handlers_run_beside_each_other(backend: str) -> None:
    """Each waits for all the others: on one thread none would end."""
    app, count = App(), 6
    app.set_threadpool(ThreadPoolConfig(size=count))
    barrier = threading.Barrier(count)

    @app.get("/", blocking=True)
    def meet(n: int) -> dict[str, Any]:
        barrier.wait(TIMEOUT)
        return {"n": n, "thread": here()}

    with app.start(backend=backend) as server, ExitStack() as stack:
        clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(count)]
        for _ in range(20):
            for n, client in enumerate(clients):
                client.send(request(f"/?n={n}"))
            answers = [client.answer().json() for client in clients]
            assert [answer["n"] for answer in answers] == list(range(count))
            threads = {answer["thread"] for answer in answers}
            assert threads == {f"cello-pool-{n}" for n in range(1, count + 1)}


def test_the_engine_serves_while_the_pool_is_busy(backend: str) -> None:
    app, gate = gated_app(size=2)
    with app.start(backend=backend) as server, ExitStack() as stack:
        clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(5)]
        for n, client in enumerate(clients):
            client.send(request(f"/held?n={n}"))
        eventually(lambda: gate.entered == 2, "two handlers")
        for _ in range(50):
            assert fetch(server.addresses[0], request("/inline")).body == b"cello"
        assert gate.entered == 2  # of two threads
        gate.open()
        assert [client.answer().json()["n"] for client in clients] == list(range(5))


def test_a_full_queue_is_503(backend: str) -> None:
    """Before anything of the program has run, guards and conversion included."""
    app, gate = gated_app(size=1, queue=2)
    ran = []

    @app.get("/late", blocking=True, guards=[lambda req: ran.append("guard") or True])
    def late(n: int, d: Annotated[None, Depends(lambda: ran.append("dependency"))]) -> str:
        return "late"

    with app.start(backend=backend) as server, ExitStack() as stack:
        clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(3)]
        clients[0].send(request("/held?n=0"))
        eventually(lambda: gate.entered == 1, "the first handler")
        for n in (1, 2):
            clients[n].send(request(f"/held?n={n}"))
        eventually(lambda: server.stats()["inflight"] == 3, "two that wait")
        with Client(server.addresses[0]) as client:
            for path in ("/held", "/late?n=x"):
                answer = client.ask(request(path))
                assert answer.status == 503 and answer.get("Retry-After") == "1"
                assert answer.get("Content-Type") == "application/problem+json"
            assert client.ask(request("/inline")).status == 200
        assert not ran
        gate.open()
        assert [client.answer().json()["n"] for client in clients] == [0, 1, 2]
        assert fetch(server.addresses[0], request("/late?n=1")).body == b"late"
        assert ran == ["guard", "dependency"]


def test_queue_0_refuses_when_all_threads_are_busy(backend: str) -> None:
    app, gate = gated_app(size=2, queue=0)
    with app.start(backend=backend) as server, ExitStack() as stack:
        clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(2)]
        clients[0].send(request("/held?n=0"))
        eventually(lambda: gate.entered == 1, "the first handler")
        clients[1].send(request("/held?n=1"))
        eventually(lambda: gate.entered == 2, "the second one")
        answer = fetch(server.addresses[0], request("/held"))
        assert answer.status == 503 and answer.get("Retry-After") == "1"
        gate.open()
        assert [client.answer().status for client in clients] == [200, 200]


def test_contexts(backend: str) -> None:
    """What a handler sets, no other one sees; a dependency's generator is resumed in it."""
    app, seen = App(), []
    app.set_threadpool(ThreadPoolConfig(size=1))

    def dependency() -> Iterator[None]:
        before = VALUE.get()
        yield
        seen.append((before, VALUE.get(), here()))

    @app.get("/{name}", blocking=True)
    def handler(name: str, d: Annotated[None, Depends(dependency)]) -> str:
        before = VALUE.get()
        VALUE.set(name)
        return before

    with app.start(backend=backend) as server:
        for name in ("a", "b", "c"):
            assert fetch(server.addresses[0], request(f"/{name}")).body == b"empty"
        eventually(lambda: len(seen) == 3, "clean-up")
    assert [(before, after) for before, after, _ in seen] == [
        ("empty", "a"),
        ("empty", "b"),
        ("empty", "c"),
    ]
    assert {thread for *_, thread in seen} == {"cello-pool-1"}


# ---- everything around a handler ----


class Mistake(Exception):
    pass


def full_app() -> App:
    app = App()

    @app.exception_handler(Mistake)
    def mistake(req: Request, error: Mistake) -> tuple[dict[str, str], int]:
        return {"mistake": here()}, 409

    def fails() -> Iterator[None]:
        try:
            yield
        except HTTPError as error:
            raise HTTPError(error.status + 1, here()) from error

    @app.get("/response", blocking=True)
    def response(response: Response) -> list[int]:
        response.set_header("X-Thread", here())
        response.set_cookie("a", "b")
        return [1]

    @app.post("/body", blocking=True, status=201)
    def body(values: Annotated[list[int], Body()], req: Request) -> dict[str, Any]:
        return {"sum": sum(values), "ip": req.client_ip(), "body": len(req.body())}

    @app.get("/error", blocking=True)
    def error() -> None:
        raise HTTPError(418, here(), headers={"X-Tea": "pot"})

    @app.get("/turned", blocking=True)
    def turned(d: Annotated[None, Depends(fails)]) -> None:
        raise HTTPError(410)

    @app.get("/mistake", blocking=True)
    def hooked() -> None:
        raise Mistake

    @app.get("/fails", blocking=True)
    def unexpected() -> None:
        raise ValueError("nobody expected this")

    @app.get("/unusable", blocking=True)
    def unusable() -> object:
        return object()

    @app.get("/large", blocking=True)
    def large() -> str:
        return "x" * 1_000_000

    return app


def post(body: bytes) -> bytes:
    return request("/body", "Content-Type: application/json", method="POST", body=body)


def test_what_goes_around_a_handler(backend: str) -> None:
    with full_app().start(backend=backend) as server, Client(server.addresses[0]) as client:
        answer = client.ask(request("/response"))
        assert answer.body == b"[1]" and is_pooled(answer.get("X-Thread"))
        assert answer.get("Set-Cookie") == "a=b; Path=/; SameSite=Lax"
        answer = client.ask(post(b"[1,2,3]"))
        assert (answer.status, answer.json()) == (201, {"sum": 6, "ip": "127.0.0.1", "body": 7})
        assert client.ask(post(b'["x"]')).status == 422
        assert client.ask(post(b"[1,")).status == 400
        answer = client.ask(request("/error"))
        assert answer.status == 418 and is_pooled(answer.json()["detail"])
        assert answer.get("X-Tea") == "pot"
        answer = client.ask(request("/turned"))
        assert answer.status == 411 and is_pooled(answer.json()["detail"])
        answer = client.ask(request("/mistake"))
        assert answer.status == 409 and is_pooled(answer.json()["mistake"])
        assert len(client.ask(request("/large")).body) == 1_000_000


def test_errors_are_logged_and_500(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    with full_app().start(backend=backend) as server, Client(server.addresses[0]) as client:
        for path in ("/fails", "/unusable"):
            answer = client.ask(request(path))
            assert answer.status == 500 and "nobody" not in answer.body.decode()
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(lines) == 2
    assert lines[0].startswith("GET /fails: exception in unexpected")
    assert lines[1].startswith("GET /unusable: return value of type object cannot be sent in ")


def test_debug_page(backend: str) -> None:
    with full_app().start(backend=backend, debug=True) as server:
        answer = fetch(
            server.addresses[0], request("/fails", "Accept: text/html", host="127.0.0.1")
        )
    assert answer.status == 500 and b"nobody expected this" in answer.body


def test_hooks(backend: str) -> None:
    app, ran = App(), []

    @app.before_request()
    def before(req: Request) -> None:
        ran.append(("before", here()))

    @app.after_request()
    def after(req: Request, response: Response) -> None:
        ran.append(("after", here()))

    @app.get("/", blocking=True)
    def handler() -> str:
        ran.append(("handler", here()))
        return "done"

    with app.start(backend=backend) as server:
        assert fetch(server.addresses[0], request("/")).body == b"done"
    assert [what for what, _ in ran] == ["before", "handler", "after"]
    assert {thread for _, thread in ran} == {"cello-pool-1"}


def test_async_things_around_a_handler(backend: str) -> None:
    """They run on the loop, the plain functions on the pool."""
    app, ran = App(), []

    async def on_loop() -> Any:
        assert asyncio.get_running_loop()
        yield here()
        ran.append(("async closed", here()))

    def plain() -> Iterator[str]:
        yield here()
        ran.append(("closed", here()))

    @app.get("/", blocking=True)
    def handler(
        a: Annotated[str, Depends(on_loop)], b: Annotated[str, Depends(plain)]
    ) -> list[str]:
        return [a, b, here()]

    @app.get("/fails", blocking=True)
    def fails(a: Annotated[str, Depends(on_loop)]) -> None:
        raise HTTPError(418)

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        a, b, c = client.ask(request("/")).json()
        assert a == "cello" and is_pooled(b) and is_pooled(c)
        eventually(lambda: len(ran) == 2, "clean-up")
        assert ran[0][0] == "closed" and is_pooled(ran[0][1])
        assert ran[1] == ("async closed", "cello")
        assert client.ask(request("/fails")).status == 418


def test_generators(backend: str) -> None:
    app, closed = App(), []

    @app.get("/", blocking=True)
    def items() -> Iterator[str]:
        try:
            for _ in range(3):
                yield here() + "\n"
        finally:
            closed.append(here())

    @app.get("/endless", blocking=True)
    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            closed.append(here())

    @app.get("/fails", blocking=True)
    def fails() -> Iterator[str]:
        yield "first"
        raise ValueError("midway")

    @app.get("/mixed", blocking=True)
    def mixed() -> Iterator[bytes | str]:
        yield b"a" * 10
        yield b"b" * 100_000  # sent from where it lies
        yield "c" * 10
        yield memoryview(b"d" * 10)  # type: ignore[misc]

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        assert all(map(is_pooled, client.ask(request("/")).body.decode().split()))
        expected = b"a" * 10 + b"b" * 100_000 + b"c" * 10 + b"d" * 10
        assert client.ask(request("/mixed")).body == expected
        with Client(server.addresses[0]) as leaver:
            leaver.send(request("/endless"))
            leaver.head()
            leaver.exactly(100_000)
        eventually(lambda: len(closed) == 2, "both closed")
        assert all(map(is_pooled, closed))
        with Client(server.addresses[0]) as other, pytest.raises((Closed, ConnectionResetError)):
            other.ask(request("/fails"))


# ---- moved by themselves ----


MOVING = """
import sys, threading, time
from cello import App, ThreadPoolConfig

app = App()
app.set_threadpool(ThreadPoolConfig(adaptive=sys.argv[1] == "True"))

@app.get("/sleeps")
def sleeps():
    time.sleep(0.03)
    return threading.current_thread().name

@app.get("/burns")
def burns():
    end = time.thread_time() + 0.03
    while time.thread_time() < end:
        pass
    return threading.current_thread().name

@app.get("/stays", blocking=False)
def stays():
    time.sleep(0.03)
    return threading.current_thread().name

@app.get("/sometimes")
def sometimes(wait: bool):
    if wait:
        time.sleep(0.03)
    return threading.current_thread().name

app.run(port=0, logs=True)
"""


def ask_moving(path: Path, backend: str, adaptive: bool) -> tuple[dict[str, list[bytes]], str]:
    """What the process that serves MOVING answers, and its log."""
    path.write_text(MOVING)
    with program([str(path), str(adaptive)], CELLO_BACKEND=backend) as process:
        line = ""
        while "http://" not in line:
            line = process.stderr()
            time.sleep(0.005)
        address = ("127.0.0.1", int(line.split("http://127.0.0.1:")[1].split()[0]))
        found = {}
        with Client(address) as client:
            for name in ("sleeps", "burns", "stays"):
                found[name] = [client.ask(request(f"/{name}")).body for _ in range(8)]
            # Three in twenty, but never in the same twenty.
            waits = ([True, True] + [False] * 25) * 3
            found["sometimes"] = [
                client.ask(request(f"/sometimes?wait={wait}")).body for wait in waits
            ]
        return found, process.stderr()


@in_clear
def test_a_handler_that_waits_is_moved(backend: str, tmp_path: Path) -> None:
    """One slow call makes it looked at, three that wait move it."""
    found, log = ask_moving(tmp_path / "app.py", backend, adaptive=True)
    names = [name == b"MainThread" for name in found["sleeps"]]
    assert names == [True] * 4 + [False] * 4
    for name in ("burns", "stays", "sometimes"):
        assert set(found[name]) == {b"MainThread"}, name
    lines = [line for line in log.splitlines() if "moved to the thread pool" in line]
    assert len(lines) == 1 and "GET /sleeps: " in lines[0] and "app.py:8" in lines[0]


@in_clear
def test_adaptive_can_be_off(backend: str, tmp_path: Path) -> None:
    found, log = ask_moving(tmp_path / "app.py", backend, adaptive=False)
    assert {name for names in found.values() for name in names} == {b"MainThread"}
    assert "moved" not in log


# ---- threads ----


def test_no_thread_without_blocking_handlers(backend: str) -> None:
    app = App()
    app.get("/")(lambda: "plain")

    @app.get("/async")
    async def later() -> str:
        await asyncio.sleep(0)
        return "later"

    before = len(os.listdir("/proc/self/task"))
    names = {thread.name for thread in threading.enumerate()}
    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        for _ in range(20):
            client.ask(request("/"))
            client.ask(request("/async"))
        assert {thread.name for thread in threading.enumerate()} - names == {"cello"}
        assert len(os.listdir("/proc/self/task")) <= before + 1


def test_a_thread_for_each_that_is_needed(backend: str) -> None:
    app, gate = gated_app(size=8)
    with app.start(backend=backend) as server, ExitStack() as stack:
        for n in range(1, 4):
            client = stack.enter_context(Client(server.addresses[0]))
            client.send(request("/held"))
            eventually(lambda n=n: gate.entered == n, "one more handler")  # type: ignore[misc]
            assert sum(is_pooled(thread.name) for thread in threading.enumerate()) == n
        gate.open()
    eventually(lambda: not any(is_pooled(t.name) for t in threading.enumerate()), "their end")


@in_clear
def test_servers_have_their_own_pools(backend: str) -> None:
    app, gate = gated_app(size=1)
    with ExitStack() as stack:
        servers = [stack.enter_context(app.start(backend=backend)) for _ in range(3)]
        clients = [stack.enter_context(Client(server.addresses[0])) for server in servers]
        for client in clients:
            client.send(request("/held"))
        eventually(lambda: gate.entered == 3, "a thread of each")
        gate.open()
        for client in clients:
            assert client.answer().json()["thread"] == "cello-pool-1"


@in_clear
def test_no_thread_can_be_started(
    backend: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    app.get("/", blocking=True)(lambda: here())

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        answer = client.ask(request("/"))
        assert answer.status == 503 and answer.get("Retry-After") == "1"
        monkeypatch.undo()
        assert client.ask(request("/")).body == b"cello-pool-2"
    assert "no thread can be had" in caplog.text


@in_clear
@pytest.mark.parametrize("begun", [False, True])
def test_start_is_interrupted(
    backend: str, begun: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A signal handler raises inside Thread.start(): the thread is there, and may have begun."""
    app, start, entered = App(), threading.Thread.start, threading.Event()
    app.set_threadpool(ThreadPoolConfig(size=1))
    free = threading.Event()

    @app.get("/", blocking=True)
    def handler() -> str:
        entered.set()
        return here()

    def interrupted(thread: threading.Thread) -> None:
        if begun:
            start(thread)
            assert entered.wait(TIMEOUT)
            raise RuntimeError("interrupted")
        run = thread.run
        monkeypatch.setattr(thread, "run", lambda: (free.wait(TIMEOUT), run()))
        start(thread)
        raise RuntimeError("interrupted")

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        monkeypatch.setattr(threading.Thread, "start", interrupted)
        answer = client.ask(request("/"))
        assert answer.status == (200 if begun else 503)
        monkeypatch.undo()
        late = [t for t in threading.enumerate() if t.name == "cello-pool-1"]
        free.set()
        for thread in late if not begun else []:
            thread.join(TIMEOUT)
            assert not thread.is_alive()  # it was called off
        names = {client.ask(request("/")).body for _ in range(20)}
        assert names == {b"cello-pool-1" if begun else b"cello-pool-2"}
    assert ("no thread can be had" in caplog.text) is not begun


def test_early_hints_from_a_thread_of_the_program(backend: str) -> None:
    """It would wait with a pool that nothing keeps for it."""
    app = App()

    @app.get("/", blocking=True)
    def handler(req: Request) -> str:
        said: list[str] = []

        def hint() -> None:
            with pytest.raises(RuntimeError) as caught:
                req.early_hints({"Link": "</a.css>"})
            said.append(str(caught.value))

        thread = threading.Thread(target=hint)
        thread.start()
        thread.join(TIMEOUT)
        return "".join(said)

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        assert b"request's own handler" in client.ask(request("/")).body


# ---- clients that leave, and the end ----


def test_a_client_that_leaves_does_not_interrupt(backend: str) -> None:
    app, gate, seen = App(), Gate(), []

    @app.get("/", blocking=True)
    def handler(req: Request) -> str:
        gate.pass_through()
        while not req.is_disconnected():
            time.sleep(0.001)
        seen.append((req.client_ip(), req.path, req.query["a"], req.headers["host"]))
        return "nobody reads this"

    with app.start(backend=backend) as server:
        with Client(server.addresses[0]) as client:
            client.send(request("/?a=b"))
            eventually(lambda: gate.entered == 1, "the handler")
        gate.open()
        eventually(lambda: len(seen) == 1, "its end")
    assert seen == [("127.0.0.1", "/", "b", "test")]


def test_nothing_runs_for_clients_that_left_the_queue(backend: str) -> None:
    app, gate = gated_app(size=1)
    with app.start(backend=backend) as server:
        first, last = Client(server.addresses[0]), Client(server.addresses[0])
        first.send(request("/held?n=1"))
        eventually(lambda: gate.entered == 1, "the thread to be taken")
        leavers = [Client(server.addresses[0]) for _ in range(10)]
        for client in leavers:
            client.send(request("/held?n=2"))
        eventually(lambda: server.stats()["inflight"] == 11, "them to wait")
        for client in leavers:
            reset(client)
        eventually(lambda: server.stats()["connections"] == 2, "them to leave")
        last.send(request("/held?n=3"))
        gate.open()
        assert first.answer().status == last.answer().status == 200
        assert gate.entered == 2
        first.sock.close()
        last.sock.close()


def test_stop_waits_for_pooled_handlers(backend: str) -> None:
    """Also for one whose client has gone."""
    app, gate, ended = App(), Gate(), []

    @app.get("/", blocking=True)
    def handler(req: Request) -> str:
        gate.pass_through()
        ended.append(req.path)
        return "done"

    with app.start(backend=backend) as server:
        stayer, leaver = Client(server.addresses[0]), Client(server.addresses[0])
        for client in (stayer, leaver):
            client.send(request("/"))
        eventually(lambda: gate.entered == 2, "both handlers")
        reset(leaver)
        eventually(lambda: server.stats()["connections"] == 1, "one to leave")
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        eventually(lambda: refused(server.addresses[0]), "the drain")
        gate.open()
        answer = stayer.answer()
        assert answer.body == b"done" and answer.closes
        stayer.sock.close()
        stopper.join(TIMEOUT)
        assert not stopper.is_alive() and len(ended) == 2


def test_stop_waits_for_one_that_read_from_a_client_that_left(backend: str) -> None:
    app, gate, ended = App(), Gate(), []

    @app.post("/", body="stream")
    def upload(req: Request) -> None:
        try:
            list(req.stream())
        except ClientDisconnected:
            gate.pass_through()
            ended.append("cleaned up")
            raise

    with app.start(backend=backend) as server:
        client = Client(server.addresses[0])
        expect = b"Content-Length: 9\r\nExpect: 100-continue"
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\n%b\r\n\r\n" % expect)
        assert client.head().status == 100  # it waits for the body
        reset(client)
        eventually(lambda: gate.entered == 1 and not server.stats()["connections"], "its end")
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        eventually(lambda: refused(server.addresses[0]), "the drain")
        stopper.join(0.1)  # nothing tells of a stop that waits
        assert stopper.is_alive()
        gate.open()
        stopper.join(TIMEOUT)
        assert not stopper.is_alive() and ended == ["cleaned up"]


def test_stop_gives_up_on_a_stuck_handler(backend: str) -> None:
    app, gate = gated_app(size=1)
    server = app.start(backend=backend)
    with Client(server.addresses[0]) as client, Client(server.addresses[0]) as waiting:
        client.send(request("/held"))
        eventually(lambda: gate.entered == 1, "the handler")
        waiting.send(request("/held"))
        eventually(lambda: server.stats()["inflight"] == 2, "one in the queue")
        server.stop(0.05)
        assert server.wait(0) is True
        client.assert_closed()
        waiting.assert_closed()
    gate.open()  # what it gives belongs to nobody
    eventually(lambda: not any(is_pooled(t.name) for t in threading.enumerate()), "its end")
    assert gate.entered == 1


AT_EXIT = """
import socket, sys, threading, time
from cello import App
app = App()
entered = threading.Event()
@app.get("/", blocking=True)
def stuck():
    entered.set()
    {what}
server = app.start()
sock = socket.create_connection(server.addresses[0])
sock.sendall(b"GET / HTTP/1.1\\r\\nHost: test\\r\\n\\r\\n")
assert entered.wait(20)
{end}
print("end")
"""


@pytest.mark.parametrize("end", ["", "server.stop(0)", "server.stop(0); del server, app"])
@pytest.mark.parametrize(
    "what", ["time.sleep(60)", "while True: pass", "while True: time.sleep(0.0001)"]
)
def test_the_interpreter_ends_with_a_busy_pool(what: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text(AT_EXIT.format(what=what, end=end))
    with program([str(path)]) as process:
        assert process.wait() == 0
        assert process.stdout().strip() == "end"


@in_clear
def test_asyncio_is_not_imported(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "app.py"
    path.write_text(
        f"""
import sys
from urllib.request import urlopen
from cello import App, BackgroundTasks

app = App()
@app.get("/", blocking=True)
def handler(tasks: BackgroundTasks):
    tasks.add_task(print, "task")
    return "asyncio" in sys.modules
with app.start(backend={backend!r}) as server:
    assert urlopen(server.url).read() == b"false"
assert "asyncio" not in sys.modules
"""
    )
    with program([str(path)]) as process:
        assert process.wait() == 0, process.stderr()
        assert process.stdout() == "task\n"


# ---- declarations ----


def test_wrong_declarations() -> None:
    app = App()

    async def handler() -> None: ...

    with pytest.raises(
        TypeError, match=r"test_thread_pool\.py:\d+: handler .*blocking=True is for a def"
    ):
        app.get("/", blocking=True)(handler)
    with pytest.raises(TypeError, match="blocking must be True, False or None"):
        app.get("/a", blocking=1)(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="timeout must be a number of seconds"):
        app.get("/b", timeout="5")(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout must be a number of seconds"):
        app.get("/c", timeout=-1)(lambda: None)
    with pytest.raises(TypeError, match="set_threadpool takes a ThreadPoolConfig"):
        app.set_threadpool(TimeoutConfig())  # type: ignore[arg-type]
