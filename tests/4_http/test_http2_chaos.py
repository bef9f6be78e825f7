"""Clients of HTTP/2 that open, feed, cancel, read and leave at random: every stream ends, no
connection is ended for it, and nothing is left behind."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from cello import App, Http2Config, Request, Response, Server, StaticFilesConfig, TimeoutConfig
from wire import eventually
from wire_streams import Stream, Streams

CLIENTS, SECONDS = 5, 3.0
GETS = ("/made/3", "/made/40", "/later-made/20", "/pool", "/later", "/big", "/static/f", "/nope")
POSTS = ("/tee", "/body", "/read")


def make_app(folder: Path) -> App:
    app = App()
    (folder / "f").write_bytes(random.randbytes(300_000))
    app.enable_static_files(StaticFilesConfig(str(folder)))
    app.set_timeouts(TimeoutConfig(read_body=2, write=3))
    app.get("/big")(lambda: b"z" * random.randint(1, 400_000))
    app.post("/body")(lambda req: str(len(req.body())))

    @app.get("/made/{n:int}")
    def made(n: int) -> Iterator[bytes]:
        for _ in range(n):
            yield b"x" * random.randint(1, 5000)

    @app.get("/later-made/{n:int}")
    async def later_made(n: int) -> AsyncIterator[bytes]:
        for i in range(n):
            yield b"y" * random.randint(1, 5000)
            await asyncio.sleep(0.001 * (i % 2))

    @app.get("/later")
    async def later() -> str:
        await asyncio.sleep(random.random() * 0.02)
        return "later"

    @app.get("/pool", blocking=True)
    def pool() -> str:
        time.sleep(random.random() * 0.01)
        return "pool"

    @app.post("/tee", body="stream")
    async def tee(req: Request) -> Response:
        return Response.stream(req.stream())

    @app.post("/read", body="stream", blocking=True)
    def read(req: Request) -> str:
        return str(sum(map(len, req.stream())))

    return app


def act(client: Streams, streams: list[Stream], rng: random.Random) -> None:
    choice = rng.random()
    if choice < 0.7:
        method = rng.choice(("GET", "GET", "GET", "HEAD"))
        streams.append(client.open(rng.choice(GETS), method=method))
    elif choice < 0.85:
        stream = client.open(rng.choice(POSTS), method="POST", end=False)
        ends = rng.random() < 0.8
        client.send(stream, b"b" * rng.randint(0, 30_000), end=ends)
        if ends:  # else it is abandoned, and will be too slow
            streams.append(stream)
    elif streams and not (stream := rng.choice(streams)).done:
        client.cancel(stream)
        streams.remove(stream)


def one_connection(server: Server, rng: random.Random) -> None:
    reads = rng.random() < 0.8
    with Streams(server.addresses[0], reads=reads) as client:
        client.until(lambda: client.settings)
        streams: list[Stream] = []
        for _ in range(rng.randint(1, 60)):
            act(client, streams, rng)
        if reads and rng.random() < 0.7:
            client.finish(*streams)
        assert client.goaway is None


def test_chaos(backend: str, tmp_path: Path) -> None:
    failed: list[BaseException] = []
    app = make_app(tmp_path)
    with app.start(backend=backend, http2=Http2Config(h2c=True)) as server:
        end = time.monotonic() + SECONDS

        def run(rng: random.Random) -> None:
            try:
                while time.monotonic() < end:
                    one_connection(server, rng)
            except BaseException as error:
                failed.append(error)

        seeds = [random.Random(i) for i in range(CLIENTS)]
        threads = [threading.Thread(target=run, args=(rng,)) for rng in seeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed, failed
        eventually(lambda: server.stats()["inflight"] == 0, "every request is over")
        eventually(lambda: server.stats()["connections"] == 0, "every connection is closed")
