"""From `app:app`, as it is written on the command line, to the application."""

from __future__ import annotations

import importlib
import os
import sys
from types import FunctionType, ModuleType, TracebackType
from typing import Any, NamedTuple

from cello import _server
from cello._app import App


class Stop(Exception):
    """Ends the command with one line on standard error. status: of the process, 1, or 2 for what
    was typed wrong."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class UserError(Exception):
    """The program itself raised `error`, whose traceback begins in the program."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error

    def lines(self) -> str:
        """The traceback as Python prints it."""
        import traceback

        return "".join(traceback.format_exception(self.error))


class Target(NamedTuple):
    """A module below a folder, and the name of an application in it."""

    folder: str
    module: str
    attribute: str
    factory: bool = False

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}"


def parse(text: str, *, factory: bool = False) -> Target:
    """`module:attribute`, `module`, `path/to/file.py:attribute` or `path/to/file.py`.

    Stop: it is none of these, or there is no such file.
    """
    module, colon, attribute = text.rpartition(":")
    if not colon:
        module, attribute = text, "app"
    if not module or not all(part.isidentifier() for part in attribute.split(".")):
        raise Stop(f"{text!r} is not MODULE:ATTRIBUTE, such as app:app", 2)
    if module.endswith(".py") or "/" in module:
        return _of_file(module, attribute, factory)
    if not all(part.isidentifier() for part in module.split(".")):
        raise Stop(f"{module!r} is not the name of a module; write package.module:app", 2)
    return Target(os.getcwd(), module, attribute, factory)


def _of_file(path: str, attribute: str, factory: bool) -> Target:
    if os.path.isdir(path):
        path = os.path.join(path, "__init__.py")
    if not os.path.isfile(path):
        raise Stop(f"there is no file {path!r}")
    path = os.path.realpath(path)
    folder, name = os.path.split(path.removesuffix(".py"))
    names = [name]
    if name == "__init__":
        folder, names[0] = os.path.split(folder)
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        names.insert(0, name)
    return Target(folder, ".".join(names), attribute, factory)


def load(target: Target) -> App:
    """Import the module and take the application from it. What the program's own `app.run()` asks
    for while it is imported is left undone: the command decides how to serve.

    Stop: module or attribute are not there, or it is no application. UserError: the program
    raised something.
    """
    if target.folder not in sys.path[:1]:
        sys.path.insert(0, target.folder)
    _server.loading = True
    try:
        found = _attribute(_module(target), target)
        return _application(found, target)
    finally:
        _server.loading = False


def _module(target: Target) -> ModuleType:
    try:
        return importlib.import_module(target.module)
    except ModuleNotFoundError as error:
        # The module asked for, or a package on the way to it; else the program's own import failed.
        if error.name and f"{target.module}.".startswith(f"{error.name}."):
            raise Stop(f"there is no module {error.name!r} in {target.folder}") from None
        raise UserError(trimmed(error)) from None
    except Exception as error:
        raise UserError(trimmed(error)) from None


def _attribute(module: ModuleType, target: Target) -> Any:
    found: Any = module
    for name in target.attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise Stop(f"module {target.module!r} has no {name!r}{_others(module, name)}") from None
    return found


def _others(module: ModuleType, name: str) -> str:
    """What was probably meant: applications first, else names that are alike."""
    import difflib

    apps = [key for key, value in vars(module).items() if isinstance(value, App)]
    names = [key for key in vars(module) if not key.startswith("_")]
    meant = [f"{module.__name__}:{m}" for m in apps or difflib.get_close_matches(name, names)]
    return f"; did you mean {' or '.join(meant)}?" if meant else ""


def _application(found: Any, target: Target) -> App:
    if target.factory:
        if not callable(found):
            raise Stop(f"{target} is not a function but {_kind(found)}")
        try:
            found = found()
        except Exception as error:
            raise UserError(trimmed(error)) from None
    if isinstance(found, App):
        return found
    is_function = isinstance(found, FunctionType)
    hint = "; add --factory if it makes one" if is_function and not target.factory else ""
    call = "()" if target.factory else ""
    raise Stop(f"{target}{call} is not a cello.App but {_kind(found)}{hint}")


def _kind(value: object) -> str:
    kind = type(value)
    if value is None or isinstance(value, FunctionType):
        return "None" if value is None else "a function"
    where = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"of type {where}{kind.__qualname__}"


_OURS = os.path.dirname(os.path.realpath(__file__)) + os.sep  # the package


def _is_ours(traceback: TracebackType) -> bool:
    name = traceback.tb_frame.f_code.co_filename
    return name.startswith((_OURS, "<frozen ")) or name in (importlib.__file__,)


def trimmed(error: BaseException) -> BaseException:
    """The exception, its traceback beginning and ending in the program's own code."""
    traceback = error.__traceback__
    while traceback and _is_ours(traceback):
        traceback = traceback.tb_next
    error.__traceback__ = traceback
    last = None
    while traceback:
        if not _is_ours(traceback):
            last = traceback
        traceback = traceback.tb_next
    if last:
        last.tb_next = None
    return error
