"""Typed parameters: a handler says what it wants, the engine converts it or says what is wrong.

$ curl 'http://127.0.0.1:8000/search?q=tea&tag=green&tag=hot'
{"q":"tea","tags":["green","hot"],"page":1,"since":null,"sort":"name"}
$ curl 'http://127.0.0.1:8000/search?q=tea&since=2024-02-29&sort=price&page=2'
{"q":"tea","tags":[],"page":2,"since":"2024-02-29","sort":"price"}
$ curl -i 'http://127.0.0.1:8000/search?page=0&since=yesterday&sort=size'
HTTP/1.1 422 Unprocessable Content
Content-Type: application/problem+json
$ curl http://127.0.0.1:8000/square/12
{"n":12,"square":144}
$ curl http://127.0.0.1:8000/agent -H 'X-Request-Source: app' -H 'Cookie: theme=dark'
{"source":"app","theme":"dark"}
"""

from datetime import date
from typing import Annotated, Literal

from cello import App, Cookie, Header, Query

app = App()


@app.get("/search")
def search(
    q: str,
    tag: list[str] = [],  # noqa: B006 - each request has its own
    page: Annotated[int, Query(ge=1)] = 1,
    since: date | None = None,
    sort: Literal["name", "price"] = "name",
) -> object:
    return {"q": q, "tags": tag, "page": page, "since": since, "sort": sort}


@app.get("/square/{n}")
def square(n: int) -> object:
    return {"n": n, "square": n * n}


@app.get("/agent")
def agent(
    x_request_source: Annotated[str, Header()] = "web",  # X-Request-Source
    theme: Annotated[str, Cookie()] = "light",
) -> object:
    return {"source": x_request_source, "theme": theme}


if __name__ == "__main__":
    app.run()
