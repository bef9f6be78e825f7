"""A shop, written as FastAPI's tutorial teaches it: parameters, bodies, models of responses, forms,
dependencies, security, errors, routers. The other file here is the same shop on the other
framework; tests/2_api/test_fastapi_tutorial.py asks both the same and counts what differs."""

import secrets
import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import (
    APIRouter,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Form,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    Response,
    Security,
    status,
)
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from fastapi.security import (
    APIKeyHeader,
    HTTPBasic,
    HTTPBasicCredentials,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
    SecurityScopes,
)
from pydantic import BaseModel, Field

app = FastAPI(title="Shop", version="1.2.0")


# ---- first steps, path parameters ----


@app.get("/")
async def root():
    return {"message": "Hello World"}


@app.get("/files/{file_path:path}")
async def read_file(file_path: str):
    return {"file_path": file_path}


class Size(str, Enum):
    small = "small"
    large = "large"


@app.get("/sizes/{size}")
async def read_size(size: Size):
    if size is Size.small:
        return {"size": size, "note": "fits in a pocket"}
    return {"size": size, "note": "needs a bag"}


@app.get("/shelves/{shelf_id}")
async def read_shelf(
    shelf_id: Annotated[int, Path(title="The shelf's number", ge=1, le=1000)],
):
    return {"shelf_id": shelf_id}


# ---- query parameters ----

ITEMS = [{"item_name": name} for name in ("apple", "pear", "plum", "quince")]


@app.get("/items/")
async def list_items(skip: int = 0, limit: int = 10):
    return ITEMS[skip : skip + limit]


@app.get("/search")
async def search(
    q: Annotated[str | None, Query(min_length=3, max_length=20, pattern="^[a-z ]+$")] = None,
    tag: Annotated[list[str], Query()] = [],
    short: bool = False,
    order: Literal["name", "price"] = "name",
    item_query: Annotated[str | None, Query(alias="item-query", deprecated=True)] = None,
):
    results: dict[str, Any] = {"order": order, "tags": tag, "short": short}
    if q:
        results["q"] = q
    if item_query:
        results["item_query"] = item_query
    return results


class FilterParams(BaseModel):
    limit: int = Field(100, gt=0, le=100)
    offset: int = Field(0, ge=0)
    tags: list[str] = []


@app.get("/filtered")
async def filtered(filter_query: Annotated[FilterParams, Query()]):
    return filter_query


# ---- models of headers and cookies ----


class CommonHeaders(BaseModel):
    save_data: bool = False
    if_modified_since: str | None = None
    x_tag: list[str] = []


@app.get("/headers")
async def read_headers(headers: Annotated[CommonHeaders, Header()]):
    return {"save_data": headers.save_data, "x_tag": headers.x_tag}


class Cookies(BaseModel):
    session_id: str
    tracker: int | None = None


@app.get("/cookies")
async def read_cookies(cookies: Annotated[Cookies, Cookie()]):
    return cookies


# ---- bodies ----


class Image(BaseModel):
    url: str
    name: str


class Item(BaseModel):
    name: str = Field(examples=["Foo"])
    description: str | None = Field(default=None, max_length=300)
    price: float = Field(gt=0)
    tax: float | None = None
    tags: set[str] = set()
    image: Image | None = None


class User(BaseModel):
    username: str
    full_name: str | None = None


STORE: dict[UUID, Item] = {}


@app.post("/items/", status_code=status.HTTP_201_CREATED)
async def create_item(item: Item):
    item_id = uuid4()
    STORE[item_id] = item
    answer: dict[str, Any] = {"id": item_id, "name": item.name}
    if item.tax is not None:
        answer["price_with_tax"] = item.price + item.tax
    return answer


@app.get("/items/{item_id}", response_model=Item)
async def read_item(item_id: UUID):
    if item_id not in STORE:
        raise HTTPException(
            status_code=404, detail="Item not found", headers={"X-Error": "no such item"}
        )
    return STORE[item_id]


@app.put("/items/{item_id}")
async def update_item(
    item_id: UUID,
    item: Item,
    user: User,
    importance: Annotated[int, Body(gt=0)],
    q: str | None = None,
):
    STORE[item_id] = item
    return {"item_id": item_id, "user": user.username, "importance": importance, "q": q}


class ItemUpdate(BaseModel):
    name: str | None = None
    description: str | None = None
    price: float | None = Field(default=None, gt=0)


@app.patch("/items/{item_id}", response_model=Item)
async def change_item(item_id: UUID, item: ItemUpdate):
    if item_id not in STORE:
        raise HTTPException(status_code=404, detail="Item not found")
    update_data = item.model_dump(exclude_unset=True, exclude_none=True)
    STORE[item_id] = STORE[item_id].model_copy(update=update_data)
    return STORE[item_id]


@app.patch("/items/{item_id}/name")
async def rename(item_id: UUID, name: Annotated[str, Body(embed=True, min_length=1)]):
    if item_id not in STORE:
        raise HTTPException(status_code=404, detail="Item not found")
    STORE[item_id].name = name
    return {"name": name}


