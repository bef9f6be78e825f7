"""More work than there is room for: what is refused, how, and that it passes."""

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
from wire import Client, eventually, fetch, request
from wire_process import Process, listening, program

# Answers how long the body was; "held" ones, once as many have come as its path says.
PROGRAM = """
import asyncio, resource, sys
from cello import App, LimitsConfig, Request

app = App()
app.set_limits(LimitsConfig(max_connections=20000, max_buffered_bytes=1 << 30))
everybody = asyncio.Event()
came = 0

@app.get("/plain")
def plain():
    return "hello"

@app.post("/length", max_body=1 << 30)
def length(req: Request):
    return len(req.body())

@app.post("/held/{count:int}")
async def held(req: Request, count: int):
    global came, everybody
    body = req.body()
    came += 1
    together = everybody
    if came == count:
        came, everybody = 0, asyncio.Event()
        together.set()
    await together.wait()
    return len(body)

if __name__ == "__main__":
    spare_mb = int(sys.argv[1])
    if spare_mb:
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + (spare_mb << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    app.run()
"""


# Their memory is not what a program's is.
SANITIZED = "san" in os.environ.get("LD_PRELOAD", "")
pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer has memory of its own")


class Running:
    def __init__(self, process: Process, address: tuple[str, int]) -> None:
        self.process = process
        self.address = address

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


Serve = Callable[..., AbstractContextManager[Running]]


@pytest.fixture
def serving(tmp_path: Path, backend: str) -> Serve:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)

    @contextmanager
    def serve(spare_mb: int = 0) -> Iterator[Running]:
        with listening() as sock:
            fd = sock.fileno()
            words = [str(script), str(spare_mb), f"--fd={fd}", f"--backend={backend}", "--no-logs"]
            with program(words, (fd,)) as process:
                address = sock.getsockname()
                sock.close()
                assert fetch(address, request("/plain")).body == b"hello", process.stderr()
                yield Running(process, address)
                assert process.stop() == 0, process.stderr()

    return serve


@contextmanager
def descriptors(count: int) -> Iterator[int]:
    """So many more for this process and its children, or as many as it may have: how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 256
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    try:
        yield min(count, max(soft, limit) - 256)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


BODY = 128 << 10  # bytes


def test_memory_comes_back_after_a_burst(serving: Serve) -> None:
    """Bodies of a thousand clients at once, and a few seconds later the process is as it was."""
    with descriptors(1000) as count, serving() as server:
        fetch(server.address, request("/held/1", method="POST", body=b"x" * BODY))
        before = server.rss_mb()
        ask = request(f"/held/{count}", method="POST", body=b"x" * BODY)
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(server.address)) for _ in range(count)]
            for client in clients[:-1]:
                client.send(ask)
            eventually(lambda: server.rss_mb() > before + count * BODY / (2 << 20), "bodies")
            clients[-1].send(ask)
            for client in clients:
                assert client.answer().body == str(BODY).encode()
            # The connections are there still; what they had is not.
            eventually(lambda: server.rss_mb() < before + 16, "memory back")
        eventually(lambda: server.rss_mb() < before + 16, "memory back")


def test_no_memory(serving: Serve) -> None:
    """The process may have no more memory: whoever asks for more is refused, the others are
    served, and later everybody."""
    with serving(spare_mb=96) as server:
        size = 24 << 20
        head = request("/length", f"Content-Length: {size}", method="POST")
        with ExitStack() as stack, Client(server.address, dated=False) as other:
            greedy = [stack.enter_context(Client(server.address, dated=False)) for _ in range(8)]
            for client in greedy:
                client.send(head)
            refused = feed(greedy, b"x" * (size - 1))
            assert refused, "there was memory for all"
            assert other.ask(request("/plain")).body == b"hello"
        eventually(lambda: answers_length(server, 1 << 20), "memory again")
        assert fetch(server.address, request("/plain")).body == b"hello"


def feed(clients: list[Client], body: bytes) -> int:
    """Sends a part of a body to all in turn, as far as they take it: how many were refused."""
    sent = dict.fromkeys(clients, 0)
    refused = 0
    end = time.monotonic() + 20
    for client in clients:
        client.sock.setblocking(False)
    while sent and time.monotonic() < end:
        for client in list(sent):
            try:
                sent[client] += client.sock.send(body[sent[client] : sent[client] + (1 << 20)])
                if sent[client] == len(body):
                    del sent[client]
            except BlockingIOError:
                time.sleep(0.001)
            except ConnectionError:
                del sent[client]
    for client in clients:
        try:
            data = client.sock.recv(65536)
        except BlockingIOError:
            continue
        except ConnectionError:
            data = b""
        assert not data or data.startswith(b"HTTP/1.1 503 "), data
        refused += 1
    return refused


def answers_length(server: Running, size: int) -> bool:
    with Client(server.address, dated=False) as client:
        try:
            answer = client.ask(request("/length", method="POST", body=b"x" * size))
        except (TimeoutError, ConnectionError):
            return False
        return answer.status == 200 and answer.body == str(size).encode()
