"""A worker for tests of the supervisor: speaks its protocol, serves one line of text, and does what
its argument says.

    python fake_worker.py [WHAT[=VALUE] ...]

It answers every connection with "WORKER_ID PID\\n". Lines on standard output tell what it does.
"""

import mmap
import os
import select
import signal
import socket
import struct
import sys
import time

STOP, RETIRE, ADOPT, RELEASE, REOPEN, LAST, READY, ENDED, NO_PROGRAM, LOOK = range(1, 11)
NAMES = ["", "STOP", "RETIRE", "ADOPT", "RELEASE", "REOPEN", "LAST"]
CONTROL = struct.Struct("=IIQ")  # struct cl_control
# Where things stand in struct cl_member, and the size of one.
STATE, WORKER_ID, BUSY_SINCE, REQUESTS, MEMBER = 0, 4, 64, 72, 128
DRAINING = 3


class Record:
    """What the segment has of this process."""

    def __init__(self, fd: int, record: int) -> None:
        self._map = mmap.mmap(fd, os.fstat(fd).st_size)
        (members,) = struct.unpack_from("=Q", self._map, 40)  # behind the magic and the size
        self._at = members + 64 + MEMBER * record

    def spoil(self) -> None:
        """All of the memory that it has in common with others."""
        self._map[:] = b"\xff" * len(self._map)

    def word(self, offset: int) -> int:
        return int(struct.unpack_from("=I", self._map, self._at + offset)[0])

    def write(self, offset: int, value: int, kind: str = "Q") -> None:
        struct.pack_into("=" + kind, self._map, self._at + offset, value)


def addresses(text: str) -> list[list[int]]:
    """ "2:5,6,1:7" -> [[5, 6], [7]]"""
    found: list[list[int]] = []
    for part in text.split(","):
        if ":" in part:
            found.append([int(part.split(":")[1])])
        else:
            found[-1].append(int(part))
    return found


class Worker:
    def __init__(self, options: dict[str, str]) -> None:
        record, segment, control, sockets = os.environ.pop("CELLO_WORKER").split(",", 3)
        self.options = options
        self.record = Record(int(segment), int(record))
        self.worker_id = self.record.word(WORKER_ID)
        self.control = socket.socket(fileno=int(control))
        self.listeners = [[socket.socket(fileno=fd) for fd in fds] for fds in addresses(sockets)]
        self.serving: set[int] = set()

    def wants(self, what: str) -> bool:
        """ "what", or "what=ID" for this worker id only."""
        return self.options.get(what) in ("", str(self.worker_id))

    def flagged(self, what: str) -> bool:
        """ "what=FILE", and the file is there."""
        return os.path.exists(self.options.get(what, ""))

    def say(self, *words: object) -> None:
        if self.wants("quiet"):
            return
        line = " ".join(str(word) for word in ("worker", self.worker_id, os.getpid(), *words))
        os.write(1, f"{line}\n".encode())

    def send(self, kind: int) -> None:
        self.control.send(CONTROL.pack(kind, 0, 0))

    def on_control(self, packet: bytes) -> None:
        if not packet:
            self.say("ORPHANED")
            raise SystemExit(0)
        kind, value, ns = CONTROL.unpack(packet)
        if kind == LOOK:
            if self.wants("look"):
                self.say("LOOKS")
            return
        self.say(NAMES[kind], value, ns)
        if kind == ADOPT:
            self.serving.add(value)
        elif kind == RELEASE:
            self.serving.discard(value)
        elif kind in (STOP, RETIRE):
            self.drain(waits=self.worker_id == 0 or value == 1)
        elif kind == LAST:
            raise SystemExit(0)

    def drain(self, waits: bool = False) -> None:
        self.serving.clear()
        self.record.write(STATE, DRAINING, "I")
        if self.wants("stuck"):
            time.sleep(1000)
        self.send(ENDED)
        if not waits:
            raise SystemExit(0)

    def open(self) -> list[socket.socket]:
        """The sockets that it accepts from."""
        found = []
        for group in self.listeners:
            found += [s for i, s in enumerate(group) if i in self.serving or len(group) == 1]
        return found if self.serving else []

    def answer(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            return  # another worker was faster
        with client:
            client.sendall(f"{self.worker_id} {os.getpid()}\n".encode())
            if self.wants("hang-on-request") and client.recv(100) == b"hang":
                self.hang()
            if self.wants("spoil-on-request"):
                self.record.spoil()
                self.say("SPOILT")

    def flood(self) -> None:
        """Packets of wrong sizes and of all kinds, without end."""
        packets = [b"?", b"?" * 1000, *(CONTROL.pack(kind, 0, 0) for kind in (LAST, READY, 77))]
        if self.wants("no-program"):
            packets = [CONTROL.pack(NO_PROGRAM, 2, 0)]
        while True:
            for packet in packets:
                self.control.send(packet)

    def hang(self) -> None:
        self.record.write(BUSY_SINCE, time.monotonic_ns())
        time.sleep(1000)

    def show(self) -> None:
        own = {"KEPT", "NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC", "CELLO_SOCKETS"}
        self.say("variables", *sorted(own & set(os.environ)))
        self.say("descriptors", len(os.listdir("/proc/self/fd")) - 1)
        names = ("HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "CHLD")
        ignored = [
            n for n in names if signal.getsignal(signal.Signals[f"SIG{n}"]) == signal.SIG_IGN
        ]
        self.say("ignores", *ignored)

    def leave_an_orphan(self) -> None:
        """A grandchild that lives a little longer than its parent."""
        child = os.fork()
        if child == 0:
            orphan = os.fork()
            if orphan:
                self.say("orphan", orphan)
            else:
                time.sleep(0.1)
            os._exit(0)
        os.waitpid(child, 0)

    def run(self) -> None:
        for group in self.listeners:
            for listener in group:
                listener.setblocking(False)
        if self.wants("fail") or self.flagged("fail-if"):
            raise SystemExit(3)
        if self.flagged("wait-if"):
            self.say("WAITS")
            self.on_control(self.control.recv(CONTROL.size))
        if self.wants("show"):
            self.show()
        if self.wants("orphan"):
            self.leave_an_orphan()
        self.ballast = b"." * (int(self.options.get("megabytes", 0)) << 20)
        if self.wants("never-ready"):
            time.sleep(1000)
        self.serving.add(self.worker_id)
        self.record.write(REQUESTS, int(self.options.get("requests", 0)))
        self.record.write(STATE, 2, "I")
        self.send(READY)
        self.say("READY")
        if self.flagged("left-if"):
            self.send(LOOK)
        if self.wants("flood"):
            self.flood()
        while True:
            ready, _, _ = select.select([self.control, *self.open()], [], [])
            if self.control in ready:
                self.on_control(self.control.recv(CONTROL.size))
            else:
                self.answer(ready[0])


if __name__ == "__main__":
    pairs = (word.partition("=") for word in sys.argv[1:])
    Worker({name: value for name, _, value in pairs}).run()
