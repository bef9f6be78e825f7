"""HTML from templates: what a client sends is text in it, never markup. Needs cello[templates].

$ curl -i http://127.0.0.1:8000/items/tea
HTTP/1.1 200 OK
Content-Type: text/html; charset=utf-8

<h1>Tea</h1>
<a href="/items/next%20of%20tea">next</a>
$ curl http://127.0.0.1:8000/items/%3Cb%3E
<h1>&lt;B&gt;</h1>
<a href="/items/next%20of%20%3Cb%3E">next</a>
"""

from cello import App, Request, Response

app = App()
app.enable_templates("templates")  # beside this file


@app.get("/items/{name}")
def item(req: Request, name: str) -> Response:
    return app.render(req, "item.html", {"name": name})


if __name__ == "__main__":
    app.run()
