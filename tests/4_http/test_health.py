"""Health endpoints over sockets: while a program serves, drains and hangs."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from wire import Address, Client, eventually, fetch, request
from wire_process import Process, ServerProcess, listening

APP = Path(__file__).with_name("health_app.py")


@contextmanager
def served(backend: str, admin: str, *words: str) -> Iterator[ServerProcess]:
    server = ServerProcess(backend, admin, *words, app=APP, CELLO_ENV="development")
    try:
        assert fetch(server.address, request("/plain")).body == b"hello"
        yield server
    finally:
        server.close()


def ask(address: Address, path: str) -> tuple[int, str]:
    answer = fetch(address, request(path))
    assert answer.get("Cache-Control") == "no-store"
    return answer.status, answer.json()["status"]


@pytest.fixture
def admin(tmp_path: Path) -> str:
    return str(tmp_path / "health.sock")


@pytest.mark.parametrize("words", [("none",), ("sync",), ("async",)], ids=str)
def test_both_listeners(backend: str, admin: str, words: tuple[str, ...]) -> None:
    with served(backend, f"unix:{admin}", *words) as server:
        for path in ("/health/live", "/health/ready", "/health/startup"):
            assert ask(server.address, path) == (200, "ok")
            eventually(lambda path=path: ask(admin, path) == (200, "ok"), path)  # type: ignore[misc]

        def worker() -> dict[str, Any]:
            said: dict[str, Any] = fetch(admin, request("/health/workers")).json()["workers"][0]
            return said

        eventually(lambda: worker()["requests"] >= 4, "the worker tells of its requests")
        told = worker()
        assert (told["id"], told["pid"], told["state"]) == (0, server.pid, "ready")
        assert told.get("checks", {}).get("count", 0) == (0 if "none" in words else 1)
        assert fetch(admin, request("/plain")).status == 404
        assert Path(admin).stat().st_mode & 0o777 == 0o600
        assert server.stop() == 0
        log = server.stdout()
        assert "/plain" in log
        assert "/health" not in log, "probes are not in the access log"
        assert not Path(admin).exists()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_checks_that_fail(backend: str, admin: str, kind: str) -> None:
    with served(backend, f"unix:{admin}", kind) as server:
        eventually(lambda: ask(admin, "/health/ready") == (200, "ok"), "checks are good")
        fetch(server.address, request("/flip"))
        eventually(
            lambda: ask(server.address, "/health/ready") == (503, "failed"), "a check has failed"
        )
        eventually(
            lambda: ask(admin, "/health/ready") == (503, "not ready"), "the listener knows of it"
        )
        assert ask(admin, "/health/live") == (200, "ok")
        assert "GET /health/ready HTTP/1.1" in server.stdout(), "what is not 200 is logged"
        assert "health check 'check' failed" in server.stderr()
        fetch(server.address, request("/flip"))
        eventually(lambda: ask(admin, "/health/ready") == (200, "ok"), "checks are good again")
        assert "health check 'check' is good again" in server.stderr()


@pytest.mark.parametrize("target", ["/spin", "/spin-in-c"])
def test_the_listener_answers_while_the_server_hangs(backend: str, admin: str, target: str) -> None:
    with served(backend, f"unix:{admin}", "none") as server, Client(server.address) as client:
        assert ask(admin, "/health/live") == (200, "ok")
        client.send(request(target))

        def busy() -> float:
            return float(fetch(admin, request("/health/workers")).json()["workers"][0]["busy"])

        eventually(lambda: busy() > 0.1, "the loop is away from its wait")
        assert ask(admin, "/health/live") == (200, "ok"), "not yet for too long"
        server.send_signal(signal.SIGKILL)


def test_the_listener_while_the_server_drains(backend: str, admin: str) -> None:
    with served(backend, f"unix:{admin}", "none") as server, Client(server.address) as client:
        client.send(request("/sleep"))
        eventually(lambda: "asleep" in server.stdout(), "the handler sleeps")
        server.send_signal(signal.SIGTERM)
        eventually(lambda: ask(admin, "/health/ready")[0] == 503, "it drains")
        assert ask(admin, "/health/live") == (200, "ok")
        assert client.answer().body == b"slept"
        assert server.wait() == 0


def test_a_busy_address_ends_the_start(backend: str) -> None:
    with listening() as sock, listening() as other:
        host, port = sock.getsockname()
        process = Process(
            [str(APP), str(other.fileno()), f"{host}:{port}"],
            (other.fileno(),),
            CELLO_BACKEND=backend,
        )
        try:
            assert process.wait() == 1
            assert f"cannot listen on {host}:{port} for health: Address already" in process.stderr()
        finally:
            process.close()
