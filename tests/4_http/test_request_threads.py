"""Requests that handlers hand to threads of their own: what they say of the client there, when its
connection has gone before anybody asked."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cello import App, Http2Config, Request, TlsConfig
from wire import connect_plain, eventually, request, speak
from wire_streams import Streams
from wire_tls import TlsSocket, certificates

CARRIERS = ["h1", "h2c", "h1-tls", "h2-tls"]


class Site:
    """A server, and what threads have seen of requests once their clients were gone."""

    def __init__(self, backend: str, carrier: str) -> None:
        self.carrier, self.secure = carrier, carrier.endswith("tls")
        self.gone, self.looking = threading.Event(), threading.Event()
        self.seen: list[dict[str, Any]] = []
        app = self.app = App()
        app.get("/awaited")(self.awaited)
        app.get("/again")(self.again)
        app.get("/task")(self.task)
        app.get("/plain")(self.plain)
        app.post("/stream", body="stream")(self.awaited)
        files = certificates()
        tls = TlsConfig(files.certificate, files.key, ca_path=files.authority)
        self.server = app.start(
            backend=backend, tls=tls if self.secure else None, http2=Http2Config(h2c=True)
        )

    # ---- handlers ----

    async def awaited(self, req: Request) -> None:
        await asyncio.shield(asyncio.to_thread(self.look, req))

    async def again(self, req: Request) -> None:
        await asyncio.sleep(0)
        await self.awaited(req)

    async def task(self, req: Request) -> str:
        """The thread has it for longer than the handler."""
        self.kept = asyncio.create_task(asyncio.to_thread(self.look, req))
        return "answered"

    def plain(self, req: Request) -> str:
        threading.Thread(target=self.look, args=(req,)).start()
        return "answered"

    def look(self, req: Request) -> None:
        self.looking.set()
        self.gone.wait(20)
        seen = {
            "client": req.client,
            "credentials": req.peer_credentials,
            "cert": req.client_cert,
            "scheme": req.scheme,
            "secure": req.is_secure(),
            "disconnected": req.is_disconnected(),
            "url": req.url,
            "query": req.query.multi_items(),
        }
        with pytest.raises(RuntimeError, match="own handler"):
            req.early_hints({"Link": "</a>"})
        if req.method == "POST":
            with pytest.raises(RuntimeError, match="thread of the server"):
                next(iter(req.stream()))
        self.seen.append(seen)

    # ---- the client ----

    def dial(self) -> tuple[Any, Any]:
        plain = connect_plain(self.server.addresses[0])
        if not self.secure:
            return plain, plain
        files = certificates()
        context = files.client("h2" if self.carrier == "h2-tls" else "http/1.1")
        context.load_cert_chain(*alice())
        return plain, TlsSocket(plain, context, "localhost")

    def ask_and_go(self, target: str) -> tuple[str, int]:
        """A client that leaves, with a reset, while a thread looks; its address."""
        plain, sock = self.dial()
        address: tuple[str, int] = plain.getsockname()
        method = "POST" if target == "/stream" else "GET"
        if self.carrier.startswith("h2"):
            client = Streams(self.server.addresses[0], sock=sock)
            client.open(target + "?a=1", method=method, end=method == "GET")
        else:
            fields = ["Content-Length: 10"] if method == "POST" else []
            sock.sendall(request(target + "?a=1", *fields, method=method))
        assert self.looking.wait(20)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain.close()
        eventually(lambda: self.server.stats()["connections"] == 0, "the connection is gone")
        self.gone.set()
        eventually(lambda: self.seen, "what the thread saw")
        return address[:2]


def alice() -> tuple[str, str]:
    cert, key = certificates().make("alice", "DNS:alice.example")
    return str(cert), str(key)


@pytest.fixture
def sites(backend: str) -> Iterator[Callable[[str], Site]]:
    made: list[Site] = []

    def make(carrier: str) -> Site:
        made.append(Site(backend, carrier))
        return made[-1]

    with speak("h1"):
        yield make
    for site in made:
        site.gone.set()
        site.server.stop(1)


@pytest.mark.parametrize("target", ["/awaited", "/again", "/task", "/plain", "/stream"])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_what_a_thread_sees(sites: Callable[[str], Site], carrier: str, target: str) -> None:
    site = sites(carrier)
    address = site.ask_and_go(target)
    seen = site.seen[0]
    assert tuple(seen["client"]) == address
    assert seen["credentials"] is None
    assert seen["scheme"] == ("https" if site.secure else "http")
    assert seen["secure"] is site.secure
    assert (seen["cert"] is not None) is site.secure
    if site.secure:
        assert seen["cert"].subject == "CN=alice"
    assert seen["disconnected"] is True
    assert seen["url"].endswith(f"{target}?a=1")
    assert seen["query"] == [("a", "1")]
