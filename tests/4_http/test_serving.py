"""start() and its servers, several in one process."""

import asyncio
import socket
import threading
from pathlib import Path

import pytest
from cello import App, Server
from wire import Client, Closed, eventually, fetch, refused, request
from wire_app import make_app, make_async_app
from wire_marks import every_transport
from wire_process import listening

PLAIN = request("/plain")


def test_start_and_stop(backend: str) -> None:
    server = make_app().start(backend=backend)
    host, port = server.addresses[0]
    assert host == "127.0.0.1" and port > 0
    assert server.url == f"http://127.0.0.1:{port}"
    assert fetch((host, port), PLAIN).body == b"hello"
    assert server.wait(0) is False
    server.stop()
    assert server.wait(0) is True
    server.stop()  # again: nothing happens
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port), timeout=5)


@every_transport
def test_context_manager(backend: str) -> None:
    with make_app().start(backend=backend) as server:
        assert isinstance(server, Server)
        assert fetch(server.addresses[0], PLAIN).body == b"hello"
    assert server.wait(0) is True


def test_several_servers(backend: str) -> None:
    """Of one application and of others, each with its own routes and counters."""
    app, other = make_app(), App()
    other.get("/plain")(lambda: "other")
    with (
        app.start(backend=backend) as first,
        app.start(backend=backend) as second,
        other.start(backend=backend) as third,
    ):
        assert len({server.addresses[0][1] for server in (first, second, third)}) == 3
        for _ in range(3):
            assert fetch(first.addresses[0], PLAIN).body == b"hello"
        assert fetch(second.addresses[0], PLAIN).body == b"hello"
        assert fetch(third.addresses[0], PLAIN).body == b"other"
        counts = [server.stats()["requests"] for server in (first, second, third)]
        assert counts == [3, 1, 1]
        second.stop()
        assert fetch(first.addresses[0], PLAIN).body == b"hello"


@every_transport
def test_servers_with_asyncio(backend: str) -> None:
    """Each has a loop of its own."""
    with (
        make_async_app().start(backend=backend) as first,
        make_async_app().start(backend=backend) as second,
        Client(first.addresses[0]) as one,
        Client(second.addresses[0]) as two,
    ):
        one.send(request("/later?s=0.05"))
        two.send(request("/later?s=0.05"))
        assert one.answer().body == two.answer().body == b"later"


def test_again_on_the_same_port(backend: str) -> None:
    app = make_app()
    port = 0
    for _ in range(3):
        with app.start(port=port, backend=backend) as server:
            port = server.addresses[0][1]
            with Client(server.addresses[0]) as client:
                client.assert_open()


def test_busy_port(backend: str) -> None:
    with listening() as sock, pytest.raises(OSError, match="in use"):
        make_app().start(port=sock.getsockname()[1], backend=backend)


def test_wrong_arguments() -> None:
    app = make_app()
    with pytest.raises(ValueError, match="backend"):
        app.start(backend="kqueue")
    with pytest.raises(ValueError, match="port"):
        app.start(port=65536)
    with pytest.raises(OSError, match="there is no such host"):
        app.start(host="no address")


def test_routes_are_frozen(backend: str) -> None:
    app = make_app()
    with app.start(backend=backend), pytest.raises((RuntimeError, ValueError)):
        app.get("/late")(lambda: "late")


