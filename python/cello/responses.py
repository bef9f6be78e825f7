"""Responses by the kind of their content, under the names that other frameworks have for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, Literal

from cello import _cello
from cello._cello import Response

__all__ = [
    "EventSourceResponse",
    "FileResponse",
    "HTMLResponse",
    "JSONResponse",
    "PlainTextResponse",
    "RedirectResponse",
    "Response",
    "StreamingResponse",
]

Headers = Mapping[str, str] | None


class StreamingResponse(Response):
    """What an iterable or async iterable gives, piece by piece; see Response.stream()."""

    def __init__(
        self,
        content: Any,
        status_code: int = 200,
        headers: Headers = None,
        media_type: str | None = None,
        trailers: Mapping[str, str] | Callable[[], Any] | None = None,
    ) -> None:
        body = Response.stream(content, trailers=trailers).body
        super().__init__(body, status_code, headers, media_type)


class EventSourceResponse(Response):
    """Server-sent events; see Response.sse(). ping: seconds, as its heartbeat."""

    def __init__(
        self,
        content: Any,
        status_code: int = 200,
        headers: Headers = None,
        media_type: str | None = None,
        ping: float | None = 15,
    ) -> None:
        body = Response.sse(content, heartbeat=ping).body
        super().__init__(body, status_code, headers, media_type)


class FileResponse(Response):
    """A file; see Response.file()."""

    def __init__(
        self,
        path: str | PathLike[str],
        status_code: int = 200,
        headers: Headers = None,
        media_type: str | None = None,
        filename: str | None = None,
        root: str | PathLike[str] | None = None,
        content_disposition_type: Literal["attachment", "inline"] = "attachment",
    ) -> None:
        body = _cello.FileBody(path, root, filename, content_disposition_type)
        super().__init__(body, status_code, headers, media_type)


class JSONResponse(Response):
    """Any value that JSON knows; None and a str are JSON too."""

    def __init__(
        self,
        content: Any = None,
        status_code: int = 200,
        headers: Headers = None,
        media_type: str | None = None,
    ) -> None:
        if content is None or isinstance(content, str):  # else an empty body, and text
            content = _cello.json_dumps(content)
            media_type = media_type or "application/json"
        elif isinstance(content, (bytes, bytearray, memoryview)):
            raise TypeError(f"JSON has no bytes: {content!r}")
        super().__init__(content, status_code, headers, media_type)


class _TextResponse(Response):
    _media_type: str

    def __init__(
        self,
        content: str | bytes = "",
        status_code: int = 200,
        headers: Headers = None,
        media_type: str | None = None,
    ) -> None:
        super().__init__(text_of(content), status_code, headers, media_type or self._media_type)


class PlainTextResponse(_TextResponse):
    """text/plain."""

    _media_type = "text/plain; charset=utf-8"


class HTMLResponse(_TextResponse):
    """text/html."""

    _media_type = "text/html; charset=utf-8"


class RedirectResponse(Response):
    """To another URL, by 301, 302, 303, 307 or 308."""

    def __init__(self, url: str, status_code: int = 307, headers: Headers = None) -> None:
        checked = Response.redirect(url, status_code)
        super().__init__(None, status_code, headers)
        self.set_header("Location", checked.headers["location"])


def text_of(content: Any) -> str | bytes:
    """TypeError: what would be JSON."""
    if not isinstance(content, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"content must be str or bytes, not {type(content).__name__}")
    return content  # type: ignore[return-value]
