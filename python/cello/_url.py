"""The type of Request.url."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib.parse import SplitResult


class URL(str):
    """A URL: a str with names for its parts, encoded as they stand in it."""

    __slots__ = ()

    def _split(self) -> SplitResult:
        from urllib.parse import urlsplit

        return urlsplit(str(self))

    @property
    def scheme(self) -> str:
        """ "http"; "" in a relative URL."""
        return self._split().scheme

    @property
    def netloc(self) -> str:
        """Host and port as they are written."""
        return self._split().netloc

    @property
    def hostname(self) -> str | None:
        """In lower case; None in a relative URL."""
        return self._split().hostname

    @property
    def port(self) -> int | None:
        """None: the one that the scheme stands for."""
        return self._split().port

    @property
    def path(self) -> str:
        """Without the query."""
        return self._split().path

    @property
    def query(self) -> str:
        """Without the question mark."""
        return self._split().query

    def __repr__(self) -> str:
        return f"URL({str(self)!r})"
