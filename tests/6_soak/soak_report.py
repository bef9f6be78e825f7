"""What the servers of test_soak.py say of themselves."""

import gc
import os
import sys
from collections import Counter
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")
COUNTED = ("Request", "MultiMap", "Response", "Task", "Context", "generator", "async_generator")


def report_of(server: Any, referred: list[Any]) -> dict[str, Any]:
    """referred: objects whose references are counted."""
    gc.collect()
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as statm:
        rss = int(statm.read().split()[1]) * PAGE
    objects = gc.get_objects()
    counted = Counter(type(o).__name__ for o in objects)
    return {
        "requests": server.stats()["requests"],
        "connections": server.stats()["connections"],
        "buffered": server.stats()["buffered_bytes"],
        "rss": rss,
        "fds": len(os.listdir("/proc/self/fd")),
        "blocks": sys.getallocatedblocks(),
        "objects": {"all": len(objects)} | {name: counted[name] for name in COUNTED},
        "refs": [sys.getrefcount(o) for o in referred],
    }
