"""Errors that are answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Problem(Exception):
    """What the engine answers with a problem document (RFC 9457): the base of those below."""

    status: int
    detail: Any
    title: str | None
    type: str
    headers: dict[str, str] | None
    extensions: dict[str, Any] | None

    @property
    def status_code(self) -> int:
        """The status, under the name other frameworks use."""
        return self.status


class HTTPError(Problem):
    """Raised in a handler, answers the request with a problem document (RFC 9457).

    status: 200 to 599. detail: one sentence for the client, or a mapping, whose items become
    members of the document. title: by default the status's reason phrase. type: a URI that names
    the kind of problem. headers: sent with the answer. Other keyword arguments become members of
    the document.

    ValueError: the status is out of range.
    """

    def __init__(
        self,
        status: int | None = None,
        detail: str | Mapping[str, Any] | None = None,
        *,
        status_code: int | None = None,
        title: str | None = None,
        type: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        if status is None:
            status = status_code
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

    def __str__(self) -> str:
        return f"{self.status} {self.detail}" if self.detail else str(self.status)


HTTPException = HTTPError


class ProblemDetails(HTTPError):
    """A problem document as a value: handlers and exception handlers return it, or raise it.

    instance: a URI of this occurrence, by default the request's path. The rest is as for HTTPError.
    """

    def __init__(
        self,
        status: int | None = None,
        detail: str | Mapping[str, Any] | None = None,
        *,
        status_code: int | None = None,
        title: str | None = None,
        type: str | None = None,
        instance: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        if instance is not None:
            extensions["instance"] = instance
        super().__init__(
            status,
            detail,
            status_code=status_code,
            title=title,
            type=type,
            headers=headers,
            **extensions,
        )


class RequestValidationError(Problem):
    """The request does not fit what its handler declared; answered with 422 and `detail`, a list of
    {"loc": where, "msg": what, "type": kind}.

    body: what was sent, as far as it was decoded, or None.
    """

    def __init__(self, errors: Sequence[Mapping[str, Any]], body: Any = None) -> None:
        found = list(errors)
        super().__init__(found)
        self.status = 422
        self.detail = found
        self.title = None
        self.type = "about:blank"
        self.headers = None
        self.extensions = None
        self.body = body

    def errors(self) -> list[Any]:
        """What is wrong, one dict for each place."""
        found: list[Any] = self.detail
        return found

    def __str__(self) -> str:
        places = (f"{'.'.join(map(str, e.get('loc', ())))}: {e.get('msg')}" for e in self.detail)
        return "; ".join(places)


class ClientDisconnected(Problem):
    """Raised by req.stream() when the client has gone before its body was complete, or was answered
    already. Not an error of the program: nothing is logged, and whoever still listens gets a 400.
    """

    def __init__(self, detail: str = "The client has gone.") -> None:
        super().__init__(detail)
        self.status = 400
        self.detail = detail
        self.title = None
        self.type = "about:blank"
        self.headers = None
        self.extensions = None
