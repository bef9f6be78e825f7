"""The streams of Robyn."""

import time

from data import HELLO, TOKENS
from robyn import StreamingResponse


def add(app):
    @app.get("/tokens")
    async def send_tokens(request):
        return StreamingResponse(tokens(len(TOKENS)), media_type="text/plain")

    @app.get("/blocking")
    def blocking(request):
        time.sleep(0.001)
        return {"message": HELLO}


async def tokens(count):
    for i in range(count):
        yield TOKENS[i]
