"""Health endpoints: HealthCheckConfig, enable_health_checks."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from cello import _cello, _log
from cello._base import Base
from cello._callables import is_async
from cello._config import _UNSET, _Numbers
from cello._hooks import arguments_needed
from cello._routes import caller, check_prefix

if TYPE_CHECKING:
    import asyncio

KEPT = 1.0  # seconds that results are good for: probes cannot hammer a database
INTERVAL = 5.0  # seconds between runs for the listener, to which results of 20 s ago are bad
ADDRESS = re.compile(r"unix:.+|(\[[^\]]+\]|[^:\[\]]+):\d{1,5}")

OK, FAILED, OVERDUE = "ok", "failed", "timed out"


class HealthCheckConfig(_Numbers):
    """Where a load balancer or an orchestrator asks whether this application is well.

    base_path: of the routes base_path/live, base_path/ready and base_path/startup. checks: what has
    to work for the application to be of use, by name: functions without arguments, def or async
    def, that raise or return False when it does not. They decide on base_path/ready. admin: also
    answer on an address of its own, "HOST:PORT" or "unix:PATH", which nobody else should reach: it
    answers although all workers hang. check_timeout: seconds that each check may take. All but the
    checks can be said in the environment: CELLO_HEALTH_BASE_PATH, ...
    """

    _env = "HEALTH"
    _defaults: ClassVar[dict[str, Any]] = {
        "base_path": "/health",
        "admin": None,
        "check_timeout": 2.0,
    }

    base_path: str
    checks: dict[str, Callable[[], Any]]
    admin: str | None
    check_timeout: float

    def __init__(
        self,
        base_path: str = _UNSET,
        checks: Mapping[str, Callable[[], Any]] | None = None,
        admin: str | None = _UNSET,
        check_timeout: float = _UNSET,
    ) -> None:
        self._fill(locals())
        self.checks = dict(checks or {})
        for name, check in self.checks.items():
            if not isinstance(name, str) or not callable(check) or arguments_needed(check):
                raise TypeError(f"a check is a name and a function without arguments: {name!r}")

    def _read(self, name: str, text: str) -> Any:
        return float(text) if name == "check_timeout" else text

    def _checked(self, name: str, value: Any) -> Any:
        if name == "base_path":
            if not check_prefix(value) or "{" in value:
                raise ValueError(f"base_path is a path without parameters, not {value!r}")
        elif name == "admin":
            if value is not None and not (isinstance(value, str) and ADDRESS.fullmatch(value)):
                raise ValueError(f"admin is 'HOST:PORT' or 'unix:PATH', not {value!r}")
        else:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 < value <= 10:
                raise ValueError(f"check_timeout is more than 0 and at most 10: {value!r}")
        return value

    def __repr__(self) -> str:
        names = ("base_path", "checks", "admin", "check_timeout")
        arguments = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__name__}({arguments})"


class _Check:
    """One of them. While a call goes on after its time, no other one is begun."""

    def __init__(self, name: str, function: Callable[[], Any]) -> None:
        self.name = name
        self.function = function
        self.is_async = is_async(function)
        self._busy = False
        self._last = OK

    def on_thread(self, done: Callable[[], object]) -> bool:
        """Call a def on a thread of its own, and `done` afterwards. False: one has not ended."""
        if self._busy:
            return False
        self._busy = True
        self._outcome = OVERDUE
        self._error: BaseException | None = None
        threading.Thread(target=self._call, args=(done,), name="cello-check", daemon=True).start()
        return True

    def _call(self, done: Callable[[], object]) -> None:
        try:
            self._settle(self.function())
        except BaseException as error:  # whatever it is, the check has failed
            self._outcome, self._error = FAILED, error
        self._busy = False
        done()

    def _settle(self, value: Any) -> None:
        if hasattr(value, "__await__"):
            if hasattr(value, "close"):
                value.close()
            raise TypeError("it gave an awaitable: declare the check with async def")
        self._outcome = OK if value is None or value else FAILED

    async def on_loop(self, timeout: float) -> None:
        """Run it, as a task of its own when it is async."""
        import asyncio

        if not self.is_async:
            loop = asyncio.get_running_loop()
            ended = asyncio.Event()
            if self.on_thread(lambda: _tell(loop, ended.set)):
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), timeout)
            return
        if self._busy:
            return
        self._busy = True
        self._outcome, self._error = OVERDUE, None
        task = asyncio.ensure_future(self._step())
        await asyncio.wait({task}, timeout=timeout)
        if not task.done():
            task.cancel()

    async def _step(self) -> None:
        try:
            self._settle(await self.function())
        except Exception as error:
            self._outcome, self._error = FAILED, error
        finally:
            self._busy = False

    def result(self) -> str:
        """What came of it; the log is told when that is something else than before."""
        outcome = OVERDUE if self._busy else self._outcome
        if outcome != self._last:
            if outcome == OK:
                _log.notice(f"health check {self.name!r} is good again")
            else:
                why = f": {_log.summary(self._error)}" if self._error else ""
                _log.warning(f"health check {self.name!r} {outcome}{why}")
        self._last = outcome
        return outcome


def _tell(loop: asyncio.AbstractEventLoop, done: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the loop has ended, and nobody waits
        loop.call_soon_threadsafe(done)


class Checks:
    """The program's checks, run once for all who ask within a second."""

    def __init__(self, config: HealthCheckConfig) -> None:
        self._checks = [_Check(*item) for item in config.checks.items()]
        self._timeout = config.check_timeout
        self.is_async = any(check.is_async for check in self._checks)
        self._lock = threading.Lock()
        self._results: dict[str, str] = {}
        self._at = float("-inf")
        self._run: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._checks)

    def failing(self) -> int:
        return sum(result != OK for result in self._results.values())

    def answer(self) -> _cello.Response:
        """Of base_path/ready, on the thread pool."""
        with self._lock:
            if not self._is_fresh():
                self.run()
        return self._response()

    async def answer_async(self) -> _cello.Response:
        """The same, on the loop."""
        import asyncio

        if not self._is_fresh():
            loop = asyncio.get_running_loop()
            if self._run is None or self._run.done() or self._run.get_loop() is not loop:
                self._run = asyncio.ensure_future(self.run_async())
            await asyncio.shield(self._run)  # a client that leaves does not end it for others
        return self._response()

    def run(self) -> None:
        """All of them at once."""
        end = time.monotonic() + self._timeout
        waiting = []
        for check in self._checks:
            ended = threading.Event()
            if check.on_thread(ended.set):
                waiting.append(ended)
        for ended in waiting:
            ended.wait(max(0.0, end - time.monotonic()))
        self._keep()

    async def run_async(self) -> None:
        """The same, on the loop."""
        import asyncio

        await asyncio.gather(*(check.on_loop(self._timeout) for check in self._checks))
        self._keep()

    def _keep(self) -> None:
        self._results = {check.name: check.result() for check in self._checks}
        self._at = time.monotonic()

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._at < KEPT

    def _response(self) -> _cello.Response:
        good = self.failing() == 0
        content = {"status": OK if good else FAILED, "checks": self._results}
        return _cello.Response.json(
            content, 200 if good else 503, headers={"Cache-Control": "no-store"}
        )


