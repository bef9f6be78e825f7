"""Connections: pipelines, cuts, early answers, limits, timeouts, and clients that vanish."""

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

import pytest
from cello import App, LimitsConfig, Server, TimeoutConfig
from wire import Client, connect, eventually, fetch, request
from wire_app import make_app, make_async_app
from wire_marks import every_transport, http1, in_clear
from wire_process import ServerProcess

pytestmark = every_transport

Start = Callable[..., Server]


@pytest.fixture
def start(backend: str) -> Iterator[Start]:
    """Serve an application in this process, until the test ends."""
    servers: list[Server] = []

    def start_server(app: App, *configs: LimitsConfig | TimeoutConfig) -> Server:
        for config in configs:
            if isinstance(config, LimitsConfig):
                app.set_limits(config)
            else:
                app.set_timeouts(config)
        servers.append(app.start(backend=backend))
        return servers[-1]

    yield start_server
    for server in servers:
        server.stop(0)


def client_of(server: Server) -> Client:
    return Client(server.addresses[0])


# ---- pipelines ----

CHUNKS = b'3;x="\\"1"\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n'
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS
KINDS: list[tuple[bytes, int, bytes | None]] = [
    (request("/native"), 200, b"native"),
    (request("/plain"), 200, b"hello"),
    (request("/nowhere"), 404, None),
    (request("/seg/%E2%82%AC"), 200, "\u20ac".encode()),
    (request("/small", method="POST", body=b"0123456789"), 200, b"0123456789"),
    (request("/fails"), 500, None),
    (request("/none"), 204, b""),
    (CHUNKED, 200, None),
    (request("/plain", method="PUT"), 405, None),
]


@pytest.mark.parametrize("count", [16, 200])
def test_pipeline_in_one_write(server: ServerProcess, count: int) -> None:
    kinds = [KINDS[i % len(KINDS)] for i in range(count)]
    with Client(server.address) as client:
        client.send(b"".join(data for data, _, _ in kinds))
        for number, (_, status, body) in enumerate(kinds):
            answer = client.answer()
            assert answer.status == status, (number, answer)
            assert body is None or answer.body == body
        client.assert_open()


def test_pipeline_of_async_handlers(async_server: ServerProcess) -> None:
    """Slow answers hold back those behind them, whatever kind they are."""
    kinds = [
        (request("/later?s=0.02"), 200, b"later"),
        (request("/native"), 200, b"native"),
        (request("/at-once"), 200, b"at once"),
        (request("/async-fails"), 500, None),
        (request("/plain"), 200, b"hello"),
    ]
    with Client(async_server.address) as client:
        client.send(b"".join(data for data, _, _ in kinds) * 20)
        for number in range(20 * len(kinds)):
            _, status, body = kinds[number % len(kinds)]
            answer = client.answer()
            assert answer.status == status, (number, answer)
            assert body is None or answer.body == body
        client.assert_open()


def test_pipeline_larger_than_all_buffers(server: ServerProcess) -> None:
    """Answers of 1 MB whose reader comes late: nothing is lost, and reading goes on."""
    with Client(server.address) as client:
        sender = threading.Thread(target=client.send, args=(request("/big") * 40,))
        sender.start()
        for _ in range(40):
            assert client.answer().body == b"x" * (1 << 20)
        sender.join()
        client.assert_open()


# ---- cuts ----


def test_chunked_cut_anywhere(server: ServerProcess) -> None:
    data = CHUNKED + request("/plain")
    for cut in range(1, len(data)):
        with Client(server.address) as client:
            client.send(data[:cut])
            client.send(data[cut:])
            assert client.answer().json()["body"] == "abcdefg", cut
            assert client.answer().body == b"hello", cut


def test_large_bodies_both_ways(server: ServerProcess) -> None:
    body = bytes(range(256)) * 4096
    with Client(server.address) as client:
        answer = client.ask(request("/echo", method="POST", body=body))
        assert answer.json()["body"] == body.decode("latin-1")
        chunks = b"".join(
            b"%x\r\n%s\r\n" % (7919, body[i : i + 7919]) for i in range(0, 79190, 7919)
        )
        client.send(CHUNKED[: -len(CHUNKS)] + chunks + b"0\r\n\r\n")
        assert client.answer().json()["body"] == body[:79190].decode("latin-1")
        client.assert_open()


# ---- answers before the end of the request ----


