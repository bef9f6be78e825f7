"""Headers and cookies: what the client says about itself.

$ curl -H 'User-Agent: me/1' -H 'Accept: text/*' -H 'Cookie: theme=dark; a=1' http://127.0.0.1:8000/you
{"agent":"me/1","wants_html":true,"theme":"dark","address":"127.0.0.1"}
"""

from cello import App, Request

app = App()


@app.get("/you")
def you(req: Request) -> object:
    return {
        "agent": req.headers["user-agent"],  # in any case
        "wants_html": req.accepts("text/html"),
        "theme": req.cookies.get("theme", "light"),
        "address": req.remote_addr,
    }


if __name__ == "__main__":
    app.run()
