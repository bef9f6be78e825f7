"""Uploads over sockets: cut anywhere, malformed, slow, left, many and large."""

import hashlib
import mmap
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import services
from upload_app import resident
from wire import Answer, Client, eventually
from wire_marks import every_transport, in_clear
from wire_process import ServerProcess, server_process

pytestmark = every_transport

SANITIZED = "LD_PRELOAD" in os.environ

APP = Path(__file__).with_name("upload_app.py")
BOUNDARY = b"--xYz"
LARGE = bytes(range(256)) * 1024  # does not stay in memory


@pytest.fixture(scope="module")
def uploads(backend: str) -> Iterator[ServerProcess]:
    with server_process(backend, app=APP) as process:
        yield process


def part(name: str, data: bytes, filename: str | None = None) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        head += f'; filename="{filename}"\r\nContent-Type: application/octet-stream'
    return b"".join([BOUNDARY, b"\r\n", head.encode(), b"\r\n\r\n", data, b"\r\n"])


END = BOUNDARY + b"--\r\n"


def head_of(path: str, length: int | None, *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: test"]
    lines += ["Content-Type: multipart/form-data; boundary=xYz", *more]
    lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def message(path: str, body: bytes) -> bytes:
    return head_of(path, len(body)) + body


def ask(server: ServerProcess, path: str, body: bytes, piece: int = 0) -> Answer:
    with Client(server.address) as client:
        client.send(message(path, body), piece)
        return client.answer()


def described(name: str, data: bytes, filename: str) -> list[Any]:
    return [name, [filename, len(data), hashlib.md5(data).hexdigest()]]


def descriptors(server: ServerProcess) -> int:
    """Of files without a name."""
    count = 0
    for number in os.listdir(folder := f"/proc/{server.pid}/fd"):
        with suppress(FileNotFoundError):
            link = os.readlink(f"{folder}/{number}")
            count += link.endswith(" (deleted)") and not link.startswith("/memfd:")
    return count


FORM = (
    b"preamble\r\n"
    + part("a", "ü€\r\n--xY\r\n-".encode())
    + part("f", b"\r\n--xY" * 20 + b"\r", 'é \\"q\\".bin')
    + part("f", b"", "empty")
    + part("g", LARGE, "../large")
    + part("a", b"")
    + END
    + b"epilogue"
)
EXPECTED = [
    ["a", "ü€\r\n--xY\r\n-"],
    described("f", b"\r\n--xY" * 20 + b"\r", 'é "q".bin'),
    described("f", b"", "empty"),
    described("g", LARGE, "../large"),
    ["a", ""],
]


@pytest.mark.parametrize("path", ["/parsed", "/stored"])
@pytest.mark.parametrize("piece", [0, 1000, 4096, 65536])
def test_what_was_sent_is_there(uploads: ServerProcess, path: str, piece: int) -> None:
    assert ask(uploads, path, FORM, piece).json() == EXPECTED


@pytest.mark.parametrize("path", ["/parsed", "/stored"])
def test_cut_anywhere(uploads: ServerProcess, path: str) -> None:
    body = FORM.replace(LARGE, LARGE[:100])
    expected = ask(uploads, path, body).json()
    assert len(expected) == 5
    sent = message(path, body)
    start = len(sent) - len(body)
    with Client(uploads.address) as client:
        for cut in range(start, len(sent), 7):
            client.send(sent[:cut])
            client.send(sent[cut:])
            assert client.answer().json() == expected
        client.send(sent, 1)
        assert client.answer().json() == expected


@pytest.mark.parametrize("size", [1, 3, 1000, 100000])
def test_chunked(uploads: ServerProcess, size: int) -> None:
    body = FORM if size > 10 else FORM.replace(LARGE, b"x")
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    encoded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    with Client(uploads.address) as client:
        client.send(head_of("/stored", None) + encoded + b"0\r\n\r\n")
        assert len(client.answer().json()) == 5


def test_expectations_are_met(uploads: ServerProcess) -> None:
    with Client(uploads.address) as client:
        client.send(head_of("/stored", len(FORM), "Expect: 100-continue"))
        assert client.head().status == 100
        client.send(FORM)
        assert client.answer().json() == EXPECTED
    with Client(uploads.address) as client:  # what cannot be read is not asked for
        client.send(head_of("/stored", len(FORM), "Expect: 100-continue").replace(b"xYz", b'"a*"'))
        assert client.answer().status == 400


MALFORMED = {
    "no delimiter": b"x",
    "no end": part("a", b"x"),
    "only an end without its line": BOUNDARY + b"-",
    "no name": BOUNDARY + b"\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END,
    "no disposition": BOUNDARY + b"\r\nContent-Type: a/b\r\n\r\nx\r\n" + END,
    "another disposition": part("a", b"x").replace(b"form-data", b"attachment") + END,
    "two names": part('a"; name="b', b"x") + END,
    "bare LF": part("a", b"x").replace(b"\r\n", b"\n") + END,
    "bare LF in a head": part("a", b"x", "f").replace(b'"f"\r\n', b'"f"\n') + END,
    "longer delimiter": part("a", b"x") + BOUNDARY + b"1\r\n" + END,
    "control character": part("a\x01", b"x") + END,
    "NUL": part("a\0", b"x") + END,
    "not UTF-8": part("a", b"x").replace(b'"a"', b'"\xff"') + END,
    "text that is not UTF-8": part("a", b"\xff") + END,
    "text with NUL": part("a", b"\0") + END,
    "large head": part("a" * 9000, b"x") + END,
    "many parts": part("a", b"") * 1001 + END,
}


@pytest.mark.parametrize("path", ["/parsed", "/stored"])
@pytest.mark.parametrize("what", MALFORMED)
def test_malformed(uploads: ServerProcess, path: str, what: str) -> None:
    for piece in (0, 100):
        answer = ask(uploads, path, MALFORMED[what], piece)
        assert answer.status == 400
        assert answer.get("Content-Type") == "application/problem+json"


def test_too_large(uploads: ServerProcess) -> None:
    assert ask(uploads, "/parsed", part("f", bytes(1 << 20), "x") + END).status == 413
    assert ask(uploads, "/stored", part("a", b"x" * (1 << 20)) + END).status == 413


def test_a_thousand_parts(uploads: ServerProcess) -> None:
    before = descriptors(uploads)
    files = [bytes([i % 256]) * (i * 7 % 3000) for i in range(1000)]
    body = b"".join(part(f"f{i}", data, f"n{i}") for i, data in enumerate(files)) + END
    expected = [described(f"f{i}", data, f"n{i}") for i, data in enumerate(files)]
    assert ask(uploads, "/stored", body).json() == expected
    eventually(lambda: descriptors(uploads) <= before, "descriptors are closed")


def test_many_large_files_share_a_descriptor(uploads: ServerProcess) -> None:
    before = descriptors(uploads)
    body = b"".join(part("file", LARGE + bytes([i]), f"{i}") for i in range(40)) + END
    answer = ask(uploads, "/later", body).json()
    assert answer == [*(described("", LARGE + bytes([i]), f"{i}")[1] for i in range(40)), ""]
    eventually(lambda: descriptors(uploads) <= before, "descriptors are closed")


def test_a_slow_writer_is_waited_for(uploads: ServerProcess) -> None:
    """Byte by byte, while others are served."""
    body = part("a", b"1") + part("f", b"x" * 50, "n") + END
    with Client(uploads.address) as slow:
        slow.send(head_of("/stored", len(body)))
        for i in range(len(body)):
            slow.send(body[i : i + 1])
            if i % 50 == 0:
                assert ask(uploads, "/stored", FORM).json() == EXPECTED
        assert slow.answer().json() == [["a", "1"], described("f", b"x" * 50, "n")]


@pytest.mark.parametrize("path", ["/stored", "/parsed", "/later"])
def test_a_client_that_leaves_takes_its_files_along(uploads: ServerProcess, path: str) -> None:
    before = descriptors(uploads)
    for reset in (False, True):
        clients = [Client(uploads.address) for _ in range(3)]
        for client in clients:
            client.send(head_of(path, 900_000) + 2 * part("file", LARGE, "x"))
        if path != "/parsed":
            eventually(lambda: descriptors(uploads) == before + 6, "files are open")
        for client in clients:
            if reset:
                client.end()
            client.sock.close()
        eventually(lambda: descriptors(uploads) <= before, "descriptors are closed")


def test_errors_take_files_along(uploads: ServerProcess) -> None:
    before = descriptors(uploads)
    for _ in range(10):
        body = part("file", LARGE, "x") + BOUNDARY + b"?"
        assert ask(uploads, "/stored", body).status == 400
    eventually(lambda: descriptors(uploads) <= before, "descriptors are closed")


# ---- large files ----


def send_large(server: ServerProcess, size: int) -> Answer:
    block = os.urandom(1 << 20)
    count = size // len(block)
    first, last = part("file", b"", "x")[:-2], b"0123456789\r\n" + END
    with Client(server.address) as client:
        client.send(head_of("/large", len(first) + count * len(block) + len(last)) + first)
        for _ in range(count):
            client.send(block)
        client.send(last)
        return client.answer()


def check_large(server: ServerProcess, size: int) -> None:
    assert send_large(server, 8 << 20).status == 200  # all that is kept for later is there
    before = descriptors(server)
    _, _, small = send_large(server, 8 << 20).json()
    found, end, memory = send_large(server, size).json()
    assert (found, end) == (size + 10, "0123456789")
    assert SANITIZED or memory - small < 4 << 20
    eventually(lambda: descriptors(server) <= before, "descriptors are closed")


def test_memory_does_not_grow_with_a_file(uploads: ServerProcess) -> None:
    """It is more than max_buffered_bytes, too."""
    check_large(uploads, 200 << 20)


@in_clear
@pytest.mark.slow
@pytest.mark.skipif(shutil.disk_usage("/tmp").free < 6 << 30, reason="needs 6 GB in /tmp")
def test_memory_does_not_grow_with_five_gigabytes(uploads: ServerProcess) -> None:
    check_large(uploads, 5 << 30)


def test_it_is_this_process_that_is_measured() -> None:
    before = resident()
    with mmap.mmap(-1, 32 << 20) as block:  # new pages, and not what lies free in the heap
        block.write(bytes(32 << 20))
        assert resident() - before > 16 << 20


# ---- others' clients ----


@in_clear
def test_curl(uploads: ServerProcess, tmp_path: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    names = ["plain.bin", 'quo"te.bin', "back\\slash.bin", "ü€.bin"]
    for name in names:
        (tmp_path / name).write_bytes(LARGE)
    words = ["curl", "-sS", f"http://127.0.0.1:{uploads.address[1]}/stored", "-F", "a=ü\n1"]
    for name in names:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        words += ["-F", f'f=@"{escaped}";type=text/plain']
    env = services.unsanitized()
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    expected = [["a", "ü\n1"], *(described("f", LARGE, name) for name in names)]
    assert httpx.Response(200, text=done.stdout).json() == expected


@in_clear
def test_httpx(uploads: ServerProcess, tmp_path: Path) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{uploads.address[1]}", trust_env=False) as client:
        for path in ("/stored", "/parsed"):
            answer = client.post(
                path,
                data={"a": "ü", "b": ["1", "2"]},
                files=[("f", ('q"u\r\no.txt', LARGE)), ("f", ("ü€", b"x", "text/plain"))],
            )
            assert answer.json() == [
                ["a", "ü"],
                ["b", "1"],
                ["b", "2"],
                described("f", LARGE, 'q"u\r\no.txt'),
                described("f", b"x", "ü€"),
            ]
        target = tmp_path / "saved"
        answer = client.post("/save", data={"path": str(target)}, files={"file": LARGE})
        assert answer.json() == len(LARGE) and target.read_bytes() == LARGE
