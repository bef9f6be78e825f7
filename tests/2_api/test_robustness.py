"""What user code can do to a server: odd exceptions and values, code that runs where none is
expected, calls at the wrong time, threads, forks and ends of the process."""

import asyncio
import contextvars
import datetime
import gc
import http.client
import logging
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from api_client import BACKENDS, Answer, Client, asking, serving
from cello import App, HTTPError, JSONDecodeError, MultiMap, Request, Response, Server

HERE = Path(__file__).parent
INJECTION = "x\r\nEvil: 1"


class Odd:
    """Something that JSON does not know."""


def answer_of(handler: Callable[..., Any]) -> Answer:
    app = App()
    app.get("/")(handler)
    with asking(app) as client:
        return client.get("/")


def ask(server: Server, target: str = "/") -> Answer:
    client = Client(server.addresses[0])
    try:
        return client.ask(target)
    finally:
        client.close()


def script(code: str) -> str:
    """What a program of its own prints, on standard error too; it finds api_client."""
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


# ---- headers ----


@pytest.mark.parametrize("body", ["<h1>", b"<h1>", bytearray(b"<h1>"), None, {"a": 1}])
def test_a_tuple_sets_the_content_type(body: object) -> None:
    answer = answer_of(lambda: (body, 200, {"Content-Type": "text/x-mine"}))
    assert answer.headers.get_all("Content-Type") == ["text/x-mine"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": ["1", "2"]},
        [("X-A", "1"), ("X-A", "2")],
        iter([("X-A", "1"), ["X-A", "2"]]),
        MultiMap([("X-A", "1"), ("X-A", "2")]),
    ],
)
def test_a_tuple_takes_the_headers_that_a_response_takes(headers: Any) -> None:
    answer = answer_of(lambda: ("", 200, headers))
    assert answer.headers.get_all("X-A") == ["1", "2"]


def raise_error(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    "handler",
    [
        lambda: ("", 200, {"A": INJECTION}),
        lambda: ("", 200, {INJECTION: "a"}),
        lambda: ("", 200, [("Content-Type", INJECTION)]),
        lambda: ("", 200, [("Content-Type", "a\0b")]),
        lambda: ("", 200, {"A": 5}),
        lambda: ("", 200, 5),
        lambda: Response("", headers={"A": INJECTION}),
        lambda: Response("", content_type=INJECTION),
        lambda: Response.redirect("http://x/" + INJECTION),
        lambda: Response("").set_cookie("a", INJECTION),
        lambda: Response("").set_cookie("a", "b", path=INJECTION),
        lambda: Response("").set_header("Set-Cookie", INJECTION),
        lambda: raise_error(HTTPError(400, headers={"A": INJECTION})),
    ],
)
def test_headers_cannot_be_injected(handler: Callable[[], Any]) -> None:
    answer = answer_of(handler)
    assert answer.status == 500
    assert "Evil" not in answer.headers


