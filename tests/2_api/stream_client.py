"""What the tests of streams share: a client that reads a body piece by piece, as it comes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from cello import App
from guest_server import Driver, guest


class Cut(Exception):
    """The connection ended before the body did."""


class Reader:
    """One request and the answer to it."""

    def __init__(self, place: Any, path: str, *lines: str, method: str = "GET", version: int = 1):
        self.sock = socket.create_connection((place.host, place.port), timeout=20)
        self._buffer = b""
        fields = "".join(f"{line}\r\n" for line in lines)
        head = f"{method} {path} HTTP/1.{version}\r\nHost: test\r\n{fields}\r\n"
        self.sock.sendall(head.encode())

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                raise Cut(self._buffer) from None
            if not data:
                raise Cut(self._buffer)
            self._buffer += data
        part, self._buffer = self._buffer.split(mark, 1)
        return part

    def head(self) -> tuple[int, dict[str, str]]:
        first, *lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        fields = [line.split(": ", 1) for line in lines]
        return int(first.split(" ")[1]), {name.lower(): value for name, value in fields}

    def piece(self) -> bytes | None:
        """The next chunk; None behind the last one."""
        size = int(self.until(b"\r\n"), 16)
        if size == 0:
            return None
        while len(self._buffer) < size + 2:
            data = self.sock.recv(65536)
            if not data:
                raise Cut(self._buffer)
            self._buffer += data
        part, self._buffer = self._buffer[:size], self._buffer[size + 2 :]
        return part

    def text(self, count: int) -> str:
        """At least so many bytes of the body."""
        parts = b""
        while len(parts) < count:
            piece = self.piece()
            assert piece is not None, parts
            parts += piece
        return parts.decode()

    def rest(self) -> str:
        """The rest of the body, which must end as it should. Trailers are left."""
        parts = b""
        while (piece := self.piece()) is not None:
            parts += piece
        return parts.decode()

    def trailers(self) -> dict[str, str]:
        lines = []
        while line := self.until(b"\r\n"):
            lines.append(line.decode().split(": ", 1))
        return {name.lower(): value for name, value in lines}


class Said:
    """What handlers did, in order; other threads wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.all: list[Any] = []

    def __call__(self, word: Any) -> None:
        with self._changed:
            self.all.append(word)
            self._changed.notify_all()

    def wait_for(self, *words: Any) -> None:
        def there() -> bool:
            return all(word in self.all for word in words)

        with self._changed:
            assert self._changed.wait_for(there, 20), (words, self.all)


@contextlib.contextmanager
def serving(driver: Driver, **handlers: Callable[..., Any]) -> Iterator[Any]:
    """Each handler is served under its name."""
    app = App()
    for name, function in handlers.items():
        app.get(f"/{name}")(function)
    with guest(app, driver) as client:
        yield client
