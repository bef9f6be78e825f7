r"""JSON in, JSON out. Dataclasses, dates, UUIDs, decimals and more are encoded as they are.

$ curl -d '{"a":[1,2.5,"\u00e4"],"big":123456789012345678901234567890}' http://127.0.0.1:8000/echo
{"a":[1,2.5,"ä"],"big":123456789012345678901234567890}
$ curl -d '{"name":"tea","price":"4.20"}' http://127.0.0.1:8000/items
{"name":"tea","price":"4.20","since":"2024-02-29"}
$ curl -i -d '{"name" "tea"}' http://127.0.0.1:8000/items
HTTP/1.1 400 Bad Request
Content-Type: application/problem+json
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from cello import App, Request

app = App()


@dataclass
class Item:
    name: str
    price: Decimal
    since: date


@app.post("/echo")
def echo(req: Request) -> Any:
    return req.json()  # not JSON: 400, and the answer names the byte


@app.post("/items")
def create(req: Request) -> Item:
    data = req.json()
    return Item(data["name"], Decimal(data["price"]), date(2024, 2, 29))


if __name__ == "__main__":
    app.run()
