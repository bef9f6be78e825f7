"""Serving: run, start, serve."""

from __future__ import annotations

import errno
import sys
import threading
from types import TracebackType
from typing import Any, Literal, NoReturn, Unpack

from cello import _cello, _cluster, _debug, _log, _service, _tls
from cello._attend import attend, serve_here, url_of
from cello._base import Base
from cello._config import (
    ClusterConfig,
    Http2Config,
    LimitsConfig,
    StoreConfig,
    ThreadPoolConfig,
    TimeoutConfig,
)
from cello._cpus import usable_cpus
from cello._health import Health
from cello._lifespan import Lifespan, LifespanRun
from cello._settings import Options, SettingError, Settings

# The command line imports a program, and serves it itself: the program's own run() does nothing.
loading = False


class Server:
    """A server that was started: runs on a thread of its own until stopped.

    A context manager: leaving it stops the server.
    """

    def __init__(self, engine: _cello.Server, lifespan: LifespanRun, scheme: str = "http") -> None:
        self._engine = engine
        self._scheme = scheme
        self._lifespan = lifespan
        self._error: BaseException | None = None
        self._last_stats: dict[str, int] = {}
        self._addresses = engine.addresses
        self._started = threading.Event()
        lifespan.on_started = self._started.set
        self._thread = threading.Thread(target=self._run, name="cello", daemon=True)
        self._thread.start()
        self._started.wait()
        if lifespan.failed == "start-up":
            self.wait()  # raises why

    def _run(self) -> None:
        try:
            serve_here(self._engine, self._lifespan)
        except BaseException as error:  # handed to whoever waits
            self._error = error
        finally:
            try:
                # On this thread: io_uring takes back what it holds only for the one that gave it.
                self._last_stats = self._engine.stats()
                self._engine.close()
            finally:
                self._started.set()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """(host, port) of every listener; ("unix:PATH", 0) for unix sockets."""
        return list(self._addresses)

    @property
    def url(self) -> str:
        """http://host:port of the first TCP listener; with TLS, https://host:port."""
        return url_of(self._addresses[0], self._scheme)

    def stats(self) -> dict[str, int]:
        """Counters since the start; the last ones when the server has ended."""
        try:
            return self._engine.stats()
        except RuntimeError:
            return dict(self._last_stats)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the server has ended; False when `timeout` seconds passed before. Raises what
        ended it, if that was an error."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        if self._error:
            error, self._error = self._error, None
            raise error
        return True

    def stop(self, timeout: float | None = None) -> None:
        """Stop listening, finish what is in flight within `timeout` seconds (None: as long as it
        takes), close the rest, and wait for that; in a handler of this server, do not wait."""
        self._engine.stop(timeout)
        if threading.current_thread() is not self._thread:
            self.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop(5.0)


def _pool_of(config: ThreadPoolConfig) -> tuple[int, int, int]:
    """Threads, length of the queue, and the milliseconds after which a handler is looked at (0:
    never)."""
    size = config.size or min(64, max(4, round(4 * usable_cpus())))
    return size, config.queue, config.offload_threshold_ms if config.adaptive else 0


