"""Every field of Http2Config: what SETTINGS say, and what happens at the limit."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cello import App, Http2Config, LimitsConfig, Request, Response, Server
from wire import Client, Closed, eventually, request
from wire_streams import Streams

MAX_STREAMS, WINDOW, FRAME, HEADERS = 3, 4, 5, 6  # of SETTINGS
PROTOCOL_ERROR, FRAME_SIZE_ERROR, REFUSED_STREAM = 1, 6, 7
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
Start = Callable[..., Server]


class Gate:
    """Handlers that wait for the test."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = 0


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def start(backend: str, gate: Gate) -> Iterator[Start]:
    servers: list[Server] = []

    def start_server(limits: LimitsConfig | None = None, **fields: Any) -> Server:
        app = App()
        if limits:
            app.set_limits(limits)
        app.get("/")(lambda: "hello")

        @app.get("/hold", blocking=True)
        def hold() -> str:
            gate.entered += 1
            gate.open.wait()
            return "held"

        @app.post("/read", body="stream", blocking=True)
        def read(req: Request) -> dict[str, int]:
            gate.entered += 1
            gate.open.wait()
            return {"bytes": sum(len(piece) for piece in req.stream())}

        @app.get("/echo")
        def echo(req: Request) -> Response:
            return Response(str(len(req.headers.multi_items())))

        config = Http2Config(**{"h2c": True, **fields})
        servers.append(app.start(backend=backend, http2=config))
        return servers[-1]

    yield start_server
    gate.open.set()
    for server in servers:
        server.stop(1)


def connected(server: Server) -> Streams:
    """With the server's SETTINGS."""
    client = Streams(server.addresses[0])
    client.until(lambda: FRAME in client.settings or HEADERS in client.settings)
    return client


def test_defaults_in_settings(start: Start) -> None:
    with connected(start()) as client:
        assert client.settings[MAX_STREAMS] == 100
        assert client.settings[WINDOW] == 1048576
        assert client.settings.get(FRAME, 16384) == 16384
        assert client.settings[HEADERS] == 16384
        assert client.settings.get(2, 0) == 0  # nothing is pushed
        assert client.ask("/").body == b"hello"


def test_values_in_settings(start: Start) -> None:
    server = start(
        max_concurrent_streams=7,
        initial_window_size=70000,
        max_frame_size=20000,
        max_header_list_size=5000,
    )
    with connected(server) as client:
        given = {MAX_STREAMS: 7, WINDOW: 70000, FRAME: 20000, HEADERS: 5000}
        assert {name: client.settings[name] for name in given} == given


def test_streams_beyond_the_limit_are_refused(start: Start, gate: Gate) -> None:
    """By a client that has not read the server's SETTINGS yet."""
    with Streams(start(max_concurrent_streams=3).addresses[0]) as client:
        asked = [client.open("/hold") for _ in range(5)]
        client.finish(*asked[3:])
        assert [stream.reset for stream in asked[3:]] == [REFUSED_STREAM] * 2
        gate.open.set()
        client.finish(*asked[:3])
        assert [bytes(stream.body) for stream in asked[:3]] == [b"held"] * 3
        assert client.ask("/").status == 200 and client.goaway is None
        assert gate.entered == 3


def test_streams_beyond_the_known_limit_are_an_error(start: Start) -> None:
    with connected(start(max_concurrent_streams=3)) as client:
        for _ in range(3):
            client.open("/hold")
        client.h2.remote_settings[MAX_STREAMS] = 100  # a client that does not mind
        client.h2.remote_settings.acknowledge()
        client.open("/hold")
        with pytest.raises(Closed):
            client.until(lambda: False)
        assert client.goaway is not None and client.goaway.error_code == PROTOCOL_ERROR


def test_a_sender_is_held_back_by_the_window(start: Start, gate: Gate) -> None:
    """Nothing reads the body: more than the window does not come, and not from anybody else's."""
    with connected(start(initial_window_size=50000)) as client:
        stream = client.open("/read", method="POST", end=False)
        sent = 0
        while room := min(client.h2.local_flow_control_window(stream.id), 16384):
            client.h2.send_data(stream.id, b"x" * room)
            client.flush()
            sent += room
        assert sent == 50000
        eventually(lambda: gate.entered == 1, "the handler runs")
        assert client.ask("/").status == 200
        assert client.h2.local_flow_control_window(stream.id) == 0
        gate.open.set()
        client.send(stream, b"x" * 100000)
        client.finish(stream)
        assert stream.body == b'{"bytes":150000}'


