"""Connections that begin with a PROXY protocol head: raw ones, and HAProxy's."""

import os
import socket
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import services
from cello import App, LimitsConfig, Request, Server, TimeoutConfig
from wire import Client, address_of, eventually, fetch, request
from wire_cluster import cluster, written
from wire_process import listening, program
from wire_proxies import find

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
Start = Callable[..., Server]


def make_app() -> App:
    app = App()

    @app.get("/who")
    def who(req: Request) -> dict[str, object]:
        client = req.client
        return {
            "client": list(client) if client else None,
            "remote_addr": req.remote_addr,
            "client_ip": req.client_ip(),
        }

    @app.get("/later")
    async def later(req: Request) -> str | None:
        import asyncio

        await asyncio.sleep(0.01)
        return req.remote_addr

    return app


@pytest.fixture
def start(backend: str) -> Iterator[Start]:
    servers: list[Server] = []

    def start_server(
        *configs: LimitsConfig | TimeoutConfig, trusted: object = True, uds: Path | None = None
    ) -> Server:
        app = make_app()
        for config in configs:
            if isinstance(config, LimitsConfig):
                app.set_limits(config)
            else:
                app.set_timeouts(config)
        path = str(uds) if uds else None
        servers.append(app.start(backend=backend, proxy_protocol=trusted, uds=path))
        return servers[-1]

    yield start_server
    for server in servers:
        server.stop(0)


def line(host: str, port: int = 4242) -> bytes:
    family, to = ("TCP6", "::1") if ":" in host else ("TCP4", "127.0.0.1")
    return f"PROXY {family} {host} {to} {port} 443\r\n".encode()


def block(host: str, port: int = 4242, fields: bytes = b"") -> bytes:
    v6 = ":" in host
    family, to = (socket.AF_INET6, "::1") if v6 else (socket.AF_INET, "127.0.0.1")
    addresses = socket.inet_pton(family, host) + socket.inet_pton(family, to)
    rest = addresses + struct.pack(">HH", port, 443) + fields
    return SIGNATURE + bytes([0x21, 0x21 if v6 else 0x11]) + struct.pack(">H", len(rest)) + rest


HEADS = {"line": line, "block": block}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
def test_clients(start: Start, head: Callable[[str], bytes], host: str) -> None:
    with Client(address_of(start())) as client:
        answer = client.ask(head(host) + request("/who"))
        assert answer.json() == {"client": [host, 4242], "remote_addr": host, "client_ip": host}
        assert client.ask(request("/who")).json()["remote_addr"] == host  # the next one, too
        assert client.ask(request("/later")).body == host.encode()


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_byte_by_byte(start: Start, head: Callable[[str], bytes]) -> None:
    with Client(address_of(start())) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head("192.0.2.7") + request("/who"):
            client.send(bytes([byte]))
        assert client.answer().json()["remote_addr"] == "192.0.2.7"
        client.send(request("/who") * 3)
        for _ in range(3):
            assert client.answer().json()["remote_addr"] == "192.0.2.7"


def test_any_cut(start: Start) -> None:
    server = start()
    for data in (line("192.0.2.7"), block("192.0.2.7", fields=b"\x04\0\x05\0\0\0\0\0")):
        data += request("/who")
        for cut in range(1, len(data), 3):
            with Client(address_of(server)) as client:
                client.send(data[:cut])
                client.send(data[cut:])
                assert client.answer().json()["remote_addr"] == "192.0.2.7", cut


def test_a_proxys_own_check(start: Start) -> None:
    server = start()
    for head in (SIGNATURE + b"\x20\0\0\0", b"PROXY UNKNOWN\r\n"):
        with Client(address_of(server)) as client:
            answer = client.ask(head + request("/who")).json()
            assert answer["client"] == list(client.sock.getsockname())


