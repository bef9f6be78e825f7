"""HTTPS of several workers."""

import signal
import ssl
from pathlib import Path

import pytest
from wire import fetch, request
from wire_cluster import cluster, written
from wire_tls import certificates

PROGRAM = """
from cello import App, Request, TlsConfig
import sys
app = App()

@app.get("/who")
def who(req: Request):
    return [app.worker_id, req.scheme]

if __name__ == "__main__":
    tls = TlsConfig(sys.argv[1], sys.argv[2], redirect_http=0)
    app.run(port=0, workers=2, logs=False, tls=tls)
"""


def session_of(
    port: int, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[ssl.SSLSession | None, bool, int]:
    """A connection's session, whether it resumed one, and its worker."""
    import json
    import socket

    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as sock:
        sock.sendall(request("/who", "Connection: close"))
        answer = b""
        while data := sock.recv(65536):
            answer += data
        worker, scheme = json.loads(answer.split(b"\r\n\r\n", 1)[1])
        assert scheme == "https"
        return sock.session, bool(sock.session_reused), worker


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_resume_at_any_worker(
    tmp_path: Path, backend: str, version: ssl.TLSVersion
) -> None:
    files = certificates()
    words = [written(tmp_path, PROGRAM), str(files.certificate), str(files.key)]
    with cluster(*words, CELLO_BACKEND=backend) as processes:
        shown = processes.expect(r"^Cello [\d.]+ on https://127.0.0.1:(\d+), http://.*:(\d+) \(2 w")
        port, plain = int(shown[1]), int(shown[2])
        context = files.client("http/1.1")
        context.minimum_version = context.maximum_version = version
        session, reused, _ = session_of(port, context, None)
        assert not reused
        seen: set[int] = set()
        while len(seen) < 2:
            _, reused, worker = session_of(port, context, session)
            assert reused
            seen.add(worker)
        answer = fetch(("127.0.0.1", plain), request("/x", host="localhost"))
        assert answer.get("Location") == f"https://localhost:{port}/x"
        processes.send_signal(signal.SIGHUP)  # new workers, who know the old keys
        processes.expect_all(r"^worker 0 .*has ended", r"^worker 1 .*has ended")
        assert session_of(port, context, session)[1]
        assert processes.stop() == 0


def test_a_key_that_is_not_secret_is_warned_of_once(tmp_path: Path) -> None:
    files = certificates()
    key = tmp_path / "site.key"
    key.write_bytes(files.key.read_bytes())
    key.chmod(0o644)
    with cluster(written(tmp_path, PROGRAM), str(files.certificate), str(key)) as processes:
        processes.expect(r"^Cello [\d.]+ on https://")
        warned = f"the key '{key}' is not secret: its mode is 0644, everybody may read it"
        assert processes.stop() == 0
        assert processes.text.count(warned) == 1, processes.text
