"""Litestar with msgspec models."""

import asyncio
from typing import Any

from data import BIG, HELLO, TABLE
from litestar import Litestar, MediaType, get, post
from models import Order


@get("/plaintext", media_type=MediaType.TEXT)
async def plaintext() -> str:
    return HELLO


@get(["/json", "/async-json"])
async def json() -> dict[str, str]:
    return {"message": HELLO}


@get("/users/{id:str}")
async def user(id: str, q: str) -> dict[str, str]:
    return {"id": id, "q": q}


@get("/typed/{id:int}")
async def typed(id: int, q: str) -> dict[str, Any]:
    return {"id": id, "q": q}


@post("/echo", status_code=200)
async def echo(data: dict[str, Any]) -> dict[str, Any]:
    return data


@post("/model", status_code=200)
async def model(data: Order) -> Order:
    return data


@get("/big")
async def big() -> list[dict[str, Any]]:
    return BIG


@get("/sleep")
async def sleepy() -> dict[str, str]:
    await asyncio.sleep(0.001)
    return {"message": HELLO}


@get([prefix + "/{id:str}" for prefix in TABLE] or "/table/{id:str}")
async def item(id: str) -> dict[str, str]:
    return {"id": id}


app = Litestar([plaintext, json, user, typed, echo, model, big, sleepy, item], openapi_config=None)
