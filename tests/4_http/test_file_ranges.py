"""Ranges and conditions of files, against a reading of RFC 9110 that is written here, and nginx."""

import email
import os
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import services
from cello import App, StaticFilesConfig
from wire import Address, Answer, Client, fetch, request
from wire_marks import every_transport, in_clear
from wire_process import listening
from wire_proxies import find

pytestmark = every_transport

OLD = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT
BEFORE, AT, AFTER = (f"Sun, 06 Nov 1994 08:49:{second} GMT" for second in (36, 37, 38))
MAX_RANGES, GAP = 32, 80
SMALL, LARGE = 1000, 100_000  # kept in memory, and sent by the kernel


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for name, size in [("small.txt", SMALL), ("large.bin", LARGE), ("empty", 0)]:
        (folder / name).write_bytes(random.Random(size).randbytes(size))
        os.utime(folder / name, (OLD, OLD))
    return folder


@pytest.fixture(scope="module")
def address(backend: str, folder: Path) -> Iterator[Address]:
    app = App()
    app.enable_static_files(StaticFilesConfig(folder, "/"))
    with app.start(backend=backend) as server:
        yield server.addresses[0]


# ---- what is expected ----


@dataclass
class Expected:
    status: int
    ranges: list[tuple[int, int]]  # first and last byte


def expected(field: str, size: int) -> Expected:
    """RFC 9110 section 14, with the bounds that docs/files.md names."""
    whole = Expected(200, [])
    match = re.fullmatch(r"bytes=(.*)", field, re.I | re.S)
    if not match or not size:
        return whole
    found: list[tuple[int, int]] = []
    elements = [e.strip(" \t") for e in match[1].split(",")]
    elements = [e for e in elements if e]
    if not elements or len(elements) > MAX_RANGES:
        return whole
    for element in elements:
        parts = re.fullmatch(r"([0-9]*)-([0-9]*)", element)
        if not parts or element == "-":
            return whole
        first, last = (int(p) if p else None for p in parts.groups())
        if first is None:
            assert last is not None
            if last:
                found.append((max(0, size - last), size - 1))
        elif last is not None and last < first:
            return whole
        elif first < size:
            found.append((first, size - 1 if last is None else min(last, size - 1)))
    if not found:
        return Expected(416, [])
    return Expected(206, joined(found))


def joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that nearly touch become one, in the place of the first of them."""
    ranges = list(ranges)
    for i, one in enumerate(ranges):
        for k in range(i + 1, len(ranges)):
            low, high = sorted((one, ranges[k]))
            if high[0] - low[1] - 1 <= GAP:
                ranges[i] = (low[0], max(low[1], high[1]))
                del ranges[k]
                return joined(ranges)
    return ranges


def parts_of(answer: Answer) -> list[tuple[str, str, bytes]]:
    """(Content-Type, Content-Range, bytes) of each part, by a reader of mail."""
    head = f"Content-Type: {answer.get('Content-Type')}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.body)
    assert message.is_multipart() and not message.defects
    boundary = message.get_boundary()
    assert boundary
    mark = f"--{boundary}".encode()
    pieces = answer.body.split(mark)
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n"
    found = []
    for piece in pieces[1:-1]:  # not by the mail reader: parts are bytes, and not lines
        fields, _, content = piece.partition(b"\r\n\r\n")
        assert piece.startswith(b"\r\n") and content.endswith(b"\r\n")
        lines = dict(line.split(": ", 1) for line in fields.decode().strip().split("\r\n"))
        assert list(lines) == ["Content-Type", "Content-Range"]
        found.append((lines["Content-Type"], lines["Content-Range"], content[:-2]))
    return found


def check(answer: Answer, field: str, data: bytes, kind: str) -> None:
    want, size = expected(field, len(data)), len(data)
    assert answer.status == want.status, (field, answer.status, want)
    if want.status == 200:
        assert answer.body == data and answer.get("Content-Range") is None
    elif want.status == 416:
        assert answer.get("Content-Range") == f"bytes */{size}"
        assert answer.get("Content-Type") == "application/problem+json"
    elif len(want.ranges) == 1:
        first, last = want.ranges[0]
        assert answer.get("Content-Range") == f"bytes {first}-{last}/{size}", field
        assert answer.body == data[first : last + 1]
        assert answer.get("Content-Type") == kind
    else:
        assert answer.get("Content-Range") is None
        assert parts_of(answer) == [
            (kind, f"bytes {first}-{last}/{size}", data[first : last + 1])
            for first, last in want.ranges
        ], field


FILES = [
    ("small.txt", "text/plain; charset=utf-8"),
    ("large.bin", "application/octet-stream"),
    ("empty", "application/octet-stream"),
]

FIELDS = [
    "bytes=0-0",
    "bytes=0-499",
    "bytes=500-",
    "bytes=-1",
    "bytes=-500",
    "bytes=-0",
    "bytes=-99999999999999999999999",
    "bytes=0-",
    "bytes=999-999",
    "bytes=1000-",
    "bytes=99999-",
    "bytes=100000-",
    "bytes=0-99999999999999999999999",
    "bytes=99999999999999999999999-",
    "BYTES=1-2",
    "bytes=1-2, 500-600",
    "bytes=500-600,1-2",
    "bytes=1-2,3-4",
    "bytes=1-2,83-84",
    "bytes=1-2,84-85",
    "bytes=0-,-1",
    "bytes=0-0,-1",
    "bytes=-1,0-0,500-500",
    "bytes=1-2,,\t500-600 ,",
    "bytes=1-2,999999-",
    "bytes=999999-,9999999-",
    "bytes=",
    "bytes=,",
    "bytes",
    "bytes=-",
    "bytes=a-b",
    "bytes=5-4",
    "bytes=1-2,5-4",
    "bytes=1-2;3-4",
    "bytes=1-2-3",
    "bytes=--5",
    "bytes=0x0-0x5",
    "bytes = 1-2",
    "lines=1-2",
    "none",
    "bytes=" + ",".join(f"{i * 100}-{i * 100}" for i in range(32)),
    "bytes=" + ",".join(f"{i * 100}-{i * 100}" for i in range(33)),
    "bytes=" + ",".join(["0-"] * 32),
    "bytes=" + ",".join(["0-"] * 33),
]


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_every_form(address: Address, folder: Path, name: str, kind: str) -> None:
    data = (folder / name).read_bytes()
    with Client(address) as client:
        for field in FIELDS:
            answer = client.ask(request(f"/{name}", f"Range: {field}"))
            check(answer, field, data, kind)
            head = client.ask(request(f"/{name}", f"Range: {field}", method="HEAD"), to_head=True)
            assert (head.status, head.get("Content-Length")) == (200, str(len(data)))


@in_clear
@pytest.mark.parametrize(("name", "kind"), FILES)
def test_chosen_by_chance(address: Address, folder: Path, name: str, kind: str) -> None:
    data, chance = (folder / name).read_bytes(), random.Random(5)

    def number() -> int:
        return chance.choice([0, 1, chance.randrange(200), chance.randrange(2 * len(data) + 1)])

    def element() -> str:
        forms = (f"{number()}-", f"-{number()}", f"{number()}-{number()}", "")
        return chance.choices(forms, (2, 2, 6, 1))[0]

    with Client(address) as client:
        for _ in range(400):
            field = "bytes=" + ",".join(element() for _ in range(chance.randint(1, 12)))
            check(client.ask(request(f"/{name}", f"Range: {field}")), field, data, kind)


def test_bytes_of_a_part_that_looks_like_the_end(address: Address, folder: Path) -> None:
    """No boundary is like another: a file cannot be made to hold it."""
    field = "Range: bytes=0-0,500-500"
    types = {fetch(address, request("/small.txt", field)).get("Content-Type") for _ in range(20)}
    assert len(types) == 20


# ---- conditions ----


@pytest.fixture(scope="module")
def etag(address: Address) -> str:
    return fetch(address, request("/small.txt")).get("ETag") or ""


# The fields, and the answer; {} is the file's tag. RFC 9110 sections 13.1 and 13.2.2.
CONDITIONS = [
    ([], 200),
    (["If-None-Match: {}"], 304),
    (["If-None-Match: W/{}"], 304),
    (['If-None-Match: "a", {}, "b"'], 304),
    (['If-None-Match: "a"', "If-None-Match: {}"], 304),
    (["If-None-Match: *"], 304),
    (['If-None-Match: "a"'], 200),
    (["If-None-Match: a"], 200),
    ([f"If-Modified-Since: {AT}"], 304),
    ([f"If-Modified-Since: {AFTER}"], 304),
    ([f"If-Modified-Since: {BEFORE}"], 200),
    (["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"], 304),
    (["If-Modified-Since: Sun Nov  6 08:49:37 1994"], 304),
    (["If-Modified-Since: yesterday"], 200),
    (['If-None-Match: "a"', f"If-Modified-Since: {AFTER}"], 200),
    (["If-None-Match: {}", f"If-Modified-Since: {BEFORE}"], 304),
    (["If-Match: {}"], 200),
    (["If-Match: *"], 200),
    (["If-Match: W/{}"], 412),
    (['If-Match: "a"'], 412),
    (['If-Match: "a", {}'], 200),
    ([f"If-Unmodified-Since: {AT}"], 200),
    ([f"If-Unmodified-Since: {BEFORE}"], 412),
    (["If-Unmodified-Since: never"], 200),
    (["If-Match: {}", f"If-Unmodified-Since: {BEFORE}"], 200),
    (['If-Match: "a"', f"If-Unmodified-Since: {AFTER}"], 412),
    (['If-Match: "a"', "If-None-Match: {}"], 412),
    (["If-Match: {}", "If-None-Match: {}"], 304),
    ([f"If-Unmodified-Since: {BEFORE}", "If-None-Match: {}"], 412),
    # ranges come last
    (["Range: bytes=0-1"], 206),
    (["If-None-Match: {}", "Range: bytes=0-1"], 304),
    (['If-None-Match: "a"', "Range: bytes=0-1"], 206),
    (['If-Match: "a"', "Range: bytes=0-1"], 412),
    (['If-Match: "a"', "Range: bytes=9999-"], 412),
    (["If-Range: {}", "Range: bytes=0-1"], 206),
    (["If-Range: W/{}", "Range: bytes=0-1"], 200),
    (['If-Range: "a"', "Range: bytes=0-1"], 200),
    (['If-Range: "a"', "Range: bytes=9999-"], 200),
    (["If-Range: {}", "Range: bytes=9999-"], 416),
    ([f"If-Range: {AT}", "Range: bytes=0-1"], 206),
    ([f"If-Range: {BEFORE}", "Range: bytes=0-1"], 200),
    ([f"If-Range: {AFTER}", "Range: bytes=0-1"], 200),
    (["If-Range: soon", "Range: bytes=0-1"], 200),
    (["If-Range: {}"], 200),
]


def test_precedence(address: Address, etag: str) -> None:
    with Client(address) as client:
        for lines, status in CONDITIONS:
            fields = [line.replace("{}", etag) for line in lines]
            answer = client.ask(request("/small.txt", *fields))
            assert answer.status == status, (lines, answer.status)
            # HEAD is the same without ranges.
            head = client.ask(request("/small.txt", *fields, method="HEAD"), to_head=True)
            assert head.status == (200 if status in (206, 416) else status), lines


def test_what_a_304_says(address: Address, etag: str) -> None:
    answer = fetch(address, request("/small.txt", f"If-None-Match: {etag}"))
    assert (answer.get("ETag"), answer.get("Vary")) == (etag, "Accept-Encoding")
    for field in ("Content-Type", "Content-Length", "Last-Modified", "Accept-Ranges"):
        assert answer.get(field) is None


def test_without_validators(backend: str, folder: Path) -> None:
    app = App()
    config = StaticFilesConfig(folder, "/", enable_etag=False, enable_last_modified=False)
    app.enable_static_files(config)
    with app.start(backend=backend) as server, Client(server.addresses[0]) as client:
        answer = client.ask(request("/small.txt"))
        assert answer.get("ETag") is None and answer.get("Last-Modified") is None
        answer = client.ask(request("/small.txt", f"If-Modified-Since: {AFTER}"))
        assert answer.status == 200
        assert client.ask(request("/small.txt", 'If-None-Match: ""')).status == 200
        assert client.ask(request("/small.txt", "If-None-Match: *")).status == 304
        assert client.ask(request("/small.txt", 'If-Match: "a"')).status == 412
        answer = client.ask(request("/small.txt", f"If-Range: {AT}", "Range: bytes=0-1"))
        assert answer.status == 200


def test_young_files_are_not_combined(address: Address, folder: Path) -> None:
    (folder / "young").write_text("0123456789")
    tag = fetch(address, request("/young")).get("ETag") or ""
    assert tag.startswith('W/"')
    with Client(address) as client:
        assert client.ask(request("/young", f"If-None-Match: {tag}")).status == 304
        answer = client.ask(request("/young", f"If-Range: {tag}", "Range: bytes=0-1"))
        assert answer.status == 200
        assert client.ask(request("/young", "Range: bytes=0-1")).status == 206


# ---- nginx ----

NGINX = """
daemon off; user root root; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off; default_type application/octet-stream;
    types {{ "text/plain; charset=utf-8" txt; }}
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen {listen}; root {root}; }}
}}
"""


@pytest.fixture(scope="module")
def nginx(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    program = find("nginx")
    if not program:
        pytest.skip("no nginx here")
    place = tmp_path_factory.mktemp("nginx")
    env = services.unsanitized()
    with listening() as sock:
        host, port = sock.getsockname()
        env["NGINX"] = f"{sock.fileno()};"
        config = place / "nginx.conf"
        config.write_text(NGINX.format(folder=place, listen=f"{host}:{port}", root=folder))
        with (place / "out").open("wb") as out:
            child = subprocess.Popen(
                [program, "-p", str(place), "-c", str(config), "-e", str(place / "error.log")],
                env=env,
                pass_fds=(sock.fileno(),),
                stdout=out,
                stderr=out,
            )
        try:
            yield (host, port)
        finally:
            child.terminate()
            child.wait(20)


# Forms for which the RFC leaves no choice.
SAME_AS_NGINX = [
    "bytes=0-0",
    "bytes=0-499",
    "bytes=500-",
    "bytes=-1",
    "bytes=-500",
    "bytes=-5000",
    "bytes=0-",
    "bytes=999-999",
    "bytes=1000-",
    "bytes=999-5000",
    "bytes=1-2, 500-600",
    "bytes=500-600,1-2",
    "bytes=-1,0-0,500-500",
    "bytes=1-2,999999-",
    "bytes=999999-,9999999-",
    "lines=1-2",
]


@in_clear
def test_same_as_nginx(address: Address, nginx: Address) -> None:
    with Client(address) as ours, Client(nginx) as theirs:
        for field in SAME_AS_NGINX:
            data = request("/small.txt", f"Range: {field}")
            one, other = ours.ask(data), theirs.ask(data)
            assert one.status == other.status, field
            assert one.get("Content-Range") == other.get("Content-Range"), field
            if one.status == 206 and one.get("Content-Range") is None:
                first, second = ((a.get("Content-Type") or "") for a in (one, other))
                body = other.body.replace(second.split("=")[1].encode(), b"B").removeprefix(b"\r\n")
                assert one.body.replace(first.split("=")[1].encode(), b"B") == body, field
            elif one.status != 416:
                assert one.body == other.body, field
