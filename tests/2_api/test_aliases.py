"""Names that FastAPI's and Robyn's users know."""

import http
from collections.abc import Callable
from typing import Any

import cello
import pytest
from api_client import asking
from cello import App, Blueprint, HTTPError, Request, Response, status
from cello.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse


def test_the_same_thing_under_two_names() -> None:
    assert cello.APIRouter is cello.Router is Blueprint
    assert cello.HTTPException is HTTPError
    for kind in (App, Blueprint):
        assert kind.include is kind.include_router is kind.register_blueprint
    response = Response(content=b"x", status_code=201, media_type="image/png")
    assert (response.body, response.status, response.content_type) == (b"x", 201, "image/png")
    assert (response.status_code, response.media_type) == (201, "image/png")
    error = cello.HTTPException(status_code=404, detail={"reason": "gone"})
    assert (error.status, error.status_code, error.extensions) == (404, 404, {"reason": "gone"})
    request = Request("GET", "/", params={"a": "1"}, query={"q": "2"})
    assert request.path_params["a"] == "1" and request.query_params["q"] == "2"
    assert request.ip_addr is request.remote_addr is None


def test_statuses_by_name() -> None:
    names = [name for name in vars(status) if name.startswith("HTTP_")]
    for name in names:
        assert getattr(status, name) == int(name[5:8])
    known = {getattr(status, name) for name in names}
    assert {int(code) for code in http.HTTPStatus} <= known
    assert status.HTTP_201_CREATED == 201
    assert status.HTTP_422_UNPROCESSABLE_ENTITY == status.HTTP_422_UNPROCESSABLE_CONTENT == 422


def giving(response: Response) -> Callable[[], Response]:
    return lambda: response


def test_kinds_of_responses() -> None:
    app = App()
    app.get("/made", status_code=201)(lambda: "x")
    answers: dict[str, Any] = {
        "/json": JSONResponse({"a": [1]}, status_code=202, headers={"X-A": "b"}),
        "/null": JSONResponse(),
        "/text-in-json": JSONResponse('say "é"'),
        "/problem": JSONResponse({"a": 1}, media_type="application/problem+json"),
        "/text": PlainTextResponse("é"),
        "/bytes": PlainTextResponse(b"x", media_type="text/csv"),
        "/html": HTMLResponse("<p>", 404),
        "/away": RedirectResponse("/text?x=é", headers={"X-A": "b"}),
        "/other": RedirectResponse(url="https://example.com/", status_code=303),
    }
    for path, response in answers.items():
        app.get(path)(giving(response))
    with asking(app) as client:
        found = {path: client.get(path) for path in answers}
        assert client.get("/made").status == 201
    types = {path: a.headers["Content-Type"] for path, a in found.items()}
    assert found["/json"].data == {"a": [1]} and found["/json"].status == 202
    assert found["/json"].headers["X-A"] == found["/away"].headers["X-A"] == "b"
    assert found["/null"].body == b"null" and found["/text-in-json"].data == 'say "é"'
    assert types["/json"] == types["/null"] == types["/text-in-json"] == "application/json"
    assert types["/problem"] == "application/problem+json" and found["/problem"].data == {"a": 1}
    assert found["/text"].text == "é" and types["/text"] == "text/plain; charset=utf-8"
    assert found["/bytes"].body == b"x" and types["/bytes"] == "text/csv"
    assert types["/html"] == "text/html; charset=utf-8" and found["/html"].status == 404
    assert found["/away"].status == 307 and found["/away"].headers["Location"] == "/text?x=%C3%A9"
    assert found["/other"].status == 303 and found["/other"].body == b""
    assert found["/other"].headers["Location"] == "https://example.com/"


def test_what_they_do_not_take() -> None:
    wrong: list[tuple[type[Exception], Any]] = [
        (TypeError, lambda: JSONResponse(b"x")),
        (TypeError, lambda: HTMLResponse({"a": 1})),  # type: ignore[arg-type]
        (TypeError, lambda: PlainTextResponse(None)),  # type: ignore[arg-type]
        (ValueError, lambda: RedirectResponse("/", 200)),
        (ValueError, lambda: RedirectResponse("/\r\nX: y")),
        (ValueError, lambda: JSONResponse({}, headers={"X-A": "a\nb"})),
        (ValueError, lambda: JSONResponse({}, status_code=99)),
    ]
    for error, make in wrong:
        with pytest.raises(error):
            make()
