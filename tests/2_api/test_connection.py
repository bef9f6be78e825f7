"""_cello.Connection: what cello.testing, and programs that ask themselves, are made of."""

import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from cello import App, _cello
from cello._settings import Settings

HELLO = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def server() -> Iterator[_cello.Server]:
    app = App()

    @app.get("/")
    def hello(req):
        return {"client": req.client}

    @app.post("/")
    def echo(req):
        return req.body()

    server = app._engine(Settings(env="production", backend="epoll"))
    yield server
    server.close()


def exchange(server: _cello.Server, connection: _cello.Connection, data: bytes) -> bytes:
    while data:
        data = data[connection.send(data) :]
        server.turn(0)
    while not connection.readable:
        server.turn(0)
    return connection.receive(1 << 20) or b""


def test_a_request(server: _cello.Server) -> None:
    connection = server.connect("192.0.2.9", 1234)
    assert connection.receive(100) is None and not connection.readable
    answer = exchange(server, connection, HELLO)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b'{"client":["192.0.2.9",1234]}')
    assert connection.receive(100) is None


def test_nothing_happens_before_a_turn(server: _cello.Server) -> None:
    connection = server.connect()
    news: list[int] = []
    connection.on_ready = lambda: news.append(1)
    assert connection.send(HELLO) == len(HELLO)
    assert news == [] and server.stats()["requests"] == 0
    while not connection.readable:
        server.turn(0)
    assert news == [1]


def test_the_ends(server: _cello.Server) -> None:
    connection = server.connect()
    connection.send(HELLO)
    connection.end()
    with pytest.raises(BrokenPipeError):
        connection.send(b"x")
    for _ in range(5):
        server.turn(0)
    assert connection.receive(1000)
    assert connection.receive(1000) == b"" and connection.readable
    connection.close()
    connection.close()
    assert connection.closed
    for call in (lambda: connection.send(b"x"), lambda: connection.receive(1), connection.end):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_only_so_much_waits(server: _cello.Server) -> None:
    connection = server.connect()
    sent = connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n")
    sent = connection.send(bytes(2_000_000))
    assert 200_000 < sent < 300_000
    assert connection.send(b"x") == 0
    server.turn(0)
    assert connection.send(b"x") == 1


def test_what_is_wrong_is_said(server: _cello.Server) -> None:
    bad: list[tuple[Any, ...]] = [("", 1), ("a\0b", 1), (5, 1), ("::1", 65536), ("::1", -1)]
    for arguments in bad:
        with pytest.raises(ValueError, match="host"):
            server.connect(*arguments)
    connection = server.connect()
    with pytest.raises(ValueError, match="max_bytes"):
        connection.receive(0)
    with pytest.raises(TypeError, match="on_ready"):
        connection.on_ready = 5  # type: ignore[assignment]
    with pytest.raises(TypeError, match="bytes-like"):
        connection.send("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cannot create"):
        _cello.Connection()
    with pytest.raises(TypeError, match="on_error"):
        server.on_error = 5  # type: ignore[assignment]
    with pytest.raises(TypeError, match="on_settled"):
        server.on_settled = 5  # type: ignore[assignment]


def test_a_closed_server(server: _cello.Server) -> None:
    connection = server.connect()
    server.close()
    assert connection.receive(10) == b""
    with pytest.raises(BrokenPipeError):
        connection.send(HELLO)
    with pytest.raises(RuntimeError, match="closed"):
        server.connect()


def test_a_stopping_server_refuses(server: _cello.Server) -> None:
    idle = server.connect()
    server.stop(5)
    server.turn(0)
    with pytest.raises(ConnectionRefusedError, match="stopping"):
        server.connect()
    while not server.done:
        server.turn(0)
    assert idle.receive(10) == b""


def test_a_server_on_another_thread_is_left_alone(server: _cello.Server) -> None:
    connections = [server.connect()]
    thread = threading.Thread(target=server.run)
    thread.start()
    while server.stats()["turns"] == 0:
        pass
    with pytest.raises(RuntimeError, match="another thread"):
        server.connect()
    with pytest.raises(RuntimeError, match="another thread"):
        connections[0].send(b"x")
    connections.clear()  # closed when the server can be touched again
    server.stop(0)
    thread.join()


def test_on_ready_that_fails_is_reported(
    server: _cello.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", seen.append)
    connection = server.connect()
    connection.on_ready = lambda: 1 // 0
    exchange(server, connection, HELLO)
    assert seen[0].exc_type is ZeroDivisionError


def test_on_ready_may_close_everything(server: _cello.Server) -> None:
    connections = [server.connect() for _ in range(3)]

    def close_all() -> None:
        for connection in connections:
            connection.close()

    for connection in connections:
        connection.on_ready = close_all
        connection.send(HELLO)
    while not all(connection.closed for connection in connections):
        server.turn(0)
    server.turn(0)
    assert server.stats()["connections"] == 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="buffers are not Python code")
def test_what_is_sent_closes_the_connection() -> None:
    class Data:
        def __buffer__(self, flags: int) -> memoryview:
            connection.close()
            return memoryview(HELLO)

    server = App()._engine(Settings(env="production", backend="epoll"))
    connection = server.connect()
    with pytest.raises(ValueError, match="the connection is closed"):
        connection.send(Data())  # type: ignore[arg-type]


def test_cycles_are_collected() -> None:
    def make() -> "weakref.ref[Any]":
        class Holder:
            pass

        app, holder = App(), Holder()
        server = app._engine(Settings(env="production", backend="epoll"))
        holder.connection = connection = server.connect()  # type: ignore[attr-defined]
        connection.on_ready = lambda: holder
        server.on_error = lambda error: holder
        return weakref.ref(holder)

    holder = make()
    gc.collect()
    assert holder() is None
