"""The command line: `cello` and `python -m cello`.

Commands live in modules of their own, imported when one is asked for.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cello import _cello, _log
from cello._load import Stop, Target, UserError, load, parse
from cello._log import LEVELS
from cello._settings import BACKENDS, ENVIRONMENTS, SettingError, Settings

APP_HELP = "MODULE:ATTRIBUTE (attribute `app` when it is left out), or path/to/file.py[:ATTRIBUTE]"
# Options of `run` and `dev` that app.run() reads, as it reads them from a program's command line.
PASSED_ON = (
    *("host", "port", "uds", "uds_mode", "fd", "proxy_protocol", "tls_cert", "tls_key", "http2"),
    *("env", "log_level", "backend", "workers", "user", "group"),
)
EXAMPLES = """\
examples:
  cello new shop                a project to start from
  cello dev app:app             serve it, and again whenever a file is saved
  cello run app:app --port 80 --host 0.0.0.0 --env production
  cello routes app:app          what it answers
  cello stacks 4242             what process 4242 is doing
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the status for the process: 0, 1 for a failure, 2 for a wrong command line."""
    options = _parser().parse_args(argv)
    try:
        status: int = options.command(options)
        return status
    except Stop as stop:
        print(f"cello: {stop}", file=sys.stderr)
        return stop.status
    except UserError as error:
        print(error.lines(), end="", file=sys.stderr)
        return 1
    except BrokenPipeError:  # of a pager that was left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cello",
        description="Serve, inspect and start Cello applications.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="versions, and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = _command(commands, "run", _run, "serve an application")
    _serving(run)
    run.add_argument("--workers", help="processes that serve; auto: one for each usable CPU")
    run.add_argument("--user", help="take this user's rights once the sockets are open")
    run.add_argument("--group", help="the same for the group")
    run.add_argument("--debug", action="store_true", help="error pages also in production")
    dev = _command(commands, "dev", _dev, "serve, and restart when a file is saved")
    _serving(dev)
    dev.set_defaults(debug=True)
    dev.add_argument(
        "--tls", action="store_true", help="HTTPS, with a certificate that is made for this machine"
    )
    dev.add_argument(
        "--reload-dir",
        action="append",
        metavar="DIR",
        help="folder to watch, with those below; may be repeated (default: the current one)",
    )
    dev.add_argument(
        "--reload-include",
        action="append",
        metavar="GLOB",
        default=[],
        help="watch these files besides *.py, such as '*.html'; may be repeated",
    )
    routes = _command(commands, "routes", _routes, "what an application answers, and how")
    routes.add_argument("--json", action="store_true", help="for programs")
    check = _command(commands, "check", _check, "all that starting does, without serving")
    check.add_argument("--print", action="store_true", help="every setting, and where it is from")

    new = commands.add_parser("new", help="a small project to start from")
    new.add_argument("name", metavar="NAME", help="of the folder to make")
    new.set_defaults(command=_new)

    stacks = commands.add_parser("stacks", help="what a process is doing, also when it hangs")
    stacks.add_argument("pid", metavar="PID", type=int, help="of a worker, or of a supervisor")
    stacks.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=5.0, help="to wait (default: 5)"
    )
    stacks.set_defaults(command=_stacks)
    return parser


def _command(commands: object, name: str, function: object, text: str) -> argparse.ArgumentParser:
    """A command about an application."""
    parser: argparse.ArgumentParser = commands.add_parser(  # type: ignore[attr-defined]
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    parser.set_defaults(command=function)
    parser.add_argument("app", metavar="APP", help=APP_HELP)
    parser.add_argument("--factory", action="store_true", help="APP is a function that makes it")
    parser.add_argument("--env-file", metavar="FILE", help="variables for the environment")
    if name in ("check", "routes"):
        parser.add_argument("--env", choices=ENVIRONMENTS)
    return parser


def _serving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address or name to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", help="TCP port; 0: any free one (default: 8000)")
    parser.add_argument("--uds", metavar="PATH", help="a unix socket instead")
    parser.add_argument("--uds-mode", metavar="OCTAL", help="its permissions (default: 666)")
    parser.add_argument("--fd", help="an inherited listening socket instead")
    parser.add_argument(
        "--proxy-protocol",
        nargs="?",
        const="on",
        metavar="NETWORKS",
        help="connections begin with what a proxy says of their client; with =10.0.0.0/8,...: "
        "proxies there, else on this machine",
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="HTTPS with this certificate (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="and this key")
    parser.add_argument(
        "--http2",
        choices=("on", "off", "h2c"),
        help="on (default): over TLS; h2c: also without it",
    )
    parser.add_argument(
        "--env",
        choices=ENVIRONMENTS,
        help="development (default): error pages and access log; production: neither",
    )
    parser.add_argument("--no-logs", action="store_true", help="no access log")
    parser.add_argument("--log-level", choices=LEVELS, help="of the server log")
    parser.add_argument("--backend", choices=BACKENDS, help="how to wait (default: auto)")


def serving_argv(options: argparse.Namespace) -> list[str]:
    """The options of `run` and `dev` as app.run() reads them."""
    argv = [f"--{n}" for n in ("debug", "no-logs") if getattr(options, n.replace("-", "_"))]
    for name in PASSED_ON:
        value = getattr(options, name, None)
        if value is not None:
            argv.append(f"--{name.replace('_', '-')}={value}")
    return argv


def _target(options: argparse.Namespace) -> Target:
    target = parse(options.app, factory=options.factory)
    if options.env_file:
        from cello import _cluster, _env_file

        _env_file.use(Path(options.env_file))
        _cluster.from_file = _env_file.used
    return target


def _run(options: argparse.Namespace) -> int:
    target = _target(options)
    argv = serving_argv(options)
    _checked(argv)
    load(target).run(argv=argv)
    return 0


def _checked(argv: list[str]) -> Settings:
    try:
        return Settings(argv=argv)
    except SettingError as error:
        raise Stop(str(error), 2) from None


def _dev(options: argparse.Namespace) -> int:
    from cello import _dev

    target = _target(options)
    argv = serving_argv(options)
    if options.tls:
        _use_local_certificate(options)
    settings = _checked(argv)
    words = ["--factory"] if options.factory else []
    watch = _dev.Watch(
        tuple(Path(d).resolve() for d in options.reload_dir or [".", target.folder]),
        ("*.py", *options.reload_include),
        Path(options.env_file).resolve() if options.env_file else None,
    )
    return _dev.supervise(["load", options.app, *words, *argv], settings, watch)


def _use_local_certificate(options: argparse.Namespace) -> None:
    from cello import _tls

    if options.tls_cert or options.tls_key:
        raise Stop("--tls makes a certificate: leave it out, or --tls-cert and --tls-key", 2)
    try:
        cert, key, is_new = _tls.local_certificate()
    except (OSError, ValueError) as error:
        raise Stop(f"no certificate for development: {error}", 1) from None
    os.environ["CELLO_TLS_CERT_PATH"], os.environ["CELLO_TLS_KEY_PATH"] = cert, key
    what = "a new certificate" if is_new else "the certificate"
    _log.notice(f"cello: HTTPS with {what} in {cert}: trust that file to see no warning")


def _routes(options: argparse.Namespace) -> int:
    from cello._cli.routes import show

    if options.env:
        os.environ["CELLO_ENV"] = options.env
    return show(load(_target(options)), as_json=options.json)


def _check(options: argparse.Namespace) -> int:
    from cello._cli.check import check

    if options.env:
        os.environ["CELLO_ENV"] = options.env
    return check(_target(options), print_all=options.print)


def _new(options: argparse.Namespace) -> int:
    from cello._cli.new import new

    return new(options.name)


def _stacks(options: argparse.Namespace) -> int:
    try:
        _cello.stacks(options.pid, sys.stdout.fileno(), options.timeout)
    except BrokenPipeError:
        raise  # nobody reads on
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise Stop(f"no stacks of process {options.pid}: {why}", 1) from None
    return 0


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        for name, version in versions():
            print(f"{name:<9} {version}")
        parser.exit()


def versions() -> list[tuple[str, str]]:
    """Cello and what it is made of, as far as it is there."""
    import platform

    found = [
        ("cello", _cello.VERSION),
        ("python", f"{platform.python_version()} ({platform.python_implementation()})"),
        *(_pair(library) for library in _cello.LIBRARIES.split(", ")),
        ("linux", platform.release()),
        ("backend", _backend()),
    ]
    for name in ("msgspec", "pydantic", "Jinja2", "watchfiles"):
        version = _installed(name)
        if version:
            found.append((name.lower(), version))
    return found


def _pair(text: str) -> tuple[str, str]:
    name, _, version = text.partition(" ")
    return name, version


def _backend() -> str:
    """What "auto" means here."""
    from cello import App

    app = App()
    server = app._engine(app._settings())
    try:
        return server.backend
    finally:
        server.close()


def _installed(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
