"""The table of wire_cases.py against a server, whole and in pieces; and those of its cases that
HTTP/2 can say, said in it."""

import pytest
from h2.errors import ErrorCodes
from wire import Client
from wire_cases import CASES, SMUGGLED, Case
from wire_h2 import StreamCut, translatable
from wire_marks import http1, http2
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


@http1
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


# ---- said in HTTP/2 ----

# What HTTP/2 does not have: the coding of chunks, and a connection that is kept or not. The size of
# a head is counted otherwise, and not every field may be a trailer.
FRAMING = (
    *("chunks: e", "chunks: open", "chunks: t", "chunks: too many", "connection"),
    *("fields: as long as", "fields: one too many"),
)


def said(case: Case) -> bytes:
    """Without what must not be served behind it: another stream is nobody's business."""
    return case.data if case.open else case.data.removesuffix(SMUGGLED)


OVER_HTTP2 = [
    case
    for case in CASES
    if translatable(said(case)) and not case.name.startswith(FRAMING) and not case.ends
]


def check_exchange(client: Client, case: Case) -> None:
    for status in case.status:
        answer = client.answer(case.to_head)
        if answer.status == 100 and case.early:
            answer = client.answer(case.to_head)
        assert answer.status == status, answer
        if status >= 400 and not case.to_head:
            assert answer.json()["status"] == status
    if case.body is not None:
        assert answer.body == case.body
    if case.echo:
        understood = answer.json()
        expected = dict(case.echo)
        if "headers" in expected:
            expected["headers"] = [
                pair for pair in expected["headers"] if pair[0] != "transfer-encoding"
            ]
        assert {name: understood[name] for name in expected} == expected
    for name, value in case.fields.items():
        assert answer.get(name) == value


def is_refused(client: Client, case: Case) -> bool:
    """Answered, or its stream reset as a malformed request's (RFC 9113, section 8.1.1)."""
    try:
        answer = client.answer()
    except StreamCut as cut:
        return cut.code == ErrorCodes.PROTOCOL_ERROR
    return answer.status == case.status[-1]


@http2
@pytest.mark.parametrize("piece", [0, 1], ids=["at once", "in pieces"])
@pytest.mark.parametrize("case", OVER_HTTP2, ids=lambda case: case.name)
def test_over_http2(server: ServerProcess, case: Case, piece: int) -> None:
    data = said(case)
    with Client(server.address) as client:
        client.send(data, piece if len(data) <= BYTEWISE_MAX else piece * PIECE)
        if case.refused and not case.open:
            assert is_refused(client, case)
        else:
            check_exchange(client, case)
        client.assert_open()
