"""Uploads: UploadedFile, FormData, File() and Form() in multipart bodies."""

import csv
import gc
import io
import logging
import os
import shutil
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cello
import msgspec
import pytest
from api_client import asking
from cello import (
    App,
    File,
    Form,
    FormData,
    HTTPError,
    LimitsConfig,
    MultiMap,
    Request,
    Response,
    UploadedFile,
)
from form_bodies import MULTIPART, Part, body_of

LARGE = bytes(range(256)) * 4096  # a megabyte: it does not stay in memory


def request_with(*parts: Part) -> Request:
    return Request("POST", "/", headers=MULTIPART, body=body_of(*parts))


def upload(data: bytes = b"hello world", **rest: Any) -> UploadedFile:
    found = request_with(Part("f", data, "a.txt", **rest)).files()["f"]
    assert isinstance(found, UploadedFile)
    return found


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# ---- form() and files() ----


def test_form_has_texts_and_files_in_order() -> None:
    request = request_with(
        Part("a", b"1"),
        Part("f", b"x", "one.txt", "text/plain"),
        Part("a", "ü€".encode()),
        Part("f", b"yy", "../two"),
    )
    form = request.form()
    assert isinstance(form, FormData)
    assert [name for name, _ in form.multi_items()] == ["a", "f", "a", "f"]
    assert form["a"] == "ü€" and form.get_all("a") == ["1", "ü€"]
    assert list(form) == ["a", "f"] and len(form) == 2 and "f" in form and "x" not in form
    last = form["f"]
    assert isinstance(last, UploadedFile) and last.filename == "../two" and last.size == 2
    assert form.get("none") is None and form.get("none", "x") == "x"
    with pytest.raises(KeyError):
        form["none"]


def test_files_has_files_only() -> None:
    files = request_with(Part("a", b"1"), Part("f", b"x", "1"), Part("f", b"y", "2")).files()
    assert isinstance(files, FormData) and list(files) == ["f"]
    assert [file.read() for file in files.get_all("f")] == [b"x", b"y"]  # type: ignore[union-attr]


def test_form_data_is_made_of_pairs() -> None:
    file = upload()
    form = FormData([("a", "1"), ("f", file)])
    assert form["f"] is file and form == {"a": "1", "f": file}
    assert FormData({"a": ["1", "2"]}).get_all("a") == ["1", "2"]
    assert FormData(form) == form and FormData() == {}
    assert repr(FormData({"a": "1"})) == "FormData([('a', '1')])"
    with pytest.raises(TypeError, match="FormData"):
        FormData({"a": 1})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="MultiMap"):
        MultiMap({"a": file})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="FormData"):
        FormData(a="1")  # type: ignore[call-arg]


def test_an_input_without_a_file_is_nothing() -> None:
    request = request_with(Part("f", b"", "", "application/octet-stream"), Part("a", b"1"))
    assert request.form() == {"a": "1"} and len(request.files()) == 0
    named = request_with(Part("f", b"x", ""))  # there is something
    assert named.files()["f"].size == 1  # type: ignore[union-attr]
    empty = request_with(Part("f", b"", "empty.txt"))
    assert empty.files()["f"].read() == b""  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([Part("a", b"\xe9", content_type="text/plain; charset=ISO-8859-1")], "é"),
        ([Part("a", b"\x80", content_type="text/plain;charset=windows-1252")], "€"),
        ([Part("_charset_", b"iso-8859-1"), Part("a", b"\xe9")], "é"),
        ([Part("a", b"\xe9"), Part("_charset_", b"iso-8859-1")], "é"),
        (
            [Part("_charset_", b"latin1"), Part("a", "é".encode(), None, "a/b; charset=UTF-8")],
            "é",
        ),
        ([Part("a", b"x", content_type="application/json")], "x"),
    ],
)
def test_charsets_of_fields(parts: list[Part], text: str) -> None:
    assert request_with(*parts).form()["a"] == text


