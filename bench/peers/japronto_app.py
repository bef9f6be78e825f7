import asyncio

from data import BIG, HELLO, PORT, TABLE
from japronto import Application


def plaintext(request):
    return request.Response(text=HELLO)


def json(request):
    return request.Response(json={"message": HELLO})


def user(request):
    return request.Response(json={"id": request.match_dict["id"], "q": request.query.get("q")})


def echo(request):
    return request.Response(json=request.json)


def big(request):
    return request.Response(json=BIG)


async def async_json(request):
    return request.Response(json={"message": HELLO})


async def sleepy(request):
    await asyncio.sleep(0.001)
    return request.Response(json={"message": HELLO})


def item(request):
    return request.Response(json={"id": request.match_dict["id"]})


app = Application()
app.router.add_route("/plaintext", plaintext)
app.router.add_route("/json", json)
app.router.add_route("/users/{id}", user)
app.router.add_route("/echo", echo, method="POST")
app.router.add_route("/big", big)
app.router.add_route("/async-json", async_json)
app.router.add_route("/sleep", sleepy)
for prefix in TABLE:
    app.router.add_route(prefix + "/{id}", item)
app.run("127.0.0.1", PORT, worker_num=1)
