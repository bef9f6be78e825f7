"""Files of certificates: wrong ones at the start, new ones while it serves, one for development."""

import os
import pty
import shutil
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from wire import Address, Client, connect_plain, eventually, fetch, request, speak
from wire_process import Process, listening, program, wait_readable
from wire_tls import Certificates, TlsSocket

PROGRAM = """
from cello import App, Request
app = App()

@app.get("/who")
def who(req: Request):
    return req.scheme

@app.get("/later")
async def later(req: Request):
    import asyncio
    await asyncio.sleep(0.002)
    return req.scheme

if __name__ == "__main__":
    app.run()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("made"))


@pytest.fixture
def files(made: Certificates, tmp_path: Path) -> Certificates:
    """A copy that a test may change."""
    folder = tmp_path / "files"
    shutil.copytree(made.folder, folder)
    copy = Certificates.__new__(Certificates)
    copy.folder, copy.authority = folder, folder / "authority.pem"
    copy.certificate, copy.key = folder / "localhost.pem", folder / "localhost.key"
    return copy


@pytest.fixture(autouse=True)
def _speaks() -> Iterator[None]:
    with speak("h1"):
        yield


# ---- wrong ones ----


def run_wrong(tmp_path: Path, cert: Path, key: Path, *words: str, **env: str) -> str:
    """What a program says that cannot start; it ends with 1."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    argv = [str(script), "--port=0", f"--tls-cert={cert}", f"--tls-key={key}", *words]
    with program(argv, **env) as process:
        assert process.wait() == 1
        assert "Traceback" not in process.stderr()
        return process.stderr().strip()


def test_wrong_files(tmp_path: Path, files: Certificates) -> None:
    missing, empty, garbage = (tmp_path / name for name in ("missing", "empty", "garbage"))
    empty.touch()
    garbage.write_bytes(os.urandom(3000))
    _, other_key = files.make("other", "DNS:other")
    encrypted = tmp_path / "encrypted.key"
    subprocess.run(
        ["openssl", "ec", "-in", files.key, "-aes256", "-passout", "pass:hush", "-out", encrypted],
        check=True,
        capture_output=True,
    )
    cert, key = files.certificate, files.key
    wrong: list[tuple[Path, Path, dict[str, str], str]] = [
        (missing, key, {}, f"'{missing}': No such file or directory"),
        (tmp_path, key, {}, str(tmp_path)),
        (empty, key, {}, str(empty)),
        (garbage, key, {}, str(garbage)),
        (key, key, {}, str(key)),
        (cert, missing, {}, f"'{missing}': No such file or directory"),
        (cert, garbage, {}, str(garbage)),
        (cert, cert, {}, str(cert)),
        (cert, other_key, {}, str(other_key)),
        (cert, encrypted, {}, str(encrypted)),
        (cert, encrypted, {"KEY_PASSWORD": "not-hush"}, str(encrypted)),
        (cert, key, {"CA_PATH": str(missing)}, f"'{missing}': No such file or directory"),
        (cert, key, {"CA_PATH": str(garbage)}, str(garbage)),
        (cert, key, {"SNI": f"a.example={cert},{other_key}"}, str(other_key)),
        (cert, key, {"CIPHERS": "ROT13"}, "ROT13"),
        (cert, key, {"OCSP_RESPONSE": str(garbage)}, "garbage"),
    ]
    for cert_path, key_path, more, part in wrong:
        env = {f"CELLO_TLS_{name}": value for name, value in more.items()}
        said = run_wrong(tmp_path, cert_path, key_path, **env)
        assert "cannot serve HTTPS: " in said and part in said, said
        assert "hush" not in said


def test_wrong_settings(tmp_path: Path, files: Certificates) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    argv = [str(script), "--port=0", f"--tls-cert={files.certificate}"]
    with program(argv) as process:
        assert process.wait() == 2
        assert "HTTPS needs --tls-key or CELLO_TLS_KEY_PATH, too" in process.stderr()
    argv.append(f"--tls-key={files.key}")
    with program(argv, CELLO_TLS_MIN_VERSION="1.1") as process:
        assert process.wait() == 2
        assert "CELLO_TLS_MIN_VERSION: min_version must be one of" in process.stderr()


