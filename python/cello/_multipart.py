"""Forms that handlers read while they arrive: what Request.multipart() gives.

Bytes are found and cut in C, by _cello.MultipartReader; this waits for them and hands them on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from os import PathLike
from typing import Any

from cello import _cello
from cello._errors import HTTPError

_Path = str | bytes | PathLike[str]

# What read() takes unless it is told: as much as LimitsConfig.max_form_memory.
_READ_LIMIT = 1 << 20


class MultipartStream:
    """The parts of a multipart/form-data body, one after the other, for `async for` (parts whose
    methods are awaited) and, on a thread of the pool, for `for`. A part is read before the next one
    is asked for; what is not read is skipped. HTTPError: the body is no form or malformed (415,
    400), or at a limit (400, 413). ClientDisconnected, HTTPError: as Request.stream()."""

    def __init__(self, request: _cello.Request) -> None:
        self._reader = _cello.MultipartReader(request.content_type() or "", request)
        self._chunks = request.stream()
        self._events: deque[Any] = deque()  # of the reader: a tuple, bytes, None
        self._part: _Part | None = None

    def __aiter__(self) -> AsyncIterator[Part]:
        return self

    async def __anext__(self) -> Part:
        self._part = None
        while True:
            event = await self._next()
            if event is StopIteration:
                raise StopAsyncIteration
            if isinstance(event, tuple):
                part = self._part = Part(self, event)
                return part

    def __iter__(self) -> Iterator[BlockingPart]:
        return self

    def __next__(self) -> BlockingPart:
        self._part = None
        while True:
            event = self._next_blocking()
            if event is StopIteration:
                raise StopIteration
            if isinstance(event, tuple):
                part = self._part = BlockingPart(self, event)
                return part

    async def _next(self) -> Any:
        """The next event; StopIteration at the end."""
        while not self._events:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                self._reader.finish()
                return StopIteration
            self._events.extend(self._reader.feed(chunk))
        return self._events.popleft()

    def _next_blocking(self) -> Any:
        while not self._events:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._reader.finish()
                return StopIteration
            self._events.extend(self._reader.feed(chunk))
        return self._events.popleft()


class _Part:
    """name: of the field. filename: None: it is no file; else any text. content_type: str or None.
    headers: a MultiMap."""

    def __init__(self, stream: MultipartStream, about: tuple[Any, ...]) -> None:
        self.name: str = about[0]
        self.filename: str | None = about[1]
        self.content_type: str | None = about[2]
        self.headers: _cello.MultiMap = about[3]
        self._stream = stream
        self._ended = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.filename!r}>"

    def _is_over(self) -> bool:
        """RuntimeError: the stream has gone on to another part."""
        if not self._ended and self._stream._part is not self:
            raise RuntimeError(f"the part {self.name!r} was skipped: read it before the next one")
        return self._ended

    def _take(self, event: Any) -> bytes | None:
        """An event of this part; None at its end."""
        self._ended = event is None
        return event if isinstance(event, bytes) else None


class _Gathered:
    """Bytes up to a limit."""

    def __init__(self, limit: int) -> None:
        self._chunks: list[bytes] = []
        self._left = limit

    def add(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise HTTPError(413, "A field of the form is too large.")
        self._chunks.append(chunk)

    def bytes(self) -> bytes:
        return b"".join(self._chunks)


class Part(_Part):
    """A part in an async handler; `async for` gives its bytes as they come."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = None if self._is_over() else self._take(await self._stream._next())
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def read(self, limit: int = _READ_LIMIT) -> bytes:
        """All of it. HTTPError 413: more than `limit` bytes."""
        gathered = _Gathered(limit)
        async for chunk in self:
            gathered.add(chunk)
        return gathered.bytes()

    async def save(self, path: _Path) -> int:
        """Write it to a file that gets this path when it is whole, in place of one that is there.
        Returns its size. OSError: as open() and write(); nothing is left then."""
        file = _cello.PartFile(path)
        async for chunk in self:
            file.write(chunk)
        return file.save()


class BlockingPart(_Part):
    """The same on a thread of the pool; `for` gives its bytes as they come."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = None if self._is_over() else self._take(self._stream._next_blocking())
        if chunk is None:
            raise StopIteration
        return chunk

    def read(self, limit: int = _READ_LIMIT) -> bytes:
        """All of it. HTTPError 413: more than `limit` bytes."""
        gathered = _Gathered(limit)
        for chunk in self:
            gathered.add(chunk)
        return gathered.bytes()

    def save(self, path: _Path) -> int:
        """As Part.save()."""
        file = _cello.PartFile(path)
        for chunk in self:
            file.write(chunk)
        return file.save()
