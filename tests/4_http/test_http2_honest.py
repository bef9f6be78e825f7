"""HTTP/2 clients that mean well: none meets a limit that is there for others, or loses a request.

What pays for each kind of frame is in tests/1_unit/http2/honest_test.c, and what a slow link does
is in body_test.c and stream_test.c beside it, with a clock that the tests move. Here are real
clients.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from wire import fetch, request
from wire_frames import PING, Frames, frame, get, reset, window_update
from wire_marks import http2
from wire_process import ServerProcess, server_process

APP = Path(__file__).with_name("abuse_app.py")
GO_CLIENT = Path(__file__).with_name("honest_client")
HELD = 0.012  # seconds for which a request has to wait until cancelling it is paid for, and more


@pytest.fixture(scope="module")
def app_server(backend: str) -> Iterator[ServerProcess]:
    with server_process(backend, app=APP) as process:
        yield process


def url(server: ServerProcess, transport: str, path: str = "") -> str:
    scheme = "https" if transport == "h2" else "http"
    return f"{scheme}://127.0.0.1:{server.address[1]}{path}"


# ---- nghttp2's client ----

LOADS = {  # requests, words for h2load, path
    "many at once": (5000, "-m 100", "/plain"),
    "more at once than allowed": (5000, "-m 1000", "/plain"),
    "windows of 255 bytes": (3, "-m 3 -w 8 -W 8", "/big"),
    "windows of 4 KB, pieces that are joined": (3, "-m 3 -w 12 -W 12", "/chunks"),
    "windows of 64 KB": (20, "-m 10 -w 16 -W 16", "/big"),
    "windows of 1 GB": (20, "-m 10 -w 30 -W 30", "/big"),
}


@http2
@pytest.mark.parametrize("load", LOADS)
def test_h2load(app_server: ServerProcess, transport: str, load: str) -> None:
    count, words, path = LOADS[load]
    command = ["h2load", "-c", "1", "-n", str(count), *words.split()]
    done = subprocess.run(
        [*command, url(app_server, transport, path)], capture_output=True, text=True, timeout=120
    )
    assert f" {count} succeeded, 0 failed" in done.stdout, done.stdout + done.stderr


# ---- what libraries do ----


@pytest.mark.transports("h2c")
def test_a_page_that_is_left_again_and_again(app_server: ServerProcess) -> None:
    with Frames(app_server.address) as client:
        streams = iter(range(1, 1 << 20, 2))
        for _ in range(60):
            page = [next(streams) for _ in range(50)]
            client.send(*(get(i, "/held") for i in page))
            client.ping()
            time.sleep(HELD)
            client.send(*(reset(i) for i in page))
        client.assert_open(next(streams))
    assert fetch(app_server.address, request("/counts")).json()["called"] >= 3000


@pytest.mark.transports("h2c")
def test_an_answer_to_each_frame(app_server: ServerProcess) -> None:
    """Both windows and a round trip: a library without thresholds that measures the bandwidth."""
    with Frames(app_server.address) as client:
        for i in range(1, 400, 2):
            client.send(get(i, "/big" if i < 40 else "/plain"))
            while i not in client.ended:
                assert not client.at_end and client.goaway is None
                client.seen.clear()
                client.read()
                for one in client.seen:
                    if size := getattr(one, "flow_controlled_length", 0):
                        client.send(window_update(0, size), frame(PING, 0, 0, b"12345678"))
                        client.send(window_update(one.stream_id, size))
        client.assert_open(401)


# ---- Go's client ----

SCENES = ["small", "timeouts", "races", "seeks", "pages", "early", "pieces", "chunks", "late"]


@pytest.fixture(scope="session")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of Go's standard library alone."""
    if not shutil.which("go"):
        pytest.skip("needs Go")
    built = tmp_path_factory.mktemp("go") / "client"
    subprocess.run(["go", "build", "-o", built, "."], cwd=GO_CLIENT, check=True)
    return built


@pytest.mark.slow
@http2
@pytest.mark.timeout(180)
@pytest.mark.parametrize("scene", SCENES)
def test_go(app_server: ServerProcess, go_client: Path, transport: str, scene: str) -> None:
    words = [go_client, url(app_server, transport), scene]
    done = subprocess.run(words, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
