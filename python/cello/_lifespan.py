"""What runs when workers start and when they end: on_startup, on_shutdown, lifespan."""

# ruff: noqa: F811 (at run time overload is our own, which ruff does not see through)
from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from cello import _cello, _log
from cello._callables import CO_GENERATOR, is_async
from cello._hooks import Function, FunctionT, arguments_needed

if TYPE_CHECKING:
    from typing import overload

    from cello._app import App
else:
    from cello._hooks import overload

T = TypeVar("T")


class _Hooks:
    """Start-up hooks in the order of their declaration, shutdown hooks in reverse order. When one
    that starts fails, of the others as many end as had started, the first declared for the
    first."""

    def __init__(self, startup: list[Function], shutdown: list[Function]) -> None:
        self.startup, self.shutdown = tuple(startup), tuple(shutdown)
        self._started = 0

    async def start(self) -> None:
        for hook in self.startup:
            await _called(hook)
            self._started += 1

    def take_over(self) -> None:
        """Another process has run those that start."""
        self._started = len(self.startup)

    async def end(self, failed: bool) -> list[Exception]:
        errors: list[Exception] = []
        complete = self._started == len(self.startup) and not failed
        ending = self.shutdown if complete else self.shutdown[: self._started]
        self._started = 0
        for hook in reversed(ending):
            try:
                await _called(hook)
            except Exception as error:
                errors.append(error)
        return errors


class LifespanRun:
    """One run of an application's hooks, from the start of a server to its end.

    Those of the cluster come first and last, in one of its workers, and the lifespan is around the
    worker's own. When what starts fails, what had started ends. worker: that the server is; None:
    it is a cluster of its own, also where a worker's program starts another one.
    """

    def __init__(
        self,
        app: App,
        worker: _cello.Cluster | None,
        lifespan: Function | None,
        own: _Hooks,
        cluster: _Hooks,
    ) -> None:
        self._app = app
        self._worker = worker
        self._lifespan = lifespan
        self._own, self._cluster = own, cluster
        self._context: Any = None
        hooks = (*own.startup, *own.shutdown, *cluster.startup, *cluster.shutdown)
        self.needs_loop: bool = (
            app._has_async_exception_handler
            or (lifespan is not None and not _is_sync_context(lifespan))
            or any(map(is_async, hooks))
        )
        """Whether the application's hooks, or exception handlers, need an asyncio loop."""
        self.on_started: Callable[[], object] | None = None
        """Called at the end of startup()."""
        self.failed: str | None = None
        """What failed, "start-up" or "shutdown"."""

    async def startup(self) -> None:
        """Raises what a hook raised, once everything that had started has ended."""
        try:
            await self._start_cluster()
            await self._enter()
            await self._own.start()
        except BaseException as error:
            self.failed = "start-up"
            for other in await self._end(error):
                _log.error("shutdown failed after a failed start-up", other)
            raise
        if self.on_started is not None:
            self.on_started()

    async def shutdown(self) -> None:
        """All of them run; raises what one raised, an ExceptionGroup for several."""
        errors = await self._end(None)
        if errors:
            self.failed = "shutdown"
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("shutdown hooks failed", errors)

    def startup_now(self) -> None:
        """startup() without a loop. RuntimeError: needs_loop."""
        _run_now(self.startup())

    def shutdown_now(self) -> None:
        """shutdown() without a loop."""
        _run_now(self.shutdown())

    async def _start_cluster(self) -> None:
        hooks, worker = self._cluster, self._worker
        if worker is None:
            await hooks.start()
        elif not hooks.startup:
            return
        elif worker.starts:
            await self._start_for_all()
            worker.started()
        elif not worker.await_start():
            raise SystemExit(0)  # the supervisor has said so
        hooks.take_over()

    async def _start_for_all(self) -> None:
        try:
            await self._cluster.start()
        except BaseException:
            for other in await self._cluster.end(failed=True):
                _log.error("shutdown failed after a failed start-up", other)
            raise

    async def _end_cluster(self, failed: bool) -> list[Exception]:
        worker = self._worker
        if worker is not None and (failed or not worker.await_end()):
            return []
        return await self._cluster.end(failed)

    async def _enter(self) -> None:
        if self._lifespan is None:
            return
        context = self._lifespan(self._app)
        if hasattr(context, "__aenter__"):
            state = await context.__aenter__()
        elif hasattr(context, "__enter__"):
            state = context.__enter__()
        else:
            if hasattr(context, "close"):
                context.close()  # a coroutine, which nobody awaits
            raise TypeError(
                "lifespan must give a context manager: decorate it with "
                f"contextlib.asynccontextmanager; it gave {context!r}"
            )
        self._context = context
        if state is not None:
            self._app._keep_state(state)

    async def _end(self, error: BaseException | None) -> list[Exception]:
        errors = await self._own.end(error is not None)
        context, self._context = self._context, None
        try:
            await _leave(context, error)
        except Exception as failure:
            if failure is not error:
                errors.append(failure)
        errors += await self._end_cluster(error is not None)
        return errors


