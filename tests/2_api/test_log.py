"""The server log: the logger "cello", its levels, its lines, and who configures it."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_client import serving
from cello import App, Request, _log

PROGRAM = """
import logging, sys, urllib.error, urllib.request
from cello import App

{setup}
app = App()
app.enable_request_id()
{configure}

def inner(n):
    return {{}}["a key\\nwith a line break"] if n == 0 else inner(n - 1)

@app.get("/fails")
def fails():
    try:
        1 / 0
    except ZeroDivisionError:
        return inner(1)

with app.start({options}) as server:
    request = urllib.request.Request(server.url + "/fails", headers={{"X-Request-ID": "id-7"}})
    try:
        urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        assert error.code == 500
{then}
"""


def lines_of(tmp_path: Path, options: str = "", **parts: str) -> list[str]:
    """What a program writes to standard error when a handler fails."""
    code = PROGRAM.format(options=options, **{"setup": "", "configure": "", "then": "", **parts})
    script = tmp_path / "program.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def test_development(tmp_path: Path) -> None:
    lines = lines_of(tmp_path)
    assert re.fullmatch(r"ERROR    \[id-7\] GET /fails: exception in fails \(.*:13\)", lines[0])
    assert lines[1] == "Traceback (most recent call last):"
    assert "During handling of the above exception, another exception occurred:" in lines
    assert lines[-1] == "KeyError: 'a key\\nwith a line break'"


def test_production_has_one_line_for_one_problem(tmp_path: Path) -> None:
    (line,) = lines_of(tmp_path, "env='production'")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ERROR    \[id-7\] "
        r"GET /fails: exception in fails \(.*program.py:13\): "
        r"KeyError: 'a key\\nwith a line break' "
        r"\(program.py:11 inner < program.py:11 inner < program.py:18 fails\); "
        r"from ZeroDivisionError: division by zero \(program.py:16 fails\)",
        line,
    ), line


def test_json(tmp_path: Path) -> None:
    (line,) = lines_of(tmp_path, configure="app.enable_logging('json')")
    entry = json.loads(line)
    assert list(entry) == ["time", "level", "logger", "message", "request_id", "exception"]
    assert (entry["level"], entry["logger"], entry["request_id"]) == ("error", "cello", "id-7")
    assert entry["message"].startswith("GET /fails: exception in fails (")
    assert entry["exception"].startswith("Traceback (most recent call last):\n")
    assert "ZeroDivisionError" in entry["exception"]


ENGINE = """
import socket
from cello import App, SseStream

app = App()
app.enable_logging(LOGGING)
app.post("/")(SseStream)
with app.start(logs=False, log_level=LEVEL) as server:
    sock = socket.create_connection(server.addresses[0])
    sock.sendall(b"POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 0\\r\\n\\r\\n")
    assert b" 200 " in sock.recv(1000)
    server.stop(0)
