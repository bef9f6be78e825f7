"""app.store, app.publish and app.subscribe over workers, also while workers are killed."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wire import Address, fetch, request
from wire_cluster import Cluster, cluster, written

PROGRAM = """
import os
from cello import App, Response, StoreConfig

app = App()
app.set_store(StoreConfig(size=4 << 20, ring_size=65536))

@app.get("/who")
def who():
    return {"worker": app.worker_id, "pid": os.getpid()}

@app.get("/add/{key}/{by:int}")
def add(key: str, by: int):
    return app.store.increment(key, by)

@app.get("/claim/{key}")
async def claim(key: str):
    return app.store.add(key, str(os.getpid()))

@app.get("/count/{key}/{times:int}")
def count(key: str, times: int):
    for _ in range(times):
        app.store.increment(key)
    return times

@app.get("/stats")
def stats():
    return app.store.stats()

@app.get("/events/{room}")
async def events(room: str):
    return Response.sse(app.subscribe(room))

@app.get("/say/{room}/{text}")
def say(room: str, text: str):
    app.publish(room, text)
    return app.worker_id

if __name__ == "__main__":
    app.run(port=0, workers=2, logs=False)
"""

Worker = dict[str, int]


def get(at: Address, path: str) -> object:
    return fetch(at, request(path)).json()


class Listener:
    """An event stream; which worker has it, nobody can choose."""

    def __init__(self, at: Address, room: str) -> None:
        self._sock = socket.create_connection(at, timeout=20)
        self._sock.sendall(request(f"/events/{room}"))
        self._text = b""
        self.wait_for(b"\r\n\r\n")

    def wait_for(self, mark: bytes) -> None:
        while mark not in self._text:
            data = self._sock.recv(65536)
            assert data, f"no {mark!r} in {self._text!r}"
            self._text += data
        self._text = self._text.split(mark, 1)[1]

    def close(self) -> None:
        self._sock.close()


@contextmanager
def listeners(at: Address, room: str, count: int) -> Iterator[list[Listener]]:
    found = [Listener(at, room) for _ in range(count)]
    try:
        yield found
    finally:
        for listener in found:
            listener.close()


@contextmanager
def program(folder: Path, backend: str) -> Iterator[tuple[Cluster, Address]]:
    with cluster(written(folder, PROGRAM), CELLO_BACKEND=backend) as processes:
        yield processes, processes.address()


def workers_of(at: Address) -> dict[int, int]:
    """Ids and pids of both."""
    found: dict[int, int] = {}
    while len(found) < 2:
        answer = get(at, "/who")
        assert isinstance(answer, dict)
        found[answer["worker"]] = answer["pid"]
    return found


def test_workers_agree_on_keys(backend: str, tmp_path: Path) -> None:
    with program(tmp_path, backend) as (_, at):
        sums = [get(at, "/add/n/1") for _ in range(100)]
        assert sums == list(range(1, 101))  # whichever worker has answered
        assert len(workers_of(at)) == 2
        assert [get(at, "/claim/k") for _ in range(20)].count(True) == 1
        stats = get(at, "/stats")
        assert isinstance(stats, dict)
        assert stats["entries"] == 2
        assert stats["capacity"] < 4 << 20


def test_counts_of_both_at_once_are_exact(backend: str, tmp_path: Path) -> None:
    with program(tmp_path, backend) as (_, at):
        threads = [
            threading.Thread(target=get, args=(at, f"/count/n{i % 2}/5000")) for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [get(at, f"/add/n{i}/0") for i in range(2)] == [20000, 20000]


def test_messages_reach_all_workers(backend: str, tmp_path: Path) -> None:
    with program(tmp_path, backend) as (_, at), listeners(at, "a", 8) as heard:
        speakers = set()
        for i in range(1000):
            speakers.add(get(at, f"/say/a/message-{i}"))
            for listener in heard:
                listener.wait_for(f"data: message-{i}\n\n".encode())
            if len(speakers) == 2 and i >= 20:
                break
        assert speakers == {0, 1}


def test_a_killed_worker_takes_nothing_along(backend: str, tmp_path: Path) -> None:
    """It is killed while it counts; the others go on, and its successor finds what was there."""
    with program(tmp_path, backend) as (processes, at):
        get(at, "/add/kept/7")

        def keep_counting() -> None:
            with suppress(Exception):  # its worker was killed
                get(at, "/count/n/500000")

        counting = [threading.Thread(target=keep_counting) for _ in range(6)]
        for thread in counting:
            thread.start()
        victim = workers_of_supervisor(processes)[0]
        os.kill(victim, signal.SIGKILL)
        processes.expect(r"^worker \d+ \(pid \d+\) is ready")
        with listeners(at, "a", 6) as heard:
            speakers = set()
            for i in range(1000):
                speakers.add(get(at, f"/say/a/after-{i}"))
                for listener in heard:
                    listener.wait_for(f"data: after-{i}\n\n".encode())
                if len(speakers) == 2:
                    break
            assert speakers == {0, 1}
        assert get(at, "/add/kept/0") == 7
        for thread in counting:
            thread.join()


def workers_of_supervisor(processes: Cluster) -> list[int]:
    """Their pids, by /proc: a worker that is busy does not answer."""
    children = Path(f"/proc/{processes.pid}/task/{processes.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def test_a_reload_keeps_the_store(backend: str, tmp_path: Path) -> None:
    with program(tmp_path, backend) as (processes, at):
        before = set(workers_of(at).values())
        get(at, "/add/kept/7")
        os.kill(processes.pid, signal.SIGHUP)
        while before & set(workers_of(at).values()):
            threading.Event().wait(0.01)
        assert get(at, "/add/kept/1") == 8
        with listeners(at, "a", 4) as heard:
            get(at, "/say/a/hello")
            for listener in heard:
                listener.wait_for(b"data: hello\n\n")
