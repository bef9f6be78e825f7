"""Server-sent events: SseEvent, Response.sse(), SseStream."""

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from async_server import Client, reset
from cello import App, Request, Response, SseEvent, SseStream
from cello.responses import EventSourceResponse, StreamingResponse
from guest_server import Driver, drivers, guest
from stream_client import Reader, Said, serving

# ---- the format ----


def text_of(*events: Any) -> str:
    app = App()
    app.get("/")(lambda: Response.sse(iter(events)))
    with guest(app, ("engine", "epoll")) as at:
        return str(at.body("/"))


@dataclass
class Price:
    eur: int


def test_the_fields_of_an_event() -> None:
    assert text_of(SseEvent("a")) == "data: a\n\n"
    assert text_of(SseEvent("a", "tick", "7", 3000)) == (
        "id: 7\nevent: tick\nretry: 3000\ndata: a\n\n"
    )
    assert text_of(SseEvent({"a": [1, "é\n"]})) == 'data: {"a":[1,"é\\n"]}\n\n'
    assert text_of(SseEvent(Price(3)), SseEvent(None)) == 'data: {"eur":3}\n\ndata: null\n\n'
    assert text_of("a", {"b": 1}, b": raw\n\n") == 'data: a\n\ndata: {"b":1}\n\n: raw\n\n'
    assert text_of(SseEvent("x", id="")) == "id: \ndata: x\n\n"


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ("", [""]),
        ("a\nb", ["a", "b"]),
        ("a\r\nb\rc", ["a", "b", "c"]),
        ("a\n", ["a", ""]),
        ("\n\r", ["", "", ""]),
        (" a", [" a"]),
        ("data: x\n\nid: 9", ["data: x", "", "id: 9"]),
    ],
)
def test_data_of_several_lines(data: str, lines: list[str]) -> None:
    """Nothing in it ends the event or begins another field."""
    assert text_of(SseEvent(data)) == "".join(f"data: {line}\n" for line in lines) + "\n"


def test_what_an_event_refuses() -> None:
    for bad in ("a\nb", "a\rb", "a\0b", "\n"):
        with pytest.raises(ValueError, match="line end or a NUL"):
            SseEvent("x", event=bad)
        with pytest.raises(ValueError, match="line end or a NUL"):
            SseEvent("x", id=bad)
    with pytest.raises(ValueError, match="milliseconds"):
        SseEvent("x", retry=-1)
    for wrong in ({"event": 1}, {"id": b"x"}, {"retry": 1.5}, {"retry": True}):
        with pytest.raises(TypeError):
            SseEvent("x", **wrong)
    with pytest.raises(TypeError):
        SseEvent()  # type: ignore[call-arg]
    event = SseEvent([1], "e", "i", 5)
    assert (event.data, event.event, event.id, event.retry) == ([1], "e", "i", 5)
    assert repr(event) == "SseEvent([1], event='e', id='i', retry=5)"
    with pytest.raises(AttributeError):
        event.id = "other"  # type: ignore[misc]


# ---- streams of events ----


@drivers
def test_generators_of_events(driver: Driver) -> None:
    async def first() -> Any:
        yield SseEvent("a")
        await asyncio.sleep(0)
        yield "b"

    async def declared() -> AsyncIterator[SseEvent]:
        await asyncio.sleep(0)
        yield SseEvent("a")

    def own() -> Any:
        return Response.sse(iter("a"), headers={"Cache-Control": "no-cache"})

    def raw() -> Any:
        return StreamingResponse(iter(["data: a\n\n"]), media_type="text/event-stream")

    def alias() -> Any:
        return EventSourceResponse(iter([{"a": 1}]))

    with serving(driver, first=first, declared=declared, own=own, raw=raw, alias=alias) as at:
        for name, body in (("first", "data: a\n\ndata: b\n\n"), ("declared", "data: a\n\n")):
            with Reader(at, f"/{name}") as reader:
                _, fields = reader.head()
                assert fields["content-type"] == "text/event-stream"
                assert fields["cache-control"] == "no-store"
                assert fields["x-accel-buffering"] == "no"
                assert reader.rest() == body
        with Reader(at, "/own") as reader:
            assert reader.head()[1]["cache-control"] == "no-cache"
        assert at.body("/raw") == "data: a\n\n"
        assert at.body("/alias") == 'data: {"a":1}\n\n'


