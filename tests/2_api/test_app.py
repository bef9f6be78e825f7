"""App: declaring routes, serving, settings."""

import asyncio
import contextvars
import functools
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from api_client import BACKENDS, Client, asking, serving
from cello import (
    App,
    Blueprint,
    Depends,
    LimitsConfig,
    Request,
    RequestIdConfig,
    Response,
    SecurityHeadersConfig,
    TimeoutConfig,
)

VERBS = ["get", "post", "put", "delete", "patch", "options", "head"]


# ---- routes ----


@pytest.mark.parametrize("verb", VERBS)
def test_verbs(verb: str) -> None:
    app = App()
    getattr(app, verb)("/")(lambda req: req.method)
    with asking(app) as client:
        answer = client.ask("/", verb.upper())
        assert answer.status == 200
        assert answer.text == ("" if verb == "head" else verb.upper())
        if verb != "post":
            other = client.ask("/", "POST")
            assert other.status == 405 and verb.upper() in other.headers["Allow"].split(", ")


def test_a_decorator_gives_the_handler_back() -> None:
    def handler() -> str:
        return "x"

    app = App()
    assert app.get("/a")(handler) is handler
    assert app.route("/b", methods=["PUT", "PATCH"])(handler) is handler
    app.add_route("/c", handler, ["post", "GET"], status=202)
    with asking(app) as client:
        assert [client.ask("/b", m).status for m in ("PUT", "PATCH", "GET")] == [200, 200, 405]
        assert [client.ask("/c", m).status for m in ("POST", "HEAD", "PUT")] == [202, 202, 405]


class Handlers:
    def with_request(self, req: Request) -> str:
        return f"method {req.path}"

    def without(self) -> str:
        return "method"

    async def later(self, req: Request) -> str:
        return f"async method {req.path}"

    @classmethod
    def of_class(cls, req: Request) -> str:
        return f"class {req.path}"

    @staticmethod
    def of_nothing() -> str:
        return "static"

    def __call__(self, req: Request) -> str:
        return f"object {req.path}"


class Later:
    async def __call__(self) -> str:
        return "async object"


def logged(handler: Any) -> Any:
    @functools.wraps(handler)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return handler(*args, **kwargs)

    return wrapper


def checked(handler: Any) -> Any:
    @functools.wraps(handler)
    def wrapper(req: Request) -> Any:
        return f"checked {req.path} {handler()}"

    return wrapper


CALLABLES: list[tuple[Any, str]] = [
    (lambda: "none", "none"),
    (lambda req: req.path, "/"),
    (lambda request: request.path, "/"),
    (lambda whatever: whatever.path, "/"),
    (lambda req=None: str(req is None), "False"),
    (lambda x="default": x, "default"),
    (lambda req, x="default": req.path + x, "/default"),
    (lambda *args: str(len(args)), "1"),
    (lambda *, x="keyword": x, "keyword"),
    (lambda **kwargs: str(kwargs), "{}"),
    (Handlers().with_request, "method /"),
    (Handlers().without, "method"),
    (Handlers().later, "async method /"),
    (Handlers.of_class, "class /"),
    (Handlers.of_nothing, "static"),
    (Handlers(), "object /"),
    (Later(), "async object"),
    (functools.partial(lambda prefix, req: prefix + req.path, "partial "), "partial /"),
    (functools.partial(Handlers().later), "async method /"),
    (logged(lambda: "wrapped"), "wrapped"),
    (logged(lambda req: req.path), "/"),
    (checked(lambda: "inner"), "checked / inner"),
]


@pytest.mark.parametrize(("handler", "expected"), CALLABLES, ids=range(len(CALLABLES)))
def test_callables(handler: Any, expected: str) -> None:
    app = App()
    app.get("/")(handler)
    with asking(app) as client:
        assert client.get("/").text == expected


