"""Streams: a page that shows the tokens of a language model as they come, and server-sent events.

$ curl http://127.0.0.1:8000/answer?q=why
You asked: why. The answer is 42.
$ curl -i http://127.0.0.1:8000/ticks
HTTP/1.1 200 OK
Content-Type: text/event-stream
Cache-Control: no-store

id: 1
event: tick
data: {"n":1}

id: 2
event: tick
data: {"n":2}

id: 3
event: tick
data: {"n":3}

"""

import asyncio
from collections.abc import AsyncIterator

from cello import App, Response, SseEvent

app = App()

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Streams</title>
<p id="answer"></p>
<ol id="ticks"></ol>
<script>
  // A body that is read while it comes.
  async function ask(question) {
    const answer = await fetch("/answer?q=" + encodeURIComponent(question));
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read())
      document.getElementById("answer").append(part.value);
  }
  // Events, by what browsers have for them: it comes back by itself when the connection breaks.
  const events = new EventSource("/ticks");
  events.addEventListener("tick", (event) => {
    const item = document.createElement("li");
    item.textContent = JSON.parse(event.data).n;
    document.getElementById("ticks").append(item);
    if (event.lastEventId === "3") events.close();
  });
  ask("why");
</script>
"""


async def model(question: str) -> AsyncIterator[str]:
    """Stands in for a language model."""
    for token in ("You", " asked: ", question, ".", " The", " answer", " is", " 42.", "\n"):
        await asyncio.sleep(0.01)
        yield token


@app.get("/")
def page() -> Response:
    return Response.html(PAGE)


@app.get("/answer")
async def answer(q: str) -> AsyncIterator[str]:
    async for token in model(q):  # a client that leaves ends the model, too
        yield token


@app.get("/ticks")
async def ticks() -> AsyncIterator[SseEvent]:
    for n in range(1, 4):
        yield SseEvent({"n": n}, event="tick", id=str(n))
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    app.run()
