"""Folders of files, and single ones, over real sockets: what is served, what never is, and what
happens to files and clients meanwhile."""

import os
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cello import App, HTTPError, RequestIdConfig, Response, StaticFilesConfig
from cello.responses import FileResponse
from wire import Address, Answer, Client, eventually, fetch, request
from wire_marks import every_transport, in_clear

pytestmark = every_transport

LARGE = 3_000_000  # more than the kernel buffers for a client that does not read
OLD = 1_000_000_000  # seconds since 1970: a time of modification long ago


def write(path: Path, data: bytes | str) -> Path:
    """A file that looks old: its validators are strong."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    os.utime(path, (OLD, OLD))
    return path


class Site:
    """A folder, the application that serves it, and its server."""

    def __init__(self, root: Path, app: App, backend: str) -> None:
        self.root = root
        self.server = app.start(backend=backend)
        self.address: Address = self.server.addresses[0]

    def get(self, target: str, *lines: str, method: str = "GET") -> Answer:
        return fetch(self.address, request(target, *lines, method=method), method == "HEAD")

    def open_files(self, below: Path | None = None) -> list[str]:
        """What this process has open below the folder."""
        names = []
        for fd in os.listdir("/proc/self/fd"):
            try:
                names.append(os.readlink(f"/proc/self/fd/{fd}"))
            except OSError:
                continue  # the descriptor that lists them
        return [name for name in names if name.startswith(str(below or self.root))]


@pytest.fixture
def site(backend: str, tmp_path: Path) -> Iterator[Site]:
    root = tmp_path / "root"
    write(root / "index.html", "<h1>home")
    write(root / "a.txt", "hello")
    write(root / "deep/er/b.CSS", "p{}")
    write(root / "large.bin", os.urandom(LARGE))
    app = App(use=[RequestIdConfig()])
    app.enable_static_files(StaticFilesConfig(root))
    app.enable_static_files(StaticFilesConfig(root / "deep", "/more", directory_listing=True))
    site = Site(root, app, backend)
    yield site
    site.server.stop()


# ---- what is served ----


def test_files(site: Site) -> None:
    answer = site.get("/static/a.txt")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.get("Content-Type") == "text/plain; charset=utf-8"
    assert answer.get("Last-Modified") == "Sun, 09 Sep 2001 01:46:40 GMT"
    assert (answer.get("ETag") or "").startswith('"')
    assert answer.get("Accept-Ranges") == "bytes"
    assert answer.get("X-Request-ID")  # native steps of the application
    assert site.get("/static/deep/er/b.CSS").get("Content-Type") == "text/css; charset=utf-8"
    assert site.get("/more/er/b.CSS").body == b"p{}"
    assert site.get("/static/large.bin").body == (site.root / "large.bin").read_bytes()
    head = site.get("/static/large.bin", method="HEAD")
    assert (head.status, head.get("Content-Length"), head.body) == (200, str(LARGE), b"")
    refused = site.get("/static/a.txt", method="DELETE")
    assert (refused.status, refused.get("Allow")) == (405, "GET, HEAD, OPTIONS")


def test_folders(site: Site) -> None:
    assert site.get("/static/").body == b"<h1>home"
    for target, to in [("/static?q", "./static/?q"), ("/static/deep", "./deep/")]:
        answer = site.get(target)
        assert (answer.status, answer.get("Location")) == (307, to)
    assert site.get("/static/deep/").status == 404
    assert b'<a href="./er/">er/</a>' in site.get("/more/").body


def test_pipelined_files(site: Site) -> None:
    """Small, large, small, none: in order on one connection."""
    large = (site.root / "large.bin").read_bytes()
    targets = ["/static/a.txt", "/static/large.bin", "/static/none", "/static/large.bin"] * 3
    with Client(site.address) as client:
        client.send(b"".join(map(request, targets)))
        for target in targets:
            answer = client.answer()
            expected = {"a": b"hello", "l": large}.get(target[8])
            assert answer.status == (404 if expected is None else 200)
            assert expected is None or answer.body == expected


@in_clear
def test_prefix_of_all_paths(backend: str, tmp_path: Path) -> None:
    write(tmp_path / "index.html", "home")
    write(tmp_path / "app.js", "js")
    write(tmp_path / "api", "file")
    page = "Accept: text/html,*/*;q=0.8"
    for own_home in (False, True):
        app = App()
        app.get("/api")(lambda: "route")
        if own_home:
            app.get("/")(lambda: "mine")
        app.enable_static_files(StaticFilesConfig(tmp_path, "/", fallback="index.html"))
        site = Site(tmp_path, app, backend)
        with site.server:
            assert site.get("/").body == (b"mine" if own_home else b"home")
            assert site.get("/app.js").body == b"js"
            assert site.get("/api").body == b"route"
            assert site.get("/users/7", page).body == b"home"
            assert site.get("/users/7").status == 404
            assert site.get("/none.js", "Accept: */*").status == 404


def test_codings(backend: str, tmp_path: Path) -> None:
    write(tmp_path / "a.js", "plain" * 10000)
    write(tmp_path / "a.js.gz", b"gzip" * 10000)
    write(tmp_path / "a.js.zst", b"zstd")
    app = App()
    app.enable_static_files(StaticFilesConfig(tmp_path, cache_control="no-cache"))
    app.enable_static_files(StaticFilesConfig(tmp_path, "/plain", precompressed=False))
    site = Site(tmp_path, app, backend)
    with site.server:
        for accept, coding, body in [
            ("gzip, deflate, br, zstd", "zstd", b"zstd"),
            ("gzip, deflate, br", "gzip", b"gzip" * 10000),
            ("gzip;q=0, zstd;q=0", None, b"plain" * 10000),
            ("identity, gzip;q=0.9", None, b"plain" * 10000),
            ("br", None, b"plain" * 10000),
        ]:
            answer = site.get("/static/a.js", f"Accept-Encoding: {accept}")
            assert (answer.get("Content-Encoding"), answer.body) == (coding, body)
            assert answer.get("Content-Type") == "text/javascript; charset=utf-8"
            assert answer.get("Vary") == "Accept-Encoding"
            assert answer.get("Cache-Control") == "no-cache"
        answer = site.get("/plain/a.js", "Accept-Encoding: gzip")
        assert answer.get("Content-Encoding") is None and answer.get("Vary") is None
        # A form that is older than its original is stale.
        write(tmp_path / "a.js", "newer").touch()
        answer = site.get("/static/a.js", "Accept-Encoding: gzip, zstd")
        assert (answer.get("Content-Encoding"), answer.body) == (None, b"newer")


# ---- what never is ----

TRAVERSAL = [
    "/static/../secret",
    "/static/..%2fsecret",
    "/static/%2e%2e/secret",
    "/static/%2e%2e%2fsecret",
    "/static/..%5csecret",
    "/static/....//secret",
    "/static/deep/../../../secret",
    "/static//etc/passwd",
    "/static/%2fetc/passwd",
    "/static/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/static/out",
    "/static/out/secret",
    "/static/link",
    "/static/.env",
    "/static/%2eenv",
    "/static/.git/config",
    "/static/fifo",
    "/static/socket",
    "/static/null",
    "/static/proc/self/environ",
    "/static/a.txt/",
    "/static/a.txt%2f",
    "/static/" + "x" * 300,
    "/static/" + "x/" * 2500 + "x",
    "/static/a.txt%00",
    "/static/a.txt%00.html",
    "/static/%c0%ae%c0%ae/secret",
    "/static/%e0%80%ae%e0%80%ae/secret",
    "/static/%ff",
]


@pytest.mark.parametrize("follow", [False, True])
def test_nothing_leads_out(backend: str, tmp_path: Path, follow: bool) -> None:
    root = tmp_path / "root"
    write(root / "a.txt", "hello")
    write(root / ".env", "treasure")
    write(root / ".git/config", "treasure")
    write(root / "deep/x", "x")
    write(tmp_path / "secret", "treasure")
    (root / "out").symlink_to(tmp_path)
    (root / "link").symlink_to("../secret")
    (root / "null").symlink_to("/dev/null")
    (root / "proc").symlink_to("/proc")
    (root / "inner").symlink_to("deep")
    os.mkfifo(root / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    here = os.open(root, os.O_RDONLY)  # the path may be too long for an address
    listener.bind(f"/proc/self/fd/{here}/socket")
    os.close(here)
    app = App()
    app.enable_static_files(StaticFilesConfig(root, follow_symlinks=follow))
    site = Site(root, app, backend)
    with site.server, listener:
        for target in TRAVERSAL:
            answer = site.get(target)
            assert answer.status in (400, 404), (target, answer)
            assert b"treasure" not in answer.body
        assert site.get("/static/inner/x").status == (200 if follow else 404)
        assert site.get("/static/a.txt").status == 200


@in_clear
@pytest.mark.parametrize("follow", [False, True])
def test_links_swapped_meanwhile(backend: str, tmp_path: Path, follow: bool) -> None:
    """A folder becomes a link to one outside, and back, while files below it are asked for."""
    root = tmp_path / "root"
    write(root / "real/data", "inside")
    write(tmp_path / "outside/data", "treasure")
    (root / "swap").mkdir()
    write(root / "swap/data", "inside")
    (root / "evil").symlink_to(tmp_path / "outside")
    app = App()
    app.enable_static_files(StaticFilesConfig(root, follow_symlinks=follow))
    site = Site(root, app, backend)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            os.rename(root / "swap", root / "away")
            os.rename(root / "evil", root / "swap")
            os.rename(root / "swap", root / "evil")
            os.rename(root / "away", root / "swap")

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        with site.server, Client(site.address) as client:
            for _ in range(3000):
                answer = client.ask(request("/static/swap/data"))
                seen.add((answer.status, answer.body if answer.status == 200 else b""))
    finally:
        done.set()
        thread.join()
    assert seen <= {(200, b"inside"), (404, b"")}


@in_clear
def test_listings_are_escaped(backend: str, tmp_path: Path) -> None:
    write(tmp_path / "<img src=x onerror=alert(1)>", "x")
    write(tmp_path / 'a"b&c', "x")
    write(tmp_path / "javascript:alert(1)", "x")
    write(tmp_path / ".hidden", "x")
    (tmp_path / "sub<b>").mkdir()
    app = App()
    app.enable_static_files(StaticFilesConfig(tmp_path, "/", directory_listing=True))
    site = Site(tmp_path, app, backend)
    with site.server:
        page = site.get("/").body.decode()
        assert "<img" not in page and "<b>" not in page and "hidden" not in page
        assert '<a href="./sub%3Cb%3E/">sub&lt;b&gt;/</a>' in page
        assert 'href="./javascript%3Aalert%281%29"' in page
        assert '<a href="./a%22b%26c">a&quot;b&amp;c</a>' in page
        assert page.index("sub&lt;") < page.index("a&quot;")
        assert site.get("/a%22b%26c").body == b"x"
        assert "<" not in site.get("/sub%3Cb%3E/").body.decode().split("<h1>")[1].split("</h1>")[0]


# ---- files that change ----


def test_changes_are_seen(site: Site) -> None:
    path = site.root / "a.txt"
    with Client(site.address) as client:
        for body in (b"hello", b"HELLO", b"longer than before", b""):
            if body != b"hello":
                write(path, body)
            assert client.ask(request("/static/a.txt")).body == body
        write(site.root / "other", b"replaced").replace(path)
        assert client.ask(request("/static/a.txt")).body == b"replaced"
        path.unlink()
        assert client.ask(request("/static/a.txt")).status == 404
        path.mkdir()
        assert client.ask(request("/static/a.txt")).status == 307
        path.rmdir()
        path.symlink_to(site.root / "index.html")
        assert client.ask(request("/static/a.txt")).status == 404
        path.unlink()
        write(path, b"again")
        assert client.ask(request("/static/a.txt")).body == b"again"


@in_clear
def test_every_write_is_seen(site: Site) -> None:
    """Also those within one tick of the clock that files are stamped with."""
    path = site.root / "count"
    with Client(site.address) as client:
        for i in range(300):
            path.write_text(f"{i:05}")
            assert client.ask(request("/static/count")).body == b"%05d" % i


def test_large_files_that_change(site: Site) -> None:
    path = site.root / "large.bin"
    with Client(site.address) as client:
        assert client.ask(request("/static/large.bin")).body == path.read_bytes()
        data = os.urandom(LARGE // 2)
        write(site.root / "new", data).replace(path)
        assert client.ask(request("/static/large.bin")).body == data


@in_clear
def test_root_that_is_replaced(backend: str, tmp_path: Path) -> None:
    """By a link that is turned, and by a folder that is made anew."""
    write(tmp_path / "1/a.txt", "one")
    write(tmp_path / "2/a.txt", "two")
    link = tmp_path / "current"
    link.symlink_to("1")
    app = App()
    app.enable_static_files(StaticFilesConfig(link))
    site = Site(tmp_path, app, backend)
    with site.server:
        assert site.get("/static/a.txt").body == b"one"
        link.unlink()
        assert site.get("/static/a.txt").status == 404
        link.symlink_to("2")
        assert site.get("/static/a.txt").body == b"two"
        link.unlink()
        write(tmp_path / "current/a.txt", "three")
        assert site.get("/static/a.txt").body == b"three"


def begin_large(site: Site, client: Client) -> None:
    client.send(request("/static/large.bin"))
    assert client.head().status == 200


def test_deleted_while_it_is_sent(site: Site) -> None:
    data = (site.root / "large.bin").read_bytes()
    with Client(site.address) as client:
        begin_large(site, client)
        (site.root / "large.bin").unlink()
        assert site.get("/static/large.bin").status == 404
        assert client.exactly(LARGE) == data


def test_cut_while_it_is_sent(site: Site) -> None:
    """The client sees that it has not got everything."""
    os.truncate(site.root / "large.bin", 200_000_000)
    with Client(site.address) as client:
        begin_large(site, client)
        os.truncate(site.root / "large.bin", 1000)
        with pytest.raises(ConnectionResetError):
            client.rest()


# ---- clients ----


def test_slow_reader(site: Site) -> None:
    """Others are served meanwhile, and nothing is lost."""
    data = (site.root / "large.bin").read_bytes()
    with Client(site.address) as client:
        begin_large(site, client)
        got = b""
        while len(got) < LARGE:
            got += client.exactly(min(200_000, LARGE - len(got)))
            assert site.get("/static/a.txt").body == b"hello"
        assert got == data


def test_leaving_clients_leave_no_descriptors(site: Site) -> None:
    """A file that is held for an answer is closed with it, once nobody else knows it."""
    for i in range(20):
        client = Client(site.address)
        begin_large(site, client)
        write(site.root / "new", os.urandom(LARGE)).replace(site.root / "large.bin")
        if i % 2:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sock.close()
    site.get("/static/large.bin")
    eventually(lambda: len(site.open_files()) <= 1, "the files of clients that left are closed")


@in_clear
def test_many_files(backend: str, tmp_path: Path) -> None:
    """Of ten thousand, a bounded number is open; the others are found as well."""
    count = 10_000
    for i in range(count):
        with (tmp_path / str(i)).open("wb") as file:
            file.truncate(40_000 if i % 2 else 10)
    app = App()
    app.enable_static_files(StaticFilesConfig(tmp_path))
    site = Site(tmp_path, app, backend)
    batch = 500
    with site.server, Client(site.address) as client:
        for first in range(0, count, batch):
            asked = range(first, first + batch)
            for i in asked:
                client.send(request(f"/static/{i}", method="HEAD"))
                answer = client.answer(to_head=True)
                assert answer.get("Content-Length") == ("40000" if i % 2 else "10")
            assert len(site.open_files()) <= 512
        assert site.get("/static/1").body == bytes(40_000)
    assert not site.open_files()


@contextmanager
def no_descriptors() -> Iterator[None]:
    """This process cannot open anything."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@in_clear
