"""Types that JSON does not know: declare what stands for them.

$ curl http://127.0.0.1:8000/invoice
{"total":"12.50 EUR","tags":["paid","sent"]}
"""

from collections import deque

from cello import App


class Money:
    def __init__(self, cents: int, currency: str = "EUR") -> None:
        self.cents = cents
        self.currency = currency


app = App()


@app.json_encoder(Money)
def money(value: Money) -> str:
    return f"{value.cents / 100:.2f} {value.currency}"


@app.json_encoder(deque)  # and its subclasses
def queue(value: deque[object]) -> list[object]:
    return list(value)


@app.get("/invoice")
def invoice() -> object:
    return {"total": Money(1250), "tags": deque(["paid", "sent"])}


if __name__ == "__main__":
    app.run()