class _Publisher:
    """Runs checks every few seconds, and tells the listener what came of it."""

    def __init__(self, checks: Checks, cluster: _cello.Cluster) -> None:
        self._checks, self._cluster = checks, cluster
        self._end = threading.Event()
        self._task: asyncio.Task[None] | None = None
        cluster.publish_checks(len(checks), len(checks))  # not known to be good yet
        if checks.is_async:
            import asyncio

            self._task = asyncio.ensure_future(self._on_loop())
        else:
            threading.Thread(target=self._on_thread, name="cello-health", daemon=True).start()

    def _publish(self) -> None:
        self._cluster.publish_checks(len(self._checks), self._checks.failing())

    def _on_thread(self) -> None:
        while not self._end.is_set():
            self._checks.run()
            self._publish()
            self._end.wait(INTERVAL)

    async def _on_loop(self) -> None:
        import asyncio

        while not self._end.is_set():
            await self._checks.run_async()
            self._publish()
            await asyncio.sleep(INTERVAL)

    def end(self) -> None:
        self._end.set()


class HealthRun:
    """What the listener needs, from the start of a process that serves to its end."""

    def __init__(
        self, config: HealthCheckConfig, checks: Checks | None, cluster: _cello.Cluster
    ) -> None:
        self._config, self._checks, self._cluster = config, checks, cluster
        self._publisher: _Publisher | None = None

    def listen(self, heartbeat: float) -> None:
        """Before anything of the program starts. heartbeat: seconds after which a loop that does
        not turn hangs; 0: never. SystemExit: the address is busy."""
        if self._config.admin is None or self._cluster.is_worker:
            return  # a worker's supervisor listens
        try:
            self._cluster.serve_health(self._config.admin, self._config.base_path, heartbeat)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            _log.critical(f"cannot listen on {self._config.admin} for health: {why}")
            raise SystemExit(1) from None

    def begin(self, engine: _cello.Server) -> None:
        """The program has started, and is about to be served. On the loop, if there is one."""
        if not self._cluster.is_worker:
            self._cluster.serve(engine)
        if self._checks is not None:
            self._publisher = _Publisher(self._checks, self._cluster)

    def end(self) -> None:
        if self._publisher is not None:
            self._publisher.end()
        self._cluster.end_health()


class Health(Base):
    """Health endpoints; a base of App."""

    _health: HealthCheckConfig | None = None
    _health_checks: Checks | None = None
    _health_where: str = ""

    def enable_health_checks(self, config: HealthCheckConfig | None = None) -> None:
        """Answer base_path/live, base_path/ready and base_path/startup: 200, or 503 when it is not.
        Guards, hooks and middleware of the application do not run; answers of 200 are not in the
        access log. ValueError: twice, or a path that is taken. RuntimeError: the application was
        started."""
        config = HealthCheckConfig() if config is None else config
        if not isinstance(config, HealthCheckConfig):
            raise TypeError(f"enable_health_checks takes a HealthCheckConfig, not {config!r}")
        self._check_open("health checks")
        if self._health is not None:
            raise ValueError(f"health checks are enabled already ({self._health_where})")
        self._health_where = caller(1)
        self._add_health(f"{config.base_path}/live", self._health_where, _cello.HEALTH_LIVE)
        self._add_health(f"{config.base_path}/startup", self._health_where, _cello.HEALTH_STARTUP)
        self._add_ready(f"{config.base_path}/ready", config)
        self._health = config

    def _add_ready(self, path: str, config: HealthCheckConfig) -> None:
        if not config.checks:
            self._add_health(path, self._health_where, _cello.HEALTH_READY)
            return
        checks = Checks(config)
        answer = checks.answer_async if checks.is_async else checks.answer
        name = f"health checks ({self._health_where})"
        id_ = self._add_health(path, self._health_where, _cello.HEALTH_READY, answer, name)
        self._set_plan(id_, answer, checks.is_async, None)
        self._set_terms(id_, None if checks.is_async else True, None, False)
        self._health_checks = checks

    def _health_run(self, cluster: Callable[[], _cello.Cluster]) -> HealthRun | None:
        """None: there is to be no listener."""
        if self._health is None or self._health.admin is None:
            return None
        return HealthRun(self._health, self._health_checks, cluster())
