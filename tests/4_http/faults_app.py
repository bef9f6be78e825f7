"""What the tests of faults serve: several workers of which one may be told to misbehave, by files
in FOLDER: faults_app.py FOLDER CONFIGURATION [async]
[health] [unix:PATH]."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from cello import App, ClusterConfig, HealthCheckConfig

app = App()
folder = Path(sys.argv[1])


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def is_there(name: str) -> bool:
    """A file that is meant for this worker."""
    return (folder / f"{name}-{app.worker_id}").exists()


@app.on_startup
def begin() -> None:
    if is_there("fail"):
        say(f"worker {app.worker_id} fails")
        raise OSError("no database")
    if is_there("hang"):
        time.sleep(3600)
    if is_there("descriptors"):
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 8, used + 8))


@app.on_shutdown
def end() -> None:
    say(f"worker {app.worker_id} ends")


@app.on_shutdown(per="cluster")
def last() -> None:
    say(f"cluster ends in {app.worker_id}")


@app.get("/who")
def who():
    return {"worker": app.worker_id, "pid": os.getpid()}


@app.post("/length")
def length(req):
    return len(req.body())


@app.get("/sleep/{seconds:float}", blocking=True)
def sleep(seconds: float):
    say("asleep")
    time.sleep(seconds)
    return "slept"


@app.get("/spin")
def spin():
    while True:
        pass


@app.get("/fill")
def fill():
    """More memory than there is."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (64 << 20)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        return len(bytearray(1 << 30))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


@app.get("/hog", blocking=True)
def hog():
    """All memory that the kernel gives."""
    kept = []
    while True:
        kept.append(os.urandom(1 << 20))


@app.get("/orphan")
def orphan():
    """A process that loses its parent, and then ends."""
    program = "sleep 0.1 & echo $!"
    return int(subprocess.check_output(["sh", "-c", program]).split()[0])


if "health" in sys.argv:
    app.enable_health_checks(HealthCheckConfig())

if "async" in sys.argv:

    @app.get("/wait")
    async def wait():
        await asyncio.sleep(0.2)
        return "waited"


if __name__ == "__main__":
    cluster = ClusterConfig(**json.loads(sys.argv[2]))
    place = sys.argv[-1].removeprefix("unix:") if "unix:" in sys.argv[-1] else None
    app.run(port=None if place else 0, uds=place, cluster=cluster, logs=False)