"""


@pytest.mark.parametrize("level", ["info", "warning", "error", "critical"])
def test_lines_of_the_engine_look_the_same(tmp_path: Path, level: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(ENGINE.replace("LOGGING", "'json'").replace("LEVEL", repr(level)))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    if level in ("error", "critical"):
        assert done.stderr == ""
        return
    entry = json.loads(done.stderr)
    assert list(entry) == ["time", "level", "logger", "message"]
    assert entry["level"] == "warning"
    assert entry["message"] == "stopped with 1 connections unfinished"


def test_a_program_that_configures_logging_gets_records(tmp_path: Path) -> None:
    setup = "logging.basicConfig(format='MINE %(name)s %(request_id)s %(message)s')"
    lines = lines_of(tmp_path, setup=setup)
    assert lines[0].startswith("MINE cello id-7 GET /fails: ")
    assert lines[1] == "Traceback (most recent call last):"
    assert not any(line.startswith("ERROR") for line in lines)


@pytest.mark.parametrize(
    "quiet",
    [
        {"options": "log_level='critical'"},
        {"setup": "logging.getLogger('cello').setLevel('CRITICAL')"},
        {"setup": "logging.getLogger('cello').addFilter(lambda record: False)"},
        {"setup": "logging.disable()"},
    ],
)
def test_levels(tmp_path: Path, quiet: dict[str, str]) -> None:
    assert lines_of(tmp_path, **quiet) == []


def test_a_wrong_level() -> None:
    with pytest.raises(ValueError, match="log_level must be one of debug, info"):
        App().start(log_level="loud")


def test_logging_is_imported_with_the_first_problem(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "import sys, cello\napp = cello.App()\napp.get('/')(lambda: 'x')\n"
        "with app.start(logs=False) as server:\n    pass\nprint('logging' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_records(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    app.get("/")(lambda: 1 / 0)
    with serving(app) as client:
        client.get("/")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("cello", "ERROR")
    assert record.request_id is None  # type: ignore[attr-defined]
    assert record.filename == "test_log.py" and record.exc_info
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_an_awaited_body_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    async def read(req: Request) -> Any:
        return await req.text()  # type: ignore[misc]

    with serving(app) as client:
        assert client.get("/").status == 500
    assert "remove the await" in caplog.text


# ---- lines ----


@pytest.fixture
def plain() -> Iterator[None]:
    """Without pytest's handlers: as in a program that configured nothing."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    yield
    root.handlers = handlers


def record_of(level: int, message: str, error: BaseException | None = None) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("cello", level, "f", 1, message, (), exc_info)
    record.created = 0.25
    return record


@pytest.mark.parametrize(
    ("level", "style", "line"),
    [
        (20, "development", "text"),
        (30, "development", "WARNING  text"),
        (20, "production", "1970-01-01T00:00:00.250Z INFO     text"),
        (50, "production", "1970-01-01T00:00:00.250Z CRITICAL text"),
    ],
)
def test_lines(level: int, style: str, line: str) -> None:
    assert _log.line_of(record_of(level, "text"), style) == line


def test_lines_cannot_be_forged() -> None:
    text = "GET /a\r\nERROR all is lost\x1b[2J\u2028"
    for style in ("development", "production", "json"):
        line = _log.line_of(record_of(40, text), style)
        assert not set("\r\n\x1b\u2028") & set(line) - (set("\u2028") if style == "json" else set())
    assert json.loads(_log.line_of(record_of(40, text), "json"))["message"] == text


class Hostile(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_exceptions_that_misbehave() -> None:
    assert "its text cannot be had" in _log.line_of(record_of(40, "m", Hostile()), "production")
    assert "Hostile" in _log.line_of(record_of(40, "m", Hostile()), "json")
    loop: list[Any] = [ValueError("a"), KeyError("b")]
    loop[0].__cause__, loop[1].__cause__ = loop[1], loop[0]
    line = _log.line_of(record_of(40, "m", loop[0]), "production")
    assert line.endswith("m: ValueError: a; from KeyError: 'b'")
    surrogate = _log.line_of(record_of(40, "m", ValueError("\ud800")), "json")
    assert "\\ud800" in surrogate


def test_a_deep_traceback_is_short() -> None:
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("deep")
        deep(n - 1)

    with pytest.raises(ValueError, match="deep") as caught:
        deep(200)
    assert _log.summary(caught.value).count(" < ") == _log.MAX_FRAMES - 1


def test_notices(plain: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Seen unless the program says what level "cello" has."""
    logger = logging.getLogger("cello")
    _log.notice("no handlers")
    logging.getLogger().addHandler(handler := logging.StreamHandler(sys.stderr))
    _log.notice("root warns only")
    logger.setLevel("WARNING")
    _log.notice("never seen")
    logger.setLevel("INFO")
    _log.notice("through the root")
    logger.setLevel("NOTSET")
    logging.getLogger().removeHandler(handler)
    seen = capsys.readouterr().err.splitlines()
    assert seen == ["no handlers", "root warns only", "through the root"]