BAD_ROUTES: list[tuple[Any, type[Exception], str | None]] = [
    (lambda app: app.get("/")(5), TypeError, "callable"),
    (lambda app: app.get("/")(lambda a, b: 1), TypeError, r"test_app\.py:\d+.*'b'"),
    (lambda app: app.get("/")(lambda *, a: 1), TypeError, "keyword-only"),
    (lambda app: app.get("x")(lambda: 1), ValueError, "/"),
    (lambda app: app.get("")(lambda: 1), ValueError, None),
    (lambda app: app.get("/:id")(lambda: 1), ValueError, r"\{id\}"),
    (lambda app: app.get("/{id")(lambda: 1), ValueError, None),
    (lambda app: app.get("/{id:no}")(lambda: 1), ValueError, "no"),
    (lambda app: app.get("/{a}/{a}")(lambda: 1), ValueError, "a"),
    (lambda app: app.get("/{a:path}/b")(lambda: 1), ValueError, None),
    (lambda app: app.get("/{a:regex([)}")(lambda: 1), ValueError, None),
    (lambda app: app.get(5)(lambda: 1), TypeError, "path"),
    (lambda app: app.route("/", methods=[])(lambda: 1), ValueError, "method"),
    (lambda app: app.route("/", methods=["BREW"])(lambda: 1), ValueError, "BREW"),
    (lambda app: app.get("/", status=99)(lambda: 1), ValueError, "status"),
    (lambda app: app.get("/", status="200")(lambda: 1), ValueError, "status"),
    (lambda app: app.get("/", max_body=0)(lambda: 1), ValueError, "max_body"),
    (lambda app: app.get("/", use=[5])(lambda: 1), TypeError, "use"),
    (lambda app: app.get("/", nonsense=1)(lambda: 1), TypeError, "nonsense"),
    (lambda app: app.use(lambda req: None), TypeError, "use"),
    (lambda app: app.static_response("/", "x", status=42), ValueError, None),
    (lambda app: app.static_response("/", 5), TypeError, "int"),
    (lambda app: app.static_response("/", "x", headers={"a b": "c"}), ValueError, None),
    (lambda app: app.static_response("/", "x", headers={"a": "\r\n"}), ValueError, None),
    (lambda app: app.static_response("/", "x", content_type="a\nb"), ValueError, None),
    (lambda app: app.set_limits(TimeoutConfig()), TypeError, "LimitsConfig"),
    (lambda app: app.set_timeouts(5), TypeError, "TimeoutConfig"),
    (lambda app: App(trailing_slash="maybe"), ValueError, "maybe"),
    (lambda app: App(use=RequestIdConfig()), TypeError, r"use is a list such as \["),
    (lambda app: app.get("/", use=5)(lambda: 1), TypeError, r"use is a list such as \["),
    (lambda app: app.get("/", guards=5)(lambda: 1), TypeError, r"guards is a list such as \["),
    (
        lambda app: app.get("/", dependencies=Depends(int))(lambda: 1),
        TypeError,
        r"dependencies is a list such as \[Depends",
    ),
    (lambda app: app.route("/", methods="GET")(lambda: 1), TypeError, r"\['GET'\]"),
    (lambda app: app.get("/", max_body=True)(lambda: 1), ValueError, "max_body"),
    (lambda app: app.get(lambda: 1), TypeError, r"needs a path, as in @app.get\('/'\)"),
    (lambda app: app.json_encoder(lambda value: 1), TypeError, r"write @app.json_encoder\(Type"),
    (lambda app: app.register_blueprint("/x"), TypeError, "a Blueprint is needed"),
    (lambda app: Blueprint(5), TypeError, "a prefix is '' or like '/this'"),
]


@pytest.mark.parametrize(("declare", "error", "message"), BAD_ROUTES, ids=range(len(BAD_ROUTES)))
def test_wrong_declarations_fail_at_once(declare: Any, error: Any, message: str) -> None:
    app = App()
    with pytest.raises(error, match=message):
        declare(app)
    app.get("/ok")(lambda: "ok")
    with asking(app) as client:
        assert client.get("/ok").text == "ok", "the application is as before"


