"""The error page of development: who gets it, what is on it, and what never is."""

import html
import os
import re
import socket
import sys
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from api_client import Answer, Client, serving
from cello import App, HTTPError, Request, _debug

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def failing_app(**settings: Any) -> App:
    app = App(**settings)

    def inner(values: dict[str, Any], password: str) -> Any:
        markup, long, broken = "<script>alert(1)</script>", "x" * 10_000, NoRepr()
        return values["missing & <b>bold</b>"], markup, long, broken

    @app.get("/shops/{shop}")
    def shop(req: Request) -> Any:
        return inner({"a": 1}, password="hunter2")

    @app.get("/later")
    async def later() -> Any:
        return inner({}, "hunter2")

    @app.get("/refused")
    def refused() -> None:
        raise HTTPError(403)

    return app


def page_of(app: App, target: str = "/shops/7", **headers: str) -> Answer:
    with serving(app, debug=True) as client:
        return client.ask(target, headers={**BROWSER, **headers})


@pytest.fixture(scope="module")
def page() -> Answer:
    return page_of(
        failing_app(),
        "/shops/7?coupon=SPRING&token=q-secret",
        Authorization="Bearer h-secret",
        Cookie="session=c-secret",
        **{"X-API-Key": "k-secret", "X-Color": "blue"},
    )


def test_what_is_on_it(page: Answer) -> None:
    assert page.status == 500
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for text in (
        "<h1>KeyError",
        html.escape("'missing & <b>bold</b>'"),
        "GET /shops/7?coupon=SPRING&amp;token=••••••",
        "/shops/{shop}",
        "shop=&#x27;7&#x27;",
        "X-Color".lower(),
        "blue",
        f"Python {sys.version.split()[0]}",
        "Cello ",
        "test_debug_page.py",
        "most recent call first",
    ):
        assert text in page.text, text
    assert page.text.index("inner</b>") < page.text.index("shop</b>")
    assert re.search(r'class="here" data-line="\d+">.*<u>.*missing', page.text)


def test_values(page: Answer) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<th>broken</th><td>&lt;NoRepr" in page.text
    assert "<th>password</th><td>••••••</td>" in page.text
    assert "x" * 300 not in page.text and "xxx...xxx" in page.text
    assert len(page.body) < 60_000


def test_secrets_are_not_on_it(page: Answer) -> None:
    for secret in ("h-secret", "c-secret", "k-secret", "q-secret"):
        assert secret not in page.text
    for name in ("authorization", "cookie", "x-api-key"):
        assert f"<th>{name}</th><td>••••••</td>" in page.text


def test_it_runs_nothing_and_loads_nothing(page: Answer) -> None:
    assert not re.search(r"<(script|link|img|iframe|object|form|base)\b", page.text)
    assert not re.search(r"\s(on\w+|src|href|style)=", page.text)
    assert "http:" not in page.text and "https:" not in page.text
    policy = page.headers["Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", page.text, re.S)
    assert style
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_async_handlers_have_it_too() -> None:
    answer = page_of(failing_app(), "/later")
    assert "<h1>KeyError" in answer.text and "later</b>" in answer.text


def test_answers_that_are_meant_have_no_page() -> None:
    answer = page_of(failing_app(), "/refused")
    assert (answer.status, answer.headers["Content-Type"]) == (403, "application/problem+json")


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "*/*"},
        {"Accept": "application/json"},
        {"Accept": "text/html;q=0, application/json"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example:8000"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"X-Real-IP": "203.0.113.9"},
        {"Via": "1.1 proxy"},
    ],
    ids=str,
)
def test_who_gets_a_problem_document(headers: dict[str, str]) -> None:
    answer = page_of(failing_app(), **headers)
    assert_no_insides(answer)


def assert_no_insides(answer: Answer) -> None:
    assert answer.status == 500
    assert answer.data == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "instance": "/shops/7",
    }


def test_only_in_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELLO_DEBUG", raising=False)
    monkeypatch.delenv("CELLO_ENV", raising=False)

    def has_page(app: App, **settings: Any) -> bool:
        with serving(app, logs=False, **settings) as client:
            answer = client.ask("/shops/7", headers=BROWSER)
            if answer.headers["Content-Type"] == "application/problem+json":
                assert_no_insides(answer)
                return False
            return True

    assert not has_page(failing_app())
    assert has_page(failing_app(), env="development")
    assert not has_page(failing_app(), env="production")
    assert has_page(failing_app(), env="production", debug=True)
    assert not has_page(failing_app(), env="development", debug=False)
    assert has_page(failing_app(debug=True))
    assert not has_page(failing_app(debug=False), env="development")
    monkeypatch.setenv("CELLO_DEBUG", "1")
    assert has_page(failing_app(), env="production")


