"""Cello: a web framework whose engine is C.

from cello import App

app = App()

@app.get("/hello")
def hello(req):
    return {"msg": "hello"}

app.run()
"""

from cello._app import App
from cello._background import BackgroundTasks
from cello._blueprint import APIRouter, Blueprint, Router
from cello._cello import VERSION as __version__
from cello._cello import (
    FormData,
    JSONDecodeError,
    MultiMap,
    Request,
    Response,
    SseEvent,
    SseStream,
    Store,
    UploadedFile,
)
from cello._config import (
    ClusterConfig,
    Http2Config,
    LimitsConfig,
    RequestIdConfig,
    SecurityHeadersConfig,
    StoreConfig,
    ThreadPoolConfig,
    TimeoutConfig,
)
from cello._errors import (
    ClientDisconnected,
    HTTPError,
    HTTPException,
    ProblemDetails,
    RequestValidationError,
)
from cello._files import StaticFilesConfig
from cello._guards import And, Authenticated, Guard, Not, Or, PermissionGuard, RoleGuard
from cello._health import HealthCheckConfig
from cello._params import (
    Body,
    Cookie,
    Depends,
    File,
    Form,
    Header,
    Path,
    Query,
    Security,
    SecurityScopes,
)
from cello._server import Server
from cello._store import Subscription
from cello._tls import TlsConfig
from cello._versioning import HeaderVersioning, MediaTypeVersioning, PathVersioning

UploadFile = UploadedFile  # its name in FastAPI

__all__ = [
    "APIRouter",
    "And",
    "App",
    "Authenticated",
    "BackgroundTasks",
    "Blueprint",
    "Body",
    "ClientDisconnected",
    "ClusterConfig",
    "Cookie",
    "Depends",
    "File",
    "Form",
    "FormData",
    "Guard",
    "HTTPError",
    "HTTPException",
    "Header",
    "HeaderVersioning",
    "HealthCheckConfig",
    "Http2Config",
    "JSONDecodeError",
    "LimitsConfig",
    "MediaTypeVersioning",
    "MultiMap",
    "Not",
    "Or",
    "Path",
    "PathVersioning",
    "PermissionGuard",
    "ProblemDetails",
    "Query",
    "Request",
    "RequestIdConfig",
    "RequestValidationError",
    "Response",
    "RoleGuard",
    "Router",
    "Security",
    "SecurityHeadersConfig",
    "SecurityScopes",
    "Server",
    "SseEvent",
    "SseStream",
    "StaticFilesConfig",
    "Store",
    "StoreConfig",
    "Subscription",
    "ThreadPoolConfig",
    "TimeoutConfig",
    "TlsConfig",
    "UploadFile",
    "UploadedFile",
    "__version__",
]
