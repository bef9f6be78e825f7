"""cello.testing: httpx's clients on the real engine, without a port."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio
import httpx
import pytest
import uvloop
from cello import App, Depends, HTTPError, LimitsConfig, Request, Response, TimeoutConfig
from cello._loop import EngineLoop
from cello.testing import AsyncEngineTransport, AsyncTestClient, EngineTransport, TestClient

pytestmark = pytest.mark.filterwarnings("error")

RUNNERS = {
    "asyncio": asyncio.run,
    "uvloop": uvloop.run,
    "anyio": lambda main: anyio.run(_of(main)),
    "own": lambda main: _run_on_own(main),
}


def _of(coroutine: Coroutine[Any, Any, Any]) -> Callable[[], Any]:
    async def main() -> Any:
        return await coroutine

    return main


def _run_on_own(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=EngineLoop) as runner:
        return runner.run(main)


@pytest.fixture(params=RUNNERS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine on a loop of each kind."""
    runner: Callable[[Coroutine[Any, Any, Any]], Any] = RUNNERS[request.param]
    return runner


def sync_app() -> App:
    app = App()

    @app.get("/who")
    def who(req):
        return {"client": req.client, "host": req.host, "agent": req.headers["user-agent"]}

    @app.post("/echo")
    def echo(req):
        return Response(req.body(), content_type=req.headers.get("content-type"))

    @app.get("/boom")
    def boom():
        raise LookupError("boom")

    @app.get("/gone")
    def gone():
        raise HTTPError(410, "no more")

    @app.get("/login")
    def login():
        answer = Response.redirect("/cookie", 303)
        answer.set_cookie("token", "abc")
        return answer

    @app.get("/cookie")
    def cookie(req):
        return req.cookies.get("token", "none")

    return app


def async_app() -> App:
    app = App()

    @app.get("/loop")
    async def loop():
        await asyncio.sleep(0)
        return {"loop": id(asyncio.get_running_loop())}

    @app.get("/sleep/{ms:int}")
    async def sleep(req):
        await asyncio.sleep(int(req.params["ms"]) / 1000)
        return {"slept": req.params["ms"]}

    @app.get("/boom")
    async def boom():
        await asyncio.sleep(0)
        raise LookupError("boom")

    @app.get("/plain")
    def plain():
        return "plain"

    return app


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(sync_app()) as client:
        yield client


# ---- synchronous ----


def test_answers_come_from_the_engine(client: TestClient) -> None:
    answer = client.get("/who")
    assert answer.status_code == 200 and answer.http_version == "HTTP/1.1"
    assert answer.json() == {
        "client": ["127.0.0.1", 50000],
        "host": "testserver",
        "agent": "testclient",
    }
    assert "date" in answer.headers
    assert client.get("/nowhere").status_code == 404
    assert client.delete("/who").headers["allow"] == "GET, HEAD, OPTIONS"
    assert client.head("/who").content == b""


def test_it_takes_what_httpx_takes() -> None:
    app = sync_app()
    client = TestClient(
        app,
        "http://api.example/v1/..",
        headers={"User-Agent": "mine", "X-A": "1"},
        cookies={"token": "given"},
        client=("192.0.2.1", 7),
        timeout=3.0,
    )
    assert client.app is app and client.timeout == httpx.Timeout(3.0)
    who = client.get("http://api.example/who").json()
    assert who == {"client": ["192.0.2.1", 7], "host": "api.example", "agent": "mine"}
    assert client.get("http://api.example/cookie").text == "given"
    assert client.post("http://a/echo", json={"a": 1}).json() == {"a": 1}
    assert client.post("http://a/echo", data={"a": "1"}).text == "a=1"


def test_redirects_and_cookies(client: TestClient) -> None:
    assert client.get("/login").text == "abc"
    assert client.get("/login", follow_redirects=False).status_code == 303
    assert client.cookies["token"] == "abc"
    stay = TestClient(sync_app(), follow_redirects=False)
    assert stay.get("/login").status_code == 303
    assert TestClient(sync_app()).get("https://testserver/login").text == "abc"


