"""What the API tests share: an application that is asked without a port, or served on one."""

import http.client
import json
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from types import FrameType
from typing import Any

from cello import App, Server
from cello.testing import TestClient

BACKENDS = ("epoll", "io_uring")


@dataclass
class Answer:
    status: int
    reason: str
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def data(self) -> Any:
        return json.loads(self.body)


class Asker:
    """Asks an application without a port, with requests that say no more than the test does."""

    def __init__(self, app: App) -> None:
        self._client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
        self._client.headers.clear()

    def ask(
        self,
        target: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        answer = self._client.request(
            method,
            "/",
            content=body,
            headers=headers,
            extensions={"target": target.encode()},  # as it is: httpx would mend the path
        )
        self._client.cookies.clear()
        message = Message()
        for name, value in answer.headers.raw:
            message[name.decode("latin-1")] = value.decode("latin-1")
        return Answer(answer.status_code, answer.reason_phrase, message, answer.content)

    def get(self, target: str, **headers: str) -> Answer:
        return self.ask(target, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def raw(self, data: bytes) -> bytes:
        """All that comes back on a connection of its own, which the data ask to close."""
        pump = self._client._engine._pump
        connection = pump.connect()
        while data:
            data = data[connection.send(data) :]
            pump.wait(connection, 10)
        received = b""
        while (more := connection.receive(65536)) != b"":
            if more is None:
                pump.wait(connection, 10)
            received += more or b""
        return received

    def __enter__(self) -> "Asker":
        self._client.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._client.__exit__()


class Client:
    """One keep-alive connection to a server."""

    def __init__(self, address: tuple[str, int], server: Server | None = None) -> None:
        self.address = address
        self._server = server
        self._connection = http.client.HTTPConnection(*address, timeout=10)

    @property
    def server(self) -> Server:
        assert self._server is not None
        return self._server

    def ask(
        self,
        target: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        self._connection.request(method, target, body=body, headers=headers or {})
        answer = self._connection.getresponse()
        return Answer(answer.status, answer.reason, answer.headers, answer.read())

    def get(self, target: str, **headers: str) -> Answer:
        return self.ask(target, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def raw(self, data: bytes) -> bytes:
        """All that comes back on a connection of its own, which the data ask to close."""
        with socket.create_connection(self.address, timeout=10) as s:
            s.sendall(data)
            return b"".join(iter(lambda: s.recv(65536), b""))

    def pipeline(self, request: bytes, count: int, batch: int = 50) -> None:
        """Send `count` copies of a request on one connection, `batch` at a time, and read answers
        of one length each."""
        with socket.create_connection(self.address, timeout=20) as s:
            s.sendall(request)
            size = len(read_answer(s))
            for first in range(1, count, batch):
                n = min(batch, count - first)
                s.sendall(request * n)
                left = n * size
                while left > 0:
                    chunk = s.recv(min(left, 1 << 20))
                    assert chunk, "the server closed the connection"
                    left -= len(chunk)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read_answer(s: socket.socket) -> bytes:
    """One answer with a Content-Length, or without a body."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = s.recv(65536)
        assert chunk, "the server closed the connection"
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        chunk = s.recv(65536)
        assert chunk, "the server closed the connection"
        body += chunk
    assert len(body) == length, "more than one answer"
    return head + b"\r\n\r\n" + body


def asking(app: App) -> Asker:
    """The application, started up; its start and its end are those of the block."""
    return Asker(app)


@contextmanager
def serving(app: App, **settings: Any) -> Iterator[Client]:
    """The application on a free port, and a client of it."""
    start = app.start("127.0.0.1", 0, **settings)
    with start as server, Client(server.addresses[0], server) as client:
        yield client


@contextmanager
def profiled(app: App, **settings: Any) -> Iterator[tuple[Client, Counter[str]]]:
    """The same, with the Python frames of the server's thread counted by function from now on."""
    frames: Counter[str] = Counter()

    def on_event(frame: FrameType, event: str, arg: object) -> None:
        if event == "call":
            frames[frame.f_code.co_qualname] += 1

    @app.get("/profile")
    def profile() -> None:
        sys.setprofile(on_event)

    with serving(app, **settings) as client:
        client.get("/profile")
        frames.clear()
        yield client, frames