REFUSED = {
    "no head": request("/who"),
    "garbage": b"\x16\x03\x01\x02\x00\x01",
    "a long line": b"PROXY UNKNOWN " + b"x" * 100,
    "a long block": SIGNATURE + b"\x21\x11\xff\xff",
    "a wrong address": b"PROXY TCP4 192.0.2.256 127.0.0.1 1 2\r\n",
    "a wrong checksum": block("192.0.2.7", fields=b"\x03\0\x04\0\0\0\0"),
    "half of one": line("192.0.2.7")[:20],
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_anything_else_is_closed(start: Start, data: bytes) -> None:
    server = start()
    with Client(address_of(server)) as client:
        client.send(data)
        if data == REFUSED["half of one"]:
            client.sock.shutdown(socket.SHUT_WR)
        client.assert_closed()
    eventually(lambda: server.stats()["connections"] == 0, "the end of it")
    assert server.stats()["requests"] == 0


def test_a_second_head_is_no_request(start: Start) -> None:
    with Client(address_of(start())) as client:
        client.send(line("192.0.2.7") + line("192.0.2.8"))
        assert client.answer().status == 400


def test_slow_head(start: Start) -> None:
    """Single bytes do not win time."""
    server = start(TimeoutConfig(read_header=0.25))
    with Client(address_of(server)) as silent, Client(address_of(server)) as slow:
        slow.send(line("192.0.2.7")[:-2])
        slow.assert_closed()
        silent.assert_closed()


def test_strangers(start: Start) -> None:
    """Whose address is not trusted is closed, whatever it says."""
    server = start(trusted=["192.0.2.0/24", "::1"])
    for data in (line("192.0.2.7") + request("/who"), request("/who")):
        with Client(address_of(server)) as client:
            try:
                client.send(data)
                client.assert_closed()
            except ConnectionError:
                pass
    assert server.stats()["requests"] == 0


def test_named_networks(start: Start) -> None:
    server = start(trusted=["192.0.2.0/24", "127.0.0.1"])
    assert fetch(address_of(server), line("192.0.2.7") + request("/who")).status == 200


def test_unix_sockets_are_trusted(start: Start, tmp_path: Path) -> None:
    server = start(trusted=["192.0.2.0/24"], uds=tmp_path / "s")
    answer = fetch(address_of(server), line("192.0.2.7") + request("/who"))
    assert answer.json()["client"] == ["192.0.2.7", 4242]


def test_connections_of_one_client(start: Start) -> None:
    """The limit counts who the proxy speaks for."""
    server = start(LimitsConfig(max_connections_per_ip=1))
    address = address_of(server)
    with Client(address) as first, Client(address) as second, Client(address) as third:
        assert first.ask(line("192.0.2.7") + request("/who")).status == 200
        second.send(line("192.0.2.7") + request("/who"))
        second.assert_closed()
        assert third.ask(line("192.0.2.8") + request("/who")).status == 200
        assert first.ask(request("/who")).status == 200


SCRIPT = """
from cello import App, Request
app = App()

@app.get("/who")
def who(req: Request):
    return req.remote_addr

if __name__ == "__main__":
    app.run()
"""


@pytest.mark.parametrize("way", ["option", "variable"])
def test_command_line_and_access_log(tmp_path: Path, backend: str, way: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(SCRIPT)
    argv = ["--proxy-protocol=127.0.0.0/8"] if way == "option" else []
    env = {"CELLO_PROXY_PROTOCOL": "on"} if way == "variable" else {}
    with listening() as sock:
        fd, address = sock.fileno(), sock.getsockname()
        words = [str(script), f"--fd={fd}", f"--backend={backend}", *argv]
        with program(words, (fd,), **env) as process:
            sock.close()
            answer = fetch(address, line("192.0.2.7") + request("/who"))
            assert answer.body == b"192.0.2.7"
            eventually(lambda: process.stdout().startswith("192.0.2.7 - "), "its line in the log")
            assert process.stop() == 0


CLUSTER = """
import os
from cello import App, Request
app = App()

@app.get("/who")
def who(req: Request):
    peer = req.peer_credentials
    return [req.remote_addr, app.worker_id, peer.pid if peer else None]

if __name__ == "__main__":
    app.run(port=0, workers=2, logs=False, proxy_protocol=True)
"""


def test_in_every_worker(tmp_path: Path, backend: str) -> None:
    with cluster(written(tmp_path, CLUSTER), CELLO_BACKEND=backend) as processes:
        address = processes.address()
        seen: set[int] = set()
        while len(seen) < 2:
            answer = fetch(address, line("192.0.2.7") + request("/who")).json()
            assert answer[0] == "192.0.2.7" and answer[2] is None
            seen.add(answer[1])
            with Client(address) as client:
                client.send(request("/who"))
                client.assert_closed()
        assert processes.stop() == 0


def test_unix_socket_of_workers(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "s"
    words = [written(tmp_path, CLUSTER), f"--uds={path}", "--uds-mode=640"]
    with cluster(*words, CELLO_BACKEND=backend) as processes:
        processes.expect(r"^Cello [\d.]+ on unix:")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        answer = fetch(str(path), line("192.0.2.7") + request("/who")).json()
        assert (answer[0], answer[2]) == ("192.0.2.7", os.getpid())
        assert processes.stop() == 0


# ---- a real proxy ----

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
listen front
    bind fd@{fd}
    option httpchk
    http-check send meth GET uri /who ver HTTP/1.1 hdr Host check
    server cello {host}:{port} check inter 50 {send}
"""


@contextmanager
def haproxy(folder: Path, to: tuple[str, int], send: str) -> Iterator[tuple[str, int]]:
    found = find("haproxy")
    assert found, "haproxy is not installed"
    env = services.unsanitized()
    config, out = folder / "haproxy.conf", folder / "haproxy.out"
    with listening() as sock:
        address = sock.getsockname()
        config.write_text(HAPROXY.format(host=to[0], port=to[1], fd=sock.fileno(), send=send))
        with out.open("wb") as file:
            child = subprocess.Popen(
                [found, "-db", "-f", str(config)],
                env=env,
                pass_fds=(sock.fileno(),),
                stdout=file,
                stderr=file,
            )
    try:
        yield address
        assert child.poll() is None, out.read_text()
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@pytest.mark.parametrize(
    "send", ["send-proxy", "send-proxy-v2 proxy-v2-options crc32c,unique-id"], ids=["v1", "v2"]
)
def test_behind_haproxy(start: Start, tmp_path: Path, send: str) -> None:
    server = start()
    with haproxy(tmp_path, server.addresses[0], send) as address:
        # Its checks are LOCAL connections, or name nobody.
        eventually(lambda: server.stats()["requests"] > 0, "a check")
        for _ in range(3):
            with Client(address) as client:
                seen = client.ask(request("/who")).json()["client"]
                assert seen == list(client.sock.getsockname())
