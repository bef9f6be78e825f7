"""Loaded by schemathesis (see test_schemathesis.py)."""

from typing import Any

import schemathesis


def exact(value: Any) -> Any:
    """JSON Schema's integers include 2.0; those of msgspec, and of pydantic when it is strict, do
    not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    return value


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    case.body = exact(case.body)
