"""Limits and timeouts: each has an answer of its own.

$ curl -i -d 'more than sixteen bytes' http://127.0.0.1:8000/echo
HTTP/1.1 413 Content Too Large
$ curl -d 'more than sixteen bytes' http://127.0.0.1:8000/upload
23
$ curl -i 'http://127.0.0.1:8000/echo?a=1&b=2&c=3'
HTTP/1.1 400 Bad Request
$ curl -i -d '[[[[]]]]' http://127.0.0.1:8000/json
HTTP/1.1 400 Bad Request
"""

from cello import App, LimitsConfig, Request, TimeoutConfig

app = App()
app.set_limits(LimitsConfig(max_body_size=16, max_query_params=2, max_json_depth=3))
app.set_timeouts(TimeoutConfig(read_header=2, idle=10))  # seconds


@app.route("/echo", methods=["GET", "POST"])
def echo(req: Request) -> object:
    return req.body() or len(req.query)


@app.post("/upload", max_body=1024)  # this route takes more
def upload(req: Request) -> int:
    return len(req.body())


@app.post("/json")
def json(req: Request) -> object:
    return req.json()


if __name__ == "__main__":
    app.run()
