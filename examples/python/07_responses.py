"""Response: an answer in full, with its type, headers and cookies.

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
Location: /page
"""

from cello import App, Response

app = App()


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
    response = Response.redirect("/page", status=303)
    response.delete_cookie("session")
    return response


if __name__ == "__main__":
    app.run()
