"""A page with its resources in Chromium, over HTTP/2: one connection, many requests at once."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cello import App, Request, Response, SseEvent, SseStream, TlsConfig
from chromium import chromium
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PARTS = 30
PAGE = f"""<!doctype html><meta charset="utf-8"><title>HTTP/2</title>
<link rel="stylesheet" href="/style.css">
<p id="text">loading</p>
{"".join(f'<script src="/part/{i}.js" defer></script>' for i in range(PARTS))}
<script type="module">
  const uploaded = await fetch("/upload", {{method: "POST", body: "x".repeat(3000000)}});
  window.uploaded = await uploaded.json();
  window.streamed = await (await fetch("/stream")).text();
  window.source = new EventSource("/events");
  window.source.addEventListener("tick", (event) => window.ticked = event.data);
  window.protocols = () => performance.getEntriesByType("resource")
    .concat(performance.getEntriesByType("navigation"))
    .map((entry) => [new URL(entry.name).pathname, entry.nextHopProtocol]);
</script>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium("--ignore-certificate-errors") as driver:
        yield driver


def certificate(folder: Path) -> TlsConfig:
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"]
    words += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(words, check=True, capture_output=True, cwd=folder)
    return TlsConfig(str(folder / "cert.pem"), str(folder / "key.pem"))


def make_app(clients: set[Any], streams: list[SseStream]) -> App:
    app = App()
    together = threading.Barrier(4)

    @app.get("/")
    def page(req: Request) -> Response:
        clients.add(req.client)
        return Response.html(PAGE)

    @app.get("/style.css")
    def style() -> Response:
        return Response("p { color: rgb(1, 2, 3) }", content_type="text/css")

    @app.get("/part/{name}", blocking=True)
    def part(req: Request) -> Response:
        """The first four wait for each other: they are asked for at once."""
        clients.add(req.client)
        number = int(req.params["name"].removesuffix(".js"))
        if number < 4:
            together.wait(20)
        code = f"document.getElementById('text').dataset.p{number} = 1;"
        return Response(code, content_type="text/javascript")

    @app.post("/upload", max_body=4_000_000)
    def upload(req: Request) -> dict[str, int]:
        clients.add(req.client)
        return {"bytes": len(req.body())}

    @app.get("/stream")
    def stream() -> Any:
        return (f"{i} " for i in range(1000))

    @app.get("/events")
    def events(req: Request) -> SseStream:
        streams.append(SseStream(req))
        return streams[-1]

    return app


def test_a_page_and_its_resources(browser: Any, tmp_path: Path) -> None:
    clients: set[Any] = set()
    streams: list[SseStream] = []
    with make_app(clients, streams).start(tls=certificate(tmp_path)) as server:
        browser.get(f"https://127.0.0.1:{server.addresses[0][1]}/")
        wait = WebDriverWait(browser, 60, 0.02)
        wait.until(lambda page: page.execute_script("return window.protocols !== undefined"))
        wait.until(lambda page: streams)
        streams[0].send(SseEvent("now", event="tick"))
        wait.until(lambda page: page.execute_script("return window.ticked") == "now")
        text = browser.execute_script("return Object.keys(document.all.text.dataset).length")
        assert text == PARTS
        color = "return getComputedStyle(document.all.text).color"
        assert browser.execute_script(color) == "rgb(1, 2, 3)"
        assert browser.execute_script("return window.uploaded") == {"bytes": 3_000_000}
        streamed = "".join(f"{i} " for i in range(1000))
        assert browser.execute_script("return window.streamed") == streamed
        protocols = dict(browser.execute_script("return window.protocols()"))
        assert len(protocols) >= PARTS + 4 and set(protocols.values()) == {"h2"}, protocols
        assert len(clients) == 1, "all came on one connection"
        browser.execute_script("window.source.close()")
        wait.until(lambda page: not streams[0].send(SseEvent("later")))
