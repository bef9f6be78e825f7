"""An upload page: files are stored while they arrive, and saved without a copy.

$ curl -F files=@27_uploads.py -F note=mine http://127.0.0.1:8000/files
{"note":"mine","saved":["27_uploads.py"]}
$ curl -i -F note=none http://127.0.0.1:8000/files
HTTP/1.1 422 Unprocessable Content
$ curl -i -d 'files=text' http://127.0.0.1:8000/files
HTTP/1.1 415 Unsupported Media Type
"""

import tempfile
from pathlib import Path
from typing import Annotated

from cello import App, Form, Response, UploadedFile

app = App()
FOLDER = Path(tempfile.mkdtemp(prefix="cello-uploads-"))

PAGE = """<!doctype html>
<title>Uploads</title>
<form action="/files" method="post" enctype="multipart/form-data">
  <input type="file" name="files" multiple required>
  <input name="note" placeholder="a note">
  <button>Send</button>
</form>
"""


@app.get("/")
def page() -> Response:
    return Response.html(PAGE)


@app.post("/files", max_body=1 << 30)
def save(files: list[UploadedFile], note: Annotated[str, Form()] = "") -> object:
    for file in files:
        file.save(FOLDER / file.safe_filename)  # never a path of file.filename
    return {"note": note, "saved": [file.filename for file in files]}


if __name__ == "__main__":
    app.run()
