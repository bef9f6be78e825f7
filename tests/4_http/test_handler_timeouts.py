"""Handlers that take too long, and clients that leave, on both back ends."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Annotated, Any

import pytest
from cello import App, Depends, Request, ThreadPoolConfig, TimeoutConfig
from wire import TIMEOUT, Client, eventually, fetch, refused, request
from wire_marks import every_transport, http1, in_clear

pytestmark = every_transport

SHORT = 0.05


def assert_504(client: Client) -> None:
    answer = client.answer()
    assert answer.status == 504 and answer.get("Content-Type") == "application/problem+json"
    assert answer.json()["detail"] == "The handler took too long."
    assert client.ask(request("/not-there")).status == 404  # the connection goes on


def overdue_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


# ---- timeouts ----


def test_clean_up_is_not_cancelled(backend: str) -> None:
    """A handler is cancelled once, whatever happens while it cleans up: its time is over, its
    client leaves, it waits for long."""
    app, started, cleaned = App(), threading.Event(), threading.Event()

    @app.get("/")
    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3 * SHORT)
            cleaned.set()

    app.route("/short", timeout=SHORT)(wait)
    with app.start(backend=backend) as server:
        for target in ("/", "/short"):
            for late in (False, True):
                started.clear()
                cleaned.clear()
                with Client(server.addresses[0]) as client:
                    client.send(request(target))
                    assert started.wait(10)
                    if late and target == "/short":
                        assert_504(client)
                    elif late:
                        time.sleep(2 * SHORT)
                assert cleaned.wait(10), (target, late)


def test_an_async_handler_is_cancelled(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    app, ran = App(), []

    def dependency() -> Iterator[None]:
        try:
            yield
        finally:
            ran.append("dependency")

    async def async_dependency() -> AsyncIterator[None]:
        try:
            yield
        finally:
            ran.append("async dependency")

    async def wait() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ran.append("cancelled")
            raise
        finally:
            ran.append("finally")
        return "never"

    @app.get("/plain", timeout=SHORT)
    async def plain(d: Annotated[None, Depends(dependency)]) -> str:
        return await wait()

    @app.get("/generated", timeout=SHORT)
    async def generated(d: Annotated[None, Depends(async_dependency)]) -> str:
        return await wait()

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        for _ in range(3):
            client.send(request("/plain"))
            assert_504(client)
            eventually(lambda: len(ran) == 3, "clean-up")
            assert ran == ["cancelled", "finally", "dependency"]
            ran.clear()
            client.send(request("/generated"))
            assert_504(client)
            eventually(lambda: len(ran) == 3, "clean-up")
            assert ran == ["cancelled", "finally", "async dependency"]
            ran.clear()
    lines = overdue_lines(caplog)
    assert len(lines) == 6
    assert lines[0].startswith(f"GET /plain: answered with 504 after {SHORT} s, in ")


def test_a_handler_that_swallows_its_cancellation(backend: str) -> None:
    """Its result is nobody's; the connection serves on."""
    app, ended = App(), []

    @app.get("/", timeout=SHORT)
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)
        ended.append("swallowed")
        return "too late"

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        for n in range(1, 4):
            client.send(request("/"))
            assert_504(client)
            eventually(lambda n=n: len(ended) == n, "its end")  # type: ignore[misc]


def test_a_pooled_handler_runs_out(backend: str) -> None:
    app, released, ran = App(), threading.Event(), []
    app.set_threadpool(ThreadPoolConfig(size=1))

    def dependency() -> Iterator[None]:
        yield
        ran.append("clean-up")

    @app.get("/", blocking=True, timeout=SHORT)
    def handler(n: int, req: Request, d: Annotated[None, Depends(dependency)]) -> str:
        assert released.wait(TIMEOUT)
        ran.append((n, req.is_disconnected(), req.query["n"]))
        return "too late"

    with app.start(backend=backend) as server:
        with Client(server.addresses[0]) as client, Client(server.addresses[0]) as waiting:
            client.send(request("/?n=1"))
            assert_504(client)
            waiting.send(request("/?n=2"))  # it waits for the thread, too long: never called
            assert_504(waiting)
        released.set()
        eventually(lambda: len(ran) == 2, "its end")
        assert ran == [(1, True, "1"), "clean-up"]
        answer = fetch(server.addresses[0], request("/?n=3"))
        assert answer.body == b"too late"


