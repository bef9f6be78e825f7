"""Stopping and replacing servers that HTTP/2 clients are connected to: no request is lost."""

import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest
import services
from cello import App, Http2Config, Server
from wire import Closed, connect, eventually
from wire_cluster import Cluster, cluster, written
from wire_streams import Streams
from wire_tls import TlsSocket, certificates


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
from cello import App, Http2Config, TlsConfig

app = App()
app.get("/")(lambda: "x" * 100)

@app.get("/later")
async def later():
    await asyncio.sleep(0.002)
    return "later"

app.run(port=0, workers=2, OPTION, logs=False, argv=False)
"""


def program(folder: Path, scheme: str) -> str:
    own = certificates()
    tls = f"tls=TlsConfig({str(own.certificate)!r}, {str(own.key)!r})"
    option = tls if scheme == "https" else "http2=Http2Config(h2c=True)"
    return written(folder, PROGRAM.replace("OPTION", option))


def port_of(processes: Cluster) -> int:
    """Waits until all workers serve."""
    return int(processes.expect(r"^Cello [\d.]+ on https?://127\.0\.0\.1:(\d+)").group(1))


def dialled(port: int, scheme: str) -> Streams:
    address = ("127.0.0.1", port)
    if scheme == "http":
        return Streams(address)
    context = certificates().client("h2")
    return Streams(address, sock=TlsSocket(connect(address), context, "localhost"))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_workers_are_replaced_under_load(backend: str, tmp_path: Path, scheme: str) -> None:
    """Clients that read a GOAWAY connect again: whatever they have sent is answered."""
    with cluster(program(tmp_path, scheme), CELLO_BACKEND=backend) as processes:
        port = port_of(processes)
        done: list[int] = []
        failed: list[BaseException] = []
        stop = threading.Event()

        def ask() -> None:
            try:
                while not stop.is_set():
                    with dialled(port, scheme) as client:
                        done.append(ask_until_goaway(client, stop))
            except BaseException as error:
                failed.append(error)

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        for _ in range(2):
            processes.send_signal(signal.SIGHUP)
            processes.expect("all workers have been replaced")
        stop.set()
        for client in clients:
            client.join()
        assert not failed, failed
        assert sum(done) > 0


def ask_until_goaway(client: Streams, stop: threading.Event) -> int:
    """20 streams at once, again and again; how many were answered."""
    count = 0
    while not stop.is_set() and client.goaway is None:
        asked = [client.open(path) for path in ("/", "/later") * 10]
        client.finish(*asked)
        assert all(stream.ended for stream in asked), [(s.id, s.reset) for s in asked]
        count += len(asked)
    return count


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_h2load_while_workers_are_replaced(backend: str, tmp_path: Path, scheme: str) -> None:
    """What it counts as failed is what it did not send any more behind a GOAWAY (with nginx, too):
    a request for each stream of each connection, which it has two of when both workers go."""
    with cluster(program(tmp_path, scheme), CELLO_BACKEND=backend) as processes:
        url = f"{scheme}://127.0.0.1:{port_of(processes)}/later"
        words = ["h2load", "-c", "8", "-m", "10", "-D", "2", url]
        load = subprocess.Popen(
            words, env=services.unsanitized(), stdout=subprocess.PIPE, text=True
        )
        processes.send_signal(signal.SIGHUP)
        processes.expect("all workers have been replaced")
        out = load.communicate(timeout=60)[0]
        found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out)
        codes = re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", out)
        assert found and codes, out
        succeeded, lost, errored, late = map(int, found.groups())
        assert succeeded == int(codes[1]) > 500 and lost == errored <= 2 * 8 * 10 and late == 0, out
