"""`cello new`: a project that runs, with a test that passes."""

from __future__ import annotations

import re
from pathlib import Path

from cello import _cello
from cello._load import Stop

_MAX_NAME = 64

APP = '''\
"""{title}: what it answers."""

import msgspec
from cello import App, HTTPError

app = App(title="{title}", version="0.1.0")


class Item(msgspec.Struct):
    name: str
    price: float


items: dict[int, Item] = {{}}


@app.get("/")
def index() -> dict[str, str]:
    return {{"message": "Hello from {title}"}}


@app.post("/items", status=201)
def create(item: Item) -> dict[str, int]:
    id = len(items) + 1
    items[id] = item
    return {{"id": id}}


@app.get("/items/{{id:int}}")
def read(id: int) -> Item:
    if id not in items:
        raise HTTPError(404, f"there is no item {{id}}")
    return items[id]


if __name__ == "__main__":
    app.run()
'''

TEST = """\
from app import app
from cello.testing import TestClient


def test_index() -> None:
    with TestClient(app) as client:
        assert client.get("/").json() == {{"message": "Hello from {title}"}}


def test_an_item_is_kept() -> None:
    with TestClient(app) as client:
        id = client.post("/items", json={{"name": "tea", "price": 2.5}}).json()["id"]
        assert client.get(f"/items/{{id}}").json() == {{"name": "tea", "price": 2.5}}


def test_what_is_not_there_or_not_right() -> None:
    with TestClient(app) as client:
        assert client.get("/items/999").status_code == 404
        assert client.post("/items", json={{"name": "tea"}}).status_code == 422
"""

PYPROJECT = """\
[project]
name = "{distribution}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["cello>={version}"]

[project.optional-dependencies]
dev = ["cello[standard,test]", "pytest"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
"""

README = """\
# {title}

    cello dev app:app       # http://127.0.0.1:8000, again after every save
    pytest                  # its tests
    cello routes app:app    # what it answers
    cello run app:app --host 0.0.0.0 --env production --workers auto
"""

GITIGNORE = """\
__pycache__/
*.pyc
.pytest_cache/
.venv/
.env
"""

FILES = {
    "app.py": APP,
    "tests/test_app.py": TEST,
    "pyproject.toml": PYPROJECT,
    "README.md": README,
    ".gitignore": GITIGNORE,
}


def new(path: str) -> int:
    """Make the folder `path` with a project in it; the status for the process.

    Stop: it is there already and not empty, the name cannot be a project's, or it cannot be made.
    """
    folder = Path(path)
    name = folder.resolve().name
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name) or len(name) > _MAX_NAME:
        raise Stop(f"{name!r} cannot name a project: letters, digits, '_', '-' and '.'", 2)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Stop(f"{path!r} is there already; nothing was changed")
    values = {
        "title": name,
        "distribution": re.sub(r"[-_.]+", "-", name).strip("-").lower(),
        "version": _cello.VERSION,
    }
    try:
        for file, text in FILES.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            with (folder / file).open("x") as f:
                f.write(text.format(**values) if file != ".gitignore" else text)
    except OSError as error:
        raise Stop(f"cannot write {str(error.filename)!r}: {error.strerror}") from None
    print(f"{path}: {', '.join(FILES)}")
    print(f"  cd {path} && cello dev app:app")
    return 0
