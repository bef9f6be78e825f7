"""Clients for tests: httpx's, with requests that reach the real engine without a port.

    def test_hello():
        with TestClient(app) as client:
            assert client.get("/hello").json() == {"msg": "hello"}

Everything is as in production but the socket: httpx's HTTP/1.1 bytes go to the engine, which
parses, routes, limits, answers. Needs httpx: pip install 'cello[test]'.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

try:
    import httpcore
    import httpx
except ImportError as _error:
    raise ImportError("cello.testing needs httpx: pip install 'cello[test]'") from _error

from cello._testing import Clock, Guest, Pump, abandon

if TYPE_CHECKING:
    from cello import _cello
    from cello._app import App

__all__ = ["AsyncEngineTransport", "AsyncTestClient", "EngineTransport", "TestClient"]

CLIENT = ("127.0.0.1", 50000)
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)  # httpx's own


# ---- exceptions: of the engine to httpcore's, of httpcore to httpx's ----


@contextmanager
def _network(
    timed_out: type[httpcore.TimeoutException], failed: type[httpcore.NetworkError]
) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise timed_out(str(error)) from error
    except OSError as error:
        raise failed(str(error)) from error


@contextmanager
def _httpx_errors(request: httpx.Request | None = None) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        for kind in type(error).__mro__:
            named = getattr(httpx, kind.__name__, None)  # they have the same names
            if kind.__module__.startswith("httpcore") and named is not None:
                raise named(str(error), request=request) from error
        raise


# ---- connections: what httpcore asks of a network ----


def _extra_info(connection: _cello.Connection, client: tuple[str, int], info: str) -> Any:
    if info == "is_readable":  # of an idle connection: the server has closed it
        return connection.closed or connection.readable
    return client if info == "client_addr" else None


class _Stream(httpcore.NetworkStream):
    def __init__(self, pump: Pump, client: tuple[str, int]) -> None:
        self._pump = pump
        self._client = client
        self._connection = pump.connect()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        clock = Clock(timeout)
        with self._pump.lock, _network(httpcore.ReadTimeout, httpcore.ReadError):
            while (data := self._connection.receive(max_bytes)) is None:
                self._pump.wait(self._connection, clock.left())
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        clock = Clock(timeout)
        rest = memoryview(buffer)
        with self._pump.lock, _network(httpcore.WriteTimeout, httpcore.WriteError):
            while rest:
                rest = rest[self._connection.send(rest) :]
                if rest:
                    self._pump.wait(self._connection, clock.left())

    def close(self) -> None:
        with self._pump.lock:
            self._connection.close()

    def start_tls(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        self._connection.secure()  # there is nobody to hide from
        return self

    def get_extra_info(self, info: str) -> Any:
        return _extra_info(self._connection, self._client, info)


class _Network(httpcore.NetworkBackend):
    def __init__(self, pump: Pump, client: tuple[str, int]) -> None:
        self._pump = pump
        self._client = client

    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        with self._pump.lock, _network(httpcore.ConnectTimeout, httpcore.ConnectError):
            return _Stream(self._pump, self._client)


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, guest: Guest, client: tuple[str, int]) -> None:
        self._guest = guest
        self._client = client
        self._connection = guest.connect()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        clock = Clock(timeout)
        with _network(httpcore.ReadTimeout, httpcore.ReadError):
            while (data := self._connection.receive(max_bytes)) is None:
                await self._guest.wait(self._connection, clock.left())
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        clock = Clock(timeout)
        rest = memoryview(buffer)
        with _network(httpcore.WriteTimeout, httpcore.WriteError):
            while rest:
                rest = rest[self._connection.send(rest) :]
                if rest:
                    await self._guest.wait(self._connection, clock.left())

    async def aclose(self) -> None:
        self._connection.close()

    async def start_tls(self, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        self._connection.secure()
        return self

    def get_extra_info(self, info: str) -> Any:
        return _extra_info(self._connection, self._client, info)


class _AsyncNetwork(httpcore.AsyncNetworkBackend):
    def __init__(self, guest: Guest, client: tuple[str, int]) -> None:
        self._guest = guest
        self._client = client

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        with _network(httpcore.ConnectTimeout, httpcore.ConnectError):
            return _AsyncStream(self._guest, self._client)


# ---- transports ----


def _core_request(request: httpx.Request) -> httpcore.Request:
    url = request.url
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        ),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def _pool_settings(limits: httpx.Limits) -> dict[str, Any]:
    return {
        "max_connections": limits.max_connections,
        "max_keepalive_connections": limits.max_keepalive_connections,
        "keepalive_expiry": limits.keepalive_expiry,
    }


def _patience(request: httpx.Request) -> float | None:
    """Seconds, for what the application does after its answer."""
    timeout = request.extensions.get("timeout", {})
    return cast("float | None", timeout.get("read"))


class _Body(httpx.SyncByteStream):
    """What comes of an answer. At its end the application has done what it does after it."""

    def __init__(self, stream: Any, request: httpx.Request, pump: Pump) -> None:
        self._stream = stream
        self._request = request
        self._pump = pump

    def __iter__(self) -> Iterator[bytes]:
        try:
            with _httpx_errors(self._request):
                yield from self._stream
        except httpx.RemoteProtocolError:  # cut off: by what the application raised
            error = self._pump.take_error()
            if error is None:
                raise
            raise error from None

    def close(self) -> None:
        self._stream.close()
        with self._pump.lock:
            self._pump.settle(_patience(self._request))


class _AsyncBody(httpx.AsyncByteStream):
    """The same for asynchronous tests."""

    def __init__(self, stream: Any, request: httpx.Request, guest: Guest) -> None:
        self._stream = stream
        self._request = request
        self._guest = guest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            with _httpx_errors(self._request):
                async for part in self._stream:
                    yield part
        except httpx.RemoteProtocolError:
            error = self._guest.take_error()
            if error is None:
                raise
            raise error from None

    async def aclose(self) -> None:
        await self._stream.aclose()
        await self._guest.settle(_patience(self._request))


class EngineTransport(httpx.BaseTransport):
    """Sends the requests of an httpx.Client to an application, whatever host they name.

    The engine runs on the calling thread while a request waits for its answer; several threads are
    served one after the other. raise_server_exceptions: an exception that nothing handled is raised
    here; False: it is the answer 500 that clients get. client: the address that requests show as
    theirs. limits: of the connections kept, as in httpx.
    """

    def __init__(
        self,
        app: App,
        *,
        raise_server_exceptions: bool = True,
        client: tuple[str, int] = CLIENT,
        limits: httpx.Limits = LIMITS,
    ) -> None:
        self._pump = Pump(app, client, raise_server_exceptions)
        self._pool = httpcore.ConnectionPool(
            network_backend=_Network(self._pump, client), **_pool_settings(limits)
        )
        weakref.finalize(self, abandon, self._pump)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self._pump.lock:
            self._pump.log_errors()
            self._pump.catch_up()
            with _httpx_errors(request):
                answer = self._pool.handle_request(_core_request(request))
            error = self._pump.take_error() if answer.status == 500 else None
        if error is not None:
            answer.close()
            raise error
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream, request, self._pump),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        with self._pump.lock:
            self._pump.check_idle()
            self._pool.close()
            self._pump.close()

    def __enter__(self) -> Self:
        with self._pump.lock:
            self._pump.open(start_up=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


class AsyncEngineTransport(httpx.AsyncBaseTransport):
    """Sends the requests of an httpx.AsyncClient to an application, whatever host they name.

    The engine is a guest of the running loop (asyncio's, uvloop, anyio's on asyncio): async
    handlers are tasks of that loop. The arguments are those of EngineTransport.
    """

    def __init__(
        self,
        app: App,
        *,
        raise_server_exceptions: bool = True,
        client: tuple[str, int] = CLIENT,
        limits: httpx.Limits = LIMITS,
    ) -> None:
        self._in_flight = 0
        self._guest = Guest(app, client, raise_server_exceptions)
        self._pool = httpcore.AsyncConnectionPool(
            network_backend=_AsyncNetwork(self._guest, client), **_pool_settings(limits)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._in_flight:
            self._guest.log_errors()
        self._in_flight += 1
        try:
            with _httpx_errors(request):
                answer = await self._pool.handle_async_request(_core_request(request))
        finally:
            self._in_flight -= 1
        error = self._guest.take_error() if answer.status == 500 else None
        if error is not None:
            await answer.aclose()
            raise error
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_AsyncBody(answer.stream, request, self._guest),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()
        await self._guest.aclose()

    async def __aenter__(self) -> Self:
        await self._guest.start_up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


# ---- clients ----


def _headers(given: Any) -> httpx.Headers:
    headers = httpx.Headers(given)
    headers.setdefault("User-Agent", "testclient")
    return headers


class TestClient(httpx.Client):
    """An httpx.Client of an application, for synchronous tests.

    As a context manager it starts the application up and shuts it down; without, it only sends
    requests. It may be entered again, and closes itself when nobody holds it. The arguments are
    EngineTransport's and httpx.Client's. Redirects are followed unless told otherwise, and what a
    handler raises is raised here unless raise_server_exceptions is False.
    """

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __init__(
        self,
        app: App,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        cookies: Mapping[str, str] | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = CLIENT,
        limits: httpx.Limits = LIMITS,
        **options: Any,
    ) -> None:
        self.app = app
        self._engine = EngineTransport(
            app, raise_server_exceptions=raise_server_exceptions, client=client, limits=limits
        )
        super().__init__(
            transport=self._engine,
            base_url=base_url,
            headers=_headers(headers),
            cookies=dict(cookies) if cookies else None,
            follow_redirects=follow_redirects,
            **options,
        )

    def __enter__(self) -> Self:
        self._engine.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._engine.__exit__(kind, error, traceback)


class AsyncTestClient(httpx.AsyncClient):
    """An httpx.AsyncClient of an application: handlers run on the loop that runs the test.

    As an async context manager it starts the application up and shuts it down; without, aclose() is
    the caller's. The arguments are those of TestClient.
    """

    __test__ = False

    def __init__(
        self,
        app: App,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        cookies: Mapping[str, str] | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = CLIENT,
        limits: httpx.Limits = LIMITS,
        **options: Any,
    ) -> None:
        self.app = app
        self._engine = AsyncEngineTransport(
            app, raise_server_exceptions=raise_server_exceptions, client=client, limits=limits
        )
        super().__init__(
            transport=self._engine,
            base_url=base_url,
            headers=_headers(headers),
            cookies=dict(cookies) if cookies else None,
            follow_redirects=follow_redirects,
            **options,
        )

    async def __aenter__(self) -> Self:
        await self._engine.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._engine.__aexit__(kind, error, traceback)
