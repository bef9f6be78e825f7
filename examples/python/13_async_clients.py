"""Async client libraries work in handlers as they are. This one asks the server it runs in, with
httpx (pip install httpx).

$ curl http://127.0.0.1:8000/proxy
{"status":200,"body":{"hello":"world"}}
"""

import httpx
from cello import App, Request

app = App()


@app.get("/hello")
async def hello() -> object:
    return {"hello": "world"}


@app.get("/proxy")
async def proxy(req: Request) -> object:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{req.base_url}hello")
    return {"status": answer.status_code, "body": answer.json()}


if __name__ == "__main__":
    app.run()
