"""What the servers of test_soak.py say of themselves."""

import gc
import logging
import os
import sys
from collections import Counter
from typing import Any

from cello import App

PAGE = os.sysconf("SC_PAGE_SIZE")
COUNTED = ("Request", "MultiMap", "Response", "Task", "Context", "generator", "async_generator")


def census(referred: list[Any]) -> dict[str, Any]:
    """Of Python's objects; referred: those whose references are counted. A list of all objects
    grows through allocations of all sizes: it touches pages that lie free in the heap of the
    engine's thread, a few more each time. So it is not for every report."""
    gc.collect()
    objects = gc.get_objects()
    counted = Counter(type(o).__name__ for o in objects)
    return {
        "objects": {"all": len(objects)} | {name: counted[name] for name in COUNTED},
        "refs": [sys.getrefcount(o) for o in referred],
    }


def report_of(server: Any) -> dict[str, Any]:
    gc.collect()
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as statm:
        rss = int(statm.read().split()[1]) * PAGE
    return {
        "requests": server.stats()["requests"],
        "connections": server.stats()["connections"],
        "buffered": server.stats()["buffered_bytes"],
        "rss": rss,
        "fds": len(os.listdir("/proc/self/fd")),
        "blocks": sys.getallocatedblocks(),
    }


def keep_quiet() -> None:
    logging.getLogger("cello").addHandler(logging.NullHandler())
    logging.getLogger("cello").propagate = False


def serve(app: App, referred: list[Any], **more: Any) -> None:
    """On the back end that the command line names, until standard input ends. /report has `more`
    beside what the server says; /census counts the references to `referred`."""
    keep_quiet()
    app.get("/report")(lambda: report_of(server) | more)
    app.get("/census")(lambda: census(referred))
    with app.start("127.0.0.1", 0, backend=sys.argv[1]) as server:
        print(server.addresses[0][1], flush=True)
        sys.stdin.read()
