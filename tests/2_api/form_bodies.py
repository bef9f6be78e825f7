"""Multipart bodies written by hand, so that every byte is the test's."""

from typing import NamedTuple

BOUNDARY = "xYz"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


class Part(NamedTuple):
    name: str
    data: bytes = b""
    filename: str | None = None
    content_type: str | None = None


def body_of(*parts: Part) -> bytes:
    pieces = []
    for part in parts:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{part.name}"'
        if part.filename is not None:
            head += f'; filename="{part.filename}"'
        if part.content_type is not None:
            head += f"\r\nContent-Type: {part.content_type}"
        pieces += [head.encode(), b"\r\n\r\n", part.data, b"\r\n"]
    return b"".join([*pieces, f"--{BOUNDARY}--\r\n".encode()])
