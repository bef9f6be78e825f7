"""HTTP/2 over TLS: chosen by ALPN, and the same there as in clear."""

import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import services
from cello import App, Http2Config, Request, Server, TlsConfig
from wire import connect, eventually, request
from wire_streams import Streams
from wire_tls import TlsSocket, certificates

Start = Callable[..., Server]
BIG = bytes(range(256)) * 4096


@pytest.fixture
def start(backend: str) -> Iterator[Start]:
    servers: list[Server] = []

    def start_server(**options: Any) -> Server:
        app = App()
        app.get("/")(lambda: "root")
        app.get("/big")(lambda: BIG)
        app.post("/body")(lambda req: req.body())

        @app.get("/echo")
        def echo(req: Request) -> dict[str, Any]:
            return {
                "scheme": req.scheme,
                "url": str(req.url),
                "base_url": str(req.base_url),
                "secure": req.is_secure(),
                "host": req.headers["host"],
                "client": (req.client or ("",))[0],
            }

        own = certificates()
        tls = TlsConfig(str(own.certificate), str(own.key))
        servers.append(app.start(backend=backend, tls=tls, **options))
        return servers[-1]

    yield start_server
    for server in servers:
        server.stop(1)


def secured(server: Server, *protocols: str) -> TlsSocket:
    sock = connect(server.addresses[0])
    try:
        return TlsSocket(sock, certificates().client(*protocols), "localhost")
    except BaseException:
        sock.close()
        raise


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("h2", "http/1.1"), "h2"),
        (("http/1.1", "h2"), "h2"),
        (("h2",), "h2"),
        (("http/1.1",), "http/1.1"),
        (("spdy/3", "http/1.1"), "http/1.1"),
        ((), None),
    ],
)
def test_alpn(start: Start, offered: tuple[str, ...], chosen: str | None) -> None:
    server = start()
    sock = secured(server, *offered)
    assert sock.tls.selected_alpn_protocol() == chosen
    if chosen == "h2":
        with Streams(server.addresses[0], sock=sock) as streams:
            assert streams.ask("/").body == b"root"
    else:
        sock.sendall(request("/"))
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        sock.close()


def test_no_protocol_in_common(start: Start) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        secured(start(), "spdy/3")


def test_http2_turned_off(start: Start) -> None:
    server = start(http2=False)
    sock = secured(server, "h2", "http/1.1")
    assert sock.tls.selected_alpn_protocol() == "http/1.1"
    sock.close()
    with pytest.raises(ssl.SSLError):
        secured(server, "h2")


def test_attributes(start: Start) -> None:
    server = start()
    port = server.addresses[0][1]
    with Streams(server.addresses[0], sock=secured(server, "h2")) as client:
        asked = client.open("/echo", authority=f"localhost:{port}")
        client.finish(asked)
        assert json.loads(asked.body) == {
            "scheme": "https",
            "url": f"https://localhost:{port}/echo",
            "base_url": f"https://localhost:{port}/",
            "secure": True,
            "host": f"localhost:{port}",
            "client": "127.0.0.1",
        }


def test_httpx(start: Start) -> None:
    server = start()
    context = certificates().client("h2", "http/1.1")
    with httpx.Client(http2=True, verify=context, base_url=server.url) as client:
        for _ in range(3):
            answer = client.post("/body", content=BIG)
            assert answer.content == BIG and answer.http_version == "HTTP/2"
        assert client.get("/big").content == BIG


def run(words: list[str]) -> subprocess.CompletedProcess[bytes]:
    env = services.unsanitized()
    return subprocess.run(words, env=env, capture_output=True, timeout=60)


def test_curl(start: Start) -> None:
    server = start()
    words = ["curl", "-sS", "--cacert", str(certificates().authority), "-w", "%{http_version}"]
    done = run([*words, server.url + "/"])
    assert done.stdout == b"root2", done
    done = run([*words, "--http1.1", server.url + "/"])
    assert done.stdout == b"root1.1", done


def test_nghttp_and_h2load(start: Start) -> None:
    server = start()
    done = run(["nghttp", "-nv", server.url + "/big"])
    assert done.returncode == 0 and b":status: 200" in done.stdout, done
    words = ["h2load", "-n", "2000", "-c", "4", "-m", "50", server.url + "/"]
    done = run(words)
    assert b"2000 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout


def test_values_hold_over_tls_and_h2c_does_not_matter(start: Start) -> None:
    config = Http2Config(max_concurrent_streams=7, h2c=True)
    server = start(http2=config)
    with Streams(server.addresses[0], sock=secured(server, "h2")) as client:
        client.until(lambda: client.settings)
        assert client.settings[3] == 7
    # The preface does not speak for itself there: without ALPN it is HTTP/1.
    sock = secured(server)
    sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert sock.recv(65536).startswith(b"HTTP/1.1 400 ")
    sock.close()


def test_a_stop_says_goodbye(start: Start) -> None:
    server = start()
    with Streams(server.addresses[0], sock=secured(server, "h2")) as client:
        assert client.ask("/").body == b"root"
        server.stop(5)
        client.until_closed()  # with close_notify, or TlsSocket raises
        assert client.goaway is not None and client.goaway.error_code == 0


def test_the_client_leaves(start: Start) -> None:
    server = start()
    sock = secured(server, "h2")
    with Streams(server.addresses[0], sock=sock) as client:
        assert client.ask("/").body == b"root"
    eventually(lambda: server.stats()["connections"] == 0, "it was closed")
