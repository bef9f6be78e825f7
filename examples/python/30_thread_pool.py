"""Handlers that wait in libraries that block, time limits, and clients that leave.

$ curl http://127.0.0.1:8000/report
{"thread":"cello-pool-1"}
$ curl http://127.0.0.1:8000/quick
{"thread":"MainThread"}
$ curl -i http://127.0.0.1:8000/never
HTTP/1.1 504 Gateway Timeout
Content-Type: application/problem+json
"""

import asyncio
import threading
import time

from cello import App, ThreadPoolConfig, TimeoutConfig

app = App()
app.set_threadpool(ThreadPoolConfig(size=8, queue=100))  # more than 100 that wait: 503
app.set_timeouts(TimeoutConfig(handler=10))


@app.get("/report", blocking=True)  # others are served meanwhile
def report() -> object:
    time.sleep(0.05)  # a driver that blocks
    return {"thread": threading.current_thread().name}


@app.get("/quick")  # on the engine's thread, unless it proves to wait
def quick() -> object:
    return {"thread": threading.current_thread().name}


@app.get("/never", timeout=0.1)
async def never() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        print("cancelled: its time is over, or its client has left")


if __name__ == "__main__":
    app.run()
