"""A server that is ready is served on this thread, until it is done."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from cello import _cello, _cluster, _log
from cello._signals import Signals, signals_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cello._config import ClusterConfig
    from cello._health import HealthRun
    from cello._lifespan import LifespanRun
    from cello._settings import Settings
    from cello._tls import TlsConfig

# Seconds for requests in flight in a process that is replaced because a file was saved.
RELOAD_TIMEOUT = 0.5


def url_of(address: tuple[str, int], scheme: str = "http") -> str:
    """How a client writes an address."""
    host, port = address
    if host.startswith("unix:"):
        return host
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def urls_of(engine: _cello.Server, tls: TlsConfig | None) -> str:
    """Where a server is. The address that redirects is the last one."""
    addresses = engine.addresses
    plain = len(addresses) if tls is None else int(tls.redirect_http is not None)
    secure = len(addresses) - plain
    return ", ".join(
        url_of(address, "https" if i < secure else "http") for i, address in enumerate(addresses)
    )


def serve_here(engine: _cello.Server, lifespan: LifespanRun) -> None:
    """Serve on this thread until the server is done, between start-up and shutdown hooks."""
    if engine.needs_loop or lifespan.needs_loop:
        engine.run(lifespan)
        return
    lifespan.startup_now()
    try:
        engine.run()
    finally:
        lifespan.shutdown_now()


def attend(
    engine: _cello.Server,
    lifespan: LifespanRun,
    settings: Settings,
    cluster: ClusterConfig,
    main: bool,
    has_log_file: bool,
    health: HealthRun | None,
    announce: Callable[[], object],
) -> None:
    """Serve until a signal, and tell where: whoever reads that may send the first one."""
    worker = _cluster.worker()
    patient = cluster.graceful_shutdown and worker is None and not settings.reload
    delay = cluster.drain_delay if patient else 0.0
    names = signals_of(settings, worker)
    signals = Signals(engine, _drain_time(settings, cluster), names, delay, announce)
    if has_log_file and worker is None:  # those of workers hear it from their supervisor
        signals.reopening = ("SIGUSR1",)
    if settings.tls is not None and worker is None and not settings.reload:
        signals.reloading = ("SIGHUP",)

    def started() -> None:
        signals.drain = True
        if health is not None:
            health.begin(engine)
        if worker is not None:
            _cluster.begin(worker, engine, cluster.shutdown_timeout)
            return
        where = urls_of(engine, settings.tls)
        engine.service_ready(f"Serving on {where}")
        if settings.logs and not settings.reload:
            _log.notice(f"Cello {_cello.VERSION} on {where} ({engine.backend})")

    lifespan.on_started = started
    try:
        with signals if main else nullcontext():
            serve_here(engine, lifespan)
    except Exception as error:
        if lifespan.failed is None:
            raise
        _log.critical(f"{lifespan.failed} failed", _log.from_program(error))
        raise SystemExit(1) from None


def _drain_time(settings: Settings, cluster: ClusterConfig) -> float:
    if settings.reload:
        return RELOAD_TIMEOUT
    return cluster.shutdown_timeout if cluster.graceful_shutdown else 0.0
