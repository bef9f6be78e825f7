"""Health endpoints for probes, with a check of the program's own.

$ curl http://127.0.0.1:8000/health/live
{"status":"ok"}
$ curl http://127.0.0.1:8000/health/ready
{"status":"ok","checks":{"stock":"ok"}}
"""

from cello import App, HealthCheckConfig

app = App()
stock = {"apples": 3}


def has_stock() -> bool:
    """Good while it is true; an exception or False makes the process unready."""
    return bool(stock)


app.enable_health_checks(HealthCheckConfig(checks={"stock": has_stock}))


@app.get("/stock")
def show() -> dict[str, int]:
    return stock


if __name__ == "__main__":
    app.run()
