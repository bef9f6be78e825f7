"""An application whose handlers crash or hang: crash_app.py FD LIBRARY [async] [WORKERS]."""

import ctypes
import os
import re
import sys
import time

from cello import App

app = App()
library = ctypes.CDLL(sys.argv[2])


@app.get("/plain")
def plain() -> str:
    return "hello"


@app.get("/fault/{name}")
def fault(name: str) -> None:
    ctypes.string_at(0)


@app.get("/overflow")
def overflow() -> None:
    library.dive(0)


@app.get("/pool/overflow", blocking=True)
def pool_overflow() -> None:
    library.dive(0)


@app.get("/abort")
def abort() -> None:
    os.abort()


@app.get("/spin")
def spin() -> None:
    while True:
        pass


@app.get("/spin-in-c")
def spin_in_c() -> None:
    re.match(r"(a+)+$", "a" * 100 + "b")


@app.get("/pool/sleep", blocking=True)
def pool_sleep() -> None:
    time.sleep(60)


if "async" in sys.argv:

    @app.get("/async/abort")
    async def async_abort() -> None:
        import asyncio

        await asyncio.sleep(0.001)
        os.abort()


if "faulthandler" in sys.argv:
    import faulthandler

    faulthandler.enable()

if "start" in sys.argv:
    with app.start(fd=int(sys.argv[1])) as server:
        server.wait()
else:
    app.run(fd=int(sys.argv[1]), logs=False, argv=False)
