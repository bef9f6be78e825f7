"""The least that answers from a task on uvloop: a protocol that finds the end of a request, and a
task for each. No framework, no headers looked at, no limits."""

import asyncio
import os

import orjson
import uvloop
from data import HELLO

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
LOOP = uvloop.new_event_loop()


def as_json():
    body = orjson.dumps({"message": HELLO})
    return HEAD % (b"application/json", len(body), body)


async def plaintext():
    return HEAD % (b"text/plain", len(HELLO), HELLO.encode())


async def at_once():
    return as_json()


async def yields():
    await asyncio.sleep(0)
    return as_json()


async def future():
    waiting = LOOP.create_future()
    LOOP.call_soon(waiting.set_result, None)
    await waiting
    return as_json()


async def sleeps():
    await asyncio.sleep(0.001)
    return as_json()


HANDLERS = {
    b"/plaintext": plaintext,
    b"/async-json": at_once,
    b"/yield": yields,
    b"/future": future,
    b"/sleep": sleeps,
}


class Protocol(asyncio.Protocol):
    def connection_made(self, transport):
        self.write = transport.write
        self.data = b""

    def data_received(self, data):
        if self.data:
            data = self.data + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            handler = HANDLERS[data[4 : data.index(b" ", 4)]]  # GET, one after the other
            self.task = LOOP.create_task(self.answer(handler))
            data = data[end + 4 :]
        self.data = data

    async def answer(self, handler):
        self.write(await handler())


async def main():
    server = await LOOP.create_server(Protocol, "127.0.0.1", int(os.environ["BENCH_PORT"]))
    await server.serve_forever()


if __name__ == "__main__":
    LOOP.run_until_complete(main())
