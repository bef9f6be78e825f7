"""Every example runs, and answers what it says it answers.

The docstring of a Python example is a conversation:

    $ curl -i http://127.0.0.1:8000/text
    HTTP/1.1 200 OK
    Content-Type: text/plain; charset=utf-8

    hello

With -i, the lines of the head are some of those that are sent, and a body follows the empty line;
without an empty line the body is not compared.
"""

import ast
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest
import services
from api_client import BACKENDS, Answer, Client, serving
from cello import App, RequestIdConfig
from form_bodies import MULTIPART, Part, body_of

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sorted((ROOT / "examples/python").glob("[0-9]*.py"))
HELLO_C = ROOT / "build/dev/examples/hello"

SHORTEST = """\
from cello import App
app = App()

@app.get("/hello")
def hello(req):
    return {"msg": "hello"}

if __name__ == "__main__":
    app.run()
"""
# It has no docstring.
HELLO = '$ curl http://127.0.0.1:8000/hello\n{"msg":"hello"}'


# ---- conversations ----


@dataclass
class Turn:
    command: str
    expected: list[str] = field(default_factory=list)

    def ask(self, client: Client) -> tuple[Answer, bool]:
        """The answer, and whether its head is shown: what curl would do."""
        words = iter(shlex.split(self.command)[1:])
        method, body, headers, url, show = None, None, {}, "", False
        parts_of_form: list[Part] = []
        for word in words:
            if word == "-i":
                show = True
            elif word == "-X":
                method = next(words)
            elif word == "-d":
                body = next(words).encode()
            elif word == "-F":
                parts_of_form.append(form_part(next(words)))
                body, headers = body_of(*parts_of_form), dict(MULTIPART)
            elif word == "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            else:
                assert word.startswith("http://127.0.0.1:8000/"), word
                parts = urlsplit(word)
                url = parts.path + ("?" + parts.query if parts.query else "")
        method = method or ("POST" if body is not None else "GET")
        return client.ask(url, method, body, headers), show

    def check(self, client: Client) -> None:
        answer, show = self.ask(client)
        text = "\n".join(self.expected)
        if not show:
            assert answer.text.strip("\n") == text
            return
        head, has_body, body = text.partition("\n\n")
        status, *fields = head.split("\n")
        assert f"HTTP/1.1 {answer.status} {answer.reason}" == status, self.command
        sent = [f"{name}: {value}" for name, value in answer.headers.items()]
        assert [line for line in fields if line not in sent] == [], sent
        if has_body:
            assert answer.text.strip("\n") == body


def form_part(word: str) -> Part:
    """Of curl's -F: name=value, or name=@file of the folder of the examples."""
    name, _, value = word.partition("=")
    if not value.startswith("@"):
        return Part(name, value.encode())
    path = ROOT / "examples/python" / value[1:]
    return Part(name, path.read_bytes(), path.name, "application/octet-stream")


def conversation(text: str) -> list[Turn]:
    turns: list[Turn] = []
    for line in text.strip("\n").split("\n"):
        if line.startswith("$ "):
            turns.append(Turn(line[2:]))
        elif turns:
            turns[-1].expected.append(line)
    return turns


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or HELLO


# ---- programs ----


@contextmanager
def environment_of(path: Path) -> Iterator[dict[str, str]]:
    """Where the databases are that an example asks for."""
    if "DATABASE_URL" not in path.read_text():
        yield {}
        return
    if services.missing():
        pytest.skip(services.missing())
    with services.environment() as found:
        yield found


