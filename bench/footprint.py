"""What Cello costs a program before and between requests: time to import, time from start to the
first answer, time to declare a thousand typed routes and to describe them in OpenAPI, memory after
load.

    .venv/bin/python bench/footprint.py          prints a table
    .venv/bin/python bench/footprint.py --json   prints JSON
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time

# Bars: what each may be.
BARS = {
    "import_ms": 60.0,
    "first_answer_ms": 150.0,
    "declare_ms": 500.0,
    "openapi_ms": 1000.0,
    "memory_def_mb": 12.0,
    "memory_async_mb": 20.0,
}
ROUNDS = 7
LOAD_REQUESTS = 100_000
CONNECTIONS = 64

IMPORT = """
import sys, time
t = time.perf_counter()
import cello
print((time.perf_counter() - t) * 1e3)
assert "asyncio" not in sys.modules
"""

# A thousand routes with models of their own.
DECLARE = """
import time
import msgspec
from cello import App
def declare(app, n):
    taken = msgspec.defstruct(f"In{n}", [("name", str), ("price", float)])
    given = msgspec.defstruct(f"Out{n}", [("id", int), ("item", taken)])
    def handler(id: int, item, q: str = "x"): pass
    handler.__annotations__ |= {"item": taken, "return": given}
    start = time.process_time()
    app.post(f"/r{n}/{{id}}")(handler)
    return time.process_time() - start
app = App()
declared = sum(declare(app, n) for n in range(1000))
start = time.process_time()
app._freeze()
frozen = time.process_time()
assert len(app.openapi()["paths"]) == 1000
print((declared + frozen - start) * 1e3, (time.process_time() - frozen) * 1e3)
"""

SERVER = """
import os, sys
from cello import App
app = App()
@app.get("/def")
def plain(req):
    return {{"msg": "hello", "q": req.query.get("q")}}
{handler}
with app.start("127.0.0.1", 0) as server:
    os.write(1, f"{{server.addresses[0][1]}}\\n".encode())
    sys.stdin.read()
"""

ASYNC = """
@app.get("/async")
async def later(req):
    import asyncio
    await asyncio.sleep(0)
    return {"msg": "hello", "q": req.query.get("q")}
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def import_ms() -> float:
    times = [
        float(subprocess.run(python(IMPORT), capture_output=True, text=True, check=True).stdout)
        for _ in range(ROUNDS)
    ]
    return statistics.median(times)


def declaring_ms() -> list[float]:
    """CPU time to declare and compile a thousand routes, and to describe them."""
    done = subprocess.run(python(DECLARE), capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


class Server:
    """A server in a process of its own."""

    def __init__(self, handler: str) -> None:
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            python(SERVER.format(handler=handler)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.address = ("127.0.0.1", int(self.process.stdout.readline()))

    def ask(self, path: str) -> None:
        with socket.create_connection(self.address) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert s.recv(4096).startswith(b"HTTP/1.1 200")

    def load(self, path: str) -> None:
        """Many connections at once, requests pipelined on each."""
        request = f"GET {path}?q=abc HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        sockets = [socket.create_connection(self.address) for _ in range(CONNECTIONS)]
        batch = 20
        for _ in range(LOAD_REQUESTS // CONNECTIONS // batch):
            for s in sockets:
                s.sendall(request * batch)
            for s in sockets:
                answers = 0
                while answers < batch:
                    answers += s.recv(1 << 16).count(b"HTTP/1.1 200")
        for s in sockets:
            s.close()

    def memory_mb(self) -> float:
        return memory_mb(self.process.pid)

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


def memory_mb(pid: int) -> float:
    """Private memory: what the machine would have more without the process."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Private_")) / 1024


def idle_memory_mb() -> float:
    code = "import os, sys; os.write(1, b'x\\n'); sys.stdin.read()"
    process = subprocess.Popen(python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    used = memory_mb(process.pid)
    process.kill()
    process.communicate()
    return used


def first_answer_ms() -> float:
    times = []
    for _ in range(ROUNDS):
        server = Server("")
        server.ask("/def")
        times.append((time.perf_counter() - server.started) * 1e3)
        server.stop()
    return statistics.median(times)


def memory_after_load_mb(handler: str, path: str) -> float:
    server = Server(handler)
    server.load(path)
    used = server.memory_mb()
    server.stop()
    return used - idle_memory_mb()


def measure() -> dict[str, float]:
    declare_ms, openapi_ms = declaring_ms()
    return {
        "import_ms": import_ms(),
        "first_answer_ms": first_answer_ms(),
        "declare_ms": declare_ms,
        "openapi_ms": openapi_ms,
        "memory_def_mb": memory_after_load_mb("", "/def"),
        "memory_async_mb": memory_after_load_mb(ASYNC, "/async"),
    }


def main() -> None:
    result = measure()
    if "--json" in sys.argv:
        print(json.dumps(result))
        return
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs")
    for name, value in result.items():
        print(f"{name:16} {value:8.1f}   at most {BARS[name]:.0f}")


if __name__ == "__main__":
    main()
