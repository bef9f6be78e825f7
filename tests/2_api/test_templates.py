"""Templates: what they are given, what is escaped, what is read again."""

import os
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest
from api_client import asking, serving
from async_server import run_script
from cello import App, Request

FILES = {
    "base.html": "<title>{% block title %}{% endblock %}</title>",
    "page.html": "{% extends 'base.html' %}{% block title %}{{ title }}{% endblock %}",
    "links.html": "{{ url_for('item', id=7, tab='a&b') }} {{ request.path }} {{ req.method }}",
    "shout.html": "{{ word | shout }}{{ site }}",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def application(folder: Path, **options: Any) -> App:
    app = App()
    app.enable_templates(folder, **options)
    return app


def test_a_page_is_html_and_values_are_escaped(folder: Path) -> None:
    app = application(folder)

    @app.get("/")
    def page(req: Request) -> object:
        return app.render(
            req, "page.html", {"title": "<b> & 'é'"}, status=201, headers={"X-A": "b"}
        )

    with asking(app) as client:
        answer = client.get("/")
    assert (answer.status, answer.headers["X-A"]) == (201, "b")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.text == "<title>&lt;b&gt; &amp; &#39;é&#39;</title>"


def test_url_for_and_the_request_are_there(folder: Path) -> None:
    app = application(folder)

    @app.get("/items/{id:int}")
    def item(req: Request) -> object:
        return app.render(req, "links.html")

    with asking(app) as client:
        text = client.get("/items/1").text
    assert text == "/items/7?tab=a%26b /items/1 GET"


def test_filters_globals_and_the_environment(folder: Path) -> None:
    app = App()
    environment = app.enable_templates(
        folder, filters={"shout": str.upper}, globals={"site": "!"}, autoescape=False
    )
    environment.globals["site"] = "?"
    response = app.render(Request("GET", "/"), "shout.html", {"word": "<hi>"})
    assert response.body == "<HI>?" or response.body == b"<HI>?"


def test_the_directory_is_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/a.html").write_text("found")
    program = tmp_path / "program.py"
    program.write_text("from cello import App\napp = App()\napp.enable_templates()\n")
    script = f"""
        import runpy
        from cello import Request
        app = runpy.run_path({str(program)!r})["app"]
        print(app.render(Request("GET", "/"), "a.html").body)
    """
    assert "found" in run_script(script)


@pytest.mark.parametrize("debug", [True, False])
def test_saved_templates_are_read_again_in_debug_only(folder: Path, debug: bool) -> None:
    app = application(folder)

    @app.get("/")
    def page(req: Request) -> object:
        return app.render(req, "base.html")

    with serving(app, debug=debug) as client:
        assert client.get("/").text == "<title></title>"
        (folder / "base.html").write_text("new")
        os.utime(folder / "base.html", (1, 1))
        assert client.get("/").text == ("new" if debug else "<title></title>")


def test_compiled_templates_are_kept_where_asked(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    app = application(folder, cache_directory=cache)
    app.render(Request("GET", "/"), "base.html")
    assert len(list(cache.iterdir())) == 1


def test_what_is_wrong_is_said(folder: Path, tmp_path: Path) -> None:
    request = Request("GET", "/")
    with pytest.raises(RuntimeError, match="enable_templates"):
        App().render(request, "page.html")
    with pytest.raises(NotADirectoryError, match="nowhere"):
        App().enable_templates(tmp_path / "nowhere")
    app = application(folder)
    with pytest.raises(TypeError, match="the request, then the name"):
        app.render("page.html", {"request": request})  # type: ignore[arg-type]
    with pytest.raises(jinja2.TemplateNotFound):
        app.render(request, "gone.html")
    with pytest.raises(jinja2.TemplateNotFound):
        app.render(request, "../" + Path(__file__).name)


def test_without_jinja2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"cello\[templates\]"):
        App().enable_templates(tmp_path)


def test_jinja2_is_imported_when_templates_are_enabled() -> None:
    assert run_script("import sys, cello; cello.App(); print('jinja2' in sys.modules)") == "False\n"