def test_out_of_descriptors(files: Site) -> None:
    with Client(files.address) as client:
        assert client.ask(request("/static/none")).status == 404  # it has its descriptor
        with no_descriptors():
            for target in ("/large", "/static/a.txt"):
                answer = client.ask(request(target))
                assert (answer.status, answer.get("Retry-After")) == (503, "1")
        for target in ("/large", "/static/a.txt"):
            assert client.ask(request(target)).status == 200


# ---- files of handlers ----


@pytest.fixture
def files(backend: str, tmp_path: Path) -> Iterator[Site]:
    write(tmp_path / "a.txt", "hello")
    write(tmp_path / "sub/b.html", "<p>")
    write(tmp_path / "large.bin", os.urandom(LARGE))
    write(tmp_path / ".env", "treasure")
    app = App()
    app.enable_static_files(StaticFilesConfig(tmp_path))

    @app.get("/own")
    def own() -> Response:
        return Response.file(tmp_path / "a.txt", filename="ü b.txt", headers={"X-A": "1"})

    @app.get("/shown")
    def shown() -> Response:
        path = tmp_path / "a.txt"
        return Response.file(path, filename="a.txt", content_disposition_type="inline")

    @app.get("/named/{name:path}")
    def named(name: str) -> Response:
        return Response.file(name, root=tmp_path)

    @app.get("/query")
    async def query(name: str) -> Response:
        return FileResponse(name, root=str(tmp_path) + "/", media_type="x/y")

    @app.get("/large")
    async def large() -> Response:
        return FileResponse(tmp_path / "large.bin")

    @app.get("/page")
    def page() -> Response:
        return Response.file(tmp_path / "a.txt", status=418, content_type="a/b")

    @app.get("/missing")
    def missing() -> Response:
        return Response.file("/none/such")

    @app.get("/folder")
    def folder() -> Response:
        return Response.file(tmp_path)

    @app.post("/posted")
    def posted() -> Response:
        return Response.file(tmp_path / "a.txt")

    @app.get("/handled")
    def handled() -> Response:
        raise HTTPError(410)

    @app.exception_handler(410)
    def gone(req: object, error: object) -> Response:
        return Response.file(tmp_path / "a.txt", status=410)

    @app.after_request("/own")
    def add(req: object, response: Response) -> Response:
        response.set_header("X-Hook", type(response.body).__name__)
        return response

    site = Site(tmp_path, app, backend)
    yield site
    site.server.stop()


