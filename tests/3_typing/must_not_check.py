"""Mistakes that mypy finds; each line names the kind of error it must be."""

from typing import Annotated

from cello import (
    App,
    Blueprint,
    Cookie,
    Depends,
    HTTPError,
    LimitsConfig,
    ProblemDetails,
    Query,
    Request,
    Response,
    TimeoutConfig,
)
from cello.responses import HTMLResponse, RedirectResponse
from cello.security import APIKeyHeader, OAuth2PasswordBearer
from cello.testing import TestClient

app = App(titel="x")  # E: call-arg
app.get("/", statuss=200)  # E: call-arg
app.get("/", status="200")  # E: arg-type
app.get(5)  # E: arg-type
app.get("/")(5)  # E: type-var
app.get("/", use=["x"])  # E: list-item
app.use(lambda req: None)  # E: arg-type
app.set_limits(TimeoutConfig())  # E: arg-type
app.start(port="8000")  # E: arg-type
app.static_response("/", {"a": 1})  # E: arg-type
app.no_such()  # E: attr-defined
app.add_guard("admin")  # E: type-var
app.url_for(5)  # E: arg-type
app.authenticate(challenge=5)  # E: call-overload
App(versioning="path")  # E: arg-type
app.register_blueprint(app)  # E: arg-type
Blueprint(5)  # E: arg-type
LimitsConfig(max_uri="1")  # E: arg-type
LimitsConfig(max_url=1)  # E: call-arg
HTTPError("404")  # E: arg-type
Response("x", status="200")  # E: arg-type
Response("x").set_cookie("a", "b", samesite="maybe")  # E: arg-type


@app.get("/")
def handler(req: Request) -> str:
    name: int = req.params["id"]  # E: assignment
    page: int = req.get_query_int("n")  # E: assignment
    req.method = "POST"  # E: misc
    print(name, page, req.nothing)  # E: attr-defined
    return req.body()  # E: return-value


Query(minimum=3)  # E: call-arg
Query(max_length="3")  # E: arg-type
Cookie(embed=True)  # E: call-arg
Depends(5)  # E: arg-type
app.register_singleton(5, 5)  # E: arg-type
app.dependency_overrides["session"] = handler  # E: index
app.dependency_overrides[handler] = "fake"  # E: assignment


@app.get("/{id}")
def typed(id: Annotated[int, Query(ge=1)], q: str = Query("")) -> str:
    return id  # E: return-value


typed("1")  # E: arg-type


# ---- hooks, lifespan, exception handlers ----

app.on_startup(5)  # E: call-overload
app.on_startup(per=5)  # E: call-overload
app.exception_handler("404")  # E: arg-type
app.before_request(5)  # E: call-overload
App(lifespan="x")  # E: arg-type
App(debug="yes")  # E: arg-type
ProblemDetails("404")  # E: arg-type


# ---- what programs from other frameworks have ----

app.get("/", response_class="text/html")  # E: arg-type
app.get("/", response_class=HTMLResponse("a"))  # E: arg-type
app.get("/", response_model_exclude=5)  # E: arg-type
app.get("/", response_model_exclude_unset="yes")  # E: arg-type
app.get("/", response_description=5)  # E: arg-type
app.get("/", responses=[404])  # E: arg-type
app.get("/", tags=[5])  # E: list-item
app.get("/", guards=["admin"])  # E: list-item
app.include_router(Blueprint("/a"), tag=["x"])  # E: call-arg
Blueprint("/a", tags=[5])  # E: list-item
HTMLResponse({"a": 1})  # E: arg-type
RedirectResponse(status_code=302)  # E: call-arg
OAuth2PasswordBearer()  # E: call-arg
APIKeyHeader("X-Key")  # E: call-arg
Response().set_cookie(name="a", value="b")  # E: call-arg


@app.get("/elsewhere")
def request_parts(req: Request, response: Response) -> None:
    port: str = req.url.port  # E: assignment
    print(req.client.host)  # E: union-attr
    response.headers["X-A"] = 1  # E: assignment
    print(port, req.url.pathname)  # E: attr-defined


request_parts(Request("GET", "/"))  # E: call-arg


@app.get("/typed")
async def awaited(id: int) -> int:
    return id


number: int = awaited(1)  # E: assignment


# ---- the document, templates, the test client ----

app.enable_openapi(docs_url=5)  # E: arg-type
app.openapi(2)  # E: arg-type
app.render(Request("GET", "/"), 5)  # E: arg-type
TestClient("app")  # E: arg-type
TestClient(app).get(5)  # E: arg-type
print(TestClient(app).get("/").nothing)  # E: attr-defined
