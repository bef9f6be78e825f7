"""Very many requests, with errors and vanishing clients mixed in: nothing grows.

`make test` sends 20,000 to each kind of server, of plain and of typed handlers; `make test-all` a
million."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import services
from soak_load import (
    MIB,
    RSS_SLOPE_MAX,
    SANITIZED,
    Load,
    check_closed,
    check_steady,
    server,
    slope,
    soak,
)

BACKENDS = pytest.mark.parametrize("backend", ["epoll", "io_uring"])
PROGRAMS = pytest.mark.parametrize("program", ["soak_server.py", "typed_server.py"])


@PROGRAMS
@BACKENDS
@pytest.mark.parametrize("kind", ["def", "async"])
def test_nothing_is_kept(kind: str, backend: str, program: str) -> None:
    with server(backend, kind, program) as load:
        first, last = soak(load, 15_000, 1, warm_up=5_000)
    assert last["requests"] - first["requests"] > 14_000
    check_steady(first, last)
    check_closed(last)
    assert SANITIZED or last["rss"] - first["rss"] < 4 * MIB


@pytest.mark.slow
@pytest.mark.timeout(1800)
@PROGRAMS
@BACKENDS
@pytest.mark.parametrize("kind", ["def", "async"])
def test_a_million_requests(kind: str, backend: str, program: str) -> None:
    with server(backend, kind, program) as load:
        reports = soak(load, 750_000, 15, warm_up=250_000)
        warm = reports[5:]  # the allocator's arenas fill up for a while
        if slope(warm, "rss") > RSS_SLOPE_MAX:  # a few pages that came, or a leak: more will tell
            warm += soak(load, 1_500_000, 15)
    first, last = reports[0], warm[-1]
    assert last["requests"] > 1_000_000
    check_steady(first, last)
    check_closed(last)
    print({what: slope(warm, what) for what in ("rss", "blocks")})
    assert SANITIZED or slope(warm, "rss") <= RSS_SLOPE_MAX, [r["rss"] for r in warm]


# ---- handlers that wait ----


@contextmanager
def guest_server(backend: str, loop: str) -> Iterator[Load]:
    with (
        services.postgres() as database,
        services.redis() as cache,
        server(backend, loop, "guest_server.py", database.dsn, cache.url) as load,
    ):
        yield load


# asyncio keeps cancelled timers, each with its context, until there are a hundred.
TIMERS_MAX = 500
LOOPS = pytest.mark.parametrize("loop", ["engine", "asyncio", "uvloop"])
needs_services = pytest.mark.skipif(bool(services.missing()), reason=services.missing())


@needs_services
@BACKENDS
def test_nothing_is_kept_of_handlers_that_wait(backend: str) -> None:
    with guest_server(backend, "engine") as load:
        first, last = soak(load, 2_000, 1, warm_up=2_000)
    check_steady(first, last, TIMERS_MAX)
    assert SANITIZED or last["rss"] - first["rss"] < 4 * MIB


@pytest.mark.slow
@pytest.mark.timeout(1800)
@needs_services
@BACKENDS
@LOOPS
def test_handlers_that_wait_for_long(loop: str, backend: str) -> None:
    with guest_server(backend, loop) as load:
        reports = soak(load, 40_000, 10, warm_up=10_000)
    check_steady(reports[0], reports[-1], TIMERS_MAX)
    warm = reports[3:]
    growth = {what: slope(warm, what) for what in ("rss", "blocks")}
    print(growth)
    assert growth["blocks"] < 0.05
    assert SANITIZED or growth["rss"] < 25, [r["rss"] for r in reports]