async def _leave(context: Any, error: BaseException | None) -> None:
    if context is None:
        return
    what = (type(error), error, error.__traceback__) if error is not None else (None, None, None)
    if hasattr(context, "__aexit__"):
        await context.__aexit__(*what)
    else:
        context.__exit__(*what)


async def _called(hook: Function) -> None:
    value = hook()
    if hasattr(value, "__await__"):
        await value


def _is_sync_context(lifespan: Function) -> bool:
    """Whether it is a function under contextlib.contextmanager."""
    code = getattr(getattr(lifespan, "__wrapped__", lifespan), "__code__", None)
    return code is not None and bool(code.co_flags & CO_GENERATOR)


def _run_now(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        coroutine.close()
    raise RuntimeError("a start-up or shutdown hook that waits must be declared with async def")


class Lifespan:
    """Start-up and shutdown of an application; a base of App."""

    _lifespan: Function | None
    _startup_hooks: list[Function]
    _shutdown_hooks: list[Function]
    _cluster_startup_hooks: list[Function]
    _cluster_shutdown_hooks: list[Function]
    _request_state: dict[str, Any] | None

    def _init_lifespan(self, lifespan: Function | None) -> None:
        if lifespan is not None and not callable(lifespan):
            raise TypeError(f"lifespan is a function of the application, not {lifespan!r}")
        self._lifespan = lifespan
        self._startup_hooks, self._shutdown_hooks = [], []
        self._cluster_startup_hooks, self._cluster_shutdown_hooks = [], []
        self._request_state = None

    @overload
    def on_startup(self, function: FunctionT) -> FunctionT: ...
    @overload
    def on_startup(
        self, function: None = None, *, per: str = "worker"
    ) -> Callable[[FunctionT], FunctionT]: ...
    def on_startup(self, function: Any = None, *, per: str = "worker") -> Any:
        """Call a function before the first request: def, or async def on the loop of the handlers.

        An exception stops the start: run() ends the program with exit code 1, start(), serve() and
        the test client raise it. per: "worker", in each of them, once for every server that is
        started; "cluster", once, in the first worker, before any other hook of any worker.
        """
        hooks = {"worker": self._startup_hooks, "cluster": self._cluster_startup_hooks}
        return _declare(hooks, function, per)

    @overload
    def on_shutdown(self, function: FunctionT) -> FunctionT: ...
    @overload
    def on_shutdown(
        self, function: None = None, *, per: str = "worker"
    ) -> Callable[[FunctionT], FunctionT]: ...
    def on_shutdown(self, function: Any = None, *, per: str = "worker") -> Any:
        """Call a function after the last request; the last one declared comes first. When one
        fails, the others still run. per: "cluster", once, in the first worker, when all have
        ended."""
        hooks = {"worker": self._shutdown_hooks, "cluster": self._cluster_shutdown_hooks}
        return _declare(hooks, function, per)

    def on_event(self, event: str) -> Callable[[FunctionT], FunctionT]:
        """on_startup or on_shutdown, by name: "startup" or "shutdown"."""
        if event not in ("startup", "shutdown"):
            raise ValueError(f"an event is 'startup' or 'shutdown', not {event!r}")
        return self.on_startup() if event == "startup" else self.on_shutdown()

    def _lifespan_run(self, worker: _cello.Cluster | None = None) -> LifespanRun:
        """For one server."""
        app: App = self  # type: ignore[assignment]
        own = _Hooks(self._startup_hooks, self._shutdown_hooks)
        cluster = _Hooks(self._cluster_startup_hooks, self._cluster_shutdown_hooks)
        return LifespanRun(app, worker, self._lifespan, own, cluster)

    def _keep_state(self, state: Any) -> None:
        if not isinstance(state, Mapping):
            raise TypeError(f"a lifespan yields a mapping for req.state, or nothing: {state!r}")
        self._request_state = {str(name): value for name, value in state.items()}


def _declare(hooks: dict[str, list[Function]], function: Any, per: str) -> Any:
    if per not in hooks:
        raise ValueError(f"per is 'worker' or 'cluster' (once for all workers), not {per!r}")

    def declare(function: FunctionT) -> FunctionT:
        if not callable(function) or arguments_needed(function):
            raise TypeError(
                f"a start-up or shutdown hook is a function without arguments: {function!r}"
            )
        hooks[per].append(function)
        return function

    return declare if function is None else declare(function)
