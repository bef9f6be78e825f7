"""Path parameters: braces take a segment, a type says which segments fit.

$ curl http://127.0.0.1:8000/users/J%C3%BCrgen
{"name":"Jürgen"}
$ curl http://127.0.0.1:8000/orders/-7
{"order":-7}
$ curl http://127.0.0.1:8000/orders/new
{"order":"a new one"}
$ curl http://127.0.0.1:8000/price/2.50
{"price":2.5}
$ curl http://127.0.0.1:8000/by/uuid/0b5f6b6e-3a46-4b21-9a3c-6f0c3f2a8f11
{"uuid":"0b5f6b6e-3a46-4b21-9a3c-6f0c3f2a8f11"}
$ curl http://127.0.0.1:8000/by/alpha/abc
{"alpha":"abc"}
$ curl http://127.0.0.1:8000/by/slug/hello-world_2
{"slug":"hello-world_2"}
$ curl http://127.0.0.1:8000/by/date/2024-02-29
{"date":"2024-02-29"}
$ curl http://127.0.0.1:8000/by/plate/B-XY123
{"plate":"B-XY123"}
$ curl http://127.0.0.1:8000/files/docs/2024/a.txt
{"path":"docs/2024/a.txt"}
$ curl http://127.0.0.1:8000/v2.json
{"version":2}
$ curl -i http://127.0.0.1:8000/by/date/2023-02-29
HTTP/1.1 404 Not Found
"""

from cello import App, Request

app = App()


@app.get("/users/{name}")
def user(req: Request) -> object:
    return {"name": req.params["name"]}


@app.get("/orders/{id:int}")
def order(req: Request) -> object:
    return {"order": req.get_param_int("id")}


@app.get("/orders/new")  # text beats types, types beat {name}, that beats {rest:path}
def new_order() -> object:
    return {"order": "a new one"}


@app.get("/price/{amount:float}")
def price(req: Request) -> object:
    return {"price": float(req.params["amount"])}


@app.get("/by/uuid/{uuid:uuid}")
@app.get("/by/alpha/{alpha:alpha}")
@app.get("/by/slug/{slug:slug}")
@app.get("/by/date/{date:date}")
@app.get("/by/plate/{plate:regex([A-Z]{1,3}-[A-Z]{1,2}[0-9]{1,4})}")
def by_kind(req: Request) -> object:
    return dict(req.params)


@app.get("/files/{rest:path}")  # the rest of the path, slashes included
def file(req: Request) -> object:
    return {"path": req.params["rest"]}


@app.get("/v{major:int}.json")  # text may stand before and behind a parameter
def version(req: Request) -> object:
    return {"version": req.get_param_int("major")}


if __name__ == "__main__":
    app.run()
