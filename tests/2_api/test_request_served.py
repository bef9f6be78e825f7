"""cello.Request over an engine's request: used again, escaped, outliving its server."""

import gc
import http.client
import json
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cello import App, HTTPError, LimitsConfig, MultiMap, Request, RequestIdConfig, Response

Handler = Callable[[Request], Any]


class Client:
    """One keep-alive connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self._connection = http.client.HTTPConnection(*address, timeout=10)

    def fetch(self, target: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        method = "GET" if body is None else "POST"
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, target, body=body, headers=names)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def raw(self, data: bytes) -> bytes:
        """What is answered on a connection of its own that the request asks to close."""
        with socket.create_connection(self.address, timeout=10) as s:
            s.sendall(data)
            return b"".join(iter(lambda: s.recv(65536), b""))

    def close(self) -> None:
        self._connection.close()


@contextmanager
def serving(*configs: object, **handlers: Handler) -> Iterator[Client]:
    """Serves each handler under /<its name>/{id} and /<its name>."""
    app = App()
    for config in configs:
        app.set_limits(config) if isinstance(config, LimitsConfig) else app.use(config)
    for name, handler in handlers.items():
        for pattern in (f"/{name}", f"/{name}/{{id}}"):
            app.route(pattern, methods=["GET", "POST"])(handler)
    with app.start("127.0.0.1", 0) as server:
        client = Client(server.addresses[0])
        try:
            yield client
        finally:
            client.close()


def served(handler: Handler, target: str, **headers: str) -> Any:
    """What the handler makes of one request."""
    with serving(h=handler) as client:
        status, body = client.fetch(target, **headers)
    assert status == 200, body
    return json.loads(body)


# ---- what a handler sees ----


def test_attributes() -> None:
    def handler(req: Request) -> dict[str, object]:
        return {
            "method": req.method,
            "path": req.path,
            "url": req.url,
            "base_url": req.base_url,
            "host": req.host,
            "route": req.route,
            "id": req.params["id"],
            "params": req.path_params.multi_items(),
            "client": req.client,
            "peer": [req.client.host, req.client.port] == [*req.client],
            "addresses": [req.remote_addr, req.ip_addr, req.client_ip()],
            "request_id": req.request_id,
            "gone": req.is_disconnected(),
            "repr": repr(req),
        }

    seen = served(handler, "/h/%C3%A4%2Fb?x=%20", Host="a.example:1")
    assert seen.pop("client")[0] == "127.0.0.1"
    assert seen.pop("peer")
    assert seen == {
        "method": "GET",
        "path": "/h/ä/b",
        "url": "http://a.example:1/h/%C3%A4%2Fb?x=%20",
        "base_url": "http://a.example:1/",
        "host": "a.example:1",
        "route": "/h/{id}",
        "id": "ä/b",
        "params": [["id", "ä/b"]],
        "addresses": ["127.0.0.1"] * 3,
        "request_id": None,
        "gone": False,
        "repr": "<Request GET '/h/ä/b'>",
    }


def test_one_value_and_all_values_agree() -> None:
    def handler(req: Request) -> list[object]:
        before = [req.query[name] for name in ("q", "a b", "empty")]
        both = req.query
        pairs = both.multi_items()
        after = [both[name] for name in ("q", "a b", "empty")]
        return [before == after, before, pairs, both.get_all("q"), len(both), "no" in req.query]

    seen = served(handler, "/h?q=1&a+b=%C3%A4&q=2%2B&empty=&&q=3")
    pairs = [["q", "1"], ["a b", "ä"], ["q", "2+"], ["empty", ""], ["q", "3"]]
    assert seen == [True, ["3", "ä", ""], pairs, ["1", "2+", "3"], 3, False]


def test_headers_and_cookies() -> None:
    def handler(req: Request) -> list[object]:
        return [
            req.headers["X-ONE"],
            req.headers.get_all("x-one"),
            req.get_header("x-two", "no"),
            "X-One" in req.headers,
            [name for name in req.headers if name.startswith("x-")],
            req.cookies["a"],
            req.cookies.multi_items(),
            req.user_agent(),
            req.accepts("text/html"),
        ]

    with serving(h=handler) as client:
        answer = client.raw(
            b"GET /h HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nx-ONE: 2\r\nCookie: a=1; b=\xc3\xa4\r\n"
            b"Cookie: a=3\r\nAccept: text/plain\r\nAccept: text/*;q=0\r\nConnection: close\r\n\r\n"
        )
    cookies = [["a", "1"], ["b", "ä"], ["a", "3"]]
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == [
        "1", ["1", "2"], "no", True, ["x-one"], "3", cookies, None, False
    ]  # fmt: skip


def test_bytes_that_are_not_utf_8_are_latin_1() -> None:
    def handler(req: Request) -> list[object]:
        return [req.headers["x-a"], req.headers.get_all("x-a"), req.cookies["c"]]

    with serving(h=handler) as client:
        answer = client.raw(
            b"GET /h HTTP/1.1\r\nHost: x\r\nX-A: \xe4\xff\r\nX-A: \xc3\xa4\r\nCookie: c=\xe4\r\n"
            b"Connection: close\r\n\r\n"
        )
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == ["äÿ", ["äÿ", "ä"], "ä"]


def test_bodies() -> None:
    def handler(req: Request) -> list[object]:
        text = req.text()
        return [text, req.body() == text.encode(), req.form().multi_items(), req.content_type()]

    with serving(h=handler) as client:
        form = "application/x-www-form-urlencoded"
        status, body = client.fetch("/h", b"a=1&b=%C3%A4", Content_Type=form)
        assert status == 200 and json.loads(body)[1:] == [True, [["a", "1"], ["b", "ä"]], form]
        assert client.fetch("/h", b"a=1", Content_Type="text/plain")[0] == 415
        assert client.fetch("/h", b"a=\xff", Content_Type=form)[0] == 400


def test_malformed_json_is_400_with_the_position() -> None:
    with serving(h=lambda req: req.json()) as client:
        assert client.fetch("/h", b'{"a":[1]}') == (200, b'{"a":[1]}')
        for body, position in ((b'{"a" 1}', "byte 5"), (b"", "byte 0")):
            status, answer = client.fetch("/h", body)
            assert status == 400 and position in json.loads(answer)["detail"]


def test_the_limit_of_json_depth_is_the_servers() -> None:
    with serving(LimitsConfig(max_json_depth=3), h=lambda req: req.json()) as client:
        assert client.fetch("/h", b"[[[]]]")[0] == 200
        assert client.fetch("/h", b"[[[[]]]]")[0] == 400


def test_wrong_parameters_are_answered_with_422() -> None:
    def handler(req: Request) -> list[object]:
        return [req.get_param_int("id"), req.get_query_int("n"), req.get_query_bool("b")]

    with serving(h=handler) as client:
        assert client.fetch("/h/7?n=-5&b=on") == (200, b"[7,-5,true]")
        for target, name in (("/h/x", "'id'"), ("/h/7?n=x", "'n'"), ("/h/7?b=x", "'b'")):
            status, body = client.fetch(target)
            assert status == 422 and name in json.loads(body)["detail"]


def test_too_many_values_are_answered_with_400() -> None:
    limits = LimitsConfig(max_query_params=3, max_cookies=2)
    with serving(limits, q=lambda r: len(r.query), c=lambda r: len(r.cookies)) as client:
        assert client.fetch("/q?a&b&c") == (200, b"3")
        assert client.fetch("/q?a&b&c&d")[0] == 400
        assert client.fetch("/c", Cookie="a=1; b=2") == (200, b"2")
        assert client.fetch("/c", Cookie="a=1; b=2; c=3")[0] == 400


def test_errors_of_the_query_can_be_caught() -> None:
    def handler(req: Request) -> object:
        try:
            return len(req.query)
        except HTTPError as error:
            return error.status

    with serving(LimitsConfig(max_query_params=3), h=handler) as client:
        assert client.fetch("/h?a&b&c&d") == (200, b"400")


def test_request_id() -> None:
    def handler(req: Request) -> list[object]:
        return [req.request_id, req.context]

    with serving(RequestIdConfig(), h=handler) as client:
        _, body = client.fetch("/h", X_Request_ID="abc")
        assert json.loads(body) == ["abc", {"request_id": "abc"}]


# ---- one object after the other ----


def test_nothing_leaks_from_one_request_to_the_next() -> None:
    names = [
        "method", "path", "url", "base_url", "host", "route", "remote_addr", "request_id",
    ]  # fmt: skip
    seen = set()

    def handler(req: Request) -> dict[str, object]:
        seen.add(id(req))
        found = {name: getattr(req, name) for name in names}
        for name in ("params", "query", "headers", "cookies"):
            found[name] = getattr(req, name).multi_items()
        found |= {
            "state": vars(req.state).copy(),
            "context": req.context.copy(),
            "text": req.text(),
        }
        req.state.secret = req.context["secret"] = "of another client"
        return found

    with serving(RequestIdConfig(), h=handler) as client:
        first = json.loads(client.fetch("/h/1?q=1", b"body", Cookie="c=1", X_Request_ID="a")[1])
        second = json.loads(client.fetch("/h", Host="b.example", X_Request_ID="b")[1])
        alone = Client(client.address)
        assert json.loads(alone.fetch("/h", Host="b.example", X_Request_ID="b")[1]) == second
        alone.close()
    assert len(seen) == 1, "the object was used again"
    assert first["text"] == "body" and first["cookies"] == [["c", "1"]] and first["query"]
    assert second["text"] == "" and not second["cookies"] and not second["query"]
    assert second["state"] == {} and second["context"] == {"request_id": "b"}
    assert second["url"] == "http://b.example/h" and second["params"] == []


def test_values_are_freed_when_the_request_ends() -> None:
    class Value:
        pass

    values: list[weakref.ref[Value]] = []

    def handler(req: Request) -> int:
        req.state.value = value = Value()
        values.append(weakref.ref(value))
        return sum(ref() is not None for ref in values)

    with serving(h=handler) as client:
        assert [client.fetch("/h")[1] for _ in range(3)] == [b"1"] * 3


def test_a_finalizer_may_use_the_server_meanwhile() -> None:
    class Value:
        def __del__(self) -> None:
            gc.collect()

    def handler(req: Request) -> str:
        req.state.value = Value()
        return req.path

    with serving(h=handler) as client:
        assert [client.fetch(f"/h/{i}")[1] for i in range(5)] == [b"/h/%d" % i for i in range(5)]


# ---- escape ----


def check_kept(req: Request, i: int) -> None:
    assert req.path == f"/h/{i}" and req.params["id"] == str(i)
    assert req.query.multi_items() == [("q", "ä"), ("q", str(i))]
    assert req.query["q"] == str(i) and req.headers["x-i"] == str(i)
    assert req.body() == b"body %d" % i and req.cookies["c"] == str(i)
    assert req.url.endswith(f"/h/{i}?q=%C3%A4&q={i}")


def keep_ten(keep: Handler) -> None:
    """Ten requests, with others between them that would overwrite what was freed."""
    with serving(h=keep, other=lambda req: [req.path, req.query.multi_items()]) as client:
        for i in range(10):
            target = f"/h/{i}?q=%C3%A4&q={i}"
            assert client.fetch(target, b"body %d" % i, X_I=str(i), Cookie=f"c={i}")[0] == 204
            client.fetch(f"/other/{'y' * 100}?{'z=1&' * 100}", b"x" * 5000)


def test_a_kept_request_shows_what_it_was() -> None:
    kept: list[Request] = []
    keep_ten(kept.append)
    for i, req in enumerate(kept):
        check_kept(req, i)
        assert req.is_disconnected()


def test_a_kept_view_shows_what_it_was() -> None:
    kept: list[MultiMap] = []
    keep_ten(lambda req: kept.extend((req.query, req.headers)))
    for i, (query, headers) in enumerate(zip(kept[::2], kept[1::2], strict=True)):
        assert query.get_all("q") == ["ä", str(i)] and headers["X-I"] == str(i)


def test_kept_while_others_are_served() -> None:
    kept: list[Request] = []

    def handler(req: Request) -> None:
        for i, other in enumerate(kept):
            check_kept(other, i)
        kept.append(req)

    keep_ten(handler)


def test_dropped_on_another_thread() -> None:
    kept: list[Request] = []

    def handler(req: Request) -> int:
        kept.append(req)
        return len(kept)

    def drop() -> None:
        kept.clear()

    with serving(h=handler) as client:
        for _ in range(3):
            assert [client.fetch("/h")[1] for _ in range(3)] == [b"1", b"2", b"3"]
            thread = threading.Thread(target=drop)
            thread.start()
            thread.join()


def test_dropped_on_another_thread_while_the_server_runs() -> None:
    stop = threading.Event()
    kept: list[object] = []

    def handler(req: Request) -> str:
        kept.append(req.query)
        return req.path

    def drop() -> None:
        while not stop.is_set():
            while kept:
                kept.pop()
            stop.wait(0.0005)

    thread = threading.Thread(target=drop)
    thread.start()
    try:
        with serving(h=handler) as client:
            for i in range(300):
                assert client.fetch(f"/h/{i}?a=b")[1] == b"/h/%d" % i
    finally:
        stop.set()
        thread.join()


def test_cycles_of_a_kept_request_are_collected() -> None:
    gone: list[weakref.ref[Any]] = []

    class Node:
        pass

    def handler(req: Request) -> None:
        node = Node()
        gone.append(weakref.ref(node))
        req.state.node = node
        node.request, node.view, node.get = req, req.headers, req.get_header  # type: ignore

    with serving(h=handler) as client:
        for _ in range(3):
            assert client.fetch("/h")[0] == 204
        gc.collect()
        assert [ref() for ref in gone] == [None] * 3


def test_a_cycle_through_the_application_is_collected() -> None:
    class Kept(list[Request]):
        pass

    app = App()
    app.kept = kept = Kept()  # type: ignore[attr-defined]
    app.get("/h")(lambda req: req.app.kept.append(req))
    with app.start("127.0.0.1", 0) as server:
        client = Client(server.addresses[0])
        assert client.fetch("/h")[0] == 204
        client.close()
    assert len(kept) == 1
    gone = weakref.ref(kept)
    del app, kept, server
    gc.collect()
    assert gone() is None


def test_a_weak_reference_does_not_see_the_next_request() -> None:
    refs: list[weakref.ref[Request]] = []

    def handler(req: Request) -> None:
        refs.append(weakref.ref(req))

    with serving(h=handler) as client:
        client.fetch("/h/1")
        client.fetch("/h/2")
        assert [ref() for ref in refs] == [None, None]


def test_an_exception_keeps_its_request() -> None:
    errors: list[HTTPError] = []

    def handler(req: Request) -> None:
        errors.append(HTTPError(418, req.path))
        raise errors[-1]

    with serving(h=handler) as client:
        for i in range(3):
            status, body = client.fetch(f"/h/{i}")
            assert status == 418 and json.loads(body)["detail"] == f"/h/{i}"
    frame = errors[0].__traceback__.tb_frame  # type: ignore[union-attr]
    assert frame.f_locals["req"].path == "/h/0"


# ---- answers ----


def test_responses_arrive_as_they_were_made() -> None:
    def handler(req: Request) -> Response:
        r = Response.json({"a": "ä"}, 201, {"X-A": "1"})
        r.append_header("X-A", "ä")
        r.set_cookie("s", "1")
        r.set_cookie("t", "2", httponly=True)
        return r

    with serving(h=handler) as client:
        answer = client.raw(b"GET /h HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 201 Created" and body == '{"a":"ä"}'.encode()
    assert "X-A: 1" in lines and "X-A: ä" in lines and "Content-Type: application/json" in lines
    cookies = [line for line in lines if line.startswith("Set-Cookie")]
    assert cookies == [
        "Set-Cookie: s=1; Path=/; SameSite=Lax",
        "Set-Cookie: t=2; Path=/; HttpOnly; SameSite=Lax",
    ]


@pytest.mark.parametrize(
    ("response", "status", "content_type", "body"),
    [
        (Response("ä"), 200, "text/plain; charset=utf-8", "ä".encode()),
        (Response(b"\xff"), 200, "application/octet-stream", b"\xff"),
        (Response(bytearray(b"x")), 200, "application/octet-stream", b"x"),
        (Response(memoryview(b"xyz")[::2]), 200, "application/octet-stream", b"xz"),
        (Response([1]), 200, "application/json", b"[1]"),
        (Response(), 200, None, b""),
        (Response.json("x"), 200, "application/json", b'"x"'),
        (Response.json(None), 200, "application/json", b"null"),
        (Response.html("<p>", 404), 404, "text/html; charset=utf-8", b"<p>"),
        (Response.xml(b"<x/>"), 200, "application/xml", b"<x/>"),
        (Response("a,b", content_type="text/csv"), 200, "text/csv", b"a,b"),
        (Response.created({"a": 1}), 201, "application/json", b'{"a":1}'),
        (Response.no_content(), 204, None, b""),
        (Response.redirect("/ä"), 307, None, b""),
    ],
    ids=repr,
)
def test_kinds_of_responses(
    response: Response, status: int, content_type: str | None, body: bytes
) -> None:
    with serving(h=lambda req: response) as client:
        connection = http.client.HTTPConnection(*client.address, timeout=10)
        for _ in range(2):
            connection.request("GET", "/h")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (status, body)
            assert answer.headers["content-type"] == content_type == response.content_type
        connection.close()
