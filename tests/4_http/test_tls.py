"""HTTPS from the outside: Python's ssl, openssl and curl as clients, on both back ends."""

import contextlib
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import services
from cello import (
    App,
    LimitsConfig,
    Request,
    Response,
    Server,
    SseEvent,
    StaticFilesConfig,
    TimeoutConfig,
    TlsConfig,
)
from wire import Client, address_of, connect_plain, eventually, fetch, request, speak
from wire_process import wait_readable
from wire_tls import Certificates, TlsSocket, certificates

Start = Callable[..., Server]
BIG = os.urandom(1 << 16) * 80  # 5 MB


def make_app() -> App:
    app = App()

    @app.get("/who")
    def who(req: Request) -> dict[str, object]:
        return {
            "scheme": req.scheme,
            "url": req.url,
            "base_url": req.base_url,
            "is_secure": req.is_secure(),
            "client": req.remote_addr,
        }

    @app.get("/later")
    async def later(req: Request) -> list[object]:
        import asyncio

        await asyncio.sleep(0.01)
        return [req.scheme, req.url]

    @app.get("/pool", blocking=True)
    def pool(req: Request) -> list[object]:
        return [req.scheme, req.client_cert]

    @app.get("/big")
    def big() -> bytes:
        return BIG

    @app.post("/echo", max_body=len(BIG))
    def echo(req: Request) -> bytes:
        return req.body()

    @app.get("/stream")
    def stream() -> Iterator[bytes]:
        for at in range(0, len(BIG), 70_000):
            yield BIG[at : at + 70_000]

    @app.get("/events")
    def events() -> Response:
        return Response.sse(SseEvent(str(number)) for number in range(3))

    return app


@pytest.fixture
def start(backend: str) -> Iterator[Start]:
    servers: list[Server] = []

    def start_server(app: App | None = None, *, uds: Path | None = None, **options: Any) -> Server:
        proxies = options.pop("proxy_protocol", None)
        timeouts, limits = options.pop("timeouts", None), options.pop("limits", None)
        app = app or make_app()
        if timeouts:
            app.set_timeouts(timeouts)
        if limits:
            app.set_limits(limits)
        files = certificates()
        tls = TlsConfig(**{"cert_path": files.certificate, "key_path": files.key, **options})
        path = str(uds) if uds else None
        server = app.start(backend=backend, tls=tls, uds=path, proxy_protocol=proxies)
        servers.append(server)
        return server

    with speak("h1-tls"):
        yield start_server
    for server in servers:
        server.stop(0)


def dial(server: Server, context: ssl.SSLContext | None = None, name: str = "test") -> TlsSocket:
    """A handshake; the caller closes."""
    sock = connect_plain(address_of(server))
    try:
        return TlsSocket(sock, context or certificates().client("http/1.1"), name)
    except BaseException:
        sock.close()
        raise


def openssl(server: Server, *words: str, data: bytes = b"") -> str:
    """What `openssl s_client` shows of a connection."""
    host, port = server.addresses[0]
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", *words]
    env = services.unsanitized()
    done = subprocess.run(command, env=env, input=data, capture_output=True, timeout=30)
    return (done.stdout + done.stderr).decode(errors="replace")


