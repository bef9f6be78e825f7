"""Where credentials come from: what the schemes find, refuse and say of themselves."""

import base64
from typing import Annotated, Any

import pytest
from api_client import asking
from cello import App, Depends, HTTPError, Request
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
    OAuth2PasswordRequestFormStrict,
    Security,
    SecurityScopes,
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


def shop() -> App:
    app = App()
    oauth2 = OAuth2PasswordBearer("token", scopes={"items": "Read items."})

    @app.post("/token")
    def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, Any]:
        if form.password != "secret":
            raise HTTPError(400, "Incorrect username or password.")
        return {"access_token": form.username, "scopes": form.scopes, "id": form.client_id}

    @app.post("/strict")
    def strict(form: Annotated[OAuth2PasswordRequestFormStrict, Depends()]) -> str | None:
        return form.grant_type

    def user(scopes: SecurityScopes, bearer: Annotated[str, Depends(oauth2)]) -> list[Any]:
        return [bearer, scopes.scopes]

    @app.get("/me")
    def me(who: Annotated[list[Any], Security(user, scopes=["items"])]) -> list[Any]:
        return who

    @app.get("/basic")
    def with_basic(who: Annotated[HTTPBasicCredentials, Depends(HTTPBasic(realm="x"))]) -> str:
        return who.username

    @app.get("/maybe", dependencies=[Depends(APIKeyQuery(name="k", auto_error=False))])
    async def maybe(
        key: Annotated[str | None, Depends(APIKeyHeader(name="X-Key", auto_error=False))],
    ) -> dict[str, str | None]:
        return {"key": key}

    app.get("/all", dependencies=[Depends(HTTPBearer())])(lambda: "in")
    return app


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_a_token_and_what_it_opens() -> None:
    with asking(shop()) as client:
        form = b"username=me&password=secret&scope=a+b&grant_type=password"
        token = client.ask("/token", "POST", form, FORM).data
        assert token == {"access_token": "me", "scopes": ["a", "b"], "id": None}
        wrong = client.ask("/token", "POST", b"username=me&password=x", FORM)
        assert wrong.status == 400 and wrong.data["detail"].startswith("Incorrect")
        missing = client.ask("/token", "POST", b"username=me&grant_type=other", FORM).data["detail"]
        assert {error["loc"][-1] for error in missing} == {"grant_type", "password"}
        assert client.get("/me", Authorization="Bearer me").data == ["me", ["items"]]
        refused = client.get("/me")
        assert refused.status == 401 and refused.headers["WWW-Authenticate"] == "Bearer"
        assert refused.data["detail"] == "Not authenticated."
        assert client.get("/all").status == 401
        assert client.get("/all", Authorization="Bearer x").text == "in"


def test_the_strict_form_wants_its_grant_type() -> None:
    with asking(shop()) as client:
        form = b"username=me&password=secret"
        refused = client.ask("/strict", "POST", form, FORM)
        assert refused.status == 422 and refused.data["detail"][0]["loc"][-1] == "grant_type"
        form += b"&grant_type=password"
        assert client.ask("/strict", "POST", form, FORM).text == "password"


def test_basic_and_keys() -> None:
    with asking(shop()) as client:
        assert client.get("/basic", Authorization=basic("me:x")).text == "me"
        refused = client.get("/basic")
        assert refused.headers["WWW-Authenticate"] == 'Basic realm="x", charset="UTF-8"'
        assert client.get("/maybe").data == {"key": None}
        assert client.get("/maybe", X_Key="k").data == {"key": "k"}


@pytest.mark.parametrize("text", ["me", "m\0e:x", "me:x\r\nERROR forged", "me\x7f:x", "\n:"])
def test_basic_is_refused(text: str) -> None:
    with asking(shop()) as client:
        assert client.get("/basic", Authorization=basic(text)).status == 401


def test_schemes_are_documented() -> None:
    app = shop()
    app.enable_openapi()
    with asking(app) as client:
        document = client.get("/openapi.json").data
    schemes = document["components"]["securitySchemes"]
    assert schemes.keys() >= {"OAuth2PasswordBearer", "HTTPBasic", "APIKeyHeader", "HTTPBearer"}
    assert schemes["HTTPBasic"] == {"type": "http", "scheme": "basic"}
    assert document["paths"]["/me"]["get"]["security"] == [{"OAuth2PasswordBearer": ["items"]}]
