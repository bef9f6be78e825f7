import time

from data import HELLO


def blocking():
    time.sleep(0.001)
    return {"message": HELLO}


def add(app):
    app.get("/blocking", blocking=True)(blocking)