@contextmanager
def program(
    command: list[str], backend: str = "auto", environment: dict[str, str] | None = None
) -> Iterator[Client]:
    """A program that prints its URL, and ends with 0 when it is asked to."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            **(environment or {}),
            "CELLO_BACKEND": backend,
            "PYTHONUNBUFFERED": "1",
        },
    )
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                break
        else:
            pytest.fail(f"{command}: {''.join(lines)}")
        client = Client(("127.0.0.1", int(found[1])))
        yield client
        client.close()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=10)
        assert process.returncode == 0, rest
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "path", [p for p in PYTHON if "$ curl" in docstring(p)], ids=lambda p: p.stem
)
def test_python_example(path: Path, backend: str) -> None:
    turns = conversation(docstring(path))
    command = [sys.executable, "-W", "error", str(path), "--port", "0"]
    with environment_of(path) as environment, program(command, backend, environment) as client:
        for turn in turns:
            turn.check(client)


@pytest.mark.parametrize(
    "path", [p for p in PYTHON if "Prints:" in docstring(p)], ids=lambda p: p.stem
)
def test_python_program(path: Path) -> None:
    command = [sys.executable, "-W", "error", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == docstring(path).partition("Prints:\n")[2].strip()


def test_every_example_is_run() -> None:
    numbers = [int(path.name[:2]) for path in PYTHON]
    assert len(set(numbers)) == len(numbers) and numbers[0] == 1
    for path in PYTHON:
        assert ("$ curl" in docstring(path)) != ("Prints:" in docstring(path)), path


def test_the_first_example_is_the_shortest_program() -> None:
    text = (ROOT / "examples/python/01_hello.py").read_text()
    assert text == SHORTEST


# ---- C ----


@pytest.mark.skipif(not HELLO_C.exists(), reason="needs `make test`, which builds the C examples")
def test_c_example_without_python() -> None:
    linked = subprocess.run(["ldd", HELLO_C], capture_output=True, text=True, check=True).stdout
    assert "python" not in linked
    with program([str(HELLO_C), "0"]) as client:
        assert client.get("/").text == "Hello from C\n"
        assert client.get("/hello/w%C3%B6rld?shout=yes").text == "Hello, wörld!\n"
        assert client.get("/count").text == "".join(f"line {i}\n" for i in range(10))
        assert client.get("/nowhere").status == 404


@pytest.fixture(scope="module")
def native_module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """examples/c/native_module.c, built as its users would."""
    library = tmp_path_factory.mktemp("native") / "native_module.so"
    includes = [f"-I{ROOT / 'include'}", f"-I{sysconfig.get_path('include')}"]
    warnings = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"]
    source = str(ROOT / "examples/c/native_module.c")
    command = ["cc", "-shared", "-fPIC", "-O1", *warnings, *includes, source, "-o", str(library)]
    subprocess.run(command, check=True)
    spec = importlib.util.spec_from_file_location("native_module", library)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("backend", BACKENDS)
def test_native_handlers_of_an_extension(native_module: ModuleType, backend: str) -> None:
    app = App(use=[RequestIdConfig()])
    native_module.register(app)
    app.get("/native/python")(lambda: "Python")
    with serving(app, backend=backend) as client:
        answer = client.get("/native/w%C3%B6rld", X_Request_ID="abc")
        assert (answer.status, answer.text) == (200, "Hello, wörld\n")
        assert answer.headers["X-Request-ID"] == "abc"
        assert client.get("/native/you?greeting=Good+day").text == "Good day, you\n"
        assert client.get("/native/" + "x" * 101).status == 400
        answer = client.ask("/native/length", "POST", b"x" * 100_000)
        assert answer.data == {"length": 100_000} and answer.headers["X-Answered-By"] == "C"
        assert client.server.stats()["gil_acquisitions"] == 0
        assert client.get("/native/python").text == "Python"
        assert client.server.stats()["gil_acquisitions"] == 1


def test_native_routes_fail_as_others_do(native_module: ModuleType) -> None:
    app = App()
    native_module.register(app)
    with pytest.raises(ValueError, match="/native/"):
        native_module.register(app)
    with pytest.raises(TypeError, match=r"cello\.App"):
        native_module.register(object())
    with app.start(), pytest.raises(ValueError, match="frozen"):
        native_module.register(app)


# ---- the test can fail ----


def test_a_wrong_conversation_fails() -> None:
    path = ROOT / "examples/python/01_hello.py"
    wrong = (
        '$ curl http://127.0.0.1:8000/hello\n{"msg":"bye"}',
        "$ curl -i http://127.0.0.1:8000/hello\nHTTP/1.1 404 Not Found",
        "$ curl -i http://127.0.0.1:8000/hello\nHTTP/1.1 200 Fine",
        "$ curl -i http://127.0.0.1:8000/hello\nHTTP/1.1 200 OK\nX-No: 1",
        "$ curl -i http://127.0.0.1:8000/hello\nHTTP/1.1 200 OK\n\nno",
    )
    with program([sys.executable, str(path), "--port", "0"]) as client:
        for text in wrong:
            with pytest.raises(AssertionError):
                conversation(text)[0].check(client)
