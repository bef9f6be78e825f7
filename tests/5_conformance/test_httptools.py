"""HTTP/1 against httptools (llhttp), over generated requests.

What is well-formed both must read alike: method, target, fields, body. Then requests are damaged at
random: what Cello takes, llhttp must take and read alike; where only Cello refuses, the reason must
be on a list.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httptools
import pytest
from wire import Answer, Client
from wire_process import ServerProcess, server_process

SEED = 20260731
SOUND, DAMAGED = 300, 1500

# Where Cello is stricter, by its own words, and why that is right. These are all that 100,000
# damaged requests have shown.
STRICTER = {
    "The request line is malformed.": "one space between its parts, RFC 9112 section 3",
    "The request target is malformed.": "only what RFC 3986 lets stand there, and no fragment",
    "A line does not end in CR LF.": "a bare LF or CR is what smuggling is made of",
    "The Host header field is missing, repeated or invalid.": "RFC 9112 section 3.2",
    "The length of the body is ambiguous.": "RFC 9112 section 6.3",
    "The only transfer coding supported is chunked.": "RFC 9112 section 6.1",
    "The chunked body is malformed.": "extensions must follow the grammar, RFC 9112 section 7.1.1",
    "A percent-encoding is malformed.": "RFC 3986 section 2.1",
    "Decoded text is not valid UTF-8, or contains NUL.": "paths and queries are text",
}

# Where llhttp is, by its words, and why Cello need not be.
MORE_STRICT_THAN_RFC = {
    "Invalid HTTP version": "a higher minor version is read as 1.1, RFC 9110 section 2.5",
    "Invalid character in chunk": "white space in extensions, RFC 9112 section 7.1.1",
    "invalid `Transfer-Encoding`": "white space behind a value is not its, RFC 9112 section 5.1",
}


@dataclass
class Message:
    """What a parser made of the first request in its input."""

    method: str = ""
    target: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False
    refused: str = ""


class Reader:
    """The callbacks of httptools; trailers and further requests are left out."""

    def __init__(self) -> None:
        self.message = Message()
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        if not self.message.complete:
            self.message.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            # llhttp leaves the white space behind a value, which is no part of it.
            text = value.decode("latin-1").rstrip(" \t")
            self.message.fields.append((name.decode().lower(), text))

    def on_headers_complete(self) -> None:
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        if not self.message.complete:
            self.message.body += body

    def on_message_complete(self) -> None:
        self.message.complete = True


def read_by_llhttp(data: bytes) -> Message:
    reader = Reader()
    parser = httptools.HttpRequestParser(reader)
    try:
        # Byte by byte up to the end of the first request: what follows is no matter.
        for i in range(len(data)):
            parser.feed_data(data[i : i + 1])
            if reader.message.complete:
                break
    except httptools.HttpParserUpgrade:
        reader.message.complete = True
    except httptools.HttpParserError as error:
        if not reader.message.complete:
            reader.message.refused = f"{type(error).__name__}: {error}"
    if reader.message.complete or not reader.message.refused:
        reader.message.method = parser.get_method().decode() if reader.message.target else ""
    return reader.message


def read_by_cello(server: ServerProcess, data: bytes) -> tuple[Message, Answer]:
    with Client(server.address) as client:
        client.send(data)
        client.end()
        answer = client.answer()
        while answer.status < 200:
            answer = client.answer()
    message = Message()
    if answer.status != 200:
        message.refused = answer.json()["detail"]
        if "closed before" in message.refused:
            message.refused = ""
        return message, answer
    seen = answer.json()
    message.complete = True
    message.method = seen["method"]
    message.target = seen["url"]
    message.fields = [(name, value) for name, value in seen["headers"]]
    message.body = seen["body"].encode("latin-1")
    return message, answer


# ---- requests ----

TOKEN = "!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz"
SEGMENT = "abcXYZ019-._~!$&'()*+,;=:@"
VALUE = "abcXYZ 019\t!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"
DAMAGE = [*(bytes([c]) for c in b'\r\n \t\0:,%\x7f\xff#\x0b/?09a;"\\'), b"\r\n", b"HTTP/1.1"]
DAMAGE += [b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n"]


class Generator:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def _text(self, alphabet: str, low: int, high: int) -> str:
        return "".join(self.random.choices(alphabet, k=self.random.randint(low, high)))

    def _escape(self) -> str:
        character = self.random.choice("aZ/ %?#\u00e9\u20ac\U0001f3bb")
        return "".join(f"%{byte:02{self.random.choice('xX')}}" for byte in character.encode())

    def _target(self) -> str:
        segments = []
        for _ in range(self.random.randint(1, 4)):
            # A name first, so that no segment is of dots: those are removed.
            segment = "s" + self._text(SEGMENT, 0, 8)
            if self.random.random() < 0.3:
                segment += self._escape()
            segments.append(segment)
        target = "/" + "/".join(segments)
        if self.random.random() < 0.5:
            target += "?" + self._text(SEGMENT + "/?", 0, 20)
            if self.random.random() < 0.3:
                target += "=" + self._escape()
        return target

    def _fields(self) -> list[bytes]:
        fields = [b"Host: " + self.random.choice([b"a", b"test:80", b"[::1]:8080", b"1.2.3.4"])]
        for _ in range(self.random.randint(0, 6)):
            name = "X-" + self._text(TOKEN, 0, 10)
            value = self._text(VALUE, 0, 30).strip(" \t")
            before, after = (self._text(" \t", 0, 2) for _ in range(2))
            fields.append(f"{name}:{before}{value}{after}".encode())
        self.random.shuffle(fields)
        return fields

    def _chunks(self, body: bytes) -> bytes:
        out = b""
        while body:
            size = self.random.randint(1, len(body))
            extension = self.random.choice([b"", b"", b";a", b";a=b", b';a="b;c"'])
            digits = f"{size:{self.random.choice(['x', 'X', '04x'])}}".encode()
            out += digits + extension + b"\r\n" + body[:size] + b"\r\n"
            body = body[size:]
        trailers = self.random.choice([b"", b"", b"X-Sum: 1\r\n"])
        return out + b"0\r\n" + trailers + b"\r\n"

    def sound(self) -> bytes:
        method = self.random.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
        fields = self._fields()
        body = b""
        if self.random.random() < 0.6:
            body = self.random.randbytes(self.random.randint(0, 200))
            if self.random.random() < 0.5:
                fields.append(b"Content-Length: %d" % len(body))
            else:
                fields.append(b"Transfer-Encoding: chunked")
                body = self._chunks(body)
        version = self.random.choice([b"1.1", b"1.1", b"1.1", b"1.0"])
        if b"Transfer-Encoding: chunked" in fields:
            version = b"1.1"
        line = f"{method} {self._target()} HTTP/".encode() + version
        return line + b"\r\n" + b"\r\n".join(fields) + b"\r\n\r\n" + body

    def damaged(self) -> bytes:
        data = bytearray(self.sound())
        head = data.index(b"\r\n\r\n") + 4
        for _ in range(self.random.randint(1, 3)):
            # Mostly in the head, and there mostly at what means something.
            end = head if self.random.random() < 0.7 else len(data)
            at = self.random.randrange(max(1, min(end, len(data))))
            marks = [i for i in range(min(end, len(data))) if data[i] in b"\r\n :;/,%=?"]
            if marks and self.random.random() < 0.5:
                at = self.random.choice(marks)
            what = self.random.random()
            special = self.random.choice(DAMAGE)
            if what < 0.35:
                data[at:at] = special
            elif what < 0.7:
                data[at : at + 1] = special
            elif what < 0.9:
                del data[at : at + self.random.randint(1, 3)]
            else:
                data[at:at] = data[at : at + self.random.randint(1, 20)]
        return bytes(data)


# ---- tests ----


@pytest.fixture(scope="module", params=["epoll", "io_uring"])
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    app = Path(__file__).with_name("echo_app.py")
    with server_process(request.param, app=app) as process:
        yield process


def assert_alike(data: bytes, ours: Message, theirs: Message) -> None:
    assert ours.method == theirs.method, data
    assert ours.fields == theirs.fields, data
    assert ours.body == theirs.body, data
    hosts = [value for name, value in theirs.fields if name == "host"]
    path, _, query = theirs.target.partition("?")
    # Dot segments are removed, and an empty query is none.
    if path.startswith("/") and "/." not in path and "/%2e" not in path.lower():
        target = path + (f"?{query}" if query else "")
        assert ours.target == (f"http://{hosts[0]}{target}" if hosts else target), data


def test_sound_requests(server: ServerProcess) -> None:
    generator = Generator(SEED)
    for _ in range(SOUND):
        data = generator.sound()
        theirs = read_by_llhttp(data)
        assert theirs.complete and not theirs.refused, (data, theirs)
        ours, answer = read_by_cello(server, data)
        assert answer.status == 200, (data, answer)
        assert_alike(data, ours, theirs)


def test_damaged_requests(server: ServerProcess) -> None:
    generator = Generator(SEED + 1)
    taken = 0
    for _ in range(DAMAGED):
        data = generator.damaged()
        theirs = read_by_llhttp(data)
        ours, answer = read_by_cello(server, data)
        if ours.complete and theirs.complete:
            taken += 1
            assert_alike(data, ours, theirs)
        elif ours.complete:
            known = any(words in theirs.refused for words in MORE_STRICT_THAN_RFC)
            assert known, (data, theirs, answer)
        elif theirs.complete:
            assert ours.refused in STRICTER, (data, ours, answer)
    assert DAMAGED / 10 < taken < DAMAGED  # the damage is neither none nor all
