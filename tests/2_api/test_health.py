"""HealthCheckConfig and the endpoints, by the test client; over sockets: 4_http/test_health.py."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from cello import App, HealthCheckConfig
from cello.testing import TestClient


def good() -> None:
    pass


def app_with(checks: dict[str, Callable[[], Any]] | None = None, **options: Any) -> App:
    app = App(guards=[lambda req: False])
    app.enable_health_checks(HealthCheckConfig(checks=checks, **options))
    return app


def test_endpoints_without_checks() -> None:
    app = App(guards=[lambda req: False])
    app.enable_health_checks()
    with TestClient(app) as client:
        for path in ("/health/live", "/health/ready", "/health/startup"):
            response = client.get(path)
            assert (response.status_code, response.json()) == (200, {"status": "ok"})
            assert response.headers["cache-control"] == "no-store"
            assert client.head(path).status_code == 200
        assert client.post("/health/live").status_code == 405
        assert client.get("/health").status_code == 404


def test_base_path() -> None:
    with TestClient(app_with(base_path="/-/up")) as client:
        assert client.get("/-/up/live").status_code == 200
        assert client.get("/health/live").status_code == 404


async def good_async() -> bool:
    await asyncio.sleep(0)
    return True


def bad() -> bool:
    return False


async def bad_async() -> bool:
    return False


def raises() -> None:
    raise OSError("secret://user:password@host")


async def raises_async() -> None:
    raise OSError("secret://user:password@host")


def sleeps() -> None:
    time.sleep(1)


async def sleeps_async() -> None:
    await asyncio.sleep(60)


async def good_sync_in_async() -> None:
    pass


CASES = [
    ({"a": good}, {"a": "ok"}),
    ({"a": good, "b": good_async}, {"a": "ok", "b": "ok"}),
    ({"a": good, "b": bad}, {"a": "ok", "b": "failed"}),
    ({"a": bad, "b": good_async}, {"a": "failed", "b": "ok"}),
    ({"a": bad_async}, {"a": "failed"}),
    ({"a": raises}, {"a": "failed"}),
    ({"a": raises_async, "b": good}, {"a": "failed", "b": "ok"}),
    ({"a": sleeps, "b": good}, {"a": "timed out", "b": "ok"}),
    ({"a": sleeps, "b": good_async}, {"a": "timed out", "b": "ok"}),
    ({"a": sleeps_async, "b": good}, {"a": "timed out", "b": "ok"}),
    ({"a": lambda: good_async()}, {"a": "failed"}),
]


@pytest.mark.parametrize(("checks", "results"), CASES, ids=lambda v: str(list(v.values())))
def test_checks(checks: dict[str, Callable[[], Any]], results: dict[str, str]) -> None:
    is_good = set(results.values()) == {"ok"}
    with TestClient(app_with(checks, check_timeout=0.1)) as client:
        response = client.get("/health/ready")
        assert response.status_code == (200 if is_good else 503)
        assert response.json() == {"status": "ok" if is_good else "failed", "checks": results}
        assert response.headers["cache-control"] == "no-store"
        assert client.get("/health/live").status_code == 200


def test_a_check_that_fails_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with TestClient(app_with({"database": raises})) as client:
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/ready").status_code == 503
    told = [r.getMessage() for r in caplog.records if "health check" in r.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("health check 'database' failed: OSError: secret://")


@pytest.mark.parametrize("is_async", [False, True])
def test_many_who_ask_are_one_run(is_async: bool) -> None:
    calls = []

    def check() -> None:
        calls.append(1)

    async def check_async() -> None:
        calls.append(1)

    with TestClient(app_with({"a": check_async if is_async else check})) as client:
        for _ in range(20):
            assert client.get("/health/ready").status_code == 200
    assert len(calls) <= 2, "once, and again if this took longer than a second"


def test_a_check_that_hangs_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cello._health.KEPT", 0.0)
    calls = []
    release = threading.Event()

    def hangs() -> None:
        calls.append(1)
        release.wait(30)

    with TestClient(app_with({"a": hangs}, check_timeout=0.05)) as client:
        for _ in range(3):
            assert client.get("/health/ready").json()["checks"] == {"a": "timed out"}
        assert len(calls) == 1
        release.set()
        end = time.monotonic() + 30
        while client.get("/health/ready").status_code != 200:
            assert time.monotonic() < end
    assert len(calls) > 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"base_path": ""}, ValueError),
        ({"base_path": "health"}, ValueError),
        ({"base_path": "/health/"}, ValueError),
        ({"base_path": "/{x}"}, ValueError),
        ({"admin": "9000"}, ValueError),
        ({"admin": ":9000"}, ValueError),
        ({"admin": 9000}, ValueError),
        ({"admin": "[::1:9000"}, ValueError),
        ({"check_timeout": 0}, ValueError),
        ({"check_timeout": 11}, ValueError),
        ({"check_timeout": True}, ValueError),
        ({"checks": {"a": 1}}, TypeError),
        ({"checks": {1: good}}, TypeError),
        ({"checks": {"a": lambda request: True}}, TypeError),
    ],
    ids=str,
)
def test_what_cannot_be(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        HealthCheckConfig(**arguments)


def test_addresses_and_repr() -> None:
    for admin in ("127.0.0.1:9000", "[::1]:9000", "localhost:0", "unix:/run/shop/health.sock"):
        assert HealthCheckConfig(admin=admin).admin == admin
    assert repr(HealthCheckConfig()) == (
        "HealthCheckConfig(base_path='/health', checks={}, admin=None, check_timeout=2.0)"
    )


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLO_HEALTH_BASE_PATH", "/status")
    monkeypatch.setenv("CELLO_HEALTH_ADMIN", "unix:/run/x.sock")
    monkeypatch.setenv("CELLO_HEALTH_CHECK_TIMEOUT", "0.5")
    found = HealthCheckConfig(checks={"good": good})
    said = (found.base_path, found.admin, found.check_timeout)
    assert said == ("/status", "unix:/run/x.sock", 0.5)
    assert HealthCheckConfig("/own", admin=None, check_timeout=3).check_timeout == 3
    assert HealthCheckConfig(admin=None).admin is None
    monkeypatch.delenv("CELLO_HEALTH_ADMIN")
    with TestClient(app_with(None)) as client:
        assert client.get("/status/live").status_code == 200
        assert client.get("/health/live").status_code == 404


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("BASE_PATH", "status", "begins with '/'"),
        ("BASE_PATH", "/{x}", "without parameters"),
        ("ADMIN", "9000", "admin is 'HOST:PORT'"),
        ("CHECK_TIMEOUT", "soon", "must be a number, not 'soon'"),
        ("CHECK_TIMEOUT", "nan", "at most 10"),
    ],
)
def test_what_cannot_be_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, why: str
) -> None:
    monkeypatch.setenv(f"CELLO_HEALTH_{name}", text)
    with pytest.raises(ValueError, match=f"CELLO_HEALTH_{name}.*{why}"):
        HealthCheckConfig()


def test_once_and_before_the_start() -> None:
    app = App()
    app.enable_health_checks()
    with pytest.raises(ValueError, match=r"already \(.*test_health.py:\d+\)"):
        app.enable_health_checks()
    with pytest.raises(TypeError, match="takes a HealthCheckConfig"):
        App().enable_health_checks("/health")  # type: ignore[arg-type]
    taken = App()
    taken.get("/health/live")(good)
    with pytest.raises(ValueError, match="/health/live"):
        taken.enable_health_checks()
    late = App()
    with TestClient(late), pytest.raises(RuntimeError, match="health checks"):
        late.enable_health_checks()


def test_they_are_in_no_document_and_among_the_routes() -> None:
    app = App()
    app.enable_openapi()
    app.enable_health_checks()
    with TestClient(app) as client:
        assert "/health/live" not in client.get("/openapi.json").text
