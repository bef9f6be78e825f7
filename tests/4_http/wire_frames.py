"""A client that sends HTTP/2 frames as they are, right or wrong, and what they cost the server."""

from __future__ import annotations

import os
import select
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hpack
from h2.errors import ErrorCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)
from wire import TIMEOUT, Address, Client, Closing, connect, eventually, request
from wire_process import Process

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SANITIZED = "san" in os.environ.get("LD_PRELOAD", "")
Pair = tuple[str, str]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"", length: int = -1) -> bytes:
    """The bytes of one; `length`: what its head says instead of the truth."""
    size = len(payload) if length < 0 else length
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION, PRIORITY_UPDATE = 8, 9, 16
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 32


def fields(*more: Pair, method: str = "GET", path: str = "/plain") -> bytes:
    """A header block that leaves the dynamic table as it is: it may be sent any number of times."""
    pairs = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path)]
    return hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*p) for p in [*pairs, *more]])


def get(stream: int, path: str = "/plain", *more: Pair, end: bool = True) -> bytes:
    flags = END_HEADERS | (END_STREAM if end else 0)
    return frame(HEADERS, flags, stream, fields(*more, path=path))


def post(stream: int, path: str, *more: Pair) -> bytes:
    """A body follows."""
    return frame(HEADERS, END_HEADERS, stream, fields(*more, method="POST", path=path))


def reset(stream: int, code: int = ErrorCodes.CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def settings(**values: int) -> bytes:
    """By the names of RFC 9113, 6.5.2, in lower case."""
    names = ["header_table_size", "enable_push", "max_concurrent_streams"]
    names += ["initial_window_size", "max_frame_size", "max_header_list_size"]
    pairs = [(names.index(name) + 1, value) for name, value in values.items()]
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


class Frames(Closing):
    """A connection that has sent its preface and these SETTINGS. What comes is kept by stream."""

    def __init__(self, address: Address, greeting: bytes = PREFACE + settings()) -> None:
        self.sock = connect(address)
        self.acknowledges = True
        self._received = b""
        self.decoder = hpack.Decoder()
        self._block = b""
        self.seen: list[Frame] = []
        self.statuses: dict[int, str] = {}  # of final answers
        self.resets: dict[int, int] = {}
        self.ended: set[int] = set()
        self.goaway: int | None = None
        self.at_end = False
        self.send(greeting)

    # ---- sending ----

    def send(self, *data: bytes) -> None:
        """A server that has closed is no error: what it said is still to be read."""
        try:
            self.sock.sendall(b"".join(data))
        except (BrokenPipeError, ConnectionResetError):
            self.at_end = not self._readable()

    def flood(self, rounds: Iterable[bytes], *, reads: bool = True) -> bool:
        """Send all of this; False: the server would not have it, and said so or closed. `reads`:
        what it says is read meanwhile, else afterwards."""
        for data in rounds:
            self.send(data)
            while reads and not self.at_end and self._readable():
                self.read()
            if self._rejected():
                return False
        self.send(frame(PING, 0, 0, b"the last"))
        while not self._rejected():
            if any(isinstance(o, PingFrame) and o.opaque_data == b"the last" for o in self.seen):
                return True
            self.seen.clear()
            self.read()
        return False

    def _rejected(self) -> bool:
        return self.at_end or self.goaway is not None

    # ---- reading ----

    def _readable(self) -> bool:
        return bool(select.select([self.sock.fileno()], [], [], 0)[0])

    def read(self) -> None:
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        self.at_end = not data
        self._received += data
        at = 0
        view = memoryview(self._received)
        while len(view) - at >= 9:
            one, length = Frame.parse_frame_header(view[at : at + 9])
            if len(view) - at < 9 + length:
                break
            one.parse_body(view[at + 9 : at + 9 + length])
            at += 9 + length
            self._take(one)
        self._received = bytes(view[at:])

    def _take(self, one: Frame) -> None:
        self.seen.append(one)
        if isinstance(one, SettingsFrame) and "ACK" not in one.flags:
            if self.acknowledges:
                self.send(frame(SETTINGS, ACK, 0))
        elif isinstance(one, GoAwayFrame):
            self.goaway = one.error_code
        elif isinstance(one, RstStreamFrame):
            self.resets[one.stream_id] = one.error_code
        elif isinstance(one, HeadersFrame | ContinuationFrame):
            self._block += one.data
            if "END_HEADERS" in one.flags:
                self._take_head(one.stream_id, dict(self.decoder.decode(self._block)))
                self._block = b""
        if isinstance(one, HeadersFrame | DataFrame) and "END_STREAM" in one.flags:
            self.ended.add(one.stream_id)

    def _take_head(self, stream: int, head: dict[str, str]) -> None:
        status = head.get(":status", "")
        if status and not status.startswith("1"):
            self.statuses[stream] = status

    def until(self, seen: Callable[[], object]) -> None:
        while not seen():
            assert not self.at_end, f"closed; seen: {self.seen[-20:]}"
            self.read()

    def finish(self) -> None:
        """Read until the server ends the connection."""
        while not self.at_end:
            self.read()

    def over(self, stream: int) -> bool:
        return stream in self.ended or stream in self.resets

    def assert_open(self, stream: int) -> None:
        """It takes a request on this stream, and has said nothing of its end."""
        self.send(get(stream, "/plain"))
        self.until(lambda: self.over(stream))
        assert self.statuses.get(stream) == "200", self.resets
        assert self.goaway is None

    def ping(self) -> None:
        """What was sent before has been read."""
        pongs = self._pongs()
        self.send(frame(PING, 0, 0, b"12345678"))
        self.until(lambda: self._pongs() > pongs or self.goaway is not None)

    def _pongs(self) -> int:
        return sum(isinstance(one, PingFrame) for one in self.seen)


# ---- what it costs ----


class Neighbour:
    """A client that means well, on a connection of its own, while others do not."""

    def __init__(self, address: Address) -> None:
        self._client = Client(address)
        self._asked = 0
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            while not self._over.wait(0.005):
                answer = self._client.ask(request("/plain"))
                assert (answer.status, answer.body, answer.closes) == (200, b"hello", False)
                self._asked += 1
        except BaseException as error:
            self._error = error

    def leave(self) -> None:
        """It has been answered meanwhile, and still is."""
        try:
            before = self._asked
            eventually(lambda: self._asked > before or self._error is not None, "an answer")
        finally:
            self._over.set()
            self._thread.join(TIMEOUT)
            self._client.sock.close()
        assert self._error is None, self._error


def cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def watched(
    server: Process, address: Address, cpu: float = 2.0, mb: float = 16.0
) -> Iterator[None]:
    """What happens in the block costs the server no more, and a neighbour does not notice it."""
    neighbour = Neighbour(address)
    cpu_before, mb_before = cpu_seconds(server.pid), rss_mb(server.pid)
    try:
        yield
    finally:
        neighbour.leave()
    if not SANITIZED:
        assert cpu_seconds(server.pid) - cpu_before < cpu
        assert rss_mb(server.pid) - mb_before < mb
