"""Models: what comes in is decoded and checked, what goes out has the declared fields only.

$ curl -i -H 'Content-Type: application/json' -d '{"name":"ada","password":"x"}' http://127.0.0.1:8000/users
HTTP/1.1 201 Created

{"name":"ada","age":0}
$ curl -i -H 'Content-Type: application/json' -d '{"name":"ada","age":-1}' http://127.0.0.1:8000/users
HTTP/1.1 422 Unprocessable Content
$ curl -i -H 'Content-Type: application/json' -d '{"name":' http://127.0.0.1:8000/users
HTTP/1.1 400 Bad Request
$ curl -H 'Content-Type: application/json' -d '{"item":{"name":"tea","price":2}}' http://127.0.0.1:8000/orders
{"sum":2.0}
$ curl -H 'Content-Type: application/x-www-form-urlencoded' -d 'user=ada&password=x' http://127.0.0.1:8000/login
hello ada
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec
from cello import App, Body, Form

app = App()


class User(msgspec.Struct):
    name: str
    age: Annotated[int, msgspec.Meta(ge=0)] = 0


class NewUser(User, kw_only=True):
    password: str


@dataclass
class Item:
    name: str
    price: float


@app.post("/users", status=201)
def create(user: NewUser) -> User:
    return user  # without the password


@app.post("/orders")
def order(item: Item, count: Annotated[int, Body(ge=1)] = 1) -> object:
    return {"sum": item.price * count}


@app.post("/login")
def login(user: Annotated[str, Form()], password: Annotated[str, Form()]) -> str:
    return f"hello {user}\n"


if __name__ == "__main__":
    app.run()
