"""The same table through nginx and HAProxy, over TCP and unix sockets.

What is sound must come back as without them. What is not is refused by either of the two, or
repaired by the proxy; in no case may the connection that the proxy keeps to the server get out of
step.
"""

from collections.abc import Iterator

import pytest
from wire import Address, Answer, Client, Closed, fetch, request
from wire_cases import CASES, Case
from wire_process import server_process
from wire_proxies import find, proxy

WAYS = [
    ("nginx", "tcp", "epoll"),
    ("nginx", "unix", "io_uring"),
    ("haproxy", "tcp", "io_uring"),
    ("haproxy", "unix", "epoll"),
    ("haproxy", "h2c", "io_uring"),
]

# In HTTP/2 a header section is larger by 32 bytes a field.
H2C = {"CELLO_HTTP2": "h2c", "CELLO_HTTP2_MAX_HEADER_LIST_SIZE": "65536"}

# Sound requests that a proxy answers itself.
OWN_ANSWERS = {
    "nginx": {
        # methods that it does not know or allow
        "method: lower case is another one": (400,),
        "method: a token of odd characters": (400,),
        "method: CONNECT": (400,),
        "OPTIONS: the server": (400,),
        # stricter about white space and dots
        "length: white space around": (400,),
        "path: dots above the root": (400,),
        # its own words for what the server does not implement either
        "transfer: white space around": (501,),
        "transfer: cow": (400,),
        "smuggling: TE.TE first x": (400,),
    },
    "haproxy": {
        # Host is not the target's
        "target: absolute": (400,),
        "target: absolute with query only": (400,),
        "target: absolute, IPv6": (400,),
        # its own words for what the server does not implement either
        "transfer: gzip": (400,),
        "transfer: gzip, chunked": (422,),
        "transfer: identity": (400,),
        "transfer: a misspelling": (400,),
        "transfer: cow": (422,),
        "smuggling: TE.TE x": (400,),
        "smuggling: TE.TE first x": (422,),
    },
}


# What HAProxy cannot say in HTTP/2: a request without a host, an upgrade (CONNECT with :protocol).
OWN_IN_HTTP2 = {"host: HTTP/1.0 needs none": (502,), "connection: upgrade is not taken": (502,)}


class Proxied:
    def __init__(self, name: str, address: Address, http2: bool) -> None:
        self.name = name
        self.address = address
        self.http2 = http2


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def proxied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    name, transport, backend = request.param
    if find(name) is None:
        pytest.skip(f"{name} is not installed")
    folder = tmp_path_factory.mktemp("proxy")
    path = folder / "cello.sock" if transport == "unix" else None
    with (
        server_process(backend, path=path, **H2C) as server,
        proxy(name, folder, server.address, http2=transport == "h2c") as address,
    ):
        yield Proxied(name, address, transport == "h2c")


def answers_of(client: Client, case: Case) -> list[Answer]:
    """Those that come, as many as the case has at most, without the interim ones."""
    answers: list[Answer] = []
    try:
        while len(answers) < len(case.status):
            answer = client.answer(case.to_head)
            if answer.status >= 200:
                answers.append(answer)
    except (Closed, ConnectionResetError):
        pass
    return answers


def check_sound(client: Client, case: Case, answers: list[Answer]) -> None:
    answer = answers[-1]
    if case.body is not None:
        assert answer.body == case.body
    understood = answer.json() if case.echo else {}
    for name, value in case.echo.items():
        if name == "headers" or (name == "host" and case.name.startswith("target: absolute")):
            continue  # the proxy has its own
        assert understood[name] == value
    for name, text in case.fields.items():
        if name != "Connection":  # each hop's own
            assert answer.get(name) == text
    if case.open and not answer.closes:
        client.assert_open()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(proxied: Proxied, case: Case) -> None:
    own = OWN_ANSWERS[proxied.name].get(case.name)
    if proxied.http2:
        own = OWN_IN_HTTP2.get(case.name, own)
    with Client(proxied.address, dated=False) as client:
        client.send(case.data)
        if case.ends:
            client.end()
        answers = answers_of(client, case)
        statuses = tuple(answer.status for answer in answers)
        if own:
            assert statuses == own
        elif case.refused:
            assert statuses[:-1] == case.status[: len(statuses) - 1]
            # 502, 504: the proxy did not understand the server, or its request was malformed, which
            # HTTP/2 says by a reset.
            assert not {502, 504} & set(statuses) or proxied.http2, statuses
        elif case.ends:
            # HAProxy may take the end for one of all that it has not begun.
            assert statuses and statuses == case.status[: len(statuses)]
        else:
            assert statuses == case.status
            check_sound(client, case, answers)
    assert fetch(proxied.address, request("/probe")).body == b"probe"
