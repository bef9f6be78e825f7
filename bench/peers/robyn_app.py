import asyncio
import uuid

import robyn_streams
from data import BIG, HELLO, MIDDLEWARE, PORT, SECURITY_HEADERS, STREAMS, TABLE
from robyn import Robyn

app = Robyn(__file__)


@app.get("/constant", const=True)
def constant(request):
    return HELLO


@app.get("/plaintext")
def plaintext(request):
    return HELLO


@app.get("/json")
def json(request):
    return {"message": HELLO}


@app.get("/users/:id")
def user(request):
    return {"id": request.path_params["id"], "q": request.query_params.get("q", None)}


@app.post("/echo")
def echo(request):
    return request.json()


@app.get("/big")
def big(request):
    return BIG


@app.get("/async-json")
async def async_json(request):
    return {"message": HELLO}


@app.get("/sleep")
async def sleepy(request):
    await asyncio.sleep(0.001)
    return {"message": HELLO}


def item(request):
    return {"id": request.path_params["id"]}


for prefix in TABLE:
    app.get(prefix + "/:id")(item)

if STREAMS:
    robyn_streams.add(app)

if MIDDLEWARE:

    @app.after_request()
    def add_headers(response):
        for name, value in SECURITY_HEADERS.items():
            response.headers.set(name, value)
        response.headers.set("X-Request-ID", uuid.uuid4().hex)
        return response


if __name__ == "__main__":
    app.start(host="127.0.0.1", port=PORT)
