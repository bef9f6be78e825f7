"""The client of wire.py over HTTP/2: the same tests, their requests said in frames.

A request is read as it is written and becomes a stream as soon as its head is complete; its content
becomes DATA as it comes, within the windows. Answers are read in the order of the requests, though
the server may send them in any. What it receives is held to RFC 9113 by h2's state machines.

What has no counterpart: Connection and the coding of chunks are left out. After an answer before
the end of its request (Answer.closes) the stream may only be reset with NO_ERROR (section 8.1);
where a test expects the end of the connection then, only the stream ends, and the connection must
serve on.
"""

from __future__ import annotations

import re
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h2.connection
import h2.events
from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.exceptions import StreamClosedError
from h2.settings import SettingCodes
from hyperframe.frame import Frame, GoAwayFrame
from wire import TIMEOUT, Address, Answer, Client, Closed, connect, spoken

Fields = list[tuple[bytes, bytes]]

# RFC 9113, section 8.2.2: they are about a connection of HTTP/1.
CONNECTION_FIELDS = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]*)(.*)", re.DOTALL)


class Untranslatable(Exception):
    """Bytes whose meaning HTTP/2 has no way to say."""


class StreamCut(Closed, ConnectionResetError):
    """The server reset the stream."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the stream was reset with {code_name(code)}")
        self.code = code


def code_name(code: int) -> str:
    return ErrorCodes(code).name if code in list(ErrorCodes) else str(code)


# ---- requests, as they are written ----


@dataclass
class Exchange:
    """A request that is being sent, and what came of its answer."""

    fields: Fields
    id: int = 0  # of its stream; 0: waits for one
    out: bytearray = field(default_factory=bytearray)
    trailers: Fields = field(default_factory=list)
    complete: bool = False  # all of it was written
    sent: bool = False  # all of it left
    heads: deque[Answer] = field(default_factory=deque)
    body: bytearray = field(default_factory=bytearray)
    pieces: deque[int] = field(default_factory=deque)  # lengths of DATA in body
    got_trailers: Fields = field(default_factory=list)
    ended: bool = False
    code: int | None = None  # the server's reset

    @property
    def to_head(self) -> bool:
        return (b":method", b"HEAD") in self.fields


def parse_fields(lines: list[bytes]) -> Fields:
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or name != name.strip() or not name:
            raise Untranslatable(line)
        fields.append((name.lower(), value.strip(b" \t")))
    return fields


def parse_head(head: bytes, scheme: bytes) -> tuple[Fields, int | None]:
    """What HEADERS say, and the content's length; None: it is chunked."""
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or words[2] not in (b"HTTP/1.1", b"HTTP/1.2"):
        raise Untranslatable(first)
    method, target, _ = words
    fields = parse_fields(lines)
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) != 1:
        raise Untranslatable("Host is not given once")
    authority = hosts[0]
    if match := ABSOLUTE.fullmatch(target):
        authority, target = match[1], match[2]
        if not target.startswith(b"/"):
            target = (b"*" if method == b"OPTIONS" and not target else b"/") + target
    if method == b"CONNECT":
        pseudo = [(b":method", method), (b":authority", target)]
    else:
        pseudo = [(b":method", method), (b":scheme", scheme)]
        pseudo += [(b":authority", authority), (b":path", target)]
    rest = [pair for pair in fields if pair[0] not in CONNECTION_FIELDS | {b"host"}]
    return pseudo + rest, content_length(fields)


def content_length(fields: Fields) -> int | None:
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if codings == [b"chunked"] and not lengths:
        return None
    if codings or len(lengths) > 1 or not all(re.fullmatch(rb"[0-9]{1,18}", v) for v in lengths):
        raise Untranslatable((codings, lengths))
    return int(lengths[0]) if lengths else 0


