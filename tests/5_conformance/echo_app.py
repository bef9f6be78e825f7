"""Answers every request with what the engine understood. Run with a listening socket's number."""

import sys
from typing import Any

from cello import App, Request

app = App()


def echo(req: Request) -> dict[str, Any]:
    return {
        "method": req.method,
        "url": req.url,
        "host": req.host,
        "headers": req.headers.multi_items(),
        "body": req.body().decode("latin-1"),
    }


for path in ("/", "/{rest:path}"):
    app.route(path, methods=["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])(echo)

if __name__ == "__main__":
    app.run(fd=int(sys.argv[1]), logs=False, argv=False)
