"""The ceiling of a server that calls a Python handler for each request: ceilings/capi.c."""

import types

import capi
from data import HELLO, PORT, TABLE


@types.coroutine
def sleep(seconds):
    yield seconds


def plaintext(req):
    return HELLO


def json(req):
    return {"message": HELLO}


def user(req):
    return {"id": req.param, "q": req.query("q")}


async def async_json(req):
    return {"message": HELLO}


async def sleepy(req):
    await sleep(0.001)
    return {"message": HELLO}


if __name__ == "__main__":
    if TABLE:
        raise SystemExit("a ceiling has no router")
    capi.serve(
        PORT,
        [
            ("/plaintext", False, False, plaintext),
            ("/json", False, False, json),
            ("/users/", True, False, user),
            ("/async-json", False, True, async_json),
            ("/sleep", False, True, sleepy),
        ],
    )