class Serving(Health, Lifespan, Base):
    """How an application is served; a base of App."""

    @property
    def _cluster(self) -> _cello.Cluster:
        if self._own_cluster is None:
            with _cluster.making:
                if self._own_cluster is None:
                    sizes = self._store_sizes()
                    self._own_cluster = _cluster.worker() or _cello.Cluster(None, *sizes)
        return self._own_cluster

    def _store_sizes(self) -> tuple[int, int]:
        store = self._store_config or StoreConfig()
        return store.size, store.ring_size

    @property
    def worker_id(self) -> int:
        """Which of the workers this process is, from 0; one that takes another's place has its
        number. 0 without workers."""
        return self._cluster.worker_id

    def _settings(self, *place: Any, **options: Any) -> Settings:
        has_file = self._log_file is not None
        return Settings(*place, app_debug=self._debug, app_logs=has_file, **options)

    def _engine(self, settings: Settings) -> _cello.Server:
        """A server that does not listen."""
        _log.configure(level=settings.log_level, style=self._log_style(settings))
        self._freeze()
        self._debug_pages = settings.debug
        self._set_debug_hook(_debug.respond if settings.debug else None)
        limits, timeouts = self._limits or LimitsConfig(), self._timeouts or TimeoutConfig()
        log_fd = 1 if settings.logs else -1
        try:
            engine = _cello.Server(
                self,
                limits,
                timeouts,
                settings.backend,
                log_fd,
                self._log_format,
                self._log_sample,
                _pool_of(self._threadpool or ThreadPoolConfig()),
            )
        except ValueError as error:  # all else was checked where it was given
            raise ValueError(
                f"enable_logging({self._log_format!r}): an unknown field, or a brace left open"
            ) from error
        if settings.proxy_protocol:
            engine.expect_proxy(settings.proxy_protocol)
        if settings.http2 is not False:
            engine.use_http2(settings.http2 or Http2Config())
        return engine

    def _log_style(self, settings: Settings) -> str:
        return "json" if self._log_format == "json" else settings.env

    def _open(self, settings: Settings, fds: list[int] | None = None) -> _cello.Server:
        """A server that listens: on fds, else where the settings say."""
        engine = self._engine(settings)
        given = fds or ([] if settings.fd is None else [settings.fd])
        for fd in given:
            engine.listen_fd(fd)
        try:
            if not given and settings.uds is not None:
                engine.listen_unix(settings.uds, settings.uds_mode)
            elif not given:
                engine.listen(settings.host, settings.port)
            if settings.tls is not None and settings.tls.redirect_http is not None:
                engine.listen_redirect(settings.host, settings.tls.redirect_http)
        except ValueError:
            raise OSError(errno.EADDRNOTAVAIL, "there is no such host") from None
        return engine

    def _open_log(self, engine: _cello.Server, settings: Settings) -> None:
        """The file of the access log, if there is one, with the rights that the process has now.
        OSError: it cannot be opened; the server is then closed."""
        if not settings.logs or self._log_file is None:
            return
        try:
            engine.log_to(self._log_file)
        except OSError:
            engine.close()
            raise

    def start(
        self, host: str | None = None, port: int | None = None, **options: Unpack[Options]
    ) -> Server:
        """Serve on a thread of its own and return at once.

        port: by default CELLO_PORT, else any free one. logs, debug: off unless they or `env` say
        so. The rest is as for run(). OSError: the address is busy or not allowed. Raises what a
        start-up hook raised; what a shutdown hook raises, Server.wait() and stop() raise.
        """
        if options.get("env") is None:
            if options.get("logs") is None:
                options["logs"] = self._log_file is not None
            if options.get("debug") is None:
                options["debug"] = self._debug or False
        _check_one_worker(options, "start()")
        settings = self._settings(host, port, default_port=0, **options)
        engine = self._open(settings)
        self._open_log(engine, settings)
        _tls.secure(engine, settings.tls)
        return Server(engine, self._lifespan_run(), "https" if settings.tls else "http")

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        reload: bool | None = None,
        cluster: ClusterConfig | None = None,
        argv: list[str] | Literal[False] | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Serve on this thread, by default on http://127.0.0.1:8000 or the sockets that systemd has
        opened, until SIGINT, SIGTERM or SIGHUP.

        The first signal finishes what is in flight (30 s at most), the second ends the process at
        once. Off the main thread signals are the caller's.

        workers: how many processes serve, or "auto", one for each usable CPU. With several this
        process ends here, as their supervisor: it runs the program again, up to here, in each
        worker; only there run() returns, and a second run() does nothing. cluster: more about them.

        What is not given here is read from the command line (--host --port --reload --debug --env
        --no-logs --log-level --uds --uds-mode --fd --proxy-protocol --tls-cert --tls-key --http2
        --backend --workers --user --group; only in the program's own main thread, argv=False turns
        it off), then from the environment (CELLO_HOST, CELLO_PORT, ...); a wrong value there ends
        the program with exit code 2. A busy port ends it with 1.

        reload: run the program in another process, and again whenever a Python file below the
        current folder or the program's is saved; the socket stays. Needs watchfiles.
        env: "development" (debug pages and the access log) or "production" (neither). debug, logs:
        on or off, whatever env says. log_level: of the server log. uds: path of a unix socket
        instead of host and port; uds_mode: its permissions, 0o666. fd: a listening socket instead.
        proxy_protocol: connections come from a proxy and begin with a PROXY protocol head: True
        (the proxy is on this machine) or the addresses and networks of proxies; connections from
        elsewhere are closed. tls: HTTPS; what is wrong with its files ends the program with 1, and
        SIGHUP reads them again instead of ending it. http2: an Http2Config, or False: HTTP/1 only.
        backend: "auto", "epoll" or "io_uring". ValueError, TypeError: an option that is wrong.
        """
        if loading:
            return
        main = threading.current_thread() is threading.main_thread()
        if argv is None and main and _called_from_main():
            argv = sys.argv[1:]
        try:
            settings = self._settings(host, port, argv=argv or None, reload=reload, **options)
        except SettingError as error:
            if not error.is_typed:
                raise
            _log.critical(str(error))
            raise SystemExit(2) from None
        config = _cluster.configured(settings, cluster)
        worker = _cluster.worker()
        fds = _service.sockets(settings)
        if worker is None:
            self._become_supervisor(settings, config, main, fds)
        elif not _cluster.begins():
            return
        if settings.reload:
            from cello import _reload

            if fds:
                settings.fd = fds[0]
            fds = [_reload.socket_of_child(settings)]
        _diagnose(-1 if worker is None else worker.worker_id)
        try:
            engine = self._engine(settings) if worker else self._open(settings, fds)
        except OSError as error:
            _log.critical(f"cannot listen on {_where(settings, fds)}: {error.strerror}")
            raise SystemExit(1) from error
        _service.open_service(engine)
        if worker is not None:
            self._topics.watch(engine)
        elif config.user or config.group:
            _cluster.become(config.user, config.group)
        try:
            self._open_log(engine, settings)
        except OSError as error:
            _no_log(error)
        _tls.secure_or_end(engine, settings.tls, worker)
        health = self._health_run(lambda: self._cluster)
        try:
            if health is not None:
                health.listen(config.heartbeat_timeout)
            attend(
                engine,
                self._lifespan_run(worker),
                settings,
                config,
                main,
                settings.logs and self._log_file is not None,
                health,
                self._announce_stop,
            )
        finally:
            if health is not None:
                health.end()
            engine.close()

    def _announce_stop(self) -> None:
        if self._own_cluster is not None:
            self._own_cluster.announce_stop()

    def _become_supervisor(
        self, settings: Settings, config: ClusterConfig, main: bool, fds: list[int]
    ) -> None:
        """Returns when there is to be one worker."""
        workers = config.workers or 1
        if workers == 1:
            return
        if settings.reload:
            raise ValueError(f"reload has one worker, not {workers}: leave one of the two out")
        if not main:
            raise RuntimeError("several workers can be started from the main thread only")
        self._freeze()  # what is wrong with the program is said once, here
        _tls.check_or_end(settings.tls)
        table, ring = self._store_sizes()
        options = ["--log-format", self._log_style(settings)]
        options += ["--store-bytes", str(table), "--ring-bytes", str(ring)]
        health = self._health
        if health is not None and health.admin is not None:
            options += ["--admin", health.admin, "--health-path", health.base_path]
        if settings.logs and self._log_file is not None:
            options += ["--access-log", self._log_file]  # which it only looks at
        _cluster.supervise(settings, config, options, fds)

    async def serve(
        self, host: str | None = None, port: int | None = None, **options: Unpack[Options]
    ) -> None:
        """Serve inside the running event loop (asyncio's or uvloop) until cancelled. The arguments
        are those of run(), without the command line."""
        from cello._loop import serve

        _check_one_worker(options, "serve()")
        settings = self._settings(host, port, **options)
        engine = self._open(settings)
        self._open_log(engine, settings)
        _tls.secure(engine, settings.tls)
        try:
            await serve(engine, self._lifespan_run())
        finally:
            engine.close()


def _where(settings: Settings, fds: list[int]) -> str:
    given = fds or ([] if settings.fd is None else [settings.fd])
    if given:
        return "descriptor " + ", ".join(map(str, given))
    return settings.uds or f"{settings.host}:{settings.port}"


def _diagnose(worker_id: int) -> None:
    """Crashes of this process are reported, and it gives its stacks to who asks."""
    import atexit

    try:
        _cello.start_diagnosis(worker_id)
    except OSError as error:
        _log.warning(f"a crash will not be reported: {error.strerror}")
    atexit.register(_cello.end_diagnosis)


def _no_log(error: OSError) -> NoReturn:
    _log.critical(f"cannot write the access log {error.filename}: {error.strerror}")
    raise SystemExit(1) from error


def _called_from_main() -> bool:
    """Whether the program itself, not a library, called run()."""
    return sys._getframe(2).f_globals.get("__name__") == "__main__"


def _check_one_worker(options: Options, what: str) -> None:
    workers = options.get("workers")
    if workers not in (None, 1):
        raise ValueError(f"{what} has one worker, not {workers!r}; run() can have several")
