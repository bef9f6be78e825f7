"""PostgreSQL with asyncpg, and Redis as a cache in front of it (pip install asyncpg redis): their
connections are opened at the start, shared by all requests, and closed at the end.

DATABASE_URL and REDIS_URL say where they are: postgresql://user@host/name, redis://host.

$ curl -X POST http://127.0.0.1:8000/items -H 'Content-Type: application/json' -d '{"name": "pen"}'
{"id":1,"name":"pen"}
$ curl -i http://127.0.0.1:8000/items/1
HTTP/1.1 200 OK
X-Cache: miss

{"id":1,"name":"pen"}
$ curl -i http://127.0.0.1:8000/items/1
HTTP/1.1 200 OK
X-Cache: hit

{"id":1,"name":"pen"}
$ curl -i http://127.0.0.1:8000/items/2
HTTP/1.1 404 Not Found
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import redis.asyncio as redis
from cello import App, HTTPError, Response


class NewItem(msgspec.Struct):
    name: str


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    async with (
        asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=10) as pool,
        redis.from_url(os.environ["REDIS_URL"]) as cache,
    ):
        await pool.execute(
            "CREATE TABLE IF NOT EXISTS items (id serial PRIMARY KEY, name text NOT NULL)"
        )
        app.state.pool, app.state.cache = pool, cache
        yield


app = App(lifespan=lifespan)


@app.post("/items", status=201)
async def create(item: NewItem) -> object:
    # The transaction ends here, before the answer: a client that is told of an item finds it.
    async with app.state.pool.acquire() as db, db.transaction():
        number = await db.fetchval("INSERT INTO items (name) VALUES ($1) RETURNING id", item.name)
    return {"id": number, "name": item.name}


@app.get("/items/{id:int}")
async def show(id: int) -> object:
    key = f"item:{id}"
    if (cached := await app.state.cache.get(key)) is not None:
        return Response(cached, headers={"X-Cache": "hit"}, content_type="application/json")
    row = await app.state.pool.fetchrow("SELECT id, name FROM items WHERE id = $1", id)
    if row is None:
        raise HTTPError(404, f"There is no item {id}.")
    body = msgspec.json.encode(dict(row))
    await app.state.cache.set(key, body, ex=60)
    return Response(body, headers={"X-Cache": "miss"}, content_type="application/json")


if __name__ == "__main__":
    app.run()
