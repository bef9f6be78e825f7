"""StaticFilesConfig, Response.file() and FileResponse: arguments, attributes, and where they show.
What they answer over sockets: tests/4_http/test_static_files.py and test_file_ranges.py."""

import os
from pathlib import Path, PurePath
from typing import Any

import pytest
from api_client import Asker, serving
from cello import App, Response, StaticFilesConfig
from cello._cli import routes
from cello.responses import FileResponse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "large.bin").write_bytes(bytes(500_000))
    return tmp_path


# ---- StaticFilesConfig ----


def test_defaults(folder: Path) -> None:
    config = StaticFilesConfig(folder)
    assert vars(config) == {
        "root": str(folder),
        "prefix": "/static",
        "index_file": "index.html",
        "fallback": None,
        "enable_etag": True,
        "enable_last_modified": True,
        "cache_control": None,
        "directory_listing": False,
        "precompressed": True,
        "follow_symlinks": False,
    }
    assert repr(config).startswith(f"StaticFilesConfig(root={str(folder)!r}, prefix='/static',")


def test_relative_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    config = StaticFilesConfig(folder.name)
    monkeypatch.chdir("/")
    app = App()
    app.enable_static_files(config)
    assert Asker(app).ask("/static/a.txt").text == "hello"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"root": "/none/such"}, "root is not a folder"),
        ({"prefix": "static"}, "prefix"),
        ({"prefix": "/static/"}, "prefix"),
        ({"prefix": "/{name}"}, "no parameters"),
        ({"index_file": "../x"}, "index_file and fallback"),
        ({"fallback": "/etc/passwd"}, "index_file and fallback"),
        ({"fallback": ".env"}, "index_file and fallback"),
        ({"cache_control": "a\r\nb: c"}, "cache_control"),
    ],
)
def test_wrong_values(folder: Path, arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        StaticFilesConfig(**{"root": folder, **arguments})


def test_wrong_types(folder: Path) -> None:
    with pytest.raises(ValueError, match="not a folder"):
        StaticFilesConfig(folder / "a.txt")
    with pytest.raises(TypeError, match="index_file must be str"):
        StaticFilesConfig(folder, index_file=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes a StaticFilesConfig"):
        App().enable_static_files(folder)  # type: ignore[arg-type]


def test_a_prefix_that_is_taken(folder: Path) -> None:
    app = App()
    app.get("/static")(lambda: "x")
    with pytest.raises(ValueError, match=r"test_files\.py"):
        app.enable_static_files(StaticFilesConfig(folder))
    app.enable_static_files(StaticFilesConfig(folder, "/files"))
    with pytest.raises(ValueError, match=r"/files/\{path:path\}"):
        app.enable_static_files(StaticFilesConfig(folder, "/files"))


def test_too_late(folder: Path) -> None:
    app = App()
    app._freeze()
    with pytest.raises(RuntimeError, match="once the application was started"):
        app.enable_static_files(StaticFilesConfig(folder))


def test_where_it_shows(folder: Path) -> None:
    app = App()
    app.enable_static_files(StaticFilesConfig(folder))
    app.enable_static_files(StaticFilesConfig(folder, "/"))
    app._freeze()
    rows = routes.rows_of(app)
    assert [(row["path"], row["methods"], row["handler"]) for row in rows] == [
        ("/static/{path:path}", ["GET", "HEAD"], f"(files of {folder})"),
        ("/{path:path}", ["GET", "HEAD"], f"(files of {folder})"),
    ]
    assert all("test_files.py:" in row["where"] for row in rows)
    assert app.openapi()["paths"] == {}


# ---- Response.file() ----


def test_attributes(folder: Path) -> None:
    response = Response.file(folder / "a.txt", filename="b.txt", status=201, headers={"A": "1"})
    assert (response.status, response.headers["a"]) == (201, "1")
    assert response.content_type == "text/plain; charset=utf-8"
    body = response.body
    assert (body.path, body.root, body.filename) == (str(folder / "a.txt"), None, "b.txt")
    assert repr(body) == f"<FileBody {str(folder / 'a.txt')!r}>"
    body = Response.file("a.txt", PurePath("b/")).body
    assert (body.path, body.root, body.filename) == ("a.txt", "b", None)
    assert Response.file("a", root="").body.root == "."
    assert Response.file("a", root="/").body.root == "/"
    assert Response.file("a.html", content_type="x/y").content_type == "x/y"
    assert Response.file("a").body.content_disposition_type == "attachment"
    shown = Response.file("a", filename="b", content_disposition_type="inline")
    assert shown.body.content_disposition_type == "inline"
    shown = FileResponse("a", filename="b", content_disposition_type="inline")
    assert shown.body.content_disposition_type == "inline"
    with pytest.raises(ValueError, match="must be 'attachment' or 'inline', not 'Inline'"):
        Response.file("a", content_disposition_type="Inline")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="content_disposition_type must be"):
        Response.file("a", content_disposition_type=1)  # type: ignore[arg-type]
    response = FileResponse("a.html", 202, {"A": "1"}, "x/y", "c", "d")
    assert (response.status, response.content_type, response.headers["a"]) == (202, "x/y", "1")
    assert (response.body.filename, response.body.root) == ("c", "d")
    assert type(Response.file("a")) is Response


@pytest.mark.parametrize("filename", ["", "a\r\nb", "a\nb", "a\0b", "\x7f", "\t", "\ud800"])
def test_filenames_that_no_header_carries(filename: str) -> None:
    why = "filename is empty or has a control character|surrogates not allowed"
    with pytest.raises(ValueError, match=why):
        Response.file("a", filename=filename)
    with pytest.raises(ValueError, match=why):
        FileResponse("a", filename=filename)


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError):
        Response.file()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="PathLike"):
        Response.file(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="PathLike"):
        Response.file("a", root=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="filename must be str"):
        Response.file("a", filename=b"b")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="path has a NUL"):
        Response.file("a\0b")
    with pytest.raises(ValueError, match="root has a NUL"):
        Response.file("a", root="b\0")
    with pytest.raises(ValueError, match="status"):
        Response.file("a", status=99)


