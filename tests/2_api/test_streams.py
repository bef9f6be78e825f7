"""Handlers that yield, and Response.stream(), under every loop and on both back ends."""

import asyncio
import contextlib
import contextvars
import logging
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import h11
import pytest
import services
from async_server import reset
from cello import App, Depends, HTTPError, Request, Response, TimeoutConfig
from guest_server import Driver, drivers, guest
from stream_client import Cut, Reader, Said, serving

# ---- what is sent ----


@drivers
def test_generators_and_async_generators(driver: Driver) -> None:
    def sync(req: Request) -> Any:
        yield "a"
        yield req.path
        yield ""
        yield "é"

    async def later(n: int = 3) -> Any:
        for i in range(n):
            yield f"{i},"
            await asyncio.sleep(0)

    def many(n: int = 100_000) -> Any:
        for i in range(n):
            yield b"%07d" % i

    async def amany(n: int = 20_000) -> Any:
        for i in range(n):
            yield b"%07d" % i

    def nothing() -> Any:
        yield from ()

    with serving(driver, sync=sync, later=later, many=many, amany=amany, nothing=nothing) as at:
        with Reader(at, "/sync") as reader:
            status, fields = reader.head()
            assert (status, fields["content-type"]) == (200, "text/plain; charset=utf-8")
            assert fields["transfer-encoding"] == "chunked"
            assert reader.rest() == "a/syncé"
        assert at.body("/later") == "0,1,2,"
        assert at.body("/later?n=0") == "" == at.body("/nothing")
        assert at.body("/many") == "".join(f"{i:07d}" for i in range(100_000))
        assert at.body("/amany") == "".join(f"{i:07d}" for i in range(20_000))
        with Reader(at, "/nothing") as reader:
            assert "content-type" not in reader.head()[1]


@drivers
def test_large_items_and_every_kind_of_bytes(driver: Driver) -> None:
    large = "x" * 300_000

    async def items() -> Any:
        yield large
        yield large.encode()
        yield bytearray(b"abc")
        yield memoryview(large.encode())
        yield "end"

    with serving(driver, items=items) as at:
        assert at.body("/items") == large * 2 + "abc" + large + "end"


@drivers
def test_response_stream(driver: Driver) -> None:
    class Steps:
        """An iterator that is no generator."""

        def __init__(self) -> None:
            self.left = 3

        def __aiter__(self) -> "Steps":
            return self

        async def __anext__(self) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            await asyncio.sleep(0)
            return b"s"

    async def steps() -> Any:
        return Response.stream(Steps(), 201, {"X-A": "1"}, "a/b")

    def of_list() -> Any:
        return Response.stream(["a", b"b"])

    def of_tuple() -> Any:
        return (word for word in ("c", "d")), 202, {"X-B": "2"}

    with serving(driver, steps=steps, of_list=of_list, of_tuple=of_tuple) as at:
        with Reader(at, "/steps") as reader:
            status, fields = reader.head()
            assert (status, fields["x-a"], fields["content-type"]) == (201, "1", "a/b")
            assert reader.rest() == "sss"
        assert at.body("/of_list") == "ab"
        with Reader(at, "/of_tuple") as reader:
            status, fields = reader.head()
            assert (status, fields["x-b"], reader.rest()) == (202, "2", "cd")


@drivers
def test_the_declared_type_is_that_of_the_head(driver: Driver) -> None:
    go = threading.Event()

    async def text() -> AsyncIterator[str]:
        await asyncio.to_thread(go.wait)
        yield "a"

    async def raw() -> AsyncIterator[bytes]:
        await asyncio.to_thread(go.wait)
        yield b"a"

    def iterator() -> Iterator[bytes]:
        return iter([b"a", b"b"])

    with serving(driver, text=text, raw=raw, iterator=iterator) as at:
        with Reader(at, "/text") as one, Reader(at, "/raw") as other:
            # The heads wait for nothing.
            assert one.head()[1]["content-type"] == "text/plain; charset=utf-8"
            assert other.head()[1]["content-type"] == "application/octet-stream"
            go.set()
            assert one.rest() == other.rest() == "a"
        assert at.body("/iterator") == "ab"


