"""The query: one value or many, as text, number or truth.

$ curl 'http://127.0.0.1:8000/search?q=green+tea&tag=a&tag=b&page=2'
{"q":"green tea","tags":["a","b"],"page":2,"exact":false}
$ curl 'http://127.0.0.1:8000/search?q=tea&exact=yes'
{"q":"tea","tags":[],"page":1,"exact":true}
$ curl -i 'http://127.0.0.1:8000/search?q=tea&page=two'
HTTP/1.1 422 Unprocessable Content
"""

from cello import App, Request

app = App()


@app.get("/search")
def search(req: Request) -> object:
    return {
        "q": req.query.get("q", ""),
        "tags": req.query.get_all("tag"),
        "page": req.get_query_int("page", 1),  # 422 when it is not a number
        "exact": req.get_query_bool("exact", False),
    }


if __name__ == "__main__":
    app.run()
