"""The rules of the design, each as a test that fails when the rule is broken: see
docs/internals/rules.md."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from api_client import BACKENDS, Client, profiled, serving
from cello import App, Header, RequestIdConfig, SecurityHeadersConfig, StaticFilesConfig

HERE = Path(__file__).parent


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def script(code: str, *arguments: str, **environment: str) -> str:
    """What a program of its own prints; it finds api_client."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(HERE), **environment},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- no JSON in Python ----

POISONED = """
import socket, sys
from cello import App
for name in ("json", "json.decoder", "json.encoder", "_json"):
    assert name not in sys.modules, name
    sys.modules[name] = None
app = App()
@app.post("/def")
def plain(req):
    return {"got": req.json()}
@app.post("/async")
async def later(req):
    return {"got": req.json()}
@app.get("/error")
def error():
    from cello import HTTPError
    raise HTTPError(404, "none", more=[1])
with app.start("127.0.0.1", 0) as server:
    for head in ("POST /def", "POST /async", "GET /error"):
        with socket.create_connection(server.addresses[0]) as s:
            s.sendall(f"{head} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n"
                      "Content-Length: 13\\r\\n\\r\\n{\\"a\\":[1,2.5]}".encode())
            print(b"".join(iter(lambda: s.recv(65536), b"")).decode().partition("\\r\\n\\r\\n")[2])
"""


def test_json_is_served_without_the_json_module() -> None:
    plain, later, error = script(POISONED).split("\n")[:3]
    assert plain == later == '{"got":{"a":[1,2.5]}}'
    assert error.endswith('"detail":"none","instance":"/error","more":[1]}')


# ---- asyncio never drives I/O ----

DEF_ONLY = """
import socket, sys
from cello import App, RequestIdConfig
app = App(use=[RequestIdConfig()])
app.static_response("/constant", "x")
@app.get("/{name}")
def hello(req):
    return {"hello": req.params["name"], "q": req.query.get("q")}
with app.start("127.0.0.1", 0) as server:
    with socket.create_connection(server.addresses[0]) as s:
        for i in range(100):
            path = "constant" if i % 3 else "me?q=1"
            s.sendall(f"GET /{path} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
            assert s.recv(65536).startswith(b"HTTP/1.1 200")
print(*(m for m in ("asyncio", "ssl", "http", "json", "inspect", "dataclasses", "logging",
                    "email", "urllib", "concurrent.futures") if m in sys.modules))
"""


def test_def_only_traffic_never_imports_asyncio() -> None:
    assert script(DEF_ONLY).strip() == ""


@pytest.mark.parametrize("backend", BACKENDS)
def test_select_returns_far_less_often_than_requests_come(backend: str) -> None:
    app = App()

    @app.get("/ready")
    async def ready() -> str:
        return "x"

    @app.get("/sleep")
    async def sleep() -> str:
        await asyncio.sleep(0)
        return "x"

    with profiled(app, backend=backend) as (client, frames):
        for _ in range(500):
            assert client.get("/ready").text == "x"
        rounds = frames["BaseEventLoop._run_once"]
        assert rounds <= 20, "asyncio looked at its own things while the engine served"
        client.pipeline(get("/sleep"), 500)
        rounds = frames["BaseEventLoop._run_once"] - rounds
        assert rounds <= 250, "what suspends comes back in batches"


# ---- no Python in the hot path but the handler ----


