"""Errors that are answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class HTTPError(Exception):
    """Raised in a handler, answers the request with a problem document (RFC 9457).

    status: 200 to 599. detail: one sentence for the client, or a mapping, whose items become
    members of the document. title: by default the status's reason phrase. type: a URI that names
    the kind of problem. headers: sent with the answer. Other keyword arguments become members of
    the document.

    ValueError: the status is out of range.
    """

    def __init__(
        self,
        status: int,
        detail: str | Mapping[str, Any] | None = None,
        *,
        title: str | None = None,
        type: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        if not isinstance(status, int) or not 200 <= status <= 599:
            raise ValueError(f"status must be an int from 200 to 599, not {status!r}")
        if isinstance(detail, Mapping):
            extensions = {**detail, **extensions}
            detail = None
        super().__init__(status, detail)
        self.status = int(status)
        self.detail = detail
        self.title = title
        self.type = type or "about:blank"
        self.headers = dict(headers) if headers else None
        self.extensions = extensions or None

    @property
    def status_code(self) -> int:
        """The status, under the name other frameworks use."""
        return self.status

    def __str__(self) -> str:
        return f"{self.status} {self.detail}" if self.detail else str(self.status)


HTTPException = HTTPError
