"""Where clients put their credentials: dependencies that find them and describe themselves.

oauth2 = OAuth2PasswordBearer("token")

@app.get("/me")
def me(token: Annotated[str, Depends(oauth2)]): ...

Each gives what the client sent and checks nothing else. Without it: 401 with WWW-Authenticate, or
None if auto_error is False. `model()` is the scheme's entry in an OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, TypeVar

from cello._cello import Request
from cello._errors import HTTPError
from cello._params import Form, Security, SecurityScopes

__all__ = [
    "APIKeyCookie",
    "APIKeyHeader",
    "APIKeyQuery",
    "HTTPAuthorizationCredentials",
    "HTTPBasic",
    "HTTPBasicCredentials",
    "HTTPBearer",
    "OAuth2PasswordBearer",
    "OAuth2PasswordRequestForm",
    "OAuth2PasswordRequestFormStrict",
    "Security",
    "SecurityScopes",
]


T = TypeVar("T")


class _Scheme:
    """What all have. scheme_name: in the OpenAPI document, by default the class's."""

    def __init__(
        self, scheme_name: str | None, description: str | None, auto_error: bool, challenge: str
    ) -> None:
        self.scheme_name = scheme_name or type(self).__name__
        self.description = description
        self.auto_error = auto_error
        self._challenge = challenge

    def _model(self, **entries: Any) -> dict[str, Any]:
        if self.description:
            entries["description"] = self.description
        return {name: value for name, value in entries.items() if value is not None}

    def _found(self, value: T | None, wrong: str = "Not authenticated.") -> T | None:
        """The value. HTTPError 401: there is none."""
        if value is None and self.auto_error:
            raise HTTPError(401, wrong, headers={"WWW-Authenticate": self._challenge})
        return value

    def __repr__(self) -> str:
        return f"{type(self).__name__}(scheme_name={self.scheme_name!r})"


def _authorization(request: Request, scheme: str) -> str | None:
    """The credentials of a scheme (RFC 9110, 11.4)."""
    given, _, credentials = request.headers.get("authorization", "").partition(" ")
    return credentials.strip() or None if given.lower() == scheme else None


class HTTPAuthorizationCredentials(NamedTuple):
    """What a client sent as `Authorization: scheme credentials`."""

    scheme: str
    credentials: str


