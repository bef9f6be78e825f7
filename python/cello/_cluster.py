"""Several workers. The process that calls run() becomes their supervisor, a small program in C; it
starts Python again for each worker, with the same arguments, so that each comes to run(), too.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Collection
from copy import copy
from typing import TYPE_CHECKING, NoReturn

from cello import _cello, _log
from cello._config import ClusterConfig
from cello._cpus import usable_workers

if TYPE_CHECKING:
    from cello._settings import Settings

SUPERVISOR = os.path.join(os.path.dirname(_cello.__file__), "cello-supervisor")

# What a supervisor is told by signals.
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")

# Fields of ClusterConfig that are options without a value, and when they are given. All others are
# options of their names.
_SWITCHES = {"cpu_affinity": ("--affinity", True), "graceful_shutdown": ("--no-graceful", False)}

# Variables that came from a file, which each worker reads again.
from_file: Collection[str] = ()

# Programs that this one starts, from its first import on, are no workers.
_text = os.environ.pop(_cello.WORKER_VARIABLE, None)
_joined: _cello.Cluster | None = None
_has_begun = False
_shared: tuple[_cello.Store, _cello.Topics] | None = None

# Held while what an application has one of is made: threads may ask for it at the same time.
making = threading.RLock()


def worker() -> _cello.Cluster | None:
    """The cluster that this process is a worker of; None: it has no supervisor.

    ValueError: the variable is not what a supervisor leaves.
    """
    global _joined, _text
    text, _text = _text, None
    if text is not None:
        _joined = _cello.Cluster(text)
        _log.worker = _joined.worker_id
    return _joined


def shared(cluster: _cello.Cluster) -> tuple[_cello.Store, _cello.Topics]:
    """What an application has of the memory of a cluster. All applications of a worker have the
    same: a process is one reader of messages, and one that is woken for them."""
    global _shared
    with making:
        if cluster is _joined and _shared is not None:
            return _shared
        store = _cello.Store(cluster)
        found = store, _cello.Topics(store)
        if cluster is _joined:
            _shared = found
        return found


def begins() -> bool:
    """False: this worker has begun to serve before. It does that once, and then it ends."""
    global _has_begun
    first, _has_begun = not _has_begun, True
    return first


def become(user: str | None, group: str | None) -> None:
    """The process takes the user and the group on. SystemExit: it cannot."""
    try:
        _cello.become(user, group)
    except PermissionError as error:
        _log.critical(str(error))
        raise SystemExit(1) from None


def begin(worker: _cello.Cluster, engine: _cello.Server, drain: float) -> None:
    """The worker is ready. When its supervisor is gone, or it cannot listen, it ends."""
    try:
        worker.serve(engine, drain)
    except EOFError:
        engine.stop(0)
    except OSError as error:
        _log.critical(f"worker {worker.worker_id} cannot listen: {error.strerror}")
        engine.stop(0)


def configured(settings: Settings, given: ClusterConfig | None) -> ClusterConfig:
    """With as many workers as there are to be: what run() and its command line say goes before the
    configuration, and where nothing says more there is one. TypeError: not a ClusterConfig."""
    if given is not None and not isinstance(given, ClusterConfig):
        raise TypeError(f"cluster is a ClusterConfig, not {given!r}")
    config = copy(given) if given is not None else ClusterConfig()
    if settings.workers is not None:
        config.workers = settings.workers
    elif config.workers is None:
        config.workers = 1 if given is None else usable_workers()
    config.user = settings.user or config.user
    config.group = settings.group or config.group
    return config


def supervise(
    settings: Settings, config: ClusterConfig, options: list[str], fds: list[int]
) -> NoReturn:
    """Become the supervisor of config.workers; what else this process does ends here. options: of
    its command line, besides those that settings and config say. fds: sockets that listen already,
    instead of what the settings say.

    RuntimeError: nothing that could be run again in a worker. SystemExit: it cannot be started.
    """
    command = [sys.executable, *_program()]
    options = [*_places(settings, fds), *_options(config), *options]
    level = settings.log_level
    if level is not None:
        options += ["--log-level", "error" if level == "critical" else level]
    for fd in fds if settings.fd is None else [settings.fd]:
        os.set_inheritable(fd, True)
    environment = {name: v for name, v in os.environ.items() if name not in from_file}
    _flush()
    import signal

    # Those that come before it watches them wait for it.
    own = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.Signals[name] for name in _SIGNALS])
    try:
        os.execve(SUPERVISOR, [SUPERVISOR, *options, "--", *command], environment)
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, own)
        _log.critical(f"cannot start {SUPERVISOR}: {error.strerror}")
        raise SystemExit(1) from None


def _places(settings: Settings, fds: list[int]) -> list[str]:
    if settings.fd is not None:
        places = [f"fd:{settings.fd}"]
    elif fds:
        places = [f"fd:{fd}" for fd in fds]
    elif settings.uds is not None:
        places = [f"unix:{settings.uds}"]
    else:
        places = [f"tcp:{_bracketed(settings.host)}:{settings.port}"]
    tls = settings.tls
    https = [] if tls is None else ["--https", str(len(places))]
    if tls is not None and tls.redirect_http is not None:
        places.append(f"tcp:{_bracketed(settings.host)}:{tls.redirect_http}")
    mode = ["--uds-mode", f"{settings.uds_mode:o}"] if settings.uds is not None else []
    return [*https, *mode, *(word for place in places for word in ("--listen", place))]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _options(config: ClusterConfig) -> list[str]:
    """Every field of the configuration."""
    options = []
    for name, value in vars(config).items():
        if name in _SWITCHES:
            switch, position = _SWITCHES[name]
            if value is position:
                options.append(switch)
        elif value is not None:
            text = f"{value:.9f}" if isinstance(value, float) else str(value)
            options += ["--" + name.replace("_", "-"), text]
    return options


def _program() -> list[str]:
    """What this process was started with, for another Python."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        raise RuntimeError(
            "several workers need a program of their own, which a process of multiprocessing is "
            "not: start it with subprocess, or write `if __name__ == '__main__':` before run()"
        )
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if not sys.executable or not file:
        raise RuntimeError(
            "several workers need a program that can be started again: put it into a file, and run "
            "that with `python FILE` or `cello run FILE`; here run() has one worker"
        )
    arguments = sys.orig_argv[1:]
    if getattr(main, "__spec__", None) is None:
        return _absolute(arguments, os.path.abspath(file))
    return arguments


def _absolute(arguments: list[str], file: str) -> list[str]:
    """With the script's whole path: the program may have changed its folder."""
    for i, word in enumerate(arguments):
        if word[:1] != "-" and os.path.basename(word) == os.path.basename(file):
            return [*arguments[:i], file, *arguments[i + 1 :]]
    return arguments


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
