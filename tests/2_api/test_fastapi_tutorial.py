"""A program that moves over from FastAPI: the shop of its tutorial on both frameworks.

Both applications in examples/fastapi_tutorial must answer what is asked here, and what had to be
changed from the one to the other is counted.
"""

import difflib
import importlib
import importlib.util
import io
import tokenize
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples/fastapi_tutorial"
FILES = {name: FOLDER / f"shop_{name}.py" for name in ("cello", "fastapi")}

PEN = {
    "name": "pen",
    "price": 2.5,
    "tax": 0.5,
    "tags": ["a", "a"],
    "image": {"url": "http://x", "name": "i"},
}
STORED_PEN = {**PEN, "description": None, "tags": ["a"]}
SECRET = {"X-Token": "secret"}


def load(name: str) -> ModuleType:
    if name == "fastapi":
        pytest.importorskip("fastapi")
    spec = importlib.util.spec_from_file_location(f"shop_{name}", FILES[name])
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=sorted(FILES))
def shop(request: pytest.FixtureRequest) -> ModuleType:
    return load(request.param)


def client_class(name: str) -> Any:
    """The class; Starlette's wants another httpx than all others."""
    module = "cello.testing" if name == "shop_cello" else "fastapi.testclient"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using `httpx` with")
        return importlib.import_module(module).TestClient


@pytest.fixture
def client(shop: ModuleType) -> Iterator[Any]:
    shop.EVENTS.clear()
    with client_class(shop.__name__)(shop.app) as client:
        yield client


def wrong(response: Any) -> list[list[str]]:
    """The places that a 422 names, as the shop's own exception handler writes them."""
    assert response.status_code == 422, response.text
    return list(response.json()["errors"])


# ---- what had to be changed ----


def code_lines(path: Path) -> list[str]:
    """Without comments, docstrings and empty lines."""
    lines: dict[int, str] = {}
    text = path.read_text()
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    source = text.splitlines()
    statement_begins = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_docstring = token.type == tokenize.STRING and statement_begins
        if token.type in skipped or token.type == tokenize.ENDMARKER or is_docstring:
            statement_begins |= token.type in (tokenize.NEWLINE, tokenize.INDENT)
            continue
        statement_begins = False
        for number in range(token.start[0], token.end[0] + 1):
            lines[number] = source[number - 1]
    return [lines[number] for number in sorted(lines)]


