"""`cello new`: the project runs, and its own test passes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from api_client import Client
from cli_process import CELLO, cello, environment, running


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    done = cello("new", "my-shop", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cd my-shop && cello dev app:app" in done.stdout
    return folder / "my-shop"


def test_its_test_passes(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_it_runs(project: Path) -> None:
    with running((*CELLO, "run", "app:app", "--port", "0"), project) as process:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", process.line_with("Cello "))
        assert found
        with Client(("127.0.0.1", int(found[1]))) as client:
            assert client.get("/").data == {"message": "Hello from my-shop"}
            made = client.ask(
                "/items",
                "POST",
                b'{"name":"tea","price":2.5}',
                {"Content-Type": "application/json"},
            )
            assert (made.status, made.data) == (201, {"id": 1})
            assert client.get("/items/1").data == {"name": "tea", "price": 2.5}
        assert process.stop() == 0


def test_its_files_are_tidy(project: Path) -> None:
    check = ["mypy", "--strict", "app.py", "tests/test_app.py"]
    done = subprocess.run(
        [sys.executable, "-m", *check],
        cwd=project,
        env=environment(MYPY_CACHE_DIR=str(project.parent / "mypy")),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_nothing_is_overwritten(project: Path) -> None:
    (project / "app.py").write_text("mine\n")
    done = cello("new", "my-shop", cwd=project.parent)
    assert done.returncode == 1
    assert done.stderr == "cello: 'my-shop' is there already; nothing was changed\n"
    assert (project / "app.py").read_text() == "mine\n"


def test_an_empty_folder_is_filled_and_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert cello("new", "empty", cwd=tmp_path).returncode == 0
    assert (tmp_path / "empty/app.py").exists()
    for name in ("1st", "a b", "-", "x" * 65, 'a"b', "é"):
        assert cello("new", "--", name, cwd=tmp_path).returncode == 2, name
    (tmp_path / "file").write_text("")
    assert cello("new", "file", cwd=tmp_path).returncode == 1
    assert cello("new", "file/below", cwd=tmp_path).returncode == 1
