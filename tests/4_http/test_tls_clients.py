"""Certificates of clients: good ones, bad ones and none."""

import datetime
import hashlib
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import services
from cello import App, Request, Server, TlsConfig
from wire import Client, connect_plain, request, speak
from wire_tls import Certificates, TlsSocket

Start = Callable[..., Server]


class Files(Certificates):
    """With certificates of clients: of this authority and of another one."""

    def client_of(self, pair: tuple[Path, Path] | None) -> ssl.SSLContext:
        context = self.client("http/1.1")
        if pair:
            context.load_cert_chain(*pair)
        return context

    def expired(self) -> tuple[Path, Path]:
        _, key = self.make("expired", "DNS:expired")
        made = self.folder / "expired.pem"
        subprocess.run(
            ["openssl", "ca", "-batch", "-config", self._authority_config(), "-notext",
             "-startdate", "20200101000000Z", "-enddate", "20200201000000Z",
             "-in", self.folder / "expired.csr", "-out", made],
            check=True, capture_output=True,
        )  # fmt: skip
        return made, key

    def _authority_config(self) -> Path:
        for name, text in (("index.txt", ""), ("serial", "1000\n")):
            (self.folder / name).write_text(text)
        config = self.folder / "authority.conf"
        config.write_text(
            "[ca]\ndefault_ca=a\n[a]\n"
            f"database={self.folder}/index.txt\nserial={self.folder}/serial\n"
            f"new_certs_dir={self.folder}\ncertificate={self.authority}\n"
            f"private_key={self.folder}/authority.key\ndefault_md=sha256\npolicy=p\n"
            "[p]\ncommonName=supplied\n"
        )
        return config


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def alice(files: Files) -> tuple[Path, Path]:
    return files.make("alice", "DNS:alice.example,email:a@example.org,IP:192.0.2.7,URI:urn:a")


def make_app() -> App:
    app = App()

    @app.get("/who")
    def who(req: Request) -> object:
        return _shown(req)

    @app.get("/later")
    async def later(req: Request) -> object:
        import asyncio

        await asyncio.sleep(0.01)
        return _shown(req)

    @app.get("/pool", blocking=True)
    def pool(req: Request) -> object:
        return _shown(req)

    return app


def _shown(req: Request) -> object:
    cert = req.client_cert
    if cert is None:
        return ["none"]
    assert req.client_cert is cert
    return {
        **{n: getattr(cert, n) for n in cert.__match_args__ if n != "der"},
        "der": cert.der.hex(),
    }


@pytest.fixture
def start(backend: str, files: Files) -> Iterator[Start]:
    servers: list[Server] = []

    def start_server(**options: Any) -> Server:
        tls = TlsConfig(files.certificate, files.key, ca_path=files.authority, **options)
        servers.append(make_app().start(backend=backend, tls=tls))
        return servers[-1]

    with speak("h1"):
        yield start_server
    for server in servers:
        server.stop(0)


def ask(server: Server, context: ssl.SSLContext, *targets: str) -> list[Any]:
    """What is answered to a client with that certificate. With TLS 1.3 it hears of a refusal only
    when it reads."""
    sock = connect_plain(server.addresses[0])
    try:
        secure = TlsSocket(sock, context, "localhost")
        client = Client.__new__(Client)
        client.sock, client._buffer, client._dated = secure, b"", True  # type: ignore[assignment]
        return [client.ask(request(target)).json() for target in targets]
    finally:
        sock.close()


def test_a_certificate(start: Start, files: Files, alice: tuple[Path, Path]) -> None:
    server = start(require_client_cert=True)
    shown = ask(server, files.client_of(alice), "/who", "/later", "/pool", "/who")
    der = ssl.PEM_cert_to_DER_cert(alice[0].read_text())
    parsed = ssl._ssl._test_decode_cert(str(alice[0]))  # type: ignore[attr-defined]

    def moment(text: str) -> str:
        at = datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(text), datetime.UTC)
        return at.isoformat().replace("+00:00", "Z")

    assert shown[0] == {
        "subject": "CN=alice",
        "issuer": "CN=Authority of the tests",
        "serial_number": parsed["serialNumber"],
        "not_before": moment(parsed["notBefore"]),
        "not_after": moment(parsed["notAfter"]),
        "sans": [
            ["DNS", "alice.example"],
            ["EMAIL", "a@example.org"],
            ["IP", "192.0.2.7"],
            ["URI", "urn:a"],
        ],
        "fingerprint": hashlib.sha256(der).hexdigest(),
        "der": der.hex(),
    }
    assert shown[1:] == [shown[0]] * 3


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_without_one(start: Start, files: Files, version: ssl.TLSVersion) -> None:
    context = files.client_of(None)
    context.minimum_version = context.maximum_version = version
    assert ask(start(), context, "/who", "/later", "/pool") == [["none"]] * 3
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required|handshake.failure"):
        ask(start(require_client_cert=True), context, "/who")


def test_bad_ones(start: Start, files: Files, strangers: Files) -> None:
    """A certificate that is there must be good, whether it is required or not."""
    servers = start(), start(require_client_cert=True)
    stranger = strangers.make("mallory", "DNS:mallory")
    for pair, alert in ((stranger, "unknown.ca"), (files.expired(), "certificate.expired")):
        context = files.client_of(pair)
        for server in servers:
            with pytest.raises(ssl.SSLError, match=f"(?i){alert}"):
                ask(server, context, "/who")
            assert server.stats()["requests"] == 0


def test_over_http2(start: Start, files: Files, alice: tuple[Path, Path]) -> None:
    server = start(require_client_cert=True)
    url = f"https://localhost:{server.addresses[0][1]}"
    command = ["curl", "-sS", "--http2", "--cacert", files.authority, "-w", "%{http_version} "]
    command += ["--cert", alice[0], "--key", alice[1]]
    targets = [f"{url}/{name}" for name in ("who", "later", "pool")]
    env = services.unsanitized()
    done = subprocess.run([*command, *targets], env=env, capture_output=True, text=True, timeout=30)
    assert done.stdout.count('"subject":"CN=alice"') == 3, done
    assert done.stdout.count("}2 ") == 3, done


def test_a_session_keeps_its_certificate(
    start: Start, files: Files, alice: tuple[Path, Path]
) -> None:
    import socket

    server = start(require_client_cert=True)
    context = files.client_of(alice)
    session = None
    for expected in (False, True):
        plain = socket.create_connection(server.addresses[0], timeout=20)
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as sock:
            sock.sendall(request("/who", "Connection: close"))
            answer = b""
            while data := sock.recv(65536):
                answer += data
            assert b'"subject":"CN=alice"' in answer
            session = sock.session
            assert sock.session_reused is expected
