"""Errors are answers: problem documents, as RFC 9457 has them.

$ curl -i http://127.0.0.1:8000/items/9
HTTP/1.1 404 Not Found
Content-Type: application/problem+json

{"type":"about:blank","title":"Not Found","status":404,"detail":"unknown","instance":"/items/9"}
$ curl http://127.0.0.1:8000/balance
{"type":"urn:no-credit","title":"No credit","status":403,"instance":"/balance","missing":20}
$ curl -i http://127.0.0.1:8000/busy
HTTP/1.1 503 Service Unavailable
Retry-After: 5
$ curl -i http://127.0.0.1:8000/bug
HTTP/1.1 500 Internal Server Error
Content-Type: application/problem+json
$ curl -i -X PUT http://127.0.0.1:8000/busy
HTTP/1.1 405 Method Not Allowed
Allow: GET, HEAD, OPTIONS
"""

from cello import App, HTTPError, Request

app = App()


@app.get("/items/{id:int}")
def item(req: Request) -> object:
    raise HTTPError(404, "unknown")


@app.get("/balance")
def balance() -> object:
    # Further keyword arguments become members of the document.
    raise HTTPError(403, title="No credit", type="urn:no-credit", missing=20)


@app.get("/busy")
def busy() -> object:
    raise HTTPError(503, "try later", headers={"Retry-After": "5"})


@app.get("/bug")
def bug() -> object:
    return 1 / 0  # the client sees 500; the log sees the route and the traceback


if __name__ == "__main__":
    app.run()
