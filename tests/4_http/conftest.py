"""Servers for the black-box tests, on both back ends."""

from collections.abc import Iterator

import pytest
from wire_process import ServerProcess, server_process

BACKENDS = ("epoll", "io_uring")


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def server(backend: str) -> Iterator[ServerProcess]:
    """wire_app.make_app() in a process of its own, without asyncio."""
    with server_process(backend) as process:
        yield process


@pytest.fixture(scope="session")
def async_server(backend: str) -> Iterator[ServerProcess]:
    """wire_app.make_async_app(): asyncio is a guest."""
    with server_process(backend, "async") as process:
        yield process
