"""What an attacker makes a typed handler say and do is bounded."""

from typing import Any

import msgspec
import pydantic
import pytest
from api_client import asking
from cello import App

JSON = {"Content-Type": "application/json"}


class Strict(pydantic.BaseModel, extra="forbid"):
    x: int


class Struct(msgspec.Struct, forbid_unknown_fields=True):
    x: int


def refused(annotation: Any, body: str) -> list[dict[str, Any]]:
    """The errors of a body, whose answer is not long."""
    app = App()

    @app.post("/")
    def handler(body: annotation) -> str:
        return "taken"

    with asking(app) as client:
        answer = client.ask("/", "POST", body.encode(), JSON)
    assert answer.status == 422
    assert len(answer.body) < 70_000
    errors: list[dict[str, Any]] = answer.data["detail"]
    return errors


def test_many_errors_are_cut_off() -> None:
    errors = refused(list[Strict], f"[{'1,' * 999}1]")
    assert errors[99]["loc"] == ["body", 99] and len(errors) == 101
    assert errors[100] == {
        "loc": ["body"],
        "msg": "900 more errors are not listed",
        "type": "too_many_errors",
    }


def test_very_many_errors_are_only_counted() -> None:
    assert refused(list[Strict], f"[{'{},' * 100_000}1]") == [
        {"loc": ["body"], "msg": "100001 errors are not listed", "type": "too_many_errors"}
    ]


@pytest.mark.parametrize("annotation", [Strict, Struct, dict[int, Strict], list[Struct | None]])
def test_what_errors_quote_is_short(annotation: Any) -> None:
    pairs = ",".join(f'"{"k" * 10_000}{i}": 1' for i in range(60))
    for body in (f"{{{pairs}}}", f"[{{{pairs}}}]"):
        refused(annotation, body)
