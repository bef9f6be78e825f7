"""The example's page in Chromium: tokens by fetch() and events by EventSource, one by one."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from api_client import serving
from cello import App, Response, SseEvent, SseStream
from chromium import chromium
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PAGE = """<!doctype html><meta charset="utf-8"><title>streams</title>
<p id="answer"></p><p id="events"></p>
<script>
  (async () => {
    const answer = await fetch("/answer");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read())
      document.getElementById("answer").append(part.value);
    document.getElementById("answer").append(".");
  })();
  const source = new EventSource("/events");
  source.addEventListener("tick", (event) =>
    document.getElementById("events").append(event.lastEventId + "=" + event.data + ";"));
</script>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        yield driver


def test_tokens_and_events_appear_one_by_one(browser: Any) -> None:
    step = threading.Semaphore(0)
    seen: list[str | None] = []
    streams: list[SseStream] = []
    app = App()

    @app.get("/")
    def page() -> Response:
        return Response.html(PAGE)

    @app.get("/answer")
    async def answer() -> Any:
        for token in ("The", " answer", " is", " 42"):
            yield token
            await asyncio.to_thread(step.acquire)

    @app.get("/events")
    def events(req: Any) -> SseStream:
        stream = SseStream(req, heartbeat=0.05)
        seen.append(stream.last_event_id)
        streams.append(stream)
        return stream

    def shows(place: str, text: str) -> None:
        WebDriverWait(browser, 30, 0.02).until(
            lambda page: page.find_element(By.ID, place).text == text,
            f"{text!r}, not {browser.find_element(By.ID, place).text!r}",
        )

    with serving(app) as client:
        browser.get(client.server.url + "/")
        for text in ("The", "The answer", "The answer is", "The answer is 42"):
            shows("answer", text)
            step.release()
        shows("answer", "The answer is 42.")
        WebDriverWait(browser, 30, 0.02).until(lambda page: streams)
        for i, text in enumerate(("1=a;", "1=a;2=b;"), 1):
            streams[0].send(SseEvent("ab"[i - 1], event="tick", id=str(i), retry=10))
            shows("events", text)
        streams[0].close()  # it comes back, and says what it saw
        WebDriverWait(browser, 30, 0.02).until(lambda page: len(streams) == 2)
        assert seen == [None, "2"]
        streams[1].send(SseEvent("c", event="tick", id="3"))
        shows("events", "1=a;2=b;3=c;")
        browser.execute_script("source.close()")
        WebDriverWait(browser, 30, 0.02).until(lambda page: not streams[1].send("x"))
