"""Programs that call run(): signals, exit codes, options, the logs."""

import os
import random
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from wire import Client, eventually, fetch, refused, request
from wire_process import Process, ServerProcess, listening, program, server_process, wait_readable

# A program whose handlers tell through a pipe that they have begun, and are then slow.
SLOW = """
import asyncio, os, sys, time
from cello import App, SseEvent, SseStream

app = App()
pipe = int(sys.argv[2])

def seconds(req):
    return float(req.query["s"])

@app.get("/plain")
def plain(req):
    return "hello"

@app.get("/sleep")
def sleep(req):
    os.write(pipe, b"x")
    time.sleep(seconds(req))
    return "slept"

@app.get("/events")
def events():
    return SseStream()

@app.get("/many")
def many():
    while True:
        yield SseEvent("a")

if "async" in sys.argv:
    @app.get("/ticks")
    async def ticks():
        try:
            yield SseEvent("a")
            await asyncio.sleep(3600)
        finally:
            os.write(pipe, b"x")

    @app.get("/wait")
    async def wait(req):
        os.write(pipe, b"x")
        await asyncio.sleep(seconds(req))
        return "waited"

app.run(fd=int(sys.argv[1]), logs=False)
"""

HELLO = """
from cello import App

app = App()
app.get("/plain")(lambda: "hello")
if __name__ == "__main__":
    app.run({arguments})
"""

KINDS = [("sync", "/sleep", "slept"), ("async", "/wait", "waited"), ("async", "/sleep", "slept")]


class Slow:
    """The program above, and the pipe."""

    def __init__(self, process: Process, address: tuple[str, int], pipe: int) -> None:
        self.process = process
        self.address = address
        self.pipe = pipe

    def begin(self, client: Client, target: str) -> None:
        """Send a request, and wait until its handler has begun."""
        client.send(request(target))
        wait_readable(self.pipe)
        os.read(self.pipe, 100)


@contextmanager
def slow_program(backend: str, kind: str) -> Iterator[Slow]:
    reading, writing = os.pipe()
    try:
        with listening() as sock:
            fds = (sock.fileno(), writing)
            args = ["-c", SLOW, *map(str, fds), kind]
            with program(args, fds, CELLO_BACKEND=backend) as process:
                address = sock.getsockname()
                sock.close()
                yield Slow(process, address, reading)
    finally:
        os.close(reading)
        os.close(writing)


# ---- signals ----

FINISHING = "Finishing a request, for up to 30 s; a second signal ends it now\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(("kind", "path", "body"), KINDS, ids=["sync", "async", "mixed"])
def test_signal_drains(backend: str, number: int, kind: str, path: str, body: str) -> None:
    """What is in flight is answered, its connection closed, and the program ends well."""
    with slow_program(backend, kind) as slow:
        with Client(slow.address) as busy, Client(slow.address) as idle:
            assert idle.ask(request("/plain")).body == b"hello"
            slow.begin(busy, f"{path}?s=0.2")
            slow.process.send_signal(number)
            answer = busy.answer()
            assert (answer.status, answer.body.decode()) == (200, body)
            # A handler that keeps the thread answers before the engine knows of the signal.
            assert answer.closes or path == "/sleep"
            busy.assert_closed()
            idle.assert_closed()
        assert slow.process.wait() == 0
        assert slow.process.stderr() in ("", FINISHING)