@drivers
def test_heartbeats(driver: Driver) -> None:
    async def silent() -> Any:
        async def events() -> Any:
            yield "a"
            await asyncio.sleep(3600)

        return Response.sse(events(), heartbeat=0.05)

    def pushed() -> Any:
        return SseStream(heartbeat=0.05)

    async def waiting() -> Any:
        async def events() -> Any:
            await asyncio.sleep(3600)
            yield "a"

        return Response.sse(events(), heartbeat=0.05)

    with serving(driver, silent=silent, pushed=pushed, waiting=waiting) as at:
        for name in ("silent", "pushed", "waiting"):
            with Reader(at, f"/{name}") as reader:
                reader.head()
                if name == "silent":
                    assert reader.piece() == b"data: a\n\n"
                for _ in range(3):
                    assert reader.piece() == b":\n\n"


# ---- SseStream ----


@drivers
def test_streams_that_are_sent_to(driver: Driver) -> None:
    open_streams: list[SseStream] = []
    said = Said()

    def events(req: Request) -> SseStream:
        stream = SseStream(req, heartbeat=None)
        assert stream.send("early") and not stream.closed
        open_streams.append(stream)
        said("open")
        return stream

    async def send() -> str:
        return str(open_streams[-1].send(SseEvent({"n": 1}, id="5")))

    with serving(driver, events=events, send=send) as at:
        with Reader(at, "/events", "Last-Event-ID: 4") as reader:
            _, fields = reader.head()
            assert fields["content-type"] == "text/event-stream"
            assert reader.piece() == b"data: early\n\n"
            stream = open_streams[-1]
            assert stream.last_event_id == "4"
            assert at.body("/send") == "True"  # by another handler, on the engine's thread
            assert reader.piece() == b'id: 5\ndata: {"n":1}\n\n'
            thread = threading.Thread(target=lambda: [stream.send(str(i)) for i in range(100)])
            thread.start()
            thread.join()
            assert reader.text(100 * 9) == "".join(f"data: {i}\n\n" for i in range(100))
            stream.send("last")
            stream.close()
            assert stream.closed and stream.send("late") is False
            assert reader.rest() == "data: last\n\n"
        with Reader(at, "/events") as reader:
            reader.head()
            reader.piece()
            stream = open_streams[-1]
            assert stream.last_event_id is None
            reset(reader.sock)
            while stream.send("x"):  # until the server knows that the client has gone
                threading.Event().wait(0.005)
            assert stream.closed
        with Reader(at, "/events", method="HEAD") as reader:
            reader.head()
        while not open_streams[-1].closed:
            threading.Event().wait(0.005)


@drivers
def test_a_slow_client_of_a_stream_is_dropped(driver: Driver) -> None:
    streams: list[SseStream] = []

    def events() -> SseStream:
        streams.append(SseStream(max_buffer=100_000))
        return streams[-1]

    with serving(driver, events=events) as at, Reader(at, "/events") as reader:
        reader.head()
        (stream,) = streams
        count = 0
        while stream.send("x" * 10_000):
            count += 1
            assert count < 10_000
        assert stream.closed
        reader.rest()  # what was taken, and an end: it comes back with Last-Event-ID
    with pytest.raises(ValueError, match="max_buffer"):
        SseStream(max_buffer=0)
    for bad in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="heartbeat"):
            SseStream(heartbeat=bad)
    with pytest.raises(TypeError, match="Request"):
        SseStream("x")  # type: ignore[arg-type]


def test_a_stream_is_returned_once() -> None:
    stream = SseStream()
    app = App()
    app.get("/")(lambda: stream)
    with guest(app, ("engine", "epoll")) as at, Reader(at, "/") as reader:
        reader.head()
        assert at.get("/")[0] == 500


# ---- the end of the server ----


