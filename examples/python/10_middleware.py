"""Native middleware: request ids and security headers, for all requests or for one route.

$ curl -i -H 'X-Request-ID: abc-123' http://127.0.0.1:8000/id
HTTP/1.1 200 OK
X-Content-Type-Options: nosniff
X-Frame-Options: DENY
X-Request-ID: abc-123

abc-123
$ curl -i -H 'X-Request-ID: of the route below' http://127.0.0.1:8000/framed
HTTP/1.1 200 OK
X-Frame-Options: SAMEORIGIN

framed
$ curl -i -H 'X-Request-ID: also-here' http://127.0.0.1:8000/nowhere
HTTP/1.1 404 Not Found
X-Request-ID: also-here
"""

from cello import App, Request, RequestIdConfig, SecurityHeadersConfig

app = App(use=[RequestIdConfig()])
app.enable_security_headers()  # the same as app.use(SecurityHeadersConfig())


@app.get("/id")
def request_id(req: Request) -> str:
    return f"{req.request_id}\n"


@app.get("/framed", use=[SecurityHeadersConfig(x_frame_options="SAMEORIGIN")])
def framed() -> str:
    return "framed\n"


if __name__ == "__main__":
    app.run()
