"""Folders of files that the engine serves by itself."""

from __future__ import annotations

import os
from typing import Any

from cello import _cello
from cello._base import Base
from cello._routes import caller, check_prefix, method_bits

_ETAG, _LAST_MODIFIED, _PRECOMPRESSED, _FOLLOW, _LISTING = 1, 2, 4, 8, 16


class StaticFilesConfig:
    """A folder of files under a prefix, served without entering Python.

    root: the folder; it is looked up by its path for each file, so that it may be replaced. prefix:
    where its files are, "/" for the whole path. index_file: what answers for a folder; None:
    nothing. fallback: a file, below root, that answers for pages that are not found (for a browser
    that navigates, not for what a page loads), as applications with routes in the browser need it.
    enable_etag, enable_last_modified: send what conditional requests compare. cache_control: this
    field with every file. directory_listing: a page of links for folders without an index.
    precompressed: send file.zst, file.br or file.gz for file where a client takes it and it is not
    older. follow_symlinks: symbolic links that stay below root.

    Names that begin with a dot are never served, but for .well-known. ValueError: root is no
    folder, a name that leads out of it, a prefix or cache_control that cannot be.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        prefix: str = "/static",
        index_file: str | None = "index.html",
        fallback: str | None = None,
        enable_etag: bool = True,
        enable_last_modified: bool = True,
        cache_control: str | None = None,
        directory_listing: bool = False,
        precompressed: bool = True,
        follow_symlinks: bool = False,
    ) -> None:
        self.root = os.path.abspath(os.fspath(root))
        self.prefix = prefix
        self.index_file = index_file
        self.fallback = fallback
        self.enable_etag = enable_etag
        self.enable_last_modified = enable_last_modified
        self.cache_control = cache_control
        self.directory_listing = directory_listing
        self.precompressed = precompressed
        self.follow_symlinks = follow_symlinks
        if not os.path.isdir(self.root):
            raise ValueError(f"root is not a folder: {self.root}")
        self._path()
        self._handler()

    def _path(self) -> str:
        """The prefix as the beginning of a path."""
        prefix = check_prefix("" if self.prefix == "/" else self.prefix)
        if "{" in prefix:
            raise ValueError(f"the prefix of files has no parameters: {prefix!r}")
        return prefix

    def _handler(self) -> Any:
        flags = {
            _ETAG: self.enable_etag,
            _LAST_MODIFIED: self.enable_last_modified,
            _PRECOMPRESSED: self.precompressed,
            _FOLLOW: self.follow_symlinks,
            _LISTING: self.directory_listing,
        }
        return _cello.static_files(
            self.root,
            self.index_file,
            self.fallback,
            self.cache_control,
            sum(flag for flag, is_set in flags.items() if is_set),
        )

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"


class Files(Base):
    """Routes to folders of files; a base of App."""

    def _init_files(self) -> None:
        self._static: list[tuple[StaticFilesConfig, str]] = []  # and where it was declared

    def enable_static_files(self, config: StaticFilesConfig) -> None:
        """Serve a folder of files; may be called for several. ValueError: the prefix is taken.
        RuntimeError: the application was started."""
        if not isinstance(config, StaticFilesConfig):
            raise TypeError(f"enable_static_files takes a StaticFilesConfig, not {config!r}")
        self._check_open("files")
        prefix, where = config._path(), caller(1)
        self._add_files(f"{prefix}/{{path:path}}", where, config)
        if prefix:
            self._add_files(prefix, where, config)
            self._add_files(f"{prefix}/", where, config)
        self._static.append((config, where))

    def _add_files(self, path: str, where: str, config: StaticFilesConfig) -> None:
        self._add_native(method_bits(("GET", "HEAD")), path, where, config._handler())

    def _add_home(self) -> None:
        """ "/" of files that have the whole path, unless a route of the program has it."""
        for config, where in self._static:
            if not config._path():
                try:
                    self._add_files("/", where, config)
                except ValueError:
                    continue
