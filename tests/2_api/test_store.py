"""app.store, app.publish, app.subscribe in one process. Over workers: tests/4_http."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import date
from typing import Any

import pytest
from cello import App, Response, Store, StoreConfig, Subscription, _cello, _cluster
from guest_server import Driver, drivers, guest
from stream_client import Reader


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def store(app: App) -> Store:
    return app.store


# ---- keys and values ----


def test_values_are_bytes(store: Store) -> None:
    assert store.get("k") is None
    assert store.get("k", "nothing") == "nothing"
    store.set("k", "grün")
    assert store.get("k") == "grün".encode()
    assert store.get(b"k") == "grün".encode()
    store.set(b"\x00\xff", memoryview(b"\x00\x01"))
    assert store.get(b"\x00\xff") == b"\x00\x01"
    store.set("k", bytearray(b""))
    assert store.get("k") == b""
    assert store.delete("k") is True
    assert store.delete("k") is False
    assert store.get("k", default=7) == 7


def test_contains(store: Store) -> None:
    store.set("k", "x" * 5000)
    assert "k" in store
    assert store.contains(b"k")
    assert "other" not in store
    assert not store.contains("other")


@pytest.mark.parametrize("size", [0, 1023, 1024, 1025, 100_000, 256 * 1024])
def test_long_values(store: Store, size: int) -> None:
    value = bytes(i * 7 % 256 for i in range(251)) * (size // 251 + 1)
    store.set("k", value[:size])
    assert store.get("k") == value[:size]


def test_add_and_compare_and_set(store: Store) -> None:
    assert store.add("k", "1") is True
    assert store.add("k", "2") is False
    assert store.get("k") == b"1"
    assert store.compare_and_set("k", "0", "2") is False
    assert store.compare_and_set("k", b"1", "2") is True
    assert store.get("k") == b"2"
    assert store.compare_and_set("k", None, "3") is False
    assert store.compare_and_set("new", None, "3") is True
    assert store.compare_and_set("none", "3", "4") is False
    assert "none" not in store


def test_increment(store: Store) -> None:
    assert store.increment("n") == 1
    assert store.increment("n", 41) == 42
    assert store.increment("n", by=-50) == -8
    assert store.get("n") == b"-8"
    store.set("text", "10")
    assert store.increment("text") == 11
    store.set("text", "ten")
    with pytest.raises(ValueError, match="not a number"):
        store.increment("text")
    store.set("n", str(2**63 - 1))
    with pytest.raises(OverflowError):
        store.increment("n")
    with pytest.raises(ValueError, match="by is out of range"):
        store.increment("n", 2**64)


def test_times_end(store: Store) -> None:
    hour = 3600
    for write in (store.set, store.add):
        write("gone", "x", 1e-9)
        assert store.get("gone") is None
    store.set("kept", "x", expires_in=hour)
    assert store.get("kept") == b"x"
    assert store.expire("kept", 1e-9) is True
    assert store.expire("kept", hour) is False
    assert store.increment("n", expires_in=1e-9) == 1
    assert store.increment("n", expires_in=hour) == 1
    assert store.increment("n", expires_in=1e-9) == 2  # the time is of the first one
    assert store.get("n") == b"2"
    assert store.expire("n", None) is True
    assert store.compare_and_set("n", "2", "3", 1e-9) is True
    assert "n" not in store
    store.set("long", "x", 1e300)
    assert "long" in store


def test_what_is_refused(store: Store) -> None:
    for call in (
        lambda key: store.get(key),
        lambda key: store.set(key, "x"),
        lambda key: store.add(key, "x"),
        lambda key: store.delete(key),
        lambda key: store.increment(key),
        lambda key: store.expire(key, 1),
        lambda key: store.compare_and_set(key, "a", "b"),
        lambda key: store.contains(key),
    ):
        for key in ("", "k" * 1025):
            with pytest.raises(ValueError, match=r"1 to 1024 bytes"):
                call(key)
        with pytest.raises(TypeError, match="a key must be str or bytes, not int"):
            call(7)
        call("k" * 1024)
    with pytest.raises(ValueError, match="at most 262144 bytes"):
        store.set("k", bytes(256 * 1024 + 1))
    bad: Any = 7
    with pytest.raises(TypeError, match="a value must be str or bytes, not int"):
        store.set("k", bad)
    for seconds in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            store.set("k", "x", seconds)
    with pytest.raises(TypeError):
        store.set("k", "x", "1")  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        store.set("\ud800", "x")
    assert "k" not in store


def test_a_full_store_gives_up_what_is_old() -> None:
    app = App()
    app.set_store(StoreConfig(size=1 << 20))
    for i in range(2000):
        app.store.set(f"k{i}", bytes(1000))
    stats = app.store.stats()
    assert stats["evictions"] > 0
    assert stats["bytes"] <= stats["capacity"] <= 1 << 20
    assert "k1999" in app.store
    # Room is made in the part of the table where it is needed: about the oldest.
    assert sum(f"k{i}" in app.store for i in range(500)) < 100
    assert sum(f"k{i}" in app.store for i in range(1500, 2000)) > 400
    app.store.clear()
    assert app.store.stats()["entries"] == 0


def test_applications_share_nothing(store: Store) -> None:
    store.set("k", "x")
    assert App().store.get("k") is None


def test_threads_share_it(store: Store) -> None:
    def count() -> None:
        for _ in range(2000):
            store.increment("n")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("n") == b"8000"


def test_handlers_of_both_kinds_use_it(app: App) -> None:
    @app.get("/def")
    def plain() -> int:
        return app.store.increment("hits")

    @app.get("/async")
    async def waiting() -> int:
        return app.store.increment("hits")

    with guest(app, ("engine", "epoll")) as at:
        assert [at.body("/def"), at.body("/async"), at.body("/def")] == [1, 2, 3]


# ---- configuration ----


def test_store_config(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vars(StoreConfig()) == {"size": 67108864, "ring_size": 1048576}
    assert repr(StoreConfig(1 << 20, 65536)) == "StoreConfig(size=1048576, ring_size=65536)"
    for wrong in ({"size": 1000}, {"size": 1 << 41}, {"ring_size": 1}, {"ring_size": 1 << 31}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            StoreConfig(**wrong)
    monkeypatch.setenv("CELLO_STORE_SIZE", "2097152")
    monkeypatch.setenv("CELLO_STORE_RING_SIZE", "65536")
    assert vars(StoreConfig()) == {"size": 2097152, "ring_size": 65536}
    assert App().store.stats()["capacity"] < 2097152
    monkeypatch.setenv("CELLO_STORE_SIZE", "many")
    with pytest.raises(ValueError, match="CELLO_STORE_SIZE must be a number"):
        StoreConfig()


def test_set_store_comes_first(app: App) -> None:
    with pytest.raises(TypeError, match="takes a StoreConfig"):
        app.set_store(1 << 20)  # type: ignore[arg-type]
    app.store.set("k", "x")
    with pytest.raises(RuntimeError, match="comes before"):
        app.set_store(StoreConfig())


def test_engine_types_check_what_they_get() -> None:
    bad: Any = App()
    with pytest.raises(TypeError, match="a Cluster is needed"):
        _cello.Store(bad)
    with pytest.raises(TypeError, match="a Store is needed"):
        _cello.Topics(bad)
    with pytest.raises(ValueError, match="cannot have that size"):
        _cello.Cluster(None, 5)


# ---- messages ----


def test_what_is_published_arrives(app: App) -> None:
    app.json_encoder(set)(sorted)
    news = app.subscribe("a", b"b")
    assert isinstance(news, Subscription)
    messages = ["text", "grün", b"\x00\xff", {"x": [1, 2.5, None]}, 7, None, date(2024, 2, 29)]
    for message in messages:
        app.publish("a", message)
    app.publish("b", {3, 1, 2})
    app.publish("c", "not for us")
    got = []
    for _ in range(len(messages)):
        got.append(next(news))
        assert news.topic == "a"
    assert got == [*messages[:-1], "2024-02-29"]
    assert next(news) == [1, 2, 3]
    assert news.topic == "b"
    assert not news._has_news()


def test_all_subscribers_get_it(app: App) -> None:
    subscriptions = [app.subscribe("x") for _ in range(3)]
    with app.subscribe("x") as gone:
        pass
    app.publish("x", "hello")
    assert [next(s) for s in subscriptions] == ["hello"] * 3
    assert gone.closed
    assert list(gone) == []


def test_a_slow_subscriber_loses_the_oldest(app: App) -> None:
    news = app.subscribe("x", max_queue=3)
    for i in range(10):
        app.publish("x", i)
    assert news.lost == 7
    assert [next(news) for _ in range(3)] == [7, 8, 9]
    app.publish("x", 10)
    assert next(news) == 10
    news.close()
    assert news.lost == 7


def test_large_messages_that_nobody_reads_are_bounded(app: App) -> None:
    news = app.subscribe("x")
    for _ in range(100):
        app.publish("x", bytes(200_000))
    assert news.lost == 100 - (16 << 20) // 200_000
    waiting = 0
    while news._take() is not None:
        waiting += 1
    assert waiting == 100 - news.lost
    news.close()


def test_what_topics_refuse(app: App) -> None:
    for topic in ("", "t" * 256):
        with pytest.raises(ValueError, match="1 to 255 bytes"):
            app.publish(topic, "x")
        with pytest.raises(ValueError, match="1 to 255 bytes"):
            app.subscribe(topic)
    app.publish("t" * 255, "x")
    with pytest.raises(ValueError, match="one topic or more"):
        app.subscribe()
    for max_queue in (0, -1, 1 << 21):
        with pytest.raises(ValueError, match="max_queue"):
            app.subscribe("x", max_queue=max_queue)
    bad: Any = 7
    with pytest.raises(TypeError, match="a topic must be str or bytes"):
        app.publish(bad, "x")
    with pytest.raises(TypeError, match="a topic must be str or bytes"):
        app.subscribe("x", bad)
    with pytest.raises(TypeError):
        app.publish("x", object())
    with pytest.raises(ValueError, match="at most a quarter"):
        app.publish("x", bytes(1 << 18))


def test_a_thread_waits_for_a_message(app: App) -> None:
    news, got = app.subscribe("x"), []
    reader = threading.Thread(target=lambda: got.extend(news))
    reader.start()
    app.publish("x", 1)
    app.publish("x", 2)
    while len(got) < 2:
        threading.Event().wait(0.001)
    news.close()
    reader.join()
    assert got == [1, 2]


def test_tasks_wait_for_messages(app: App) -> None:
    async def main() -> list[Any]:
        news = app.subscribe("x")
        got: list[Any] = []

        async def read() -> None:
            async for message in news:
                got.append(message)
                if len(got) == 4:
                    await news.aclose()

        task = asyncio.create_task(read())
        await asyncio.sleep(0)
        app.publish("x", 0)  # on the loop's own thread
        await asyncio.to_thread(app.publish, "x", 1)
        await asyncio.to_thread(app.publish, "x", 2)
        app.publish("x", 3)
        await task
        return got

    assert asyncio.run(main()) == [0, 1, 2, 3]


def test_a_cancelled_reader_loses_nothing(app: App) -> None:
    async def main() -> Any:
        news = app.subscribe("x")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(news), 0.01)
        assert news._waiters == set()
        app.publish("x", "kept")
        return await anext(news)

    assert asyncio.run(main()) == "kept"


def test_waiting_in_a_running_loop_is_an_error(app: App) -> None:
    async def main() -> None:
        next(app.subscribe("x"))

    with pytest.raises(RuntimeError, match="async for"):
        asyncio.run(main())


def test_what_is_dropped_subscribes_no_more(app: App) -> None:
    news = app.subscribe("x")
    app.publish("x", "never read")
    del news
    app.publish("x", "nobody is there")


# ---- in responses ----


def say(app: App, at: Any, room: str, message: str) -> None:
    """From a handler, on another connection."""
    assert at.body(f"/say/{room}/{message}") == "said"


@drivers
@pytest.mark.parametrize("how", ["returned", "generated"])
def test_subscriptions_are_event_streams(app: App, driver: Driver, how: str) -> None:
    ended = threading.Event()

    @app.get("/events/{room}")
    async def events(room: str) -> Response:
        news = app.subscribe(room)
        if how == "returned":
            return Response.sse(news)

        async def generated() -> AsyncIterator[Any]:
            with news:
                async for message in news:
                    yield message
                    if message == "end":
                        break
            ended.set()

        return Response.sse(generated())

    @app.get("/say/{room}/{message}")
    def speak(room: str, message: str) -> str:
        app.publish(room, message)
        return "said"

    with guest(app, driver) as at, Reader(at, "/events/a") as a, Reader(at, "/events/b") as b:
        a.until(b"\r\n\r\n")
        b.until(b"\r\n\r\n")
        for room, message in (("a", "1"), ("b", "2"), ("a", "end")):
            say(app, at, room, message)
        a.until(b"data: 1\n\n")
        b.until(b"data: 2\n\n")
        a.until(b"data: end\n\n")
        if how == "generated":
            assert ended.wait(10)


@pytest.mark.parametrize("how", [Response.sse, Response.stream])
def test_the_end_of_a_response_ends_its_subscription(app: App, how: Any) -> None:
    subscriptions = []

    @app.get("/events")
    async def events() -> Response:
        subscriptions.append(app.subscribe("x"))
        response: Response = how(subscriptions[0])
        return response

    @app.get("/say/{room}/{message}")
    def speak(room: str, message: str) -> str:
        app.publish(room, message)
        return "said"

    with guest(app, ("engine", "epoll")) as at:
        with Reader(at, "/events") as reader:
            if how is Response.sse:
                reader.until(b"\r\n\r\n")
            while not subscriptions:
                threading.Event().wait(0.001)
            say(app, at, "x", "first")
            reader.until(b"first")
        while not subscriptions[0].closed:
            threading.Event().wait(0.001)


def test_a_thread_of_the_pool_may_wait(app: App) -> None:
    opened = threading.Event()

    def numbers() -> Iterator[str]:
        with app.subscribe("n") as news:
            opened.set()
            for message in news:
                yield f"{message};"
                if message == 3:
                    return

    @app.get("/numbers", blocking=True)
    def handler() -> Response:
        return Response.stream(numbers())

    with guest(app, ("engine", "epoll")) as at, Reader(at, "/numbers") as reader:
        assert opened.wait(10)
        for i in range(1, 4):
            app.publish("n", i)
        reader.until(b"\r\n\r\n")
        assert reader.rest() == "1;2;3;"


def test_threads_that_ask_at_once_have_one_store(monkeypatch: pytest.MonkeyPatch) -> None:
    app, found = App(), []
    other = threading.Thread(target=lambda: found.append(app.store))

    def worker() -> None:
        if threading.current_thread() is threading.main_thread():
            other.start()
            other.join(0.2)  # in vain: it waits for what this thread makes

    monkeypatch.setattr(_cluster, "worker", worker)
    found.append(app.store)
    other.join()
    assert found[0] is found[1]
