from cello import UploadedFile
from data import FOLDER

STORED = f"{FOLDER}/uploads/body"
LARGE = {"status": 201, "max_body": 1 << 30}


async def upload(req):
    with open(STORED, "wb") as f:
        async for piece in req.stream():
            f.write(piece)


def upload_def(req):
    with open(STORED, "wb") as f:
        for piece in req.stream():
            f.write(piece)


def upload_form(file: UploadedFile):
    file.save(STORED)


def add(app):
    app.put("/upload/body", body="stream", **LARGE)(upload)
    app.put("/upload-def/body", body="stream", blocking=True, **LARGE)(upload_def)
    app.post("/upload-form", **LARGE)(upload_form)
