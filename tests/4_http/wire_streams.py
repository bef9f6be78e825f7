"""A client of HTTP/2 whose streams a test opens, feeds, holds back and resets one by one.

h2's state machines judge what the server sends: a frame that RFC 9113 does not allow raises.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import h2.connection
import h2.events
from h2.config import H2Configuration
from hyperframe.frame import Frame, GoAwayFrame
from wire import TIMEOUT, Address, Closed, Closing, connect

Fields = Iterable[tuple[str, str]]


@dataclass
class Stream:
    """What the server has said on a stream."""

    id: int
    interim: list[dict[str, str]] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    unread: int = 0  # bytes of body that are not acknowledged
    trailers: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def done(self) -> bool:
        return self.ended or self.reset is not None

    @property
    def status(self) -> int:
        return int(dict(self.fields)[":status"])

    def get(self, name: str) -> str | None:
        return dict(self.fields).get(name)


class Streams(Closing):
    """One connection. reads: bodies are acknowledged as they come, so that more may."""

    def __init__(
        self, address: Address, *, reads: bool = True, sock: socket.socket | None = None
    ) -> None:
        self.sock = sock or connect(address)
        self.scheme = "http" if sock is None else "https"
        self.reads = reads
        self.streams: dict[int, Stream] = {}
        self.pings = 0
        self.goaway: GoAwayFrame | None = None  # the last
        self.closed = False
        self._buffer = b""
        self.settings: dict[int, int] = {}  # that the server sent
        config = H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.flush()

    # ---- sending ----

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            try:
                self.sock.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                self.closed = True

    def open(
        self,
        path: str,
        fields: Fields = (),
        *,
        method: str = "GET",
        authority: str | None = "test",
        end: bool = True,
    ) -> Stream:
        """A request; `end`: without a body."""
        head = [(":method", method), (":scheme", self.scheme), (":path", path)]
        if authority is not None:
            head.insert(2, (":authority", authority))
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, [*head, *fields], end_stream=end)
        self.flush()
        stream = self.streams[number] = Stream(number)
        return stream

    def send(self, stream: Stream, data: bytes, *, end: bool = True) -> None:
        """All of it, as the windows allow."""
        while data:
            room = min(self.h2.local_flow_control_window(stream.id), 16384)
            if room == 0:
                self.receive()
                continue
            self.h2.send_data(stream.id, data[:room])
            data = data[room:]
            self.flush()
        if end:
            self.h2.end_stream(stream.id)
            self.flush()

    def cancel(self, stream: Stream) -> None:
        self.h2.reset_stream(stream.id, 8)
        self.flush()

    def acknowledge(self, stream: Stream) -> None:
        """What has come was read."""
        if stream.unread:
            if stream.ended:
                self.h2.increment_flow_control_window(stream.unread)
            else:
                self.h2.acknowledge_received_data(stream.unread, stream.id)
        stream.unread = 0
        self.flush()

    # ---- receiving ----

    def receive(self) -> None:
        """What comes next. Closed: the connection has ended."""
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            raise Closed("the connection has ended")
        self._buffer += data
        while len(self._buffer) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self._buffer[:9]))
            if len(self._buffer) < 9 + length:
                break
            whole, self._buffer = self._buffer[: 9 + length], self._buffer[9 + length :]
            self._take_frame(frame, whole)
        self.flush()

    def _take_frame(self, frame: Frame, whole: bytes) -> None:
        if isinstance(frame, GoAwayFrame):
            # For h2 the connection were over; the streams that it names go on.
            frame.parse_body(memoryview(whole[9:]))
            self.goaway = frame
            return
        for event in self.h2.receive_data(whole):
            self._take(event)

    def _take(self, event: Any) -> None:
        if isinstance(event, h2.events.RemoteSettingsChanged):
            changed = event.changed_settings.items()
            self.settings.update({int(k): v.new_value for k, v in changed})
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1
        stream = self.streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None:
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(dict(event.headers))  # type: ignore[arg-type]
        elif isinstance(event, h2.events.ResponseReceived):
            stream.fields = list(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data or b""
            stream.unread += event.flow_controlled_length or 0
            if self.reads:
                self.acknowledge(stream)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = list(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = int(event.error_code or 0)

    def until(self, met: Callable[[], object], timeout: float = TIMEOUT) -> None:
        """Receive until a condition is met."""
        end = time.monotonic() + timeout
        while not met():
            assert time.monotonic() < end, "never happened"
            self.receive()

    def finish(self, *streams: Stream) -> None:
        self.until(lambda: all(s.done for s in streams))

    def until_closed(self) -> None:
        try:
            while True:
                self.receive()
        except Closed:
            pass

    def ask(
        self, path: str, fields: Fields = (), *, method: str = "GET", body: bytes | None = None
    ) -> Stream:
        """A request and its whole answer."""
        stream = self.open(path, fields, method=method, end=body is None)
        if body is not None:
            self.send(stream, body)
        self.finish(stream)
        assert stream.reset is None, f"reset with {stream.reset}"
        return stream
