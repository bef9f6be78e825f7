"""The command line: what it finds, what it says, and with which status it ends."""

import json
import re
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

import cello as package
import pytest
from api_client import Client
from cello import _cli
from cello._cli import check
from cello._env_file import read
from cello._load import Stop
from cello._secrets import HIDDEN, is_secret
from cli_process import CELLO, cello, running

APP = """\
from typing import Annotated
from cello import App, Depends, Query, RequestIdConfig

app = App(use=[RequestIdConfig()])

def pool(): return 1
def session(db=Depends(pool)): return db
def friend(req): return True

@app.get("/items/{id:int}", guards=[friend])
async def item(req, id: int, page: Annotated[int, Query(ge=1)] = 1, db=Depends(session)):
    return {"id": id}

@app.post("/items", status=201, use=[RequestIdConfig("X-Other")])
def create(name: str):
    return name

app.static_response("/robots.txt", "none")
app.run()      # left undone: the command serves it
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "web.py").write_text(
        "from cello import App\n"
        "shop = App()\n"
        "shop.get('/')(lambda: 'shop')\n"
        "def make():\n    return shop\n"
        "def nothing():\n    pass\n"
        "def broken():\n    return 1 // 0\n"
        "number = 7\n"
        "class api:\n    app = shop\n"
    )
    return tmp_path


# ---- which application ----


@pytest.mark.parametrize(
    ("args", "count"),
    [
        (["app:app"], 3),
        (["app"], 3),
        (["app.py"], 3),
        (["./app.py:app"], 3),
        (["shop.web:shop"], 1),
        (["shop/web.py:shop"], 1),
        (["shop.web:api.app"], 1),
        (["shop.web:make", "--factory"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_ways_to_name_an_application(project: Path, args: list[str], count: int) -> None:
    done = cello("check", *args, cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert f": {count} route" in done.stdout


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["nowhere"], 1, "there is no module 'nowhere' in "),
        (["shop.nowhere"], 1, "there is no module 'shop.nowhere' in "),
        (["app:ap"], 1, "module 'app' has no 'ap'; did you mean app:app?"),
        (["shop.web"], 1, "module 'shop.web' has no 'app'; did you mean shop.web:shop?"),
        (["shop.web:number"], 1, "shop.web:number is not a cello.App but of type int"),
        (["shop.web:make"], 1, "but a function; add --factory if it makes one"),
        (["shop.web:number", "--factory"], 1, "is not a function but of type int"),
        (["shop.web:nothing", "--factory"], 1, "shop.web:nothing() is not a cello.App but None"),
        (["gone.py"], 1, "there is no file 'gone.py'"),
        (["app:"], 2, "'app:' is not MODULE:ATTRIBUTE, such as app:app"),
        (["my-app"], 2, "'my-app' is not the name of a module"),
        (["app", "--port", "http"], 2, "--port must be a port from 0 to 65535, not 'http'"),
        (["app", "--env-file", "gone"], 1, "cannot read 'gone': No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_typed_wrong_is_said_in_one_line(
    project: Path, args: list[str], status: int, message: str
) -> None:
    done = cello("run", *args, cwd=project)
    assert done.returncode == status
    assert done.stderr.startswith("cello: ") and done.stderr.count("\n") == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("import nowhere\n", "ModuleNotFoundError: No module named 'nowhere'"),
        ("def f(:\n", "SyntaxError"),
        (
            "x = 1\nraise RuntimeError('mine')\n",
            'line 2, in <module>\n    raise RuntimeError("mine',
        ),
        ("from cello import App\napp = App()\n@app.get('x')\ndef f(): ...\n", 'bad.py", line 3'),
        ("from cello import App\nApp().get('/')(eval('lambda x=1, *y: 1'))\n", 'bad.py", line 2'),
        ("from cello import App\ndef f(x: complex): ...\nApp().get('/')(f)\n", 'bad.py", line 3'),
    ],
)
def test_errors_of_the_program_are_its_own_traceback(tmp_path: Path, text: str, shown: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    done = cello("run", "bad", cwd=tmp_path)
    assert done.returncode == 1
    assert shown.replace('"mine', "'mine") in done.stderr
    assert "importlib" not in done.stderr and "/cello/" not in done.stderr


def test_errors_of_a_factory_are_its_own_traceback(project: Path) -> None:
    done = cello("run", "shop.web:broken", "--factory", cwd=project)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr and "load.py" not in done.stderr


# ---- run ----


def test_run_serves(project: Path) -> None:
    options = ("--no-logs", "--backend", "epoll")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        command = (*CELLO, "run", "shop.web:shop", "--fd", str(fd), *options)
        with running(command, project, (fd,)) as process:
            with Client(listener.getsockname()) as client:
                assert client.get("/").text == "shop"
            assert process.stop() == 0


def test_run_tells_where(project: Path) -> None:
    with running((*CELLO, "run", "app", "--port=0"), project) as process:
        found = re.search(r"http://127\.0\.0\.1:(\d+) \(\w+\)", process.line_with("Cello "))
        assert found
        with Client(("127.0.0.1", int(found[1]))) as client:
            assert client.get("/items/3").data == {"id": 3}
        assert process.stop() == 0


def test_a_busy_port(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        for command in ("run", "dev"):
            done = cello(command, "app", "--port", port, cwd=project)
            assert done.returncode == 1
            assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr


def test_a_host_that_is_not_there(project: Path) -> None:
    for host in ("nowhere.invalid", "a:b"):
        done = cello("run", "app", "--host", host, "--port=0", cwd=project)
        assert done.returncode == 1
        assert done.stderr == f"CRITICAL cannot listen on {host}:0: there is no such host\n"


# ---- env files ----


def test_env_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# a comment\n\nA=1\nexport B = two words # not this\nC='$A \\n'\n"
        'D="a\\tb\\n\\"c\\" \\\\ \\x" # nor this\nE=\nF=a#b\nG=#\n'
    )
    assert read(path) == {
        "A": "1",
        "B": "two words",
        "C": "$A \\n",
        "D": 'a\tb\n"c" \\ \\x',
        "E": "",
        "F": "a#b",
        "G": "",
    }


@pytest.mark.parametrize("line", ["A", "1A=1", "A='x", 'A="x', "=1", "A B=1"])
def test_env_file_with_a_wrong_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"\n{line}\n")
    with pytest.raises(Stop, match=r"\.env:2: this is not NAME=VALUE"):
        read(path)


# ---- check ----


def test_check_prints_every_setting_and_where_it_is_from(project: Path) -> None:
    (project / ".env").write_text("CELLO_PORT=81\nCELLO_LIMITS_MAX_URI=4096\nCELLO_ENV=production")
    variables = {"CELLO_PORT": "82", "CELLO_TIMEOUT_IDLE": "7"}
    done = cello("check", "app", "--print", "--env-file", ".env", cwd=project, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [re.sub(r" +", " ", line) for line in done.stdout.splitlines()]
    for line in (
        "[server]",
        "host = '127.0.0.1' # default",
        "port = 82 # CELLO_PORT",
        "env = 'production' # CELLO_ENV in .env",
        "debug = False # env is production",
        "[LimitsConfig]",
        "max_uri = 4096 # CELLO_LIMITS_MAX_URI in .env",
        "max_headers = 100 # default",
        "[TimeoutConfig]",
        "idle = 7.0 # CELLO_TIMEOUT_IDLE",
        "[RequestIdConfig]",
        "header = 'X-Request-ID' # argument",
        "app:app: 3 routes, no problems",
    ):
        assert line in lines, done.stdout


def test_check_tells_all_problems(project: Path) -> None:
    wrong = {
        "CELLO_LIMITS_MAX_URI": "many",
        "CELLO_LIMITS_MAX_HEADERS": "0",
        "CELLO_TIMEOUT_IDEL": "1",
        "CELLO_PORT": "http",
    }
    (project / "app.py").write_text(APP + "\nraise RuntimeError('mine')\n")
    done = cello("check", "app", cwd=project, **wrong)
    assert done.returncode == 1
    for problem in (
        "CELLO_LIMITS_MAX_URI must be a number, not 'many'",
        "max_headers must be at least 1",
        "nothing reads CELLO_TIMEOUT_IDEL; did you mean CELLO_TIMEOUT_IDLE?",
        "CELLO_PORT must be a port from 0 to 65535, not 'http'",
        "RuntimeError: mine",
    ):
        assert problem in done.stderr


def test_check_finds_what_only_the_start_would(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from cello import App, Depends\n"
        "app = App()\n"
        "@app.get('/')\n"
        "def index(db=Depends('database')): return db\n"
    )
    done = cello("check", "app", cwd=tmp_path)
    assert done.returncode == 1
    assert "'index'" in done.stderr and "'database'" in done.stderr
    (tmp_path / "app.py").write_text(
        "from cello import App\napp = App()\napp.enable_logging('{no_such_field}')\n"
    )
    done = cello("check", "app", cwd=tmp_path)
    assert done.returncode == 1 and "enable_logging('{no_such_field}'): an unknown" in done.stderr


def test_check_runs_no_hook(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from cello import App\n"
        "app = App()\n"
        "@app.on_startup\n"
        "def start(): raise RuntimeError('ran')\n"
    )
    assert cello("check", "app", cwd=tmp_path).returncode == 0


def test_secrets_are_masked() -> None:
    assert is_secret("SECRET_key") and is_secret("api_key") and is_secret("db_password")
    assert not any(map(is_secret, ("max_headers", "max_cookies", "keyword", "redis_url")))
    lines = list(
        check._section([("redis_url", "redis://:pw@h", "argument"), ("port", 1, "default")])
    )
    assert HIDDEN in lines[0] and "pw" not in lines[0] and lines[1].startswith("port      = 1 ")


# ---- routes ----


def test_routes_table(project: Path) -> None:
    done = cello("routes", "app", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    text = re.sub(r" {2,}", " ", done.stdout)
    assert "METHOD PATH HANDLER WHERE" in text
    assert "GET /items/{id:int} async item app.py:10" in text
    assert "takes request, id: int (path), page: int = 1 (query, ge=1)" in text
    assert "needs session(pool)" in text and "guards friend" in text
    assert "POST /items create app.py:14" in text
    assert "native RequestIdConfig(header='X-Other')" in text
    assert "GET /robots.txt (constant) app.py:18" in text
    assert "every request: RequestIdConfig(header='X-Request-ID')" in text
    assert "Python" not in text


def test_routes_tell_what_is_python(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from cello import App, Depends\n"
        "app = App()\n"
        "async def user(): return 1\n"
        "@app.before_request('/a')\n"
        "def look(req): ...\n"
        "@app.after_request('/a')\n"
        "def mark(req, response): ...\n"
        "@app.get('/a')\n"
        "def a(): ...\n"
        "@app.get('/b')\n"
        "def b(u=Depends(user)): ...\n"
        "@app.get('/c')\n"
        "def c(req): ...\n"
        "@app.exception_handler(KeyError)\n"
        "def lost(req, exc): ...\n"
    )
    text = cello("routes", "app", cwd=tmp_path).stdout
    assert "Python:  before_request look, after_request mark, called by a Python def" in text
    assert "Python:  called by a Python async def" in text
    assert text.count("Python:") == 3 and "Python: exception handlers for KeyError" in text

    rows: list[dict[str, Any]] = json.loads(cello("routes", "app", "--json", cwd=tmp_path).stdout)[
        "routes"
    ]
    assert [row["path"] for row in rows] == ["/a", "/b", "/c"]
    assert [row["python"]["runner"] for row in rows] == ["def", "async def", None]
    assert rows[2] == {
        "methods": ["GET"],
        "path": "/c",
        "handler": "c",
        "where": "app.py:12",
        "is_async": False,
        "blocking": None,
        "timeout": None,
        "parameters": [
            {"name": "req", "source": "request", "type": "Request", "required": True},
        ],
        "dependencies": [],
        "guards": [],
        "native": [],
        "python": {
            "before_request": [],
            "middleware": [],
            "after_request": [],
            "runner": None,
        },
    }


def test_routes_tell_where_handlers_run(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from cello import App, BackgroundTasks\n"
        "app = App()\n"
        "@app.get('/a', blocking=True, timeout=2.5)\n"
        "def a(tasks: BackgroundTasks): ...\n"
        "@app.get('/b', blocking=False, timeout=0)\n"
        "def b(): ...\n"
    )
    text = cello("routes", "app", cwd=tmp_path).stdout
    assert "    takes    background\n    runs     on the thread pool, timeout 2.5 s\n" in text
    assert "    runs     inline, no timeout\n" in text
    rows = json.loads(cello("routes", "app", "--json", cwd=tmp_path).stdout)["routes"]
    assert [(row["blocking"], row["timeout"]) for row in rows] == [(True, 2.5), (False, 0)]


def test_no_routes(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from cello import App\napp = App()\n")
    assert cello("routes", "app", cwd=tmp_path).stdout == "no routes\n"


# ---- the rest ----


def test_version(tmp_path: Path) -> None:
    done = cello("--version", cwd=tmp_path)
    found = dict(line.split(None, 1) for line in done.stdout.splitlines())
    assert found["cello"] == package.__version__
    assert found["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert {"pcre2", "linux", "msgspec"} <= set(found)
    assert re.fullmatch(r"3\.\d+\.\d+", found["openssl"])
    assert re.fullmatch(r"1\.\d+\.\d+", found["nghttp2"])
    assert found["backend"] in ("epoll", "io_uring")


def test_help_names_every_command(tmp_path: Path) -> None:
    text = cello("--help", cwd=tmp_path).stdout
    for command in ("run", "dev", "routes", "check", "new", "--version"):
        assert re.search(rf"^ +{command}\b", text, re.M), text
    assert cello(cwd=tmp_path).returncode == 2
    assert cello("rn", cwd=tmp_path).returncode == 2
    assert cello("run", "app", "--processes", "4", cwd=tmp_path).returncode == 2


def test_the_script_is_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cello", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("cello", run_name="__main__")
    assert ended.value.code == 0
    with pytest.raises(SystemExit) as ended:
        _cli.main(["--version"])
    assert ended.value.code == 0
