"""Blueprints: groups of routes under a prefix, with middleware of their own; they nest.

$ curl http://127.0.0.1:8000/api/v1/users
["ann","bob"]
$ curl http://127.0.0.1:8000/api/v1/users/ann
{"name":"ann"}
$ curl -i http://127.0.0.1:8000/api/v1/admin/status
HTTP/1.1 200 OK
Content-Security-Policy: default-src 'none'

fine
"""

from cello import App, Blueprint, Request, SecurityHeadersConfig

users = Blueprint("/users")


@users.get("/")  # the prefix itself
def everybody() -> object:
    return ["ann", "bob"]


@users.get("/{name:alpha}")
def one(req: Request) -> object:
    return {"name": req.params["name"]}


admin = Blueprint("/admin", use=[SecurityHeadersConfig(csp="default-src 'none'")])


@admin.get("/status")
def status() -> str:
    return "fine\n"


v1 = Blueprint("/v1")
v1.register_blueprint(users)
v1.register_blueprint(admin)

app = App()
app.register_blueprint(v1, prefix="/api")

if __name__ == "__main__":
    app.run()