@pytest.mark.parametrize(
    ("part", "status"),
    [
        (Part("a", b"\xe9"), 400),
        (Part("a", b"a\0b"), 400),
        (Part("a", b"x", content_type="text/plain; charset=utf-7"), 415),
        (Part("_charset_", b"utf-7"), 415),
    ],
)
def test_texts_that_cannot_be_read(part: Part, status: int) -> None:
    with pytest.raises(HTTPError) as info:
        request_with(part).form()
    assert info.value.status == status


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data", b"--x--", 400),
        ("multipart/form-data; boundary=", b"----", 400),
        ('multipart/form-data; boundary="a*b"', b"--a*b--", 400),
        (f"multipart/form-data; boundary={'x' * 71}", b"", 400),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--", 400),
        ("multipart/form-data; boundary=x", b"--y--", 400),
        ("multipart/mixed; boundary=x", b"--x--", 415),
        ("application/json", b"{}", 415),
    ],
)
def test_bodies_that_are_no_forms(content_type: str, body: bytes, status: int) -> None:
    request = Request("POST", "/", headers={"Content-Type": content_type}, body=body)
    for ask in (request.form, request.files):
        with pytest.raises(HTTPError) as info:
            ask()
        assert info.value.status == status


def test_quoted_boundaries() -> None:
    body = b"--a b:c\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--a b:c--"
    headers = {"Content-Type": 'Multipart/Form-Data; charset=utf-8; boundary="a b:c"'}
    assert Request("POST", "/", headers=headers, body=body).form() == {"a": "1"}


# ---- UploadedFile ----


def test_what_a_file_says() -> None:
    file = upload(content_type="text/plain; charset=utf-8")
    assert (file.name, file.filename, file.size) == ("f", "a.txt", 11)
    assert file.content_type == "text/plain; charset=utf-8"
    assert file.headers["content-type"] == file.content_type
    assert file.headers["Content-Disposition"] == 'form-data; name="f"; filename="a.txt"'
    assert upload().content_type is None
    assert repr(file) == "<UploadedFile 'f': 'a.txt', 11 bytes>"
    assert cello.UploadFile is UploadedFile
    with pytest.raises(TypeError):
        UploadedFile()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("filename", "safe"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\dir\\é.txt", "é.txt"),
        ("..", "file"),
        ("NUL", "_NUL"),
        ("x" * 300 + ".jpg", "x" * 251 + ".jpg"),
    ],
)
def test_safe_filename(filename: str, safe: str) -> None:
    file = request_with(Part("f", b"", filename)).files()["f"]
    assert isinstance(file, UploadedFile)
    assert file.filename == filename and file.safe_filename == safe


def test_browsers_codes_in_names() -> None:
    file = request_with(Part("%22a%0D%0A", b"x", "b%22.txt")).files()['"a\r\n']
    assert isinstance(file, UploadedFile) and file.filename == 'b".txt'


def test_reads_as_a_file_does() -> None:
    file = upload()
    assert file.read(5) == b"hello" and file.tell() == 5
    assert file.read() == b" world" and file.read() == b"" and file.read(3) == b""
    assert file.seek(0) == 0 and file.read(None) == b"hello world"
    assert file.seek(-5, os.SEEK_END) == 6 and file.read() == b"world"
    assert file.seek(-1, os.SEEK_CUR) == 10 and file.seek(100) == 100 and file.read() == b""
    buffer = bytearray(4)
    file.seek(0)
    assert file.readinto(buffer) == 4 and buffer == b"hell"
    assert file.readable() and file.seekable() and not file.writable()
    for wrong in ((-1,), (0, 3), (-12, 2)):
        with pytest.raises(ValueError, match=r"position|whence"):
            file.seek(*wrong)
    with pytest.raises(TypeError):
        file.read("5")  # type: ignore[arg-type]


def test_iterates_in_chunks() -> None:
    chunks = list(upload(LARGE))
    assert b"".join(chunks) == LARGE and {len(chunk) for chunk in chunks} == {65536}


def test_serves_the_standard_library() -> None:
    table = io.TextIOWrapper(upload("a;ü\n1;2\n".encode()), "utf-8", newline="")  # type: ignore[type-var]
    assert list(csv.reader(table, delimiter=";")) == [["a", "ü"], ["1", "2"]]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x", LARGE)
    with zipfile.ZipFile(upload(packed.getvalue())) as archive:  # type: ignore[arg-type]
        assert archive.read("x") == LARGE
    out = io.BytesIO()
    shutil.copyfileobj(upload(LARGE).file, out)
    assert out.getvalue() == LARGE