def test_a_conflict_names_both_places() -> None:
    app = App()
    app.get("/users/{id:int}")(lambda: "x")
    with pytest.raises(ValueError, match=r"test_app\.py:\d+[^$]*test_app\.py:\d+"):
        app.get("/users/{number:int}")(lambda: "x")


def test_a_refused_handler_is_not_kept() -> None:
    app = App()
    app.get("/")(lambda: "first")

    async def second() -> str:
        return "second"

    kept = weakref.ref(second)
    with pytest.raises(ValueError, match="test_app"):
        app.get("/")(second)
    del second
    gc.collect()
    assert kept() is None


def test_trailing_slashes() -> None:
    strict, redirect = App(), App(trailing_slash="redirect")
    for app in (strict, redirect):
        app.route("/a", ["GET", "POST"])(lambda: "a")
        app.get("/b/")(lambda: "b")
    with asking(strict) as client:
        assert [client.get(p).status for p in ("/a", "/a/", "/b", "/b/")] == [200, 404, 404, 200]
    with asking(redirect) as client:
        answer = client.get("/a/?q=1")
        assert (answer.status, answer.headers["Location"]) == (307, "../a?q=1")
        assert client.ask("/a/", "POST", b"").status == 308
        assert client.get("/b").headers["Location"] == "./b/"


def test_static_responses() -> None:
    app = App(use=[SecurityHeadersConfig()])
    app.static_response("/text", "ä")
    app.static_response("/bytes", b"\xff", status=203, headers={"X-A": "1"})
    app.static_response("/json", "{}", content_type="application/json", methods=["GET", "POST"])
    with asking(app) as client:
        answer = client.get("/text")
        assert answer.body == "ä".encode() and answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        answer = client.get("/bytes")
        assert (answer.status, answer.body, answer.headers["X-A"]) == (203, b"\xff", "1")
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert client.ask("/json", "POST").headers["Content-Type"] == "application/json"
        assert client.ask("/json", "PUT").headers["Allow"] == "GET, HEAD, POST, OPTIONS"
        head = client.ask("/text", "HEAD")
        assert head.body == b"" and head.headers["Content-Length"] == "2"


# ---- constants of handlers ----


class Version(msgspec.Struct):
    major: int
    minor: int = 0


def test_a_const_handler_is_called_once() -> None:
    app, calls = App(use=[SecurityHeadersConfig()]), []

    @app.get("/version", const=True)
    def version() -> Version:
        """Which one this is."""
        calls.append(1)
        return Version(1)

    app.get("/text", const=True)(lambda: "ä")
    app.get("/quoted", const=True)(lambda: Response.json("ä", headers={"X-A": "1"}))
    app.get("/tuple", const=True)(lambda: (b"x", 203, {"X-B": "2"}))
    app.enable_openapi()
    with asking(app) as client:
        for _ in range(3):
            answer = client.get("/version")
            assert answer.body == b'{"major":1,"minor":0}'
        assert answer.headers["Content-Type"] == "application/json" and calls == [1]
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert client.get("/text").body == "ä".encode()
        quoted = client.get("/quoted")
        assert quoted.body == '"ä"'.encode() and quoted.headers["X-A"] == "1"
        answer = client.get("/tuple")
        assert (answer.status, answer.body, answer.headers["X-B"]) == (203, b"x", "2")
    operation = app.openapi()["paths"]["/version"]["get"]
    assert operation["description"] == "Which one this is."