def test_workers_say_it_once(tmp_path: Path, files: Certificates) -> None:
    said = run_wrong(tmp_path, tmp_path / "missing", files.key, "--workers=2")
    assert said.count("cannot serve HTTPS") == 1


def test_an_encrypted_key(tmp_path: Path, files: Certificates, backend: str) -> None:
    encrypted = tmp_path / "encrypted.key"
    subprocess.run(
        ["openssl", "ec", "-in", files.key, "-aes256", "-passout", "pass:hush", "-out", encrypted],
        check=True,
        capture_output=True,
    )
    files.key = encrypted
    with serving(tmp_path, files, backend, CELLO_TLS_KEY_PASSWORD="hush") as (_, address):
        assert ask(address, files) == "localhost"


def test_check(tmp_path: Path, files: Certificates) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "cello", "check", str(tmp_path / "program.py"), "--print"]

    def checked(cert: Path) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "CELLO_TLS_CERT_PATH": str(cert),
            "CELLO_TLS_KEY_PATH": str(files.key),
            "CELLO_TLS_KEY_PASSWORD": "hush",
        }
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    good = checked(files.certificate)
    assert good.returncode == 0 and "[TlsConfig]" in good.stdout, good
    assert "# CELLO_TLS_CERT_PATH" in good.stdout and "hush" not in good.stdout
    bad = checked(files.key)
    assert bad.returncode == 1 and str(files.key) in bad.stderr


# ---- new ones ----


def serving(folder: Path, files: Certificates, backend: str, *words: str, **env: str):  # type: ignore[no-untyped-def]
    """A program that serves with these files, and its address."""
    from contextlib import contextmanager

    script = folder / "program.py"
    script.write_text(PROGRAM)

    @contextmanager
    def run() -> Iterator[tuple[Process, Address]]:
        with listening() as sock:
            fd, address = sock.fileno(), sock.getsockname()
            argv = [str(script), f"--fd={fd}", f"--backend={backend}", "--no-logs"]
            argv += [f"--tls-cert={files.certificate}", f"--tls-key={files.key}", *words]
            with program(argv, (fd,), **env) as process:
                sock.close()
                yield process, address

    return run()


def ask(address: Address, files: Certificates) -> str:
    """The name in the certificate that a new connection gets, which must work."""
    context = ssl.create_default_context(cafile=str(files.authority))
    context.check_hostname = False
    context.set_alpn_protocols(["http/1.1"])
    sock = connect_plain(address)
    try:
        secure = TlsSocket(sock, context, "localhost")
        secure.sendall(request("/who", "Connection: close"))
        answer = b""
        while data := secure.recv(65536):
            answer += data
        assert answer.endswith(b"\r\n\r\nhttps"), answer
        found = secure.tls.getpeercert()
        assert found is not None
        return dict(part[0] for part in found["subject"])["commonName"]
    finally:
        sock.close()


def replace(files: Certificates, name: str) -> None:
    """As certbot does it: each file in one step."""
    cert, key = files.make(name, "DNS:localhost")
    os.replace(key, files.key)
    os.replace(cert, files.certificate)


def test_new_files_are_found(tmp_path: Path, files: Certificates, backend: str) -> None:
    with serving(tmp_path, files, backend) as (process, address):
        assert ask(address, files) == "localhost"
        sock = connect_plain(address)
        old = TlsSocket(sock, files.client("http/1.1"), "localhost")
        replace(files, "second")
        eventually(lambda: ask(address, files) == "second", "the new certificate")
        old.sendall(request("/who", "Connection: close"))  # and the open connection goes on
        assert old.recv(100).startswith(b"HTTP/1.1 200 ")
        sock.close()
        files.certificate.write_bytes(b"half")
        eventually(lambda: "stay as they were" in process.stderr(), "what the log says")
        assert str(files.certificate) in process.stderr()
        assert ask(address, files) == "second"
        replace(files, "third")
        eventually(lambda: ask(address, files) == "third", "the new certificate")
        assert process.stop() == 0


