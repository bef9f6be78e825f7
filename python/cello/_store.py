"""What all workers of an application share: keys and values, and messages by topic."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import Any

from cello import _cello, _cluster
from cello._base import Base
from cello._config import StoreConfig

MAX_QUEUE = 1000  # messages


class Subscription(_cello.Subscription):
    """The messages of one or more topics, from all workers: `async for`, or `for` on a thread that
    may wait (a handler with blocking=True, never an inline one). For one reader, who gets what was
    published: str, bytes, or what JSON gives for the rest.

    topic: of the message that came last. lost: how many were dropped since they were not read in
    time. A context manager; leaving it, close(), or the end of the response that it was returned
    in ends it.
    """

    topic: str | None

    def __init__(self, hub: _cello.Topics, topics: tuple[Any, ...], max_queue: int) -> None:
        self.topic = None
        self._waiters: set[Callable[[], object]] = set()

    def _news(self) -> None:
        """There is something to take, or it is closed: called on any thread."""
        for wake in tuple(self._waiters):
            wake()

    def close(self) -> None:
        """Subscribe no more. Whoever waits for a message is at the end."""
        self._end()
        self._news()

    async def aclose(self) -> None:
        """close()"""
        self.close()

    def _next(self) -> tuple[str, Any] | None:
        taken = self._take()
        if taken is not None:
            self.topic = taken[0]
        return taken

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Any:
        while (taken := self._next()) is None:
            if self.closed:
                raise StopAsyncIteration
            await self._wait()
        return taken[1]

    async def _wait(self) -> None:
        """Until _news() is called; a moment, if it was called before."""
        import asyncio

        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def arrive() -> None:
            if not future.done():
                future.set_result(None)

        def wake() -> None:
            if asyncio._get_running_loop() is loop:
                arrive()
            elif not loop.is_closed():
                loop.call_soon_threadsafe(arrive)

        self._waiters.add(wake)
        try:
            if not self._has_news():
                await future
        finally:
            self._waiters.discard(wake)

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Any:
        while (taken := self._next()) is None:
            if self.closed:
                raise StopIteration
            self._wait_here()
        return taken[1]

    def _wait_here(self) -> None:
        asyncio = sys.modules.get("asyncio")
        if asyncio is not None and asyncio._get_running_loop() is not None:
            raise RuntimeError("this would stop the event loop: write `async for`")
        gate = Lock()
        gate.acquire()

        def wake() -> None:
            if gate.locked():
                gate.release()

        self._waiters.add(wake)
        try:
            if not self._has_news():
                gate.acquire()
        finally:
            self._waiters.discard(wake)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Shared(Base):
    """What an application shares over its workers; a base of App."""

    def set_store(self, config: StoreConfig) -> None:
        """The sizes of the shared memory. RuntimeError: it is there already."""
        if not isinstance(config, StoreConfig):
            raise TypeError(f"set_store takes a StoreConfig, not {config!r}")
        if self._own_cluster is not None:
            raise RuntimeError("set_store comes before the application is started or uses a store")
        self._store_config = config

    @property
    def store(self) -> _cello.Store:
        """Keys and values that all workers share. Nothing survives the end of the application."""
        return self._shared[0]

    @property
    def _topics(self) -> _cello.Topics:
        return self._shared[1]

    @property
    def _shared(self) -> tuple[_cello.Store, _cello.Topics]:
        if self._own_shared is None:
            with _cluster.making:
                if self._own_shared is None:
                    self._own_shared = _cluster.shared(self._cluster)
        return self._own_shared

    def publish(self, topic: str | bytes, message: Any) -> None:
        """Give a message to the subscribers of a topic in all workers; it waits for none of them.

        topic: 1 to 255 bytes. message: str, bytes, or what can be made JSON; ValueError: it is
        longer than a quarter of StoreConfig.ring_size. TypeError: no form in JSON.
        """
        self._topics.publish(topic, message, self._encode if self._encoders else None)

    def subscribe(self, *topics: str | bytes, max_queue: int = MAX_QUEUE) -> Subscription:
        """The messages that are published for these topics from now on, until it is closed.

        max_queue: messages that wait to be read; with more the oldest is dropped and counted.
        ValueError: no topic, or one that is empty or longer than 255 bytes.
        """
        return Subscription(self._topics, topics, max_queue)
