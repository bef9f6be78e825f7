"""The body of the model row, for the frameworks that validate with msgspec."""

from msgspec import Struct


class Nested(Struct):
    a: list[int]
    b: int | None
    c: str


class Item(Struct):
    sku: str
    qty: int
    price: float
    note: str


class Order(Struct):
    id: int
    name: str
    tags: list[str]
    active: bool
    ratio: float
    nested: Nested
    items: list[Item]
    text: str
