"""asyncpg and redis.asyncio against PostgreSQL and Redis, in handlers, under every loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import redis.asyncio
import services
from cello import App, Depends
from guest_server import Driver, at_once, drivers, guest, needs_services

pytestmark = needs_services

SLEEPS = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
POOL = 5  # connections, which more requests share


def database_app(place: services.Postgres) -> App:
    app = App()
    closed: list[bool] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        async with asyncpg.create_pool(place.dsn, min_size=1, max_size=POOL) as pool:
            app.state.pool = pool
            await pool.execute("DROP TABLE IF EXISTS items")
            await pool.execute("CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL)")
            yield
        closed.append(pool.is_closing())

    app = App(lifespan=lifespan)
    app.state.closed = closed

    async def connection() -> AsyncIterator[asyncpg.Connection]:
        async with app.state.pool.acquire() as connection, connection.transaction():
            yield connection

    @app.get("/add/{id:int}")
    async def add(id: int, db: Any = Depends(connection)) -> dict[str, Any]:
        await db.execute("INSERT INTO items VALUES ($1, $2)", id, f"item {id}")
        row = await db.fetchrow("SELECT id, name FROM items WHERE id = $1", id)
        return dict(row)

    @app.get("/add-and-fail/{id:int}")
    async def add_and_fail(id: int, db: Any = Depends(connection)) -> None:
        await db.execute("INSERT INTO items VALUES ($1, 'never')", id)
        raise KeyError(id)

    @app.get("/count")
    async def count() -> int:
        return int(await app.state.pool.fetchval("SELECT count(*) FROM items"))

    @app.get("/cursor/{n:int}")
    async def cursor(n: int, db: Any = Depends(connection)) -> int:
        rows = db.cursor("SELECT generate_series(1, $1::int)", n, prefetch=50)
        return sum([row[0] async for row in rows])

    @app.get("/slow")
    async def slow() -> str:
        query = asyncio.create_task(app.state.pool.execute("SELECT pg_sleep(1000)"))
        # PostgreSQL forgets a cancellation that comes before it has begun.
        while not await app.state.pool.fetchval(SLEEPS):
            pass
        try:
            async with asyncio.timeout(0.001):
                await query
        except TimeoutError:
            return "cancelled in the server: " + str(await app.state.pool.fetchval("SELECT 1"))
        return "?"

    @app.get("/notified")
    async def notified() -> str:
        said: asyncio.Queue[str] = asyncio.Queue()
        async with app.state.pool.acquire() as listener:
            await listener.add_listener("news", lambda *args: said.put_nowait(args[3]))
            await app.state.pool.execute("SELECT pg_notify('news', 'hello')")
            text = await said.get()
            await listener.reset()
        return text

    @app.get("/copy")
    async def copy(db: Any = Depends(connection)) -> int:
        await db.execute("CREATE TEMPORARY TABLE copied (id int) ON COMMIT DROP")
        rows = ((n,) for n in range(20_000))
        await db.copy_records_to_table("copied", records=rows)
        return int(await db.fetchval("SELECT count(*) FROM copied"))

    return app


@drivers
def test_a_pool_of_the_lifespan_in_many_requests(
    driver: Driver, postgres: services.Postgres
) -> None:
    app = database_app(postgres)
    with guest(app, driver) as client:
        rows = at_once(client, "/add/{n}", 20)
        assert rows == [{"id": n, "name": f"item {n}"} for n in range(20)]
        while client.body("/count") != 20:  # transactions end behind the answers
            pass
        assert client.get("/add-and-fail/100")[0] == 500
        assert client.get("/add/3")[0] == 500  # there is one
        assert client.body("/count") == 20
        assert app.state.pool.get_size() <= POOL
    assert app.state.closed == [True]


@drivers
def test_what_asyncpg_does_with_a_connection(driver: Driver, postgres: services.Postgres) -> None:
    with guest(database_app(postgres), driver) as client:
        for _ in range(2):
            assert client.body("/cursor/500") == 500 * 501 // 2
            assert client.body("/slow") == "cancelled in the server: 1"
            assert client.body("/notified") == "hello"
            assert client.body("/copy") == 20_000


def cache_app(place: services.Redis) -> App:
    @contextlib.asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        app.state.redis = redis.asyncio.from_url(
            place.url, max_connections=50, decode_responses=True
        )
        await app.state.redis.flushall()
        yield
        await app.state.redis.aclose()

    app = App(lifespan=lifespan)

    @app.get("/hit/{n:int}")
    async def hit(n: int) -> int:
        return int(await app.state.redis.incr("hits"))

    @app.get("/pipeline")
    async def pipeline() -> list[Any]:
        async with app.state.redis.pipeline(transaction=True) as pipe:
            return list(await pipe.set("a", "1").incrby("a", 4).get("a").delete("a").execute())

    @app.get("/wait")
    async def wait() -> str:
        found = await app.state.redis.blpop(["list"], timeout=0)
        return str(found[1])

    @app.get("/push/{text}")
    async def push(text: str) -> int:
        return int(await app.state.redis.rpush("list", text))

    @app.get("/published")
    async def published() -> str:
        async with app.state.redis.pubsub() as pubsub:
            await pubsub.subscribe("news")
            async for message in pubsub.listen():
                if message["type"] == "subscribe":
                    await app.state.redis.publish("news", "hello")
                else:
                    return str(message["data"])
        return "?"

    @app.get("/too-slow")
    async def too_slow() -> str:
        try:
            async with asyncio.timeout(0.02):
                await app.state.redis.blpop(["nothing"], timeout=0)
        except TimeoutError:
            return "too slow"
        return "?"

    return app


@drivers
def test_redis(driver: Driver, redis_server: services.Redis) -> None:
    with guest(cache_app(redis_server), driver) as client:
        assert sorted(at_once(client, "/hit/{n}", 20)) == list(range(1, 21))
        for _ in range(2):
            assert client.body("/pipeline") == [True, 5, "5", 1]
            assert client.body("/published") == "hello"
            assert client.body("/too-slow") == "too slow"
            with client.send("/wait") as waiting:
                assert client.body("/push/pushed") == 1
                assert b"pushed" in waiting.recv(1000)