@app.post("/images/multiple/")
async def create_images(images: list[Image]):
    return [image.name for image in images]


@app.post("/weights/")
async def weights(weights: dict[int, float]):
    return {"total": sum(weights.values())}


@app.put("/loans/{loan_id}")
async def loan(
    loan_id: UUID,
    start: Annotated[datetime, Body()],
    days: Annotated[timedelta, Body()],
    due: Annotated[date | None, Body()] = None,
    fee: Annotated[Decimal, Body()] = Decimal("1.50"),
):
    return {"loan_id": loan_id, "end": start + days, "due": due, "fee": str(fee)}


# ---- headers and cookies ----


@app.get("/agent")
async def agent(
    user_agent: Annotated[str | None, Header()] = None,
    x_token: Annotated[list[str] | None, Header()] = None,
    ads_id: Annotated[str | None, Cookie()] = None,
):
    return {"User-Agent": user_agent, "X-Token": x_token, "ads_id": ads_id}


# ---- responses ----


class UserIn(User):
    password: str


@app.post("/users/", response_model=User, status_code=201, tags=["users"])
async def create_user(user: UserIn) -> Any:
    return user


class Vehicle(BaseModel):
    description: str
    type: str


class Car(Vehicle):
    type: str = "car"


class Plane(Vehicle):
    type: str = "plane"
    size: int


VEHICLES = {
    "item1": {"description": "All my friends drive a low rider", "type": "car"},
    "item2": {"description": "Music is my aeroplane", "type": "plane", "size": 5},
}


class Message(BaseModel):
    message: str


@app.get("/vehicles/{vehicle_id}", response_model=Plane | Car, responses={404: {"model": Message}})
async def read_vehicle(vehicle_id: str):
    if vehicle_id not in VEHICLES:
        return JSONResponse(status_code=404, content={"message": "No such vehicle"})
    return VEHICLES[vehicle_id]


@app.get("/vehicles/", response_model=list[Vehicle])
async def read_vehicles():
    return VEHICLES.values()


@app.get("/vehicle-sizes/", response_model=dict[str, float])
async def read_vehicle_sizes():
    return {"item1": 2.3, "item2": 5}


Dish = Literal["bowl", "plate", "cup"]

DISHES: dict[Dish, Any] = {
    "bowl": {"name": "Bowl", "price": 50.2},
    "plate": {"name": "Plate", "price": 62, "tax": 20.2},
    "cup": {"name": "Cup", "price": 50.2, "tax": None, "tags": []},
}


@app.get("/dishes/{name}", response_model=Item, response_model_exclude_unset=True)
async def read_dish(name: Dish):
    return DISHES[name]


@app.get("/dishes/{name}/name", response_model=Item, response_model_include={"name", "tax"})
async def read_dish_name(name: Dish):
    return DISHES[name]


@app.get("/dishes/{name}/public", response_model=Item, response_model_exclude={"tax", "tags"})
async def read_dish_public(name: Dish):
    return DISHES[name]


@app.get("/portal", response_model=None)
async def portal(teleport: bool = False) -> Response:
    if teleport:
        return RedirectResponse(url="/elsewhere")
    return JSONResponse(content={"message": "Here is your portal."})


@app.get("/page", response_class=HTMLResponse)
async def page():
    return "<h1>Shop</h1>"


@app.get("/greeting")
async def greeting(response: Response):
    response.headers["X-Greeting"] = "yes"
    response.set_cookie(key="seen", value="1")
    return {"message": "hello"}


# ---- forms ----


@app.post("/login/")
async def login(username: Annotated[str, Form()], password: Annotated[str, Form(min_length=4)]):
    return {"username": username, "length": len(password)}


class Feedback(BaseModel):
    stars: int = Field(ge=1, le=5)
    text: str = ""


@app.post("/feedback/")
async def feedback(data: Annotated[Feedback, Form()]):
    return data


# ---- errors ----


class OutOfStock(Exception):
    def __init__(self, name: str):
        self.name = name


@app.exception_handler(OutOfStock)
async def out_of_stock(request: Request, exc: OutOfStock):
    return JSONResponse(status_code=418, content={"message": f"Oops! No {exc.name} left."})


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, exc: RequestValidationError):
    if request.headers.get("x-plain"):
        return PlainTextResponse(f"{len(exc.errors())} errors", status_code=400)
    return JSONResponse(status_code=422, content={"errors": [e["loc"] for e in exc.errors()]})


@app.get("/stock/{name}")
async def stock(name: str):
    if name == "yolo":
        raise OutOfStock(name=name)
    return {"name": name}


# ---- dependencies ----


async def common_parameters(q: str | None = None, skip: int = 0, limit: int = 100):
    return {"q": q, "skip": skip, "limit": limit}


CommonsDep = Annotated[dict, Depends(common_parameters)]


@app.get("/commons/items")
async def commons_items(commons: CommonsDep):
    return commons