class HTTPBasicCredentials(NamedTuple):
    """What a client sent as `Authorization: Basic`."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"HTTPBasicCredentials(username={self.username!r})"


def _decoded(encoded: str) -> HTTPBasicCredentials | None:
    """None: malformed. Control characters, which could forge lines of a log, are (RFC 7617, 2)."""
    from binascii import a2b_base64

    try:
        text = a2b_base64(encoded.encode("ascii"), strict_mode=True).decode()
    except ValueError:  # neither base64 nor UTF-8
        return None
    if any(c < " " or c == "\x7f" for c in text):
        return None
    username, colon, password = text.partition(":")
    return HTTPBasicCredentials(username, password) if colon else None


class HTTPBearer(_Scheme):
    """`Authorization: Bearer TOKEN` (RFC 6750). bearerFormat: of the token, for the document."""

    def __init__(
        self,
        *,
        bearerFormat: str | None = None,  # OpenAPI's and FastAPI's name
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        super().__init__(scheme_name, description, auto_error, "Bearer")
        self._format = bearerFormat

    def __call__(self, request: Request) -> HTTPAuthorizationCredentials | None:
        token = _authorization(request, "bearer")
        return self._found(HTTPAuthorizationCredentials("Bearer", token) if token else None)

    def model(self) -> dict[str, Any]:
        return self._model(type="http", scheme="bearer", bearerFormat=self._format)


class HTTPBasic(_Scheme):
    """`Authorization: Basic` (RFC 7617), in UTF-8. realm: what the browser's dialogue says."""

    def __init__(
        self,
        *,
        realm: str | None = None,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        if realm is not None and any(c in '"\\' or not " " <= c <= "~" for c in realm):
            raise ValueError(f"realm is printable ASCII without '\"' and '\\': {realm!r}")
        named = f'Basic realm="{realm}", charset="UTF-8"'
        super().__init__(scheme_name, description, auto_error, named if realm else "Basic")

    def __call__(self, request: Request) -> HTTPBasicCredentials | None:
        encoded = _authorization(request, "basic")
        if encoded is None:
            return self._found(None)
        return self._found(_decoded(encoded), "Malformed credentials.")

    def model(self) -> dict[str, Any]:
        return self._model(type="http", scheme="basic")


class OAuth2PasswordBearer(_Scheme):
    """The token that a client got from `tokenUrl` by name and password (RFC 6749, 4.3), sent as
    `Authorization: Bearer TOKEN`. scopes: name and description of each, for the document."""

    def __init__(
        self,
        tokenUrl: str,  # OpenAPI's and FastAPI's name
        scheme_name: str | None = None,
        scopes: Mapping[str, str] | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        super().__init__(scheme_name, description, auto_error, "Bearer")
        self._flow = {"tokenUrl": tokenUrl, "scopes": dict(scopes or {})}

    def __call__(self, request: Request) -> str | None:
        return self._found(_authorization(request, "bearer"))

    def model(self) -> dict[str, Any]:
        return self._model(type="oauth2", flows={"password": self._flow})


class OAuth2PasswordRequestForm:
    """The form that OAuth2 has a client send for a token (RFC 6749, 4.3.2), by
    `Annotated[OAuth2PasswordRequestForm, Depends()]`. scopes: the words of its `scope`."""

    def __init__(
        self,
        *,
        grant_type: Annotated[str | None, Form(pattern="^password$")] = None,
        username: Annotated[str, Form()],
        password: Annotated[str, Form()],
        scope: Annotated[str, Form()] = "",
        client_id: Annotated[str | None, Form()] = None,
        client_secret: Annotated[str | None, Form()] = None,
    ) -> None:
        self.grant_type = grant_type
        self.username = username
        self.password = password
        self.scopes = scope.split()
        self.client_id = client_id
        self.client_secret = client_secret

    def __repr__(self) -> str:
        return f"{type(self).__name__}(username={self.username!r})"


class OAuth2PasswordRequestFormStrict(OAuth2PasswordRequestForm):
    """The same, where the client must say `grant_type=password`, as the RFC demands."""

    def __init__(
        self,
        *,
        grant_type: Annotated[str, Form(pattern="^password$")],
        username: Annotated[str, Form()],
        password: Annotated[str, Form()],
        scope: Annotated[str, Form()] = "",
        client_id: Annotated[str | None, Form()] = None,
        client_secret: Annotated[str | None, Form()] = None,
    ) -> None:
        super().__init__(
            grant_type=grant_type,
            username=username,
            password=password,
            scope=scope,
            client_id=client_id,
            client_secret=client_secret,
        )


class _APIKey(_Scheme):
    _place: str

    def __init__(
        self,
        *,
        name: str,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        super().__init__(scheme_name, description, auto_error, "APIKey")
        self.name = name

    def model(self) -> dict[str, Any]:
        return self._model(type="apiKey", **{"in": self._place}, name=self.name)


class APIKeyHeader(_APIKey):
    """A key in a header of this name."""

    _place = "header"

    def __call__(self, request: Request) -> str | None:
        return self._found(request.headers.get(self.name) or None)


class APIKeyQuery(_APIKey):
    """A key in the query, under this name. It ends up in logs and histories: prefer a header."""

    _place = "query"

    def __call__(self, request: Request) -> str | None:
        return self._found(request.query.get(self.name) or None)


class APIKeyCookie(_APIKey):
    """A key in a cookie of this name."""

    _place = "cookie"

    def __call__(self, request: Request) -> str | None:
        return self._found(request.cookies.get(self.name) or None)
