"""Versions of an API, and URLs from the names of routes.

$ curl http://127.0.0.1:8000/items/1
{"name":"lamp"}
$ curl -i http://127.0.0.1:8000/items/1 -H "X-API-Version: v2"
HTTP/1.1 200 OK
Vary: X-API-Version

{"name":"lamp","next":"/items/2?of=3"}
$ curl -i http://127.0.0.1:8000/items/1 -H "X-API-Version: v9"
HTTP/1.1 406 Not Acceptable
"""

from cello import App, HeaderVersioning

app = App(versioning=HeaderVersioning("X-API-Version", default="v1"))
ITEMS = ["lamp", "chair", "table"]


@app.get("/items/{number:int}", versions=["v1"])
def item(number: int) -> dict[str, str]:
    return {"name": ITEMS[number - 1]}


@app.get("/items/{number:int}", versions=["v2"], name="item")
def item_with_next(number: int) -> dict[str, str]:
    after = app.url_for("item", number=number % len(ITEMS) + 1, of=len(ITEMS))
    return {"name": ITEMS[number - 1], "next": after}


if __name__ == "__main__":
    app.run()
