"""Handlers that wait, for test_soak.py: guest_server.py BACKEND engine|asyncio|uvloop DSN URL."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import redis.asyncio
import uvloop
from cello import App, Depends, Request, _loop
from soak_report import census, keep_quiet, report_of

BIG = bytes(200_000)
POOL = 8

# No cycles: what waits for the garbage collector would be a random number of blocks.
kept: list[Any] = []


@contextlib.asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    connections = redis.asyncio.BlockingConnectionPool.from_url(
        sys.argv[4], max_connections=POOL, timeout=None
    )
    async with (
        asyncpg.create_pool(
            sys.argv[3], min_size=POOL, max_size=POOL, max_inactive_connection_lifetime=0
        ) as app.state.pool,
        redis.asyncio.Redis(connection_pool=connections) as app.state.redis,
    ):
        app.state.lock = asyncio.Lock()
        yield
    await connections.aclose()


app = App(lifespan=lifespan)
app.static_response("/native", "x" * 100)


async def transaction() -> AsyncIterator[Any]:
    async with app.state.pool.acquire() as connection, connection.transaction():
        yield connection


@app.get("/sql/{n:int}")
async def sql(n: int, db: Any = Depends(transaction)) -> Any:
    return dict(await db.fetchrow("SELECT $1::int AS n, now()::text AS at", n))


@app.get("/sql-error")
async def sql_error(db: Any = Depends(transaction)) -> None:
    await db.execute("SELECT 1 / 0")


@app.get("/sql-timeout")
async def sql_timeout() -> str:
    try:
        async with asyncio.timeout(0.002):
            # PostgreSQL forgets a cancellation that comes before it has begun: then this ends.
            await app.state.pool.execute("SELECT pg_sleep(0.02)")
    except TimeoutError:
        return "too slow"
    return "?"


@app.get("/redis")
async def cache() -> Any:
    async with app.state.redis.pipeline() as pipe:
        return (await pipe.incr("n").set("a", "b").execute())[1]


@app.get("/redis-timeout")
async def cache_timeout() -> str:
    try:
        async with asyncio.timeout(0.002):
            await app.state.redis.blpop(["nothing"], timeout=0)
    except TimeoutError:
        return "too slow"
    return "?"


@app.get("/sleep")
async def sleep(req: Request) -> Any:
    await asyncio.sleep(0.001)
    return {"agent": req.headers.get("a")}


@app.get("/locked")
async def locked() -> str:
    async with app.state.lock:
        await asyncio.sleep(0)
    return "locked"


@app.post("/echo")
async def echo(req: Request) -> Any:
    await asyncio.sleep(0)
    return req.json()


@app.get("/timeout")
async def timeout() -> str:
    try:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
    except TimeoutError:
        return "too slow"
    return "?"


@app.get("/cancel")
async def cancel() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.Event().wait()


@app.get("/group")
async def group() -> str:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(100))
            tasks.create_task(fail())
    except* KeyError:
        pass
    return "failed"


@app.get("/thread")
async def thread() -> int:
    return await asyncio.to_thread(os.getpid)


@app.get("/kept")
async def keep(req: Request) -> int:
    kept[:] = [*kept[-9:], asyncio.current_task(), req]
    await asyncio.sleep(0)
    return len(kept)


@app.get("/big")
async def big() -> bytes:
    await asyncio.sleep(0.005)  # its client may be gone by then
    return BIG


@app.get("/report")
async def report() -> Any:
    # A connection whose command was cancelled is closed, and opened again for the next command.
    await app.state.redis.connection_pool.disconnect()
    found = report_of(engine())
    found["fds"] -= app.state.pool.get_size()
    return found


@app.get("/census")
async def count() -> Any:
    return census([app, BIG, Request])


# ---- serving ----

engines: list[Any] = []


def engine() -> Any:
    return engines[0]


async def serve_and_show(server: Any, hooks: Any) -> None:
    engines.append(server)
    await served(server, hooks)


served = _loop.serve


async def serve(sock: socket.socket) -> None:
    """Under a loop of asyncio or uvloop, until standard input ends."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(app.serve(fd=sock.detach(), backend=sys.argv[1], logs=False))
    loop.add_reader(sys.stdin, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    loop.remove_reader(sys.stdin)


if __name__ == "__main__":
    keep_quiet()
    if sys.argv[2] == "engine":
        with app.start("127.0.0.1", 0, backend=sys.argv[1]) as server:
            engines.append(server)
            print(server.addresses[0][1], flush=True)
            sys.stdin.read()
    else:
        _loop.serve = serve_and_show  # serve() shows nobody its engine
        factory = uvloop.new_event_loop if sys.argv[2] == "uvloop" else None
        sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        print(sock.getsockname()[1], flush=True)
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(serve(sock))
