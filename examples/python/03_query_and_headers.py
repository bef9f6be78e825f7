"""What else a request says: query, headers, cookies.

$ curl 'http://127.0.0.1:8000/search?q=green+tea&tag=a&tag=b&page=2'
{"q":"green tea","tags":["a","b"],"page":2,"exact":false}
$ curl 'http://127.0.0.1:8000/search?q=tea&exact=yes'
{"q":"tea","tags":[],"page":1,"exact":true}
$ curl -i 'http://127.0.0.1:8000/search?q=tea&page=two'
HTTP/1.1 422 Unprocessable Content
$ curl -H 'User-Agent: me/1' -H 'Accept: text/*' -H 'Cookie: theme=dark; a=1' http://127.0.0.1:8000/you
{"agent":"me/1","wants_html":true,"theme":"dark","address":"127.0.0.1"}
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


@app.get("/you")
def you(req: Request) -> object:
    return {
        "agent": req.headers["user-agent"],  # in any case
        "wants_html": req.accepts("text/html"),
        "theme": req.cookies.get("theme", "light"),
        "address": req.remote_addr,
    }


if __name__ == "__main__":
    app.run()
