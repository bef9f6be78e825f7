"""The documentation of an API: Swagger UI under /docs, ReDoc under /redoc, and what they show.

$ curl -i http://127.0.0.1:8000/openapi.json
HTTP/1.1 200 OK
Content-Type: application/json
$ curl -i http://127.0.0.1:8000/docs
HTTP/1.1 200 OK
Content-Type: text/html; charset=utf-8
$ curl http://127.0.0.1:8000/items/7
{"id":7,"name":"cello","price":1.5}
"""

from typing import Annotated

import msgspec
from cello import App, HTTPError, Path


class Item(msgspec.Struct):
    """A thing for sale."""

    id: int
    name: Annotated[str, msgspec.Meta(max_length=40)]
    price: Annotated[float, msgspec.Meta(gt=0, description="in euro")]


app = App(title="shop", version="1.0")
app.enable_openapi(description="Sells **things**.", tags=[{"name": "items"}])


@app.get("/items/{id}", tags=["items"], responses={404: "no such item"})
def item(id: Annotated[int, Path(ge=1, description="as on the label")]) -> Item:
    """Show an item."""
    if id != 7:
        raise HTTPError(404, "no such item")
    return Item(id, "cello", 1.5)


@app.post("/items", tags=["items"], status=201)
def create(item: Item) -> Item:
    """Add an item."""
    return item


if __name__ == "__main__":
    app.run()
