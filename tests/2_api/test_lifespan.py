"""What runs when a server starts and ends, in which order, where, and what failures do."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from api_client import serving
from cello import App, Request
from cello.testing import TestClient


def noting(app: App, names: str, log: list[str], *, is_async: bool = False) -> None:
    """Hooks that write their names down: lower case at the start, upper case at the end."""
    for name in names:

        def note(name: str = name) -> None:
            log.append(name)

        async def note_later(name: str = name) -> None:
            await asyncio.sleep(0)
            log.append(name)

        hook = note_later if is_async else note
        (app.on_shutdown if name.isupper() else app.on_startup)(hook)


@pytest.mark.parametrize("is_async", [False, True])
def test_order(is_async: bool) -> None:
    log: list[str] = []
    app = App()
    noting(app, "aAbB", log, is_async=is_async)
    app.get("/")(lambda: log.append("request"))
    with serving(app) as client:
        assert "".join(log) == "ab"
        client.get("/")
    assert log == ["a", "b", "request", "B", "A"]


def test_ways_to_declare() -> None:
    log: list[str] = []
    app = App()

    @app.on_event("startup")
    def first() -> None:
        log.append("event")

    @app.on_startup()
    def second() -> None:
        log.append("call")

    @app.on_startup(per="worker")
    async def third() -> None:
        log.append("worker")

    app.on_startup(lambda: log.append("direct"))
    app.on_event("shutdown")(lambda: log.append("end"))
    with app.start():
        pass
    assert log == ["event", "call", "worker", "direct", "end"]
    assert callable(first) and callable(second) and callable(third)


def test_hooks_of_the_cluster_are_around_those_of_workers() -> None:
    app = App()
    log: list[str] = []
    app.on_startup(lambda: log.append("worker"))
    app.on_shutdown(lambda: log.append("worker ends"))

    @app.on_startup(per="cluster")
    async def first() -> None:
        log.append("cluster")

    app.on_shutdown(per="cluster")(lambda: log.append("cluster ends"))
    for _ in range(2):  # without a supervisor each server is a cluster
        with app.start():
            assert app.worker_id == 0
        assert log == ["cluster", "worker", "worker ends", "cluster ends"]
        log.clear()


def test_what_started_for_the_cluster_ends_when_a_worker_fails() -> None:
    app = App()
    log: list[str] = []
    app.on_startup(per="cluster")(lambda: log.append("cluster"))
    app.on_shutdown(per="cluster")(lambda: log.append("cluster ends"))

    @app.on_startup
    def fails() -> None:
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        app.start()
    assert log == ["cluster", "cluster ends"]


def test_wrong_declarations() -> None:
    app = App()
    with pytest.raises(ValueError, match=r"'startup' or 'shutdown', not 'begin'"):
        app.on_event("begin")
    with pytest.raises(ValueError, match=r"per is 'worker' or 'cluster'.*not 'process'"):
        app.on_startup(per="process")
    with pytest.raises(TypeError, match="without arguments"):
        app.on_startup(lambda app: None)
    with pytest.raises(TypeError, match="without arguments"):
        app.on_shutdown("close")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="lifespan is a function"):
        App(lifespan="no")  # type: ignore[arg-type]


def test_hooks_without_async_run_without_asyncio(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(
        "import sys\nfrom cello import App\napp = App()\n"
        "app.on_startup(lambda: print('up'))\napp.on_shutdown(lambda: print('down'))\n"
        "app.get('/')(lambda: 'x')\n"
        "with app.start():\n    pass\nprint('asyncio' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("up\ndown\nFalse\n", "")


def test_hooks_share_the_thread_and_the_loop_of_handlers() -> None:
    app, seen = App(), list[Any]()

    def where() -> Any:
        return threading.get_ident(), asyncio.get_running_loop()

    @app.on_startup
    async def up() -> None:
        seen.append(where())

    @app.on_shutdown
    def down() -> None:
        seen.append(where())

    @app.get("/")
    async def handler() -> None:
        seen.append(where())

    with serving(app) as client:
        client.get("/")
    assert len(seen) == 3 and len(set(seen)) == 1
    assert seen[0][0] != threading.get_ident()


def test_lifespan_and_its_state() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
        app.state.name = "shop"
        log.append("enter")
        yield {"pool": [1, 2]}
        log.append("leave")

    app = App(lifespan=lifespan)
    noting(app, "aA", log)

    @app.get("/")
    def handler(req: Request) -> Any:
        req.state.mine = True
        return [req.state.pool, req.app.state.name, sorted(vars(req.state))]

    with serving(app) as client:
        for _ in range(2):
            assert client.get("/").data == [[1, 2], "shop", ["mine", "pool"]]
    assert log == ["enter", "a", "A", "leave"]


def test_a_lifespan_without_async() -> None:
    log: list[str] = []

    @contextmanager
    def lifespan(app: App) -> Iterator[None]:
        log.append("enter")
        yield
        log.append("leave")

    with TestClient(App(lifespan=lifespan)):
        assert log == ["enter"]
    assert log == ["enter", "leave"]


def test_a_lifespan_that_is_no_context_manager() -> None:
    async def lifespan(app: App) -> None:
        pass

    with pytest.raises(TypeError, match="asynccontextmanager"):
        App(lifespan=lifespan).start()

    @contextmanager
    def wrong(app: App) -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match=r"yields a mapping for req\.state"):
        App(lifespan=wrong).start()


@pytest.mark.parametrize("is_async", [False, True])
def test_a_failing_start_ends_what_had_started(is_async: bool) -> None:
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        log.append("enter")
        try:
            yield
        finally:
            log.append("leave")

    app = App(lifespan=lifespan)
    noting(app, "abAB", log, is_async=is_async)

    def fail() -> None:
        raise ConnectionError("no database")

    async def fail_later() -> None:
        await asyncio.sleep(0)
        fail()

    app.on_startup(fail_later if is_async else fail)
    noting(app, "cCD", log, is_async=is_async)
    with pytest.raises(ConnectionError, match="no database"):
        app.start()
    assert log == ["enter", "a", "b", "B", "A", "leave"]
    log.clear()
    with pytest.raises(ConnectionError), TestClient(app):
        pass
    assert log == ["enter", "a", "b", "B", "A", "leave"]


def test_serve_raises_what_a_hook_raised() -> None:
    app = App()

    @app.on_startup
    async def fail() -> None:
        raise ConnectionError("no database")

    with pytest.raises(ConnectionError, match="no database"):
        asyncio.run(app.serve(port=0, logs=False))


def test_serve_runs_hooks_under_its_loop() -> None:
    log: list[Any] = []
    app = App()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        up = asyncio.Event()
        app.on_startup(up.set)
        app.on_shutdown(lambda: log.append(asyncio.get_running_loop() is loop))
        task = asyncio.create_task(app.serve(port=0, logs=False))
        await up.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert log == [True]


def test_failing_shutdown_hooks() -> None:
    log: list[str] = []

    def app_with(*errors: Callable[[], None]) -> App:
        app = App()
        noting(app, "A", log)
        for error in errors:
            app.on_shutdown(error)
        return app

    def one() -> None:
        raise ValueError("one")

    def two() -> None:
        raise KeyError("two")

    with pytest.raises(ValueError, match="one"), app_with(one).start():
        pass
    with pytest.raises(ExceptionGroup) as group, app_with(one, two).start():
        pass
    assert [type(e) for e in group.value.exceptions] == [KeyError, ValueError]
    assert log == ["A", "A"]


def test_a_busy_port_is_found_before_hooks_run() -> None:
    log: list[str] = []
    with App().start() as other:
        app = App()
        noting(app, "a", log)
        with pytest.raises(OSError, match="in use"):
            app.start(*other.addresses[0])
    assert log == []


def test_every_server_has_a_run_of_its_own() -> None:
    log: list[str] = []
    app = App()
    noting(app, "aA", log)
    with app.start(), app.start():
        assert log == ["a", "a"]
    assert log == ["a", "a", "A", "A"]


# ---- run() ----

PROGRAM = """
import asyncio, sys, time
from cello import App
app = App()
app.get("/")(lambda: "x")

