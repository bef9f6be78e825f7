import asyncio

import orjson
from data import BIG, HELLO, PORT, TABLE
from socketify import App

app = App()


class Orjson:
    loads = staticmethod(orjson.loads)

    @staticmethod
    def dumps(value):
        return orjson.dumps(value).decode()


app.json_serializer(Orjson)


def plaintext(res, req):
    res.end(HELLO)


def json(res, req):
    res.end({"message": HELLO})


def user(res, req):
    res.end({"id": req.get_parameter(0), "q": req.get_query("q")})


async def echo(res, req):
    res.end(await res.get_json())


def big(res, req):
    res.end(BIG)


async def async_json(res, req):
    res.end({"message": HELLO})


async def sleepy(res, req):
    await asyncio.sleep(0.001)
    res.end({"message": HELLO})


def item(res, req):
    res.end({"id": req.get_parameter(0)})


app.get("/plaintext", plaintext)
app.get("/json", json)
app.get("/users/:id", user)
app.post("/echo", echo)
app.get("/big", big)
app.get("/async-json", async_json)
app.get("/sleep", sleepy)
for prefix in TABLE:
    app.get(prefix + "/:id", item)
app.listen({"host": "127.0.0.1", "port": PORT}, lambda config: None)
app.run()
