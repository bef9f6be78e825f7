"""Servers for the black-box tests: on both back ends, and reached over every transport.

A test speaks HTTP/1.1 in clear, unless it or its module is marked

    pytestmark = pytest.mark.transports(*TRANSPORTS)

Then it runs as it is over each of them: servers that are started meanwhile speak it, and so does
every wire.Client. What is about the bytes of HTTP/1.1 stays there; README.md of this folder says
what runs where.
"""

import os
from collections.abc import Iterator

import pytest
from wire import TRANSPORTS, speak, variables
from wire_process import ServerProcess, server_process

BACKENDS = ("epoll", "io_uring")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("transports")
    if marker and "transport" in metafunc.fixturenames:
        assert set(marker.args) <= set(TRANSPORTS), marker.args
        metafunc.parametrize("transport", marker.args, indirect=True, scope="session")


@pytest.fixture(scope="session")
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    """Spoken by servers and clients that are made while a test has it."""
    name = str(getattr(request, "param", "h1"))
    added = variables(name)
    os.environ.update(added)
    with speak(name):
        yield name
    for variable in added:
        del os.environ[variable]


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest, transport: str) -> str:
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


@pytest.fixture
def crashes_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """AddressSanitizer would have the last word, where the tests run under it."""
    monkeypatch.setenv("ASAN_OPTIONS", f"{os.environ.get('ASAN_OPTIONS', '')}:handle_segv=0")
