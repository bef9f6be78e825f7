"""Where credentials come from: what the schemes find, refuse and say of themselves."""

import base64
from typing import Any

import pytest
from cello import HTTPError, Request
from cello.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
)


def basic(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return "Basic " + base64.b64encode(raw).decode()


BEARER = HTTPAuthorizationCredentials("Bearer", "abc")

# scheme, headers, query, what is found
FINDS: list[tuple[Any, dict[str, str], str, Any]] = [
    (OAuth2PasswordBearer("token"), {"Authorization": "Bearer abc"}, "", "abc"),
    (OAuth2PasswordBearer("token"), {"Authorization": "bearer  abc "}, "", "abc"),
    (HTTPBearer(), {"authorization": "BEARER abc"}, "", BEARER),
    (HTTPBasic(), {"Authorization": basic("me:pa:ss")}, "", HTTPBasicCredentials("me", "pa:ss")),
    (HTTPBasic(), {"Authorization": basic("é:ü")}, "", HTTPBasicCredentials("é", "ü")),
    (HTTPBasic(), {"Authorization": basic(":")}, "", HTTPBasicCredentials("", "")),
    (APIKeyHeader(name="X-Key"), {"x-key": "k"}, "", "k"),
    (APIKeyQuery(name="key"), {}, "key=a%20b", "a b"),
    (APIKeyCookie(name="key"), {"Cookie": "a=b; key=k"}, "", "k"),
]

# scheme, headers, WWW-Authenticate
REFUSES: list[tuple[type[Any], dict[str, Any], dict[str, str], str]] = [
    (OAuth2PasswordBearer, {"tokenUrl": "t"}, {}, "Bearer"),
    (OAuth2PasswordBearer, {"tokenUrl": "t"}, {"Authorization": "Bearer"}, "Bearer"),
    (OAuth2PasswordBearer, {"tokenUrl": "t"}, {"Authorization": "Bearer "}, "Bearer"),
    (OAuth2PasswordBearer, {"tokenUrl": "t"}, {"Authorization": basic("a:b")}, "Bearer"),
    (HTTPBearer, {}, {"Authorization": "abc"}, "Bearer"),
    (HTTPBasic, {}, {}, "Basic"),
    (HTTPBasic, {"realm": "x y"}, {}, 'Basic realm="x y", charset="UTF-8"'),
    (HTTPBasic, {}, {"Authorization": basic("no colon")}, "Basic"),
    (HTTPBasic, {}, {"Authorization": basic(b"\xff:x")}, "Basic"),
    (HTTPBasic, {}, {"Authorization": "Basic !!!"}, "Basic"),
    (HTTPBasic, {}, {"Authorization": "Basic YTpi YTpi"}, "Basic"),
    (HTTPBasic, {}, {"Authorization": "Basic é"}, "Basic"),
    (APIKeyHeader, {"name": "X-Key"}, {}, "APIKey"),
    (APIKeyHeader, {"name": "X-Key"}, {"X-Key": ""}, "APIKey"),
    (APIKeyQuery, {"name": "key"}, {}, "APIKey"),
    (APIKeyCookie, {"name": "key"}, {"Cookie": "other=1"}, "APIKey"),
]


@pytest.mark.parametrize(("scheme", "headers", "query", "found"), FINDS, ids=range(len(FINDS)))
def test_what_is_found(scheme: Any, headers: dict[str, str], query: str, found: Any) -> None:
    assert scheme(Request("GET", "/", headers=headers, query=query)) == found


@pytest.mark.parametrize(("kind", "options", "headers", "challenge"), REFUSES)
def test_what_is_refused(
    kind: type[Any], options: dict[str, Any], headers: dict[str, str], challenge: str
) -> None:
    request = Request("GET", "/", headers=headers)
    with pytest.raises(HTTPError) as caught:
        kind(**options)(request)
    assert caught.value.status == 401
    assert caught.value.headers == {"WWW-Authenticate": challenge}
    assert kind(**options, auto_error=False)(request) is None


# scheme, its name, its model
MODELS: list[tuple[Any, str, dict[str, Any]]] = [
    (
        OAuth2PasswordBearer("token", scopes={"me": "Read me."}, description="d"),
        "OAuth2PasswordBearer",
        {
            "type": "oauth2",
            "flows": {"password": {"tokenUrl": "token", "scopes": {"me": "Read me."}}},
            "description": "d",
        },
    ),
    (HTTPBearer(), "HTTPBearer", {"type": "http", "scheme": "bearer"}),
    (
        HTTPBearer(bearerFormat="JWT", scheme_name="jwt"),
        "jwt",
        {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    ),
    (HTTPBasic(realm="x"), "HTTPBasic", {"type": "http", "scheme": "basic"}),
    (APIKeyHeader(name="K"), "APIKeyHeader", {"type": "apiKey", "in": "header", "name": "K"}),
    (APIKeyQuery(name="k"), "APIKeyQuery", {"type": "apiKey", "in": "query", "name": "k"}),
    (APIKeyCookie(name="k"), "APIKeyCookie", {"type": "apiKey", "in": "cookie", "name": "k"}),
]


@pytest.mark.parametrize(("scheme", "name", "model"), MODELS, ids=range(len(MODELS)))
def test_what_they_say_of_themselves(scheme: Any, name: str, model: dict[str, Any]) -> None:
    assert scheme.scheme_name == name and scheme.model() == model
    assert repr(scheme) == f"{type(scheme).__name__}(scheme_name={name!r})"


@pytest.mark.parametrize("realm", ['a"b', "a\\b", "a\nb", "é"])
def test_realms_that_cannot_be_sent(realm: str) -> None:
    with pytest.raises(ValueError, match="realm"):
        HTTPBasic(realm=realm)


def test_passwords_are_not_shown() -> None:
    credentials = HTTPBasicCredentials("me", "secret")
    form = OAuth2PasswordRequestForm(username="me", password="secret", scope="a b")
    assert "secret" not in repr(credentials) and "secret" not in repr(form)
    assert form.scopes == ["a", "b"] and form.password == "secret"
