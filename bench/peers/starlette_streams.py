"""The streams of Starlette and of FastAPI, whose classes for them are Starlette's."""

import asyncio
import time

from data import FOLDER, HELLO, TOKENS
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from topic import events, short_events, tokens, topic

NO_STORE = {"cache-control": "no-store"}


def event_stream(pieces):
    return StreamingResponse(pieces, media_type="text/event-stream", headers=NO_STORE)


async def send_tokens(request):
    return StreamingResponse(tokens(len(TOKENS)), media_type="text/plain")


async def send_async_generator(request):
    return StreamingResponse(tokens(3), media_type="text/plain")


async def send_generator(request):
    return StreamingResponse((token for token in TOKENS[:3]), media_type="text/plain")


async def send_short_events(request):
    return event_stream(short_events())


async def send_events(request):
    return event_stream(events())


async def publish(request):
    topic.publish()
    return Response()


async def upload(request):
    with open(f"{FOLDER}/uploads/body", "wb") as f:
        async for piece in request.stream():
            f.write(piece)
    return Response(status_code=201)


async def upload_form(request):
    async with request.form() as form:
        await asyncio.to_thread(save, form["file"].file)
    return Response(status_code=201)


def save(source):
    with open(f"{FOLDER}/uploads/body", "wb") as f:
        while piece := source.read(1 << 20):
            f.write(piece)


async def file(request):
    return FileResponse(f"{FOLDER}/files/{request.path_params['name']}")


def blocking(request):
    time.sleep(0.001)
    return JSONResponse({"message": HELLO})


ROUTES = [
    Route("/tokens", send_tokens),
    Route("/async-generator", send_async_generator),
    Route("/generator", send_generator),
    Route("/short-events", send_short_events),
    Route("/events", send_events),
    Route("/publish", publish, methods=["POST"]),
    Route("/upload/body", upload, methods=["PUT"]),
    Route("/upload-form", upload_form, methods=["POST"]),
    Route("/file/{name}", file),
    Route("/blocking", blocking),
]