@contextlib.contextmanager
def stopped(at: Any) -> Iterator[None]:
    """The server is stopped while the block runs, with the time that a signal gives it."""
    thread = threading.Thread(target=at.server.stop, args=(30,))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def refused(at: Any) -> bool:
    try:
        Reader(at, "/").sock.close()
    except ConnectionError:
        return True
    return False


@drivers
def test_a_stop_ends_event_streams(driver: Driver) -> None:
    """At once, as a whole body, without its time being over; and their sources, which it waits
    for."""
    said = Said()
    streams: list[SseStream] = []

    async def silent() -> AsyncIterator[SseEvent]:
        try:
            yield SseEvent("a")
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            said("cancelled")
            raise
        finally:
            await asyncio.sleep(0.01)
            said("silent")

    async def busy() -> Any:
        try:
            while True:
                yield SseEvent("a")
                await asyncio.sleep(0.001)
        finally:
            said("busy")

    async def quiet() -> Any:
        async def events() -> Any:
            try:
                yield "a"
                await asyncio.sleep(3600)
            finally:
                said("quiet")

        return Response.sse(events(), heartbeat=None)

    def sync() -> Any:
        try:
            while True:
                yield SseEvent("a" * 100)
        except GeneratorExit:
            said("closed")
            raise
        finally:
            said("sync")

    def pushed() -> SseStream:
        streams.append(SseStream())
        streams[-1].send("a")
        return streams[-1]

    names = ("silent", "busy", "quiet", "sync", "pushed")
    functions = {f.__name__: f for f in (silent, busy, quiet, sync, pushed)}
    with contextlib.ExitStack() as stack:
        with serving(driver, **functions) as at:
            readers = [stack.enter_context(Reader(at, f"/{name}")) for name in names]
            for reader in readers:
                reader.head()
                assert reader.text(9).startswith("data: a")
            with stopped(at):
                for reader in readers:
                    rest = reader.rest()
                    assert rest == "" or rest.endswith("\n\n")
                    assert reader.until(b"\r\n") == b""
                    assert reader.sock.recv(1) == b""
                    reader.sock.close()
        assert sorted(said.all) == ["busy", "cancelled", "closed", "quiet", "silent", "sync"]
        assert streams[0].closed and not streams[0].send("late")


@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
def test_a_stop_ends_event_streams_without_asyncio(backend: str) -> None:
    """Also those that wait on the thread pool: what their threads do is waited for."""
    said, gate = Said(), threading.Event()

    def sync() -> Iterator[SseEvent]:
        try:
            while True:
                yield SseEvent("a" * 100)
        finally:
            said("sync")

    def waits() -> Any:
        try:
            yield SseEvent("a")
            said("waiting")
            gate.wait()
            yield SseEvent("b")
        finally:
            said("waits")

    def ended() -> SseStream:
        stream = SseStream()
        stream.send("a")
        return stream

    app = App()
    app.get("/sync")(sync)
    app.get("/waits", blocking=True)(waits)
    app.get("/ended")(ended)
    with contextlib.ExitStack() as stack, guest(app, ("engine", backend)) as at:
        readers = [stack.enter_context(Reader(at, f"/{n}")) for n in ("sync", "waits", "ended")]
        for reader in readers:
            reader.head()
            assert reader.text(9).startswith("data: a")
        said.wait_for("waiting")
        with stopped(at):
            for reader in readers:
                reader.rest()
                reader.sock.close()
            assert "waits" not in said.all
            gate.set()
        assert sorted(said.all) == ["sync", "waiting", "waits"]


