"""Bodies that handlers read while they come, over real sockets: slow and fast senders, those that
say nothing, those that leave, and those that are held back."""

import asyncio
import contextlib
import hashlib
import logging
import os
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from cello import App, BackgroundTasks, ClientDisconnected, Request, Response, TimeoutConfig
from wire import Address, Client, eventually, fetch, request, spoken
from wire_marks import every_transport, http1

pytestmark = every_transport

LITTLE = 0.3 if "LD_PRELOAD" not in os.environ else 2  # seconds; for a sanitizer
LARGE = 60_000_000  # more than all buffers on the way hold
KINDS = ("async", "sync")


class Readers:
    """An application that reads, its server, and what its handlers saw."""

    def __init__(self, backend: str) -> None:
        self.seen: queue.Queue[Any] = queue.Queue()
        self.go = threading.Event()
        self.tasks: list[asyncio.Future[None]] = []
        self.file = ""
        self.server = self._app().start(backend=backend)
        self.address: Address = self.server.addresses[0]

    def _app(self) -> App:
        app = App()
        app.set_timeouts(TimeoutConfig(read_body=LITTLE, min_body_rate=0, handler=0))

        def options(path: str) -> Any:
            return app.post(path, body="stream", max_body=LARGE)

        @options("/async")
        async def read_async(req: Request) -> dict[str, Any]:
            digest, pieces = hashlib.md5(), 0
            try:
                async for chunk in req.stream():
                    digest.update(chunk)
                    pieces += 1
                    self.seen.put(len(chunk))
            except BaseException as error:
                self.seen.put(error)
                raise
            return {"md5": digest.hexdigest(), "pieces": pieces}

        @options("/sync")
        def read_sync(req: Request) -> dict[str, Any]:
            digest, pieces = hashlib.md5(), 0
            try:
                for chunk in req.stream():
                    digest.update(chunk)
                    pieces += 1
                    self.seen.put(len(chunk))
            except BaseException as error:
                self.seen.put(error)
                raise
            return {"md5": digest.hexdigest(), "pieces": pieces}

        @options("/slow-async")
        async def slow_async(req: Request) -> int:
            self.seen.put("entered")
            await asyncio.to_thread(self.go.wait)
            return sum([len(chunk) async for chunk in req.stream()])

        @options("/slow-sync")
        def slow_sync(req: Request) -> int:
            self.seen.put("entered")
            self.go.wait()
            return sum(map(len, req.stream()))

        @options("/tee")
        async def tee(req: Request) -> AsyncIterator[bytes]:
            async for chunk in req.stream():
                yield chunk.upper()

        @options("/early")
        async def early(req: Request) -> str:
            return "early"

        @options("/first")
        async def first(req: Request) -> str:
            async for chunk in req.stream():
                return chunk.decode()
            return "nothing"

        async def read_on(stream: AsyncIterator[bytes]) -> None:
            size = 0
            try:
                async for chunk in stream:
                    size += len(chunk)
                self.seen.put(size)
            except ClientDisconnected as error:
                self.seen.put(error)

        @options("/task")
        async def task(req: Request, tasks: BackgroundTasks) -> str:
            tasks.add_task(read_on, req.stream())
            return "answered"

        @options("/file")
        async def file(req: Request) -> Response:
            self.tasks.append(asyncio.ensure_future(read_on(req.stream())))
            self.seen.put("entered")
            await asyncio.to_thread(self.go.wait)
            return Response.file(self.file)

        @app.get("/probe")
        def probe() -> str:
            return "probe"

        return app


@pytest.fixture
def readers(backend: str) -> Iterator[Readers]:
    found = Readers(backend)
    yield found
    found.go.set()
    found.server.stop(10)


