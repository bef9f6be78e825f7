"""Dependencies: what several handlers need, made once a request, with clean-up.

$ curl http://127.0.0.1:8000/items -H 'Authorization: Bearer good'
{"by":"ada","skip":0,"open":["connection of ada"]}
$ curl 'http://127.0.0.1:8000/items?skip=5' -H 'Authorization: Bearer good'
{"by":"ada","skip":5,"open":["connection of ada"]}
$ curl -i http://127.0.0.1:8000/items
HTTP/1.1 401 Unauthorized
WWW-Authenticate: Bearer
"""

from collections.abc import Iterator
from typing import Annotated

from cello import App, Depends, Header, HTTPError

app = App()
opened: list[str] = []


def user(authorization: Annotated[str, Header()] = "") -> str:
    if authorization != "Bearer good":
        raise HTTPError(401, "who are you?", headers={"WWW-Authenticate": "Bearer"})
    return "ada"


User = Annotated[str, Depends(user)]


def connection(name: User) -> Iterator[str]:
    opened.append(f"connection of {name}")
    yield opened[-1]
    opened.clear()  # when the answer is out


class Pager:
    def __init__(self, skip: int = 0, limit: int = 10) -> None:
        self.skip = skip
        self.limit = limit


@app.get("/items")
def items(
    by: User,
    pager: Annotated[Pager, Depends()],
    connection: Annotated[str, Depends(connection)],
) -> object:
    return {"by": by, "skip": pager.skip, "open": list(opened)}


if __name__ == "__main__":
    app.run()