@drivers
def test_items_leave_one_by_one(driver: Driver) -> None:
    said, steps = Said(), threading.Semaphore(0)

    async def words() -> Any:
        for i in range(3):
            yield f"{i}"
            said(i)
            await asyncio.to_thread(steps.acquire)

    with serving(driver, words=words) as at, Reader(at, "/words") as reader:
        assert reader.head()[0] == 200
        for i in range(3):
            assert reader.piece() == b"%d" % i
            said.wait_for(i)
            steps.release()
        assert reader.piece() is None


@drivers
def test_http_1_0_and_head(driver: Driver) -> None:
    said = Said()

    async def words() -> Any:
        try:
            yield "a"
            yield "b"
        finally:
            said("end")

    class Closable:
        def __aiter__(self) -> "Closable":
            return self

        async def __anext__(self) -> str:
            raise AssertionError("nobody reads it")

        async def aclose(self) -> None:
            said("aclosed")

    def closable() -> Any:
        return Response.stream(Closable(), content_type="a/b")

    class File:
        def __iter__(self) -> Iterator[str]:
            return self

        def __next__(self) -> str:
            raise AssertionError("nobody reads it")

        def close(self) -> None:
            said("closed")

    def file() -> Any:
        return Response.stream(File(), content_type="a/b")

    with serving(driver, words=words, closable=closable, file=file) as at:
        with Reader(at, "/words", version=0) as reader:
            _, fields = reader.head()
            assert fields["connection"] == "close" and "transfer-encoding" not in fields
            with pytest.raises(Cut, match="ab"):  # the body ends with the connection
                reader.until(b"\n")
        said.wait_for("end")
        for path in ("/words", "/closable", "/file"):
            with Reader(at, path, "Connection: close", method="HEAD") as reader:
                assert reader.head()[0] == 200
                with pytest.raises(Cut, match="b''"):
                    reader.until(b"\n")
        said.wait_for("aclosed", "closed")
        assert said.all.count("end") == 1


# ---- what fails ----