@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
def test_a_stop_finishes_other_streams(backend: str) -> None:
    """Those whose clients would miss the rest: of other types, and of other methods than the one
    that an EventSource sends. A stream of events that begins afterwards ends with what is there."""
    gate = threading.Event()
    app = App()

    @app.get("/text", blocking=True)
    def text() -> Iterator[str]:
        yield "a"
        gate.wait()
        yield "b"

    @app.post("/tokens", blocking=True)
    def tokens() -> Iterator[SseEvent]:
        yield SseEvent("a")
        gate.wait()
        yield SseEvent("b")

    @app.get("/late", blocking=True)
    def late() -> SseStream:
        started.set()
        gate.wait()
        stream = SseStream()
        stream.send("a")
        return stream

    started = threading.Event()
    with (
        guest(app, ("engine", backend)) as at,
        Reader(at, "/text") as a,
        Reader(at, "/tokens", method="POST") as b,
        Reader(at, "/late") as c,
    ):
        for reader in (a, b):
            reader.head()
            reader.piece()
        assert started.wait(20)
        with stopped(at):
            while not refused(at):
                threading.Event().wait(0.005)
            gate.set()
            assert a.rest() == "b"
            assert b.rest() == "data: b\n\n"
            assert c.head()[0] == 200
            assert c.rest() == "data: a\n\n"
            for reader in (a, b, c):
                reader.sock.close()


@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
def test_a_stop_leaves_slow_clients_what_was_given(backend: str) -> None:
    """The end comes behind it."""
    said = Said()

    async def events() -> Any:
        try:
            while True:
                yield SseEvent("a" * 9990)
                said("more")
        finally:
            said("ended")

    async def other() -> str:
        return "other"

    with (
        serving(("engine", backend), events=events, other=other) as at,
        Reader(at, "/events") as reader,
    ):
        reader.head()
        count = -1
        while count != len(said.all):  # until it waits for the client
            count = len(said.all)
            threading.Event().wait(0.1)
            at.body("/other")
        assert "ended" not in said.all
        with stopped(at):
            text = reader.rest()
            reader.sock.close()
        assert text.endswith("a\n\n") and len(text) % 9998 == 0
        assert count <= text.count("data") <= len(said.all)
    assert said.all[-1] == "ended"


# ---- messages on their way ----

# While the engine's thread is held, two clients reset and a request comes: the next batch hears of
# the first one, calls the handler, and only then hears of the second one, whose message of that
# call comes in the turn after.
LATE = r"""
import socket, struct, sys, threading
from cello import App, SseStream

app = App()
entered, gate = threading.Event(), threading.Event()
streams = [SseStream(heartbeat=None), SseStream(heartbeat=None)]

@app.get("/stream/{i}")
def stream(i: int):
    return streams[i]

@app.get("/hold", blocking=False)
def hold():
    entered.set()
    gate.wait()

@app.get("/send", blocking=False)
def send():
    return [s.send("late") for s in streams]

def ask(sock, path):
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

with app.start(backend=sys.argv[1]) as server:
    clients = [socket.create_connection(server.addresses[0]) for _ in range(4)]
    for sock, path in zip(clients, ("/stream/0", "/stream/1", "/none", "/hold")):
        ask(sock, path)
        assert path == "/hold" or sock.recv(1000).startswith(b"HTTP/1.1 ")
    entered.wait()
    for sock in clients[:2]:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    ask(clients[2], "/send")
    gate.set()
    print(clients[2].recv(1000).decode().split("\r\n\r\n")[1])
    ask(clients[3], "/none")
    while b" 404 " not in clients[3].recv(1000):
        pass
"""


@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
def test_a_stream_lives_until_its_message_has_come(backend: str) -> None:
    """Python fills freed memory, so that a message that finds its stream gone crashes."""
    done = subprocess.run(
        [sys.executable, "-c", LATE, backend],
        env=os.environ | {"PYTHONMALLOC": "debug"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "[false,true]\n"), done.stderr


def end_with_a_message(backend: str) -> weakref.ref[SseStream]:
    stream, taken = SseStream(heartbeat=None), []
    app = App()
    app.get("/stream")(lambda: stream)

    @app.get("/end", blocking=False)
    def end() -> None:
        taken.append(stream.send("late"))
        server.stop(0)

    server = app.start(backend=backend)
    with Reader(Client(server), "/stream") as reader:
        reader.head()
        with Client(server).send("/end"):
            server.wait()
    assert taken == [True] and not stream.send("later")
    return weakref.ref(stream)


@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
def test_a_message_at_the_end_of_a_server_leaves_nothing(backend: str) -> None:
    stream = end_with_a_message(backend)
    gc.collect()
    assert stream() is None
    assert not [o for o in gc.get_objects() if type(o).__name__ == "StreamCoroutine"]