EVENTS = [("sync", "/events"), ("sync", "/many"), ("async", "/events"), ("async", "/ticks")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(("kind", "path"), EVENTS)
def test_signal_ends_event_streams(backend: str, number: int, kind: str, path: str) -> None:
    """They are not what a drain waits for; the sources of those that have one clean up."""
    with slow_program(backend, kind) as slow:
        with Client(slow.address) as client:
            client.send(request(path))
            assert client.head().get("Content-Type") == "text/event-stream"
            slow.process.send_signal(number)
            client.chunks()
            client.assert_closed()
        if path == "/ticks":
            wait_readable(slow.pipe)
        assert slow.process.wait() == 0
        assert slow.process.stderr() in ("", FINISHING)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_signal_when_idle(backend: str, kind: str) -> None:
    with slow_program(backend, kind) as slow, Client(slow.address) as client:
        assert client.ask(request("/plain")).body == b"hello"
        assert slow.process.stop() == 0
        client.assert_closed()
        assert slow.process.stderr() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(("kind", "path"), [("sync", "/sleep"), ("async", "/wait")])
def test_second_signal_ends_at_once(backend: str, number: int, kind: str, path: str) -> None:
    with slow_program(backend, kind) as slow, Client(slow.address) as client:
        slow.begin(client, f"{path}?s=30")
        slow.process.send_signal(number)
        if kind == "async":
            eventually(lambda: refused(slow.address), "the end of listening")
            slow.process.send_signal(number)
        else:
            # The handler has the thread, and nothing tells that the first one was seen: Python
            # takes two that come at once for one.
            eventually(lambda: slow.process.ends_by(number), "the end")
        assert slow.process.wait(10) == 128 + number
        assert kind == "sync" or slow.process.stderr() == FINISHING


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_signal_right_after_load(backend: str, kind: str) -> None:
    """A signal that comes between the check for signals and the wait is not lost."""
    for _ in range(8):
        with slow_program(backend, kind) as slow, Client(slow.address) as client:
            client.send(request("/plain") * 30)
            for _ in range(30):
                assert client.answer().body == b"hello"
            assert slow.process.stop() == 0


def test_signal_before_the_first_request(backend: str) -> None:
    """As soon as the program listens it can be stopped."""
    with program(["-c", HELLO.format(arguments="port=0")], CELLO_BACKEND=backend) as process:
        eventually(lambda: "http://" in process.stderr(), "the address")
        assert process.stop() == 0


def test_own_handlers_are_put_back(backend: str) -> None:
    script = """
import os, signal, threading
from cello import App
def mine(*args): print("mine", flush=True)
signal.signal(signal.SIGTERM, mine)
app = App()
app.get("/")(lambda: os.kill(os.getpid(), signal.SIGTERM))
threading.Timer(0, lambda: None).start()
import socket
sock = socket.create_server(("127.0.0.1", 0))
port = sock.getsockname()[1]
def ask():
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        while s.recv(1000): pass
threading.Thread(target=ask).start()
app.run(fd=sock.detach(), logs=False)
assert signal.getsignal(signal.SIGTERM) is mine
assert signal.set_wakeup_fd(-1) == -1
os.kill(os.getpid(), signal.SIGTERM)
"""
    with program(["-c", script], CELLO_BACKEND=backend) as process:
        assert process.wait() == 0, process.stderr()
        assert process.stdout() == "mine\n"


# ---- where it listens ----


def free_port(host: str = "127.0.0.1") -> int:
    """Below those that the kernel hands out: nobody gets it by chance before the program."""
    handed_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = random.randrange(min(10000, handed_out // 2), handed_out)
        with suppress(OSError), socket.create_server((host, port)):
            return port
    raise AssertionError("no port is free")


def test_busy_port(backend: str) -> None:
    with listening() as sock:
        port = sock.getsockname()[1]
        with program(["-c", HELLO.format(arguments=f"port={port}")], CELLO_BACKEND=backend) as p:
            assert p.wait() == 1
            assert f"127.0.0.1:{port}" in p.stderr() and "in use" in p.stderr()
            assert "Traceback" not in p.stderr()


def serves_at(process: Process) -> tuple[str, int, str]:
    """Host, port and back end as the program tells them."""
    pattern = r"Cello \S+ on http://([^:]+):(\d+) \((\w+)\)"
    eventually(lambda: re.search(pattern, process.stderr()) is not None, "the address")
    found = re.search(pattern, process.stderr())
    assert found
    return found[1], int(found[2]), found[3]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "hello.py"
    path.write_text(HELLO.format(arguments=""))
    return path


def test_command_line(script: Path) -> None:
    port = free_port("127.0.0.2")
    args = [str(script), "--port", str(port), "--backend=epoll", "--other", "--host", "127.0.0.2"]
    with program(args, CELLO_PORT="1", CELLO_BACKEND="io_uring") as process:
        assert serves_at(process) == ("127.0.0.2", port, "epoll")
        assert fetch(("127.0.0.2", port), request("/plain")).body == b"hello"
        assert process.stop() == 0


def test_environment(script: Path) -> None:
    port = free_port()
    with program([str(script)], CELLO_PORT=str(port), CELLO_BACKEND="epoll") as process:
        assert serves_at(process) == ("127.0.0.1", port, "epoll")
        assert fetch(("127.0.0.1", port), request("/plain")).body == b"hello"
        assert process.stop() == 0


def test_arguments_win(tmp_path: Path) -> None:
    port = free_port()
    script = tmp_path / "hello.py"
    script.write_text(HELLO.format(arguments=f"port={port}, backend='epoll'"))
    args = [str(script), "--port", "1", "--backend", "io_uring"]
    with program(args, CELLO_PORT="2") as process:
        assert serves_at(process) == ("127.0.0.1", port, "epoll")
        assert fetch(("127.0.0.1", port), request("/plain")).body == b"hello"
        assert process.stop() == 0


def test_command_line_turned_off(tmp_path: Path) -> None:
    script = tmp_path / "hello.py"
    script.write_text(HELLO.format(arguments="port=0, argv=False"))
    with program([str(script), "--host", "127.0.0.2", "--no-logs"]) as process:
        host, port, _ = serves_at(process)
        assert host == "127.0.0.1"
        assert fetch((host, port), request("/plain")).body == b"hello"
        assert process.stop() == 0


def test_wrong_settings(script: Path) -> None:
    for args in (["--env", "testing"], ["--backend", "kqueue"], ["--port", "http"]):
        with program([str(script), *args]) as process:
            assert process.wait() == 2
            assert process.stderr().startswith(f"CRITICAL {args[0]} must be ")
            assert process.stderr().count("\n") == 1


def test_unix_socket(script: Path, tmp_path: Path, backend: str) -> None:
    path = tmp_path / "cello.sock"
    args = [str(script), "--uds", str(path), "--backend", backend]
    with program(args) as process:
        eventually(lambda: f"unix:{path}" in process.stderr(), "the address")
        assert fetch(str(path), request("/plain")).body == b"hello"
        assert process.stop() == 0
    assert not path.exists()


# ---- logs ----

COMBINED = re.compile(
    r"127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
    r'"([^"\\]|\\.)*" \d{3} \d+ "([^"\\]|\\.)*" "([^"\\]|\\.)*"'
)


def test_access_log(script: Path, backend: str) -> None:
    """On by default; one line for each request, on the standard output."""
    with program([str(script), "--port", "0", "--backend", backend]) as process:
        host, port, _ = serves_at(process)
        with Client((host, port)) as client:
            client.ask(request("/plain?q=1", "User-Agent: wire", "Referer: http://a/"))
            client.ask(request("/nowhere", 'User-Agent: a"b\\c\xff'))
            client.send(b"nonsense\r\n\r\n")
            client.answer()
        eventually(lambda: process.stdout().count("\n") == 3, "three lines, soon after")
        assert process.stop() == 0
        lines = process.stdout().splitlines()
    for line in lines:
        assert COMBINED.fullmatch(line), line
    assert '"GET /plain?q=1 HTTP/1.1" 200 5 "http://a/" "wire"' in lines[0]
    assert '"GET /nowhere HTTP/1.1" 404 ' in lines[1]
    assert " 400 " in lines[2]


@pytest.mark.parametrize("how", ["--no-logs", "--env=production"])
def test_no_logs(script: Path, backend: str, how: str) -> None:
    with listening() as sock:
        address = sock.getsockname()
        # The address is not told: take one that is known.
        port = str(address[1])
        sock.close()
        with program([str(script), "--port", port, "--backend", backend, how]) as process:
            eventually(lambda: not refused(address), "listening")
            assert fetch(address, request("/plain")).body == b"hello"
            assert process.stop() == 0
            assert process.stdout() == "" and process.stderr() == ""


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/fails", ["GET /fails", "fails", "RuntimeError: a secret of the server", "Traceback"]),
        ("/cyclic", ["GET /cyclic", "list", "cyclic"]),
        ("/unserializable", ["GET /unserializable", "dict", "object is not JSON serializable"]),
        ("/bad-tuple", ["GET /bad-tuple", "tuple"]),
    ],
)
def test_errors_name_the_route(backend: str, target: str, words: list[str]) -> None:
    with server_process(backend) as process:
        with Client(process.address) as client:
            assert client.ask(request(target)).status == 500
            client.assert_open()
        text = process.stderr()
        assert all(word in text for word in words), text


def test_client_errors_are_not_logged(backend: str) -> None:
    """What clients do wrong must not fill a log."""
    with server_process(backend) as process:
        for data in (
            request("/not-found"),
            request("/nowhere"),
            b"nonsense\r\n\r\n",
            request("/parse", method="POST", body=b"{"),
            request("/seg/%ff"),
        ):
            assert fetch(process.address, data).status in (400, 404)
        assert process.stderr() == ""


def test_malformed_json_has_a_position(server: ServerProcess) -> None:
    answer = fetch(server.address, request("/parse", method="POST", body=b'{"a": [1, 2,, 3]}'))
    assert answer.status == 400
    assert "byte 12" in answer.json()["detail"]


def test_async_exception(async_server: ServerProcess) -> None:
    with Client(async_server.address) as client:
        answer = client.ask(request("/async-fails"))
        assert answer.status == 500 and b"secret" not in answer.body
        client.assert_open()
    assert "GET /async-fails" in async_server.stderr()
