"""What test_chaos.py serves: chaos_app.py WORKERS [async] [unix:PATH]. Every answer names its
request and its process."""

import asyncio
import os
import sys
import time
import zlib

from cello import App, ClusterConfig

PID = os.getpid()
PIECES = 5

app = App()


@app.get("/who")
def who(id: str):
    return {"id": id, "pid": PID}


@app.post("/sum")
def total(req):
    return {"id": req.query["id"], "pid": PID, "sum": zlib.crc32(req.body())}


@app.get("/stream", blocking=True)
def stream(id: str):
    for i in range(PIECES):
        yield f"{id} {PID} {i}\n"
        time.sleep(0.01)


if "async" in sys.argv:

    @app.get("/later")
    async def later(id: str):
        await asyncio.sleep(0.02)
        return {"id": id, "pid": PID}


if __name__ == "__main__":
    cluster = ClusterConfig(workers=int(sys.argv[1]), max_restarts=1000, restart_window=0.05)
    place = sys.argv[-1].removeprefix("unix:") if "unix:" in sys.argv[-1] else None
    app.run(port=None if place else 0, uds=place, cluster=cluster, logs=False)
