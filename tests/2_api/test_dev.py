"""The development server: real processes, real files, real sockets."""

import http.client
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cello._dev import Watch
from cli_process import CELLO, Running, cello, running

APP = """\
import os
from cello import App

app = App()

@app.get("/")
def index(req):
    return {"text": "%s", "pid": os.getpid()}
"""


class Dev:
    """A development server, and one request at a time to it."""

    def __init__(self, process: Running, folder: Path, address: tuple[str, int]) -> None:
        self.process = process
        self.folder = folder
        self.address = address

    def ask(self, path: str = "/", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def pid(self) -> int:
        """Of the process that serves."""
        found = re.search(r'"pid":(\d+)', self.ask()[1])
        assert found
        return int(found[1])

    def save(self, text: str, name: str = "app.py") -> int:
        """Replace a file as editors do; the number of lines that were written until then."""
        temporary = self.folder / f".{name}.tmp"
        temporary.write_text(text)
        lines = len(self.process.lines)
        temporary.replace(self.folder / name)
        return lines

    def until(self, found: Callable[[str], bool], **headers: str) -> str:
        """Ask until the answer is as it should be. No request fails on the way."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            text = self.ask(**headers)[1]
            if found(text):
                return text
        raise AssertionError(f"{text!r}; {self.process.lines}")


@contextmanager
def dev(
    folder: Path,
    *args: str,
    command: tuple[str, ...] = (*CELLO, "dev", "app:app"),
    **variables: str,
) -> Iterator[Dev]:
    with running((*command, "--port", "0", *args), folder, variables=variables) as process:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", process.line_with("Cello "))
        assert found
        yield Dev(process, folder, ("127.0.0.1", int(found[1])))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP % "old")
    return tmp_path


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    """Wait for a process that is no child of this one to end."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    import select

    try:
        return bool(select.select([fd], [], [], 20)[0])
    finally:
        os.close(fd)


# ---- saved files ----


@pytest.mark.parametrize("backend", ["epoll", "io_uring"])
def test_new_code_answers_after_a_save_and_no_request_fails(folder: Path, backend: str) -> None:
    failures: list[Exception] = []
    answers: set[str] = set()
    ended = threading.Event()

    with dev(folder, "--backend", backend) as server:

        def ask_all_the_time() -> None:
            while not ended.is_set():
                try:
                    answers.add(re.sub(r"\d+", "", server.ask()[1]))
                except OSError as error:
                    failures.append(error)

        first = server.pid()
        thread = threading.Thread(target=ask_all_the_time)
        thread.start()
        try:
            for text in ("one", "two", "three"):
                server.save(APP % text)
                server.until(lambda answer, text=text: text in answer)  # type: ignore[misc]
        finally:
            ended.set()
            thread.join()
        assert failures == []
        assert len(answers) >= 4
        assert server.pid() != first
        assert server.process.stop() == 0


def test_the_port_stays_while_nothing_serves(folder: Path) -> None:
    """A request in the middle of a restart waits for it."""
    with dev(folder) as server:
        assert "old" in server.ask()[1]
        reading, writing = os.pipe()
        os.mkfifo(folder / "wait")
        lines = server.save("open('wait').read()\n" + APP % "new")
        server.process.line_with("app.py changed", lines)
        with open(folder / "wait", "w"):  # the new process is in the middle of its import
            connection = http.client.HTTPConnection(*server.address, timeout=20)
            connection.request("GET", "/")
        assert "new" in connection.getresponse().read().decode()
        connection.close()
        os.close(reading)
        os.close(writing)


def test_other_files(folder: Path) -> None:
    (folder / "templates").mkdir()
    (folder / "page.html").write_text("")
    with dev(folder, "--reload-include", "*.html") as server:
        first = server.pid()
        server.save("x = 1\n", "notes.txt")
        lines = server.save("<p>", "page.html")
        assert "page.html" in server.process.line_with("changed", lines)
        server.until(lambda text: str(first) not in text)
        assert not any("notes.txt" in line for line in server.process.lines)


def test_a_module_that_the_application_imports(folder: Path) -> None:
    (folder / "texts.py").write_text("HELLO = 'one'\n")
    program = "from texts import HELLO\nfrom cello import App\napp = App()\n"
    (folder / "app.py").write_text(program + "app.get('/')(lambda: HELLO)\n")
    with dev(folder) as server:
        assert server.ask()[1] == "one"
        server.save("HELLO = 'two'\n", "texts.py")
        server.until(lambda text: text == "two")


def test_variables_of_the_env_file_are_read_again(folder: Path) -> None:
    (folder / ".env").write_text("TEXT=one\n")
    (folder / "app.py").write_text(
        "import os\nfrom cello import App\napp = App()\napp.get('/')(lambda: os.environ['TEXT'])\n"
    )
    with dev(folder, "--env-file", ".env") as server:
        assert server.ask()[1] == "one"
        server.save("TEXT=two\n", ".env")
        server.until(lambda text: text == "two")


def test_what_concerns_the_program(tmp_path: Path) -> None:
    watch = Watch((tmp_path,), ("*.py", "*.html", "data/*.json"), tmp_path / ".env")
    for name in ("a.py", "b/c.py", "templates/d.html", "data/e.json", ".env"):
        assert watch.concerns(str(tmp_path / name)), name
    for name in ("a.pyc", "a.txt", ".git/a.py", ".a.py", "__pycache__/a.py", "e.json", "x/.env"):
        assert not watch.concerns(str(tmp_path / name)), name
    inside = Watch((tmp_path, tmp_path / "b"), env_file=tmp_path / "b/.env")
    assert inside.roots() == [tmp_path]


# ---- errors of the program ----

HTML = {"Accept": "text/html"}


def test_a_broken_program_is_shown_and_mends(folder: Path) -> None:
    with dev(folder) as server:
        assert "old" in server.ask()[1]
        lines = server.save("def f(:\n<script>\n")
        assert "app.py" in server.process.line_with('File "', lines)
        server.process.line_with("SyntaxError", lines)
        server.process.line_with("waiting for a change", lines)
        page = server.until(lambda text: "<!doctype html>" in text, **HTML)
        assert "SyntaxError" in page and "<script" not in page
        assert server.ask("/any/path", **HTML)[0] == 500
        status, plain = server.ask("/")  # not a browser
        assert (status, plain) == (500, "The program could not be started.\n")

        lines = server.save("raise RuntimeError('<b>mine</b>')\n")
        page = server.until(lambda text: "RuntimeError" in text, **HTML)
        assert "&lt;b&gt;mine&lt;/b&gt;" in page and "<b>mine" not in page
        server.process.line_with("RuntimeError: <b>mine</b>", lines)

        server.save(APP % "mended")
        server.until(lambda text: "mended" in text, **HTML)
        assert server.process.stop() == 0


def test_broken_from_the_start(folder: Path) -> None:
    (folder / "app.py").write_text("import nowhere_to_be_found\n")
    with dev(folder) as server:
        assert "nowhere_to_be_found" in server.ask(**HTML)[1]
        server.save(APP % "mended")
        server.until(lambda text: "mended" in text)


def test_an_application_that_is_not_there_yet(folder: Path) -> None:
    (folder / "app.py").write_text("")
    with dev(folder) as server:
        server.process.line_with("cello: module 'app' has no 'app'")
        assert "module &#x27;app&#x27; has no &#x27;app&#x27;" in server.ask(**HTML)[1]
        server.save(APP % "mended")
        server.until(lambda text: "mended" in text)


def test_a_start_up_hook_that_fails(folder: Path) -> None:
    hook = "\n@app.on_startup\ndef start():\n    raise RuntimeError('no database')\n"
    (folder / "app.py").write_text(APP % "old" + hook)
    with dev(folder) as server:
        server.process.line_with("waiting for a change")
        assert "no database" in server.ask(**HTML)[1]
        assert sum("RuntimeError: no database" in line for line in server.process.lines) == 1
        server.save(APP % "mended")
        server.until(lambda text: "mended" in text)


@pytest.mark.parametrize(
    ("end", "how"),
    [("sys.exit(3)", "ended with status 3"), ("os.kill(os.getpid(), 9)", "signal 9 (Killed)")],
)
def test_a_program_that_ends(folder: Path, end: str, how: str) -> None:
    (folder / "app.py").write_text(f"import os, sys\n{end}\n")
    with dev(folder) as server:
        server.process.line_with(how)
        server.process.line_with("waiting for a change")
        assert how in server.ask(**HTML)[1]
        server.save(APP % "mended")
        server.until(lambda text: "mended" in text)


def test_error_pages_are_on_also_in_production(folder: Path) -> None:
    (folder / "app.py").write_text(APP % "old" + "\n@app.get('/e')\ndef e():\n    return 1 / 0\n")
    with dev(folder, CELLO_ENV="production") as server:
        status, page = server.ask("/e", **HTML)
        assert status == 500 and "ZeroDivisionError" in page


# ---- the end ----


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_both(folder: Path, number: int) -> None:
    with dev(folder) as server:
        pid = server.pid()
        assert server.process.stop(number) == 0
        assert not is_running(pid)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.address)