@drivers
def test_before_the_first_item_it_is_an_answer_like_any_other(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    async def missing() -> Any:
        await asyncio.sleep(0.001)
        raise HTTPError(404, "no such stream")
        yield ""

    def teapot() -> Any:
        raise HTTPError(418)
        yield ""

    async def broken() -> Any:
        raise ValueError("early")
        yield ""

    with serving(driver, missing=missing, teapot=teapot, broken=broken) as at:
        status, problem = at.get("/missing")
        assert (status, problem["detail"]) == (404, "no such stream")
        assert at.get("/teapot")[0] == 418
        assert not caplog.records
        assert at.get("/broken")[0] == 500
        assert "GET /broken: exception in" in caplog.records[0].getMessage()


@drivers
def test_an_exception_midway_shows(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    async def later() -> Any:
        yield "half"
        await asyncio.sleep(0.001)
        raise ValueError("later")

    async def at_once() -> Any:
        yield "half"
        raise ValueError("at once")

    def sync() -> Any:
        yield "half"
        raise ValueError("sync")

    def item() -> Any:
        yield "half"
        yield {"a": 1}

    async def aitem() -> Any:
        yield "half"
        yield 7

    handlers = {"later": later, "at_once": at_once, "sync": sync, "item": item, "aitem": aitem}
    with serving(driver, **handlers) as at:
        for name in handlers:
            caplog.clear()
            with Reader(at, f"/{name}") as reader:
                assert reader.head()[0] == 200
                assert reader.piece() == b"half"
                with pytest.raises(Cut):
                    reader.piece()
            (record,) = caplog.records
            assert f"GET /{name}: exception midway in" in record.getMessage()
            with Reader(at, f"/{name}", version=0) as reader:
                reader.head()
                with pytest.raises(Cut):  # by a reset: an end would look whole
                    reader.until(b"\n")
        assert "not int: make text of it, with json.dumps() for one, or an event" in caplog.text


@drivers
def test_a_cancellation_ends_one_stream(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    async def cancelled() -> None:
        waiting = asyncio.get_running_loop().create_future()
        waiting.cancel()
        await waiting

    async def midway() -> Any:
        yield "half"
        await asyncio.sleep(0.001)
        await cancelled()

    async def before() -> Any:
        await asyncio.sleep(0)
        await cancelled()
        yield "never"

    def sync() -> Any:
        yield "half"
        raise asyncio.CancelledError

    with serving(driver, midway=midway, before=before, sync=sync) as at:
        for name in ("midway", "sync"):
            with Reader(at, f"/{name}") as reader:
                assert reader.head()[0] == 200
                with pytest.raises(Cut):
                    reader.rest()
            (record,) = caplog.records
            assert f"GET /{name}: cancelled midway in" in record.getMessage()
            caplog.clear()
        for _ in range(2):  # the server lives on
            with Reader(at, "/before") as reader:
                assert reader.head()[0] == 503
        assert not caplog.records


# ---- clients ----


@drivers
def test_a_client_that_leaves_ends_the_source(driver: Driver) -> None:
    said = Said()

    async def waits() -> Any:
        try:
            yield "a"
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            said("cancelled")
            raise
        finally:
            await asyncio.sleep(0.001)  # a clean-up may wait
            said("waits")

    async def undeclared() -> Any:
        try:
            said("begun")
            await asyncio.sleep(3600)
            yield "a"
        finally:
            said("undeclared")

    async def floods() -> Any:
        try:
            while True:
                yield "x" * 10_000
        finally:
            said("floods")

    def sync() -> Any:
        try:
            while True:
                yield "x" * 10_000
        finally:
            said("sync")

    async def returned() -> Any:
        return Response.stream(waits())

    with serving(
        driver, waits=waits, undeclared=undeclared, floods=floods, sync=sync, returned=returned
    ) as at:
        for how in (reset, lambda sock: sock.close()):
            for name in ("waits", "floods", "sync", "returned", "undeclared"):
                said.all.clear()
                reader = Reader(at, f"/{name}")
                if name == "undeclared":
                    said.wait_for("begun")
                else:
                    reader.head()
                    reader.text(1)
                how(reader.sock)
                said.wait_for("waits" if name == "returned" else name)


@drivers
def test_a_slow_reader_suspends_the_source(driver: Driver) -> None:
    said, made = Said(), [0]

    async def floods() -> Any:
        try:
            while True:
                made[0] += 1
                yield b"x" * 1000
        finally:
            said("floods")

    def sync() -> Any:
        try:
            while True:
                made[0] += 1
                yield b"x" * 1000
        finally:
            said("sync")

    with serving(driver, floods=floods, sync=sync) as at:
        for name in ("floods", "sync"):
            made[0] = 0
            with Reader(at, f"/{name}") as reader:
                reader.head()
                before = -1
                while before != made[0]:  # until the kernel's buffers are full, and ours
                    before = made[0]
                    threading.Event().wait(0.3)
                assert made[0] < 20_000
                read = 0
                while read < (before + 100) * 1000:  # it goes on when the client does
                    piece = reader.piece()
                    assert piece
                    read += len(piece)
            said.wait_for(name)


def test_a_client_that_never_reads_is_dropped() -> None:
    said = Said()
    app = App()
    app.set_timeouts(TimeoutConfig(write=0.2))

    @app.get("/")
    async def floods() -> Any:
        try:
            while True:
                yield b"x" * 10_000
        finally:
            said("end")

    for backend in ("epoll", "io_uring"):
        said.all.clear()
        with app.start(backend=backend) as server:
            place = type("At", (), {"host": "127.0.0.1", "port": server.addresses[0][1]})
            with Reader(place, "/"):
                said.wait_for("end")


# ---- around it ----


@drivers
def test_dependencies_are_open_until_the_end(driver: Driver) -> None:
    said = Said()

    def resource() -> Iterator[str]:
        said("open")
        try:
            yield "r"
        except ValueError:
            said("failed")
            raise
        said("closed")

    async def aresource() -> AsyncIterator[str]:
        yield "a"
        said("aclosed")

    async def ends(r: str = Depends(resource), a: str = Depends(aresource)) -> Any:
        yield r + a
        await asyncio.sleep(0.001)
        said("end")

    def sync(r: str = Depends(resource)) -> Any:
        yield r
        said("end")

    def fails(r: str = Depends(resource)) -> Any:
        yield r
        raise ValueError("midway")

    def left(r: str = Depends(resource)) -> Any:
        while True:
            yield r * 1000

    with serving(driver, ends=ends, sync=sync, fails=fails, left=left) as at:
        assert at.body("/ends") == "ra"
        said.wait_for("closed", "aclosed")
        assert said.all == ["open", "end", "aclosed", "closed"] or said.all[:2] == ["open", "end"]
        said.all.clear()
        assert at.body("/sync") == "r"
        said.wait_for("closed")
        assert said.all == ["open", "end", "closed"]
        said.all.clear()
        with Reader(at, "/fails") as reader:
            reader.head()
            with pytest.raises(Cut):
                reader.rest()
        said.wait_for("failed")
        said.all.clear()
        with Reader(at, "/left") as reader:
            reader.head()
            reset(reader.sock)
            said.wait_for("closed")


@drivers
def test_context_variables(driver: Driver) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")

    def scoped() -> None:
        var.set("of the dependency")

    async def agen(_: None = Depends(scoped)) -> Any:
        yield var.get()
        var.set("own")
        await asyncio.sleep(0)
        yield ", " + var.get()

    def gen(_: None = Depends(scoped)) -> Any:
        yield var.get()
        var.set("own")
        yield ", " + var.get()

    def returned() -> Any:
        var.set("of the handler")

        def words() -> Any:
            yield var.get()

        return Response.stream(words())

    with serving(driver, agen=agen, gen=gen, returned=returned) as at:
        for _ in range(2):
            assert at.body("/agen") == at.body("/gen") == "of the dependency, own"
            assert at.body("/returned") == "of the handler"


@drivers
def test_hooks_and_middleware_see_a_response(driver: Driver) -> None:
    app = App()

    async def words() -> Any:
        yield "a"
        await asyncio.sleep(0.001)
        yield "b"

    def sync() -> Any:
        yield "a"
        yield "b"

    app.get("/words")(words)
    app.get("/sync")(sync)

    @app.middleware("http")
    async def around(req: Request, call_next: Any) -> Any:
        response = await call_next(req)
        response.set_header("X-Around", type(response.body).__name__)
        return response

    @app.after_request()
    def after(req: Request, response: Response) -> None:
        response.set_header("X-After", str(response.content_type))

    with guest(app, driver) as at:
        for path, kind in (("/words", "async_generator"), ("/sync", "generator")):
            with Reader(at, path) as reader:
                _, fields = reader.head()
                assert (fields["x-around"], fields["x-after"]) == (kind, "None")
                assert fields["content-type"] == "text/plain; charset=utf-8"
                assert reader.rest() == "ab"


@drivers
def test_trailers(driver: Driver) -> None:
    sums = {"X-Sum": ""}

    async def mapping() -> Any:
        async def body() -> Any:
            yield "abc"
            await asyncio.sleep(0)
            sums["X-Sum"] = "3"

        return Response.stream(body(), trailers=sums)

    def called() -> Any:
        return Response.stream(iter("ab"), trailers=lambda: [("X-A", "1"), ("X-A", "2")])

    def refused() -> Any:
        return Response.stream(iter("ab"), trailers={"Content-Length": "2"})

    with serving(driver, mapping=mapping, called=called, refused=refused) as at:
        with Reader(at, "/mapping") as reader:
            assert reader.head()[1]["trailer"] == "X-Sum"
            assert reader.rest() == "abc"
            assert reader.trailers() == {"x-sum": "3"}
        with Reader(at, "/called") as reader:
            assert "trailer" not in reader.head()[1]
            assert reader.rest() == "ab"
            assert reader.until(b"\r\n\r\n") == b"X-A: 1\r\nX-A: 2"
        with Reader(at, "/refused") as reader:
            reader.head()
            with pytest.raises(Cut):
                reader.rest()


def curl(url: str, *options: str) -> str:
    command = ["curl", "--silent", "--show-error", "--max-time", "20", *options, url]
    done = subprocess.run(command, env=services.unsanitized(), stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


@contextlib.contextmanager
def with_trailers(backend: str) -> Iterator[Any]:
    sums = {"X-Sum": "", "X-Other": "b"}

    def data() -> Any:
        def body() -> Any:
            yield b"some"
            yield b"data" * 5000
            sums["X-Sum"] = "20004"

        return Response.stream(body(), content_type="text/plain", trailers=sums)

    with serving(("engine", backend), data=data) as at:
        yield at


@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
def test_curl_reads_trailers(backend: str) -> None:
    with with_trailers(backend) as at:
        url = f"{at.server.url}/data"
        assert curl(url) == "some" + "data" * 5000
        shown = curl(url, "--dump-header", "-", "--output", "/dev/null")
        head, trailers = shown.rstrip().split("\r\n\r\n")
        assert head.endswith("\r\nTrailer: X-Sum, X-Other")
        assert trailers == "X-Sum: 20004\r\nX-Other: b"
        assert curl(url, "--raw").endswith("data\r\n0\r\nX-Sum: 20004\r\nX-Other: b\r\n\r\n")


@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
def test_h11_reads_trailers(backend: str) -> None:
    with with_trailers(backend) as at:
        connection = h11.Connection(h11.CLIENT)
        request = h11.Request(method="GET", target="/data", headers=[("Host", "test")])
        with socket.create_connection((at.host, at.port), timeout=20) as sock:
            sock.sendall(connection.send(request) + connection.send(h11.EndOfMessage()))
            body = b""
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(sock.recv(65536))
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
        assert body == b"some" + b"data" * 5000
        assert list(event.headers) == [(b"x-sum", b"20004"), (b"x-other", b"b")]


@pytest.mark.parametrize("client", [["--http1.1"], ["--http1.0"]], ids=["1.1", "1.0"])
def test_curl_reads_early_hints(client: list[str]) -> None:
    def page(req: Request) -> str:
        req.early_hints({"Link": ["</a.css>; rel=preload", "</b.js>; rel=preload"]})
        return "page"

    with serving(("engine", "epoll"), page=page) as at:
        *heads, body = curl(f"{at.server.url}/page", "--include", *client).split("\r\n\r\n")
        assert body == "page" and heads[-1].startswith("HTTP/1.1 200 OK\r\n")
        links = "Link: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload"
        hints = [f"HTTP/1.1 103 Early Hints\r\n{links}"] if client == ["--http1.1"] else []
        assert heads[:-1] == hints


# ---- the end ----


@drivers
def test_a_stop_ends_streams_that_have_no_end(driver: Driver) -> None:
    """When its time is over; what they clean up is waited for."""
    said = Said()

    async def endless() -> Any:
        try:
            while True:
                yield "a"
                await asyncio.sleep(0.001)
        finally:
            await asyncio.sleep(0.01)
            said("endless")

    async def silent() -> Any:
        try:
            yield "a"
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.01)
            said("silent")

    def sync() -> Any:
        try:
            while True:
                yield "a" * 100
        finally:
            said("sync")

    with contextlib.ExitStack() as stack:
        app = App()
        app.get("/endless")(endless)
        app.get("/silent")(silent)
        app.get("/sync")(sync)
        with contextlib.ExitStack() as served:
            at = served.enter_context(guest(app, driver))
            for name in ("endless", "silent", "sync"):
                reader = stack.enter_context(Reader(at, f"/{name}"))
                reader.head()
                reader.text(1)
            if driver[0] == "engine":
                at.server.stop(0.05)
        assert sorted(said.all) == ["endless", "silent", "sync"]


def test_streams_leave_nothing(caplog: pytest.LogCaptureFixture) -> None:
    import gc

    class Mark:
        alive = 0

        def __init__(self) -> None:
            Mark.alive += 1

        def __del__(self) -> None:
            Mark.alive -= 1

    async def agen() -> Any:
        mark = Mark()
        for _ in range(3):
            yield "x" * 9000
            await asyncio.sleep(0)
        del mark

    def gen() -> Any:
        mark = Mark()
        for _ in range(3):
            yield "x" * 9000
        del mark

    async def fails() -> Any:
        mark = Mark()
        yield "x"
        raise HTTPError(500, str(mark))

    caplog.set_level(logging.CRITICAL)
    for backend in ("epoll", "io_uring"):
        with serving(("engine", backend), agen=agen, gen=gen, fails=fails) as at:
            for i in range(60):
                with Reader(at, ("/agen", "/gen", "/fails")[i % 3]) as reader:
                    reader.head()
                    if i % 2:
                        with contextlib.suppress(Cut):
                            reader.rest()
        gc.collect()
        assert Mark.alive == 0
        assert not [o for o in gc.get_objects() if type(o).__name__ == "StreamCoroutine"]


def test_an_async_stream_without_an_async_handler() -> None:
    """The server gets its loop when a stream first needs one."""
    app = App()

    async def words() -> Any:
        yield "a"
        await asyncio.sleep(0.001)
        yield "b"

    @app.get("/words")
    def handler() -> Any:
        return Response.stream(words())

    @app.get("/plain")
    def plain() -> str:
        return "plain"

    for backend in ("epoll", "io_uring"):
        with guest(app, ("engine", backend)) as at:
            assert at.body("/plain") == "plain"
            for _ in range(2):
                assert at.body("/words") == "ab"
            assert at.body("/plain") == "plain"


def test_blocking_streams_run_on_the_pool() -> None:
    said, go = Said(), threading.Event()
    app = App()

    @app.get("/slow", blocking=True)
    def slow() -> Any:
        try:
            yield "a"
            go.wait(20)
            yield threading.current_thread().name
        finally:
            said(threading.current_thread().name.rpartition("-")[0])

    @app.get("/plain")
    def plain() -> str:
        return "plain"

    for backend in ("epoll", "io_uring"):
        said.all.clear()
        go.clear()
        with guest(app, ("engine", backend)) as at:
            with Reader(at, "/slow") as reader:
                reader.head()
                assert reader.piece() == b"a"
                assert at.body("/plain") == "plain"  # the engine does not wait
                go.set()
                assert "cello-pool" in reader.rest()
            said.wait_for("cello-pool")
            said.all.clear()
            with Reader(at, "/slow") as reader:
                reader.head()
                reset(reader.sock)
                said.wait_for("cello-pool")


@drivers
def test_a_head_that_does_not_come(driver: Driver) -> None:
    said = Said()
    app = App()

    @app.get("/", timeout=0.05)
    async def never() -> Any:
        try:
            await asyncio.sleep(3600)
            yield "a"
        finally:
            said("end")

    with guest(app, driver) as at:
        assert at.get("/")[0] == 504
        said.wait_for("end")


# ---- early hints ----


@drivers
def test_early_hints(driver: Driver) -> None:
    go = threading.Event()

    async def page(req: Request) -> str:
        req.early_hints({"Link": ["</a.css>; rel=preload", "</b.js>; rel=preload"]})
        await asyncio.to_thread(go.wait)
        req.early_hints([("Link", "</c.js>")])
        return "page"

    def sync(req: Request) -> str:
        with pytest.raises(ValueError, match="must not be sent"):
            req.early_hints({"Link": "a\r\nb"})
        req.early_hints({"Link": "</a.css>"})
        go.wait()
        return "page"

    async def late(req: Request) -> Any:
        yield "a"
        await asyncio.sleep(0.001)  # items that come at once go with the head
        with pytest.raises(RuntimeError, match="before the answer"):
            req.early_hints({})
        yield "b"

    with serving(driver, page=page, sync=sync, late=late) as at:
        with Reader(at, "/page") as reader:
            head = reader.until(b"\r\n\r\n")
            assert head == (
                b"HTTP/1.1 103 Early Hints\r\n"
                b"Link: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload"
            )
            go.set()
            assert reader.head() == (103, {"link": "</c.js>"})
            assert reader.head()[0] == 200
        go.clear()
        with Reader(at, "/sync") as reader:  # a handler that holds the thread
            assert reader.head() == (103, {"link": "</a.css>"})
            go.set()
            assert reader.head()[0] == 200
        with Reader(at, "/page", version=0) as reader:
            go.set()
            assert reader.head()[0] == 200
        assert at.body("/late") == "ab"
