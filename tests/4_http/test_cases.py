"""The table of wire_cases.py against a server, whole and in pieces."""

import pytest
from wire import Client
from wire_cases import CASES, Case
from wire_process import ServerProcess

# Sent byte by byte where that takes no time; longer ones in pieces that cut everything somewhere.
BYTEWISE_MAX = 1500
PIECE = 1000


def check(client: Client, case: Case) -> None:
    """Read the answers, and see what became of the connection."""
    for number, status in enumerate(case.status, 1):
        answer = client.answer(case.to_head)
        if answer.status == 100 and case.early:
            answer = client.answer(case.to_head)
        assert answer.status == status, f"answer {number}: {answer}"
        if status >= 400 and not case.to_head:
            problem = answer.json()
            assert answer.get("Content-Type") == "application/problem+json"
            assert problem["status"] == status and problem["title"] == answer.reason
            assert b"secret" not in answer.body
    stays_open = case.open and not (case.early and answer.closes)
    if not case.ends:
        assert answer.closes == (not stays_open)
    if case.body is not None:
        assert answer.body == case.body
    if case.echo:
        understood = answer.json()
        assert {name: understood[name] for name in case.echo} == case.echo
    for name, value in case.fields.items():
        assert answer.get(name) == value
    if stays_open:
        client.assert_open()
    else:
        client.assert_closed()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_at_once(server: ServerProcess, case: Case) -> None:
    with Client(server.address) as client:
        client.send(case.data)
        if case.ends:
            client.end()
        check(client, case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_in_pieces(server: ServerProcess, case: Case) -> None:
    piece = 1 if len(case.data) <= BYTEWISE_MAX else max(PIECE, len(case.data) // 20)
    with Client(server.address) as client:
        client.send(case.data, piece)
        if case.ends:
            client.end()
        check(client, case)
