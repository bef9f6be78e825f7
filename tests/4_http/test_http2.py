"""HTTP/2 in clear (h2c): what handlers see of requests, and what clients see of answers."""

import asyncio
import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import services
from cello import (
    App,
    Http2Config,
    LimitsConfig,
    Request,
    Response,
    Server,
    StaticFilesConfig,
    UploadedFile,
)
from cello.testing import TestClient
from wire import Client, eventually, request
from wire_process import ServerProcess
from wire_streams import Streams

HERE = Path(__file__).parent
BIG = bytes(range(256)) * 4096


def make_app(folder: Path) -> App:
    app = App()
    app.set_limits(LimitsConfig(max_body_size=2 << 20))
    app.enable_static_files(StaticFilesConfig(str(folder)))
    app.get("/")(lambda: "root")
    app.get("/none")(lambda: None)
    app.get("/big")(lambda: BIG)
    app.static_response("/native", "native")

    @app.route("/echo", methods=["GET", "POST", "PUT", "DELETE"])
    def echo(req: Request) -> dict[str, Any]:
        return {
            "method": req.method,
            "path": req.path,
            "query": req.query.multi_items(),
            "headers": req.headers.multi_items(),
            "cookies": req.cookies.multi_items(),
            "host": req.host,
            "scheme": req.scheme,
            "url": str(req.url),
            "base_url": str(req.base_url),
            "client": list(req.client or ()),
            "body": len(req.body()),
        }

    @app.post("/body")
    def body(req: Request) -> bytes:
        return req.body()

    @app.post("/small", max_body=10)
    def small(req: Request) -> bytes:
        return req.body()

    @app.post("/form")
    async def form(req: Request) -> dict[str, Any]:
        items = req.form().multi_items()
        return {n: v.size if isinstance(v, UploadedFile) else v for n, v in items}

    @app.get("/cookies")
    def cookies() -> Response:
        response = Response("set", headers={"X-One": "1", "Connection-Like": "x"})
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    @app.get("/hints")
    def hints(req: Request) -> str:
        req.early_hints({"Link": "</a.css>; rel=preload"})
        return "hinted"

    @app.get("/generated")
    def generated() -> Response:
        return Response.stream(b"x" * 1000 for _ in range(20))

    @app.get("/trailers")
    def trailers(req: Request) -> Response:
        return Response.stream(iter(["a", "b"]), trailers=lambda: {"X-Sum": "7"})

    @app.get("/etag")
    def etag(req: Request) -> Response:
        return Response("x", status=304, headers={"ETag": '"1"'})

    @app.get("/fails")
    async def fails() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("a secret")

    return app


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static")
    (folder / "page.txt").write_bytes(BIG)
    return folder


@pytest.fixture(scope="module")
def served(backend: str, folder: Path) -> Iterator[Server]:
    config = Http2Config(h2c=True)
    with make_app(folder).start(backend=backend, http2=config) as server:
        yield server


@pytest.fixture
def client(served: Server) -> Iterator[httpx.Client]:
    with httpx.Client(http1=False, http2=True, base_url=served.url, timeout=20) as client:
        yield client


