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
from wire import TRANSPORTS, speak
from wire_process import ServerProcess, server_process
from wire_tls import certificates

BACKENDS = ("epoll", "io_uring")
SERVED = ("h1",)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("transports")
    if marker and "transport" in metafunc.fixturenames:
        assert set(marker.args) <= set(TRANSPORTS), marker.args
        names = [name for name in marker.args if name in SERVED]
        metafunc.parametrize("transport", names, indirect=True, scope="session")


def variables(transport: str) -> dict[str, str]:
    """The environment of a server that speaks it."""
    if transport in ("h1-tls", "h2"):
        files = certificates()
        return {
            "CELLO_TLS_CERT_PATH": str(files.certificate),
            "CELLO_TLS_KEY_PATH": str(files.key),
        }
    return {"CELLO_HTTP2_H2C": "1"} if transport == "h2c" else {}


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
