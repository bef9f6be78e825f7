"""What test_systemd.py has systemd run as docs/deployment.md's shop."""

import os

from cello import App

app = App()


@app.on_startup
def begin() -> None:
    if "NO_DATABASE" in os.environ:
        raise OSError("no database")


@app.get("/who")
def who():
    return {"pid": os.getpid(), "uid": os.getuid(), "worker": app.worker_id}


@app.get("/spin")
def spin():
    while True:
        pass


@app.get("/hog", blocking=True)
def hog():
    """All memory that the kernel gives."""
    kept = []
    while True:
        kept.append(os.urandom(1 << 20))


if __name__ == "__main__":
    app.run()
