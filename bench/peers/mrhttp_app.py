import asyncio

import mrhttp
import orjson
from data import BIG, HELLO, PORT, TABLE

app = mrhttp.Application()


def dumps(value):
    return orjson.dumps(value).decode()  # handlers return text


@app.route("/plaintext")
def plaintext(r):
    return HELLO


@app.route("/json", _type="json")
def json(r):
    return dumps({"message": HELLO})


@app.route("/users/{}", _type="json")
def user(r, id):
    return dumps({"id": id, "q": r.query_string.get("q")})


@app.route("/echo", _type="json", methods=["POST"])
def echo(r):
    return dumps(r.json)


@app.route("/big", _type="json")
def big(r):
    return dumps(BIG)


@app.route("/async-json", _type="json")
async def async_json(r):
    return dumps({"message": HELLO})


@app.route("/sleep", _type="json")
async def sleepy(r):
    await asyncio.sleep(0.001)
    return dumps({"message": HELLO})


def add_item(prefix):
    def item(r, id):
        return dumps({"id": id})

    item.__name__ = prefix.replace("/", "_")  # each route needs a name of its own
    app.route(prefix + "/{}", _type="json")(item)


for prefix in TABLE:
    add_item(prefix)

if __name__ == "__main__":
    app.run("127.0.0.1", PORT, cores=1)
