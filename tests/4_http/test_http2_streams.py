"""Many streams of one HTTP/2 connection: handlers of all kinds at once, bodies that Python makes
for clients that read slowly, stop reading, or leave."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from cello import (
    App,
    Http2Config,
    LimitsConfig,
    Request,
    Response,
    Server,
    SseEvent,
    SseStream,
    TimeoutConfig,
)
from h2.errors import ErrorCodes
from wire import Closed, eventually
from wire_streams import Stream, Streams

PIECE = b"0123456789abcdef" * 1024


class Seen:
    """What handlers did."""

    def __init__(self) -> None:
        self.made = 0  # pieces of bodies
        self.ended: list[str] = []
        self.waiting: list[asyncio.Future[None]] = []  # until there are 50
        self.go = threading.Event()
        self.events: list[SseStream] = []


def add_streams(app: App, seen: Seen) -> None:
    @app.get("/sync/{n:int}")
    def sync(n: int) -> Iterator[bytes]:
        try:
            for _ in range(n):
                seen.made += 1
                yield PIECE
        finally:
            seen.ended.append("sync")

    @app.get("/async/{n:int}")
    async def asynchronous(n: int) -> AsyncIterator[bytes]:
        try:
            for _ in range(n):
                seen.made += 1
                yield PIECE
                await asyncio.sleep(0)
        finally:
            seen.ended.append("async")

    @app.get("/fails/{kind}")
    def fails(kind: str) -> Response:
        def pieces() -> Iterator[bytes]:
            yield b"a piece"
            raise RuntimeError("midway")

        return Response.stream(pieces())

    @app.get("/events")
    async def events(req: Request) -> Response:
        async def source() -> AsyncIterator[SseEvent]:
            try:
                for i in range(3):
                    yield SseEvent(str(i), id=str(i))
                await asyncio.Event().wait()
            finally:
                seen.ended.append("events")

        return Response.sse(source())

    @app.get("/live")
    def live(req: Request) -> SseStream:
        seen.events.append(SseStream(req))
        return seen.events[-1]


def add_handlers(app: App, seen: Seen) -> None:
    app.get("/plain/{n}")(lambda n: n)

    @app.get("/wait/{n}")
    async def wait(n: str) -> str:
        """Until 50 are here at once."""
        future = asyncio.get_running_loop().create_future()
        seen.waiting.append(future)
        if len(seen.waiting) == 50:
            for waiting in seen.waiting:
                waiting.set_result(None)
            seen.waiting.clear()
        await future
        return n

    @app.get("/pool/{n}", blocking=True)
    def pool(n: str) -> str:
        time.sleep(0.002)
        return n

    @app.get("/gone")
    async def gone() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.ended.append("gone")

    @app.post("/read/{kind}", body="stream")
    async def read(req: Request) -> int:
        try:
            return sum([len(piece) async for piece in req.stream()])
        finally:
            seen.ended.append("read")


Serve = Callable[..., tuple[Server, Seen]]


@pytest.fixture
def serve(backend: str) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(*configs: Any, **fields: Any) -> tuple[Server, Seen]:
        app, seen = App(), Seen()
        for config in configs:
            (app.set_limits if isinstance(config, LimitsConfig) else app.set_timeouts)(config)
        add_streams(app, seen)
        add_handlers(app, seen)
        servers.append(app.start(backend=backend, http2=Http2Config(h2c=True, **fields)))
        return servers[-1], seen

    yield start
    for server in servers:
        server.stop(1)


# ---- at once ----


def test_a_hundred_streams_of_all_kinds(serve: Serve) -> None:
    server, seen = serve()
    with Streams(server.addresses[0]) as client:
        for _ in range(3):
            kinds = ("plain", "wait", "pool", "wait")
            asked = [client.open(f"/{kinds[i % 4]}/{i}") for i in range(100)]
            client.finish(*asked)
            assert [stream.status for stream in asked] == [200] * 100
            assert [stream.body.decode() for stream in asked] == [str(i) for i in range(100)]
        assert not seen.waiting


def test_a_handler_that_waits_holds_up_nobody(serve: Serve) -> None:
    server, _ = serve()
    with Streams(server.addresses[0]) as client:
        waits = client.open("/gone")
        for i in range(50):
            assert client.ask(f"/plain/{i}").body == str(i).encode()
        assert not waits.done


def test_many_clients_of_httpx(serve: Serve) -> None:
    server, _ = serve()

    async def ask() -> None:
        async with httpx.AsyncClient(http1=False, http2=True, base_url=server.url) as client:
            # No more than streams at once: httpcore looks at answers only when others come, too.
            paths = [f"/wait/{i}" for i in range(50)]
            paths += [f"/{kind}/{i}" for i in range(25) for kind in ("plain", "pool")]
            answers = await asyncio.gather(*(client.get(path) for path in paths))
            for path, answer in zip(paths, answers, strict=True):
                assert (answer.status_code, answer.text) == (200, path.rpartition("/")[2])

    asyncio.run(ask())


def test_hints_while_another_answer_is_written(backend: str) -> None:
    """Encoders are code of users, who may do anything to the other requests of a connection."""
    app, waiting = App(), []
    done = asyncio.Event()

    class Told:
        pass

    @app.json_encoder(Told)
    def tell(told: Told) -> str:
        waiting[0].early_hints({"Link": "</a.css>; rel=preload"})
        return "told"

    app.get("/tells")(lambda: ["before", Told(), "x" * 5000])

    @app.get("/waits")
    async def waits(req: Request) -> str:
        waiting.append(req)
        await done.wait()
        return "waited"

    @app.get("/goes")
    async def goes() -> str:
        done.set()
        return "gone"

    server = app.start(backend=backend, http2=Http2Config(h2c=True))
    with server, Streams(server.addresses[0]) as client:
        waits_ = client.open("/waits")
        eventually(lambda: bool(waiting), "the request waits")
        for _ in range(3):
            assert client.ask("/tells").body == b'["before","told","' + b"x" * 5000 + b'"]'
        assert client.ask("/goes").body == b"gone"
        client.finish(waits_)
        assert waits_.body == b"waited"
        assert len(waits_.interim) == 3


def test_a_handler_that_is_given_up_holds_no_connection(serve: Serve) -> None:
    """The client has ended its side, for which the handler is cancelled, and listens on."""
    server, seen = serve(keepalive=0)
    with Streams(server.addresses[0]) as client:
        asked = client.open("/gone")
        assert client.ask("/plain/1").body == b"1"
        client.sock.shutdown(socket.SHUT_WR)
        client.until_closed()
        assert asked.reset == ErrorCodes.CANCEL
        assert seen.ended == ["gone"]


# ---- bodies ----


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_generators(serve: Serve, kind: str) -> None:
    server, seen = serve()
    with Streams(server.addresses[0]) as client:
        asked = [client.open(f"/{kind}/200") for _ in range(5)]
        client.finish(*asked)
        assert all(s.body == PIECE * 200 and s.ended for s in asked)
        assert seen.ended == [kind] * 5
        head = client.ask(f"/{kind}/200", method="HEAD")
        assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_slow_reader_holds_up_its_generator_alone(serve: Serve, kind: str) -> None:
    server, seen = serve()
    with Streams(server.addresses[0], reads=False) as client:
        slow = client.open(f"/{kind}/1000")
        client.until(lambda: client.h2.remote_flow_control_window(slow.id) == 0)
        made = seen.made
        assert 65535 // len(PIECE) <= made <= 20
        client.h2.increment_flow_control_window(1 << 20)  # of the connection
        client.flush()
        other = client.open("/plain/x")
        client.finish(other)
        assert seen.made <= made + 1 and other.body == b"x"
        client.reads = True
        client.acknowledge(slow)
        client.finish(slow)
        assert len(slow.body) == 1000 * len(PIECE) and seen.ended == [kind]


def leave_by_reset(client: Streams, stream: Stream) -> None:
    client.cancel(stream)


def leave_by_close(client: Streams, stream: Stream) -> None:
    client.sock.close()


@pytest.mark.parametrize("leave", [leave_by_reset, leave_by_close])
@pytest.mark.parametrize("path", ["/sync/100000", "/async/100000", "/events", "/gone"])
def test_who_leaves_ends_what_was_made_for_him(serve: Serve, path: str, leave: Any) -> None:
    server, seen = serve()
    with Streams(server.addresses[0], reads=False) as client:
        stream = client.open(path)
        if path == "/gone":
            eventually(lambda: server.stats()["inflight"] == 1, "the handler waits")
        else:
            client.until(lambda: stream.body)
        leave(client, stream)
        eventually(lambda: seen.ended == [path.split("/")[1]], "its finally has run")
        eventually(lambda: server.stats()["inflight"] == 0, "the request is over")
        if leave is leave_by_reset:
            assert client.ask("/plain/x").body == b"x"


def test_who_leaves_in_order_is_not_waited_for(serve: Serve) -> None:
    """Nothing is left unread when he closes, so that the server sees an end and no reset."""
    server, seen = serve()
    for _ in range(5):
        with Streams(server.addresses[0]) as client:
            client.until(lambda: client.settings)
            for _ in range(10):
                client.open("/gone")
            eventually(lambda: server.stats()["inflight"] == 10, "all wait")
        eventually(lambda: server.stats()["inflight"] == 0, "all are over")
        eventually(lambda: server.stats()["connections"] == 0, "it was closed")
    eventually(lambda: seen.ended == ["gone"] * 50, "all finally have run")


@pytest.mark.parametrize("leave", [leave_by_reset, leave_by_close])
def test_who_leaves_while_he_is_read(serve: Serve, leave: Any) -> None:
    server, seen = serve()
    with Streams(server.addresses[0]) as client:
        stream = client.open("/read/x", method="POST", end=False)
        client.send(stream, b"x" * 1000, end=False)
        eventually(lambda: server.stats()["inflight"] == 1, "it is being read")
        leave(client, stream)
        eventually(lambda: seen.ended == ["read"], "the reader has ended")
        eventually(lambda: server.stats()["inflight"] == 0, "the request is over")


def test_a_body_that_fails_midway_is_reset(serve: Serve) -> None:
    server, _ = serve()
    with Streams(server.addresses[0]) as client:
        stream = client.open("/fails/x")
        client.finish(stream)
        assert (stream.body, stream.ended, stream.reset) == (b"a piece", False, 2)
        assert client.ask("/plain/x").body == b"x"


def test_events(serve: Serve) -> None:
    server, seen = serve()
    with Streams(server.addresses[0]) as client:
        made, live = client.open("/events"), client.open("/live")
        client.until(lambda: b"data: 2" in made.body)
        assert made.get("content-type") == "text/event-stream; charset=utf-8" or made.fields
        eventually(lambda: bool(seen.events), "the stream is open")
        for i in range(3):
            assert seen.events[0].send(SseEvent(f"live {i}"))
            client.until(lambda i=i: f"data: live {i}".encode() in live.body)
        seen.events[0].close()
        client.finish(live)
        assert live.ended
        client.cancel(made)
        eventually(lambda: seen.ended == ["events"], "the source has ended")


# ---- limits and time ----


def test_max_inflight_counts_streams(serve: Serve) -> None:
    server, _ = serve(LimitsConfig(max_inflight=3))
    with Streams(server.addresses[0]) as client:
        waits = [client.open("/gone") for _ in range(3)]
        eventually(lambda: server.stats()["inflight"] == 3, "three are in handlers")
        more = client.ask("/plain/x")
        assert more.status == 503 and more.get("retry-after")
        client.cancel(waits[0])
        eventually(lambda: server.stats()["inflight"] == 2, "one has left")
        assert client.ask("/plain/x").status == 200


def test_max_connections_closes_the_idle(serve: Serve) -> None:
    server, _ = serve(LimitsConfig(max_connections=2))
    with Streams(server.addresses[0]) as idle, Streams(server.addresses[0]) as busy:
        assert idle.ask("/plain/x").status == 200
        busy.finish(busy.open("/plain/x"))
        waits = busy.open("/gone")
        eventually(lambda: server.stats()["inflight"] == 1, "one is busy")
        with Streams(server.addresses[0]) as third:
            assert third.ask("/plain/x").status == 200
            with pytest.raises(Closed):
                idle.until(lambda: False)
            assert idle.goaway is not None and not waits.done


def test_max_connections_per_ip(serve: Serve) -> None:
    server, _ = serve(LimitsConfig(max_connections_per_ip=2))
    with Streams(server.addresses[0]) as one:
        for _ in range(3):  # a place is given back
            with Streams(server.addresses[0]) as two, Streams(server.addresses[0]) as three:
                assert one.ask("/plain/x").status == two.ask("/plain/x").status == 200
                with pytest.raises(Closed):
                    three.ask("/plain/x")
            eventually(lambda: server.stats()["connections"] == 1, "two was closed")


def test_max_requests_per_connection(serve: Serve) -> None:
    server, _ = serve(LimitsConfig(max_requests_per_connection=5))
    with Streams(server.addresses[0]) as client:
        for i in range(5):
            assert client.ask(f"/plain/{i}").status == 200
        with pytest.raises(Closed):
            client.until(lambda: False)
        assert client.goaway is not None and client.goaway.error_code == 0
        assert client.goaway.last_stream_id == 9


def test_bodies_that_come_too_slowly(serve: Serve) -> None:
    server, _ = serve(TimeoutConfig(read_body=0.2))
    with Streams(server.addresses[0]) as client:
        stream = client.open("/read/x", method="POST", end=False)
        client.until(lambda: stream.fields)
        assert stream.status == 408
        assert client.ask("/plain/x").status == 200


def test_who_stops_reading_is_left(serve: Serve) -> None:
    server, seen = serve(TimeoutConfig(write=0.3))
    with Streams(server.addresses[0], reads=False) as client:
        stream = client.open("/sync/100000")
        client.until(lambda: stream.done)
        assert stream.reset is not None and client.goaway is None
        eventually(lambda: seen.ended == ["sync"], "its finally has run")


def test_handlers_have_their_time(serve: Serve) -> None:
    server, seen = serve(TimeoutConfig(handler=0.2))
    with Streams(server.addresses[0]) as client:
        assert client.ask("/gone").status == 504
        eventually(lambda: seen.ended == ["gone"], "its finally has run")
        assert client.ask("/plain/x").status == 200


def test_idle_connections_are_closed(serve: Serve) -> None:
    server, _ = serve(TimeoutConfig(idle=0.2))
    with Streams(server.addresses[0]) as client:
        assert client.ask("/plain/x").status == 200
        with pytest.raises(Closed):
            client.until(lambda: False)
        assert client.goaway is not None and client.goaway.error_code == 0
