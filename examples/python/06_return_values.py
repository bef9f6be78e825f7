"""Return values: their type says what they are answered as.

$ curl -i http://127.0.0.1:8000/text
HTTP/1.1 200 OK
Content-Type: text/plain; charset=utf-8

hello
$ curl -i http://127.0.0.1:8000/bytes
HTTP/1.1 200 OK
Content-Type: application/octet-stream

hello
$ curl -i -X DELETE http://127.0.0.1:8000/nothing
HTTP/1.1 204 No Content
$ curl -i -X POST http://127.0.0.1:8000/items
HTTP/1.1 201 Created

{"id":7}
$ curl -i -X POST http://127.0.0.1:8000/jobs
HTTP/1.1 202 Accepted
Location: /jobs/1

{"queued":true}
"""

from cello import App

app = App()


@app.get("/text")
def text() -> str:
    return "hello\n"


@app.get("/bytes")
def data() -> bytes:
    return b"hello\n"


@app.delete("/nothing")
def nothing() -> None:
    return None


@app.post("/items", status=201)  # of a bare value
def create() -> object:
    return {"id": 7}


@app.post("/jobs")
def job() -> object:
    return {"queued": True}, 202, {"Location": "/jobs/1"}


if __name__ == "__main__":
    app.run()