def own_address() -> str | None:
    """An address of this machine that is not a loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("203.0.113.1", 9))
        except OSError:
            return None
        address: str = sock.getsockname()[0]
        return None if address.startswith("127.") else address


def test_other_peers_get_none() -> None:
    address = own_address()
    if address is None:
        pytest.skip("this machine has loopback addresses only")
    with failing_app().start("0.0.0.0", debug=True, logs=False) as server:
        port = server.addresses[0][1]
        with Client((address, port)) as client:
            assert_no_insides(client.ask("/shops/7", headers=BROWSER))
            assert_no_insides(client.ask("/shops/7", headers={**BROWSER, "Host": "localhost"}))
        with Client(("127.0.0.1", port)) as client:
            assert client.ask("/shops/7", headers=BROWSER).text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost:8000", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3:80", True),
        ("[::1]:8000", True),
        ("LOCALHOST.", True),
        ("", False),
        ("127.0.0.1.nip.io", False),
        ("127.0.0", False),
        ("[::2]", False),
        ("notlocalhost", False),
    ],
)
def test_local_names(host: str, is_local: bool) -> None:
    assert _debug._is_local_name(host) is is_local


def test_exception_handlers_come_first_but_for_the_last_resort(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = failing_app(exception_handlers={Exception: lambda req, exc: ("sorry", 500)})
    with serving(app, debug=True) as client:
        assert client.ask("/shops/7", headers=BROWSER).text.startswith("<!doctype html>")
        assert client.ask("/shops/7").text == "sorry"
    assert len(caplog.records) == 2
    app = failing_app(exception_handlers={KeyError: lambda req, exc: ("sorry", 500)})
    assert page_of(app).text == "sorry"


def test_hooks_see_the_page_as_a_response() -> None:
    app = failing_app()
    app.after_request()(lambda response: response.set_header("X-After", "1"))
    answer = page_of(app)
    assert answer.text.startswith("<!doctype html>") and answer.headers["X-After"] == "1"


# ---- exceptions of all kinds ----


def raised(code: str, **names: Any) -> BaseException:
    try:
        exec(compile(code, "<code>", "exec"), names)
    except BaseException as error:
        return error
    raise AssertionError("it did not raise")


def test_chains() -> None:
    error = raised(
        "try:\n  1/0\nexcept Exception as e:\n"
        "  try:\n    {}['k']\n  except Exception as f:\n    raise OSError('last') from f"
    )
    text = _debug.page(error)
    assert text.index("<h1>OSError") < text.index("<h2>Caused by</h2><h3><b>KeyError")
    assert "<h2>While this was being handled</h2><h3><b>ZeroDivisionError" in text
    hidden = raised("try:\n  1/0\nexcept Exception:\n  raise OSError('last') from None")
    assert "<b>ZeroDivisionError" not in _debug.page(hidden)


def test_chains_without_an_end() -> None:
    a, b = ValueError("a"), KeyError("b")
    a.__cause__, b.__cause__ = b, a
    assert [e for _, e in _debug.related(a)] == [a, b]
    group = ExceptionGroup("many", [ValueError(str(i)) for i in range(100)])
    text = _debug.page(group)
    assert text.count("One of the group") == _debug.MAX_EXCEPTIONS - 1
    assert "There are more exceptions." in text


def test_deep_recursion() -> None:
    text = _debug.page(raised("def f(n):\n  return f(n + 1)\nf(0)"))
    assert text.count('<details class="frame') == _debug.MAX_FRAMES
    assert re.search(r"\d+ frames are left out", text) and len(text) < 200_000


def test_syntax_errors(tmp_path: Path) -> None:
    source = tmp_path / "broken.py"
    source.write_text("a = 1\nb = (\nc = 3\n")
    try:
        compile(source.read_text(), str(source), "exec")
    except SyntaxError as error:
        text = _debug.page(error)
    assert "(does not compile)" in text and 'data-line="2">b = (' in text
    assert "while the program started" in text


class NoText(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    "error",
    [
        NoText(),
        ValueError("\ud800 lone"),
        ValueError("x" * 100_000),
        ValueError("<script>" * 10),
        KeyError(NoRepr()),
        raised("class C(dict):\n  def items(self): raise OSError\n1/0"),
        raised("é = '☃' * 3; x = undefined_name"),
        SystemExit("out"),
    ],
    ids=range(8),
)
def test_exceptions_that_misbehave(error: BaseException) -> None:
    text = _debug.page(error)
    text.encode()
    assert "<script" not in text and len(text) < 60_000


def test_paths_are_as_they_are_called_from_here() -> None:
    assert _debug._short(os.path.join(os.getcwd(), "a/b.py")) == "a/b.py"
    assert _debug._short("/elsewhere/b.py") == "/elsewhere/b.py"
