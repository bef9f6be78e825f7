"""The serving process of the development server; the other one is in _dev.py.

It is started anew after every save, so it imports little before the program.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from cello import _cello, _log, _tls
from cello._load import Stop, UserError, load, parse, trimmed
from cello._settings import Settings

# Seconds to end in when the supervisor is gone.
GRACE = 10.0

# The socket that this process serves on, when it is the serving one.
inherited_fd: int | None = None


def socket_of_child(settings: Settings) -> int:
    """What app.run(reload=True) listens on in a serving process. The process that was started first
    is the supervisor of those from here on: in it this raises SystemExit at the end."""
    if inherited_fd is None:
        from cello import _dev

        raise SystemExit(_dev.supervise_program(settings))
    return os.dup(inherited_fd)  # a server closes what it is given


def child() -> None:
    """Serve on the socket that was handed over, when the order comes. sys.argv: the descriptors of
    the socket, of a pipe that ends with the supervisor, and of one that gives the order: one of
    `load APP [--factory] OPTION...`, `script FILE ARGUMENT...`, `module NAME ARGUMENT...`,
    `ended MESSAGE`; nothing: end."""
    global inherited_fd
    # A terminal sends it to all processes; the supervisor says when to end.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    inherited_fd, life, orders = map(int, sys.argv[1:])
    for number in (inherited_fd, life):
        os.set_inheritable(number, False)  # not for processes that the program starts
    with open(orders, "rb") as pipe:
        order = pipe.read().decode()
    if not order:
        return
    kind, what, *rest = order.split("\0")
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    try:
        if kind == "load":
            _serve_app(what, rest)
        elif kind == "ended":
            _serve_error(RuntimeError(what), told=True)
        else:
            _run_program(kind, what, rest)
    except SystemExit as error:
        if not isinstance(error.__context__, Exception):
            raise
        _serve_error(error.__context__, told=True)  # a start-up hook failed, and the log says how
    except Exception as error:
        _serve_error(error.error if isinstance(error, UserError) else trimmed(error))


def _end_with(life: int) -> None:
    """Wait for the supervisor to be gone."""
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE)
    os._exit(1)


def _serve_app(text: str, rest: list[str]) -> None:
    factory = rest[:1] == ["--factory"]
    app = load(parse(text, factory=factory))
    app.run(argv=[*rest[factory:], "--reload"])


def _run_program(kind: str, what: str, arguments: list[str]) -> None:
    import runpy

    sys.argv = [what, *arguments]
    if kind == "script":
        sys.path[0] = os.path.dirname(os.path.realpath(what))
        runpy.run_path(what, run_name="__main__")
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)


def _serve_error(error: BaseException, *, told: bool = False) -> None:
    """Say what is wrong on the terminal, unless it was told there, and to every request until this
    process is replaced."""
    if not told:
        _print(error)
    _log.notice("cello: waiting for a change")
    from cello import _debug
    from cello._app import App

    app = App()

    def show(req: _cello.Request) -> _cello.Response:
        if _debug.is_for(req):
            return _debug.response_of(_debug.page(error))
        return _cello.Response.text("The program could not be started.\n", 500)

    methods = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
    for path in ("/", "/{path:path}"):
        app.add_route(path, show, methods=methods)
    _serve_in_clear_if_needed()
    os.environ.pop("CELLO_TLS_REDIRECT_HTTP", None)  # that port may be what is wrong
    app.run(argv=["--reload", "--no-logs"])


def _serve_in_clear_if_needed() -> None:
    """A page can still be shown when it is the certificate that is wrong."""
    tls = Settings().tls
    if tls is None:
        return
    try:
        _cello.check_tls(_tls.engine_config(tls))
    except ValueError:
        for name in ("CELLO_TLS_CERT_PATH", "CELLO_TLS_KEY_PATH"):
            os.environ.pop(name, None)


def _print(error: BaseException) -> None:
    import traceback

    if isinstance(error, Stop):
        _log.notice(f"cello: {error}")
    else:
        traceback.print_exception(error)
