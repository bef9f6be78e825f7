"""req.multipart(): forms that handlers read while they arrive."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_client import asking
from cello import App, HTTPError, LimitsConfig, Request
from cello.testing import TestClient
from form_bodies import MULTIPART, Part, body_of

LARGE = bytes(range(256)) * 4096
BODY = body_of(
    Part("a", "ü".encode()),
    Part("f", LARGE, "large.bin", "application/octet-stream"),
    Part("f", b"", "empty"),
    Part("b", b"\r\n--xY"),
)
EXPECTED = [
    ["a", None, None, 2],
    ["f", "large.bin", "application/octet-stream", len(LARGE)],
    ["f", "empty", None, 0],
    ["b", None, None, 6],
]


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    for i in range(0, len(body), size):
        yield body[i : i + size]


def streaming() -> App:
    app = App()

    @app.post("/async", body="stream", max_body=1 << 30)
    async def read_async(req: Request) -> Any:
        return [
            [part.name, part.filename, part.content_type, sum([len(c) async for c in part])]
            async for part in req.multipart()
        ]

    @app.post("/blocking", body="stream", max_body=1 << 30)
    def read_blocking(req: Request) -> Any:
        assert threading.current_thread().name.startswith("cello-pool-")
        return [
            [part.name, part.filename, part.content_type, sum(map(len, part))]
            for part in req.multipart()
        ]

    @app.post("/skips", body="stream", max_body=1 << 30)
    async def skips(req: Request) -> Any:
        return [part.name async for part in req.multipart()]

    @app.post("/reads", body="stream", max_body=1 << 30)
    async def reads(req: Request) -> Any:
        return [len(await part.read(1 << 21)) async for part in req.multipart()]

    @app.post("/limits", body="stream", max_body=1 << 30)
    def limits(req: Request) -> Any:
        return [len(part.read(10)) for part in req.multipart()]

    return app


@pytest.mark.parametrize("path", ["/async", "/blocking"])
@pytest.mark.parametrize("size", [100, 4096, 1 << 22])
def test_parts_come_in_order(path: str, size: int) -> None:
    with TestClient(streaming()) as client:
        answer = client.post(path, content=pieces(BODY, size), headers=MULTIPART)
        assert answer.json() == EXPECTED


def test_parts_may_be_skipped_or_read_whole() -> None:
    with TestClient(streaming()) as client:
        answer = client.post("/skips", content=BODY, headers=MULTIPART)
        assert answer.json() == ["a", "f", "f", "b"]
        answer = client.post("/reads", content=BODY, headers=MULTIPART)
        assert answer.json() == [2, len(LARGE), 0, 6]
        assert client.post("/limits", content=BODY, headers=MULTIPART).status_code == 413
        small = body_of(Part("a", b"0123456789"))
        assert client.post("/limits", content=small, headers=MULTIPART).json() == [10]


@pytest.mark.parametrize("path", ["/async", "/blocking"])
def test_errors_are_answers(path: str) -> None:
    with TestClient(streaming()) as client:

        def status(body: bytes, headers: dict[str, str] = MULTIPART) -> int:
            return client.post(path, content=body, headers=headers).status_code

        assert status(b"") == 400
        assert status(BODY[:-10]) == 400
        assert status(BODY.replace(b"form-data", b"attachment", 1)) == 400
        assert status(BODY, {"Content-Type": "text/plain"}) == 415
        assert status(BODY, {}) == 415
        assert status(BODY, {"Content-Type": "multipart/form-data"}) == 400


def test_what_came_before_an_error_is_given() -> None:
    app, seen = App(), []

    @app.post("/", body="stream")
    async def handler(req: Request) -> None:
        async for part in req.multipart():
            seen.append((part.name, await part.read()))

    with TestClient(app) as client:
        body = body_of(Part("a", b"1"), Part("b", b"2"))[:-4]
        assert client.post("/", content=body, headers=MULTIPART).status_code == 400
    assert seen == [("a", b"1"), ("b", b"2")]


def test_limits_of_the_server_hold() -> None:
    app = streaming()
    app.set_limits(LimitsConfig(max_form_parts=3, max_part_header=90, max_file_size=1 << 19))
    with asking(app) as client:
        assert client.ask("/async", "POST", body_of(Part("a")), MULTIPART).status == 200
        assert client.ask("/async", "POST", body_of(*[Part("a")] * 4), MULTIPART).status == 400
        assert client.ask("/async", "POST", body_of(Part("a" * 50)), MULTIPART).status == 400
        large = body_of(Part("a", LARGE, "x"))
        assert client.ask("/async", "POST", large, MULTIPART).status == 413


@pytest.mark.parametrize("blocking", [False, True])
def test_parts_are_saved_whole_or_not_at_all(tmp_path: Path, blocking: bool) -> None:
    app, target = App(), tmp_path / "saved"

    async def save_async(req: Request) -> Any:
        return [await part.save(target) async for part in req.multipart()]

    def save_blocking(req: Request) -> Any:
        return [part.save(target) for part in req.multipart()]

    app.post("/", body="stream", max_body=1 << 30)(save_blocking if blocking else save_async)
    with TestClient(app) as client:
        body = body_of(Part("f", LARGE, "x"))
        assert client.post("/", content=body, headers=MULTIPART).json() == [len(LARGE)]
        assert target.read_bytes() == LARGE
        cut = body_of(Part("f", b"other" * 100_000, "x"))[:-10]
        assert client.post("/", content=cut, headers=MULTIPART).status_code == 400
        assert target.read_bytes() == LARGE
        assert client.post("/", content=body_of(Part("f", b"new")), headers=MULTIPART).json() == [3]
        assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["saved"]


def test_misuse_says_so(tmp_path: Path) -> None:
    app, said = App(), []

    @app.post("/", body="stream")
    async def handler(req: Request) -> None:
        for ask in (req.form, req.files, req.body):
            with pytest.raises(RuntimeError, match=r"req.multipart\(\)"):
                ask()
        parts = req.multipart()
        with pytest.raises(RuntimeError, match="once"):
            req.multipart()
        first = await anext(parts)
        await anext(parts)
        with pytest.raises(RuntimeError, match="'a' was skipped"):
            await first.read()
        with pytest.raises(FileNotFoundError):
            await (await anext(parts)).save(tmp_path / "none" / "x")
        said.append(repr(first))

    with TestClient(app) as client:
        assert client.post("/", content=BODY, headers=MULTIPART).status_code == 204
    assert said == ["<Part 'a': None>"]


def test_a_request_made_by_hand() -> None:
    request = Request("POST", "/", headers=MULTIPART, body=BODY)
    found = [
        [part.name, part.filename, part.content_type, len(part.read(1 << 21))]
        for part in request.multipart()
    ]
    assert found == EXPECTED
    with pytest.raises(HTTPError):
        Request("POST", "/", body=BODY).multipart()


def test_a_part_that_has_ended_stays_so() -> None:
    request = Request("POST", "/", headers=MULTIPART, body=body_of(Part("a", b"1")))
    stream = request.multipart()
    part = next(iter(stream))
    assert part.read() == b"1" and part.read() == b"" and part.headers["content-disposition"]
    assert list(stream) == []