def test_what_cannot_be_const() -> None:
    app = App(dependencies=[])

    async def waits() -> str:
        return "x"

    for handler, options in [
        (lambda req: "x", {}),
        (waits, {}),
        (lambda: "x", {"guards": [lambda req: True]}),
        (lambda: "x", {"dependencies": [Depends(lambda: 1)]}),
        (lambda: "x", {"use": [RequestIdConfig()]}),
        (lambda: None, {}),
    ]:
        with pytest.raises(TypeError, match=r"test_app.py:\d+: handler .*const=True"):
            app.get("/x", const=True, **options)(handler)  # type: ignore[arg-type]
    app.get("/x", const=True)(lambda: "x")  # nothing was left of the others
    app.add_guard(lambda req: False)
    with pytest.raises(RuntimeError, match="guards would not run"):
        app.start()


def test_state_and_what_an_application_knows() -> None:
    app = App("shop", "1.2")
    app.state.db = {"a": 1}
    app.get("/")(lambda req: [req.app.state.db["a"], req.app.title, req.app.version])
    with asking(app) as client:
        assert client.get("/").data == [1, "shop", "1.2"]


def test_max_body_of_a_route() -> None:
    app = App()
    app.set_limits(LimitsConfig(max_body_size=10))
    app.post("/small")(lambda req: len(req.body()))
    app.post("/large", max_body=100)(lambda req: len(req.body()))
    with asking(app) as client:
        assert client.ask("/small", "POST", b"x" * 10).data == 10
        assert client.ask("/large", "POST", b"x" * 100).data == 100
    with asking(app) as client:
        assert client.ask("/large", "POST", b"x" * 101).status == 413
    with asking(app) as client:
        assert client.ask("/small", "POST", b"x" * 11).status == 413


def test_every_handler_runs_in_a_context_of_its_own() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    app = App()

    @app.get("/def")
    def plain() -> str:
        before = variable.get("unset")
        variable.set("by another request")
        return before

    @app.get("/async")
    async def later() -> str:
        before = variable.get("unset")
        variable.set("by another request")
        await asyncio.sleep(0)
        return before

    with asking(app) as client:
        for _ in range(3):
            assert client.get("/def").text == client.get("/async").text == "unset"


# ---- middleware ----


def test_middleware_of_application_and_route() -> None:
    app = App()
    app.enable_request_id("X-Id")
    app.enable_security_headers(SecurityHeadersConfig(csp="default-src 'self'"))

    @app.get("/", use=[SecurityHeadersConfig(x_frame_options="SAMEORIGIN")])
    def handler(req: Request) -> Any:
        return req.request_id, 200, {"Referrer-Policy": "no-referrer"}

    with asking(app) as client:
        answer = client.get("/", X_Id="abc")
        assert answer.text == answer.headers["X-Id"] == "abc"
        assert answer.headers.get_all("X-Frame-Options") == ["SAMEORIGIN"]
        assert answer.headers.get_all("Referrer-Policy") == ["no-referrer"]
        assert answer.headers["Content-Security-Policy"] == "default-src 'self'"
        answer = client.get("/nowhere", X_Id="bad id")
        assert answer.status == 404 and len(answer.headers["X-Id"]) == 32


# ---- serving ----


@pytest.mark.parametrize("backend", BACKENDS)
def test_start_and_stop(backend: str) -> None:
    app = App()
    app.get("/")(lambda: "x")
    threads = threading.active_count()
    for _ in range(5):
        with app.start(backend=backend) as server:
            host, port = server.addresses[0]
            assert server.url == f"http://{host}:{port}"
            with Client((host, port)) as client:
                assert client.get("/").text == "x"
            assert server.stats()["requests"] == 1 and not server.wait(0)
        assert server.wait(0)
        with pytest.raises(ConnectionRefusedError):
            Client((host, port)).get("/")
    assert threading.active_count() == threads


def test_stop_finishes_what_is_in_flight() -> None:
    entered, go_on = threading.Event(), threading.Event()
    app = App()

    @app.get("/")
    def handler() -> str:
        entered.set()
        go_on.wait(10)
        return "finished"

    server = app.start()
    client = Client(server.addresses[0])
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(client.get("/").text))
    asking.start()
    assert entered.wait(10)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    go_on.set()
    asking.join()
    stopping.join()
    client.close()
    assert answers == ["finished"]


