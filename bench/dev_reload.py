"""From a save to the first answer of new code: how long `cello dev` takes.

    python bench/dev_reload.py [ROUNDS]

Prints milliseconds. A client asks all the time on new connections; one that fails is an error.
Between saves there are two seconds, as a person would leave.
"""

import http.client
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

APP = """\
from cello import App

app = App()

@app.get("/")
def index():
    return "{}"
"""


def ask(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def measure(path: Path, port: int, text: str) -> float:
    """Save, and wait for the answer; milliseconds."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(APP.format(text))
    start = time.perf_counter()
    temporary.replace(path)
    while ask(port) != text:
        time.sleep(0.002)
    taken = time.perf_counter() - start
    time.sleep(2)
    return taken * 1000


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "app.py")
        path.write_text(APP.format("first"))
        command = [sys.executable, "-m", "cello", "dev", "app:app", "--port", "0", "--no-logs"]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            found = re.search(r":(\d+),", process.stderr.readline())
            assert found, "it did not start"
            port = int(found[1])
            ask(port)
            times = sorted(measure(path, port, f"round {i}") for i in range(rounds))
            process.send_signal(signal.SIGINT)
            process.communicate()
    load = os.getloadavg()[0]
    print(f"{rounds} saves: median {statistics.median(times):.0f} ms, ", end="")
    print(f"{times[0]:.0f} to {times[-1]:.0f} ms, load {load:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
