"""What ten thousand connections cost those who ask: latency at a fixed rate over 100 connections
and over 10,000, in rounds that take turns, and the server's memory with all of them open.

    .venv/bin/python bench/connections.py          prints a table
    .venv/bin/python bench/connections.py --json   prints JSON

Latency counts from when a request was due (clients/open_loop.c). On a busy machine run it as
`chrt -f 10`: what else runs is not what is measured.
"""

import json
import resource
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import environments
import machine

HERE = Path(__file__).parent
COUNTS = (100, 10_000)
RATE = 5000  # requests a second
SECONDS = 3
ROUNDS = 3
BAR = 2.0  # p99 over many connections, in times of that over few
FIGURES = ("requests", "p50_us", "p90_us", "p99_us", "p999_us", "max_us", "late_p99_us")

SERVER = """
import sys
from cello import App
app = App()
@app.get("/")
def hello():
    return {"hello": "world"}
app.run(port=int(sys.argv[1]), backend=sys.argv[2], logs=False, argv=False)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def wait_for(port: int) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def status(pid: int, field: str) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split(f"{field}:")[1].split()[0]) / 1024


def measure(client: Path, port: int, connections: int) -> dict[str, float]:
    words = [client, str(port), str(connections), str(RATE), str(SECONDS), "/"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"open_loop: {done.stderr}")
    return dict(zip(FIGURES, map(float, done.stdout.split()), strict=True))


def rounds(client: Path, backend: str) -> dict[str, object]:
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(port), backend])
    try:
        wait_for(port)
        idle_mb = status(server.pid, "VmRSS")
        figures: dict[int, list[dict[str, float]]] = {count: [] for count in COUNTS}
        for _ in range(ROUNDS):
            for count in COUNTS:
                figures[count].append(measure(client, port, count))
        full_mb = status(server.pid, "VmHWM")
    finally:
        server.terminate()
        server.wait()
    p99 = [statistics.median(r["p99_us"] for r in figures[count]) for count in COUNTS]
    return {
        "rounds": figures,
        "p99_us": dict(zip(COUNTS, p99, strict=True)),
        "ratio": p99[1] / p99[0],
        "bytes_per_connection": round((full_mb - idle_mb) * 2**20 / COUNTS[-1]),
    }


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < COUNTS[-1] + 100:
        raise SystemExit(f"the machine allows {hard} descriptors: {COUNTS[-1] + 100} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, COUNTS[-1] + 100), hard))
    client = environments.cache_folder() / "clients" / "open_loop"
    why = environments.compile_c(HERE / "clients" / "open_loop.c", client, [])
    if why:
        raise SystemExit(f"clients/open_loop.c: {why}")
    results = {backend: rounds(client, backend) for backend in ("io_uring", "epoll")}
    if "--json" in sys.argv:
        print(json.dumps({"machine": machine.describe(), "rate": RATE, "results": results}))
        return
    for backend, found in results.items():
        few, many = found["p99_us"].values()  # type: ignore[attr-defined]
        verdict = "ok" if found["ratio"] <= BAR else "too much"  # type: ignore[operator]
        print(
            f"{backend:9} {RATE}/s: p99 {few:.0f} us over {COUNTS[0]}, {many:.0f} us over "
            f"{COUNTS[1]} connections, {found['ratio']:.2f} times: {verdict}; "
            f"{found['bytes_per_connection']} bytes for each"
        )


if __name__ == "__main__":
    main()