def test_reload_under_load(tmp_path: Path, files: Certificates, backend: str) -> None:
    """Requests on old and new connections while certificates come and go: none fails."""
    names: set[str] = set()
    failed: list[object] = []
    ended = threading.Event()

    with serving(tmp_path, files, backend) as (process, address):
        ask(address, files)

        def fresh() -> None:
            try:
                while not ended.is_set():
                    names.add(ask(address, files))
            except BaseException as error:
                failed.append(error)

        def kept() -> None:
            sock = connect_plain(address)
            try:
                secure = TlsSocket(sock, files.client("http/1.1"), "localhost")
                client = Client.__new__(Client)
                client.sock, client._buffer, client._dated = secure, b"", True  # type: ignore[assignment]
                while not ended.is_set():
                    for target in ("/who", "/later"):
                        assert client.ask(request(target)).body == b"https"
            except BaseException as error:
                failed.append(error)
            finally:
                sock.close()

        threads = [threading.Thread(target=work) for work in (fresh, fresh, kept, kept)]
        for thread in threads:
            thread.start()
        try:
            for number in range(4):
                name = f"number-{number}"
                replace(files, name)
                if number % 2:
                    process.send_signal(signal.SIGHUP)
                eventually(lambda name=name: name in names or bool(failed), name)  # type: ignore[misc]
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        assert failed == []
        assert process.stop() == 0
        assert "Sanitizer" not in process.stderr()


def test_sighup_reads_them_at_once(tmp_path: Path, files: Certificates, backend: str) -> None:
    """The process goes on; what is wrong is said each time that somebody asks."""
    with serving(tmp_path, files, backend) as (process, address):
        assert ask(address, files) == "localhost"
        replace(files, "second")
        process.send_signal(signal.SIGHUP)
        eventually(lambda: "SIGHUP: new connections" in process.stderr(), "what the log says")
        assert ask(address, files) == "second"
        files.key.unlink()
        process.send_signal(signal.SIGHUP)
        eventually(lambda: f"'{files.key}'" in process.stderr(), "what the log says")
        assert ask(address, files) == "second"
        assert process.stop() == 0