@pytest.mark.parametrize("backend", BACKENDS)
def test_frames_per_request(backend: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    app = App(use=[RequestIdConfig(), SecurityHeadersConfig()])
    app.static_response("/native", "x")
    app.enable_static_files(StaticFilesConfig(tmp_path, directory_listing=True))

    @app.get("/plain/{id:int}")
    def plain(req: Any) -> object:
        return {"id": req.get_param_int("id"), "q": req.query["q"], "host": req.headers["host"]}

    @app.get("/async")
    async def later(req: Any) -> object:
        return {"path": req.path}

    @app.get("/typed/{id}")
    def typed(id: int, q: list[int], host: Annotated[str, Header()]) -> dict[str, Any]:
        return {"id": id, "q": q, "host": host}

    with profiled(app, backend=backend) as (client, frames):
        assert client.get("/static/file").text == "x"
        files = ("/static/file", "/static/", "/static", "/static/none")
        for target in ("/native", "/nowhere", "/plain/x", *files):
            for _ in range(10):
                client.get(target)
        assert frames.pop("BaseEventLoop._run_once", 0) <= 20
        assert not +frames, "a native answer enters no Python"
        for _ in range(10):
            client.get("/plain/7?q=1")
            client.get("/async")
            assert client.get("/typed/7?q=1&q=2").data["q"] == [1, 2]
        frames = Counter({name: n for name, n in frames.items() if "<locals>" in name})
        qualname = "test_frames_per_request.<locals>."
        assert frames == {f"{qualname}{name}": 10 for name in ("plain", "later", "typed")}


def test_only_handlers_have_frames() -> None:
    app = App()
    app.get("/")(lambda: {"a": 1})
    with profiled(app, backend="auto") as (client, frames):
        for _ in range(10):
            client.get("/")
        assert sum(frames.values()) == 10


def test_nothing_is_looked_up_on_a_handler() -> None:
    seen: list[str] = []

    class Spy:
        def __call__(self, req: Any) -> str:
            return "x"

        def __getattribute__(self, name: str) -> Any:
            seen.append(name)
            return object.__getattribute__(self, name)

    app = App()
    app.get("/")(Spy())
    with serving(app) as client:
        seen.clear()
        for _ in range(10):
            assert client.get("/").text == "x"
        assert seen == []


# ---- no dynamic routing ----


def test_the_table_is_frozen_at_start() -> None:
    app = App()
    app.get("/")(lambda: "x")
    with serving(app):
        additions: list[Callable[[], object]] = [
            lambda: app.get("/late")(lambda: "x"),
            lambda: app.add_route("/late", lambda: "x"),
            lambda: app.static_response("/late", "x"),
            lambda: app.use(RequestIdConfig()),
            lambda: app.enable_security_headers(),
        ]
        for add in additions:
            with pytest.raises(RuntimeError, match="started"):
                add()
    with serving(app) as client:  # also after the server has ended
        assert client.get("/late").status == 404


def cpu_per_request(client: Client, request: bytes, count: int) -> float:
    """CPU seconds of the server's thread."""
    before = float(client.get("/cpu").text)
    client.pipeline(request, count)
    return (float(client.get("/cpu").text) - before) / count


@pytest.mark.bench
@pytest.mark.parametrize("target", ["/user/3/static", "/user/3/42/posts/a-title"])
def test_a_large_table_is_as_fast_as_a_small_one(target: str) -> None:
    def app_with(routes: int) -> App:
        app = App()
        app.get("/cpu")(lambda: str(time.thread_time()))
        for i in range(routes // 2):
            app.static_response(f"/user/{i}/static", "x")
            app.static_response(f"/user/{i}/{{id:int}}/posts/{{slug:slug}}", "x")
        return app

    with serving(app_with(10)) as small, serving(app_with(1000)) as large:
        few, many = [], []
        for _ in range(100):  # the best of many short rounds: what else runs here falls out
            few.append(cpu_per_request(small, get(target), 20_000))
            many.append(cpu_per_request(large, get(target), 20_000))
        assert min(many) < 1.05 * min(few)


# ---- arena, zero copy ----

ALLOCATIONS = """
import ctypes, sys
import msgspec
from api_client import serving
from cello import App, Depends
calls = ctypes.CDLL(None).malloc_calls
calls.restype = ctypes.c_ulong
app = App()
@app.get("/mallocs")
def mallocs():
    return str(calls())
@app.get("/json")
def json():
    return {"message": "hello", "list": [1, 2.5, None, True]}
@app.get("/users/{id:int}")
def user(req):
    return {"id": req.get_param_int("id"), "name": req.params["id"], "q": req.query["q"]}
@app.post("/echo")
def echo(req):
    return req.json()
@app.post("/bytes")
def raw(req):
    return req.body()
@app.get("/typed/{id}")
def typed(id: int, q: str, page: int = 1, tag: list[int] = []):
    return {"id": id, "q": q, "page": page, "tag": tag}
class Item(msgspec.Struct):
    id: int
    tags: list[str]
@app.post("/item")
def item(item: Item):
    return item
def session():
    yield 1
@app.get("/session")
def use(session=Depends(session)):
    return session
@app.get("/waste")
def waste():
    return str(len(bytearray(5000)))
body = b'{"id":12,"name":"a name","tags":["a","b"],"price":12.5}'
head = "POST /%s HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: " + str(len(body)) + "\\r\\n\\r\\n"
requests = {
    "json": b"GET /json HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n",
    "path+query": b"GET /users/42?q=abc HTTP/1.1\\r\\nHost: x\\r\\nAccept: */*\\r\\n\\r\\n",
    "echo": (head % "echo").encode() + body,
    "bytes": (head % "bytes").encode() + body,
    "typed": b"GET /typed/42?q=abc&tag=1&tag=2 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n",
    "item": (head % "item").encode() + body,
    "session": b"GET /session HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n",
    "waste": b"GET /waste HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n",
}
with serving(app, backend=sys.argv[1]) as client:
    for name, request in requests.items():
        client.pipeline(request, 2000)  # pools fill up
        before, blocks = int(client.get("/mallocs").text), sys.getallocatedblocks()
        client.pipeline(request, 10_000)
        grown = sys.getallocatedblocks() - blocks
        print(name, (int(client.get("/mallocs").text) - before) / 10_000, grown)
"""


@pytest.fixture(scope="module")
def malloc_counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.environ.get("LD_PRELOAD"):
        pytest.skip("the sanitizers bring a malloc of their own")
    library = tmp_path_factory.mktemp("malloc") / "malloc_count.so"
    source = str(HERE / "malloc_count.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", source, "-o", str(library)], check=True)
    return library


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_malloc_per_request(malloc_counter: Path, backend: str) -> None:
    out = script(ALLOCATIONS, backend, LD_PRELOAD=str(malloc_counter))
    lines = [line.split() for line in out.splitlines()]
    counted = {name: float(mallocs) for name, mallocs, _ in lines}
    grown = {name: int(blocks) for name, _, blocks in lines}
    assert counted.pop("waste") >= 1, "the counter counts"
    # A connection, and the handler that reports, cost a few; a request costs none.
    assert all(count < 0.005 for count in counted.values()), counted
    assert all(blocks < 500 for blocks in grown.values()), grown


def test_large_bytes_are_sent_from_where_they_are() -> None:
    data = bytes(16 << 20)
    app = App()
    app.get("/")(lambda: data)
    before = sys.getrefcount(data)
    with serving(app) as client, socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(client.address)
        s.sendall(get("/"))
        assert s.recv(12) == b"HTTP/1.1 200"  # and no more: the rest waits in the object
        assert sys.getrefcount(data) == before + 1
        s.close()
        until(lambda: sys.getrefcount(data) == before)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


# ---- the GIL ----


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_gil_is_taken_once_for_a_batch(backend: str) -> None:
    app = App()
    app.static_response("/native", "x")
    app.get("/")(lambda: "x")
    with serving(app, backend=backend) as client:
        client.pipeline(get("/native"), 2000)
        assert client.server.stats()["gil_acquisitions"] == 0
        client.pipeline(get("/"), 2000, batch=50)
        stats = client.server.stats()
        assert stats["application_calls"] == 2000
        assert stats["gil_acquisitions"] <= stats["batches"]
        assert stats["gil_acquisitions"] <= 2000 / 4


@pytest.mark.parametrize("kind", ["def", "async"])
def test_other_threads_progress_under_load(kind: str) -> None:
    app = App()
    if kind == "def":
        app.get("/")(lambda: sum(range(2000)) and "x")
    else:

        @app.get("/")
        async def handler() -> str:
            return sum(range(2000)) and "x"

    stop = threading.Event()
    with serving(app) as client:
        load = threading.Thread(target=lambda: _load(client, stop))
        load.start()
        longest, before = 0.0, time.perf_counter()
        for _ in range(200):
            time.sleep(0)
            now = time.perf_counter()
            longest, before = max(longest, now - before), now
        stop.set()
        load.join()
    assert longest < 1.0


def _load(client: Client, stop: threading.Event) -> None:
    while not stop.is_set():
        client.pipeline(get("/"), 500, batch=100)
