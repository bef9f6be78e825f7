from cello import Response, StaticFilesConfig
from data import FOLDER


def file(name: str):
    return Response.file(name, root=f"{FOLDER}/files")


def add(app):
    app.enable_static_files(StaticFilesConfig(f"{FOLDER}/files", prefix="/static"))
    app.get("/file/{name}")(file)
