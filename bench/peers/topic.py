"""What the streams of asyncio frameworks give: tokens, and events of one publisher that many tasks
follow."""

import asyncio

from data import TOKENS


class Topic:
    def __init__(self):
        self.count = 0
        self.changed = asyncio.Event()

    def publish(self):
        self.count += 1
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    async def after(self, seen):
        """The number that follows; waits until it is published."""
        if seen == self.count:
            await self.changed.wait()
        return seen + 1


topic = Topic()


async def tokens(count):
    for i in range(count):
        yield TOKENS[i]


async def short_events():
    for i in range(3):
        yield f"data: {i}\n\n"


async def events():
    seen = topic.count
    while True:
        yield f"data: {seen}\n\n"
        seen = await topic.after(seen)
