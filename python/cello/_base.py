"""What the bases of App know of each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cello import _cello

if TYPE_CHECKING:
    from cello._config import LimitsConfig, StoreConfig, ThreadPoolConfig, TimeoutConfig
    from cello._files import StaticFilesConfig
    from cello._params import DependsMarker
    from cello._routes import Route
    from cello._signature import Endpoint
    from cello._versioning import Versioning


class Base(ABC, _cello.App):
    """The root of App's bases. What one of them sets and another one reads is declared here, by who
    sets it; what is not here is of one base alone.

    The thread that declares an application writes; once it was started, threads of servers read.
    """

    # App
    title: str
    version: str
    root_path: str  # "", or a prefix that begins with "/"
    _debug: bool | None  # what App(debug=...) says
    _dependencies: tuple[DependsMarker, ...]  # of every route
    _guards: list[Callable[..., Any]]  # of every route
    _limits: LimitsConfig | None
    _timeouts: TimeoutConfig | None
    _threadpool: ThreadPoolConfig | None
    _log_format: str
    _log_file: str | None  # an absolute path; None: standard output
    _log_sample: float  # share of the requests, 0 to 1
    _encoders: dict[type, Callable[[Any], Any]]
    # Shared
    _own_cluster: _cello.Cluster | None = None
    _store_config: StoreConfig | None = None
    _own_shared: tuple[_cello.Store, _cello.Topics] | None = None
    # Files
    _static: list[tuple[StaticFilesConfig, str]]
    # Routing
    _versioning: Versioning | None
    # Hooks
    _exception_handlers: dict[type[BaseException], Callable[..., Any]]
    _status_handlers: dict[int, Callable[..., Any]]
    # Planned
    _endpoints: list[Endpoint]  # in the order of registration
    _frozen: bool = False  # plans are made: nothing that is part of one can be declared any more
    # Serving
    _debug_pages: bool = False  # of the server that was started last

    @abstractmethod
    def _register(self, route: Route, markers: tuple[DependsMarker, ...]) -> None:
        """Add a route that depends on these, and not on what the application declares for all."""

    @property
    @abstractmethod
    def _cluster(self) -> _cello.Cluster:
        """This process as one of those that serve the application."""

    @property
    @abstractmethod
    def _topics(self) -> _cello.Topics:
        """Messages to all workers."""

    @abstractmethod
    def _encode(self, value: object) -> Any:
        """What json_encoder() says a value becomes, or NotImplemented."""

    @abstractmethod
    def _freeze(self) -> None:
        """Make all plans; later calls do nothing. ValueError, TypeError: what does not fit."""

    def _check_open(self, what: str) -> None:
        """RuntimeError: `what` is declared too late."""
        if self._frozen:
            raise RuntimeError(f"{what} cannot be declared once the application was started")
