import asyncio

from cello import App, Response
from data import BIG, HELLO, PORT, TABLE

app = App()


@app.get("/plaintext")
def plaintext(request):
    return Response.text(HELLO)


@app.get("/json")
def json(request):
    return {"message": HELLO}


@app.get("/users/{id}")
def user(request):
    return {"id": request.params["id"], "q": request.query.get("q")}


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
    return {"id": request.params["id"]}


for prefix in TABLE:
    app.get(prefix + "/{id}")(item)

if __name__ == "__main__":
    app.run(host="127.0.0.1", port=PORT, env="production", workers=1, logs=False)
