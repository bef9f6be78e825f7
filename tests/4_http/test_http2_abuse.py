"""HTTP/2 clients that mean harm: floods, bombs, stalls and frames that RFC 9113 forbids.

Whoever sends more than any client has a reason to is told to calm down and disconnected. What it
cost is measured on the process, and a neighbour on another connection must not notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import hpack
import pytest
import wire_frames as wf
from h2.errors import ErrorCodes
from wire import Address, Client, eventually, fetch, request
from wire_frames import Frames, frame, get, post, reset, settings, watched, window_update
from wire_marks import http2
from wire_process import ServerProcess, server_process

pytestmark = pytest.mark.transports("h2c")

APP = Path(__file__).with_name("abuse_app.py")
FLOOD = 100_000  # frames, of which no server needs that many to know
MAX_STREAMS = 100  # Http2Config.max_concurrent_streams
WINDOW = 65_535  # before anybody says otherwise


class Abused:
    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        self.address: Address = process.address

    def counts(self) -> dict[str, int]:
        return dict(fetch(self.address, request("/counts")).json())

    @contextmanager
    def attacked(self, greeting: bytes = wf.PREFACE + settings()) -> Iterator[Frames]:
        """By this connection; afterwards no handler runs any more that it called."""
        with watched(self.process, self.address):
            with Frames(self.address, greeting) as attacker:
                yield attacker
            eventually(lambda: self.counts()["running"] == 0, "the end of its handlers")


@contextmanager
def abused_process(backend: str, *words: str) -> Iterator[Abused]:
    with server_process(backend, *words, app=APP) as process:
        with Client(process.address) as client:  # now it has all that is loaded when first used
            client.send(request("/endless"))
            assert client.head().status == 200
        yield Abused(process)


@pytest.fixture(scope="module")
def abused(backend: str) -> Iterator[Abused]:
    with abused_process(backend) as server:
        yield server


@pytest.fixture(scope="module")
def hasty(backend: str) -> Iterator[Abused]:
    """It gives its clients little time."""
    with abused_process(backend, "hasty") as server:
        yield server


def streams(first: int = 1) -> Iterator[int]:
    """Numbers of streams of a client."""
    return iter(range(first, 1 << 31, 2))


def assert_calmed(attacker: Frames, rounds: Iterable[bytes], *also: ErrorCodes) -> None:
    """The flood is stopped, with the code for it, or one of those that fit as well."""
    assert not attacker.flood(rounds), "it was put up with"
    attacker.until(lambda: attacker.goaway is not None)
    assert attacker.goaway in (ErrorCodes.ENHANCE_YOUR_CALM, *also), attacker.goaway


# ---- floods of frames ----


def in_batches(data: bytes, count: int = FLOOD, batch: int = 100) -> Iterator[bytes]:
    return (data * batch for _ in range(count // batch))


FLOODS: dict[str, tuple[bytes, bytes]] = {  # what goes before it, and what is repeated
    "SETTINGS": (b"", settings(max_concurrent_streams=100)),
    "empty SETTINGS": (b"", settings()),
    "SETTINGS that move all windows": (
        b"".join(get(i, "/held") for i in range(1, 2 * MAX_STREAMS, 2)),
        settings(initial_window_size=1) + settings(initial_window_size=1 << 20),
    ),
    "PING": (b"", frame(wf.PING, 0, 0, b"12345678")),
    "PRIORITY": (b"", frame(wf.PRIORITY, 0, 7, b"\0\0\0\0\x10")),
    "PRIORITY_UPDATE of one stream": (b"", frame(wf.PRIORITY_UPDATE, 0, 0, b"\0\0\0\x07u=1")),
    "WINDOW_UPDATE of the connection": (b"", window_update(0, 1)),
    "WINDOW_UPDATE of a stream": (post(1, "/unread"), window_update(1, 1)),
    "WINDOW_UPDATE of a closed stream": (get(1), window_update(1, 1)),
    "empty DATA": (post(1, "/sink"), frame(wf.DATA, 0, 1)),
    "DATA of padding only": (
        post(1, "/sink"),
        frame(wf.DATA, wf.PADDED, 1, b"\0"),
    ),
    "empty CONTINUATION": (
        frame(wf.HEADERS, 0, 1, wf.fields()),
        frame(wf.CONTINUATION, 0, 1),
    ),
    "RST_STREAM of a closed stream": (get(1) + reset(1), reset(1)),
    "ACK of PING that was not sent": (b"", frame(wf.PING, wf.ACK, 0, b"12345678")),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_flood(abused: Abused, kind: str) -> None:
    before, repeated = FLOODS[kind]
    with abused.attacked() as attacker:
        attacker.send(before)
        assert_calmed(attacker, in_batches(repeated))


@http2
@pytest.mark.parametrize("kind", ["PING", "empty SETTINGS"])
def test_flood_whose_answers_nobody_reads(abused: Abused, kind: str) -> None:
    """They must not pile up."""
    with abused.attacked() as attacker:
        assert not attacker.flood(in_batches(FLOODS[kind][1]), reads=False)
        attacker.until(lambda: attacker.goaway is not None)
        assert attacker.goaway == ErrorCodes.ENHANCE_YOUR_CALM


def test_unknown_frames(abused: Abused) -> None:
    """They are ignored, as RFC 9113 wants, section 5.5; at next to no cost."""
    with abused.attacked() as client:
        assert client.flood(in_batches(frame(0xBB, 0, 0)))
        client.assert_open(1)
        client.send(post(3, "/sink"))
        assert client.flood(in_batches(frame(0xBB, 0, 3, b"x" * 10)))
        client.assert_open(5)


def test_continuation_flood(abused: Abused) -> None:
    """CVE-2024-27316: a header section without end, full of fields."""
    block = hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple("x-flood", "y" * 1000)] * 10)
    with abused.attacked() as attacker:
        attacker.send(frame(wf.HEADERS, 0, 1, wf.fields()))
        assert_calmed(attacker, in_batches(frame(wf.CONTINUATION, 0, 1, block), 1000, 10))


def test_priorities_of_streams_that_never_come(abused: Abused) -> None:
    """They are remembered, for a while at most."""
    with abused.attacked() as attacker:
        updates = (
            frame(wf.PRIORITY_UPDATE, 0, 0, i.to_bytes(4, "big") + b"u=7") for i in streams()
        )
        rounds = (next(updates) for _ in range(FLOOD))
        assert_calmed(attacker, rounds, ErrorCodes.PROTOCOL_ERROR)  # RFC 9218, section 7.1


def test_acknowledgements_of_nothing(abused: Abused) -> None:
    with abused.attacked() as attacker:
        rounds = in_batches(frame(wf.SETTINGS, wf.ACK, 0))
        assert_calmed(attacker, rounds, ErrorCodes.PROTOCOL_ERROR)


def test_dependencies_of_streams_that_never_come(abused: Abused) -> None:
    """RFC 7540's tree of priorities grows no more."""
    with abused.attacked() as attacker:
        tree = (
            frame(wf.PRIORITY, 0, i, (i - 2 if i > 1 else 0).to_bytes(4, "big") + b"\xff")
            for i in streams()
        )
        assert_calmed(attacker, (next(tree) for _ in range(FLOOD)))


