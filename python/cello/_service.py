"""A process as a service of systemd: the sockets that are handed to it, and what it says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cello import _cello

if TYPE_CHECKING:
    from cello._settings import Settings

_SOCKETS = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_NOTIFY = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_PLACES = ("host", "port", "uds", "fd")


def sockets(settings: Settings) -> list[int]:
    """Those to serve on: what systemd opened for this process, unless something says where. They
    are handed over once, and not to programs that this one starts."""
    found = _cello.service_sockets()
    _forget(_SOCKETS)
    for fd in found:
        os.set_inheritable(fd, False)
    said = any(settings.sources[name] != "default" for name in _PLACES)
    return [] if said else found


def open_service(engine: _cello.Server) -> None:
    """Take what the environment says of it."""
    engine.open_service()
    _forget(_NOTIFY)


def _forget(names: tuple[str, ...]) -> None:
    for name in names:
        os.environ.pop(name, None)
