"""Settings, routes and `runbolt` in one file."""

import asyncio
import sys
from typing import Annotated

import django
from data import BIG, HELLO, PORT, TABLE
from django.conf import settings

sys.modules.setdefault("django_bolt_app", sys.modules[__name__])
if not settings.configured:
    settings.configure(
        SECRET_KEY="bench",
        DEBUG=False,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="django_bolt_app",
        INSTALLED_APPS=["django_bolt"],
        MIDDLEWARE=[],
        DATABASES={},
        USE_TZ=True,
        BOLT_API=["django_bolt_app:api"],
        LOGGING_CONFIG=None,
    )
    django.setup()
urlpatterns = []

from django_bolt import BoltAPI  # noqa: E402
from django_bolt.param_functions import Body  # noqa: E402
from django_bolt.responses import PlainText  # noqa: E402
from models import Order  # noqa: E402

api = BoltAPI(enable_logging=False)


@api.get("/plaintext")
def plaintext():
    return PlainText(HELLO)


@api.get("/json")
def json():
    return {"message": HELLO}


@api.get("/users/{id}")
def user(id: str, q: str | None = None):
    return {"id": id, "q": q}


@api.post("/echo")
def echo(body: Annotated[dict, Body()]):
    return body


@api.get("/typed/{id}")
def typed(id: int, q: str):
    return {"id": id, "q": q}


@api.post("/model")
def model(order: Annotated[Order, Body()]) -> Order:
    return order


@api.get("/big")
def big():
    return BIG


@api.get("/async-json")
async def async_json():
    return {"message": HELLO}


@api.get("/sleep")
async def sleepy():
    await asyncio.sleep(0.001)
    return {"message": HELLO}


def item(id: str):
    return {"id": id}


for prefix in TABLE:
    api.get(prefix + "/{id}")(item)

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    options = ["--host", "127.0.0.1", "--port", str(PORT), "--processes", "1", "--workers", "1"]
    execute_from_command_line(["manage.py", "runbolt", *options, "--no-admin", "--skip-checks"])