def test_ipv6(backend: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with make_app().start("::1", backend=backend) as server:
        host, port = server.addresses[0]
        assert (host, server.url) == ("::1", f"http://[::1]:{port}")
        assert fetch((host, port), PLAIN).body == b"hello"


def test_unix_socket(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "cello.sock"
    with make_app().start(uds=str(path), backend=backend) as server:
        assert server.addresses == [(f"unix:{path}", 0)]
        assert fetch(str(path), PLAIN).body == b"hello"
        with pytest.raises(OSError, match="in use"):
            make_app().start(uds=str(path), backend=backend)
    assert not path.exists()


def test_unix_socket_of_a_dead_server(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "cello.sock"
    listening(path).close()  # its file stays
    with make_app().start(uds=str(path), backend=backend):
        assert fetch(str(path), PLAIN).body == b"hello"


def test_unix_socket_spares_files(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("text")
    with pytest.raises(OSError, match=r".+"):
        make_app().start(uds=str(path), backend=backend)
    assert path.read_text() == "text"


def test_inherited_socket(backend: str) -> None:
    sock = listening()
    address = sock.getsockname()
    with make_app().start(fd=sock.detach(), backend=backend) as server:
        assert server.addresses == [address]
        assert fetch(address, PLAIN).body == b"hello"


@every_transport
@pytest.mark.parametrize("backlog", [1, 50])
def test_stop_answers_what_came(backend: str, backlog: int) -> None:
    """stop() without a limit waits for handlers, and for answers to be read."""
    app = App()
    released = threading.Event()

    @app.get("/held")
    async def held() -> str:
        while not released.is_set():
            await asyncio.sleep(0.005)
        return "held"

    with app.start(backend=backend) as server:
        clients = [Client(server.addresses[0]) for _ in range(backlog)]
        for client in clients:
            client.send(request("/held"))
        eventually(lambda: server.stats()["inflight"] == backlog, "all in their handlers")
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        eventually(lambda: refused(server.addresses[0]), "the end of listening")
        released.set()
        for client in clients:
            answer = client.answer()
            assert answer.body == b"held" and answer.closes
            client.assert_closed()
            client.sock.close()
        stopper.join()


@every_transport
def test_stop_with_a_limit(backend: str) -> None:
    """What is not ready then is cut off; its handler is cancelled."""
    app = make_async_app()
    cancelled = threading.Event()

    @app.get("/stuck")
    async def stuck() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        client.send(request("/stuck"))
        eventually(lambda: server.stats()["inflight"] == 1, "the handler")
        server.stop(0.1)
        assert cancelled.wait(10)
        with pytest.raises((Closed, ConnectionResetError)):
            client.answer()


@every_transport
def test_stop_from_a_handler(backend: str) -> None:
    """The answer is still sent."""
    app = App()
    servers: list[Server] = []
    app.get("/stop")(lambda: threading.Thread(target=servers[0].stop).start())
    servers.append(app.start(backend=backend))
    assert fetch(servers[0].addresses[0], request("/stop")).status == 204
    assert servers[0].wait(10)


@every_transport
def test_exception_for_the_program(backend: str) -> None:
    """SystemExit of a handler ends the server, and reaches whoever waits for it."""
    app = App()

    @app.get("/exit")
    def leave() -> None:
        raise SystemExit(3)

    server = app.start(backend=backend)
    with Client(server.addresses[0]) as client:
        client.send(request("/exit"))
        with pytest.raises(SystemExit) as caught:
            server.wait(10)
        assert caught.value.code == 3


@every_transport
def test_trailing_slash_redirects(backend: str) -> None:
    app = App(trailing_slash="redirect")
    app.route("/items", methods=["GET", "POST"])(lambda: "items")
    app.get("/folder/")(lambda: "folder")
    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        for data, status, location in [
            (request("/items/"), 307, "../items"),
            (request("/items/?a=%2F&b"), 307, "../items?a=%2F&b"),
            (request("/folder"), 307, "./folder/"),
            (request("/items/", method="POST"), 308, "../items"),
            (request("//items/"), 404, None),
            (request("/./items/"), 307, "../items"),
        ]:
            answer = client.ask(data)
            assert (answer.status, answer.get("Location")) == (status, location), data
        answer = client.ask(request("/items/", method="HEAD"), to_head=True)
        assert answer.status == 307


def test_server_keeps_its_application(backend: str) -> None:
    """Nobody else holds it."""
    import gc

    with make_app().start(backend=backend) as server:
        gc.collect()
        assert fetch(server.addresses[0], PLAIN).body == b"hello"


def test_threads_progress_under_load(backend: str) -> None:
    """A server under load gives the interpreter up."""
    with make_app().start(backend=backend) as server, Client(server.addresses[0]) as client:
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                client.send(PLAIN * 50)
                for _ in range(50):
                    client.answer()

        thread = threading.Thread(target=load)
        thread.start()
        try:
            assert sum(range(1000000)) == 499999500000
            other = fetch(server.addresses[0], PLAIN)
            assert other.body == b"hello"
        finally:
            stop.set()
            thread.join()
