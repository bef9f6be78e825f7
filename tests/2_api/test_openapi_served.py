"""How the OpenAPI document and its pages are served."""

import gzip
import json
import re
import subprocess
import sys
from datetime import date
from typing import Annotated, Any

import pydantic
import pytest
from api_client import serving
from cello import (
    App,
    Body,
    Depends,
    Header,
)
from cello._docs import choose_coding
from openapi_parts import (
    Item,
    operation,
    parameters,
)


def documented(**options: Any) -> App:
    app = App(title="<shop>", version="1.0")

    @app.get("/items/{id}")
    def item(id: int) -> Item:
        return Item("a", 1.0)

    app.enable_openapi(**options)
    return app


def test_off_until_it_is_called() -> None:
    app = App()
    with serving(app) as client:
        assert [client.get(p).status for p in ("/openapi.json", "/docs", "/redoc")] == [404] * 3


def test_the_document_is_served_compressed() -> None:
    app = documented()
    with serving(app) as client:
        plain = client.get("/openapi.json")
        packed = client.get("/openapi.json", accept_encoding="br, gzip")
    assert plain.headers["Content-Type"] == "application/json"
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body
    assert plain.data == app.openapi()


def test_who_has_the_document_is_told_so() -> None:
    with serving(documented()) as client:
        tag = client.get("/openapi.json").headers["ETag"]
        packed = client.get("/openapi.json", accept_encoding="gzip").headers["ETag"]
        again = client.get("/openapi.json", if_none_match=f'"other", W/{tag}')
        changed = client.get("/openapi.json", if_none_match='"other"')
    assert tag != packed
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    assert changed.status == 200


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5, deflate", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip; q=0.000, identity", "identity"),
        ("*", "gzip"),
        ("*;q=0, gzip", "gzip"),
        ("gzip;q=0, *", "identity"),
    ],
)
def test_the_coding_is_chosen(accepted: str | None, coding: str) -> None:
    assert choose_coding(accepted, ["gzip", "identity"]) == coding


def references(page: str) -> list[str]:
    return re.findall(r'(?:src|href|data-url)="(?!data:)([^"?]+)', page)


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_a_page_and_all_it_refers_to(path: str) -> None:
    with serving(documented()) as client:
        page = client.get(path)
        assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "&lt;shop&gt;" in page.text and "<shop>" not in page.text
        for reference in references(page.text):
            assert not reference.startswith(("/", "http")), "a prefix would not be there"
            answer = client.get(f"/{reference}", accept_encoding="gzip")
            assert answer.status == 200
            if answer.headers.get("Content-Encoding") == "gzip":
                assert gzip.decompress(answer.body)


def test_other_places() -> None:
    app = documented(docs_url="/api/docs", redoc_url=None, openapi_url="/api/schema.json")
    with serving(app) as client:
        assert client.get("/redoc").status == client.get("/docs").status == 404
        assert client.get("/api/schema.json").status == 200
        page = client.get("/api/docs").text
        for reference in references(page):
            assert client.get(f"/api/{reference}", accept_encoding="gzip").status == 200


def test_a_page_at_the_root() -> None:
    with serving(documented(docs_url="/", redoc_url=None)) as client:
        for reference in references(client.get("/").text):
            assert client.get(f"/{reference}", accept_encoding="gzip").status == 200


def test_guards_are_asked_and_dependencies_are_not() -> None:
    def token(x_token: Annotated[str, Header()]) -> str:
        return x_token

    guarded = App(guards=[lambda req: "x-key" in req.headers])
    depending = App(dependencies=[Depends(token)])
    for app in (guarded, depending):
        app.get("/a")(lambda req: "a")
        app.enable_openapi()
    with serving(guarded) as client:
        assert client.get("/openapi.json").status == 403
        assert client.get("/openapi.json", x_key="1").status == 200
        assert client.get("/docs").status == 200
    with serving(depending) as client:
        assert client.get("/a").status == 422
        assert client.get("/openapi.json").status == 200


def test_called_twice() -> None:
    app = documented()
    with pytest.raises(RuntimeError, match="called before"):
        app.enable_openapi()


def test_without_the_pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr("cello._docs._FOLDER", str(tmp_path))
    with pytest.raises(RuntimeError, match="CELLO_PAGES"):
        documented()
    documented(docs_url=None, redoc_url=None)


def test_licences_are_in_the_wheel() -> None:
    from cello import _docs

    for name in ("swagger-ui-dist", "redoc"):
        with open(f"{_docs._FOLDER}/licenses/{name}/LICENSE") as file:
            assert "License" in file.read()


# ---- cost: that of a thousand routes is in bench/footprint.py ----


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys; from cello import App; app = App(); app.enable_openapi();"
        "print([m for m in ('msgspec', 'pydantic', 'gzip', 'inspect') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_errors_of_programs_with_exception_handlers() -> None:
    """They may be answered by anything."""
    app = App()
    app.get("/")(lambda n: None)
    problem = app.openapi()["components"]["responses"]["Problem"]["content"]
    assert set(problem) == {"application/problem+json"}
    app.exception_handler(404)(lambda req, exc: "gone")
    own = app.openapi()["components"]["responses"]["Problem"]["content"]
    assert own == {**problem, "*/*": {}}


def test_parts_of_a_body_may_be_null() -> None:
    def parts(n: Annotated[int | None, Body(ge=1)] = None, day: date | None = Body(None)) -> None:
        pass

    found = operation(parts, method="post")["requestBody"]["content"]["application/json"]
    assert found["schema"]["properties"] == {
        "n": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        "day": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
    }

    def text(n: int | None = None) -> None: ...

    assert parameters(text)["n"]["schema"] == {"type": "integer"}


def test_sets_take_items_twice() -> None:
    """As their decoders do."""

    class Tags(pydantic.BaseModel):
        tags: set[str]
        more: frozenset[int]

    def handler(body: Tags) -> None: ...

    content = operation(handler, method="post")["requestBody"]["content"]
    assert "uniqueItems" not in json.dumps(content)
