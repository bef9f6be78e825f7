"""asyncio as a guest of the engine.

Imported only when an application has async handlers. `EngineLoop` is asyncio's own selector loop
with another wait: its selector runs the engine, which serves connections and steps handlers, and
comes back to asyncio only for what is asyncio's own.
"""

import asyncio
from asyncio import format_helpers
from math import inf

from cello import _cello
from cello._lifespan import LifespanRun

__all__ = ["EngineLoop", "run_with_loop", "serve"]


class EngineLoop(_cello.LoopBase, asyncio.SelectorEventLoop):
    """An asyncio loop whose select() is the engine's wait.

    Without a server it is an ordinary selector loop. In debug mode asyncio's own code schedules
    callbacks and makes tasks, so that everything it checks is checked.
    """

    def __init__(self) -> None:
        super().__init__(_cello.Selector())

    def _repr_handle(self, handle: _cello.Handle) -> str:
        parts = [type(handle).__name__]
        if handle.cancelled():
            parts.append("cancelled")
        if isinstance(handle, _cello.TimerHandle):
            parts.append(f"when={handle.when()}")
        if handle._callback is not None:
            parts.append(format_helpers._format_callback_source(handle._callback, handle._args))
        return f"<{' '.join(parts)}>"

    def _report_failed_handle(self, handle: _cello.Handle, error: BaseException) -> None:
        callback = format_helpers._format_callback_source(handle._callback, handle._args)
        self.call_exception_handler(
            {"message": f"Exception in callback {callback}", "exception": error, "handle": handle}
        )


async def _cancel_handlers(server: _cello.Server) -> None:
    """Cancel the handlers that are left, and see them end."""
    tasks = _cello.handler_tasks(server)
    for task in tasks:
        if not task.cancelling():  # one that was told before may be cleaning up
            task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def _end(server: _cello.Server, done: asyncio.Event) -> None:
    """Wait until the server is done; a cancellation stops it at once."""
    try:
        await done.wait()
    except asyncio.CancelledError:
        server.stop(0)
        await done.wait()
        raise
    finally:
        await _cancel_handlers(server)


async def _until_done(server: _cello.Server) -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    _cello.attach_loop(server, loop, done.set)
    try:
        await _end(server, done)
    finally:
        _cello.detach_loop(server)


def run_with_loop(server: _cello.Server, lifespan: LifespanRun | None = None) -> None:
    """Serve on this thread, with an asyncio loop for async handlers, until the server is done; the
    hooks of `lifespan` run on that loop, before and after.

    Handlers that still wait when the server is done (their time to drain is over, or their clients
    have gone) are cancelled; then everything else that runs on the loop, as asyncio.run() does.
    """
    with asyncio.Runner(loop_factory=EngineLoop) as runner:
        runner.run(serve(server, lifespan))


async def serve(server: _cello.Server, lifespan: LifespanRun | None = None) -> None:
    """Serve under the loop that is running, any loop with add_reader(), until the server is done,
    between the hooks of `lifespan`.

    Cancellation stops the server at once and is raised when everything is closed.
    """
    if lifespan is None:
        await _serve(server)
        return
    await lifespan.startup()
    try:
        await _serve(server)
    finally:
        await lifespan.shutdown()


async def _serve(server: _cello.Server) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(loop, EngineLoop) and not loop._has_server:
        await _until_done(server)
        return
    done = asyncio.Event()
    timer: asyncio.TimerHandle | None = None
    timer_due = inf

    def turn() -> None:
        try:
            server.turn(0)
        finally:
            if server.done:
                done.set()
            else:
                schedule()

    def schedule() -> None:
        # The engine's time limits do not show in its descriptor. A timer that is early enough
        # stays: most limits move on with every request.
        nonlocal timer, timer_due
        delay = server.next_turn_in
        due = inf if delay is None else loop.time() + delay
        if due < timer_due:
            if timer is not None:
                timer.cancel()
            timer, timer_due = loop.call_at(due, on_timer), due

    def on_timer() -> None:
        nonlocal timer, timer_due
        timer, timer_due = None, inf
        turn()

    _cello.attach_loop(server, loop)
    poll_fd = server.poll_fd
    loop.add_reader(poll_fd, turn)
    schedule()
    try:
        await _end(server, done)
    finally:
        if timer is not None:
            timer.cancel()
        loop.remove_reader(poll_fd)
        _cello.detach_loop(server)