class RequestReader:
    """Reads HTTP/1.1 requests, cut anywhere. `begin` is called with each head's fields."""

    def __init__(self, scheme: bytes, begin: Callable[[Exchange], None]) -> None:
        self._scheme = scheme
        self._begin = begin
        self._buffer = bytearray()
        self._state: Callable[[], bool] = self._head
        self._left = 0
        self.exchange: Exchange | None = None

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while self._buffer and self._state():
            pass

    def abandon(self) -> None:
        """The rest of the request is not going to be written."""
        if self._state != self._head:
            self._complete()
        self._buffer.clear()

    @property
    def between(self) -> bool:
        """Nothing of a request has been written that is not complete."""
        return not self._buffer and self._state == self._head

    def _take(self, mark: bytes) -> bytes | None:
        at = self._buffer.find(mark)
        if at < 0:
            return None
        part = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return part

    def _head(self) -> bool:
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
        head = self._take(b"\r\n\r\n")
        if head is None:
            return False
        fields, length = parse_head(head, self._scheme)
        self.exchange = Exchange(fields)
        self._begin(self.exchange)
        self._left = length or 0
        if length is None:
            self._state = self._chunk_size
        elif length:
            self._state = self._content
        else:
            self._complete()
        return True

    def _complete(self, trailers: Fields | None = None) -> None:
        assert self.exchange
        self.exchange.trailers = trailers or []
        self.exchange.complete = True
        self._state = self._head

    def _move(self) -> bool:
        """Content to the exchange; whether all that was announced has come."""
        assert self.exchange
        part = self._buffer[: self._left]
        del self._buffer[: len(part)]
        self.exchange.out += part
        self._left -= len(part)
        return not self._left

    def _content(self) -> bool:
        if self._move():
            self._complete()
        return True

    def _chunk_size(self) -> bool:
        line = self._take(b"\r\n")
        if line is None:
            return False
        match = re.fullmatch(rb"([0-9a-fA-F]{1,15})([ \t]*;[\t\x20-\xff]*)?", line)
        if not match:
            raise Untranslatable(line)
        self._left = int(match[1], 16)
        self._state = self._chunk if self._left else self._trailers
        return True

    def _chunk(self) -> bool:
        if not self._move():
            return True
        if len(self._buffer) < 2:
            return False
        if self._take(b"\r\n") != b"":
            raise Untranslatable("no line end behind a chunk")
        self._state = self._chunk_size
        return True

    def _trailers(self) -> bool:
        if self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
            self._complete()
            return True
        section = self._take(b"\r\n\r\n")
        if section is None:
            return False
        self._complete(parse_fields(section.split(b"\r\n")))
        return True


def translatable(data: bytes) -> bool:
    """Whether these bytes are whole requests that HTTP/2 can say."""
    reader = RequestReader(b"http", lambda exchange: None)
    try:
        reader.feed(data)
    except Untranslatable:
        return False
    return reader.exchange is not None and reader.between


# ---- the connection ----


