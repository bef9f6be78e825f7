"""Stopping and replacing servers that HTTP/2 clients are connected to: no request is lost."""

import contextlib
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest
import services
from cello import App, Http2Config, Server
from wire import Closed, eventually
from wire_cluster import cluster, written
from wire_streams import Streams


class Held:
    """A server whose handlers wait for the test."""

    def __init__(self, backend: str) -> None:
        self.go = threading.Event()
        app = App()
        app.get("/")(lambda: "root")

        @app.get("/hold", blocking=True)
        def hold() -> str:
            self.go.wait()
            return "held"

        self.server: Server = app.start(backend=backend, http2=Http2Config(h2c=True))
        self.address = self.server.addresses[0]

    def busy(self, count: int) -> None:
        eventually(lambda: self.server.stats()["inflight"] == count, f"{count} requests wait")

    def stop(self) -> threading.Thread:
        thread = threading.Thread(target=self.server.stop, args=(10,))
        thread.start()
        return thread


@pytest.fixture
def held(backend: str) -> Held:
    return Held(backend)


def test_a_stop_waits_for_streams(held: Held) -> None:
    with Streams(held.address) as client:
        waits = [client.open("/hold") for _ in range(5)]
        held.busy(5)
        stopping = held.stop()
        client.until(lambda: client.goaway)
        assert client.goaway is not None and client.goaway.error_code == 0
        held.go.set()
        with pytest.raises(Closed):
            client.until(lambda: False)
        assert [bytes(stream.body) for stream in waits] == [b"held"] * 5
        assert client.goaway.last_stream_id >= waits[-1].id
    stopping.join()


def test_a_request_that_crosses_the_goaway_is_answered_or_refused(held: Held) -> None:
    """A client may send a request before it has read that the server stops. It is answered, or the
    GOAWAY says that it was not looked at, so that it may be sent again."""
    with Streams(held.address) as client:
        first = client.open("/hold")
        held.busy(1)
        stopping = held.stop()
        eventually(lambda: held.server._engine.done is not None, "it is asked to stop")
        second = client.open("/")
        held.go.set()
        with pytest.raises(Closed):
            client.until(lambda: False)
        assert first.body == b"held" and client.goaway is not None
        if second.ended:
            assert second.body == b"root"
        else:
            assert second.reset == 7 or client.goaway.last_stream_id < second.id
    stopping.join()


def test_a_stop_ends_idle_connections(held: Held) -> None:
    with Streams(held.address) as idle, Streams(held.address) as fresh:
        assert idle.ask("/").body == b"root"
        fresh.until(lambda: fresh.settings)
        held.server.stop(10)
        for client in (idle, fresh):
            with pytest.raises(Closed):
                client.until(lambda: False)
            assert client.goaway is not None and client.goaway.error_code == 0


def test_what_is_not_finished_in_time_is_cut(held: Held) -> None:
    with Streams(held.address) as client:
        stream = client.open("/hold")
        held.busy(1)
        held.server._engine.stop(0.1)
        with pytest.raises(Closed):
            client.until(lambda: False)
        assert not stream.ended
        held.go.set()
    held.server.stop(1)


PROGRAM = """
import asyncio
from cello import App, Http2Config

app = App()
app.get("/")(lambda: "x" * 100)

@app.get("/later")
async def later():
    await asyncio.sleep(0.002)
    return "later"

app.run(port=0, workers=2, http2=Http2Config(h2c=True), logs=False, argv=False)
"""


@pytest.mark.parametrize("path", ["/", "/later"])
def test_workers_are_replaced_under_load(backend: str, tmp_path: Path, path: str) -> None:
    """Clients that notice a GOAWAY connect again: nothing fails, nothing is refused."""
    with cluster(written(tmp_path, PROGRAM), CELLO_BACKEND=backend) as processes:
        host, port = processes.address()
        done: list[int] = []
        failed: list[str] = []
        stop = threading.Event()

        def ask() -> None:
            try:
                while not stop.is_set():
                    done.append(ask_until_goaway((str(host), int(port)), path, stop))
            except BaseException as error:
                failed.append(repr(error))
                raise

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        for round_ in range(3):
            eventually(lambda n=round_: sum(done) >= 0 and len(done) >= n, "clients ask")
            processes.send_signal(signal.SIGHUP)
            processes.expect("all workers have been replaced")
        stop.set()
        for client in clients:
            client.join()
        assert not failed and sum(done) > 0


def ask_until_goaway(address: tuple[str, int], path: str, stop: threading.Event) -> int:
    """20 streams at once, again and again; how many were answered. None fails: what a GOAWAY leaves
    out was not sent."""
    count = 0
    with Streams(address) as client:
        while not stop.is_set() and client.goaway is None:
            asked = [client.open(path) for _ in range(20)]
            with contextlib.suppress(Closed):
                client.finish(*asked)
            last = client.goaway.last_stream_id if client.goaway else asked[-1].id
            lost = [s for s in asked if not s.ended and s.id <= (last or 0)]
            assert not lost, [(s.id, s.reset) for s in lost]
            count += sum(s.ended for s in asked)
    return count


def test_h2load_while_workers_are_replaced(backend: str, tmp_path: Path) -> None:
    """h2load does not connect again behind a GOAWAY: of what it has begun nothing may fail."""
    with cluster(written(tmp_path, PROGRAM), CELLO_BACKEND=backend) as processes:
        host, port = processes.address()
        words = ["h2load", "-c", "8", "-m", "10", "-D", "2", f"http://{host}:{port}/later"]
        load = subprocess.Popen(
            words, env=services.unsanitized(), stdout=subprocess.PIPE, text=True
        )
        processes.send_signal(signal.SIGHUP)
        processes.expect("all workers have been replaced")
        out = load.communicate(timeout=60)[0]
        found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out)
        assert found, out
        assert int(found[1]) > 0 and [int(n) for n in found.groups()[1:]] == [0, 0, 0], out