def test_an_inline_handler_is_logged(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/slow", timeout=SHORT)
    def slow() -> str:
        time.sleep(3 * SHORT)
        return "done"

    with app.start(backend=backend) as server:
        assert fetch(server.addresses[0], request("/slow")).body == b"done"
        eventually(lambda: len(overdue_lines(caplog)) > 0, "the line")
    (line,) = overdue_lines(caplog)
    assert line.startswith("GET /slow: took 0.")
    assert f"longer than its timeout of {SHORT} s, and cannot be interrupted, in " in line


def test_the_route_goes_before_the_configuration(backend: str) -> None:
    app = App()
    app.set_timeouts(TimeoutConfig(handler=SHORT))

    async def handler() -> str:
        await asyncio.sleep(4 * SHORT)
        return "done"

    app.get("/configured")(handler)
    app.get("/longer", timeout=TIMEOUT)(handler)
    app.get("/none", timeout=0)(handler)

    @app.get("/pooled", blocking=True)
    def pooled() -> str:
        time.sleep(4 * SHORT)
        return "done"

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        for path in ("/configured", "/pooled"):
            client.send(request(path))
            assert_504(client)
        for path in ("/longer", "/none"):
            assert client.ask(request(path)).body == b"done"


def test_no_handler_is_overdue_twice(backend: str) -> None:
    """A deadline ends with its handler: the next request on the connection has its own."""
    app = App()

    @app.get("/", timeout=0.2)
    async def handler() -> str:
        await asyncio.sleep(0.01)
        return "done"

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert client.ask(request("/")).body == b"done"


def test_the_limit_ends_with_the_head(backend: str) -> None:
    app = App()

    @app.get("/", timeout=SHORT)
    async def items() -> AsyncIterator[str]:
        for _ in range(4):
            yield "item "
            await asyncio.sleep(SHORT)

    with app.start(backend=backend) as server:
        assert fetch(server.addresses[0], request("/")).body == b"item " * 4


# ---- who waits for long ----


@pytest.mark.parametrize("timeout", [0, 60])
def test_who_waits_for_long_keeps_what_was_said(backend: str, timeout: float) -> None:
    """And not the block that it was received in."""
    app, opened = App(), asyncio.Event()

    @app.post("/held/{name}", timeout=timeout)
    async def held(req: Request, name: str) -> dict[str, Any]:
        await opened.wait()
        return {
            "seen": [req.method, req.path, req.query["q"], req.params["name"], req.cookies["c"]],
            "agent": req.headers["User-Agent"],
            "name": name,
            "body": req.text(),
        }

    @app.get("/open")
    async def release() -> str:
        opened.set()
        return "open"

    def sent(n: int) -> bytes:
        target, fields = f"/held/{n}?q=a%20{n}", (f"User-Agent: agent {n}", f"Cookie: c={n}")
        return request(target, *fields, method="POST", body=b"")

    with app.start(backend=backend) as server, ExitStack() as stack:
        clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(10)]
        assert clients[0].ask(request("/")).status == 404
        idle = server.stats()["buffered_bytes"]
        for n, client in enumerate(clients):
            client.send(sent(n))
        eventually(lambda: server.stats()["inflight"] == 10, "all to wait")
        eventually(lambda: server.stats()["buffered_bytes"] <= idle, "blocks to be given back")
        fetch(server.addresses[0], request("/open"))
        for n, client in enumerate(clients):
            answer = client.answer().json()
            assert answer["seen"] == ["POST", f"/held/{n}", f"a {n}", str(n), str(n)]
            assert (answer["agent"], answer["name"]) == (f"agent {n}", str(n))
            assert client.ask(sent(n)).json() == answer


@in_clear
def test_time_goes_on_for_who_waits_for_long(backend: str) -> None:
    app = App()

    @app.get("/", timeout=1.2)
    async def handler() -> None:
        await asyncio.Event().wait()

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        begin = time.monotonic()
        client.send(request("/"))
        assert_504(client)
        assert time.monotonic() - begin > 1.1


# ---- clients that leave ----


