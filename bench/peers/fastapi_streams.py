"""The streams of FastAPI, as its documentation shows them."""

import shutil
import time
from typing import Annotated

from data import FOLDER, HELLO, TOKENS
from fastapi import APIRouter, File, Request, UploadFile
from fastapi.responses import FileResponse, StreamingResponse
from topic import events, short_events, tokens, topic

router = APIRouter()
NO_STORE = {"cache-control": "no-store"}


@router.get("/tokens")
async def send_tokens():
    return StreamingResponse(tokens(len(TOKENS)), media_type="text/plain")


@router.get("/async-generator")
async def send_async_generator():
    return StreamingResponse(tokens(3), media_type="text/plain")


@router.get("/generator")
async def send_generator():
    return StreamingResponse((token for token in TOKENS[:3]), media_type="text/plain")


@router.get("/short-events")
async def send_short_events():
    return StreamingResponse(short_events(), media_type="text/event-stream", headers=NO_STORE)


@router.get("/events")
async def send_events():
    return StreamingResponse(events(), media_type="text/event-stream", headers=NO_STORE)


@router.post("/publish")
async def publish():
    topic.publish()


@router.put("/upload/body", status_code=201)
async def upload(request: Request):
    with open(f"{FOLDER}/uploads/body", "wb") as f:
        async for piece in request.stream():
            f.write(piece)


@router.post("/upload-form", status_code=201)
def upload_form(file: Annotated[UploadFile, File()]):
    with open(f"{FOLDER}/uploads/body", "wb") as f:
        shutil.copyfileobj(file.file, f, 1 << 20)


@router.get("/file/{name}")
async def file(name: str):
    return FileResponse(f"{FOLDER}/files/{name}")


@router.get("/blocking")
def blocking():
    time.sleep(0.001)
    return {"message": HELLO}