def test_servers_side_by_side() -> None:
    apps = [App(str(i)) for i in range(3)]
    for app in apps:
        app.get("/")(lambda req: req.app.title)
    with serving(apps[0]) as a, serving(apps[1]) as b, serving(apps[2]) as c, serving(apps[0]) as d:
        assert [client.get("/").text for client in (a, b, c, d)] == ["0", "1", "2", "0"]


def test_a_busy_port() -> None:
    app = App()
    with app.start() as server, pytest.raises(OSError, match="in use"):
        app.start("127.0.0.1", server.addresses[0][1])


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"backend": "kqueue"}, ValueError),
        ({"env": "staging"}, ValueError),
        ({"workers": 2}, ValueError),
        ({"host": "no.such.host.invalid"}, (OSError, ValueError)),
        ({"port": 70000}, ValueError),
    ],
    ids=str,
)
def test_wrong_settings(settings: dict[str, Any], error: Any) -> None:
    with pytest.raises(error):
        App().start(**settings)


def test_unix_socket_and_foreign_descriptor(tmp_path: Path) -> None:
    app = App()
    app.get("/")(lambda req: str(req.remote_addr))
    path = tmp_path / "socket"
    with app.start(uds=str(path)) as server:
        assert server.addresses == [(f"unix:{path}", 0)]
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert b"".join(iter(lambda: s.recv(4096), b"")).endswith(b"unix:")
    assert not path.exists()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = os.dup(listener.fileno())
        with app.start(fd=fd) as server:
            assert server.addresses == [listener.getsockname()]
            with Client(server.addresses[0]) as client:
                assert client.get("/").text == "127.0.0.1"


def test_a_unix_socket_whose_name_is_not_utf8(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    with App().start(uds=path) as server:
        assert server.addresses == [(f"unix:{path}", 0)]


def test_ipv6() -> None:
    app = App()
    app.get("/")(lambda req: req.remote_addr)
    try:
        server = app.start("::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        assert server.url == f"http://[::1]:{server.addresses[0][1]}"
        with Client(server.addresses[0]) as client:
            assert client.get("/").text == "::1"


def test_serve_under_a_running_loop() -> None:
    app = App()

    @app.get("/")
    async def handler() -> bool:
        await asyncio.sleep(0.001)
        return asyncio.get_running_loop() is loop

    async def main() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
            task = asyncio.create_task(app.serve(fd=os.dup(listener.fileno())))
            with Client(address) as client:
                answer = await asyncio.to_thread(client.get, "/")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert answer.data is True

    loop: asyncio.AbstractEventLoop
    asyncio.run(main())


def test_what_a_handler_raises_for_the_program_reaches_it() -> None:
    app = App()

    @app.get("/")
    def handler() -> None:
        raise SystemExit(7)

    server = app.start()
    with Client(server.addresses[0]) as client:
        assert client.get("/").status == 500
    with pytest.raises(SystemExit):
        server.wait(10)


# ---- run ----

PROGRAM = """
import sys
from cello import App
app = App()
@app.get("/")
def hello():
    return "hello"
app.run({arguments})
print("ended")
"""


def run(
    tmp_path: Path, *argv: str, arguments: str = "", **environment: str
) -> subprocess.Popen[str]:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(arguments=arguments))
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(script), *argv],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stderr
    line = process.stderr.readline()
    assert line.startswith("Cello "), line + process.stderr.read()
    return int(line.split(":")[2].split()[0])