def tell_openssl(server: Server, *words: str, steps: list[tuple[str, bytes]]) -> str:
    """The same for a longer talk: each step waits for something to be shown, and says something."""
    host, port = server.addresses[0]
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", *words]
    child = subprocess.Popen(
        command,
        env=services.unsanitized(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert child.stdin is not None and child.stdout is not None
    shown = ""
    try:
        for awaited, says in steps:
            while awaited not in shown:
                wait_readable(child.stdout.fileno())
                data = os.read(child.stdout.fileno(), 65536).decode(errors="replace")
                assert data, shown
                shown += data
            with contextlib.suppress(BrokenPipeError):  # it has heard enough to end
                os.write(child.stdin.fileno(), says)
    finally:
        child.kill()
        child.communicate()
    return shown


def curl(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    env = services.unsanitized()
    return subprocess.run(["curl", "-sS", *words], env=env, capture_output=True, timeout=30)


# ---- requests ----


def test_what_a_request_knows(start: Start) -> None:
    server = start()
    host, port = server.addresses[0]
    assert server.url == f"https://{host}:{port}"
    with Client(address_of(server)) as client:
        for _ in range(2):
            assert client.ask(request("/who?a=1")).json() == {
                "scheme": "https",
                "url": "https://test/who?a=1",
                "base_url": "https://test/",
                "is_secure": True,
                "client": "127.0.0.1",
            }
        assert client.ask(request("/later")).json() == ["https", "https://test/later"]
        assert client.ask(request("/pool")).json() == ["https", None]
        answers = request("/who") * 5
        client.send(answers)
        assert all(client.answer().status == 200 for _ in range(5))


def test_bodies_both_ways(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BIG)
    app = make_app()
    app.enable_static_files(StaticFilesConfig(str(tmp_path), prefix="/files"))
    with Client(address_of(start(app))) as client:
        assert client.ask(request("/big")).body == BIG
        assert client.ask(request("/echo", method="POST", body=BIG)).body == BIG
        assert client.ask(request("/stream")).body == BIG
        assert client.ask(request("/files/file")).body == BIG
        part = client.ask(request("/files/file", "Range: bytes=100-70099"))
        assert part.status == 206 and part.body == BIG[100:70100]
        assert client.ask(request("/events")).body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


def test_slow_reader(start: Start) -> None:
    """What waits for a client is bounded, and it gets all of it."""
    server = start(limits=LimitsConfig(max_send_buffer=100_000))
    with Client(address_of(server)) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
        client.send(request("/stream"))
        eventually(lambda: server.stats()["requests"] == 0, "the request")
        assert server.stats()["buffered_bytes"] < 2_000_000
        assert client.answer().body == BIG
    with Client(address_of(server)) as other:
        assert other.ask(request("/who")).status == 200


def test_a_client_that_reads_nothing_is_dropped(start: Start) -> None:
    server = start(timeouts=TimeoutConfig(write=0.3))
    with Client(address_of(server)) as client:
        client.send(request("/big") * 10)
        eventually(lambda: server.stats()["connections"] == 0, "the end of it")


def test_many_at_once(start: Start) -> None:
    server = start()
    failed: list[object] = []

    def ask() -> None:
        try:
            for _ in range(5):
                with Client(address_of(server)) as client:
                    for _ in range(3):
                        body = os.urandom(20_000)
                        answer = client.ask(request("/echo", method="POST", body=body))
                        assert answer.body == body
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    eventually(lambda: server.stats()["connections"] == 0, "the end of all connections")


def test_byte_by_byte(start: Start) -> None:
    """Each in a record of its own."""
    with Client(address_of(start())) as client:
        client.send(request("/who"), piece=1)
        assert client.answer().json()["scheme"] == "https"


def test_curl(start: Start) -> None:
    server = start()
    roots = certificates().authority
    port = server.addresses[0][1]
    url = f"https://localhost:{port}"
    shown = curl("--http1.1", "--cacert", roots, f"{url}/who")
    assert b'"scheme":"https"' in shown.stdout, shown.stderr
    both = curl(
        "--http1.1", "--cacert", roots, "-w", "%{num_connects} ", f"{url}/who", f"{url}/who"
    )
    assert both.stdout.endswith(b"0 "), both
    sent = curl("--cacert", roots, "--data-binary", "@-", f"{url}/echo")
    assert sent.returncode == 0
    assert curl(f"{url}/who").returncode == 60  # it does not know the authority


# ---- ends ----


def test_close_is_said(start: Start) -> None:
    """wire_tls takes an end without close_notify for a failure."""
    with Client(address_of(start())) as client:
        answer = client.ask(request("/who", "Connection: close"))
        assert answer.closes
        client.assert_closed()


def test_half_close(start: Start) -> None:
    """A client that has said all still gets its answers."""
    with Client(address_of(start())) as client:
        client.send(request("/who") * 2)
        client.end()
        assert client.answer().status == 200
        assert client.answer().status == 200
        client.assert_closed()


def test_a_client_without_close_notify(start: Start) -> None:
    server = start()
    with Client(address_of(server)) as client:
        assert client.ask(request("/who")).status == 200
        client.send(request("/later"))
    eventually(lambda: server.stats()["connections"] == 0, "its end")
    with Client(address_of(server)) as client:
        client.send(request("/who"))
        client.reset()
    eventually(lambda: server.stats()["connections"] == 0, "its end")


def test_stop_says_close(start: Start) -> None:
    server = start()
    with Client(address_of(server)) as client:
        assert client.ask(request("/who")).status == 200
        server.stop(5)
        client.assert_closed()


def test_stop_ends_handshakes(start: Start) -> None:
    server = start()
    with connect_plain(address_of(server)) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        eventually(lambda: server.stats()["connections"] == 1, "its connection")
        server.stop(5)
        assert sock.recv(100) == b""


# ---- versions, names, protocols ----


def version_of(server: Server, low: ssl.TLSVersion, high: ssl.TLSVersion) -> str | None:
    context = certificates().client("http/1.1")
    context.minimum_version, context.maximum_version = low, high
    context.set_ciphers("ALL:@SECLEVEL=0")  # a client of old
    sock = dial(server, context)
    sock.close()
    return sock.tls.version()


V10, V11, V12, V13 = (
    ssl.TLSVersion.TLSv1,
    ssl.TLSVersion.TLSv1_1,
    ssl.TLSVersion.TLSv1_2,
    ssl.TLSVersion.TLSv1_3,
)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_versions(start: Start) -> None:
    server = start()
    assert version_of(server, V12, V13) == "TLSv1.3"
    assert version_of(server, V12, V12) == "TLSv1.2"
    for old in (V10, V11):
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            version_of(server, old, old)
    only = start(min_version="1.3")
    assert version_of(only, V12, V13) == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        version_of(only, V12, V12)
    without = start(max_version="1.2")
    assert version_of(without, V12, V13) == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        version_of(without, V13, V13)


def test_ciphers(start: Start) -> None:
    wanted = "ECDHE-ECDSA-CHACHA20-POLY1305"
    server = start(ciphers=wanted, max_version="1.2")
    sock = dial(server)
    sock.close()
    used = sock.tls.cipher()
    assert used is not None and used[0] == wanted
    shown = openssl(start(), "-tls1_2", "-cipher", "AES128-SHA:ALL:@SECLEVEL=0", "-brief")
    assert "ECDHE" in shown
    shown = openssl(start(), "-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0")
    assert "handshake failure" in shown


def test_alpn(start: Start) -> None:
    server = start()
    for offered, chosen in (
        (("http/1.1",), "http/1.1"),
        ((), None),
        (("x", "http/1.1"), "http/1.1"),
    ):
        sock = dial(server, certificates().client(*offered))
        assert sock.tls.selected_alpn_protocol() == chosen
        sock.sendall(request("/who", "Connection: close"))
        assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
        sock.close()
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        dial(server, certificates().client("spdy/1"))


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    files = Certificates(tmp_path_factory.mktemp("names"))
    return {
        "root": (files.authority, files.authority),
        "b.example": files.make("b", "DNS:b.example,DNS:also-b.example"),
        "*.c.example": files.make("c", "DNS:*.c.example"),
    }


def test_names(start: Start, names: dict[str, tuple[Path, Path]]) -> None:
    server = start(sni={name: pair for name, pair in names.items() if name != "root"})

    def shown(name: str) -> str:
        """Whose certificate a client gets that does not look at it."""
        context = ssl.create_default_context(cafile=names["root"][0])
        context.load_verify_locations(certificates().authority)
        context.check_hostname = False
        sock = dial(server, context, name)
        sock.close()
        found = sock.tls.getpeercert()
        assert found is not None
        return dict(part[0] for part in found["subject"])["commonName"]

    expected = {
        "test": "localhost",
        "b.example": "b",
        "B.Example": "b",
        "also-b.example": "b",
        "x.c.example": "c",
        "x.y.c.example": "localhost",
        "c.example": "localhost",
        "nobody.example": "localhost",
    }
    assert {name: shown(name) for name in expected} == expected
    with pytest.raises(ssl.SSLCertVerificationError):
        dial(server, certificates().client(), "nobody.example")


def test_renegotiation_is_refused(start: Start) -> None:
    steps = [("Verify return code", b"R\n"), ("no renegotiation", b"")]
    shown = tell_openssl(start(), "-tls1_2", steps=steps)
    assert "Secure Renegotiation IS supported" in shown  # RFC 5746, which protects against it
    assert "Compression: NONE" in shown


def test_key_update(start: Start) -> None:
    asks = request("/who").replace(b"\r\n", b"\n")
    steps = [("Verify return code", b"K\n"), ("KEYUPDATE", asks), ("HTTP/1.1 200", b"")]
    tell_openssl(start(), "-tls1_3", "-crlf", steps=steps)


# ---- bad beginnings ----

HELLO = (
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"
    + bytes(32)
    + b"\x00\x00\x02\x13\x01\x01\x00\x00"
)
GARBAGE = {
    "nothing": b"",
    "half a hello": HELLO[:30],
    "a hello that is too long": b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(20000),
    "a hello of zeros": b"\x16\x03\x01\x02\x00" + bytes(512),
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "data before the handshake": b"\x17\x03\x03\x00\x10" + bytes(16),
    "SSL 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(40),
    "zeros": bytes(100),
    "noise": bytes(range(200, 256)) * 4,
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage(start: Start, data: bytes) -> None:
    server = start()
    with connect_plain(address_of(server)) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        try:
            while sock.recv(1000):
                pass  # an alert
        except ConnectionResetError:
            pass
    eventually(lambda: server.stats()["connections"] == 0, "the end of it")
    assert server.stats()["requests"] == 0
    with Client(address_of(server)) as client:
        assert client.ask(request("/who")).status == 200


def test_any_cut_of_a_hello(start: Start) -> None:
    """The first flight of a real client, cut everywhere: each byte in a packet of its own, too."""
    server = start(timeouts=TimeoutConfig(handshake=5))
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = certificates().client("http/1.1").wrap_bio(into, out, server_hostname="test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = out.read()
    for cut in range(1, len(hello), 7):
        with connect_plain(address_of(server)) as sock:
            sock.sendall(hello[:cut])
    eventually(lambda: server.stats()["connections"] == 0, "their ends")
    with connect_plain(address_of(server)) as sock:
        for byte in hello:
            sock.sendall(bytes([byte]))
        assert sock.recv(1) == b"\x16"


def test_slow_handshake(start: Start) -> None:
    server = start(timeouts=TimeoutConfig(handshake=0.25))
    for beginning in (b"", HELLO[:40]):
        with connect_plain(address_of(server)) as sock:
            sock.sendall(beginning)
            assert sock.recv(100) in (b"", b"\x15\x03\x03\x00\x02\x01\x5a")
    eventually(lambda: server.stats()["connections"] == 0, "their ends")
    with Client(address_of(server)) as client:
        assert client.ask(request("/who")).status == 200


def test_handshakes_give_way_to_newcomers(start: Start) -> None:
    """Silent clients do not keep others out."""
    server = start(limits=LimitsConfig(max_connections=3))
    silent = [connect_plain(address_of(server)) for _ in range(3)]
    try:
        eventually(lambda: server.stats()["connections"] == 3, "their connections")
        assert fetch(address_of(server), request("/who")).status == 200
    finally:
        for sock in silent:
            sock.close()


def test_connections_of_one_client(start: Start) -> None:
    """Counted before the handshake, which costs more than a request."""
    server = start(limits=LimitsConfig(max_connections_per_ip=1))
    for _ in range(3):
        with connect_plain(address_of(server)) as first:
            eventually(lambda: server.stats()["connections"] == 1, "its connection")
            with connect_plain(address_of(server)) as second:
                assert second.recv(1) == b""
            first.close()
        eventually(lambda: server.stats()["connections"] == 0, "its end")
        with Client(address_of(server)) as client:
            assert client.ask(request("/who")).status == 200
        eventually(lambda: server.stats()["connections"] == 0, "its end")


# ---- plain HTTP ----


def plain(server: Server, data: bytes, at: int = 0) -> Any:
    with speak("h1"), Client(server.addresses[at]) as client:
        client.send(data)
        answer = client.answer()
        client.assert_closed()
        return answer


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "PROPFIND"])
def test_plain_http(start: Start, method: str) -> None:
    server = start()
    answer = plain(server, request("/who", method=method, body=b"x"))
    assert answer.status == 400
    detail = "This port speaks HTTPS: write https:// instead of http://."
    assert answer.json()["detail"] == detail
    assert server.stats()["application_calls"] == 0


def test_plain_http_in_pieces(start: Start) -> None:
    with speak("h1"), Client(address_of(start())) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.send(request("/who"), piece=1)
        assert client.answer().status == 400


def test_redirects(start: Start) -> None:
    server = start(redirect_http=0)
    assert len(server.addresses) == 2
    port = server.addresses[0][1]
    for host, name in (
        ("a.example", "a.example"),
        ("a.example:80", "a.example"),
        ("[::1]", "[::1]"),
        ("[::1]:8080", "[::1]"),
    ):
        for method in ("GET", "POST", "PATCH", "PROPFIND"):
            data = request("/who/../x?a=%20b", host=host, method=method)
            answer = plain(server, data, at=1)
            assert (answer.status, answer.body) == (308, b"")
            assert answer.get("Location") == f"https://{name}:{port}/who/../x?a=%20b"
            assert answer.get("Strict-Transport-Security") is None
    absolute = plain(server, request("http://b.example/x", host="b.example"), at=1)
    assert absolute.get("Location") == f"https://b.example:{port}/x"
    assert server.stats()["application_calls"] == 0


def test_what_is_not_redirected(start: Start) -> None:
    server = start(redirect_http=0)
    for data in (
        request("/who", host=None, version="HTTP/1.0"),
        request("/who", host=""),
        request("*", method="OPTIONS"),
        request("a.example:443", method="CONNECT", host="a.example:443"),
        request("/who", host=None),
        request("/who", host="a b"),
    ):
        assert plain(server, data, at=1).status == 400


@pytest.mark.parametrize(
    "host", ["a@b", "a/b", "a\\b", "a?b", "a#b", "a:x", "a:80:81", "[::1", "\xe4"]
)
def test_hosts_that_would_lead_elsewhere(start: Start, host: str) -> None:
    """A redirect leads to the name that was asked for, and to nothing that could be made of it."""
    answer = plain(start(redirect_http=0), request("//evil/x", host=host), at=1)
    assert answer.status == 400 and answer.get("Location") is None


def test_redirect_of_a_browser(start: Start) -> None:
    server = start(redirect_http=0)
    port = server.addresses[1][1]
    shown = curl("-L", "--cacert", certificates().authority, f"http://localhost:{port}/who")
    assert b'"scheme":"https"' in shown.stdout, shown.stderr


def test_tls_on_the_port_that_redirects(start: Start) -> None:
    server = start(redirect_http=0)
    with connect_plain(server.addresses[1]) as sock:
        sock.sendall(HELLO)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")


# ---- in front of it ----


def test_a_proxy_in_front(start: Start) -> None:
    """What it says comes before the handshake."""
    server = start(proxy_protocol=True, redirect_http=0)
    line = b"PROXY TCP4 192.0.2.7 127.0.0.1 4242 443\r\n"
    for together in (False, True):
        sock = connect_plain(address_of(server))
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = certificates().client("http/1.1").wrap_bio(into, out, server_hostname="test")
        first = line
        if not together:
            sock.sendall(line)
            first = b""
        done = False
        while not done:
            try:
                client.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                sock.sendall(first + out.read())
                first = b""
                into.write(sock.recv(65536))
        client.write(request("/who"))
        sock.sendall(out.read())
        shown = b""
        while b'"client":"192.0.2.7"' not in shown:
            try:
                shown += client.read(65536)
            except ssl.SSLWantReadError:
                data = sock.recv(65536)
                assert data, shown
                into.write(data)
        sock.close()
    answer = plain(server, line + request("/x"), at=1)
    assert answer.status == 308


def test_unix_socket(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "s"
    server = start(uds=path, redirect_http=0)
    answer = fetch(str(path), request("/who")).json()
    assert answer["scheme"] == "https" and answer["client"] == "unix:"
    redirected = plain(server, request("/x", host="a.example"), at=1)
    assert redirected.get("Location") == "https://a.example/x"


# ---- sessions ----


def session_of(server: Server, context: ssl.SSLContext, before: Any = None) -> tuple[Any, bool]:
    """A connection's session, and whether it resumed one."""
    plain = socket.create_connection(server.addresses[0], timeout=20)
    with context.wrap_socket(plain, server_hostname="test", session=before) as sock:
        sock.sendall(request("/who", "Connection: close"))
        while sock.recv(65536):
            pass  # tickets of TLS 1.3 come behind the handshake
        return sock.session, bool(sock.session_reused)


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_resumption(start: Start, version: ssl.TLSVersion) -> None:
    server = start()
    context = certificates().client("http/1.1")
    context.minimum_version = context.maximum_version = version
    first, reused = session_of(server, context)
    assert first is not None and not reused
    _, reused = session_of(server, context, first)
    assert reused
    _, reused = session_of(start(), context, first)  # a stranger
    assert not reused


def test_machines_share_keys(start: Start) -> None:
    old, new = os.urandom(32), os.urandom(32)
    context = certificates().client("http/1.1")
    first, _ = session_of(start(ticket_keys=[old]), context)
    assert session_of(start(ticket_keys=[new, old]), context, first)[1]
    assert not session_of(start(ticket_keys=[new]), context, first)[1]


def test_a_stapled_answer(start: Start, tmp_path: Path) -> None:
    files = certificates()
    made = tmp_path / "ocsp.der"
    index = tmp_path / "index"
    serial = subprocess.run(
        ["openssl", "x509", "-in", files.certificate, "-noout", "-serial"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    index.write_text(
        f"V\t350101000000Z\t\t{serial.removeprefix('serial=')}\tunknown\t/CN=localhost\n"
    )
    root_key = files.folder / "authority.key"
    subprocess.run(
        ["openssl", "ocsp", "-issuer", files.authority, "-cert", files.certificate, "-index", index,
         "-rsigner", files.authority, "-rkey", root_key, "-CA", files.authority,
         "-respout", made, "-ndays", "1", "-noverify", "-no_nonce"],
        capture_output=True,
        check=True,
    )  # fmt: skip
    chain = tmp_path / "chain.pem"
    chain.write_bytes(files.certificate.read_bytes() + files.authority.read_bytes())
    shown = openssl(start(cert_path=chain, ocsp_response=made), "-status")
    assert "OCSP Response Status: successful" in shown and "Cert Status: good" in shown
    assert "OCSP response: no response sent" in openssl(start(), "-status")


# ---- a serving loop that is a guest ----


def test_serve_inside_a_loop(backend: str) -> None:
    import asyncio

    files = certificates()
    app = make_app()
    seen: list[int] = []

    async def main() -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        tls = TlsConfig(files.certificate, files.key)
        serving = asyncio.create_task(
            app.serve("127.0.0.1", port, tls=tls, backend=backend, logs=False)
        )

        def ask() -> None:
            def answered() -> bool:
                try:
                    with speak("h1-tls"):
                        seen.append(fetch(("127.0.0.1", port), request("/later")).status)
                except ConnectionRefusedError:
                    return False
                return True

            eventually(answered, "an answer")

        await asyncio.to_thread(ask)
        serving.cancel()
        await asyncio.wait([serving])

    asyncio.run(main())
    assert seen == [200]
