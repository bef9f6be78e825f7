"""What the tests of async handlers share: a server for one test, and requests to it."""

import contextlib
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from cello import App
from cello._server import Server


class Client:
    """Requests to one server, each on a connection of its own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.host, self.port = server.addresses[0]

    def get(self, path: str) -> tuple[int, Any]:
        """The status, and the body: decoded when it is JSON, else text."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            text = response.read().decode()
            is_json = "json" in response.headers.get("Content-Type", "")
            return response.status, json.loads(text) if is_json else text

    def body(self, path: str) -> Any:
        status, body = self.get(path)
        assert status == 200, body
        return body

    def send(self, path: str, count: int = 1) -> socket.socket:
        """A connection on which `count` requests were sent and nothing was read."""
        sock = socket.create_connection((self.host, self.port), timeout=20)
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode() * count)
        return sock


def reset(sock: socket.socket) -> None:
    """Leave for good; a mere close() may be a client that still reads."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@contextlib.contextmanager
def serving(app: App, **options: Any) -> Iterator[Client]:
    with app.start("127.0.0.1", 0, **options) as server:
        yield Client(server)


@contextlib.contextmanager
def handler(function: Callable[..., Any]) -> Iterator[Client]:
    """A server whose only route, "/", is `function`."""
    app = App()
    app.get("/")(function)
    with serving(app) as client:
        yield client


def run_script(text: str, **environment: str) -> str:
    """What a Python program of its own prints; a failure of it is one of the test."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