def leaving_app() -> tuple[App, list[Any]]:
    app, ran = App(), []

    def dependency() -> Iterator[None]:
        try:
            yield
        finally:
            ran.append("dependency")

    @app.get("/wait")
    async def wait(req: Request, d: Annotated[None, Depends(dependency)]) -> str:
        ran.append("entered")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ran.append(("cancelled", req.is_disconnected()))
            raise
        finally:
            ran.append("finally")
        return "never"

    @app.get("/stubborn")
    async def stubborn() -> str:
        ran.append("entered")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ran.append("swallowed")
        return "answered all the same"

    @app.get("/shielded")
    async def shielded() -> str:
        async def work() -> None:
            await asyncio.sleep(SHORT)
            ran.append("work is done")

        ran.append("entered")
        await asyncio.shield(asyncio.ensure_future(work()))
        return "never"

    return app, ran


CANCELLED = ["entered", ("cancelled", True), "finally", "dependency"]


@pytest.mark.parametrize("half", [False, True], ids=["closed", "half-closed"])
def test_a_suspended_handler_is_cancelled(
    backend: str, half: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app, ran = leaving_app()
    with app.start(backend=backend) as server:
        for _ in range(5):
            with Client(server.addresses[0]) as client:
                client.send(request("/wait"))
                eventually(lambda: len(ran) > 0, "the handler")
                if half:
                    client.end()
                    client.assert_closed()  # without an answer
            eventually(lambda: len(ran) == len(CANCELLED), "its end")
            assert ran == CANCELLED
            ran.clear()
        eventually(lambda: server.stats()["inflight"] == 0, "nothing in flight")
    assert not caplog.records


@http1
def test_a_client_that_ends_its_side_at_once(backend: str) -> None:
    """Before its handler has been called, perhaps."""
    app, ran = leaving_app()
    with app.start(backend=backend) as server:
        for _ in range(20):
            with Client(server.addresses[0]) as client:
                client.send(request("/wait"))
                client.end()
                client.assert_closed()
            eventually(lambda: len(ran) == len(CANCELLED), "its end")
            assert ran == CANCELLED
            ran.clear()


@http1
def test_an_answer_may_still_reach_a_half_closed_client(backend: str) -> None:
    app, ran = leaving_app()
    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        client.send(request("/stubborn"))
        eventually(lambda: ran == ["entered"], "the handler")
        client.end()
        assert client.answer().body == b"answered all the same"
        assert ran == ["entered", "swallowed"]


def test_shield(backend: str) -> None:
    app, ran = leaving_app()
    with app.start(backend=backend) as server:
        with Client(server.addresses[0]) as client:
            client.send(request("/shielded"))
            eventually(lambda: ran == ["entered"], "the handler")
        eventually(lambda: ran == ["entered", "work is done"], "the work")


@http1
def test_handlers_that_do_not_wait_still_answer(backend: str) -> None:
    """A half-closed client is answered by a def, and by what C answers."""
    app = App()
    app.get("/")(lambda: "plain")
    app.get("/pooled", blocking=True)(lambda: "pooled")
    app.static_response("/static", "static")
    with app.start(backend=backend) as server:
        for path, body in (("/", b"plain"), ("/pooled", b"pooled"), ("/static", b"static")):
            with Client(server.addresses[0]) as client:
                client.send(request(path))
                client.end()
                assert client.answer().body == body
                client.assert_closed()


def test_leaving_under_a_foreign_loop(backend: str) -> None:
    app, ran = leaving_app()

    @app.get("/overdue", timeout=SHORT)
    async def overdue() -> None:
        await asyncio.Event().wait()

    address: list[tuple[str, int]] = []

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        task = asyncio.create_task(app.serve(port=port, backend=backend, logs=False))
        address.append(("127.0.0.1", port))
        while len(ran) < len(CANCELLED) + 1:
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])

    def clients() -> None:
        eventually(lambda: bool(address), "the address")
        eventually(lambda: not refused(address[0]), "the server")
        with Client(address[0]) as client:
            client.send(request("/overdue"))
            assert_504(client)
        with Client(address[0]) as client:
            client.send(request("/wait"))
            eventually(lambda: len(ran) > 0, "the handler")
        eventually(lambda: len(ran) >= len(CANCELLED), "its end")
        ran.append("over")

    thread = threading.Thread(target=clients)
    thread.start()
    asyncio.run(asyncio.wait_for(main(), TIMEOUT))
    thread.join()
    assert ran == [*CANCELLED, "over"]
