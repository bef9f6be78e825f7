"""Well-formed forms at random, read by Cello, by python-multipart and by Werkzeug: the same."""

import io
import random
from typing import Any

import pytest
from cello import Request, _cello
from python_multipart.multipart import create_form_parser
from werkzeug.formparser import parse_form_data

# (name, file name or None, bytes)
Field = tuple[str, str | None, bytes]

NAMES = ["a", "b c", "ü", "日本", "x" * 200, "semi;colon", "a=b", "percent%", "'", "a.b[0]"]
PIECES = [b"\r", b"\n", b"\r\n", b"-", b"--", b"\r\n--", b"x", b"\0", b"\xff", b" ", b"xY"]
PREAMBLE = b"preamble\r\n"
BOUNDARIES = [
    "x",
    "xY",
    "--xY",
    "----WebKitFormBoundary7MA4YWxkTrZu0gW",
    "a b",
    "'()+_,-./:=?",
    "-" * 70,
]


def random_fields(rng: random.Random, boundary: str) -> list[Field]:
    fields: list[Field] = []
    for _ in range(rng.randrange(1, 8)):
        is_file = rng.random() < 0.6
        data = b"".join(rng.choices([*PIECES, boundary[:-1].encode()], k=rng.choice([0, 1, 5, 40])))
        if rng.random() < 0.1:
            data *= 2000
        if not is_file:
            data = data.replace(b"\0", b"").replace(b"\xff", "é".encode())
        fields.append((rng.choice(NAMES), rng.choice(NAMES) if is_file else None, data))
    delimiter = b"--" + boundary.encode()
    return [(name, file, data) for name, file, data in fields if delimiter not in b"\r\n" + data]


def encoded(rng: random.Random, fields: list[Field], boundary: str) -> bytes:
    out = PREAMBLE if rng.random() < 0.2 else b""
    for name, filename, data in fields:
        lines = [f'Content-Disposition: form-data; name="{name}"']
        if filename is not None:
            lines[0] += f'; filename="{filename}"'
            lines.append("Content-Type: application/octet-stream")
        if rng.random() < 0.2:
            lines.append("X-Other: 1")
        if rng.random() < 0.2:
            lines.reverse()
        head = "\r\n".join([f"--{boundary}", *lines, "", ""]).encode()
        out += head + data + b"\r\n"
    return out + f"--{boundary}--\r\n".encode() + (b"epilogue" if rng.random() < 0.2 else b"")


def content_type(boundary: str) -> str:
    return f'multipart/form-data; boundary="{boundary}"'


def by_cello(body: bytes, boundary: str) -> list[Field]:
    form = Request("POST", "/", headers={"Content-Type": content_type(boundary)}, body=body).form()
    return [
        (name, None, value.encode())
        if isinstance(value, str)
        else (name, value.filename, value.read())
        for name, value in form.multi_items()
    ]


def by_cello_in_pieces(body: bytes, boundary: str) -> list[Field]:
    request = Request("POST", "/", body=b"")
    reader = _cello.MultipartReader(content_type(boundary), request)
    rng = random.Random(len(body))
    fields: list[Any] = []
    at = 0
    while at < len(body):
        step = rng.choice([1, 2, 3, 10, 1000, 100_000])
        for event in reader.feed(body[at : at + step]):
            if isinstance(event, tuple):
                fields.append([event[0], event[1], b""])
            elif event is not None:
                fields[-1][2] += event
        at += step
    reader.finish()
    return [(name, filename, data) for name, filename, data in fields]


def by_python_multipart(body: bytes, boundary: str) -> list[Field]:
    fields: list[Field] = []

    def on_field(field: Any) -> None:
        fields.append((field.field_name.decode(), None, field.value or b""))

    def on_file(file: Any) -> None:
        file.file_object.seek(0)
        data = file.file_object.read()
        file.close()
        fields.append((file.field_name.decode(), file.file_name.decode(), data))

    headers: Any = {"Content-Type": content_type(boundary).encode()}
    parser = create_form_parser(headers, on_field, on_file)
    parser.write(body.removeprefix(PREAMBLE))  # which it takes for an error
    parser.finalize()
    return fields


def by_werkzeug(body: bytes, boundary: str) -> list[Field]:
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": content_type(boundary),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    _, form, files = parse_form_data(environ, silent=False)
    found: list[Field] = [(n, None, value.encode()) for n, value in form.items(multi=True)]
    for name, file in files.items(multi=True):
        with file.stream as stream:
            found.append((name, file.filename, stream.read()))
    return found


@pytest.mark.parametrize("seed", range(300))
def test_the_same_is_read(seed: int) -> None:
    rng = random.Random(seed)
    boundary = rng.choice(BOUNDARIES)
    fields = random_fields(rng, boundary)
    body = encoded(rng, fields, boundary)
    assert by_cello(body, boundary) == fields
    assert by_cello_in_pieces(body, boundary) == fields
    for read in (by_python_multipart, by_werkzeug):  # which tell texts and files apart
        assert sorted(read(body, boundary), key=repr) == sorted(fields, key=repr)
