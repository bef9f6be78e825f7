"""What the tests of uploads talk to. Run with a listening socket's number:

python upload_app.py FD
"""

import hashlib
import os
import sys
from typing import Annotated, Any

from cello import App, File, Form, LimitsConfig, Request, UploadedFile

app = App()
app.set_limits(LimitsConfig(max_body_size=1 << 20, max_buffered_bytes=16 << 20))


def describe(value: str | UploadedFile) -> Any:
    if isinstance(value, str):
        return value
    return [value.filename, value.size, hashlib.md5(value.read()).hexdigest()]


def pairs(req: Request) -> list[Any]:
    return [[name, describe(value)] for name, value in req.form().multi_items()]


@app.post("/parsed")
def parsed(req: Request) -> list[Any]:
    """From a body that was collected."""
    return pairs(req)


@app.post("/stored", max_body=16 << 30)
def stored(req: Request, unused: Annotated[bytes, File()] = b"") -> list[Any]:
    """From what was stored while it arrived."""
    return pairs(req)


@app.post("/later", max_body=1 << 30, blocking=True)
def later(file: list[UploadedFile], note: Annotated[str, Form()] = "") -> list[Any]:
    """On the thread pool."""
    return [*map(describe, file), note]


@app.post("/large", max_body=16 << 30)
def large(file: UploadedFile) -> list[Any]:
    """Its size and its end, without reading all of it."""
    file.seek(-10, os.SEEK_END)
    return [file.size, file.read().decode("latin-1"), resident()]


@app.post("/save", max_body=1 << 30)
def save(file: UploadedFile, path: Annotated[str, Form()]) -> int:
    return file.save(path)


def resident() -> int:
    """Bytes of memory."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    app.run(fd=int(sys.argv[1]), logs=False, argv=False)
