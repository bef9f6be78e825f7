"""TLS by the kernel: what test_kernel_tls.py runs in a machine whose kernel has it."""

import socket
import ssl
from pathlib import Path

import pytest
from cello import App, StaticFilesConfig
from test_tls import BIG, Start, address_of, dial, make_app, start, tell_openssl
from wire import Client, connect_plain, request
from wire_tls import TlsSocket, certificates

__all__ = ["start"]

COUNTS = Path("/proc/net/tls_stat")


def sealed() -> int:
    """How many connections the kernel has made records for, ever."""
    lines = (line.split() for line in COUNTS.read_text().splitlines())
    return next(int(count) for name, count in lines if name == "TlsTxSw")


def with_files(folder: Path) -> App:
    app = make_app()
    (folder / "file").write_bytes(BIG)
    app.enable_static_files(StaticFilesConfig(str(folder), prefix="/files"))
    return app


@pytest.mark.parametrize("suite", ["AES128", "AES256"])
def test_the_kernel_seals(start: Start, suite: str, tmp_path: Path) -> None:
    names = {"AES128": "TLS_AES_128_GCM_SHA256", "AES256": "TLS_AES_256_GCM_SHA384"}
    server = start(with_files(tmp_path), ciphers=names[suite])
    before = sealed()
    with Client(address_of(server)) as client:
        assert client.ask(request("/who")).status == 200
        assert sealed() == before + 1
        for path in ("/big", "/stream", "/files/file"):
            assert client.ask(request(path)).body == BIG
        part = client.ask(request("/files/file", "Range: bytes=100-70099"))
        assert part.status == 206 and part.body == BIG[100:70100]
    assert sealed() == before + 1


def older() -> ssl.SSLContext:
    context = certificates().client("http/1.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def test_who_is_not_sealed_for(start: Start) -> None:
    """TLS 1.2, other ciphers, and `ktls="off"`."""
    chacha = start(ciphers="TLS_CHACHA20_POLY1305_SHA256")
    off, on = start(ktls="off"), start()
    before = sealed()
    for server, context in ((chacha, None), (off, None), (on, older())):
        sock = dial(server, context)
        sock.sendall(request("/who"))
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        sock.close()
    assert sealed() == before


def test_key_update(start: Start) -> None:
    """The kernel cannot change its keys: who asks for that is told that it does not go on."""
    steps = [("Verify return code", b"K\n"), ("KEYUPDATE", b"x"), ("internal error", b"")]
    tell_openssl(start(), "-tls1_3", steps=steps)


def test_slow_reader(start: Start) -> None:
    """The end comes behind all of the answer, also when the socket has no room for it yet: a record
    that the kernel has only begun to send would be cut."""
    app = make_app()
    body = BIG[:100_000]
    app.get("/some")(lambda: body)
    server = start(app)
    for _ in range(3):
        sock = connect_plain(address_of(server))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, 4096)
        tls = TlsSocket(sock, certificates().client("http/1.1"), "test")
        tls.sendall(request("/some", "Connection: close"))
        answer = b"".join(iter(lambda tls=tls: tls.recv(3000), b""))
        tls.close()
        assert answer.endswith(body)
