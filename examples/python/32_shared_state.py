"""State that all workers share: a hit counter, and a window of calls for each client.

$ curl http://127.0.0.1:8000/hits/front
{"page":"front","hits":1}
$ curl http://127.0.0.1:8000/hits/front
{"page":"front","hits":2}
$ curl http://127.0.0.1:8000/limited
welcome
$ curl http://127.0.0.1:8000/limited
welcome
$ curl -i http://127.0.0.1:8000/limited
HTTP/1.1 429 Too Many Requests
Retry-After: 60
"""

from typing import Any

from cello import App, HTTPError, Request

CALLS, SECONDS = 2, 60

app = App()


@app.get("/hits/{page}")
def hits(page: str) -> dict[str, Any]:
    # Exact, whichever workers count at the same time.
    return {"page": page, "hits": app.store.increment(f"hits:{page}")}


@app.get("/limited")
async def limited(req: Request) -> str:
    # The first call of a client opens its window, which ends by itself.
    if app.store.increment(f"calls:{req.remote_addr}", expires_in=SECONDS) > CALLS:
        headers = {"Retry-After": str(SECONDS)}
        raise HTTPError(429, f"{CALLS} calls a minute", headers=headers)
    return "welcome"


if __name__ == "__main__":
    app.run()
