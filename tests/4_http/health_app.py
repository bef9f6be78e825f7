"""An application with health endpoints: health_app.py FD ADMIN [async|none]."""

import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from cello import App, HealthCheckConfig

app = App()
state = {"ok": True}


@app.get("/plain")
def plain() -> str:
    return "hello"


@app.get("/flip")
def flip() -> dict[str, bool]:
    state["ok"] = not state["ok"]
    return state


@app.get("/spin")
def spin() -> None:
    while True:
        pass


@app.get("/spin-in-c")
def spin_in_c() -> None:
    re.match(r"(a+)+$", "a" * 100 + "b")


@app.get("/sleep", blocking=True)
def sleep() -> str:
    os.write(1, b"asleep\n")
    time.sleep(1)
    return "slept"


def check() -> bool:
    return state["ok"]


async def check_async() -> bool:
    return state["ok"]


checks: dict[str, Callable[[], Any]] = {"check": check_async if "async" in sys.argv else check}
app.enable_health_checks(
    HealthCheckConfig(checks=None if "none" in sys.argv else checks, admin=sys.argv[2])
)
app.run(fd=int(sys.argv[1]), argv=False)
