"""What users write: mypy --strict has nothing to say."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, assert_type

import cello
import httpx
from cello import (
    APIRouter,
    App,
    Authenticated,
    Blueprint,
    Body,
    Cookie,
    Depends,
    Form,
    Header,
    HeaderVersioning,
    HTTPError,
    LimitsConfig,
    MultiMap,
    Path,
    PermissionGuard,
    ProblemDetails,
    Query,
    Request,
    RequestIdConfig,
    RequestValidationError,
    Response,
    RoleGuard,
    Security,
    SecurityHeadersConfig,
    SecurityScopes,
    Server,
    TimeoutConfig,
    status,
)
from cello.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from cello.security import (
    APIKeyHeader,
    HTTPBasic,
    HTTPBasicCredentials,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
)
from cello.testing import AsyncTestClient, TestClient

app = App("shop", "1.0", use=[RequestIdConfig()], trailing_slash="redirect")
app.set_limits(LimitsConfig(max_uri=100))
app.set_timeouts(TimeoutConfig(idle=0.5))
app.use(SecurityHeadersConfig(csp=None))
app.state.database = object()


app.add_guard(Authenticated() & RoleGuard("admin") | (lambda req: req.is_secure()))
assert_type(app.url_for("user", id=5), str)
app.enable_openapi("shop", redoc_url=None, servers=["/shop"], tags=["a", {"name": "b"}])
assert_type(app.openapi("v1"), dict[str, Any])
api = App(versioning=HeaderVersioning("X-V", default="v1"), guards=[~PermissionGuard("read")])
api.include_router(Blueprint("/x", tags=["x"], versions=["v1"]), prefix="/y", deprecated=True)


@app.authenticate
def who(request: Request) -> str | None:
    return request.get_header("x-user")


@api.authenticate(challenge="Bearer")
async def who_later(request: Request) -> str | None:
    return who(request)


@app.get("/files/{id}", name="file", guards=[Authenticated(), lambda req: True], versions=["v1"])
def file(id: str, key: Annotated[str | None, Depends(APIKeyHeader(name="X"))]) -> JSONResponse:
    return JSONResponse({"id": id, "key": key}, status_code=status.HTTP_200_OK)


@app.get("/users/{id:int}", status=200, use=[SecurityHeadersConfig()])
def user(req: Request) -> dict[str, Any]:
    assert_type(req.params["id"], str)
    assert_type(req.query.get("q"), str | None)
    assert_type(req.query.get("q", 1), str | int)
    assert_type(req.query.get_all("q"), list[str])
    assert_type(req.get_query_int("n"), int | None)
    assert_type(req.get_query_int("n", 0), int)
    assert_type(req.get_query_bool("b", False), bool)
    assert_type(req.headers, MultiMap)
    assert_type(req.body(), bytes)
    assert_type(req.text(), str)
    assert_type(req.remote_addr, str | None)
    credentials = req.peer_credentials
    assert_type(credentials.uid if credentials else None, int | None)
    if not req.params:
        raise HTTPError(404, "none", headers={"a": "b"}, extra=[1])
    return dict(req.query)


assert_type(user(Request("GET", "/")), dict[str, Any])


@app.route("/later", methods=["GET", "POST"], max_body=10)
async def later() -> tuple[str, int]:
    return "x", 201


waits: Callable[[], Awaitable[tuple[str, int]]] = later

blueprint = Blueprint("/b", use=[RequestIdConfig("X-Id")])


@blueprint.post("/")
def created(req: Request) -> Response:
    response = Response.json(req.json(), status=201, headers={"a": "b"})
    response.set_cookie("a", "b", max_age=1, samesite="strict")
    return response


app.register_blueprint(blueprint, prefix="/api")
app.add_route("/lambda", lambda req: None, ["GET"], status_code=202)
app.static_response("/static", b"x", headers={"a": "b"})


class Money:
    cents = 1


@app.json_encoder(Money)
def money(value: Money) -> str:
    return str(value.cents)


def serve() -> None:
    with app.start("127.0.0.1", port=0, backend="epoll") as server:
        assert_type(server, Server)
        assert_type(server.addresses, list[tuple[str, int]])
        assert_type(server.url, str)
        assert_type(server.stats(), dict[str, int])
        assert_type(server.wait(1.0), bool)
    app.run(port=8000, env="production", argv=False)


async def serve_here() -> None:
    await app.serve("127.0.0.1", 0)


class Pager:
    def __init__(self, skip: int = 0, limit: Annotated[int, Query(le=100)] = 10) -> None:
        self.skip, self.limit = skip, limit


def session() -> Iterator[list[int]]:
    yield [1]


async def session_later(scopes: SecurityScopes) -> AsyncIterator[str]:
    assert_type(scopes.scopes, list[str])
    yield scopes.scope_str


@app.post("/typed/{id}", dependencies=[Depends(session)], response_model=Money, body=Money)
def annotated(
    id: Annotated[int, Path(gt=0, title="the id")],
    pager: Annotated[Pager, Depends()],
    db: Annotated[list[int], Depends(session)],
    named: Annotated[str, Depends("name")],
    agent: Annotated[str, Header(alias="User-Agent", convert_underscores=False)],
    q: Annotated[str | None, Query(max_length=50, pattern="^a")] = None,
) -> int:
    return id + pager.skip + len(db)


@app.post("/defaults")
async def defaults(
    q: str = Query(..., min_length=1),
    tags: list[str] = Query([]),
    token: str | None = Cookie(None),
    field: int = Form(1, ge=1),
    body: Money = Body(embed=True),
    user: str = Security(session_later, scopes=["read"]),
) -> str:
    return q


direct: int = annotated(1, Pager(), [1], "n", "a")
assert_type(annotated(1, Pager(), [1], "n", "a"), int)
later_too: Callable[..., Awaitable[str]] = defaults
app.register_singleton("name", 5)
app.dependency_overrides[session] = lambda: [2]
app.dependency_overrides = {}


# ---- hooks, lifespan, exception handlers ----


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[dict[str, object]]:
    yield {"pool": [1]}


@app.on_startup
def bare() -> int:
    return 1


@app.on_startup(per="worker")
async def called() -> None:
    pass


@app.on_event("shutdown")
def event() -> str:
    return "x"


@app.before_request
def before(req: Request) -> Response | None:
    return None


@app.before_request("/path")
async def before_path() -> None:
    pass


@app.after_request()
def after(req: Request, response: Response) -> Response:
    return response


@app.middleware("http")
async def wrap(req: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    return await call_next(req)


@app.exception_handler(RequestValidationError)
def invalid(req: Request, exc: RequestValidationError) -> ProblemDetails:
    assert_type(exc.status, int)
    return ProblemDetails(422, "invalid", errors=exc.errors(), instance=req.path)


def missing(req: Request, exc: HTTPError) -> str:
    return "missing"


assert_type(bare(), int)
assert_type(event(), str)
assert_type(before(Request("GET", "/")), Response | None)
assert_type(after(Request("GET", "/"), Response()), Response)
assert_type(invalid(Request("GET", "/"), RequestValidationError([])), ProblemDetails)
App(lifespan=lifespan, debug=True, exception_handlers={404: missing, KeyError: missing})


# ---- what programs from other frameworks have ----

router = APIRouter(prefix="/r", tags=["r"], dependencies=[Depends(session)], deprecated=True)
oauth2 = OAuth2PasswordBearer(tokenUrl="token", scopes={"me": "Yourself."})


@router.get(
    "/page",
    response_class=HTMLResponse,
    response_description="A page",
    response_model=Money,
    response_model_exclude={"cents"},
    response_model_exclude_unset=True,
    responses={404: {"description": "none"}, "4XX": Money, 418: "teapot"},
    status_code=status.HTTP_201_CREATED,
)
async def page(
    request: Request,
    token: Annotated[str, Depends(oauth2)],
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    basic: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())],
    response: Response,
) -> str:
    assert_type(request.url.path, str)
    assert_type(request.url.port, int | None)
    assert_type(str(request.url), str)
    if request.client:
        assert_type(request.client.host, str)
        assert_type(request.client.port, int)
    assert_type(form.scopes, list[str])
    assert_type(basic.username, str)
    response.headers["X-A"] = "1"
    response.set_cookie(key="a", value="b", httponly=True)
    response.delete_cookie("a")
    response.status_code = 202
    return token


app.include_router(router, prefix="/more", tags=["more"])
made: list[Response] = [PlainTextResponse("a"), RedirectResponse("/"), HTMLResponse("a", 404)]


@app.get("/nested")
@app.post("/nested")
def decorated_twice(id: int) -> int:
    return id


assert_type(decorated_twice(1), int)


class Handlers:
    def method(self, id: int) -> str:
        return str(id)


bound: Callable[[int], str] = app.get("/bound/{id}")(Handlers().method)


# ---- the document, templates, the test client ----

app.enable_openapi("title", docs_url=None, servers=["/v1", {"url": "/v2"}], tags=["a"])
assert_type(app.openapi(), dict[str, Any])
app.enable_templates("templates")
assert_type(app.render(Request("GET", "/"), "a.html", {"b": 1}), Response)

with TestClient(app, headers={"a": "b"}) as client:
    assert_type(client, TestClient)
    assert_type(client.get("/", params={"a": 1}), httpx.Response)
    assert_type(client.post("/", json={"a": 1}).status_code, int)


async def test_later() -> None:
    async with AsyncTestClient(app) as client:
        assert_type(await client.get("/"), httpx.Response)


version: str = cello.__version__