# ---- requests that are taken back ----


def each_stream(made: Callable[[int], bytes], count: int = FLOOD) -> Iterator[bytes]:
    """A round for ten streams each."""
    numbers = streams()
    return (b"".join(made(next(numbers)) for _ in range(10)) for _ in range(count // 10))


@http2
@pytest.mark.parametrize("path", ["/held", "/plain", "/big", "/nowhere"])
def test_rapid_reset(abused: Abused, path: str) -> None:
    """CVE-2023-44487: each stream is cancelled at once, and so never counts as open."""
    with abused.attacked() as attacker:
        assert_calmed(attacker, each_stream(lambda i: get(i, path) + reset(i)))
    assert abused.counts()["peak"] <= 3 * MAX_STREAMS


def test_rapid_reset_of_bodies(abused: Abused) -> None:
    with abused.attacked() as attacker:
        assert_calmed(attacker, each_stream(lambda i: post(i, "/unread") + reset(i)))


MISTAKES: dict[str, Callable[[int], bytes]] = {
    "WINDOW_UPDATE of 0": lambda i: get(i, "/held") + window_update(i, 0),
    "WINDOW_UPDATE beyond 2^31": lambda i: get(i, "/held") + window_update(i, 0x7FFFFFFF),
    "DATA behind the end": lambda i: get(i, "/held") + frame(wf.DATA, 0, i, b"x"),
    "HEADERS behind the end": lambda i: get(i, "/held") + get(i, "/held"),
    "PRIORITY of 4 bytes": lambda i: get(i, "/held") + frame(wf.PRIORITY, 0, i, b"\0" * 4),
    "dependency on itself": lambda i: (
        get(i, "/held") + frame(wf.PRIORITY, 0, i, i.to_bytes(4, "big") + b"\1")
    ),
    "more than the length": lambda i: (
        post(i, "/unread", ("content-length", "1")) + frame(wf.DATA, 0, i, b"xx")
    ),
    "less than the length": lambda i: (
        post(i, "/unread", ("content-length", "9")) + frame(wf.DATA, wf.END_STREAM, i, b"xx")
    ),
    "trailers without an end": lambda i: (
        post(i, "/unread") + frame(wf.HEADERS, wf.END_HEADERS, i, b"")
    ),
    "malformed trailers": lambda i: (
        post(i, "/unread")
        + frame(wf.HEADERS, wf.END_HEADERS | wf.END_STREAM, i, wf.fields(path="/trailer"))
    ),
    "a head without fields": lambda i: frame(wf.HEADERS, wf.END_HEADERS | wf.END_STREAM, i),
    "a malformed head": lambda i: get(i, "/held", ("Upper", "x")),
}
# For these the whole connection is in error: RFC 9113, 5.1 and 6.9.
FATAL = {
    ErrorCodes.ENHANCE_YOUR_CALM,
    ErrorCodes.PROTOCOL_ERROR,
    ErrorCodes.STREAM_CLOSED,
    ErrorCodes.FLOW_CONTROL_ERROR,
    ErrorCodes.FRAME_SIZE_ERROR,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_made_you_reset(abused: Abused, mistake: str) -> None:
    """CVE-2025-8671: the server is led to reset streams whose handlers go on."""
    with abused.attacked() as attacker:
        assert not attacker.flood(each_stream(MISTAKES[mistake])), "it was put up with"
        attacker.until(lambda: attacker.goaway is not None)
        assert attacker.goaway in FATAL
    assert abused.counts()["peak"] <= 3 * MAX_STREAMS


def test_streams_beyond_the_limit(abused: Abused) -> None:
    """Refused, and the others go on, as long as the client may not know the limit."""
    with abused.attacked() as client:
        client.acknowledges = False
        numbers = streams()
        held = [next(numbers) for _ in range(MAX_STREAMS)]
        client.send(*(get(i, "/held") for i in held))
        beyond = [next(numbers) for _ in range(50)]
        client.send(*(get(i, "/plain") for i in beyond))
        client.until(lambda: set(beyond) <= client.resets.keys())
        assert {client.resets[i] for i in beyond} == {ErrorCodes.REFUSED_STREAM}
        assert not client.resets.keys() & set(held) and client.goaway is None
        client.send(reset(held[0]))
        client.assert_open(next(numbers))


@pytest.mark.parametrize("knows", [False, True])
def test_flood_of_streams_beyond_the_limit(abused: Abused, knows: bool) -> None:
    with abused.attacked() as attacker:
        attacker.acknowledges = knows
        attacker.ping()
        rounds = each_stream(lambda i: get(i, "/held"))
        also = (ErrorCodes.PROTOCOL_ERROR,) if knows else ()  # RFC 9113, section 5.1.2
        assert_calmed(attacker, rounds, *also)
    assert abused.counts()["peak"] <= 3 * MAX_STREAMS


# ---- bombs ----


def indexed_bomb(name: str, size: int, times: int) -> bytes:
    """One field in the dynamic table, and references to it of a byte each."""
    encoder = hpack.Encoder()
    return encoder.encode([(name, "a" * size)]) + b"\xbe" * times


BOMBS = {
    "references": lambda: indexed_bomb("x-bomb", 3900, 16_000),
    "crumbs of a cookie": lambda: indexed_bomb("cookie", 1, 16_000),
    "references to a field of the static table": lambda: b"\x90" * 16_000,  # accept-encoding
    "a long value": lambda: hpack.Encoder().encode([("x-long", "&" * 30_000)]),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_header_bomb(abused: Abused, bomb: str) -> None:
    """Little that decodes to much is refused as what it is; again and again it is abuse."""
    codes = set()
    block = wf.fields() + BOMBS[bomb]()
    with abused.attacked() as attacker:
        for i in range(1, 200, 2):
            if attacker.goaway is not None or attacker.at_end:
                break
            pieces = [block[at : at + 16_384] for at in range(0, len(block), 16_384)]
            attacker.send(frame(wf.HEADERS, wf.END_STREAM, i, pieces[0]))
            attacker.send(*(frame(wf.CONTINUATION, 0, i, piece) for piece in pieces[1:]))
            attacker.send(frame(wf.CONTINUATION, wf.END_HEADERS, i))
            attacker.until(lambda i=i: attacker.over(i) or attacker.goaway is not None)
            codes.add(attacker.statuses.get(i, attacker.resets.get(i, attacker.goaway)))
    assert codes <= {"431", ErrorCodes.ENHANCE_YOUR_CALM}, codes


def test_table_sizes_in_every_head(abused: Abused) -> None:
    """The table is emptied and filled again, as RFC 7541 allows."""
    block = b"\x20\x3f\xe1\x1f" + wf.fields() + hpack.Encoder().encode([("x-a", "a" * 3900)])
    with abused.attacked() as attacker:
        for i in (next(streams(1 + 2 * n)) for n in range(1000)):
            attacker.send(frame(wf.HEADERS, wf.END_HEADERS | wf.END_STREAM, i, block))
            attacker.until(lambda i=i: attacker.over(i))
        assert set(attacker.statuses.values()) == {"200"}


@pytest.mark.parametrize("update", [b"\x20", b"\x3f\xe1\x1f"], ids=["empty", "full"])
def test_many_table_sizes_in_a_head(abused: Abused, update: bytes) -> None:
    with abused.attacked() as attacker:
        attacker.send(frame(wf.HEADERS, 5, 1, update * 5000 + wf.fields()))
        attacker.until(lambda: attacker.over(1) or attacker.goaway is not None)
        assert attacker.statuses.get(1) == "200" or attacker.goaway in (
            ErrorCodes.COMPRESSION_ERROR,
            ErrorCodes.ENHANCE_YOUR_CALM,
        )


def test_a_client_with_a_huge_table(abused: Abused) -> None:
    """The server does not fill it: what it would put there, it has to keep itself."""
    greeting = wf.PREFACE + settings(header_table_size=0xFFFFFFFF)
    with abused.attacked(greeting) as attacker:
        attacker.decoder.max_allowed_table_size = 0xFFFFFFFF
        for n, i in zip(range(200), streams(), strict=False):
            attacker.send(get(i, f"/named?name={n:03}{'x' * 500}"))
            attacker.until(lambda i=i: attacker.over(i))
        assert set(attacker.statuses.values()) == {"200"}
        assert attacker.decoder.header_table._current_size <= 4096


# ---- stalls ----


def stalled(hasty: Abused, greeting: bytes, path: str, *more: bytes) -> Frames:
    """A client that asks for much on all streams and takes nothing: how it ended."""
    with watched(hasty.process, hasty.address), Frames(hasty.address, greeting) as attacker:
        attacker.send(*(get(i, path) for i in range(1, 2 * MAX_STREAMS, 2)), *more)
        eventually(lambda: hasty_connections(hasty) <= 1, "its end")
        attacker.finish()
        return attacker


def hasty_connections(hasty: Abused) -> int:
    """Of the attacker and the neighbour."""
    port = f":{hasty.address[1]:04X}"
    lines = Path(f"/proc/{hasty.process.pid}/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    return sum(row[1].endswith(port) and row[3] == "01" for row in rows)


@http2
@pytest.mark.parametrize("path", ["/big", "/endless"])
def test_a_window_of_nothing(hasty: Abused, path: str) -> None:
    """Answers wait for room that is never made: for the time that is given for writing."""
    stalled(hasty, wf.PREFACE + settings(initial_window_size=0), path)


@http2
@pytest.mark.parametrize("path", ["/big", "/endless"])
def test_a_client_that_never_reads(hasty: Abused, path: str) -> None:
    """All the windows are open, and nothing is taken out of the socket."""
    greeting = wf.PREFACE + settings(initial_window_size=0x7FFFFFFF)
    stalled(hasty, greeting + window_update(0, 0x7FFFFFFF - WINDOW), path)


def test_a_window_in_drops(abused: Abused) -> None:
    """A byte for each WINDOW_UPDATE: a frame of ten for every thirteen that are sent."""
    with abused.attacked(wf.PREFACE + settings(initial_window_size=0)) as attacker:
        attacker.send(get(1, "/big"))
        assert_calmed(attacker, in_batches(window_update(1, 1), batch=10))


# ---- clients that are slow ----


def until_end(attacker: Frames, data: bytes, piece: int = 1) -> None:
    """Sent in pieces for as long as the server puts up with it, which must not be to the end."""
    attacker.sock.settimeout(0.02)
    for at in range(0, len(data), piece):
        attacker.send(data[at : at + piece])
        with suppress(TimeoutError):
            while not attacker.at_end:
                attacker.read()
        if attacker.at_end:
            return
    raise AssertionError("it was put up with")


def test_a_head_without_an_end(hasty: Abused) -> None:
    with watched(hasty.process, hasty.address), Frames(hasty.address) as attacker:
        attacker.send(frame(wf.HEADERS, 0, 1, wf.fields()))
        attacker.finish()


def test_a_head_byte_by_byte(hasty: Abused) -> None:
    head = frame(wf.HEADERS, 5, 1, wf.fields(("x-long", "&" * 4000)))
    with watched(hasty.process, hasty.address), Frames(hasty.address) as attacker:
        until_end(attacker, head)


def test_a_head_in_small_frames(hasty: Abused) -> None:
    with watched(hasty.process, hasty.address), Frames(hasty.address) as attacker:
        attacker.send(frame(wf.HEADERS, 0, 1, wf.fields()))
        until_end(attacker, frame(wf.CONTINUATION, 0, 1, b"\x90") * 1000, 10)


def test_pings_are_no_requests(hasty: Abused) -> None:
    """A connection without requests is idle, whatever else comes."""
    with watched(hasty.process, hasty.address), Frames(hasty.address) as attacker:
        attacker.assert_open(1)
        until_end(attacker, frame(wf.PING, 0, 0, b"12345678") * 1000, 17)
        assert attacker.goaway == ErrorCodes.NO_ERROR


def test_half_a_preface(hasty: Abused) -> None:
    with watched(hasty.process, hasty.address):
        for greeting in (b"", wf.PREFACE[:10], wf.PREFACE, wf.PREFACE + settings()[:5]):
            with Frames(hasty.address, greeting) as attacker:
                attacker.finish()


def test_a_body_that_does_not_come(hasty: Abused) -> None:
    """Its stream ends, and the connection goes on."""
    with watched(hasty.process, hasty.address), Frames(hasty.address) as attacker:
        attacker.send(post(1, "/length") + frame(wf.DATA, 0, 1, b"x"))
        attacker.until(lambda: 1 in attacker.ended)
        assert attacker.statuses[1] == "408"
        attacker.until(lambda: 1 in attacker.resets)
        assert attacker.resets[1] == ErrorCodes.NO_ERROR
        attacker.assert_open(3)


# ---- frames that RFC 9113 forbids ----

CONNECTION, STREAM = "connection", "stream"
HEAD = wf.fields()
WRONG: dict[str, tuple[bytes, str, set[ErrorCodes]]] = {
    "a frame longer than allowed": (
        post(1, "/length") + frame(wf.DATA, 0, 1, b"x" * 16_385),
        CONNECTION,
        {ErrorCodes.FRAME_SIZE_ERROR},
    ),
    "a head longer than allowed": (
        frame(wf.HEADERS, 5, 1, HEAD + b"\x90" * 16_385),
        CONNECTION,
        {ErrorCodes.FRAME_SIZE_ERROR},
    ),
    "a length that is all ones": (
        frame(0xBB, 0, 0, b"x", 0xFFFFFF),
        CONNECTION,
        {ErrorCodes.FRAME_SIZE_ERROR},
    ),
    "an even stream": (get(2), CONNECTION, {ErrorCodes.PROTOCOL_ERROR}),
    "stream 0": (get(0), CONNECTION, {ErrorCodes.PROTOCOL_ERROR}),
    "a stream below the last": (
        get(5, "/held") + get(3, "/held"),
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR, ErrorCodes.STREAM_CLOSED},
    ),
    "a stream twice": (
        get(1, "/held") + get(1, "/held"),
        CONNECTION,
        {ErrorCodes.STREAM_CLOSED, ErrorCodes.PROTOCOL_ERROR},
    ),
    "DATA of stream 0": (frame(wf.DATA, 0, 0, b"x"), CONNECTION, {ErrorCodes.PROTOCOL_ERROR}),
    "DATA of an idle stream": (frame(wf.DATA, 0, 1, b"x"), CONNECTION, {ErrorCodes.PROTOCOL_ERROR}),
    "DATA behind the end": (
        get(1, "/held") + frame(wf.DATA, 0, 1, b"x"),
        CONNECTION,
        {ErrorCodes.STREAM_CLOSED},
    ),
    "DATA padded beyond its length": (
        post(1, "/length") + frame(wf.DATA, wf.PADDED, 1, b"\x09123"),
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR},
    ),
    "HEADERS padded beyond their length": (
        frame(wf.HEADERS, 5 | wf.PADDED, 1, b"\xff" + HEAD),
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR},
    ),
    "RST_STREAM of an idle stream": (reset(1), CONNECTION, {ErrorCodes.PROTOCOL_ERROR}),
    "RST_STREAM of 3 bytes": (
        get(1, "/held") + frame(wf.RST_STREAM, 0, 1, b"\0\0\0"),
        CONNECTION,
        {ErrorCodes.FRAME_SIZE_ERROR},
    ),
    "WINDOW_UPDATE of an idle stream": (
        window_update(1, 1),
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR},
    ),
    "WINDOW_UPDATE of 0": (window_update(0, 0), CONNECTION, {ErrorCodes.PROTOCOL_ERROR}),
    "WINDOW_UPDATE beyond 2^31": (
        window_update(0, 0x7FFFFFFF),
        CONNECTION,
        {ErrorCodes.FLOW_CONTROL_ERROR},
    ),
    "WINDOW_UPDATE beyond 2^31 of a stream": (
        get(1, "/held") + window_update(1, 0x7FFFFFFF),
        STREAM,
        {ErrorCodes.FLOW_CONTROL_ERROR},
    ),
    "WINDOW_UPDATE of 3 bytes": (
        frame(wf.WINDOW_UPDATE, 0, 0, b"\0\0\1"),
        CONNECTION,
        {ErrorCodes.FRAME_SIZE_ERROR},
    ),
    "SETTINGS of a stream": (
        frame(wf.SETTINGS, 0, 1),
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR},
    ),
    "SETTINGS of 5 bytes": (
        frame(wf.SETTINGS, 0, 0, b"\0\1\0\0\0"),
        CONNECTION,
        {ErrorCodes.FRAME_SIZE_ERROR},
    ),
    "an ACK of 6 bytes": (
        frame(wf.SETTINGS, wf.ACK, 0, b"\0\1\0\0\0\0"),
        CONNECTION,
        {ErrorCodes.FRAME_SIZE_ERROR},
    ),
    "ENABLE_PUSH of 2": (settings(enable_push=2), CONNECTION, {ErrorCodes.PROTOCOL_ERROR}),
    "INITIAL_WINDOW_SIZE of 2^31": (
        settings(initial_window_size=1 << 31),
        CONNECTION,
        {ErrorCodes.FLOW_CONTROL_ERROR},
    ),
    "MAX_FRAME_SIZE of 100": (
        settings(max_frame_size=100),
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR},
    ),
    "PING of 7 bytes": (
        frame(wf.PING, 0, 0, b"1234567"),
        CONNECTION,
        {ErrorCodes.FRAME_SIZE_ERROR},
    ),
    "PING of a stream": (
        frame(wf.PING, 0, 1, b"12345678"),
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR},
    ),
    "GOAWAY of a stream": (
        frame(wf.GOAWAY, 0, 1, b"\0" * 8),
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR},
    ),
    "PUSH_PROMISE": (
        get(1, "/held") + frame(wf.PUSH_PROMISE, 4, 1, b"\0\0\0\2" + HEAD),
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR},
    ),
    "CONTINUATION of nothing": (
        frame(wf.CONTINUATION, 4, 1, HEAD),
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR},
    ),
    "another frame inside a head": (
        frame(wf.HEADERS, 1, 1, HEAD) + frame(wf.PING, 0, 0, b"12345678"),
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR},
    ),
    "another head inside a head": (
        frame(wf.HEADERS, 1, 1, HEAD) + get(3),
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR},
    ),
    "an index beyond the table": (
        frame(wf.HEADERS, 5, 1, HEAD + b"\xfe"),
        CONNECTION,
        {ErrorCodes.COMPRESSION_ERROR},
    ),
    "an index of 0": (
        frame(wf.HEADERS, 5, 1, HEAD + b"\x80"),
        CONNECTION,
        {ErrorCodes.COMPRESSION_ERROR},
    ),
    "an integer without end": (
        frame(wf.HEADERS, 5, 1, HEAD + b"\xff" * 20),
        CONNECTION,
        {ErrorCodes.COMPRESSION_ERROR},
    ),
    "a table larger than allowed": (
        frame(wf.HEADERS, 5, 1, b"\x3f\xff\xff\x7f" + HEAD),
        CONNECTION,
        {ErrorCodes.COMPRESSION_ERROR},
    ),
    "a block that is cut": (
        frame(wf.HEADERS, 5, 1, HEAD[:-2]),
        CONNECTION,
        {ErrorCodes.COMPRESSION_ERROR},
    ),
    "more than the window of a stream": (
        post(1, "/unread") + frame(wf.DATA, 0, 1, b"x" * 16_384) * 65,
        STREAM,
        {ErrorCodes.FLOW_CONTROL_ERROR},
    ),
    "no SETTINGS first": (
        b"",
        CONNECTION,
        {ErrorCodes.PROTOCOL_ERROR},
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_forbidden(abused: Abused, what: str) -> None:
    """The code that the RFC names, for the connection or for the stream alone."""
    data, scope, codes = WRONG[what]
    greeting = wf.PREFACE + (settings() if data else frame(wf.PING, 0, 0, b"12345678"))
    with abused.attacked(greeting) as attacker:
        attacker.send(data)
        if scope == STREAM:
            attacker.until(lambda: 1 in attacker.resets)
            assert attacker.resets[1] in codes
            attacker.assert_open(3)
        else:
            attacker.until(lambda: attacker.goaway is not None)
            assert attacker.goaway in codes, ErrorCodes(attacker.goaway)
            attacker.finish()


def test_more_than_the_window_of_the_connection(abused: Abused) -> None:
    """Each stream keeps within its own, and nobody reads them."""
    with abused.attacked() as attacker:
        attacker.ping()  # the larger windows are known and acknowledged
        data = frame(wf.DATA, 0, 1, b"x" * 16_384)
        for i in range(1, 20, 2):
            attacker.send(post(i, "/unread"), data.replace(b"\0\0\0\1", i.to_bytes(4, "big")) * 64)
        attacker.until(lambda: attacker.goaway is not None)
        assert attacker.goaway == ErrorCodes.FLOW_CONTROL_ERROR


def test_data_of_a_stream_that_ended(abused: Abused) -> None:
    with abused.attacked() as attacker:
        attacker.assert_open(1)
        attacker.send(frame(wf.DATA, 0, 1, b"x"))
        attacker.until(lambda: attacker.goaway is not None)
        assert attacker.goaway == ErrorCodes.STREAM_CLOSED


def test_data_of_a_stream_that_the_server_has_ended(abused: Abused) -> None:
    """What was on its way is dropped, and costs no window."""
    with abused.attacked() as client:
        client.ping()
        data = frame(wf.DATA, 0, 1, b"x" * 16_384)
        client.send(post(1, "/length", ("content-length", "20000000")))  # more than is allowed
        for _ in range(20):
            client.send(data * 16)
            client.ping()
        assert client.statuses[1] == "413"
        client.assert_open(3)


# ---- what is no abuse ----


def test_what_clients_do(abused: Abused) -> None:
    """A page that is left, a probe, a library that flushes, windows that are opened again."""
    with abused.attacked() as client:
        client.send(*(get(i, "/held") + window_update(0, 1000) for i in range(1, 200, 2)))
        client.ping()
        client.send(*(reset(i) for i in range(1, 200, 2)))
        for number in range(20):
            client.send(settings(initial_window_size=65_535 + number))
            client.ping()
        client.send(post(201, "/length"))
        for _ in range(50):
            client.send(frame(wf.DATA, 0, 201, b"abc") + frame(wf.DATA, 0, 201))
        client.send(frame(wf.DATA, 1, 201))
        client.until(lambda: 201 in client.ended)
        client.send(
            *(frame(wf.PRIORITY_UPDATE, 0, 0, b"\0\0\1\xf5u=%d" % (n % 8)) for n in range(50))
        )
        client.send(frame(0xBB, 0, 0) * 20)
        client.assert_open(501)


def test_many_requests_are_no_flood(abused: Abused) -> None:
    with watched(abused.process, abused.address, cpu=10), Client(abused.address) as client:
        for _ in range(30):
            client.send(request("/plain") * 100)
            for _ in range(100):
                assert client.answer().status == 200
