"""HTTPError, problem documents, and what happens to other exceptions."""

import asyncio
import logging
import sys
from typing import Any

import pytest
from api_client import Answer, Client, asking, serving
from cello import App, HTTPError, HTTPException, JSONDecodeError, Request


def served(error: BaseException, **headers: str) -> Answer:
    """How a handler that raises is answered; the same with async."""
    app = App()

    @app.get("/items/{id}")
    def plain(req: Request) -> None:
        raise error

    @app.get("/async/{id}")
    async def later(req: Request) -> None:
        await asyncio.sleep(0)
        raise error

    with asking(app) as client:
        answer = client.get("/items/%C3%A4", **headers)
        other = client.get("/async/%C3%A4", **headers)
    assert (answer.status, answer.headers["Content-Type"]) == (
        other.status,
        other.headers["Content-Type"],
    )
    return answer


def test_attributes() -> None:
    error = HTTPError(404, "no such item", headers={"X-A": "1"}, item=7)
    assert (error.status, error.status_code, error.detail) == (404, 404, "no such item")
    assert (error.title, error.type, error.headers) == (None, "about:blank", {"X-A": "1"})
    assert error.extensions == {"item": 7}
    assert str(error) == "404 no such item" and str(HTTPError(404)) == "404"
    assert HTTPException is HTTPError and error.args == (404, "no such item")


@pytest.mark.parametrize("status", [0, 99, 100, 199, 600, -1, "404", 4.5, None])
def test_a_status_out_of_range(status: Any) -> None:
    with pytest.raises(ValueError, match="200 to 599"):
        HTTPError(status)


def test_the_document() -> None:
    answer = served(HTTPError(404, "no such item"))
    assert answer.status == 404 and answer.reason == "Not Found"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.data == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no such item",
        "instance": "/items/%C3%A4",
    }


def test_members_of_ones_own() -> None:
    answer = served(HTTPError(403, title="No", type="urn:x", balance=30, accounts=["a"]))
    document = answer.data
    assert (document["title"], document["type"]) == ("No", "urn:x")
    assert (document["balance"], document["accounts"]) == (30, ["a"]) and "detail" not in document
    assert served(HTTPError(422, {"loc": ["a"], "msg": "m"})).data["loc"] == ["a"]


def test_headers() -> None:
    answer = served(HTTPError(401, headers={"WWW-Authenticate": 'Basic realm="x"'}))
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="x"'


def test_a_status_without_a_name() -> None:
    answer = served(HTTPError(499, "x"))
    assert answer.status == 499 and answer.data["status"] == 499


def test_a_subclass() -> None:
    class NotThere(HTTPError):
        def __init__(self, what: str) -> None:
            super().__init__(404, f"{what} is not there")

    assert served(NotThere("it")).data["detail"] == "it is not there"


@pytest.mark.parametrize(
    "error",
    [
        HTTPError(404, headers={"a b": "c"}),
        HTTPError(404, headers={"a": "b\r\nc: d"}),
        HTTPError(404, headers={"Content-Length": "0"}),
        HTTPError(404, extra=object()),
        HTTPError(404, "\ud800"),
    ],
    ids=range(5),
)
def test_an_error_that_cannot_be_sent(error: HTTPError, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "cello"):
        assert served(error).status == 500
    assert len(caplog.records) == 2
    assert "HTTPError that cannot be sent" in caplog.records[0].getMessage()


def test_another_exception_is_500_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "cello"):
        answer = served(KeyError("secret of the program"))
    assert answer.status == 500 and b"secret" not in answer.body
    assert answer.data["title"] == "Internal Server Error"
    plain, later = caplog.records
    assert plain.getMessage().startswith("GET /items/{id}: exception in ")
    assert "plain" in plain.getMessage() and "test_errors.py:" in plain.getMessage()
    assert later.getMessage().startswith("GET /async/{id}: ")
    assert plain.exc_info and isinstance(plain.exc_info[1], KeyError)


def test_malformed_json_is_400(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    app.post("/")(lambda req: req.json())

    @app.post("/caught")
    def caught(req: Request) -> Any:
        try:
            return req.json()
        except JSONDecodeError as error:
            return str(error)

    with asking(app) as client:
        answer = client.ask("/", "POST", b'{"a" 1}')
        assert answer.status == 400 and "byte 5" in answer.data["detail"]
        assert "byte 5" in client.ask("/caught", "POST", b'{"a" 1}').text
        assert client.ask("/", "POST", b"[" * 400_000).status == 400
    assert not caplog.records


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (("/nowhere", "GET"), 404),
        (("/", "DELETE"), 405),
        (("/", "BREW"), 501),
        (("/%zz", "GET"), 400),
        (("/%00", "GET"), 400),
        (("/%ff", "GET"), 400),
    ],
)
def test_the_engine_answers_with_documents_too(request_: tuple[str, str], status: int) -> None:
    app = App()
    app.get("/")(lambda: "x")
    with asking(app) as client:
        answer = client.ask(*request_)
        assert answer.status == status and answer.data["status"] == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        if status == 405:
            assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_an_error_while_logging_is_no_error_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("no log")

    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(args.exc_type))
    app = App()
    app.get("/")(lambda: 1 / 0)
    logger, broken = logging.getLogger("cello"), Broken()
    logger.addHandler(broken)
    try:
        with asking(app) as client:
            assert [client.get("/").status for _ in range(2)] == [500, 500]
    finally:
        logger.removeHandler(broken)
    assert unraisable == [RuntimeError] * 2


def test_headers_beyond_the_memory_of_a_request(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/{length:int}")
    def long(req: Request) -> Any:
        return "x", 200, {"X-Long": "a" * int(req.params["length"])}

    with asking(app) as client:
        assert client.get(f"/{1 << 20}").status == 500
        assert len(client.get("/50000").headers["X-Long"]) == 50_000
    assert "MemoryError" in caplog.text


def test_errors_do_not_hurt_the_connection() -> None:
    app = App()
    app.get("/ok")(lambda: "ok")
    app.get("/error")(lambda: 1 / 0)
    app.get("/http")(_raise)
    logging.getLogger("cello").addHandler(handler := logging.NullHandler())
    with asking(app) as client:
        for _ in range(20):
            statuses = [client.get(path).status for path in ("/error", "/ok", "/http", "/ok")]
            assert statuses == [500, 200, 409, 200]
    logging.getLogger("cello").removeHandler(handler)


def _raise() -> None:
    raise HTTPError(409)


def test_client_is_one_connection() -> None:
    """What the tests above rest on."""
    app = App()
    app.get("/")(lambda req: req.client[1])
    with serving(app) as client:
        assert client.get("/").data == client.get("/").data
        with Client(client.address) as other:
            assert other.get("/").data != client.get("/").data