@pytest.mark.parametrize("status", [204, 205, 304])
@pytest.mark.parametrize("body", ["text", b"x" * 9000, {"a": 1}])
def test_statuses_without_a_body(status: int, body: object) -> None:
    app = App()
    app.get("/")(lambda: (body, status))
    with asking(app) as client:
        raw = client.raw(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, sent = raw.partition(b"\r\n\r\n")
    assert sent == b""
    assert (b"Content-Length: 0" in head) == (status == 205)


def test_a_header_that_goes_may_look_at_the_response() -> None:
    class Name(str):
        def __del__(self) -> None:
            response.set_header("X-B", "3")

    response = Response("", headers=[(Name("X-A"), "1"), (Name("X-A"), "2")])
    response.set_header("X-A", "4")
    assert response.headers["X-A"] == "4"


# ---- exceptions ----


def spoil(attribute: str, value: object) -> Callable[[], Any]:
    def handler() -> None:
        error = HTTPError(404)
        setattr(error, attribute, value)
        raise error

    return handler


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("status", 2**32 + 200),
        ("status", 100),
        ("status", "404"),
        ("status", None),
        ("extensions", {1: Odd()}),
        ("extensions", [1, 2]),
        ("extensions", 5),
        ("detail", Odd()),
        ("detail", "\ud800"),
        ("headers", {"Content-Length": "5"}),
        ("headers", 5),
        ("headers", "ab"),
    ],
)
def test_spoilt_http_errors(
    attribute: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert answer_of(spoil(attribute, value)).status == 500
    assert "HTTPError that cannot be sent" in caplog.text


def test_an_http_error_without_its_attributes(caplog: pytest.LogCaptureFixture) -> None:
    class Late(HTTPError):
        def __init__(self) -> None:
            pass

        @property
        def title(self) -> str:  # type: ignore[override]
            return "asked for with an exception set".upper()

    assert answer_of(lambda: raise_error(Late())).status == 500
    assert "has no attribute 'type'" in caplog.text


def evil_headers(error: BaseException) -> Iterator[tuple[str, str]]:
    raise error
    yield "a", "b"


def ways_to_raise(error: BaseException) -> dict[str, Callable[[], Any]]:
    class Untitled(HTTPError):
        @property
        def title(self) -> str:  # type: ignore[override]
            raise error

        @title.setter
        def title(self, value: str | None) -> None: ...

    class Mute(JSONDecodeError):
        def __str__(self) -> str:
            raise error

    return {
        "handler": lambda: raise_error(error),
        "encoder": Odd,
        "headers": lambda: ("", 200, evil_headers(error)),
        "http_error": lambda: raise_error(Untitled(404)),
        "json_error": lambda: raise_error(Mute()),
    }


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("way", ["handler", "encoder", "headers", "http_error", "json_error"])
def test_exceptions_meant_for_the_program_end_the_server(
    kind: type[BaseException], way: str
) -> None:
    app = App()
    app.get("/")(ways_to_raise(kind("why"))[way])
    app.json_encoder(Odd)(lambda _: raise_error(kind("why")))
    server = app.start()
    assert ask(server).status == (400 if way == "json_error" else 500)
    with pytest.raises(kind, match="why"):
        server.wait(10)


@pytest.mark.parametrize("way", ["handler", "encoder", "headers", "http_error", "json_error"])
def test_cancellations_do_not_end_the_server(way: str) -> None:
    """A handler that awaits what somebody else cancels raises it, and so may any client make it."""
    app = App()
    app.get("/")(ways_to_raise(asyncio.CancelledError("why"))[way])
    app.json_encoder(Odd)(lambda _: raise_error(asyncio.CancelledError("why")))
    with app.start() as server:
        for _ in range(2):
            assert ask(server).status == (400 if way == "json_error" else 500)


@pytest.mark.parametrize("kind", ["async", "sync", "pool"])
def test_cancellations_in_streams_do_not_end_the_server(kind: str) -> None:
    app = App()

    async def steps() -> AsyncIterator[bytes]:
        yield b"first"
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    def raises() -> Iterator[bytes]:
        yield b"first"
        raise asyncio.CancelledError

    app.get("/", blocking=kind == "pool" or None)(steps if kind == "async" else raises)
    app.get("/alive")(lambda: "alive")
    with app.start() as server:
        for _ in range(2):
            with pytest.raises(http.client.IncompleteRead), urlopen(server.url + "/") as answer:
                answer.read()
        with urlopen(server.url + "/alive") as answer:
            assert answer.read() == b"alive"


def test_the_log_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise KeyError("log")

    class Nameless(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: unraisable.append(what.exc_type))
    broken = Broken()
    logging.getLogger("cello").addHandler(broken)
    try:
        assert answer_of(lambda: raise_error(Nameless())).status == 500
    finally:
        logging.getLogger("cello").removeHandler(broken)
    assert unraisable == [KeyError]


# ---- code that runs while a body is made ----


def test_an_encoder_may_be_replaced_while_it_runs() -> None:
    class Hook:
        def __call__(self, value: object) -> object:
            app._set_json_default(Hook())
            alive.append(first() is self)
            return "odd"

    app = App()
    alive: list[bool] = []
    hook = Hook()
    first = weakref.ref(hook)
    app._set_json_default(hook)
    del hook
    app.get("/")(lambda: [Odd(), Odd()])
    with asking(app) as client:
        assert client.get("/").data == ["odd", "odd"]
    assert alive == [True, True]
    assert first() is None


def test_the_body_may_be_replaced_while_it_is_encoded() -> None:
    app = App()
    response = Response.json(None)

    @app.get("/")
    def handler() -> Response:
        response.body = [Odd(), Odd()]
        return response

    @app.json_encoder(Odd)
    def encode(value: Odd) -> str:
        response.body = None
        gc.collect()
        return "odd"

    with asking(app) as client:
        assert client.get("/").data == ["odd", "odd"]


def test_a_metaclass_may_empty_the_list_that_is_encoded() -> None:
    class Meta(type):
        def __hash__(cls) -> int:
            values.clear()
            gc.collect()
            return 1

    class Item(metaclass=Meta):
        pass

    values: list[object] = []

    def handler() -> object:
        values[:] = [Item(), 2, 3]
        return values

    assert answer_of(handler).status == 500


def test_an_offset_of_more_than_a_day() -> None:
    class Far(datetime.datetime):
        def utcoffset(self) -> datetime.timedelta:
            return datetime.timedelta(days=999999999)

    assert answer_of(lambda: Far(2020, 1, 1, tzinfo=datetime.UTC)).status == 500


class Text(str):
    """A str that can be watched."""


@pytest.mark.parametrize("is_async", [False, True])
def test_bodies_go_once_they_are_sent(is_async: bool) -> None:
    app, sent = App(), []

    def handler() -> str:
        text = Text("x" * 200_000)
        sent.append(weakref.ref(text))
        return text

    async def coroutine() -> str:
        return handler()

    app.get("/")(coroutine if is_async else handler)
    with asking(app) as client:
        assert len(client.get("/").body) == 200_000
        deadline = time.monotonic() + 10
        while sent[0]() is not None and time.monotonic() < deadline:
            time.sleep(0.001)
        assert sent[0]() is None


def test_large_bodies() -> None:
    app = App()
    app.get("/text")(lambda: "é" * (5 << 20))
    app.get("/json")(lambda: ["x" * 1000] * 10_000)
    app.get("/buffer")(lambda: memoryview(bytearray(10 << 20)))
    with asking(app) as client:
        assert len(client.get("/text").body) == 10 << 20
        assert len(client.get("/json").body) == 10_000 * 1003 + 1
        assert len(client.get("/buffer").body) == 10 << 20


# ---- requests ----


def test_context_variables_stay_with_their_request() -> None:
    count = contextvars.ContextVar("count", default=0)
    app = App()

    def handler() -> int:
        before = count.get()
        count.set(before + 1)
        return before

    async def coroutine() -> int:
        return handler()

    app.get("/plain")(handler)
    app.get("/async")(coroutine)
    with asking(app) as client:
        for target in ("/plain", "/async", "/async", "/plain", "/plain"):
            assert client.get(target).data == 0


@pytest.mark.parametrize("where", ["response", "tuple", "multimap"])
def test_a_repr_may_empty_what_is_refused(where: str, caplog: pytest.LogCaptureFixture) -> None:
    spare: list[str] = []

    class Bad(str):
        def __repr__(self) -> str:
            headers.clear()
            pair.clear()
            # Of the size of the value, to take its memory if it was freed.
            spare.extend(f"y{n}".ljust(40, "y") for n in range(100))
            return "'bad'"

    value = "".join(["v", "w" * 39])
    headers: dict[Any, Any] = {Bad("bad\n"): value}
    pair: list[Any] = [b"", value] if where == "multimap" else []
    if where == "multimap":
        pair[0] = type("BadBytes", (bytes,), {"__repr__": Bad.__repr__})(b"bad")
    del value
    if where == "tuple":
        assert answer_of(lambda: ("", 200, headers)).status == 500
        message = caplog.text
    else:
        with pytest.raises((ValueError, TypeError)) as raised:
            MultiMap([pair]) if where == "multimap" else Response(headers=headers)
        message = str(raised.value)
    assert "w" * 39 in message


def test_the_client_of_a_request_whose_client_has_gone() -> None:
    app, kept = App(), []

    @app.get("/")
    async def handler(req: Request) -> None:
        import asyncio

        kept.append(req)
        try:
            await asyncio.Event().wait()
        finally:
            assert req.is_disconnected()
            kept.append(req.client_ip())

    with serving(app) as client:
        deadline = time.monotonic() + 10
        with socket.create_connection(client.address) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            while not kept:
                time.sleep(0.001)
            reset = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        while len(kept) < 2 and time.monotonic() < deadline:
            time.sleep(0.001)
    assert kept[1] == "127.0.0.1"


def test_multimaps_are_mappings() -> None:
    assert isinstance(MultiMap(), Mapping)


# ---- servers ----


def test_a_handler_may_stop_its_server() -> None:
    app = App()
    app.get("/")(lambda: server.stop(5))
    server = app.start()
    assert ask(server).status == 204
    assert server.wait(10)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_running_server_cannot_be_turned_or_closed(is_async: bool) -> None:
    app = App()

    def handler() -> list[str]:
        said = []
        engine = server._engine
        for call in (engine.turn, engine.run, engine.close):
            with pytest.raises(RuntimeError) as error:
                call()
            said.append(str(error.value))
        return said

    async def coroutine() -> list[str]:
        return handler()

    app.get("/")(coroutine if is_async else handler)
    with app.start() as server:
        assert ask(server).data == [
            "the server runs already",
            "the server runs already",
            "a running server is stopped, not closed",
        ]


def test_one_application_in_two_servers_at_once() -> None:
    app = App()
    wrong: list[object] = []

    @app.get("/{i}")
    def handler(req: Request) -> dict[str, str]:
        return {"i": req.params["i"], "q": req.query["q"]}

    def client_of(server: Server, i: int) -> None:
        client = Client(server.addresses[0])
        for q in range(200):
            data = client.get(f"/{i}?q={q}").data
            if data != {"i": str(i), "q": str(q)}:
                wrong.append(data)
        client.close()

    with app.start() as first, app.start() as second:
        threads = [
            threading.Thread(target=client_of, args=(server, i))
            for i, server in enumerate((first, second) * 2)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert first.stats()["requests"] <= 400
            assert second.stats()["inflight"] <= 2
        assert not wrong
        assert first.stats()["requests"] == second.stats()["requests"] == 400


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("is_async", [False, True])
def test_servers_leave_nothing_behind(backend: str, is_async: bool) -> None:
    app = App()

    async def coroutine() -> str:
        return "x"

    app.get("/")(coroutine if is_async else lambda: "x")

    def serve(times: int) -> tuple[int, int]:
        for _ in range(times):
            with app.start(backend=backend) as server:
                ask(server)
        gc.collect()
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    before = serve(3)
    assert serve(30) == before


def test_a_fork_in_a_handler() -> None:
    def handler() -> int:
        child = os.fork()
        if child == 0:
            os._exit(7)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    app = App()
    app.get("/")(handler)
    with asking(app) as client:
        assert [client.get("/").data for _ in range(3)] == [7, 7, 7]


@pytest.mark.parametrize("kind", ["", "async "])
@pytest.mark.parametrize("busy", [False, True])
def test_the_process_may_end_while_a_server_runs(kind: str, busy: bool) -> None:
    code = f"""
import threading, time
from api_client import Client
from cello import App
app = App()
@app.get("/")
{kind}def handler(req):
    return "x" * 10000
server = app.start()
def load():
    client = Client(server.addresses[0])
    while True:
        client.get("/")
if {busy}:
    for _ in range(3):
        threading.Thread(target=load, daemon=True).start()
    time.sleep(0.3)
print("end")
"""
    assert script(code) == "end\n"


def test_the_module_can_be_unloaded() -> None:
    code = """
import gc, sys, typing, weakref
import api_client, cello
app = cello.App()
@app.get("/{i}")
def handler(req):
    return {"i": req.params["i"], "q": req.query.get("q"), "state": str(req.state)}
with api_client.serving(app) as client:
    client.get("/1?q=2")
module = weakref.ref(cello._cello)
for name in [n for n in sys.modules if n.startswith("cello") or n == "api_client"]:
    del sys.modules[name]
del api_client, cello, app, handler, client
typing.clear_overloads()  # it keeps every function under @overload
gc.collect()
print(module())
import cello
with cello.App().start() as server:
    print(server.stats()["requests"])
"""
    assert script(code) == "None\n0\n"


@pytest.mark.parametrize("arguments", [{"host": "127.0.0.1\0x"}, {"fd": -1}, {"fd": 2**32}])
def test_places_that_cannot_be_listened_at(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"(host|fd) must be"):
        App().start(**arguments)