def test_closed_files_say_so() -> None:
    with upload() as file:
        assert not file.closed
    assert file.closed and file.filename == "a.txt"
    for ask in (file.read, file.tell, file.__enter__, lambda: file.save("x"), lambda: next(file)):
        with pytest.raises(ValueError, match="closed"):
            ask()
    file.close()


def test_saves(tmp_path: Path) -> None:
    file, path = upload(), tmp_path / "a"
    assert file.save(path) == 11 and path.read_bytes() == b"hello world"
    path.write_text("other")
    assert file.save(str(path)) == 11 and path.read_bytes() == b"hello world"
    assert os.listdir(tmp_path) == ["a"]
    with pytest.raises(FileNotFoundError, match="none"):
        file.save(tmp_path / "none" / "a")
    with pytest.raises(IsADirectoryError):
        file.save(tmp_path)
    with pytest.raises(TypeError):
        file.save(1)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_keeps_what_it_reads() -> None:
    file = upload(LARGE)  # its request is gone
    gc.collect()
    assert file.read() == LARGE


# ---- parameters ----


@dataclass
class Profile:
    name: str
    age: int = 7


class Item(msgspec.Struct):
    tags: list[str]
    size: float = 1.0


def parameters() -> App:
    app = App()

    @app.post("/all")
    def every_kind(
        a: Annotated[str, Form()],
        file: UploadedFile,
        raw: Annotated[bytes, File()],
        many: list[UploadedFile],
        some: Annotated[list[bytes], File(alias="some-bytes")],
        n: Annotated[int, Form()] = 3,
        maybe: UploadedFile | None = None,
    ) -> dict[str, Any]:
        return {
            "a": a,
            "file": [file.name, file.filename, file.read().decode()],
            "raw": raw.decode(),
            "many": [f.filename for f in many],
            "some": [b.decode() for b in some],
            "n": n,
            "maybe": maybe and maybe.filename,
        }

    @app.post("/bare")
    def bare(file: Annotated[UploadedFile, File], text: Annotated[str | None, Form] = None) -> Any:
        return [file.filename, text]

    @app.post("/default")
    def with_default(file: UploadedFile = File(alias="f-1", description="x")) -> str:  # noqa: B008
        return file.filename

    @app.post("/optional")
    def optional(file: UploadedFile | None = None, raw: Annotated[bytes, File()] = b"-") -> Any:
        return [file and file.filename, raw.decode()]

    @app.post("/profile")
    def profile(p: Annotated[Profile, Form()]) -> Profile:
        return p

    @app.post("/item")
    async def item(i: Annotated[Item, Form()], file: UploadedFile) -> Any:
        return [i.tags, i.size, file.size]

    @app.post("/text")
    def text(a: Annotated[str, Form()], req: Request) -> Any:
        return [a, list(req.form()), list(req.files())]

    return app


def test_every_kind_of_parameter() -> None:
    body = body_of(
        Part("a", b"x"),
        Part("file", b"old", "old"),
        Part("file", b"content", "b.txt"),
        Part("raw", b"1", "raw.bin"),
        Part("many", b"", "1"),
        Part("many", b"", "2"),
        Part("many", b"", ""),  # nothing was chosen
        Part("some-bytes", b"s1", "s"),
        Part("some-bytes", b"s2"),
        Part("maybe", b"", ""),
    )
    with asking(parameters()) as client:
        assert client.ask("/all", "POST", body, MULTIPART).data == {
            "a": "x",
            "file": ["file", "b.txt", "content"],
            "raw": "1",
            "many": ["1", "2"],
            "some": ["s1", "s2"],
            "n": 3,
            "maybe": None,
        }
        one = body_of(Part("file", b"", "x"))
        assert client.ask("/bare", "POST", one, MULTIPART).data == ["x", None]
        assert client.ask("/default", "POST", body_of(Part("f-1", b"", "x")), MULTIPART).text == "x"
        assert client.ask("/optional", "POST", body_of(), MULTIPART).data == [None, "-"]
        assert client.ask("/optional", "POST").data == [None, "-"]
        assert client.ask("/optional", "POST", body_of(Part("raw", b"r")), MULTIPART).data == [
            None,
            "r",
        ]


