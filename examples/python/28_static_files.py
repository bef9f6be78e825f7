"""Files: a folder that the engine serves by itself, and single ones that a handler chooses.

$ curl -i http://127.0.0.1:8000/static/style.css
HTTP/1.1 200 OK
Content-Type: text/css; charset=utf-8
Cache-Control: public, max-age=3600
Accept-Ranges: bytes

h1 { color: #345; }
$ curl -i http://127.0.0.1:8000/static
HTTP/1.1 307 Temporary Redirect
Location: ./static/
$ curl -i http://127.0.0.1:8000/static/ -H 'Range: bytes=0-14'
HTTP/1.1 206 Partial Content
Content-Type: text/html; charset=utf-8
Content-Length: 15

<!doctype html>
$ curl -i http://127.0.0.1:8000/download
HTTP/1.1 200 OK
Content-Disposition: attachment; filename="theme.css"

h1 { color: #345; }
$ curl http://127.0.0.1:8000/files/style.css
h1 { color: #345; }
$ curl -i http://127.0.0.1:8000/files/..%2f28_static_files.py
HTTP/1.1 404 Not Found
$ curl -i http://127.0.0.1:8000/static/.git/config
HTTP/1.1 404 Not Found
"""

from pathlib import Path

from cello import App, Response, StaticFilesConfig

FOLDER = Path(__file__).with_name("static")

app = App()
app.enable_static_files(StaticFilesConfig(FOLDER, cache_control="public, max-age=3600"))


@app.get("/download")
def download() -> Response:
    return Response.file(FOLDER / "style.css", filename="theme.css")


@app.get("/files/{name:path}")
def named(name: str) -> Response:
    # With a root the name may come from a client: it leads to no other place.
    return Response.file(name, root=FOLDER)


if __name__ == "__main__":
    app.run()