def test_control_c_runs_shutdown_hooks_once(folder: Path) -> None:
    """A terminal sends SIGINT to both."""
    hook = "\n@app.on_shutdown\ndef end():\n    with open('ended', 'a') as f: f.write('x')\n"
    (folder / "app.py").write_text(APP % "old" + hook)
    with dev(folder) as server:
        os.kill(server.pid(), signal.SIGINT)
        assert "old" in server.ask()[1]
        assert server.process.stop() == 0
    assert (folder / "ended").read_text() == "x"


def test_no_orphan_when_the_supervisor_is_killed(folder: Path) -> None:
    with dev(folder) as server:
        pid = server.pid()
        server.process.process.kill()
        assert gone(pid)


def test_a_process_that_does_not_end_is_ended(folder: Path) -> None:
    (folder / "app.py").write_text(
        APP % "old" + "\nimport signal\n"
        "@app.get('/deaf')\n"
        "def deaf(req):\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    )
    with dev(folder) as server:
        first = server.pid()
        assert server.ask("/deaf")[0] == 204
        server.save(APP % "new")
        assert gone(first)
        assert "new" in server.ask()[1]


# ---- app.run(reload=True) ----


@pytest.mark.parametrize("how", ["argument", "option", "module", "variable"])
def test_programs_that_reload_themselves(folder: Path, how: str) -> None:
    call = "app.run(reload=True)" if how == "argument" else "app.run()"
    program = APP + f"\nif __name__ == '__main__':\n    {call}\n"
    (folder / "app.py").write_text(program % "old")
    command: tuple[str, ...] = (sys.executable, "-W", "error", "app.py")
    variables = {}
    if how == "module":
        command = (sys.executable, "-W", "error", "-m", "app")
    if how == "variable":
        variables = {"CELLO_RELOAD": "1"}
    elif how != "argument":
        command += ("--reload",)
    with dev(folder, "--env", "production", command=command, **variables) as server:
        first = server.pid()
        server.save(program % "new")
        text = server.until(lambda text: "new" in text)
        assert str(first) not in text
        server.save("def f(:\n")
        server.until(lambda text: "SyntaxError" in text, **HTML)
        server.save(program % "mended")
        server.until(lambda text: "mended" in text)
        assert server.process.stop() == 0


def test_without_watchfiles(folder: Path) -> None:
    (folder / "hide").mkdir()
    (folder / "hide/sitecustomize.py").write_text("import sys\nsys.modules['watchfiles'] = None\n")
    done = cello("dev", "app", "--port", "0", cwd=folder, PYTHONPATH=str(folder / "hide"))
    assert done.returncode == 1
    assert "needs watchfiles: pip install 'cello[standard]'" in done.stderr


def test_unix_socket(folder: Path) -> None:
    path = folder / "s"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    with running((*CELLO, "dev", "app", "--uds", str(path)), folder) as process:
        assert f"unix:{path}" in process.line_with("Cello ")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"old" in b"".join(iter(lambda: client.recv(65536), b""))
        assert process.stop() == 0
    assert not path.exists()