def test_errors_name_their_place() -> None:
    with asking(parameters()) as client:
        answer = client.ask("/all", "POST", body_of(Part("n", b"x"), Part("file", b"t")), MULTIPART)
        assert answer.status == 422
        assert [(tuple(e["loc"]), e["type"]) for e in answer.data["detail"]] == [
            (("body", "a"), "missing"),
            (("body", "file"), "file_type"),
            (("body", "raw"), "missing"),
            (("body", "many"), "missing"),
            (("body", "some-bytes"), "missing"),
            (("body", "n"), "int_parsing"),
        ]
        body = body_of(Part("many", b"", "1"), Part("many", b"text"))
        errors = client.ask("/all", "POST", body, MULTIPART).data["detail"]
        assert (["body", "many", 1], "file_type") in [(e["loc"], e["type"]) for e in errors]
        assert client.ask("/bare", "POST").status == 422


def test_media_types_of_forms() -> None:
    encoded = {"Content-Type": "application/x-www-form-urlencoded"}
    json, unsaid = {"Content-Type": "application/json"}, {"Content-Type": "multipart/form-data"}
    with asking(parameters()) as client:
        assert client.ask("/bare", "POST", b"file=x", encoded).status == 415
        assert client.ask("/bare", "POST", b"{}", json).status == 415
        assert client.ask("/bare", "POST", b"x").status == 415
        assert client.ask("/profile", "POST", b"name=x", encoded).data == {"name": "x", "age": 7}
        assert client.ask("/profile", "POST", b"x").status == 415
        assert client.ask("/profile", "POST", b"x", unsaid).status == 400


def test_models_of_multipart_forms() -> None:
    with asking(parameters()) as client:
        body = body_of(Part("name", "ü".encode()), Part("age", b"8"))
        assert client.ask("/profile", "POST", body, MULTIPART).data == {"name": "ü", "age": 8}
        body = body_of(Part("tags", b"a"), Part("tags", b"b"), Part("file", b"12", "x"))
        assert client.ask("/item", "POST", body, MULTIPART).data == [["a", "b"], 1.0, 2]


def test_pydantic_models_of_multipart_forms() -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Model", a=(int, ...), b=(list[str], []))
    app = App()

    def handler(m: Any) -> Any:
        return [m.a, m.b]

    handler.__annotations__["m"] = Annotated[model, Form()]
    app.post("/")(handler)
    with asking(app) as client:
        body = body_of(Part("a", b"1"), Part("b", b"x"), Part("b", b"y"))
        assert client.ask("/", "POST", body, MULTIPART).data == [1, ["x", "y"]]


def test_the_request_sees_the_same_form() -> None:
    with asking(parameters()) as client:
        body = body_of(Part("a", b"1"), Part("f", b"x", "x"))
        assert client.ask("/text", "POST", body, MULTIPART).data == ["1", ["a", "f"], ["f"]]


def test_the_body_is_gone_when_it_was_stored() -> None:
    app = App()
    said: list[str] = []

    @app.post("/")
    def handler(file: UploadedFile, req: Request) -> int:
        for ask in (req.body, req.text, req.json):
            with pytest.raises(RuntimeError) as info:
                ask()
            said.append(str(info.value))
        return file.size

    with asking(app) as client:
        assert client.ask("/", "POST", body_of(Part("file", b"x", "x")), MULTIPART).text == "1"
    assert len(said) == 3 and all("req.files()" in text for text in said)


def test_wrong_signatures() -> None:
    app = App()
    with pytest.raises(TypeError, match=r"parameter 'f': File\(\) gives UploadedFile, bytes"):
        app.post("/1")(_annotated(Annotated[str, File()]))
    with pytest.raises(TypeError, match=r"a file is declared with File\(\), not Form\(\)"):
        app.post("/2")(_annotated(Annotated[UploadedFile, Form()]))
    with pytest.raises(TypeError, match="a path parameter cannot be a file"):
        app.post("/3/{f}")(_annotated(UploadedFile))
    with pytest.raises(TypeError, match="max_length"):
        File(max_length=3)
    with pytest.raises(ValueError, match="is of a form"):

        @app.post("/4")
        def both(f: UploadedFile, item: Item) -> None: ...


