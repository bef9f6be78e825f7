"""What runs around a handler where the engine alone cannot: async dependencies, guards that are
coroutines, hooks and middleware.

The functions made here are made once for a route. They get what its plan converted, or the request
where something has to run before that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

from cello import _cello, _results
from cello._errors import HTTPError, Problem
from cello._params import name_of


class Call(NamedTuple):
    """One call before the handler. A slot below 0 is ~index of a call, others are of fields."""

    function: Callable[..., Any]
    slots: tuple[int, ...]
    keywords: tuple[str, ...]
    is_async: bool = False
    is_generator: bool = False


# ---- generators that stay open until the response is out ----


def _start(generator: Iterator[Any], name: str) -> Any:
    for value in generator:
        return value
    raise RuntimeError(f"the dependency {name} did not yield")


async def _astart(generator: Any, name: str) -> Any:
    async for value in generator:
        return value
    raise RuntimeError(f"the dependency {name} did not yield")


def _close(generators: list[Any], error: BaseException | None) -> None:
    """Resume generators, the last one first, or throw `error` into them; as contextlib.ExitStack,
    one that raises decides what those around it see. Raises what is left over."""
    try:
        for generator in reversed(generators):
            try:
                if error is None:
                    next(generator)
                else:
                    generator.throw(error)
            except StopIteration as stop:
                error = _swallowed(generator, error, stop)
            except BaseException as raised:
                error = raised
            else:
                error = _yielded_again(generator)
        if error is not None:
            raise error
    finally:
        del error  # this frame is in its traceback


async def _aclose(
    generators: list[Any], error: BaseException | None, *, offloads: bool = False
) -> None:
    """The same where some of the generators are async. offloads: the others wait, on the thread
    pool."""
    try:
        for generator in reversed(generators):
            is_async = hasattr(generator, "athrow")
            try:
                if not is_async and offloads:
                    stop = await _cello.offload(partial(_resume, generator, error))
                    if stop is not None:
                        raise stop
                elif error is not None:
                    await generator.athrow(error) if is_async else generator.throw(error)
                elif is_async:
                    await anext(generator)
                else:
                    next(generator)
            except (StopIteration, StopAsyncIteration) as stop:
                error = _swallowed(generator, error, stop)
            except BaseException as raised:
                error = raised
            else:
                error = _yielded_again(generator)
        if error is not None:
            raise error
    finally:
        del error


def _resume(generator: Iterator[Any], error: BaseException | None) -> StopIteration | None:
    """The end of a generator as a value, since no future takes it; None when there is none."""
    try:
        next(generator) if error is None else generator.throw(error)  # type: ignore[attr-defined]
    except StopIteration as stop:
        return stop
    return None


def _swallowed(
    generator: Any, error: BaseException | None, stop: BaseException
) -> BaseException | None:
    """A generator that ended: as it shall, unless it took away the handler's exception, for then
    there is nothing to answer."""
    if error is None or stop is error:
        return error
    lost = RuntimeError(
        f"the dependency {generator.__qualname__} swallowed {type(error).__name__}: raise it again"
    )
    lost.__cause__ = error
    return lost


def _yielded_again(generator: Any) -> BaseException:
    return RuntimeError(f"the dependency {generator.__qualname__} yielded more than once")


# ---- generated functions ----


def core_of(
    fields: int, calls: Sequence[Call], last: Call, place: str, offloads: bool = False
) -> tuple[Callable[..., Any], bool]:
    """A function of all fields that makes the calls and then the last one, the handler's; and
    whether it is async. offloads: it is, and leaves what is not to the thread pool."""
    is_async = offloads or last.is_async or any(call.is_async for call in calls)
    names: dict[str, Any] = {"After": _cello.After, "start": _start, "astart": _astart}
    names["close"] = partial(_aclose, offloads=offloads) if is_async else _close
    names["offload"] = _cello.offload
    lines = []
    for i, call in enumerate(calls):
        names[f"call{i}"] = call.function
        made = f"call{i}({_arguments(call)})"
        if not call.is_generator:
            lines.append(f"value{i} = {_awaited(call, made, offloads)}")
            continue
        name = name_of(call.function)
        begun = f"{'astart' if call.is_async else 'start'}(made, {name!r})"
        lines += [f"made = {made}", f"value{i} = {_awaited(call, begun, offloads)}"]
        lines.append("opened.append(made)")
    names["handler"] = last.function
    made = f"handler({_arguments(last)})"
    lines.append(f"result = {_awaited(last, made, offloads)}")
    if any(call.is_generator for call in calls):
        lines = [
            "opened = []",
            "try:",
            *(f"    {line}" for line in lines),
            "except BaseException as error:",
            f"    {'await ' if is_async else ''}close(opened, error)",
            "return After(result, lambda error=None: close(opened, error))",
        ]
    else:
        lines.append("return result")
    parameters = ", ".join(f"field{i}" for i in range(fields))
    return _compiled("run", parameters, lines, names, is_async, place), is_async


def _awaited(call: Call, made: str, offloads: bool) -> str:
    if call.is_async:
        return f"await {made}"
    return f"await offload(lambda: {made})" if offloads else made


def _arguments(call: Call) -> str:
    values = [f"field{slot}" if slot >= 0 else f"value{~slot}" for slot in call.slots]
    first = len(values) - len(call.keywords)
    named = zip(call.keywords, values[first:], strict=True)
    return ", ".join([*values[:first], *(f"{name}={value}" for name, value in named)])


def _compiled(
    name: str, parameters: str, lines: list[str], names: dict[str, Any], is_async: bool, place: str
) -> Callable[..., Any]:
    text = "\n    ".join([f"{'async ' if is_async else ''}def {name}({parameters}):", *lines])
    exec(compile(text, f"<dependencies of {place}>", "exec"), names)
    made: Callable[..., Any] = names[name]
    return made


# ---- hooks, middleware and async guards around it ----


class Around(NamedTuple):
    """What applies to a route. after: in the order they run; middleware: outermost first."""

    before: tuple[Any, ...] = ()
    after: tuple[Any, ...] = ()
    middleware: tuple[Callable[..., Any], ...] = ()
    guards: tuple[Callable[..., Any], ...] = ()
    async_errors: bool = False


class Callbacks(list[Callable[..., Any]]):
    """Of one After each: they resume the dependencies that are open, or throw what they are
    given."""

    background: Any = None  # the BackgroundTasks of what is answered


class Inner(NamedTuple):
    """What runs inside the hooks."""

    plan: Any
    core: Callable[..., Any]
    is_async: bool
    status: int
    filter: _results.ResultFilter | None
    response: int | None  # the slot of the injected Response
    background: int | None  # that of the background tasks


def filtered(value: Any, result: _results.ResultFilter) -> Any:
    """As C does it for plans."""
    exact, is_list, convert = result
    if isinstance(value, _cello.Response):
        return value
    if type(value) is tuple and len(value) in (2, 3) and type(value[1]) is int:
        body = filtered(value[0], result)
        if body is value[0] or not isinstance(body, _cello.Response):
            return (body, *value[1:])
        rest = _cello.to_response((None, *value[1:]), 0)
        body.status = rest.status
        return _cello.to_response(body, 0, rest)
    if is_list:
        if type(value) is list and all(type(item) is exact for item in value):
            return value
    elif type(value) is exact:
        return value
    return convert(value)


def _finish(
    inner: Inner, value: Any, values: tuple[Any, ...], callbacks: Callbacks
) -> _cello.Response:
    """The Response of what a handler returned, who was called with `values`."""
    if type(value) is _cello.After:
        if value.callback is not None:
            callbacks.append(value.callback)
        value = value.value
    if isinstance(value, Problem):
        raise value
    if inner.filter:
        value = filtered(value, inner.filter)
    injected = None if inner.response is None else values[inner.response]
    response = _cello.to_response(value, inner.status, injected)
    if inner.background is not None:
        callbacks.background = values[inner.background]
    return response


def _response_of(value: Any, status: int) -> _cello.Response:
    """A problem that was returned is raised."""
    if isinstance(value, Problem):
        raise value
    return _cello.to_response(value, status)


async def _error_response(request: _cello.Request, error: Exception) -> _cello.Response:
    """What an exception is answered with, also by an async exception handler."""
    response = _cello.error_response(request, error)
    if isinstance(response, _cello.Response):
        return response
    try:
        value = await response
    except Exception as other:
        value = other
    if isinstance(value, Exception):
        return cast(_cello.Response, _cello.error_response(request, value, False))
    return _cello.to_response(value, error.status if isinstance(error, Problem) else 500)


# ---- dependencies that are still open when the handler has returned ----


def _throw(callbacks: Callbacks, error: BaseException) -> BaseException:
    """What the handler gave cannot be answered: the dependencies see why. Returns what is left."""
    try:
        while callbacks:
            try:
                callbacks.pop()(error)
            except BaseException as raised:
                error = raised
        return error
    finally:
        del error  # this frame is in its traceback


async def _athrow(callbacks: Callbacks, error: BaseException) -> BaseException:
    """The same where some of the dependencies may be async."""
    try:
        while callbacks:
            try:
                closing = callbacks.pop()(error)
                if closing is not None:
                    await closing
            except BaseException as raised:
                error = raised
        return error
    finally:
        del error


def _after(value: Any, callbacks: Callbacks, is_async: bool) -> Any:
    """A middleware may have called what is inside more than once: then there are as many."""

    def resume() -> None:
        for callback in reversed(callbacks):
            callback()

    async def aresume() -> None:
        for callback in reversed(callbacks):
            await callback()

    if len(callbacks) < 2:
        callback = callbacks[0] if callbacks else None
    else:
        callback = aresume if is_async else resume
    if callback or callbacks.background:
        return _cello.After(value, callback, callbacks.background)
    return value


def sync_runner(inner: Inner, around: Around) -> Callable[[Any], Any]:
    def respond(request: _cello.Request, callbacks: Callbacks) -> _cello.Response:
        try:
            for hook in around.before:
                value = hook.call(request)
                if value is not None and value is not request:
                    return _response_of(value, 0)
            values = inner.plan.resolve(request)
            return _finish(inner, inner.core(*values), values, callbacks)
        except BaseException as error:
            if callbacks:
                error = _throw(callbacks, error)
            if not isinstance(error, Exception):
                raise error
            # An async exception handler would have made this an async runner.
            return cast(_cello.Response, _cello.error_response(request, error))

    def run(request: _cello.Request) -> Any:
        callbacks = Callbacks()
        try:
            response = respond(request, callbacks)
            for hook in around.after:
                value = hook.call(request, response)
                if value is not None and value is not response:
                    response = _response_of(value, response.status)
        except BaseException as error:
            if not callbacks:
                raise
            error = _throw(callbacks, error)
            raise error
        return _after(response, callbacks, False)

    return run


def async_runner(inner: Inner, around: Around) -> Callable[[Any], Any]:
    async def answer(request: _cello.Request, callbacks: Callbacks) -> Any:
        for hook in around.before:
            value = hook.call(request)
            if hook.is_async:
                value = await value
            if value is not None and value is not request:
                return _response_of(value, 0)
        for guard in around.guards:
            allowed = guard(request)
            if hasattr(allowed, "__await__"):
                allowed = await allowed
            if not allowed:
                raise HTTPError(403)
        values = inner.plan.resolve(request)
        value = inner.core(*values)
        if inner.is_async:
            value = await value
        return _finish(inner, value, values, callbacks)

    async def respond(request: _cello.Request, callbacks: Callbacks) -> Any:
        try:
            response = await answer(request, callbacks)
        except BaseException as error:
            if callbacks:
                error = await _athrow(callbacks, error)
            if not isinstance(error, Exception):
                raise error
            response = await _error_response(request, error)
        for hook in around.after:
            value = hook.call(request, response)
            if hook.is_async:
                value = await value
            if value is not None and value is not response:
                response = _response_of(value, response.status)
        return response

    async def run(request: _cello.Request) -> Any:
        callbacks = Callbacks()
        # Exceptions of what has no hooks are answered by the engine, in one place.
        inside = respond if around.before or around.after or around.middleware else answer

        async def next_(request: _cello.Request) -> Any:
            return await inside(request, callbacks)

        for middleware in reversed(around.middleware):
            next_ = _bound(middleware, next_)
        try:
            response = await next_(request)
        except BaseException as error:
            if not callbacks:
                raise
            error = await _athrow(callbacks, error)
            raise error
        return _after(response, callbacks, inner.is_async)

    return run


def _bound(middleware: Callable[..., Any], call_next: Callable[..., Any]) -> Callable[..., Any]:
    async def call(request: _cello.Request) -> Any:
        value = await middleware(request, call_next)
        if value is None:
            raise TypeError(
                f"middleware {name_of(middleware)!r} returned nothing: return the response"
            )
        return _response_of(value, 0)

    return call
