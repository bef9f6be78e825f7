"""Unix sockets: who may connect, and who did."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cello import App, Request
from wire import Client, fetch, request
from wire_process import program

ASK = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b"GET /who HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
while piece := client.recv(4096):
    sys.stdout.write(piece.decode())
"""


def make_app() -> App:
    app = App()

    @app.get("/who")
    def who(req: Request) -> object:
        return req.peer_credentials

    @app.get("/names")
    def names(req: Request) -> object:
        found = req.peer_credentials
        assert found is req.peer_credentials
        return found and {"pid": found.pid, "uid": found.uid, "gid": found.gid}

    @app.get("/later")
    async def later(req: Request) -> object:
        import asyncio

        await asyncio.sleep(0.01)
        return req.peer_credentials

    @app.get("/pooled", blocking=True)
    def pooled(req: Request) -> object:
        return req.peer_credentials

    return app


def test_who_connected(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    here = [os.getpid(), os.getuid(), os.getgid()]
    with make_app().start(uds=str(path), backend=backend), Client(str(path)) as client:
        for target in ("/who", "/later", "/pooled", "/who"):
            assert client.ask(request(target)).json() == here, target
        names = dict(zip(("pid", "uid", "gid"), here, strict=True))
        assert client.ask(request("/names")).json() == names


def test_who_connected_from_another_process(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with make_app().start(uds=str(path), backend=backend):
        child = subprocess.Popen(
            [sys.executable, "-c", ASK, str(path)], stdout=subprocess.PIPE, text=True
        )
        answer, _ = child.communicate(timeout=30)
        assert answer.endswith(f"[{child.pid},{os.getuid()},{os.getgid()}]")


def test_not_over_tcp(backend: str) -> None:
    with make_app().start(backend=backend) as server:
        for target in ("/who", "/names", "/later", "/pooled"):
            assert fetch(server.addresses[0], request(target)).body in (b"null", b"")


def test_not_of_a_request_made_by_hand() -> None:
    assert Request("GET", "/").peer_credentials is None


@pytest.mark.parametrize(("mode", "expected"), [(None, 0o666), (0o600, 0o600), (0o660, 0o660)])
def test_mode(tmp_path: Path, backend: str, mode: int | None, expected: int) -> None:
    path = tmp_path / "s"
    before = os.umask(0o077)  # it does not matter
    try:
        with make_app().start(uds=str(path), uds_mode=mode, backend=backend):
            assert stat.S_IMODE(path.stat().st_mode) == expected
    finally:
        os.umask(before)


def test_mode_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "s"
    script = tmp_path / "app.py"
    script.write_text(
        "from cello import App\napp = App()\napp.static_response('/', 'x')\napp.run()"
    )
    with program([str(script), f"--uds={path}", "--uds-mode=640"]) as process:
        while "unix:" not in process.stderr():
            assert not process.ends_by(0)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert process.stop() == 0