def _annotated(annotation: Any) -> Any:
    def handler(f: Any) -> None: ...

    handler.__annotations__["f"] = annotation
    return handler


def test_documents_say_binary() -> None:
    app = parameters()
    app.enable_openapi()
    with asking(app) as client:
        document = client.get("/openapi.json").data
    content = document["paths"]["/all"]["post"]["requestBody"]["content"]
    assert list(content) == ["multipart/form-data"]
    schema = content["multipart/form-data"]["schema"]
    binary = {"type": "string", "format": "binary"}
    assert schema["properties"]["file"] == binary
    assert schema["properties"]["many"] == {"type": "array", "items": binary}
    assert schema["properties"]["some-bytes"] == {"type": "array", "items": binary}
    assert schema["properties"]["a"] == {"type": "string"}
    assert schema["required"] == ["a", "file", "raw", "many", "some-bytes"]
    assert document["paths"]["/default"]["post"]["requestBody"]["content"]["multipart/form-data"][
        "schema"
    ]["properties"]["f-1"] == {**binary, "description": "x"}
    profile = document["paths"]["/profile"]["post"]["requestBody"]
    assert list(profile["content"]) == ["application/x-www-form-urlencoded"]


# ---- limits, on both ways ----


def limited(**limits: Any) -> App:
    app = App()
    app.set_limits(LimitsConfig(**limits))

    @app.post("/stored")
    def stored(file: UploadedFile | None = None, a: Annotated[str, Form()] = "") -> str:
        return "ok"

    @app.post("/text")
    def text(a: Annotated[str, Form()] = "") -> str:
        return "ok"

    @app.post("/parsed")
    def parsed(req: Request) -> str:
        req.form()
        return "ok"

    return app


@pytest.mark.parametrize("path", ["/stored", "/parsed"])
@pytest.mark.parametrize(
    ("limits", "good", "bad", "status"),
    [
        ({"max_form_parts": 2}, [Part("a"), Part("a")], [Part("a")] * 3, 400),
        (
            {"max_part_header": 100},
            [Part("x" * 57)],
            [Part("x" * 58)],
            400,
        ),
        (
            {"max_form_memory": 100},
            [Part("a", b"x" * 57)],
            [Part("a", b"x" * 58)],
            413,
        ),
        (
            {"max_file_size": 10},
            [Part("f", b"x" * 10, "f"), Part("a", b"x" * 11)],
            [Part("f", b"x" * 11, "f")],
            413,
        ),
    ],
    ids=["max_form_parts", "max_part_header", "max_form_memory", "max_file_size"],
)
def test_limits(
    path: str, limits: dict[str, int], good: list[Part], bad: list[Part], status: int
) -> None:
    with asking(limited(**limits)) as client:
        assert client.ask(path, "POST", body_of(*good), MULTIPART).text == "ok"
        answer = client.ask(path, "POST", body_of(*bad), MULTIPART)
        assert answer.status == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_max_form_parts_counts_encoded_fields_too() -> None:
    encoded = {"Content-Type": "application/x-www-form-urlencoded"}
    with asking(limited(max_form_parts=2)) as client:
        for path in ("/text", "/parsed"):
            assert client.ask(path, "POST", b"a=1&a=2", encoded).text == "ok"
            assert client.ask(path, "POST", b"a=1&a=2&a=3", encoded).status == 400


# ---- who keeps what ----


