import asyncio
import uuid

from data import BIG, HELLO, MIDDLEWARE, SECURITY_HEADERS, STREAMS, TABLE
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette_streams import ROUTES


async def plaintext(request):
    return PlainTextResponse(HELLO)


async def json(request):
    return JSONResponse({"message": HELLO})


async def user(request):
    return JSONResponse({"id": request.path_params["id"], "q": request.query_params.get("q")})


async def echo(request):
    return JSONResponse(await request.json())


async def big(request):
    return JSONResponse(BIG)


async def sleepy(request):
    await asyncio.sleep(0.001)
    return JSONResponse({"message": HELLO})


async def item(request):
    return JSONResponse({"id": request.path_params["id"]})


class AddHeaders:
    """Pure ASGI: the fast kind of middleware."""

    CONSTANT = tuple((n.lower().encode(), v.encode()) for n, v in SECURITY_HEADERS.items())

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def add(message):
            if message["type"] == "http.response.start":
                message["headers"].extend(self.CONSTANT)
                message["headers"].append((b"x-request-id", uuid.uuid4().hex.encode()))
            await send(message)

        await self.app(scope, receive, add)


app = Starlette(
    routes=[
        Route("/plaintext", plaintext),
        Route("/json", json),
        Route("/async-json", json),
        Route("/users/{id}", user),
        Route("/echo", echo, methods=["POST"]),
        Route("/big", big),
        Route("/sleep", sleepy),
        *(ROUTES if STREAMS else []),
        *(Route(prefix + "/{id}", item) for prefix in TABLE),
    ],
    middleware=[Middleware(AddHeaders)] if MIDDLEWARE else [],
)
