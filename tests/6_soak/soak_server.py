"""The server of test_soak.py: soak_server.py BACKEND def|async. Reports on itself under /report and
/census."""

import asyncio
import sys
from typing import Any

from cello import App, HTTPError, Request, Response
from soak_report import serve

BIG = bytes(200_000)

app = App()
app.enable_request_id()
app.static_response("/native", "x" * 100)
# No cycles: what waits for the garbage collector would be a random number of blocks.
kept: list[Request] = []
handlers: list[Any] = []


class Unserializable:
    pass


def route(path: str, *methods: str) -> Any:
    """app.route(), which also remembers the handler."""

    def declare(handler: Any) -> Any:
        handlers.append(handler)
        return app.route(path, methods=methods or ("GET",))(handler)

    return declare


def add_def_handlers() -> None:
    @route("/json/{id:int}")
    def json(req: Request) -> Any:
        return {"id": req.params["id"], "q": req.query.get("q"), "agent": req.headers.get("a")}

    @route("/echo", "POST")
    def echo(req: Request) -> Any:
        return req.json()

    @route("/response")
    def response(req: Request) -> Any:
        answer = Response({"a": [1, 2]}, 201, {"X-A": "1"})
        answer.set_cookie("c", req.path)
        return answer

    @route("/error")
    def error() -> Any:
        return 1 / 0

    @route("/http-error")
    def http_error() -> Any:
        raise HTTPError(409, "conflict", extra=[1], headers={"X-B": "2"})

    @route("/unserializable")
    def unserializable() -> Any:
        return {"a": [Unserializable()]}

    @route("/keep")
    def keep(req: Request) -> Any:
        req.state.number = len(kept)
        kept[:] = [*kept[-9:], req]
        return len(req.headers), 200

    @route("/big")
    def big() -> bytes:
        return BIG


def add_async_handlers() -> None:
    @route("/json/{id:int}")
    async def json(req: Request) -> Any:
        return {"id": req.params["id"], "q": req.query.get("q"), "agent": req.headers.get("a")}

    @route("/echo", "POST")
    async def echo(req: Request) -> Any:
        await asyncio.sleep(0)
        return req.json()

    @route("/response")
    async def response(req: Request) -> Any:
        await asyncio.sleep(0.001)
        return Response({"a": [1, 2]}, 201, {"X-A": req.path})

    @route("/error")
    async def error() -> Any:
        return 1 / 0

    @route("/http-error")
    async def http_error() -> Any:
        await asyncio.sleep(0)
        raise HTTPError(409, "conflict", extra=[1], headers={"X-B": "2"})

    @route("/unserializable")
    async def unserializable() -> Any:
        await asyncio.sleep(0)
        return {"a": [Unserializable()]}

    @route("/keep")
    async def keep(req: Request) -> Any:
        req.state.number = len(kept)
        kept[:] = [*kept[-9:], req]
        await asyncio.sleep(0)
        return len(req.headers), 200

    @route("/big")
    async def big() -> bytes:
        await asyncio.sleep(0.005)
        return BIG


if __name__ == "__main__":
    {"def": add_def_handlers, "async": add_async_handlers}[sys.argv[2]]()
    serve(app, [*handlers, app, BIG, HTTPError, Response, Request])
