"""Clients, threads and processes that handlers use, under every loop."""

import asyncio
import contextlib
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import anyio.from_thread
import anyio.to_thread
import httpx
import pytest
import services
from cello import App
from guest_server import Driver, at_once, drivers, guest

pytestmark = pytest.mark.skipif(bool(services.missing()), reason=services.missing())

BODY = bytes(range(256)) * 4096  # 1 MiB


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer(self.path.encode())

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *args: Any) -> None:
        pass


class _TlsServer(ThreadingHTTPServer):
    """The handshake is made by the thread of the connection."""

    request_queue_size = 64

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        with (
            contextlib.suppress(OSError),  # a client that refuses our certificate
            self._context.wrap_socket(request, server_side=True) as sock,
        ):
            super().finish_request(sock, client_address)  # type: ignore[arg-type]

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of a TLS server that echoes, and the certificate to trust."""
    certificate, key = services.make_certificate(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with _TlsServer(context) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}", certificate
        server.shutdown()
        thread.join()


# ---- HTTP clients ----


@drivers
def test_httpx_with_tls(driver: Driver, tls: tuple[str, Path]) -> None:
    url, certificate = tls

    @contextlib.asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        trust = ssl.create_default_context(cafile=certificate)
        async with httpx.AsyncClient(base_url=url, verify=trust) as client:
            app.state.client = client
            yield

    app = App(lifespan=lifespan)

    @app.get("/ask/{n}")
    async def ask(n: str) -> str:
        return str((await app.state.client.get(f"/asked/{n}")).text)

    @app.get("/upload")
    async def upload() -> bool:
        return bool((await app.state.client.post("/", content=BODY)).content == BODY)

    @app.get("/untrusted")
    async def untrusted() -> str:
        try:
            async with httpx.AsyncClient() as stranger:
                await stranger.get(url)
        except httpx.ConnectError as error:
            return str(error)
        return "?"

    with guest(app, driver) as client:
        assert at_once(client, "/ask/{n}", 12) == [f"/asked/{n}" for n in range(12)]
        assert client.body("/upload") is True
        assert "CERTIFICATE_VERIFY_FAILED" in client.body("/untrusted")


@drivers
def test_aiohttp_with_tls(driver: Driver, tls: tuple[str, Path]) -> None:
    url, certificate = tls

    @contextlib.asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        trust = ssl.create_default_context(cafile=certificate)
        connector = aiohttp.TCPConnector(ssl=trust, limit=5)
        async with aiohttp.ClientSession(url, connector=connector) as session:
            app.state.session = session
            yield

    app = App(lifespan=lifespan)

    @app.get("/ask/{n}")
    async def ask(n: str) -> str:
        async with app.state.session.get(f"/asked/{n}") as answer:
            return str(await answer.text())

    @app.get("/upload")
    async def upload() -> bool:
        async with app.state.session.post("/", data=BODY) as answer:
            return bool(await answer.read() == BODY)

    @app.get("/untrusted")
    async def untrusted() -> str:
        try:
            async with aiohttp.ClientSession() as stranger, stranger.get(url):
                pass
        except aiohttp.ClientConnectorCertificateError as error:
            return str(error)
        return "?"

    with guest(app, driver) as client:
        assert at_once(client, "/ask/{n}", 12) == [f"/asked/{n}" for n in range(12)]
        assert client.body("/upload") is True
        assert "CERTIFICATE_VERIFY_FAILED" in client.body("/untrusted")


@drivers
def test_clients_of_the_own_server(driver: Driver) -> None:
    app = App()
    url = ""

    @app.get("/data/{n:int}")
    async def data(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @app.get("/httpx")
    async def with_httpx() -> list[int]:
        async with httpx.AsyncClient(base_url=url) as client:
            answers = await asyncio.gather(*(client.get(f"/data/{n}") for n in range(5)))
        return [answer.json() for answer in answers]

    @app.get("/aiohttp")
    async def with_aiohttp() -> list[int]:
        async def get(n: int) -> int:
            async with session.get(f"/data/{n}") as answer:
                return int(await answer.json())

        async with aiohttp.ClientSession(url) as session:
            return await asyncio.gather(*(get(n) for n in range(5)))

    with guest(app, driver) as client:
        url = f"http://{client.host}:{client.port}"
        for path in ("/httpx", "/aiohttp") * 2:
            assert client.body(path) == list(range(5))


# ---- asyncio's streams ----


@drivers
def test_streams(driver: Driver, tls: tuple[str, Path], tmp_path: Path) -> None:
    url, certificate = tls
    port = int(url.rpartition(":")[2])
    path = str(tmp_path / "sock")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(echo, path)
        yield
        server.close()
        await server.wait_closed()

    app = App(lifespan=lifespan)

    @app.get("/unix")
    async def unix() -> bool:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(BODY)
        received = await reader.readexactly(len(BODY))  # more than sockets hold: both sides wait
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        return received == BODY

    @app.get("/tls")
    async def with_tls() -> str:
        trust = ssl.create_default_context(cafile=certificate)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        writer.write(b"GET /hello HTTP/1.1\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        return text.rpartition("\n")[2]

    @app.get("/refused")
    async def refused() -> str:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            nobody = sock.getsockname()
        try:
            await asyncio.open_connection(*nobody)
        except ConnectionRefusedError:
            return "refused"
        return "?"

    with guest(app, driver) as client:
        assert all(at_once(client, "/unix", 4))
        assert client.body("/tls") == "/hello"
        assert client.body("/refused") == "refused"


@drivers
def test_datagrams(driver: Driver) -> None:
    app = App()

    class Peer(asyncio.DatagramProtocol):
        def __init__(self, answer: bool) -> None:
            self.answer = answer
            self.received: asyncio.Queue[bytes] = asyncio.Queue()

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.received.put_nowait(data)
            if self.answer:
                self.transport.sendto(data.upper(), addr)

    @app.get("/")
    async def ping() -> str:
        loop = asyncio.get_running_loop()
        there, _ = await loop.create_datagram_endpoint(
            lambda: Peer(True), local_addr=("127.0.0.1", 0)
        )
        here, peer = await loop.create_datagram_endpoint(
            lambda: Peer(False), remote_addr=there.get_extra_info("sockname")
        )
        here.sendto(b"ping")
        data = await peer.received.get()
        here.close()
        there.close()
        return data.decode()

    with guest(app, driver) as client:
        assert [client.body("/") for _ in range(3)] == ["PING"] * 3


# ---- threads and processes ----

request_number: ContextVar[int] = ContextVar("request_number")


@drivers
def test_threads(driver: Driver) -> None:
    with ThreadPoolExecutor(3, "own") as executor:
        app = App()

        def number() -> int:
            return request_number.get(-1)

        @app.get("/to-thread/{n:int}")
        async def to_thread(n: int) -> list[int]:
            request_number.set(n)
            return [await asyncio.to_thread(number), number()]

        @app.get("/executor/{n:int}")
        async def run_in_executor(n: int) -> list[Any]:
            loop = asyncio.get_running_loop()
            name = await loop.run_in_executor(executor, lambda: threading.current_thread().name)
            raised = await asyncio.gather(
                loop.run_in_executor(executor, int, "x"), return_exceptions=True
            )
            return [name.partition("_")[0], type(raised[0]).__name__]

        @app.get("/back/{n:int}")
        async def back(n: int) -> int:
            loop = asyncio.get_running_loop()

            async def double() -> int:
                await asyncio.sleep(0)
                return 2 * n

            def in_thread() -> int:
                return asyncio.run_coroutine_threadsafe(double(), loop).result(20)

            return await asyncio.to_thread(in_thread)

        with guest(app, driver) as client:
            assert at_once(client, "/to-thread/{n}", 8) == [[n, n] for n in range(8)]
            assert at_once(client, "/executor/{n}", 8) == [["own", "ValueError"]] * 8
            assert at_once(client, "/back/{n}", 4) == [2 * n for n in range(4)]


@drivers
def test_processes(driver: Driver) -> None:
    app = App()
    upper = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.exit(7)"

    @app.get("/talk")
    async def talk() -> list[Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-E", "-c", upper,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate(b"hello")
        return [out.decode(), process.returncode]

    @app.get("/kill")
    async def kill() -> int:
        process = await asyncio.create_subprocess_exec("sleep", "100")
        try:
            async with asyncio.timeout(0.01):
                await process.wait()
        except TimeoutError:
            process.kill()
        return await process.wait()

    with guest(app, driver) as client:
        assert at_once(client, "/talk", 2) == [["HELLO", 7]] * 2
        assert client.body("/kill") == -9


# ---- anyio ----


@drivers
def test_anyio(driver: Driver, tmp_path: Path) -> None:
    app = App()
    (tmp_path / "file").write_text("from a file")

    @app.get("/group")
    async def group() -> list[Any]:
        seen: list[Any] = []

        async def child(n: int, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
            task_status.started(n)
            await anyio.sleep(0.001 * n)
            seen.append(n)

        async with anyio.create_task_group() as tasks:
            first = await tasks.start(child, 3)
            tasks.start_soon(child, 1)
        with anyio.move_on_after(0.001) as scope:
            await anyio.sleep_forever()
        try:
            with anyio.fail_after(0.001):
                await anyio.sleep_forever()
        except TimeoutError:
            seen.append("late")
        return [first, scope.cancelled_caught, *seen]

    @app.get("/failing")
    async def failing() -> str:
        cancelled: list[str] = []

        async def waits() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.001)
                    cancelled.append("cleaned up")

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(waits)
                await anyio.sleep(0)
                raise KeyError
        except ExceptionGroup as error:
            return f"{type(error.exceptions[0]).__name__} {cancelled[0]}"

    @app.get("/streams")
    async def streams() -> list[Any]:
        send, receive = anyio.create_memory_object_stream[int](2)

        async def produce() -> None:
            async with send:
                for n in range(5):
                    await send.send(n)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(produce)
            async with receive:
                return [n async for n in receive]

    @app.get("/thread")
    async def thread() -> list[Any]:
        def work() -> str:
            return anyio.from_thread.run(show)

        async def show() -> str:
            await anyio.sleep(0)
            return anyio.get_current_task().name and "on the loop"

        limiter = anyio.CapacityLimiter(1)
        text = await anyio.to_thread.run_sync(work, limiter=limiter)
        return [text, await anyio.Path(tmp_path / "file").read_text()]

    @app.get("/tcp")
    async def tcp() -> str:
        async with await anyio.connect_tcp(client.host, client.port) as stream:
            await stream.send(b"GET /streams HTTP/1.1\r\nHost: x\r\n\r\n")
            return (await stream.receive()).decode().rpartition("\n")[2]

    @app.get("/process")
    async def process() -> str:
        return (await anyio.run_process(["echo", "child"])).stdout.decode()

    with guest(app, driver) as client:
        for _ in range(2):
            assert client.body("/group") == [3, True, 1, 3, "late"]
            assert client.body("/failing") == "KeyError cleaned up"
            assert client.body("/streams") == [0, 1, 2, 3, 4]
            assert client.body("/thread") == ["on the loop", "from a file"]
            assert client.body("/tcp") == "[0,1,2,3,4]"
            assert client.body("/process") == "child\n"
