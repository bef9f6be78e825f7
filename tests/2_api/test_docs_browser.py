"""The pages /docs and /redoc in Chromium, which reaches no other server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Annotated, Any

import msgspec
import pytest
from api_client import Client, serving
from cello import App, HeaderVersioning, Query
from chromium import chromium
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


class Item(msgspec.Struct):
    name: str
    price: Annotated[float, msgspec.Meta(gt=0)]


def shop() -> App:
    app = App(title="shop", version="1.0")

    @app.get("/search/{kind}")
    def search(kind: str, q: str, page: Annotated[int, Query(ge=1)] = 1) -> dict[str, str | int]:
        """Look for things."""
        return {"kind": kind, "q": q, "page": page}

    @app.post("/items", status=201)
    def create(item: Item) -> Item:
        return Item(item.name.upper(), item.price)

    app.enable_openapi()
    return app


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(shop()) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium("--window-size=1200,1400") as driver:
        yield driver


class Page:
    def __init__(self, browser: Any, client: Client, path: str) -> None:
        self.browser = browser
        host, port = client.address
        browser.get_log("browser")  # of the page before
        browser.get(f"http://{host}:{port}{path}")

    def find(self, css: str, text: str = "") -> Any:
        """The first element that is shown and has the text, once there is one."""

        def look(browser: Any) -> Any:
            found = browser.find_elements(By.CSS_SELECTOR, css)
            return next((e for e in found if e.is_displayed() and text in e.text), None)

        return WebDriverWait(self.browser, 30).until(look, f"no {css} with {text!r}")

    def click(self, css: str, text: str = "") -> None:
        element = self.find(css, text)
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def complaints(self) -> list[str]:
        """What the browser logs: errors of scripts, what could not be loaded."""
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def keep(self, name: str) -> None:
        """Leave a picture for people to look at, where they ask for it."""
        folder = os.environ.get("CELLO_SCREENSHOTS")
        if folder:
            self.browser.save_screenshot(f"{folder}/{name}.png")


def test_swagger_ui_shows_the_api(browser: Any, client: Client) -> None:
    page = Page(browser, client, "/docs")
    assert "shop" in page.find(".info .title").text
    assert page.find(".opblock-summary-path", "/search").text.replace("\u200b", "")
    page.find(".opblock-summary-description", "Search")
    page.find("section.models", "Item")
    page.keep("docs")
    assert browser.title == "shop - Swagger UI"
    assert page.complaints() == []


def test_try_it_out_sends_a_query(browser: Any, client: Client) -> None:
    page = Page(browser, client, "/docs")
    page.click(".opblock-get .opblock-summary-control")
    page.click(".opblock-get .try-out__btn")
    for name, value in (("kind", "books"), ("q", "C & Python")):
        page.find(f".opblock-get tr[data-param-name={name}] input").send_keys(value)
    page.click(".opblock-get .execute")
    assert page.find(".live-responses-table .response-col_status", "200")
    answer = page.find(".live-responses-table .response-col_description pre.microlight").text
    page.keep("docs-try-query")
    assert msgspec.json.decode(answer) == {"kind": "books", "q": "C & Python", "page": 1}
    assert page.complaints() == []


def test_try_it_out_sends_a_body(browser: Any, client: Client) -> None:
    page = Page(browser, client, "/docs")
    page.click(".opblock-post .opblock-summary-control")
    page.click(".opblock-post .try-out__btn")
    body = page.find(".opblock-post textarea.body-param__text")
    example = msgspec.json.decode(body.get_attribute("value"))
    assert example.keys() == {"name", "price"}
    page.click(".opblock-post .execute")
    page.find(".live-responses-table .response-col_status", "201")
    answer = page.find(".live-responses-table .response-col_description pre.microlight").text
    page.keep("docs-try-body")
    assert msgspec.json.decode(answer)["name"] == example["name"].upper()
    assert page.complaints() == []


def test_redoc_shows_the_api(browser: Any, client: Client) -> None:
    page = Page(browser, client, "/redoc")
    assert "shop" in page.find("h1").text
    page.find("h2", "Search")
    page.find("td", "page")
    page.keep("redoc")
    assert browser.title == "shop - ReDoc"
    # Its maker's logo, which is elsewhere, is not asked for, and then not shown.
    assert [text for text in page.complaints() if "logo-mini.svg" not in text] == []


class _Proxy(BaseHTTPRequestHandler):
    """Takes /shop off the path, as a reverse proxy does."""

    target: tuple[str, int]

    def do_GET(self) -> None:
        answer, head, body = 404, {}, b""
        if self.path.startswith("/shop/"):
            connection = HTTPConnection(*self.target, timeout=10)
            connection.request("GET", self.path.removeprefix("/shop"), headers=dict(self.headers))
            found = connection.getresponse()
            answer, head, body = found.status, dict(found.headers), found.read()
            connection.close()
        self.send_response(answer)
        for name, value in head.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def behind_a_prefix(client: Client) -> Iterator[Client]:
    handler = type("Proxy", (_Proxy,), {"target": client.address})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        yield Client(("127.0.0.1", proxy.server_port))
        proxy.shutdown()


def test_pages_behind_a_prefix(browser: Any) -> None:
    app = App(title="inner")
    app.get("/hello")(lambda req: {"says": "hi"})
    app.enable_openapi(
        docs_url="/pages/docs", redoc_url="/pages/redoc", openapi_url="/a.json", servers=["/shop"]
    )
    with serving(app) as client, behind_a_prefix(client) as outside:
        page = Page(browser, outside, "/shop/pages/docs")
        assert "inner" in page.find(".info .title").text
        page.click(".opblock-get .opblock-summary-control")
        page.click(".opblock-get .try-out__btn")
        page.click(".opblock-get .execute")
        page.find(".live-responses-table .response-col_status", "200")
        assert page.complaints() == []
        assert "inner" in Page(browser, outside, "/shop/pages/redoc").find("h1").text


def test_pages_of_versions(browser: Any) -> None:
    app = App(versioning=HeaderVersioning("X-V", default="v1"))
    app.get("/a", versions=["v1"], summary="old")(lambda req: {"version": 1})
    app.get("/a", versions=["v2"], summary="new")(lambda req: {"version": 2})
    app.enable_openapi()
    with serving(app) as client:
        page = Page(browser, client, "/docs")
        page.find(".opblock-summary-description", "old")
        page.click("nav a", "v2")
        page.find(".opblock-summary-description", "new")
        page.click(".opblock-get .opblock-summary-control")
        page.click(".opblock-get .try-out__btn")
        page.click(".opblock-get .execute")
        answer = page.find(".live-responses-table .response-col_description pre.microlight").text
        page.keep("docs-version")
        assert msgspec.json.decode(answer) == {"version": 2}
        Page(browser, client, "/redoc?version=v2").find("h2", "new")