def test_large_bodies_both_ways(client: TestClient) -> None:
    body = bytes(range(256)) * 20_000
    assert client.post("/echo", content=body).content == body
    parts = iter([body[:100_000]] * 10)
    assert len(client.post("/echo", content=parts).content) == 1_000_000  # chunked
    with client.stream("POST", "/echo", content=body) as answer:
        pieces = list(answer.iter_raw())
    assert len(pieces) > 10 and b"".join(pieces) == body


def test_connections_are_kept(client: TestClient) -> None:
    server = client._engine._pump._server
    assert server is not None
    for _ in range(5):
        client.get("/who")
    assert server.stats()["connections"] == 1
    assert server.stats()["requests"] == 5


def test_what_a_handler_raises_is_raised(client: TestClient) -> None:
    with pytest.raises(LookupError, match="boom"):
        client.get("/boom")
    assert client.get("/gone").status_code == 410
    assert client.get("/who").status_code == 200


def test_or_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    client = TestClient(sync_app(), raise_server_exceptions=False)
    answer = client.get("/boom")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Internal Server Error"
    assert "boom" in caplog.text


def test_debug_pages_are_for_applications_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLO_DEBUG", "1")
    monkeypatch.setenv("CELLO_ENV", "development")
    for debug in (True, False, None):
        app = App(debug=debug)
        app.get("/")(lambda: 1 // 0)
        client = TestClient(app, raise_server_exceptions=False)
        answer = client.get("http://localhost/", headers={"Accept": "text/html"})
        assert answer.status_code == 500
        assert ("ZeroDivisionError" in answer.text) is (debug is True)


def test_what_is_meant_for_the_program_ends_the_request() -> None:
    app = sync_app()

    @app.get("/fail")
    def fail():
        pytest.fail("in a handler")

    @app.get("/exit")
    async def leave():
        await asyncio.sleep(0)
        raise SystemExit(3)

    client = TestClient(app)
    with pytest.raises(pytest.fail.Exception, match="in a handler"):
        client.get("/fail")
    with pytest.raises(SystemExit, match="3"):
        client.get("/exit")
    assert client.get("/who").status_code == 200


def test_limits_of_the_application_hold() -> None:
    app = sync_app()
    app.set_limits(LimitsConfig(max_connections=1, max_body_size=100))
    with TestClient(app) as client:
        assert client.post("/echo", content=b"x" * 101).status_code == 413
        assert client.get("/who?" + "q" * 9000).status_code == 414
        with (
            client.stream("POST", "/echo", content=b"x"),
            pytest.raises(httpx.ConnectError, match="no more connections"),
        ):
            client.get("/who")
        assert client.get("/who").status_code == 200


@pytest.mark.parametrize("make", [sync_app, async_app])
def test_an_idle_connection_that_the_engine_closed_is_replaced(make: Callable[[], App]) -> None:
    app = make()
    app.get("/idle")(lambda: "x")
    app.set_timeouts(TimeoutConfig(idle=0.05))
    with TestClient(app) as client:
        client.get("/idle")
        time.sleep(0.15)
        assert client.get("/idle").status_code == 200


def test_a_handler_cannot_ask_its_own_client() -> None:
    app = sync_app()
    client = TestClient(app)

    @app.get("/again")
    def again():
        return client.get("/who").text

    with pytest.raises(RuntimeError, match="runs already"):
        client.get("/again")
    assert client.get("/who").status_code == 200


def test_threads_take_turns() -> None:
    answers: list[int] = []

    def work(client: TestClient) -> None:
        answers.extend(client.get("/sleep/1").status_code for _ in range(5))

    with TestClient(async_app()) as client:
        threads = [threading.Thread(target=work, args=(client,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [200] * 20


def test_it_may_be_entered_again() -> None:
    client = TestClient(async_app())
    for _ in range(2):
        with client:
            assert client.get("/loop").status_code == 200
    assert client.get("/plain").text == "plain"
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.get("/plain")


def test_plain_httpx_clients_take_the_transport() -> None:
    app, other = sync_app(), async_app()
    mounts = {"http://a.example": EngineTransport(app), "http://b.example": EngineTransport(other)}
    with httpx.Client(mounts=mounts, trust_env=False) as client:
        assert client.get("http://a.example/who").json()["host"] == "a.example"
        assert client.get("http://b.example/plain").text == "plain"


# ---- synchronous, with async handlers ----


def test_async_handlers_run_on_one_loop() -> None:
    with TestClient(async_app()) as client:
        first = client.get("/loop").json()
        assert client.get("/loop").json() == first
        assert client.get("/plain").text == "plain"
        with pytest.raises(LookupError, match="boom"):
            client.get("/boom")


def test_httpx_time_limits() -> None:
    with TestClient(async_app(), timeout=0.05) as client:
        started = time.monotonic()
        with pytest.raises(httpx.ReadTimeout, match="in time"):
            client.get("/sleep/5000")
        assert time.monotonic() - started < 2
        assert client.get("/sleep/200", timeout=None).status_code == 200


def test_in_async_code_it_says_what_to_use() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="AsyncTestClient"):
            TestClient(async_app()).get("/loop")
        assert TestClient(sync_app()).get("/who").status_code == 200  # no loop is needed

    asyncio.run(main())


def test_one_that_nobody_holds_closes_itself() -> None:
    def used() -> "weakref.ref[Any]":
        client = TestClient(async_app())
        client.get("/loop")
        return weakref.ref(client._engine._pump)

    pump = used()
    gc.collect()
    assert pump() is None

    async def main() -> None:
        nonlocal client
        del client
        gc.collect()

    client = TestClient(async_app())
    client.get("/loop")
    asyncio.run(main())


# ---- asynchronous ----


def test_handlers_run_on_the_loop_of_the_test(run: Callable[..., Any]) -> None:
    async def main() -> None:
        async with AsyncTestClient(async_app()) as client:
            answer = await client.get("/loop")
            assert answer.json() == {"loop": id(asyncio.get_running_loop())}
            assert (await client.get("/plain")).text == "plain"

    run(main())


def test_requests_at_once(run: Callable[..., Any]) -> None:
    app, waiting = App(), []

    @app.get("/")
    async def together(req: Request) -> str:
        """Answers nobody before all ten have come."""
        mine = asyncio.get_running_loop().create_future()
        waiting.append(mine)
        if len(waiting) == 10:
            for one in waiting:
                one.set_result(None)
        await mine
        return "x"

    async def main() -> None:
        async with AsyncTestClient(app) as client:
            answers = await asyncio.gather(*(client.get("/") for _ in range(10)))
            assert [answer.status_code for answer in answers] == [200] * 10

    run(main())


def test_async_bodies_errors_and_time_limits(run: Callable[..., Any]) -> None:
    async def main() -> None:
        body = b"x" * 3_000_000
        async with AsyncTestClient(sync_app()) as client:
            assert (await client.post("/echo", content=body)).content == body
            with pytest.raises(LookupError, match="boom"):
                await client.get("/boom")
            assert (await client.get("/login")).text == "abc"
        async with AsyncTestClient(async_app(), raise_server_exceptions=False) as client:
            assert (await client.get("/boom")).status_code == 500
            with pytest.raises(httpx.ReadTimeout, match="in time"):
                await client.get("/sleep/5000", timeout=0.05)

    run(main())


def test_closing_cancels_what_still_waits() -> None:
    app, cancelled = App(), []

    @app.get("/forever")
    async def forever():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main() -> None:
        async with AsyncTestClient(app) as client:
            task = asyncio.ensure_future(client.get("/forever"))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.wait([task])
        assert cancelled == [True]

    asyncio.run(main())


def test_one_client_one_loop() -> None:
    client = AsyncTestClient(sync_app())

    async def main() -> None:
        assert (await client.get("/who")).status_code == 200

    asyncio.run(main())
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(main())


def test_the_async_transport_in_a_plain_client() -> None:
    async def main() -> None:
        transport = AsyncEngineTransport(async_app(), client=("::1", 9))
        async with httpx.AsyncClient(transport=transport) as client:
            assert (await client.get("http://any.example/plain")).text == "plain"

    asyncio.run(main())


def calling_app() -> App:
    """Asks another application, as a program asks other services."""
    app = App()
    transport = AsyncEngineTransport(async_app())

    @app.get("/call")
    async def call():
        async with httpx.AsyncClient(transport=transport) as client:
            answers = await asyncio.gather(*(client.get("http://other/sleep/1") for _ in range(3)))
        return [answer.json() for answer in answers]

    return app


def test_handlers_ask_other_applications(run: Callable[..., Any]) -> None:
    with TestClient(calling_app()) as client:
        for _ in range(2):
            assert client.get("/call").json() == [{"slept": "1"}] * 3

    async def main() -> None:
        async with AsyncTestClient(calling_app()) as client:
            assert (await client.get("/call")).json() == [{"slept": "1"}] * 3

    run(main())


# ---- start and end of the application ----


def hooked_app(calls: list[str]) -> App:
    app = sync_app()

    @app.on_startup
    def up() -> None:
        calls.append("up")

    @app.on_shutdown
    async def down() -> None:
        await asyncio.sleep(0)
        calls.append("down")

    return app


def test_entering_starts_the_application_up() -> None:
    calls: list[str] = []
    client = TestClient(hooked_app(calls))
    client.get("/who")
    assert calls == []
    with client:
        client.get("/who")
        assert calls == ["up"]
    assert calls == ["up", "down"]
    with client:
        pass
    assert calls == ["up", "down"] * 2


def test_entering_the_async_client_too(run: Callable[..., Any]) -> None:
    calls: list[str] = []

    async def main() -> None:
        async with AsyncTestClient(hooked_app(calls)) as client:
            await client.get("/who")
            assert calls == ["up"]
        assert calls == ["up", "down"]

    run(main())


def test_a_start_that_fails_is_raised() -> None:
    app = sync_app()

    @app.on_startup
    def up() -> None:
        raise ConnectionError("no database")

    with pytest.raises(ConnectionError, match="no database"), TestClient(app):
        pass

    async def main() -> None:
        async with AsyncTestClient(app):
            pass

    with pytest.raises(ConnectionError, match="no database"):
        asyncio.run(main())


# ---- the module ----


def test_pytest_takes_them_for_no_tests() -> None:
    assert TestClient.__test__ is False and AsyncTestClient.__test__ is False


def python(text: str) -> str:
    command = [sys.executable, "-W", "error", "-c", text]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_without_httpx_it_says_what_to_install() -> None:
    said = python(
        "import sys; sys.modules['httpx'] = None\n"
        "try:\n    import cello.testing\nexcept ImportError as error:\n    print(error)"
    )
    assert said == "cello.testing needs httpx: pip install 'cello[test]'"


def test_plain_handlers_need_no_loop() -> None:
    said = python(
        "import sys\nfrom cello import App\nfrom cello.testing import TestClient\napp = App()\n"
        "app.static_response('/', 'hi')\napp.get('/h')(lambda: 'hello')\n"
        "with TestClient(app) as client:\n    print(client.get('/').text, client.get('/h').text)\n"
        "print('cello._loop' in sys.modules)"
    )
    assert said.split() == ["hi", "hello", "False"]


@pytest.mark.parametrize("kind", ["def", "async", "later", "dependency"])
def test_a_client_is_not_closed_by_what_it_runs(kind: str) -> None:
    app = App()
    refused: list[str] = []

    def close() -> None:
        with pytest.raises(RuntimeError) as error:
            client.close()
        refused.append(str(error.value))

    def closing() -> Iterator[None]:
        yield
        close()

    async def later() -> None:
        await asyncio.sleep(0)
        close()

    async def at_once() -> None:
        close()

    def dependent(value: Any = Depends(closing)) -> None:
        pass

    handlers = {"def": close, "async": at_once, "later": later, "dependency": dependent}
    app.get("/")(handlers[kind])
    with TestClient(app) as client:
        assert client.get("/").status_code == 204
    assert refused == ["a TestClient cannot be closed by the application that it runs"]
