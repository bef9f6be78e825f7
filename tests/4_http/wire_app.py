"""The application that the black-box tests talk to. Run with a listening socket's number:

python wire_app.py FD
"""

import asyncio
import sys
from typing import Any

from cello import App, HTTPError, LimitsConfig, Request, Response

MAX_BODY = 1 << 20
EVERY_METHOD = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


def echo(req: Request) -> dict[str, Any]:
    """What the engine understood."""
    return {
        "method": req.method,
        "path": req.path,
        "params": dict(req.params),
        "query": req.query.multi_items(),
        "headers": req.headers.multi_items(),
        "cookies": req.cookies.multi_items(),
        "host": req.host,
        "url": req.url,
        "body": req.body().decode("latin-1"),
    }


def fails() -> None:
    raise RuntimeError("a secret of the server")


def not_found() -> None:
    raise HTTPError(404, "no such thing", headers={"X-Why": "gone"}, code=17)


def cyclic() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def header_from_body(req: Request) -> Response:
    """A response with what the client sent as a header's value."""
    response = Response("set")
    response.set_header("X-Echo", req.text())
    return response


def tuple_header(req: Request) -> tuple[str, int, dict[str, str]]:
    """The same, where the engine sees it first."""
    return "set", 200, {"X-Echo": req.text()}


async def later(req: Request) -> str:
    await asyncio.sleep(req.get_query_float("s", 0.01))
    return "later"


def make_app() -> App:
    app = App(trailing_slash="strict")
    app.set_limits(LimitsConfig(max_body_size=MAX_BODY))
    app.static_response("/native", "native")
    app.get("/probe")(lambda: "probe")
    app.get("/")(lambda: "root")
    app.get("/plain")(lambda: "hello")
    app.get("/json")(lambda: {"hello": "world", "n": [1, 2.5, None, True]})
    app.get("/none")(lambda: None)
    app.get("/smuggled")(lambda: "SMUGGLED")
    app.get("/big")(lambda: b"x" * (1 << 20))
    app.get("/slashed/")(lambda: "slashed")
    app.get("/seg/{name}")(lambda req: req.params["name"])
    app.get("/num/{n:int}")(lambda req: {"n": req.get_param_int("n")})
    app.get("/files/{rest:path}")(lambda req: req.params["rest"])
    app.route("/echo", methods=EVERY_METHOD)(echo)
    app.post("/only-post")(lambda: "posted")
    app.post("/small", max_body=16)(lambda req: req.body())
    app.post("/parse")(lambda req: {"got": req.json()})
    app.post("/created", status=201)(lambda: {"id": 7})
    app.get("/fails")(fails)
    app.get("/not-found")(not_found)
    app.get("/cyclic")(cyclic)
    app.get("/unserializable")(lambda: {"x": object()})
    app.get("/bad-tuple")(lambda: (1, "two", 3))
    app.post("/header-of-response")(header_from_body)
    app.post("/header-of-tuple")(tuple_header)
    return app


def make_async_app() -> App:
    """The same with async handlers: asyncio is then a guest of the engine."""
    app = make_app()
    app.get("/later")(later)

    @app.get("/at-once")
    async def at_once() -> str:
        return "at once"

    @app.get("/async-fails")
    async def async_fails() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("a secret of the server")

    return app


if __name__ == "__main__":
    make = make_async_app if "async" in sys.argv[2:] else make_app
    make().run(fd=int(sys.argv[1]), logs=False, argv=False)