def test_share_of_changed_lines(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = code_lines(FILES["fastapi"]), code_lines(FILES["cello"])
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    steps = [step for step in matcher.get_opcodes() if step[0] != "equal"]
    changed = sum(max(b - a, d - c) for _, a, b, c, d in steps)
    share = changed / len(before)
    with capsys.disabled():
        print(f"\nfrom FastAPI: {changed} of {len(before)} lines of code changed, {share:.1%}")
    assert len(before) > 300, "no docstring hides code"
    assert 0 < share <= 0.05


# ---- parameters ----


def test_first_steps(client: Any) -> None:
    response = client.get("/")
    assert response.json() == {"message": "Hello World"}
    assert float(response.headers["X-Process-Time"]) > 0


def test_path_parameters(client: Any) -> None:
    assert client.get("/sizes/small").json() == {"size": "small", "note": "fits in a pocket"}
    assert wrong(client.get("/sizes/huge")) == [["path", "size"]]
    assert client.get("/files/home/johndoe/a.txt").json() == {"file_path": "home/johndoe/a.txt"}


def test_numbers_have_limits(client: Any) -> None:
    assert client.get("/shelves/5").json() == {"shelf_id": 5}
    for shelf in ("0", "1001", "abc", "5.5"):
        assert wrong(client.get(f"/shelves/{shelf}")) == [["path", "shelf_id"]]


def test_query_parameters(client: Any) -> None:
    found = client.get("/items/", params={"skip": 1, "limit": 2}).json()
    assert found == [{"item_name": "pear"}, {"item_name": "plum"}]
    bad = client.get("/items/?skip=x&limit=y")
    assert wrong(bad) == [["query", "skip"], ["query", "limit"]]


def test_validated_query_parameters(client: Any) -> None:
    query = "q=red pen&tag=a&tag=b&short=yes&order=price&item-query=z"
    assert client.get(f"/search?{query}").json() == {
        "order": "price",
        "tags": ["a", "b"],
        "short": True,
        "q": "red pen",
        "item_query": "z",
    }
    assert client.get("/search").json() == {"order": "name", "tags": [], "short": False}
    for bad in ("ab", "x" * 21, "ABCD"):
        assert wrong(client.get("/search", params={"q": bad})) == [["query", "q"]]
    assert wrong(client.get("/search?order=size")) == [["query", "order"]]


def test_query_models(client: Any) -> None:
    found = client.get("/filtered?limit=5&tags=x&tags=y").json()
    assert found == {"limit": 5, "offset": 0, "tags": ["x", "y"]}
    assert wrong(client.get("/filtered?limit=0")) == [["query", "limit"]]


def test_headers_and_cookies(client: Any) -> None:
    headers = [("User-Agent", "me"), ("X-Token", "a"), ("X-Token", "b"), ("Cookie", "ads_id=7")]
    found = client.get("/agent", headers=headers).json()
    assert found == {"User-Agent": "me", "X-Token": ["a", "b"], "ads_id": "7"}


def test_models_of_headers_and_cookies(client: Any) -> None:
    headers = [("Save-Data", "on"), ("X-Tag", "a"), ("X-Tag", "b"), ("X-Other", "is ignored")]
    found = client.get("/headers", headers=headers).json()
    assert found == {"save_data": True, "x_tag": ["a", "b"]}
    assert wrong(client.get("/headers", headers={"Save-Data": "?"}))[0][0] == "header"
    found = client.get("/cookies", headers={"Cookie": "session_id=s; tracker=3"}).json()
    assert found == {"session_id": "s", "tracker": 3}
    assert wrong(client.get("/cookies")) == [["cookie", "session_id"]]


# ---- bodies ----


def test_bodies(client: Any) -> None:
    created = client.post("/items/", json=PEN)
    assert created.status_code == 201
    assert created.json() == {"id": created.json()["id"], "name": "pen", "price_with_tax": 3.0}
    assert client.get(f"/items/{created.json()['id']}").json() == STORED_PEN
    bad = client.post("/items/", json={"name": 1, "price": -1})
    assert wrong(bad) == [["body", "name"], ["body", "price"]]
    assert wrong(client.post("/items/")) == [["body"]]


def test_items_that_do_not_exist(client: Any) -> None:
    missing = client.get(f"/items/{uuid4()}")
    assert missing.status_code == 404
    assert missing.headers["X-Error"] == "no such item"
    assert missing.json()["detail"] == "Item not found"
    assert wrong(client.get("/items/nope")) == [["path", "item_id"]]


def test_several_bodies(client: Any) -> None:
    url = f"/items/{uuid4()}"
    both = {"item": PEN, "user": {"username": "u"}}
    found = client.put(f"{url}?q=z", json={**both, "importance": 5}).json()
    assert found == {"item_id": url[7:], "user": "u", "importance": 5, "q": "z"}
    assert wrong(client.put(url, json={**both, "importance": 0})) == [["body", "importance"]]
    assert wrong(client.put(url, json={"item": PEN, "importance": 1})) == [["body", "user"]]


def test_partial_updates(client: Any) -> None:
    url = f"/items/{client.post('/items/', json=PEN).json()['id']}"
    assert client.patch(url, json={"price": 3}).json() == {**STORED_PEN, "price": 3.0}
    assert client.patch(f"{url}/name", json={"name": "quill"}).json() == {"name": "quill"}
    assert wrong(client.patch(f"{url}/name", json={"name": ""})) == [["body", "name"]]
    assert wrong(client.patch(f"{url}/name", json={})) == [["body", "name"]]
    assert client.get(url).json()["name"] == "quill"


def test_bodies_without_models(client: Any) -> None:
    images = [{"url": "u", "name": "n"}]
    assert client.post("/images/multiple/", json=images).json() == ["n"]
    assert client.post("/weights/", json={"1": 2.5, "2": 1}).json() == {"total": 3.5}
    assert wrong(client.post("/weights/", json={"1": "heavy"}))[0][0] == "body"


def test_types_beyond_json(client: Any) -> None:
    loan = str(uuid4())
    terms = {"start": "2026-01-01T00:00:00Z", "days": "P2D", "due": "2026-02-01"}
    found = client.put(f"/loans/{loan}", json=terms).json()
    end = datetime.fromisoformat(found.pop("end"))  # one writes +00:00, the other Z
    assert end == datetime(2026, 1, 3, tzinfo=UTC)
    assert found == {"loan_id": loan, "due": "2026-02-01", "fee": "1.50"}


def test_forms(client: Any) -> None:
    found = client.post("/login/", data={"username": "u", "password": "pass"}).json()
    assert found == {"username": "u", "length": 4}
    short = client.post("/login/", data={"username": "u", "password": "p"})
    assert wrong(short) == [["body", "password"]]
    assert wrong(client.post("/login/", data={"password": "pass"})) == [["body", "username"]]


def test_form_models(client: Any) -> None:
    found = client.post("/feedback/", data={"stars": "4", "text": "ok"}).json()
    assert found == {"stars": 4, "text": "ok"}
    assert wrong(client.post("/feedback/", data={"stars": "9"})) == [["body", "stars"]]


# ---- responses ----


def test_response_models_hide_fields(client: Any) -> None:
    created = client.post("/users/", json={"username": "u", "password": "p"})
    assert created.status_code == 201
    assert created.json() == {"username": "u", "full_name": None}


def test_unions_lists_and_dicts(client: Any) -> None:
    car = {"description": "All my friends drive a low rider", "type": "car"}
    plane = {"description": "Music is my aeroplane", "type": "plane"}
    assert client.get("/vehicles/item1").json() == car
    assert client.get("/vehicles/item2").json() == {**plane, "size": 5}
    assert client.get("/vehicles/").json() == [car, plane]
    assert client.get("/vehicle-sizes/").json() == {"item1": 2.3, "item2": 5}
    missing = client.get("/vehicles/item3")
    assert (missing.status_code, missing.json()) == (404, {"message": "No such vehicle"})


def test_some_of_the_fields(client: Any) -> None:
    assert client.get("/dishes/bowl").json() == {"name": "Bowl", "price": 50.2}
    cup = {"name": "Cup", "price": 50.2, "tax": None, "tags": []}
    assert client.get("/dishes/cup").json() == cup
    assert client.get("/dishes/plate/name").json() == {"name": "Plate", "tax": 20.2}
    public = {"name": "Plate", "description": None, "price": 62, "image": None}
    assert client.get("/dishes/plate/public").json() == public


def test_responses(client: Any) -> None:
    assert client.get("/portal").json() == {"message": "Here is your portal."}
    away = client.get("/portal?teleport=1", follow_redirects=False)
    assert (away.status_code, away.headers["Location"]) == (307, "/elsewhere")
    page = client.get("/page")
    assert page.text == "<h1>Shop</h1>"
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"


def test_headers_and_cookies_of_responses(client: Any) -> None:
    response = client.get("/greeting")
    assert response.json() == {"message": "hello"}
    assert response.headers["X-Greeting"] == "yes"
    assert response.cookies["seen"] == "1"


def test_exception_handlers(client: Any) -> None:
    out = client.get("/stock/yolo")
    assert (out.status_code, out.json()) == (418, {"message": "Oops! No yolo left."})
    plain = client.get("/shelves/x", headers={"X-Plain": "1"})
    assert (plain.status_code, plain.text) == (400, "1 errors")


# ---- dependencies ----


def test_dependencies(client: Any) -> None:
    found = client.get("/commons/items?q=z&limit=3").json()
    assert found == {"q": "z", "skip": 0, "limit": 3}
    assert client.get("/pages?page=3").json() == {"first": 40}
    assert wrong(client.get("/pages?per_page=51")) == [["query", "per_page"]]


def test_dependencies_with_yield(client: Any, shop: ModuleType) -> None:
    found = client.get("/repository").json()
    assert found == {"repository": "repository on session", "session": "session"}
    assert shop.EVENTS == ["open", "use", "close"]
    shop.EVENTS.clear()
    assert client.get("/broken").status_code == 418
    assert shop.EVENTS == ["open", "rollback", "close"]


def test_overrides(client: Any, shop: ModuleType) -> None:
    shop.app.dependency_overrides[shop.common_parameters] = lambda: {"fake": True}
    try:
        assert client.get("/commons/items").json() == {"fake": True}
    finally:
        shop.app.dependency_overrides.clear()
    assert client.get("/commons/items").json()["skip"] == 0


def test_routers(client: Any) -> None:
    assert wrong(client.get("/admin/stats")) == [["header", "x-token"]]
    refused = client.get("/admin/stats", headers={"X-Token": "no"})
    assert refused.status_code == 400
    assert refused.json()["detail"] == "X-Token header invalid"
    assert client.get("/admin/stats", headers=SECRET).json()["items"] >= 0
    deleted = client.delete(f"/admin/items/{uuid4()}", headers=SECRET)
    assert (deleted.status_code, deleted.content) == (204, b"")


def test_nested_routers(client: Any) -> None:
    url = "/admin/audit/events"
    assert client.get(f"{url}?reason=curious&limit=1", headers=SECRET).json() == {"events": []}
    assert wrong(client.get(f"{url}?reason=curious")) == [["header", "x-token"]]
    assert wrong(client.get(url, headers=SECRET)) == [["query", "reason"]]
    assert client.get(f"{url}?reason=no", headers=SECRET).json()["detail"] == "No good reason"


# ---- security, the request, the document ----


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_oauth2(client: Any) -> None:
    nobody = client.get("/users/me/")
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (401, "Bearer")
    form = {"username": "ada", "password": "lovelace", "scope": "me"}
    token = client.post("/token", data=form).json()["access_token"]
    ada = {"username": "ada", "full_name": None}
    assert client.get("/users/me/", headers=bearer(token)).json() == ada
    assert client.post("/token", data={**form, "password": "x"}).status_code == 400
    assert client.get("/users/me/", headers=bearer("eve|me")).status_code == 401


def test_scopes(client: Any) -> None:
    url = "/users/me/items/"
    assert client.get(url, headers=bearer("ada|me")).status_code == 403
    assert client.get(url, headers=bearer("ada|me items")).json() == [{"owner": "ada"}]


def test_other_schemes(client: Any) -> None:
    assert client.get("/basic", auth=("ada", "lovelace")).json() == {"username": "ada"}
    assert client.get("/basic", auth=("ada", "byron")).status_code == 401
    nobody = client.get("/basic")
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (401, "Basic")
    assert client.get("/key", headers={"X-API-Key": "key"}).json() == {"key": "key"}
    assert client.get("/key", headers={"X-API-Key": "lock"}).status_code == 401
    assert client.get("/key").status_code == 401


def test_the_request(client: Any) -> None:
    assert client.get("/who").json() == {"client": True, "path": "/who"}


def test_the_document(client: Any) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["info"] == {"title": "Shop", "version": "1.2.0"}
    stats = document["paths"]["/admin/stats"]["get"]
    assert stats["tags"] == ["admin"]
    assert stats["summary"] == "Numbers of the shop"
    assert stats["description"] == "Counts what is in the store."
    assert stats["responses"]["200"]["description"] == "How many"
    assert stats["responses"]["418"] == {"description": "I'm a teapot"}
    events = document["paths"]["/admin/audit/events"]["get"]
    assert events["deprecated"] and events["tags"] == ["admin", "audit"]
    page = document["paths"]["/page"]["get"]["responses"]["200"]
    assert page["content"] == {"text/html": {"schema": {"type": "string"}}}


def test_both_documents_have_the_same_operations() -> None:
    ours, theirs = (load(name).app.openapi()["paths"] for name in ("cello", "fastapi"))
    assert {path: set(item) for path, item in ours.items()} == {
        path: set(item) for path, item in theirs.items()
    }
    for path, item in theirs.items():
        for method, operation in item.items():
            mine = ours[path][method]
            assert mine["operationId"] == operation["operationId"]
            assert places(mine) == places(operation), path
            assert mine.get("security") == operation.get("security"), path


def places(operation: dict[str, Any]) -> set[tuple[str, str, bool]]:
    found = operation.get("parameters", ())
    return {(p["in"], p["name"], p["required"]) for p in found}
