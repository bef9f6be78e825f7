"""A client that sends bytes as they are and reads answers strictly.

What it reads is held to RFC 9112 more closely than a browser would: an answer that only a lenient
client understands fails the test.

A test speaks one of TRANSPORTS. Where that is HTTP/2, Client is wire_h2.Http2Client: tests write
requests as HTTP/1.1 all the same, and it says in frames what they mean.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Self

from wire_tls import TlsSocket, certificates

Address = tuple[str, int] | str
TIMEOUT = 20.0  # seconds; only a server that hangs lets it pass

# HTTP/1.1 and HTTP/2, each in clear and over TLS. h2c: with prior knowledge.
TRANSPORTS = ("h1", "h1-tls", "h2", "h2c")
_spoken = "h1"


@contextmanager
def speak(transport: str) -> Iterator[None]:
    """What clients speak that are made in this block."""
    global _spoken
    before, _spoken = _spoken, transport
    try:
        yield
    finally:
        _spoken = before


def spoken() -> str:
    return _spoken


STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e]*)")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\t\x20-\x7e\x80-\xff]*)")
DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    r" \d{4} \d\d:\d\d:\d\d GMT"
)


class Closed(Exception):
    """The server closed the connection where an answer was expected."""


def variables(transport: str) -> dict[str, str]:
    """The environment of a server that speaks it."""
    if transport in ("h1-tls", "h2"):
        files = certificates()
        return {
            "CELLO_TLS_CERT_PATH": str(files.certificate),
            "CELLO_TLS_KEY_PATH": str(files.key),
        }
    return {"CELLO_HTTP2_H2C": "1"} if transport == "h2c" else {}


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    cut: bool = False  # HTTP/2: the server wants no more of this request, or of the connection

    def get_all(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a field that may occur once."""
        values = self.get_all(name)
        assert len(values) <= 1, f"{name} is repeated: {values}"
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def closes(self) -> bool:
        """No more of the request is wanted, and over HTTP/1 no other on this connection."""
        return self.cut or (self.get("Connection") or "").lower() == "close"


def connect(address: Address, timeout: float = TIMEOUT) -> socket.socket:
    """A connection, with TLS where that is spoken."""
    sock = connect_plain(address, timeout)
    if _spoken not in ("h1-tls", "h2"):
        return sock
    protocol = {"h1-tls": "http/1.1", "h2": "h2"}[_spoken]
    try:
        secure = TlsSocket(sock, certificates().client(protocol), "localhost")
    except BaseException:
        sock.close()
        raise
    assert secure.tls.selected_alpn_protocol() == protocol
    return secure  # type: ignore[return-value]


def address_of(server: Any) -> Address:
    """Of the first listener of a Server."""
    host, port = server.addresses[0]
    return host.removeprefix("unix:") if port == 0 else (host, port)


