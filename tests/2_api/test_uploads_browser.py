"""An upload page in Chromium: a file input, several files, names of all kinds."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from api_client import BACKENDS, Client, serving
from cello import App, Form, Response, UploadedFile
from chromium import chromium
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PAGE = """<!doctype html><meta charset="utf-8"><title>Uploads</title>
<form action="/files" method="post" enctype="multipart/form-data">
  <input type="file" name="files" multiple>
  <input type="file" name="one">
  <input name="%22 &quot;note&quot;" value="Grüß Gott">
  <input type="hidden" name="_charset_">
  <button>Send</button>
</form>
<pre id="sent"></pre>
<script>
async function send() {  // what a program in the page sends
  const form = new FormData();
  form.append("note", "a\\r\\nb");
  form.append("files", new Blob(["blob"], {type: "text/x-y"}), 'q"\\r\\n€.txt');
  const answer = await fetch("/files", {method: "POST", body: form});
  document.getElementById("sent").textContent = await answer.text();
}
</script>
"""


def upload_page() -> App:
    app = App()
    app.get("/")(lambda: Response.html(PAGE))

    @app.post("/files", max_body=1 << 26)
    def save(
        files: list[UploadedFile],
        one: UploadedFile | None = None,
        quoted: Annotated[str, Form(alias='" "note"')] = "",
        note: Annotated[str, Form()] = "",
        charset: Annotated[str, Form(alias="_charset_")] = "",
    ) -> Any:
        sent = [[f.filename, f.content_type, hashlib.md5(f.read()).hexdigest()] for f in files]
        return {"files": sent, "one": one is not None, "note": quoted or note, "set": charset}

    return app


@pytest.fixture(scope="module", params=BACKENDS)
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    with serving(upload_page(), backend=request.param) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        yield driver


def address(client: Client) -> str:
    host, port = client.address
    return f"http://{host}:{port}/"


def shown(browser: Any, css: str) -> Any:
    """The JSON that an element shows, once there is some."""
    import json

    def look(browser: Any) -> Any:
        return browser.find_element(By.CSS_SELECTOR, css).text

    return json.loads(WebDriverWait(browser, 30).until(look))


def described(name: str, kind: str, data: bytes) -> list[str]:
    return [name, kind, hashlib.md5(data).hexdigest()]


def test_a_form_with_files(browser: Any, client: Client, tmp_path: Path) -> None:
    files = {
        "plain.txt": b"text",
        "Grüß € 日本.png": os.urandom(3_000_000),
        'q"uo%22te.bin': b"",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    browser.get(address(client))
    paths = "\n".join(str(tmp_path / name) for name in files)
    browser.find_element(By.NAME, "files").send_keys(paths)
    browser.find_element(By.TAG_NAME, "button").click()
    WebDriverWait(browser, 30).until(lambda b: b.current_url.endswith("/files"))
    kinds = ("text/plain", "image/png", "application/octet-stream")
    names = (*list(files)[:2], 'q"uo"te.bin')  # what it says of " and of %22 is the same
    expected = [described(*each) for each in zip(names, kinds, files.values(), strict=True)]
    assert shown(browser, "body") == {
        "files": expected,
        "one": False,
        "note": "Grüß Gott",
        "set": "UTF-8",
    }


def test_what_a_script_sends(browser: Any, client: Client) -> None:
    browser.get(address(client))
    browser.execute_script("send()")
    assert shown(browser, "#sent") == {
        "files": [described('q"\r\n€.txt', "text/x-y", b"blob")],
        "one": False,
        "note": "a\r\nb",
        "set": "",
    }
