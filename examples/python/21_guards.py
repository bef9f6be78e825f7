"""Guards: who asks, and who may enter.

$ curl -i http://127.0.0.1:8000/me
HTTP/1.1 401 Unauthorized
WWW-Authenticate: Bearer
$ curl http://127.0.0.1:8000/me -H "Authorization: Bearer ann-token"
ann
$ curl http://127.0.0.1:8000/admin -H "Authorization: Bearer ann-token"
welcome
$ curl -i http://127.0.0.1:8000/admin -H "Authorization: Bearer bob-token"
HTTP/1.1 403 Forbidden
"""

from dataclasses import dataclass

from cello import App, Authenticated, Blueprint, Request, RoleGuard


@dataclass
class User:
    name: str
    roles: tuple[str, ...]


TOKENS = {"ann-token": User("ann", ("admin", "user")), "bob-token": User("bob", ("user",))}

app = App()


@app.authenticate(challenge="Bearer")
def who(req: Request) -> User | None:
    scheme, _, token = (req.get_header("authorization") or "").partition(" ")
    return TOKENS.get(token) if scheme.lower() == "bearer" else None


@app.get("/me", guards=[Authenticated()])
def me(req: Request) -> str:
    return f"{req.identity.name}\n"


def in_person(req: Request) -> bool:
    """A guard of one's own: no proxies."""
    return req.get_header("via") is None


admin = Blueprint("/admin", guards=[RoleGuard("admin") & in_person])


@admin.get("/")
def overview() -> str:
    return "welcome\n"


app.register_blueprint(admin)

if __name__ == "__main__":
    app.run()