def test_large_files_are_saved_by_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    app = App()

    @app.post("/")
    def handler(file: UploadedFile, req: Request) -> Any:
        assert os.listdir(tmp_path) == []  # it has no name
        sizes = [file.save(tmp_path / "a"), file.save(tmp_path / "b")]
        return [*sizes, file.read(3).decode("latin-1")]

    with asking(app) as client:
        answer = client.ask("/", "POST", body_of(Part("file", LARGE, "x")), MULTIPART)
        assert answer.data == [len(LARGE), len(LARGE), "\0\1\2"]
    a, b = tmp_path / "a", tmp_path / "b"
    assert a.read_bytes() == b.read_bytes() == LARGE
    assert a.stat().st_ino != b.stat().st_ino  # what is written to one is not in the other
    umask = os.umask(0)
    os.umask(umask)
    assert a.stat().st_mode & 0o777 == 0o666 & ~umask


def test_descriptors_go_with_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps what is logged, and with an exception the frames of its handler.
    monkeypatch.setattr(logging.getLogger("cello"), "disabled", True)
    app = App()

    @app.post("/raises")
    def raises(file: UploadedFile) -> None:
        assert file.read(1)
        raise RuntimeError("after the file was opened")

    @app.post("/answers")
    async def answers(req: Request, file: UploadedFile) -> int:
        return len(req.files()) + len(file.read())

    @app.post("/invalid")
    def invalid(file: UploadedFile, n: Annotated[int, Form()]) -> None: ...

    body = body_of(Part("file", LARGE, "x"))
    with asking(app) as client:
        assert client.ask("/answers", "POST", body_of(Part("file", b"x", "x")), MULTIPART).text
        before = descriptors()
        for _ in range(5):
            assert client.ask("/raises", "POST", body, MULTIPART).status == 500
            assert client.ask("/answers", "POST", body, MULTIPART).text == str(1 + len(LARGE))
            assert client.ask("/invalid", "POST", body, MULTIPART).status == 422
        gc.collect()
        assert client.ask("/answers", "POST", body_of(), MULTIPART).status == 422  # a turn or two
        assert descriptors() == before


def test_a_file_outlives_its_request_where_it_is_kept() -> None:
    app = App()
    kept: list[UploadedFile] = []
    app.post("/")(_keep_in(kept))
    with asking(app) as client:
        body = body_of(Part("file", LARGE, "x"))
        assert client.ask("/", "POST", body, MULTIPART).status == 204
        assert client.ask("/", "POST", body, MULTIPART).status == 204
        found: list[bytes] = []
        reader = threading.Thread(target=lambda: found.extend(file.read() for file in kept))
        reader.start()
        reader.join()
        assert found == [LARGE, LARGE]
        before = descriptors()
        kept[0].close()
        kept.clear()
        client.ask("/", "POST", body_of(), MULTIPART)
        assert descriptors() == before - 2


def _keep_in(kept: list[UploadedFile]) -> Any:
    def handler(file: UploadedFile) -> None:
        kept.append(file)

    return handler


@pytest.mark.parametrize("how", ["parameter", "form", "resolved"])
def test_on_the_thread_pool(how: str) -> None:
    app = App()
    kept: list[UploadedFile] = []

    def by_parameter(file: UploadedFile) -> list[Any]:
        kept.append(file)
        return [threading.current_thread().name[:11], len(file.read())]

    def by_form(req: Request) -> list[Any]:
        return by_parameter(req.files()["file"])  # type: ignore[arg-type]

    if how == "resolved":
        app.before_request()(lambda req: None)
    app.post("/", blocking=True)(by_form if how == "form" else by_parameter)
    with asking(app) as client:
        before = descriptors()
        for _ in range(20):
            answer = client.ask("/", "POST", body_of(Part("file", LARGE, "x")), MULTIPART)
            assert answer.data == ["cello-pool-", len(LARGE)]
        assert kept[0].read() == b"" and kept[0].seek(0) == 0 and kept[0].read() == LARGE
        kept.clear()
        client.ask("/", "POST", body_of(Part("file", b"", "x")), MULTIPART)
        kept.clear()
        assert descriptors() <= before + 2  # what wakes the engine up


def test_a_response_may_hold_what_was_uploaded() -> None:
    app = App()

    @app.post("/")
    def handler(file: UploadedFile) -> Response:
        return Response(file.read(), content_type="application/octet-stream")

    with asking(app) as client:
        assert client.ask("/", "POST", body_of(Part("file", LARGE, "x")), MULTIPART).body == LARGE