def head(target: str, *lines: str) -> bytes:
    return request(target, *lines, method="POST")


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1, 8000, 100_000, 3_000_000])
def test_what_is_read_is_what_was_sent(readers: Readers, kind: str, size: int) -> None:
    body = bytes(i % 251 for i in range(min(size, 8000))) * max(1, size // 8000)
    expected = hashlib.md5(body).hexdigest()
    with Client(readers.address) as client:
        assert client.ask(request(f"/{kind}", method="POST", body=body)).json()["md5"] == expected
        pieces = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
        data = head(f"/{kind}", "Transfer-Encoding: chunked") + chunked(*pieces) + b"0\r\n\r\n"
        assert client.ask(data).json()["md5"] == expected
        client.assert_open()


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_come_when_they_are_sent(readers: Readers, kind: str) -> None:
    with Client(readers.address) as client:
        client.send(head(f"/{kind}", "Content-Length: 15"))
        for i in range(5):
            client.send(b"abc")
            assert readers.seen.get(timeout=10) == 3, i
        assert client.answer().json()["pieces"] == 5
        client.assert_open()


@pytest.mark.parametrize("kind", KINDS)
def test_large_bodies_come_in_large_pieces(readers: Readers, kind: str) -> None:
    body = b"x" * 20_000_000
    pieces = fetch(readers.address, request(f"/{kind}", method="POST", body=body)).json()["pieces"]
    assert pieces <= 20_000_000 // 8000


@pytest.mark.parametrize("kind", KINDS)
def test_fast_sender_that_pauses(readers: Readers, kind: str) -> None:
    total, sent, got = 20_000_000, 0, 0
    with Client(readers.address) as client:
        client.send(head(f"/{kind}", f"Content-Length: {total}"))
        for size in (9_000_001, 1, 10_000_000, 12_345, 1, total - 19_012_348):
            client.send(b"x" * size)
            sent += size
            while got < sent:  # although nothing more is sent
                got += readers.seen.get(timeout=10)
        assert client.answer().status == 200
        client.assert_open()


@pytest.mark.parametrize("kind", KINDS)
def test_silence_after_a_fast_start(readers: Readers, kind: str) -> None:
    with Client(readers.address) as client:
        client.send(head(f"/{kind}", "Content-Length: 20000000") + b"x" * 9_000_001)
        assert client.answer().status == 408
        client.assert_closed()
    got = 0
    while got < 9_000_001:
        got += readers.seen.get(timeout=10)
    assert readers.seen.get(timeout=10).status == 408


@pytest.mark.parametrize("kind", KINDS)
def test_silent_client(readers: Readers, kind: str) -> None:
    with Client(readers.address) as client:
        answer = client.ask(head(f"/{kind}", "Content-Length: 10") + b"abc")
        assert answer.status == 408
        assert answer.closes
        client.assert_closed()
    assert readers.seen.get(timeout=10) == 3
    assert readers.seen.get(timeout=10).status == 408


FRAMINGS = ["Content-Length: 1000", "Transfer-Encoding: chunked"]


def begun(kind: str, framing: str) -> bytes:
    """A request whose body has more than these three bytes."""
    return head(f"/{kind}", framing) + (b"3\r\nabc\r\n" if "chunked" in framing else b"abc")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_client_leaves_midway(
    readers: Readers, kind: str, framing: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cello")
    for ending in ("close", "reset"):
        with Client(readers.address) as client:
            client.send(begun(kind, framing))
            assert readers.seen.get(timeout=10) == 3
            if ending == "reset":
                client.reset()
                assert isinstance(readers.seen.get(timeout=10), ClientDisconnected)
        if ending == "close":
            assert isinstance(readers.seen.get(timeout=10), ClientDisconnected)
    eventually(lambda: readers.server.stats()["inflight"] == 0, "the requests end")
    assert caplog.records == []


@http1
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_client_ends_its_side_midway(
    readers: Readers, kind: str, framing: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cello")
    with Client(readers.address) as client:
        client.send(begun(kind, framing))
        assert readers.seen.get(timeout=10) == 3
        client.end()
        answer = client.answer()
        assert (answer.status, answer.closes) == (400, True)
        client.assert_closed()
    assert isinstance(readers.seen.get(timeout=10), ClientDisconnected)
    eventually(lambda: readers.server.stats()["inflight"] == 0, "the requests end")
    assert caplog.records == []


def window() -> int:
    """What of a body waits for its handler: CL_BODY_WINDOW, or Http2Config.initial_window_size."""
    return 1 << 20 if spoken().startswith("h2") else 1 << 19


def send_until_full(client: Client) -> int:
    """Bytes of LARGE that all buffers together hold."""
    block, sent = b"x" * 1_000_000, 0
    client.sock.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while sent < LARGE:
            sent += client.send_some(block[: LARGE - sent])
    return sent


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("framing", [f"Content-Length: {LARGE}", "Transfer-Encoding: chunked"])
def test_sender_is_held_back(readers: Readers, kind: str, framing: str) -> None:
    with Client(readers.address) as client:
        client.send(head(f"/slow-{kind}", framing))
        if "chunked" in framing:
            client.send(b"%x\r\n" % LARGE)
        assert readers.seen.get(timeout=10) == "entered"
        before = readers.server.stats()["buffered_bytes"]
        sent = send_until_full(client)
        assert sent < 50_000_000
        block = b"x" * 1_000_000
        assert readers.server.stats()["buffered_bytes"] - before <= 4 * window()
        client.sock.settimeout(20)
        readers.go.set()
        while sent < LARGE:
            sent += client.send_some(block[: LARGE - sent])
            assert readers.server.stats()["buffered_bytes"] - before <= 4 * window()
        if "chunked" in framing:
            client.send(b"\r\n0\r\n\r\n")
        assert client.answer().json() == LARGE
        client.assert_open()


@pytest.mark.parametrize("kind", KINDS)
def test_continue(readers: Readers, kind: str) -> None:
    with Client(readers.address) as client:
        client.send(head(f"/{kind}", "Expect: 100-continue", "Content-Length: 3"))
        assert client.answer().status == 100
        client.send(b"abc")
        assert client.answer().status == 200
        client.send(head("/early", "Expect: 100-continue", "Content-Length: 3"))
        answer = client.answer()
        assert (answer.status, answer.body, answer.closes) == (200, b"early", True)
        client.assert_closed()
    with Client(readers.address) as client:
        big = f"Content-Length: {LARGE + 1}"
        answer = client.ask(head(f"/{kind}", "Expect: 100-continue", big))
        assert (answer.status, answer.closes) == (413, True)
    assert readers.seen.get(timeout=10) == 3
    assert readers.seen.empty()


@http1
@pytest.mark.parametrize("kind", KINDS)
def test_malformed_chunks_midway(readers: Readers, kind: str) -> None:
    for bad in (b"x\r\n", b"3\r\nabcd\r\n", b"0\r\nA : b\r\n\r\n", b"3;=\r\nabc\r\n"):
        with Client(readers.address) as client:
            client.send(head(f"/{kind}", "Transfer-Encoding: chunked") + chunked(b"abc"))
            assert readers.seen.get(timeout=10) == 3
            client.send(bad)
            answer = client.answer()
            assert (answer.status, answer.closes) == (400, True), bad
            client.assert_closed()
            last = readers.seen.get(timeout=10)
            while isinstance(last, int):
                last = readers.seen.get(timeout=10)
            assert last.status == 400


def test_answers_while_it_reads(readers: Readers) -> None:
    with Client(readers.address) as client:
        client.send(head("/tee", "Transfer-Encoding: chunked") + chunked(b"abc"))
        answer = client.head()
        assert (answer.status, answer.get("Content-Length")) == (200, None)
        assert not answer.closes
        assert client.piece() == b"ABC"
        for part in (b"de", b"fghi"):
            client.send(chunked(part))
            assert client.piece() == part.upper()
        client.send(b"0\r\n\r\n" + request("/probe"))
        assert client.piece() == b""
        assert client.answer().body == b"probe"
        client.assert_open()


def test_client_leaves_while_it_is_answered(
    readers: Readers, caplog: pytest.LogCaptureFixture
) -> None:
    for end in (True, False):
        with Client(readers.address) as client:
            client.send(head("/tee", "Transfer-Encoding: chunked") + chunked(b"abc"))
            client.head()
            assert client.piece() == b"ABC"
            if end:
                client.end()
                with contextlib.suppress(ConnectionResetError):
                    client.assert_closed()  # without a last chunk: it is not complete
    eventually(lambda: readers.server.stats()["connections"] == 0, "the connections go")
    assert caplog.records == []


@pytest.mark.parametrize("target", ["/async", "/sync", "/early", "/first"])
def test_pipelined_requests_behind_the_body(readers: Readers, target: str) -> None:
    one = request(target, method="POST", body=b"abc")
    two = head(target, "Transfer-Encoding: chunked") + chunked(b"abc") + b"0\r\n\r\n"
    with Client(readers.address) as client:
        client.send(one + request("/probe") + two + request("/probe") + one)
        for _ in range(2):
            answer = client.answer()
            assert (answer.status, answer.closes) == (200, False)
            assert client.answer().body == b"probe"
        assert client.answer().status == 200
        client.assert_open()


def test_one_thread_waits_at_a_time(backend: str) -> None:
    app = App()
    streams: queue.Queue[Any] = queue.Queue()

    @app.post("/owner", body="stream", blocking=True)
    def owner(req: Request) -> bytes:
        stream = req.stream()
        streams.put(stream)
        return b"".join(stream)

    @app.get("/other", blocking=True)
    def other() -> str:
        with pytest.raises(RuntimeError) as caught:
            next(streams.get())
        return str(caught.value)

    with (
        app.start(backend=backend) as server,
        Client(server.addresses[0]) as first,
        Client(server.addresses[0]) as second,
    ):
        first.send(head("/owner", "Content-Length: 3", "Expect: 100-continue"))
        assert first.head().status == 100  # the owner waits
        assert b"another task or thread" in second.ask(request("/other")).body
        first.send(b"abc")
        assert first.answer().body == b"abc"


def test_answer_before_the_body_has_come(readers: Readers) -> None:
    for lines in (("Content-Length: 1000",), ("Transfer-Encoding: chunked",)):
        with Client(readers.address) as client:
            answer = client.ask(head("/early", *lines))
            assert (answer.body, answer.closes) == (b"early", True)
            client.send(b"x" * 1000)  # is read and dropped: a reset would destroy the answer
            client.end()
            client.assert_closed()


@pytest.mark.parametrize("sent", [0, 500, 1000])
def test_read_on_after_the_answer(readers: Readers, sent: int) -> None:
    """What was skipped for the next request's sake is missing: the rest is not taken for all."""
    with Client(readers.address) as client:
        answer = client.ask(head("/task", "Content-Length: 1000") + b"x" * sent)
        assert (answer.body, answer.closes) == (b"answered", sent < 1000)
        assert isinstance(readers.seen.get(timeout=20), ClientDisconnected)


@pytest.mark.parametrize("sent", [500, 1000])
def test_read_on_while_a_file_is_sent(readers: Readers, sent: int, tmp_path: Path) -> None:
    """The request lives until its client has the file; its body ended with the answer's head."""
    readers.file = str(tmp_path / "large")
    Path(readers.file).write_bytes(b"x" * 20_000_000)
    with Client(readers.address) as client:
        client.send(head("/file", "Content-Length: 1000") + b"x" * 100)
        assert readers.seen.get(timeout=20) == "entered"
        readers.go.set()
        client.head()
        client.send(b"x" * (sent - 100))
        assert isinstance(readers.seen.get(timeout=20), ClientDisconnected)
