"""Load that can say of each request what became of it, and what kills workers meanwhile.

A request that fails is explained only if it was inside a worker that was killed: on a connection
whose earlier answers name that worker, or, when nothing had come from it yet, on one that was there
before some worker's end and broke after its kill. A time-out, a refused connection, an answer that
is not what it must be are never explained.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wire import Address, Answer, Client, Closed, request

PIECES = 5  # of a stream, as in chaos_app.py


@dataclass
class Kill:
    pid: int
    began: float
    gone: float  # its sockets are closed


@dataclass
class Failure:
    kind: str
    id: str
    pid: int | None  # who answered on this connection before
    began: float  # the connection
    ended: float
    what: BaseException

    def is_disconnection(self) -> bool:
        return isinstance(self.what, (Closed, ConnectionResetError, BrokenPipeError))

    def is_explained(self, kills: list[Kill]) -> bool:
        if not self.is_disconnection():
            return False
        if self.pid is not None:
            return any(k.pid == self.pid and self.ended >= k.began for k in kills)
        return any(self.began <= k.gone and self.ended >= k.began for k in kills)


@dataclass
class Caller:
    """One client, in a thread of its own."""

    address: Address
    kind: str
    name: str
    chance: random.Random
    ended: threading.Event
    answered: int = 0
    connections: int = 0
    pids: set[int] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)
    client: Client | None = None
    pid: int | None = None
    began: float = 0.0

    def run(self) -> None:
        ask = getattr(self, f"ask_{self.kind}")
        count = 0
        while not self.ended.is_set():
            count += 1
            id = f"{self.name}.{count}"
            try:
                if self.client is None:
                    self.pid, self.began = None, time.monotonic()
                    self.client = Client(self.address)
                    self.connections += 1
                ask(id)
                self.answered += 1
            except Exception as error:
                now = time.monotonic()
                self.failures.append(Failure(self.kind, id, self.pid, self.began, now, error))
                self.close()
        self.close()

    def close(self) -> None:
        if self.client is not None:
            self.client.sock.close()
        self.client = None

    # ---- kinds ----

    def check(self, id: str, answer: Answer) -> dict[str, object]:
        said: dict[str, object] = answer.json()
        assert answer.status == 200 and said["id"] == id, answer
        self.learn(said["pid"])
        if answer.closes:
            self.close()
        return said

    def learn(self, pid: object) -> None:
        """A connection is one worker's."""
        assert isinstance(pid, int) and self.pid in (None, pid), (self.pid, pid)
        self.pid = pid
        self.pids.add(pid)

    def ask(self, data: bytes) -> Answer:
        assert self.client is not None
        return self.client.ask(data)

    def pause(self, most: float) -> None:
        self.ended.wait(self.chance.uniform(0, most))

    def ask_kept(self, id: str) -> None:
        """One request behind the other on a connection."""
        self.check(id, self.ask(request(f"/who?id={id}")))
        self.pause(0.003)

    def ask_lazy(self, id: str) -> None:
        """The connection is idle most of the time."""
        self.check(id, self.ask(request(f"/who?id={id}")))
        self.pause(0.4)

    def ask_fresh(self, id: str) -> None:
        """A connection for each request."""
        self.check(id, self.ask(request(f"/who?id={id}")))
        self.close()
        self.pause(0.003)

    def ask_slow(self, id: str) -> None:
        """In pieces."""
        assert self.client is not None
        body = self.chance.randbytes(600)
        data = request(f"/sum?id={id}", method="POST", body=body)
        while data:
            size = self.chance.randint(1, 400)
            self.client.send(data[:size])
            data = data[size:]
            self.pause(0.04)
        said = self.check(id, self.client.answer())
        assert said["sum"] == zlib.crc32(body)

    def ask_large(self, id: str) -> None:
        body = self.chance.randbytes(self.chance.randint(1 << 16, 1 << 21))
        data = request(f"/sum?id={id}", method="POST", body=body)
        said = self.check(id, self.ask(data))
        assert said["sum"] == zlib.crc32(body)
        self.pause(0.02)

    def ask_stream(self, id: str) -> None:
        assert self.client is not None
        answer = self.ask(request(f"/stream?id={id}"))
        lines = [line.split() for line in answer.body.decode().splitlines()]
        self.learn(int(lines[0][1]))
        assert lines == [[id, str(self.pid), str(i)] for i in range(PIECES)], answer
        if answer.closes:
            self.close()

    def ask_later(self, id: str) -> None:
        """A handler that suspends."""
        self.check(id, self.ask(request(f"/later?id={id}")))


KINDS = ("kept", "kept", "lazy", "lazy", "fresh", "fresh", "slow", "slow", "large", "stream")


class Load:
    """Callers of all kinds, for the length of a block."""

    def __init__(self, address: Address, seed: int, kinds: tuple[str, ...] = KINDS) -> None:
        self._ended = threading.Event()
        self.callers = [
            Caller(address, kind, f"{kind}{i}", random.Random(f"{seed}.{i}"), self._ended)
            for i, kind in enumerate(kinds)
        ]
        self._threads = [threading.Thread(target=caller.run) for caller in self.callers]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def answered(self) -> int:
        return sum(caller.answered for caller in self.callers)

    @property
    def failures(self) -> list[Failure]:
        return [failure for caller in self.callers for failure in caller.failures]

    def has_gone_wrong(self) -> bool:
        """Whether a request has failed in a way that nothing can explain."""
        return not all(failure.is_disconnection() for failure in self.failures)

    def unexplained(self, kills: list[Kill]) -> list[Failure]:
        return [failure for failure in self.failures if not failure.is_explained(kills)]

    def more(self, count: int) -> Callable[[], bool]:
        """Whether each caller that is quick has so many more answers than now."""
        goal = {c.name: c.answered + count for c in self.callers if c.kind != "lazy"}
        return lambda: all(c.answered >= goal.get(c.name, 0) for c in self.callers)

    def summary(self, kills: list[Kill]) -> str:
        answers = Counter[str]()
        for caller in self.callers:
            answers[caller.kind] += caller.answered
        pids = set[int]().union(*(caller.pids for caller in self.callers))
        return json.dumps(
            {
                "answered": self.answered,
                "by kind": answers,
                "connections": sum(caller.connections for caller in self.callers),
                "processes": len(pids),
                "kills": len(kills),
                "failures": len(self.failures),
                "of these on connections without an answer": sum(
                    failure.pid is None for failure in self.failures
                ),
                "unexplained": [str(f) for f in self.unexplained(kills)],
            }
        )


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def kill(pid: int) -> Kill | None:
    """And wait until nothing of it is left; None: it was gone already."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        if select.select([process], [], [], 0)[0]:
            return None
        began = time.monotonic()
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [])
        return Kill(pid, began, time.monotonic())
    finally:
        os.close(process)