@app.on_startup
{async_}def up():
    print("up", flush=True)
    {up}

@app.on_shutdown
{async_}def down():
    print("down", flush=True)
    {down}

app.run(port=0)
"""


def program(tmp_path: Path, *, up: str = "pass", down: str = "pass", is_async: bool = False) -> Any:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(async_="async " if is_async else "", up=up, down=down))
    return subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("is_async", [False, True])
def test_run_ends_with_1_when_the_start_fails(tmp_path: Path, is_async: bool) -> None:
    with program(tmp_path, up="raise ConnectionError('no db')", is_async=is_async) as process:
        out, err = process.communicate(timeout=20)
    assert process.returncode == 1 and out == "up\n"
    assert err.startswith("CRITICAL start-up failed\nTraceback (most recent call last):\n")
    assert "ConnectionError: no db" in err and "program.py" in err
    assert "_lifespan.py" not in err, "the program's own frames are enough"


@pytest.mark.parametrize("is_async", [False, True])
def test_run_drains_then_shuts_down(tmp_path: Path, is_async: bool) -> None:
    with program(tmp_path, is_async=is_async) as process:
        assert process.stderr.readline().startswith("Cello ")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "up\ndown\n", "")


def test_run_ends_with_1_when_the_end_fails(tmp_path: Path) -> None:
    with program(tmp_path, down="1 / 0") as process:
        assert process.stderr.readline().startswith("Cello ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.startswith("CRITICAL shutdown failed\n") and "ZeroDivisionError" in err


@pytest.mark.parametrize(
    ("up", "is_async"), [("time.sleep(20)", False), ("await asyncio.sleep(20)", True)]
)
def test_a_signal_ends_a_start_that_hangs(tmp_path: Path, up: str, is_async: bool) -> None:
    with program(tmp_path, up=up, is_async=is_async) as process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, "", "")
