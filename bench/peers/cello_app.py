"""Cello, written as its users write it."""

import asyncio
import importlib
import sys

from cello import App
from data import BIG, HELLO, MIDDLEWARE, PORT, STREAMS, TABLE, VARIANT
from models import Order

app = App()


app.static_response("/constant", HELLO)


@app.get("/plaintext")
def plaintext(req):
    return HELLO


@app.get("/json")
def json(req):
    return {"message": HELLO}


@app.get("/users/{id}")
def user(req):
    return {"id": req.params["id"], "q": req.query.get("q")}


@app.post("/echo")
def echo(req):
    return req.json()


@app.get("/typed/{id:int}")
def typed(id: int, q: str):
    return {"id": id, "q": q}


@app.post("/model")
def model(order: Order) -> Order:
    return order


@app.get("/big")
def big(req):
    return BIG


@app.get("/async-json")
async def async_json(req):
    return {"message": HELLO}


@app.get("/yield")
async def yields(req):
    await asyncio.sleep(0)
    return {"message": HELLO}


@app.get("/future")
async def future(req):
    loop = asyncio.get_running_loop()
    waiting = loop.create_future()
    loop.call_soon(waiting.set_result, None)
    await waiting
    return {"message": HELLO}


@app.get("/sleep")
async def sleepy(req):
    await asyncio.sleep(0.001)
    return {"message": HELLO}


def item(req):
    return {"id": req.params["id"]}


for prefix in TABLE:
    app.add_route(prefix + "/{id}", item, ["GET"])

if MIDDLEWARE:
    app.enable_request_id()
    app.enable_security_headers()


if STREAMS:
    importlib.import_module("cello_" + VARIANT).add(app)


def serve_with_stats():
    """Serves until told to stop, and shows the engine's counters at /stats."""

    @app.get("/stats")
    def stats(req):
        return server.stats()

    server = app.start("127.0.0.1", PORT, env="production", logs=False)
    server.wait()


if __name__ == "__main__":
    if "--stats" in sys.argv:
        serve_with_stats()
    else:
        app.run("127.0.0.1", PORT, env="production", logs=False, argv=False)
