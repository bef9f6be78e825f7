import time

from cello import ThreadPoolConfig
from data import HELLO

THREADS = 32  # as many as granian has in this row; Starlette's are 40


def blocking():
    time.sleep(0.001)
    return {"message": HELLO}


def add(app):
    app.set_threadpool(ThreadPoolConfig(size=THREADS))
    app.get("/blocking", blocking=True)(blocking)
