"""What every application serves, and how it was asked to. Old Pythons load it too."""

import os

PORT = int(os.environ.get("BENCH_PORT", "8000"))
VARIANT = os.environ.get("BENCH_VARIANT", "")  # empty, or a scenario's
FOLDER = os.environ.get("BENCH_FOLDER", ".")  # with files/ to serve and uploads/ to fill

HELLO = "Hello, World!"
BIG = [
    {
        "id": i,
        "name": "User %d" % i,  # noqa: UP031
        "email": "u%d@ex.org" % i,  # noqa: UP031
        "age": 20 + i % 50,
        "active": i % 2 == 0,
        "score": i * 1.5,
        "role": "member",
        "tag": None,
    }
    for i in range(500)
]
TABLE = ["/table/r%d" % i for i in range(1000)] if VARIANT == "routes" else []  # noqa: UP031
TOKENS = ["token%d " % i for i in range(1000)]  # noqa: UP031
STREAMS = VARIANT in ("files", "uploads", "streams", "pool")
MIDDLEWARE = VARIANT == "middleware"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}


def file_bytes(size):
    """What the served file of this size holds."""
    line = b"0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXY\n"
    return (line * (size // len(line) + 1))[:size]