class Http2Client(Client):
    """One connection."""

    def __init__(self, address: Address, timeout: float = TIMEOUT, *, dated: bool = True) -> None:
        self.sock = connect(address, timeout)
        self._dated = dated
        self._piece = 0
        self._lock = threading.RLock()  # some tests send and read in two threads
        self._received = b""  # bytes of a frame that is not complete
        self._reader = RequestReader(b"https" if spoken() == "h2" else b"http", self._begin)
        self._waiting: deque[Exchange] = deque()  # to be sent
        self._unread: deque[Exchange] = deque()  # their heads have not been read to the final one
        self._streams: dict[int, Exchange] = {}
        self._current: Exchange | None = None  # whose body is read
        self._allowed = 100  # streams at once, before the server has said how many: section 6.5.2
        self._cut = False  # the last answer came before the end of its request
        self._at_end = False
        self._half_closed = False
        self.goaway: int | None = None
        config = H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self._h2 = h2.connection.H2Connection(config)
        self._h2.local_settings[SettingCodes.ENABLE_PUSH] = 0
        self._h2.initiate_connection()
        self._push()

    # ---- sending ----

    def send(self, data: bytes, piece: int = 0) -> None:
        """All of it, as far as the server takes it; it may answer, and end the stream, before."""
        with self._lock:
            self._piece = piece
            self._reader.feed(data)
            self._flush()
            while self._blocked():
                self._receive()
            self._piece = 0

    def send_some(self, body: bytes) -> int:
        exchange = self._waiting[-1]
        assert not exchange.out and not exchange.complete
        while not (room := self._room(exchange)):
            self._receive()
        part = body[: min(room, self._h2.max_outbound_frame_size)]
        self._reader.feed(part)
        self._flush()
        return len(part)

    def reset(self) -> None:
        for exchange in self._streams.values():
            if not exchange.ended and exchange.code is None:
                self._h2.reset_stream(exchange.id, ErrorCodes.CANCEL)
        self._push()

    def _give_up(self) -> None:
        """The rest of the request, as a client does whose upload was answered before its end."""
        exchange = self._current
        assert exchange
        self._reader.abandon()
        if exchange.code is None and not exchange.sent:
            self._h2.reset_stream(exchange.id, ErrorCodes.NO_ERROR)
            exchange.code = ErrorCodes.NO_ERROR
        self._flush()

    def _begin(self, exchange: Exchange) -> None:
        self._waiting.append(exchange)
        self._unread.append(exchange)

    def _blocked(self) -> bool:
        """Whether content waits for the windows of a stream that lives."""
        return not self._at_end and any(e.id and e.out for e in self._waiting)

    def _room(self, exchange: Exchange) -> int:
        return int(self._h2.local_flow_control_window(exchange.id))

    def _flush(self) -> None:
        """Send what may be sent."""
        for exchange in list(self._waiting):
            if exchange.code is None and not self._flush_one(exchange):
                continue
            if exchange.code is not None:
                exchange.out.clear()  # nobody wants it any more
            if exchange.sent or (exchange.code is not None and exchange.complete):
                self._waiting.remove(exchange)
        self._push()

    def _flush_one(self, exchange: Exchange) -> bool:
        """False: not yet begun."""
        bare = exchange.complete and not exchange.out and not exchange.trailers
        if not exchange.id:
            if self._h2.open_outbound_streams >= self._allowed:
                return False
            exchange.id = self._h2.get_next_available_stream_id()
            self._streams[exchange.id] = exchange
            self._h2.send_headers(exchange.id, exchange.fields, end_stream=bare)
            exchange.sent = bare
        while exchange.out and (room := self._room(exchange)):
            size = min(room, self._h2.max_outbound_frame_size, len(exchange.out))
            last = size == len(exchange.out) and exchange.complete and not exchange.trailers
            self._h2.send_data(exchange.id, bytes(exchange.out[:size]), end_stream=last)
            del exchange.out[:size]
            exchange.sent = last
        if exchange.complete and not exchange.out and not exchange.sent:
            if exchange.trailers:
                self._h2.send_headers(exchange.id, exchange.trailers, end_stream=True)
            else:
                self._h2.end_stream(exchange.id)
            exchange.sent = True
        return True

    def _push(self) -> None:
        """What is to be sent. A server that has closed is no error: what it said is read first."""
        data = self._h2.data_to_send()
        if self._half_closed:
            return
        size = self._piece or len(data)
        try:
            for at in range(0, len(data), size or 1):
                self.sock.sendall(data[at : at + size])
        except (BrokenPipeError, ConnectionResetError):
            self._half_closed = True

    # ---- receiving ----

    def _receive(self) -> bool:
        """What the server says next; False: it has ended the connection."""
        with self._lock:
            data = self.sock.recv(65536)
            self._at_end = not data
            self._received += data
            while len(self._received) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self._received[:9]))
                if len(self._received) < 9 + length:
                    break
                whole, self._received = self._received[: 9 + length], self._received[9 + length :]
                self._take_frame(frame, whole)
            if not self._at_end:
                self._flush()
            return not self._at_end

    def _take_frame(self, frame: Frame, whole: bytes) -> None:
        if isinstance(frame, GoAwayFrame):
            # Streams that it names go on, which h2 does not know.
            frame.parse_body(memoryview(whole[9:]))
            self.goaway = frame.error_code
            for exchange in self._streams.values():
                if exchange.id > frame.last_stream_id and exchange.code is None:
                    exchange.code = ErrorCodes.REFUSED_STREAM
            return
        for event in self._h2.receive_data(whole):
            self._take_event(event)

    def _take_event(self, event: Any) -> None:
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self._allowed = self._h2.remote_settings.max_concurrent_streams
        exchange = self._streams.get(getattr(event, "stream_id", 0))
        if not exchange:
            return
        if isinstance(event, h2.events.ResponseReceived | h2.events.InformationalResponseReceived):
            exchange.heads.append(answer_of(event.headers))
        elif isinstance(event, h2.events.DataReceived):
            exchange.body += event.data
            if event.data:
                exchange.pieces.append(len(event.data))
            # The connection's window is not what holds a stream back here: others use it too.
            if event.flow_controlled_length:
                self._h2.increment_flow_control_window(event.flow_controlled_length)
        elif isinstance(event, h2.events.TrailersReceived):
            exchange.got_trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            exchange.ended = True
        elif isinstance(event, h2.events.StreamReset):
            exchange.code = int(event.error_code)

    # ---- reading ----

    def _until_seen(self, exchange: Exchange, seen: Callable[[], Any]) -> None:
        """Receive until this has been seen of the exchange."""
        while not seen():
            if exchange.code is not None:
                raise StreamCut(exchange.code)
            if self._at_end or not self._receive():
                raise Closed(f"closed in the middle of an answer: {exchange}"[:600])

    def head(self) -> Answer:
        assert self._unread, "no request has been sent"
        exchange = self._unread[0]
        try:
            self._until_seen(exchange, lambda: exchange.heads)
        except StreamCut:
            self._unread.popleft()
            raise
        head = exchange.heads.popleft()
        if head.status >= 200:
            self._current = self._unread.popleft()
        return head

    def exactly(self, size: int) -> bytes:
        exchange = self._current
        assert exchange
        parts = b""
        while len(parts) < size:
            self._until_seen(exchange, lambda: exchange.body or exchange.ended)
            if not exchange.body:
                raise Closed(f"closed after {len(parts)} of {size} bytes")
            parts += self._consume(exchange, min(len(exchange.body), size - len(parts)))
        return parts

    def _consume(self, exchange: Exchange, size: int) -> bytes:
        part = bytes(exchange.body[:size])
        del exchange.body[:size]
        with self._lock:
            if size and not exchange.ended and exchange.code is None:
                try:
                    self._h2.increment_flow_control_window(size, exchange.id)
                    self._push()
                except StreamClosedError:
                    pass
        return part

    def piece(self) -> bytes:
        """The next DATA frame; b"" is the end of the stream."""
        exchange = self._current
        assert exchange
        self._until_seen(exchange, lambda: exchange.pieces or exchange.ended)
        return self._consume(exchange, exchange.pieces.popleft()) if exchange.pieces else b""

    def rest(self) -> bytes:
        """The body until its end; a reset raises."""
        return self.chunks()

    def answer(self, to_head: bool = False) -> Answer:
        head = self.head()
        if head.status < 200:
            assert not head.get_all("content-length")
            return head
        self._check_date(head)
        assert not head.get_all("transfer-encoding") and not head.get_all("connection")
        exchange = self._current
        assert exchange
        body = self.chunks()
        length = head.get("content-length")
        if head.status in (204, 304):
            assert length is None and not body
        elif to_head:
            assert not body
        else:
            assert length is None or length == str(len(body)), (length, len(body))
        self._cut = not exchange.sent
        if exchange.code is not None:
            assert exchange.code == ErrorCodes.NO_ERROR, code_name(exchange.code)
        return Answer(head.status, "", head.fields, body, self._cut or self.goaway is not None)

    def assert_closed(self) -> None:
        """What was cut was a stream; else the connection ends, in order."""
        if self._cut and self.goaway is None and not self._half_closed:
            self._give_up()
            self.assert_open()
            return
        assert not self._unread or not self._unread[0].heads, "an answer that nobody expects"
        while not self._at_end and self._receive():
            pass
        assert all(e.code is not None or not e.heads for e in self._unread)
        assert self.goaway in (None, ErrorCodes.NO_ERROR), code_name(self.goaway or 0)

    def end(self) -> None:
        self._half_closed = True
        self.sock.shutdown(socket.SHUT_WR)


def answer_of(fields: Fields) -> Answer:
    """A head, with what RFC 9113 asks of one that h2 does not look at."""
    (name, status), *rest = fields
    assert name == b":status" and re.fullmatch(rb"[1-5][0-9][0-9]", status), fields
    said = tuple((name.decode(), value.decode("latin-1")) for name, value in rest)
    assert not [name for name, _ in said if name.startswith(":")], said
    return Answer(int(status), "", said, b"")