def wait_answer(path: Path) -> None:
    """Until a server on a unix socket answers."""
    while True:
        with socket.socket(socket.AF_UNIX) as s:
            if s.connect_ex(str(path)) == 0:
                s.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
                assert s.recv(1000).startswith(b"HTTP/1.1 200 ")
                return
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_run(tmp_path: Path, number: signal.Signals) -> None:
    with run(tmp_path, "--port", "0") as process:
        with Client(("127.0.0.1", port_of(process))) as client:
            assert client.get("/").text == "hello"
        process.send_signal(number)
        out, _ = process.communicate(timeout=10)
        assert process.returncode == 0 and out.endswith("ended\n")
        assert '"GET / HTTP/1.1" 200 5' in out, "the access log is on in development"


def test_settings_of_run(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with run(tmp_path, "--no-logs", "--other", arguments=f"uds={str(path)!r}") as process:
        wait_answer(path)  # it says nothing itself
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out, err) == (0, "ended\n", "")
    with run(tmp_path, "--port=0", arguments='backend="epoll"', CELLO_PORT="1") as process:
        assert port_of(process) > 1
        process.kill()
    with run(tmp_path, arguments="argv=False", CELLO_PORT="0") as process:
        assert port_of(process) > 1
        process.kill()


def test_run_on_a_busy_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = str(s.getsockname()[1])
        with run(tmp_path, "--port", port) as process:
            out, err = process.communicate(timeout=10)
    assert process.returncode == 1 and port in err and "Traceback" not in err and out == ""


@contextmanager
def standard_output() -> Iterator[Callable[[], str]]:
    """Standard output goes into a pipe; what was written so far comes out of it."""
    gc.collect()  # servers of other tests write what they have left now
    read, write = os.pipe()
    os.set_blocking(read, False)
    saved = os.dup(1)
    os.dup2(write, 1)
    try:
        with os.fdopen(read) as log:
            yield log.read
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(write)


def test_the_log_is_written_when_stop_returns() -> None:
    app = App(use=[RequestIdConfig()])
    app.enable_logging("{method} {path} {status} {request_id}")
    app.get("/")(lambda: "x")
    with standard_output() as written:
        server = app.start(logs=True)
        with Client(server.addresses[0]) as client:
            client.get("/", X_Request_ID="abc")
        server.stop()
        assert written() == "GET / 200 abc\n"


def test_the_log_in_a_file(tmp_path: Path) -> None:
    app = App()
    app.enable_logging("{path}", tmp_path / "log", sample=0.5)
    app.get("/{name}")(lambda name: (name, 500) if name == "e" else name)
    for options, lines in (({}, "/a\n/c\n/e\n"), ({"logs": False}, "")):
        with app.start(**options) as server, Client(server.addresses[0]) as client:
            for name in "abcde":
                client.get(f"/{name}")
        assert (tmp_path / "log").read_text() == lines
        (tmp_path / "log").write_text("")
    app.enable_logging(file=tmp_path)
    with pytest.raises(IsADirectoryError) as failed:
        app.start()
    assert failed.value.filename == str(tmp_path)
    with pytest.raises(IsADirectoryError):
        asyncio.run(app.serve(port=0))


def test_wrong_arguments_of_the_log() -> None:
    app = App()
    for sample in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="sample is a number from 0 to 1"):
            app.enable_logging(sample=sample)
    for sample in (True, "1", None):
        with pytest.raises(TypeError, match="sample is a number from 0 to 1"):
            app.enable_logging(sample=sample)  # type: ignore[arg-type]
    for file in ("", "a\0b"):
        with pytest.raises(ValueError, match="file is a path"):
            app.enable_logging(file=file)
    for file in (7, b"log"):
        with pytest.raises(TypeError):
            app.enable_logging(file=file)  # type: ignore[arg-type]


def test_the_log_is_written_when_serve_returns() -> None:
    app = App()
    app.enable_logging("{path}")
    app.get("/")(lambda: "x")

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            task = asyncio.create_task(app.serve(fd=os.dup(listener.fileno())))
            with Client(listener.getsockname()) as client:
                await asyncio.to_thread(client.get, "/")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with standard_output() as written:
        asyncio.run(main())
        assert written() == "/\n"
