"""One publisher, many asyncio tasks that follow it: what the events row does in each framework."""

import asyncio


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