def test_continue(server: ServerProcess) -> None:
    head = request("/echo", "Expect: 100-continue", "Content-Length: 5", method="POST")
    with Client(server.address) as client:
        client.send(head)
        assert client.answer().status == 100
        client.send(b"hello")
        assert client.answer().json()["body"] == "hello"
        client.send(head.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"))
        assert client.answer().status == 100
        client.send(CHUNKS)
        assert client.answer().json()["body"] == "abcdefg"
        client.assert_open()


@pytest.mark.parametrize("framing", ["Content-Length: 10485760", "Transfer-Encoding: chunked"])
def test_early_answer_is_readable(server: ServerProcess, framing: str) -> None:
    """The client is still sending when it is refused; the answer reaches it, without a reset."""
    with Client(server.address) as client:
        client.send(request("/small", framing, method="POST"))
        part = b"x" * 65536
        for _ in range(8):
            client.send(b"10000\r\n" + part + b"\r\n" if "chunked" in framing else part)
        answer = client.answer()
        assert answer.status == 413 and answer.closes
        client.assert_closed()


@http1
def test_head_too_long_while_sending(server: ServerProcess) -> None:
    with Client(server.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\n" + b"X: 1\r\n" * 50000)
        assert client.answer().status == 431
        client.assert_closed()


def test_date(server: ServerProcess) -> None:
    before = int(time.time())
    date = fetch(server.address, request("/plain")).get("Date")
    assert date
    assert before - 1 <= parsedate_to_datetime(date).timestamp() <= time.time() + 1


@in_clear
def test_date_goes_on(server: ServerProcess) -> None:
    """The cached line is renewed, also on a connection that is kept."""
    with Client(server.address) as client:
        first = client.ask(request("/native")).get("Date")
        eventually(
            lambda: client.ask(request("/native")).get("Date") != first, "another second", timeout=5
        )


# ---- timeouts ----

SHORT = 0.25  # seconds


@http1
def test_slow_head(start: Start) -> None:
    server = start(make_app(), TimeoutConfig(read_header=SHORT))
    with client_of(server) as client:
        client.send(b"GET / HTTP/1.1\r\nHo")
        answer = client.answer()
        assert answer.status == 408 and answer.closes
        client.assert_closed()


@http1
def test_head_in_drops(start: Start) -> None:
    """Single bytes do not win time: the deadline is that of the whole head."""
    server = start(make_app(), TimeoutConfig(read_header=SHORT))
    with client_of(server) as client:
        begin = time.monotonic()
        client.sock.settimeout(0.02)
        client.send(b"GET / HTTP/1.1\r\nX: ")
        while True:
            client.send(b"x")
            try:
                answer = client.answer()
                break
            except TimeoutError:
                assert time.monotonic() - begin < 10
        assert answer.status == 408


@http1
def test_silent_client(start: Start) -> None:
    server = start(make_app(), TimeoutConfig(read_header=SHORT))
    with client_of(server) as client:
        client.assert_closed()


def test_idle_connection(start: Start) -> None:
    server = start(make_app(), TimeoutConfig(idle=SHORT))
    with client_of(server) as client:
        client.assert_open()
        client.assert_closed()


@pytest.mark.parametrize("framing", ["Content-Length: 9", "Transfer-Encoding: chunked"])
def test_silent_body(start: Start, framing: str) -> None:
    server = start(make_app(), TimeoutConfig(read_body=SHORT))
    with client_of(server) as client:
        client.send(request("/echo", framing, method="POST") + b"1\r\n")
        answer = client.answer()
        assert answer.status == 408 and answer.closes
        client.assert_closed()


@http1
def test_reader_that_stopped(start: Start) -> None:
    server = start(make_app(), TimeoutConfig(write=SHORT))
    with client_of(server) as client:
        client.send(request("/big") * 64)
        eventually(lambda: server.stats()["connections"] == 1, "a connection")
        eventually(lambda: server.stats()["connections"] == 0, "the end of it")
        assert server.stats()["inflight"] == 0


def test_handler_is_not_hurried(start: Start) -> None:
    """The timeouts are the client's; a handler may take longer than all of them."""
    times = TimeoutConfig(read_header=SHORT, read_body=SHORT, idle=SHORT, write=SHORT)
    server = start(make_async_app(), times)
    with client_of(server) as client:
        assert client.ask(request(f"/later?s={3 * SHORT}")).body == b"later"


# ---- limits ----


def test_longest_idle_makes_room(start: Start) -> None:
    server = start(make_app(), LimitsConfig(max_connections=2))
    with client_of(server) as first, client_of(server) as second:
        first.assert_open()
        second.assert_open()
        first.assert_open()  # now the second is the longest idle
        with client_of(server) as third:
            third.assert_open()
            second.assert_closed()
            first.assert_open()


@http1
def test_waits_when_all_are_busy(start: Start) -> None:
    server = start(make_async_app(), LimitsConfig(max_connections=1))
    with client_of(server) as first:
        first.send(request("/later?s=0.2", "Connection: close"))
        eventually(lambda: server.stats()["inflight"] == 1, "a request in its handler")
        with client_of(server) as second:
            second.send(request("/plain"))
            assert first.answer().body == b"later"
            first.assert_closed()
            first.sock.close()
            assert second.answer().body == b"hello"


@in_clear
def test_connections_of_one_address(start: Start) -> None:
    server = start(make_app(), LimitsConfig(max_connections_per_ip=1))
    with client_of(server) as first:
        first.assert_open()
        with client_of(server) as second:
            second.assert_closed()
        first.assert_open()
    eventually(lambda: server.stats()["connections"] == 0, "the first is gone")
    with client_of(server) as third:
        third.assert_open()


@http1
def test_requests_of_one_connection(start: Start) -> None:
    server = start(make_app(), LimitsConfig(max_requests_per_connection=3))
    with client_of(server) as client:
        client.send(request("/plain") * 5)
        assert [client.answer().closes for _ in range(3)] == [False, False, True]
        client.assert_closed()


def test_requests_in_handlers(start: Start) -> None:
    server = start(make_async_app(), LimitsConfig(max_inflight=1))
    with client_of(server) as busy, client_of(server) as other:
        busy.send(request("/later?s=0.2"))
        eventually(lambda: server.stats()["inflight"] == 1, "a request in its handler")
        answer = other.ask(request("/plain"))
        assert answer.status == 503 and answer.get("Retry-After")
        assert busy.answer().body == b"later"
        assert other.ask(request("/plain")).status == 200


def test_buffered_bytes(start: Start) -> None:
    """Bodies that find no memory are refused; those that did are not disturbed."""
    limits = LimitsConfig(max_buffered_bytes=1 << 20, max_body_size=8 << 20)
    server = start(make_app(), limits)
    with Client(server.addresses[0], dated=False) as client:  # it may have no memory for a Date
        client.send(request("/echo", "Content-Length: 4194304", method="POST") + b"x" * 2000000)
        answer = client.answer()
        assert answer.status == 503 and answer.get("Retry-After")
    eventually(lambda: server.stats()["connections"] == 0, "the end of it")
    assert fetch(server.addresses[0], request("/plain")).body == b"hello"


# ---- clients that vanish ----


def reset(client: Client) -> None:
    """Close with a reset."""
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sock.close()


# io_uring's buffers become more under load, up to this, and stay.
RING_BYTES = 1024 * 8192


@contextmanager
def nothing_left(server: Server) -> Iterator[None]:
    """After the block the server has what it had before."""

    def state() -> tuple[int, int, int]:
        stats = server.stats()
        return stats["connections"], stats["inflight"], len(os.listdir("/proc/self/fd"))

    fetch(server.addresses[0], request("/plain"))
    eventually(lambda: state()[:2] == (0, 0), "quiet before")
    before, bytes_before = state(), server.stats()["buffered_bytes"]
    yield
    # A descriptor of before may have been closing still.
    eventually(lambda: all(map(int.__le__, state(), before)), f"the state before: {before}")
    ring = RING_BYTES if bytes_before else 0
    eventually(lambda: server.stats()["buffered_bytes"] <= max(bytes_before, ring), "blocks back")


VANISHING = {
    "connected": b"",
    "in the line": b"GET /pl",
    "in the head": b"GET /plain HTTP/1.1\r\nHost: te",
    "in a body": request("/echo", "Content-Length: 100000", method="POST") + b"x" * 50000,
    "in a chunk": CHUNKED[:-30],
    "before the answer": request("/plain"),
    "in a large answer": request("/big") * 8,
    "in a handler": request("/later?s=0.05"),
    "in a pipeline": request("/later?s=0.05") * 3 + request("/big") * 3,
    "waiting to continue": request(
        "/echo", "Expect: 100-continue", "Content-Length: 9", method="POST"
    ),
}


@pytest.mark.parametrize("sent", VANISHING.values(), ids=VANISHING)
@pytest.mark.parametrize("end", ["close", "reset"])
def test_vanishing_clients_leave_nothing(start: Start, sent: bytes, end: str) -> None:
    check_vanishing(start, sent, end)


@http1
@pytest.mark.parametrize("end", ["close", "reset"])
def test_vanishing_after_nonsense(start: Start, end: str) -> None:
    check_vanishing(start, b"nonsense\r\n\r\n", end)


def check_vanishing(start: Start, sent: bytes, end: str) -> None:
    server = start(make_async_app())
    with nothing_left(server):
        clients = [client_of(server) for _ in range(20)]
        for client in clients:
            client.send(sent)
        eventually(lambda: server.stats()["connections"] > 0, "connections")
        for client in clients:
            if end == "close":
                client.sock.close()
            else:
                reset(client)
    assert fetch(server.addresses[0], request("/plain")).body == b"hello"


def test_client_learns_of_nothing_late(start: Start) -> None:
    """A handler whose client has gone runs to its end, and the server goes on."""
    app = make_async_app()
    done = threading.Event()

    @app.get("/marks")
    async def marks(req: object) -> str:
        import asyncio

        try:
            await asyncio.sleep(0.05)
        finally:
            done.set()
        return "x"

    server = start(app)
    client = client_of(server)
    client.send(request("/marks"))
    eventually(lambda: server.stats()["inflight"] == 1, "the handler")
    reset(client)
    assert done.wait(10)
    assert fetch(server.addresses[0], request("/plain")).body == b"hello"


def test_many_connections_at_once(start: Start) -> None:
    server = start(make_app())
    with nothing_left(server):
        clients = [client_of(server) for _ in range(200)]
        for client in clients:
            client.send(request("/plain"))
        for client in clients:
            assert client.answer().body == b"hello"
            client.sock.close()


def test_connect_and_leave(start: Start) -> None:
    server = start(make_app())
    with nothing_left(server):
        for _ in range(200):
            connect(server.addresses[0]).close()