class Pagination:
    def __init__(self, page: int = 1, per_page: Annotated[int, Query(le=50)] = 20):
        self.page = page
        self.per_page = per_page


@app.get("/pages")
async def pages(pagination: Annotated[Pagination, Depends()]):
    return {"first": (pagination.page - 1) * pagination.per_page}


EVENTS: list[str] = []


async def get_session():
    EVENTS.append("open")
    try:
        yield "session"
    except OutOfStock:
        EVENTS.append("rollback")
        raise
    finally:
        EVENTS.append("close")


def get_repository(session: Annotated[str, Depends(get_session)]):
    return f"repository on {session}"


@app.get("/repository")
async def repository(
    repo: Annotated[str, Depends(get_repository)], session: Annotated[str, Depends(get_session)]
):
    EVENTS.append("use")
    return {"repository": repo, "session": session}


@app.get("/broken")
async def broken(repo: Annotated[str, Depends(get_repository)]):
    raise OutOfStock("session")


async def verify_token(x_token: Annotated[str, Header()]):
    if x_token != "secret":
        raise HTTPException(status_code=400, detail="X-Token header invalid")


# ---- routers with dependencies of their own ----

admin = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(verify_token)])


@admin.get("/stats", summary="Numbers of the shop", response_description="How many")
async def stats():
    """Counts what is in the store."""
    return {"items": len(STORE)}


@admin.delete("/items/{item_id}", status_code=204)
async def delete_item(item_id: UUID):
    STORE.pop(item_id, None)


async def verify_reason(reason: str):
    if len(reason) < 3:
        raise HTTPException(status_code=400, detail="No good reason")


audit = APIRouter(prefix="/audit", tags=["audit"], dependencies=[Depends(verify_reason)])


@audit.get("/events", deprecated=True)
async def events(commons: CommonsDep):
    return {"events": EVENTS[: commons["limit"]]}


admin.include_router(audit)
app.include_router(admin, responses={418: {"description": "I'm a teapot"}})


# ---- security ----

oauth2_scheme = OAuth2PasswordBearer(
    tokenUrl="token", scopes={"me": "Read about yourself.", "items": "Read items."}
)
basic = HTTPBasic()
api_key = APIKeyHeader(name="X-API-Key")

ACCOUNTS = {"ada": {"username": "ada", "password": "lovelace", "disabled": False}}


def decode(token: str) -> tuple[str, list[str]]:
    name, _, scopes = token.partition("|")
    return name, scopes.split()


async def current_user(
    security_scopes: SecurityScopes, token: Annotated[str, Depends(oauth2_scheme)]
):
    name, scopes = decode(token)
    account = ACCOUNTS.get(name)
    if account is None:
        raise HTTPException(
            status_code=status.HTTP_401_UNAUTHORIZED,
            detail="Could not validate credentials",
            headers={"WWW-Authenticate": "Bearer"},
        )
    for scope in security_scopes.scopes:
        if scope not in scopes:
            raise HTTPException(status_code=403, detail="Not enough permissions")
    return account


async def active_user(user: Annotated[dict, Security(current_user, scopes=["me"])]):
    if user["disabled"]:
        raise HTTPException(status_code=400, detail="Inactive user")
    return user


@app.post("/token")
async def token(form_data: Annotated[OAuth2PasswordRequestForm, Depends()]):
    account = ACCOUNTS.get(form_data.username)
    if not account or not secrets.compare_digest(account["password"], form_data.password):
        raise HTTPException(status_code=400, detail="Incorrect username or password")
    return {
        "access_token": f"{form_data.username}|{' '.join(form_data.scopes)}",
        "token_type": "bearer",
    }


@app.get("/users/me/", response_model=User, tags=["users"])
async def read_users_me(user: Annotated[dict, Depends(active_user)]):
    return user


@app.get("/users/me/items/", tags=["users"])
async def read_own_items(user: Annotated[dict, Security(active_user, scopes=["items"])]):
    return [{"owner": user["username"]}]


@app.get("/basic")
def read_basic(credentials: Annotated[HTTPBasicCredentials, Depends(basic)]):
    if not secrets.compare_digest(credentials.password.encode(), b"lovelace"):
        raise HTTPException(
            status_code=status.HTTP_401_UNAUTHORIZED,
            detail="Incorrect username or password",
            headers={"WWW-Authenticate": "Basic"},
        )
    return {"username": credentials.username}


@app.get("/key")
def read_key(key: Annotated[str, Depends(api_key)]):
    if not secrets.compare_digest(key.encode(), b"key"):
        raise HTTPException(status_code=401, detail="Wrong key")
    return {"key": key}


# ---- middleware ----


@app.middleware("http")
async def add_process_time(request: Request, call_next):
    start = time.perf_counter()
    response = await call_next(request)
    response.headers["X-Process-Time"] = str(time.perf_counter() - start)
    return response


@app.get("/who")
def who(request: Request):
    return {"client": request.client is not None, "path": request.url.path}
