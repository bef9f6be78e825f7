"""Several servers in one process, started and stopped by the program.

Prints:
main: I am main
admin: I am admin
admin is stopped: connection refused
main: I am main
"""

from urllib.error import URLError
from urllib.request import urlopen

from cello import App


def named(name: str) -> App:
    app = App(title=name)
    app.get("/")(lambda: f"I am {name}")
    return app


def ask(url: str) -> str:
    with urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def main() -> None:
    # Any free port; leaving the block stops the server.
    with named("main").start() as server:
        print("main:", ask(server.url))

        admin = named("admin").start("127.0.0.1", 0)
        print("admin:", ask(admin.url))
        admin.stop(timeout=5.0)  # finishes what is in flight
        try:
            ask(admin.url)
        except URLError:
            print("admin is stopped: connection refused")

        print("main:", ask(server.url))


if __name__ == "__main__":
    main()
