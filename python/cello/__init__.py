"""Cello: a web framework whose engine is C.

from cello import App

app = App()

@app.get("/hello")
def hello(req):
    return {"msg": "hello"}

app.run()
"""

from cello._app import App
from cello._blueprint import APIRouter, Blueprint, Router
from cello._cello import VERSION as __version__
from cello._cello import JSONDecodeError, MultiMap, Request, Response
from cello._config import LimitsConfig, RequestIdConfig, SecurityHeadersConfig, TimeoutConfig
from cello._errors import HTTPError, HTTPException, ProblemDetails, RequestValidationError
from cello._server import Server

__all__ = [
    "APIRouter",
    "App",
    "Blueprint",
    "HTTPError",
    "HTTPException",
    "JSONDecodeError",
    "LimitsConfig",
    "MultiMap",
    "ProblemDetails",
    "Request",
    "RequestIdConfig",
    "RequestValidationError",
    "Response",
    "Router",
    "SecurityHeadersConfig",
    "Server",
    "TimeoutConfig",
    "__version__",
]
