"""Answers: by the kind of the returned value, or in full with Response.

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
$ curl -i http://127.0.0.1:8000/page
HTTP/1.1 200 OK
Content-Type: text/html; charset=utf-8

<h1>hello</h1>
$ curl -i http://127.0.0.1:8000/old
HTTP/1.1 308 Permanent Redirect
Location: /page
$ curl -i http://127.0.0.1:8000/login
HTTP/1.1 200 OK
Cache-Control: no-store
Set-Cookie: session=s3cret; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax

welcome
$ curl -i http://127.0.0.1:8000/logout
HTTP/1.1 303 See Other
Location: /text
"""

from cello import App, Response

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


@app.get("/page")
def page() -> Response:
    return Response.html("<h1>hello</h1>")


@app.get("/old")
def old() -> Response:
    return Response.redirect("/page", status=308)


@app.get("/login")
def login() -> Response:
    response = Response("welcome\n", headers={"Cache-Control": "no-store"})
    response.set_cookie("session", "s3cret", max_age=3600, httponly=True)
    return response


@app.get("/logout")
def logout() -> Response:
    response = Response.redirect("/text", status=303)
    response.delete_cookie("session")
    return response


if __name__ == "__main__":
    app.run()