def run(*words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    env = services.unsanitized()
    return subprocess.run(words, env=env, capture_output=True, timeout=60, **options)


# ---- clients ----


def test_httpx(client: httpx.Client) -> None:
    for _ in range(3):
        answer = client.get("/")
        assert (answer.status_code, answer.text, answer.http_version) == (200, "root", "HTTP/2")
    assert client.get("/big").content == BIG
    assert client.post("/body", content=BIG).content == BIG
    assert client.post("/body", content=iter([b"a", b"b"])).content == b"ab"
    assert client.get("/no-such").status_code == 404
    assert client.get("/native").text == "native"


def test_curl(served: Server, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(BIG)
    words = ["curl", "-sS", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}"]
    # One URL each: curl 7.88 greets a connection that it uses again a second time.
    said = {"/": b"root2 200", "/none": b"2 204", "/native": b"native2 200"}
    for path, answer in said.items():
        done = run(*words, served.url + path)
        assert done.stdout == answer, done
    out = tmp_path / "out"
    upload = ["--data-binary", f"@{tmp_path / 'body'}", "-o", str(out)]
    done = run(*words, *upload, served.url + "/body")
    assert done.stdout == b"2 200" and out.read_bytes() == BIG, done
    done = run(*words, "-I", served.url + "/big")
    assert b"HTTP/2 200" in done.stdout and b"content-length: 1048576" in done.stdout
    # An upgrade from HTTP/1.1, which RFC 9113 has given up, is not taken; the request is.
    done = run("curl", "-sS", "--http2", "-w", "%{http_version}", served.url + "/")
    assert done.stdout == b"root1.1", done


def test_answers_before_the_body(served: Server, client: httpx.Client, tmp_path: Path) -> None:
    """Clients that send a large body for nothing read the answer all the same, and stop."""
    (tmp_path / "body").write_bytes(BIG * 20)
    words = ["curl", "-sS", "--http2-prior-knowledge", "-H", "Expect:", "-o", str(tmp_path / "out")]
    words += ["-w", "%{http_code} %{size_upload}", "--data-binary", f"@{tmp_path / 'body'}"]
    for _ in range(5):
        done = run(*words, served.url + "/small")
        status, uploaded = done.stdout.split()
        assert status == b"413" and int(uploaded) < 10 * len(BIG), done
    # One that looks at nothing before it has sent all: up to 1 MiB is taken.
    assert client.post("/small", content=BIG).status_code == 413


def test_nghttp(served: Server) -> None:
    assert shutil.which("nghttp"), "package nghttp2-client"
    done = run("nghttp", "-v", served.url + "/", served.url + "/none", served.url + "/big")
    said = done.stdout.decode("latin-1")
    assert done.returncode == 0 and "root" in said, said[-2000:]
    assert len(re.findall(r"recv \(stream_id=\d+\) :status: 20[04]", said)) == 3
    assert not re.findall(r"error_code=(?!NO_ERROR)\w+", said)


def test_h2load(served: Server, tmp_path: Path) -> None:
    """Answers of all kinds side by side, and uploads."""
    paths = ("/", "/native", "/echo?a=1", "/generated", "/trailers", "/static/page.txt", "/big")
    words = ["h2load", "-c", "4", "-m", "50"]
    done = run(*words, "-n", "3500", *(served.url + path for path in paths))
    assert b"3500 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout
    (tmp_path / "body").write_bytes(BIG[:100_000])
    done = run(*words, "-n", "400", "-d", str(tmp_path / "body"), served.url + "/body")
    assert b"400 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout


# ---- what handlers see ----


def test_attributes(served: Server) -> None:
    with Streams(served.addresses[0]) as client:
        port = served.addresses[0][1]
        fields = [
            ("x-first", "1"),
            ("cookie", "a=1; b=2"),
            ("x-many", "one"),
            ("cookie", "c=3"),
            ("x-many", "two"),
            ("user-agent", "test"),
        ]
        asked = client.open("/echo?a=1&b=%20&a=2", fields, authority=f"shop.test:{port}")
        client.finish(asked)
        seen = json.loads(asked.body)
        assert seen["method"] == "GET" and seen["path"] == "/echo"
        assert seen["query"] == [["a", "1"], ["b", " "], ["a", "2"]]
        assert seen["cookies"] == [["a", "1"], ["b", "2"], ["c", "3"]]
        assert seen["host"] == f"shop.test:{port}" and seen["scheme"] == "http"
        assert seen["url"] == f"http://shop.test:{port}/echo?a=1&b=%20&a=2"
        assert seen["base_url"] == f"http://shop.test:{port}/"
        assert (
            seen["client"][0] == "127.0.0.1" and seen["client"][1] == client.sock.getsockname()[1]
        )
        headers = seen["headers"]
        assert ["host", f"shop.test:{port}"] in headers
        assert [value for name, value in headers if name == "x-many"] == ["one", "two"]
        assert [v for name, v in headers if name == "cookie"] == ["a=1; b=2; c=3"]
        assert not [name for name, _ in headers if name.startswith(":")]
        order = [name for name, _ in headers]
        assert order.index("x-first") < order.index("x-many") < order.index("user-agent")


def test_host_without_authority(served: Server) -> None:
    with Streams(served.addresses[0]) as client:
        asked = client.open("/echo", [("host", "shop.test")], authority=None)
        client.finish(asked)
        assert json.loads(asked.body)["host"] == "shop.test"


def test_the_same_in_http1_and_http2(served: Server) -> None:
    """A handler need not know."""
    with Streams(served.addresses[0]) as streams, Client(served.addresses[0]) as client:
        fields = [("x-a", "b"), ("cookie", "a=1")]
        over2 = json.loads(streams.ask("/echo?x=y", fields, method="POST", body=b"abc").body)
        lines = [f"{name}: {value}" for name, value in fields]
        over1 = client.ask(request("/echo?x=y", *lines, method="POST", body=b"abc")).json()
        for seen in (over1, over2):
            del seen["client"]
            seen["headers"] = sorted(h for h in seen["headers"] if h[0] != "content-length")
        assert over1 == over2


# ---- what clients see ----


def test_fields_of_answers(served: Server) -> None:
    with Streams(served.addresses[0]) as client:
        answer = client.ask("/cookies")
        assert answer.get("content-length") == "3" and answer.get("date")
        cookies = [value for name, value in answer.fields if name == "set-cookie"]
        assert [cookie.partition(";")[0] for cookie in cookies] == ["a=1", "b=2"]
        names = [name for name, _ in answer.fields]
        assert names == [name.lower() for name in names] and names[0] == ":status"
        assert not {"connection", "transfer-encoding", "keep-alive"} & set(names)


def test_answers_without_bodies(served: Server) -> None:
    with Streams(served.addresses[0]) as client:
        head = client.ask("/big", method="HEAD")
        assert (head.get("content-length"), head.body) == (str(len(BIG)), b"")
        none = client.ask("/none")
        assert (none.status, none.get("content-length"), none.body) == (204, None, b"")
        same = client.ask("/etag")
        assert (same.status, same.body) == (304, b"")


def test_static_files(client: httpx.Client) -> None:
    whole = client.get("/static/page.txt")
    assert whole.content == BIG and whole.headers["accept-ranges"] == "bytes"
    part = client.get("/static/page.txt", headers={"Range": "bytes=100-199999"})
    assert (part.status_code, part.content) == (206, BIG[100:200000])
    parts = client.get("/static/page.txt", headers={"Range": "bytes=0-9,100000-100009"})
    assert parts.status_code == 206 and BIG[100000:100010] in parts.content
    same = client.get("/static/page.txt", headers={"If-None-Match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    bad = client.get("/static/page.txt", headers={"Range": "bytes=9999999-"})
    assert bad.status_code == 416


def test_forms(client: httpx.Client) -> None:
    answer = client.post("/form", data={"a": "1"}, files={"f": ("big.bin", BIG)})
    assert answer.json() == {"a": "1", "f": len(BIG)}
    assert client.post("/form", data={"a": "x y"}).json() == {"a": "x y"}


def test_too_large_bodies(served: Server) -> None:
    with Streams(served.addresses[0]) as client:
        by_length = client.open("/small", [("content-length", "11")], method="POST", end=False)
        client.until(lambda: by_length.fields)
        assert by_length.status == 413
        by_bytes = client.open("/small", method="POST", end=False)
        client.send(by_bytes, b"x" * 11, end=False)
        client.until(lambda: by_bytes.fields)
        assert by_bytes.status == 413
        client.until(lambda: by_bytes.done and by_length.done)
        assert client.ask("/small", method="POST", body=b"x" * 10).body == b"x" * 10
        assert client.goaway is None


def test_a_client_may_wait_for_100(served: Server) -> None:
    with Streams(served.addresses[0]) as client:
        expect = [("expect", "100-continue"), ("content-length", "3")]
        stream = client.open("/body", expect, method="POST", end=False)
        client.until(lambda: stream.interim)
        assert stream.interim[0][":status"] == "100"
        client.send(stream, b"abc")
        client.finish(stream)
        assert (stream.status, stream.body) == (200, b"abc")
        refused = client.open(
            "/small",
            [("expect", "100-continue"), ("content-length", "11")],
            method="POST",
            end=False,
        )
        client.until(lambda: refused.fields)
        assert refused.status == 413 and not refused.interim


def test_early_hints(served: Server) -> None:
    with Streams(served.addresses[0]) as client:
        answer = client.ask("/hints")
        assert answer.interim == [{":status": "103", "link": "</a.css>; rel=preload"}]
        assert (answer.status, answer.body) == (200, b"hinted")


def test_trailers(served: Server) -> None:
    with Streams(served.addresses[0]) as client:
        answer = client.ask("/trailers")
        assert (answer.body, answer.trailers) == (b"ab", [("x-sum", "7")])


def test_errors(served: Server) -> None:
    with Streams(served.addresses[0]) as client:
        answer = client.ask("/fails")
        assert answer.status == 500 and b"secret" not in answer.body
        assert answer.get("content-type") == "application/problem+json"
        assert client.ask("/none", method="PUT").status == 405
        assert client.ask("/echo", method="WHAT").status == 501
        assert client.ask("/").body == b"root"


# ---- what is said of requests ----


def test_the_access_log(backend: str, tmp_path: Path) -> None:
    app = App()
    log = tmp_path / "log"
    app.enable_logging("{protocol} {method} {target} {status} {bytes} {header:x}", file=str(log))
    go = asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        await go.wait()
        return "slow"

    @app.get("/fast")
    async def fast(req: Request) -> str:
        if req.query:
            go.set()
        return "fast!"

    with app.start(backend=backend, http2=Http2Config(h2c=True)) as server:
        with Streams(server.addresses[0]) as client:
            first = client.open("/slow", [("x", "one")])
            left = client.open("/slow", [("x", "two")])
            third = client.open("/fast", [("x", "three")])
            client.finish(third)
            client.cancel(left)
            eventually(lambda: server.stats()["inflight"] == 1, "one was given up")
            client.finish(client.open("/fast?go", [("x", "four")]), first)
        with Client(server.addresses[0]) as client1:
            client1.ask(request("/fast", "X: five"))
    assert log.read_text().splitlines() == [
        "HTTP/2.0 GET /fast 200 5 three",
        "HTTP/2.0 GET /slow 499 0 two",
        "HTTP/2.0 GET /fast?go 200 5 four",
        "HTTP/2.0 GET /slow 200 4 one",
        "HTTP/1.1 GET /fast 200 5 five",
    ]


@pytest.mark.usefixtures("crashes_are_ours")
def test_a_crash_names_the_route(backend: str, tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    source = str(HERE / "crash_library.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O0", source, "-o", str(library)], check=True)
    app = HERE / "crash_app.py"
    server = ServerProcess(backend, str(library), app=app, CELLO_HTTP2="h2c")
    try:
        with Streams(server.address) as client:
            assert client.ask("/plain").body == b"hello"
            client.open("/fault/x")
            assert server.wait() < 0
        assert "\nhandling GET /fault/{name}\n" in server.stderr()
    finally:
        server.close()


def test_the_test_client_is_not_concerned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLO_HTTP2_H2C", "1")
    with TestClient(make_app(folder)) as client:
        assert client.get("/").text == "root"
        assert client.post("/body", content=gzip.compress(BIG)).content == gzip.compress(BIG)
        assert client.patch("/echo").status_code == 405
