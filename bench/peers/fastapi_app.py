"""FastAPI with pydantic models, as its documentation shows it."""

import asyncio

from data import BIG, HELLO, STREAMS, TABLE
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi_streams import router
from pydantic import BaseModel

app = FastAPI(openapi_url=None)


class Nested(BaseModel):
    a: list[int]
    b: int | None
    c: str


class Item(BaseModel):
    sku: str
    qty: int
    price: float
    note: str


class Order(BaseModel):
    id: int
    name: str
    tags: list[str]
    active: bool
    ratio: float
    nested: Nested
    items: list[Item]
    text: str


@app.get("/plaintext", response_class=PlainTextResponse)
async def plaintext():
    return HELLO


@app.get("/json")
async def json():
    return {"message": HELLO}


app.get("/async-json")(json)


@app.get("/users/{id}")
async def user(id: str, q: str):
    return {"id": id, "q": q}


@app.get("/typed/{id}")
async def typed(id: int, q: str):
    return {"id": id, "q": q}


@app.post("/echo")
async def echo(body: dict):
    return body


@app.post("/model")
async def model(order: Order) -> Order:
    return order


@app.get("/big")
async def big():
    return BIG


@app.get("/sleep")
async def sleepy():
    await asyncio.sleep(0.001)
    return {"message": HELLO}


async def item(id: str):
    return {"id": id}


for prefix in TABLE:
    app.get(prefix + "/{id}")(item)

if STREAMS:
    app.include_router(router)
