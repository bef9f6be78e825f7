"""Tests of an application, with clients that need no port. pytest runs the same functions.

Prints:
4 tests passed
"""

import asyncio
from collections.abc import Callable

from cello import App, HTTPError, Request
from cello.testing import AsyncTestClient, TestClient

# ---- the application ----

app = App()
stock = {"cello": 2}


@app.get("/stock/{name}")
def in_stock(req: Request) -> dict[str, int]:
    name = req.params["name"]
    if name not in stock:
        raise HTTPError(404, f"no {name} here")
    return {name: stock[name]}


@app.get("/sum")
def total(req: Request) -> int:
    return sum(int(number) for number in req.query.get_all("n"))


@app.get("/slow")
async def slow() -> str:
    await asyncio.sleep(0.1)
    return "done"


# ---- its tests ----


def test_stock() -> None:
    with TestClient(app) as client:
        assert client.get("/stock/cello").json() == {"cello": 2}
        answer = client.get("/stock/violin")
        assert answer.status_code == 404
        assert answer.json()["detail"] == "no violin here"


def test_query() -> None:
    with TestClient(app) as client:
        assert client.get("/sum", params={"n": [1, 2, 39]}).json() == 42


def test_an_exception_is_raised_here() -> None:
    raised = None
    with TestClient(app) as client:
        try:
            client.get("/sum", params={"n": "one"})
        except ValueError as error:
            raised = str(error)
    assert raised is not None and "invalid literal" in raised


async def three_at_once() -> None:
    async with AsyncTestClient(app) as client:
        answers = await asyncio.gather(*(client.get("/slow") for _ in range(3)))
        assert [answer.text for answer in answers] == ["done"] * 3


def test_handlers_on_the_loop_of_the_test() -> None:
    asyncio.run(three_at_once())


if __name__ == "__main__":
    tests: list[Callable[[], None]] = [
        test_stock,
        test_query,
        test_an_exception_is_raised_here,
        test_handlers_on_the_loop_of_the_test,
    ]
    for test in tests:
        test()
    print(len(tests), "tests passed")