def connect_plain(address: Address, timeout: float = TIMEOUT) -> socket.socket:
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock
    sock = socket.create_connection(address, timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Closing:
    """Closes its socket at the end of a with block."""

    sock: socket.socket

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()


class Client(Closing):
    """One connection."""

    def __new__(cls, *args: Any, **more: Any) -> Client:
        if cls is Client and _spoken.startswith("h2"):
            from wire_h2 import Http2Client

            return super().__new__(Http2Client)
        return super().__new__(cls)

    def __init__(self, address: Address, timeout: float = TIMEOUT, *, dated: bool = True) -> None:
        """dated: every answer must have a Date (that of a proxy may have none)."""
        self.sock = connect(address, timeout)
        self._buffer = b""
        self._dated = dated

    # ---- sending ----

    def send(self, data: bytes, piece: int = 0) -> None:
        """All of it, `piece` bytes at a time (0: at once). A server that has closed is no error
        here: what it answered is still to be read."""
        try:
            if not piece:
                self.sock.sendall(data)
            else:
                for i in range(0, len(data), piece):
                    self.sock.sendall(data[i : i + piece])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def send_some(self, body: bytes) -> int:
        """As much of a part of a body as is taken now, at least a byte: how much."""
        return self.sock.send(body)

    def end(self) -> None:
        """Send no more."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break off, as a client does that lost interest or its process."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # ---- reading ----

    def _receive(self) -> bool:
        data = self.sock.recv(65536)
        self._buffer += data
        return bool(data)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            if not self._receive():
                raise Closed(f"closed in the middle of an answer: {self._buffer[:400]!r}")
        part, self._buffer = self._buffer.split(mark, 1)
        return part

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._receive():
                raise Closed(f"closed after {len(self._buffer)} of {size} bytes")
        part, self._buffer = self._buffer[:size], self._buffer[size:]
        return part

    def piece(self) -> bytes:
        """The next chunk of a body of unknown length; b"" is its end."""
        line = self._until(b"\r\n")
        assert re.fullmatch(rb"[0-9a-f]+", line), line
        part = self.exactly(int(line, 16))
        assert self.exactly(2) == b"\r\n"
        return part

    def chunks(self) -> bytes:
        """A body of unknown length to its end."""
        body = b""
        while part := self.piece():
            body += part
        return body

    def head(self) -> Answer:
        """The head of the next answer, as it must look."""
        lines = self._until(b"\r\n\r\n").split(b"\r\n")
        match = STATUS_LINE.fullmatch(lines[0])
        assert match, f"bad status line {lines[0]!r}"
        fields = []
        for line in lines[1:]:
            field = FIELD_LINE.fullmatch(line)
            assert field, f"bad field line {line!r}"
            fields.append((field[1].decode(), field[2].decode("latin-1")))
        return Answer(int(match[1]), match[2].decode(), tuple(fields), b"")

    def answer(self, to_head: bool = False) -> Answer:
        """The next answer whole; `to_head`: to a HEAD request. Interim ones are answers too."""
        head = self.head()
        if head.status < 200:
            assert not head.get_all("Content-Length") and not head.get_all("Transfer-Encoding")
            return head
        self._check_date(head)
        length, coding = head.get("Content-Length"), head.get("Transfer-Encoding")
        if head.status in (204, 304):
            assert length is None and coding is None
            return head
        assert (length is None) != (coding is None), f"framing by {length!r} and {coding!r}"
        if to_head:
            body = b""
        elif length is not None:
            assert re.fullmatch(r"0|[1-9][0-9]*", length), length
            body = self.exactly(int(length))
        else:
            assert coding == "chunked"
            body = self.chunks()
        return Answer(head.status, head.reason, head.fields, body)

    def _check_date(self, head: Answer) -> None:
        date = head.get("Date")
        if date is not None or self._dated:
            assert date and DATE.fullmatch(date), f"bad Date {date!r}"
            parsedate_to_datetime(date)

    def rest(self) -> bytes:
        """All that comes until the server closes in order; a reset raises."""
        while self._receive():
            pass
        data, self._buffer = self._buffer, b""
        return data

    def assert_closed(self) -> None:
        """The server ends the connection, and has sent nothing more."""
        rest = self.rest()
        assert rest == b"", f"unexpected bytes before the end: {rest[:400]!r}"

    def assert_open(self) -> None:
        """The connection takes another request, and has nothing else to say."""
        self.send(b"GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n")
        answer = self.answer()
        assert (answer.status, answer.body) == (200, b"probe"), answer

    # ---- both ----

    def ask(self, data: bytes, to_head: bool = False) -> Answer:
        self.send(data)
        return self.answer(to_head)


def request(
    target: str | bytes = "/",
    *lines: str | bytes,
    method: str = "GET",
    version: str = "HTTP/1.1",
    host: str | None = "test",
    body: bytes | None = None,
) -> bytes:
    """A request; lines are field lines. A body brings its Content-Length."""
    fields: list[str | bytes] = [] if host is None else [f"Host: {host}"]
    fields += lines
    if body is not None:
        fields.append(f"Content-Length: {len(body)}")
    raw = target if isinstance(target, bytes) else target.encode()
    out = method.encode() + b" " + raw + b" " + version.encode() + b"\r\n"
    for line in fields:
        out += (line if isinstance(line, bytes) else line.encode("latin-1")) + b"\r\n"
    return out + b"\r\n" + (body or b"")


def fetch(address: Address, data: bytes, to_head: bool = False) -> Answer:
    """One answer over a connection of its own."""
    with Client(address) as client:
        return client.ask(data, to_head)


def eventually(check: Callable[[], bool], what: str, timeout: float = TIMEOUT) -> None:
    """Wait for what no descriptor tells."""
    end = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.002)


def refused(address: tuple[str, int]) -> bool:
    """Whether nobody listens any more."""
    try:
        socket.create_connection(address, timeout=5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # in the middle of the listener's end
    return False