def test_file_of_a_handler(files: Site) -> None:
    answer = files.get("/own")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.get("X-A") == "1" and answer.get("X-Hook") == "FileBody"
    assert answer.get("Content-Disposition") == (
        "attachment; filename=\"_ b.txt\"; filename*=UTF-8''%C3%BC%20b.txt"
    )
    shown = files.get("/shown").get("Content-Disposition")
    assert shown == 'inline; filename="a.txt"'
    assert answer.get("Vary") is None
    etag = answer.get("ETag") or ""
    assert files.get("/own", f"If-None-Match: {etag}").status == 304
    assert files.get("/own", "Range: bytes=1-2").body == b"el"
    head = files.get("/own", method="HEAD")
    assert (head.status, head.get("Content-Length")) == (200, "5")
    answer = files.get("/page", "Range: bytes=1-2", f"If-None-Match: {etag}")
    assert (answer.status, answer.body) == (418, b"hello")
    assert answer.get("Content-Type") == "a/b"
    answer = files.get("/posted", f"If-Match: {etag}x", "Range: bytes=1-2", method="POST")
    assert (answer.status, answer.body) == (200, b"hello")
    answer = files.get("/handled")
    assert (answer.status, answer.body) == (410, b"hello")


def test_large_file_of_a_handler(files: Site) -> None:
    data = (files.root / "large.bin").read_bytes()
    with Client(files.address) as client:
        for _ in range(3):
            assert client.ask(request("/large")).body == data
            part = client.ask(request("/large", "Range: bytes=100000-2500000"))
            assert (part.status, part.body) == (206, data[100000:2500001])


@in_clear
def test_names_below_a_root(files: Site) -> None:
    assert files.get("/named/a.txt").body == b"hello"
    assert files.get("/named/sub/b.html").get("Content-Type") == "text/html; charset=utf-8"
    answer = files.get("/query?name=sub/b.html")
    assert (answer.body, answer.get("Content-Type")) == (b"<p>", "x/y")
    for name in ("none", "../a.txt", "/etc/passwd", ".env", "sub", "sub/", "", "a.txt/", "sub//b"):
        answer = files.get(f"/query?name={name}")
        assert (answer.status, answer.get("Content-Type")) == (404, "application/problem+json")
    assert files.get("/named/..%2fa.txt").status == 404


@in_clear
def test_files_that_are_not_there(files: Site, caplog: pytest.LogCaptureFixture) -> None:
    assert files.get("/missing").status == 500
    assert files.get("/folder").status == 500
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [type(error) for error in errors] == [FileNotFoundError, IsADirectoryError]
    assert errors[0] and errors[0].filename == "/none/such"  # type: ignore[attr-defined]