def test_a_terminal_that_goes(tmp_path: Path, files: Certificates) -> None:
    """Its SIGHUP ends the process, as it does without TLS: nobody asked for a reload."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    argv = [sys.executable, str(script), "--port=0"]
    argv += [f"--tls-cert={files.certificate}", f"--tls-key={files.key}"]
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, argv)
    try:
        shown = b""
        while b"https://" not in shown:
            wait_readable(terminal)
            shown += os.read(terminal, 65536)
        os.kill(pid, signal.SIGHUP)
        while b"certificates" not in shown:
            wait_readable(terminal)
            shown += os.read(terminal, 65536)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_failed_handshakes_are_told_to_who_debugs(tmp_path: Path, files: Certificates) -> None:
    with serving(tmp_path, files, "auto", "--log-level=debug") as (process, address):
        with connect_plain(address) as sock, pytest.raises(ssl.SSLError):
            TlsSocket(sock, ssl.create_default_context(), "localhost")
        ask(address, files)
        eventually(lambda: "handshake with 127.0.0.1 failed: " in process.stderr(), "the line")
        assert process.stop() == 0


# ---- for development ----


def test_dev(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    (tmp_path / "app.py").write_text(PROGRAM)
    cache = tmp_path / "cache"
    cert = cache / "cello" / "localhost.pem"
    argv = ["-m", "cello", "dev", "app.py", "--tls", "--port=0", f"--reload-dir={tmp_path}"]
    env = {"XDG_CACHE_HOME": str(cache), "PYTHONUNBUFFERED": "1"}
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        with program(argv, **env) as process:
            eventually(lambda: "https://127.0.0.1:" in process.stderr(), "where it is")
            said = process.stderr()
            assert f"HTTPS with a new certificate in {cert}: trust that file" in said
            assert (cache / "cello").stat().st_mode & 0o777 == 0o700
            assert cert.with_suffix(".key").stat().st_mode & 0o777 == 0o600
            port = int(said.split("https://127.0.0.1:")[1].split(",")[0].split()[0])
            context = ssl.create_default_context(cafile=str(cert))
            context.set_alpn_protocols(["http/1.1"])

            def shown(target: str) -> bytes:
                sock = connect_plain(("127.0.0.1", port))
                try:
                    secure = TlsSocket(sock, context, "localhost")
                    secure.sendall(request(target, "Connection: close"))
                    answer = b""
                    while data := secure.recv(65536):
                        answer += data
                    return answer
                finally:
                    sock.close()

            assert shown("/who").endswith(b"https")
            (tmp_path / "app.py").write_text("raise ValueError('so wrong')\n")
            eventually(lambda: b"could not be started" in shown("/who"), "the page about the error")
            process.send_signal(signal.SIGINT)
            assert process.wait() == 0
    finally:
        os.chdir(here)


def test_dev_whose_redirect_port_is_taken(tmp_path: Path, files: Certificates) -> None:
    """The page about it is there, and waits for a change."""
    pytest.importorskip("watchfiles")
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    argv = ["-m", "cello", "dev", str(script), "--port=0", f"--reload-dir={tmp_path}"]
    argv += [f"--tls-cert={files.certificate}", f"--tls-key={files.key}"]
    with listening() as taken:
        port = str(taken.getsockname()[1])
        with program(argv, CELLO_TLS_REDIRECT_HTTP=port, PYTHONUNBUFFERED="1") as process:
            eventually(lambda: "https://127.0.0.1:" in process.stderr(), "where it is")
            place = process.stderr().split("https://127.0.0.1:")[1].split(",")[0].split()[0]
            context = ssl.create_default_context(cafile=str(files.authority))
            for _ in range(3):
                secure = TlsSocket(connect_plain(("127.0.0.1", int(place))), context, "localhost")
                secure.sendall(request("/who", "Connection: close"))
                assert secure.recv(65536).startswith(b"HTTP/1.1 500 ")
                secure.close()
            assert process.stderr().count("waiting for a change") == 1
            process.send_signal(signal.SIGINT)
            assert process.wait() == 0


def test_the_redirects_of_a_program(tmp_path: Path, files: Certificates, backend: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    argv = [str(script), "--port=0", f"--backend={backend}"]
    argv += [f"--tls-cert={files.certificate}", f"--tls-key={files.key}"]
    with program(argv, CELLO_TLS_REDIRECT_HTTP="0") as process:
        eventually(lambda: ", http://127.0.0.1:" in process.stderr(), "where it is")
        secure, plain = process.stderr().split(" on ")[1].split(" (")[0].split(", ")
        port = int(plain.rsplit(":", 1)[1])
        answer = fetch(("127.0.0.1", port), request("/x", host="127.0.0.1"))
        assert answer.get("Location") == f"{secure}/x"
        assert process.stop() == 0
        assert '"GET /x HTTP/1.1" 308 0' in process.stdout()


def test_the_access_log(tmp_path: Path, files: Certificates) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        PROGRAM.replace(
            "app = App()",
            "app = App()\napp.enable_logging('{scheme} {tls_version} {tls_cipher} {path}')",
        )
    )
    with listening() as sock:
        fd, address = sock.fileno(), sock.getsockname()
        argv = [str(script), f"--fd={fd}", f"--tls-cert={files.certificate}"]
        with program([*argv, f"--tls-key={files.key}"], (fd,)) as process:
            sock.close()
            ask(address, files)
            fetch(address, request("/plain"))
            assert process.stop() == 0
            first, second = process.stdout().split("\n")[:2]
    assert first.startswith("https TLSv1.3 TLS_") and first.endswith(" /who")
    assert second == "http - - /plain"