def test_a_file_is_no_constant(folder: Path) -> None:
    with pytest.raises(TypeError, match="constant"):
        App().get("/", const=True)(lambda: Response.file(folder / "a.txt"))


def test_served_without_a_port(folder: Path) -> None:
    app = App()
    app.get("/small")(lambda: Response.file("a.txt", root=folder))
    app.get("/large")(lambda: Response.file(folder / "large.bin"))
    app.get("/nul")(lambda: Response.file("a\0b", root=folder))
    asker = Asker(app)
    assert asker.ask("/small").text == "hello"
    assert asker.ask("/large").body == bytes(500_000)
    answer = asker.ask("/large", headers={"Range": "bytes=0-1,400000-"})
    assert answer.status == 206 and len(answer.body) > 100_002
    assert asker.ask("/nul").status == 404


def test_names_that_are_not_utf8(folder: Path) -> None:
    name = os.fsencode(folder) + b"/\xff.txt"
    with open(name, "wb") as file:
        file.write(b"odd")
    app = App()
    app.get("/")(lambda: Response.file(os.fsdecode(name)))
    assert Asker(app).ask("/").text == "odd"


def test_handlers_of_exceptions_see_what_is_missing(folder: Path) -> None:
    """As if the handler itself had raised it."""
    app = App()
    closed = []

    @app.exception_handler(FileNotFoundError)
    def missing(req: object, error: FileNotFoundError) -> tuple[str, int]:
        return os.path.basename(error.filename), 404

    def resource() -> Any:
        try:
            yield 1
        except FileNotFoundError as error:
            closed.append(error.filename)
            raise

    from cello import Depends

    @app.get("/own")
    def own(it: int = Depends(resource)) -> Response:
        return Response.file(folder / "gone")

    @app.exception_handler(404)
    def not_found(req: object, error: object) -> tuple[str, int]:
        return "mine", 404

    @app.get("/below")
    async def below() -> Response:
        return Response.file("gone", root=folder)

    for backend in ("epoll", "io_uring"):
        with serving(app, backend=backend) as client:
            assert client.get("/own").text == "gone"
            assert client.get("/below").text == "mine"
    assert closed == [str(folder / "gone")] * 2