def test_beyond_the_window_is_an_error(start: Start) -> None:
    with connected(start(initial_window_size=1000)) as client:
        stream = client.open("/read", method="POST", end=False)
        frame = struct.pack(">I", 1001)[1:] + b"\0\0" + struct.pack(">I", stream.id)
        client.sock.sendall(frame + b"x" * 1001)
        client.until(lambda: stream.reset is not None or client.goaway)
        code = stream.reset if client.goaway is None else int(client.goaway.error_code or 0)
        assert code == 3  # FLOW_CONTROL_ERROR


def test_frames_up_to_the_size_are_taken(start: Start, gate: Gate) -> None:
    gate.open.set()
    with connected(start(max_frame_size=50000)) as client:
        stream = client.open("/read", method="POST", end=False)
        client.h2.send_data(stream.id, b"x" * 50000, end_stream=True)
        client.flush()
        client.finish(stream)
        assert stream.body == b'{"bytes":50000}'
        stream = client.open("/read", method="POST", end=False)
        frame = struct.pack(">I", 50001)[1:] + b"\0\1" + struct.pack(">I", stream.id)
        client.sock.sendall(frame + b"x" * 50001)
        with pytest.raises(Closed):
            client.until(lambda: False)
        assert client.goaway is not None and client.goaway.error_code == FRAME_SIZE_ERROR


def test_larger_header_sections_are_431(start: Start) -> None:
    server = start(LimitsConfig(max_header_size=1 << 20), max_header_list_size=5000)
    with connected(server) as client:
        assert client.ask("/echo", [("a", "b" * 4000)]).status == 200
        stream = client.ask("/echo", [("a", "b" * 5000)])
        assert stream.status == 431
        many = client.ask("/echo", [(f"x{i}", "y") for i in range(140)])  # 32 bytes more each
        assert many.status == 431
        assert client.ask("/echo").status == 200 and client.goaway is None


def test_a_silent_client_is_asked_and_then_left(start: Start) -> None:
    with connected(start(keepalive=0.2)) as client:
        assert client.ask("/").status == 200
        client.until(lambda: client.pings >= 2)  # h2 has answered the first
        assert client.ask("/").status == 200
        seen = client.pings
        # From now on it says nothing.
        raw = b""
        with contextlib.suppress(ConnectionResetError):
            while data := client.sock.recv(65536):
                raw += data
        assert raw.count(b"\x00\x00\x08\x06\x00\x00\x00\x00\x00") >= 1, (seen, raw)


def test_a_client_is_not_asked_without_keepalive(start: Start) -> None:
    with connected(start(keepalive=0)) as client:
        client.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.until(lambda: False)
        assert client.pings == 0


def test_without_h2c_the_preface_is_no_request(start: Start) -> None:
    with Client(start(h2c=False).addresses[0]) as client:
        answer = client.ask(PREFACE)
        assert answer.status in (400, 505) and answer.closes


@pytest.mark.parametrize("pause", [False, True])
def test_the_preface_may_be_cut_anywhere(start: Start, pause: bool) -> None:
    server = start()
    for cut in range(1, len(PREFACE)):
        with socket.create_connection(server.addresses[0], timeout=20) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(PREFACE[:cut])
            if pause:
                eventually(lambda: server.stats()["connections"] > 0, "it was taken in")
            sock.sendall(PREFACE[cut:] + b"\0\0\0\4\0\0\0\0\0")
            head = sock.recv(9)
            assert head[3] == 4, head  # SETTINGS
        eventually(lambda: server.stats()["connections"] == 0, "it was closed")


def test_http1_is_spoken_beside_h2c(start: Start) -> None:
    server = start()
    for first in (b"", b"P", b"PR", b"PRI"):
        with Client(server.addresses[0]) as client:
            data = request("/")
            if first:
                client.send(first)
                answer = client.ask(b"X" + data)
                assert answer.status in (400, 404, 405, 501), answer
            else:
                assert client.ask(data).body == b"hello"
                assert client.ask(data).body == b"hello"
    with Client(server.addresses[0]) as client:
        client.send(request("/read", method="POST", body=b"x"), piece=1)


def test_a_slow_beginning_ends(backend: str) -> None:
    from cello import TimeoutConfig

    app = App()
    app.set_timeouts(TimeoutConfig(read_header=0.2))
    app.get("/")(lambda: "hello")
    with app.start(backend=backend, http2=Http2Config(h2c=True)) as server:
        for begin in (b"", b"P", PREFACE[:20]):
            with Client(server.addresses[0]) as client:
                client.send(begin)
                client.assert_closed()
        with Client(server.addresses[0]) as client:  # the end of what it sends
            client.send(PREFACE[:10])
            client.end()
            assert b" 200 " not in client.rest()
