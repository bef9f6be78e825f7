"""What is sent, and what must come back: one table for every way to the server.

Each case is sent on a connection of its own. `status` names the answers in order; `open` whether
the connection takes another request afterwards, else it must be closed and nothing more be sent;
`body` and `fields` belong to the last answer (`echo`: parts of the JSON that /echo answers).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wire import request
from wire_app import MAX_BODY

# What only the wire's framing or grammar can cause. The engine closes the connection after them.
REFUSALS = frozenset({400, 408, 414, 417, 431, 505})

SMUGGLED = request("/smuggled")
HEAD_MAX, URI_MAX, FIELDS_MAX = 16384, 8192, 100  # LimitsConfig


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    status: tuple[int, ...]
    open: bool = True
    body: bytes | None = None
    echo: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, str | None] = field(default_factory=dict)
    to_head: bool = False
    ends: bool = False  # the client sends nothing after it
    # Where the content comes later than the head: it may be answered before, and then closed; or
    # asked for.
    early: bool = False

    @property
    def refused(self) -> bool:
        return self.status[-1] in REFUSALS


CASES: list[Case] = []


def _case(name: str, data: bytes, status: int | tuple[int, ...], **more: Any) -> None:
    statuses = status if isinstance(status, tuple) else (status,)
    CASES.append(Case(name, data, statuses, **more))


def good(name: str, data: bytes, status: int | tuple[int, ...] = 200, **more: Any) -> None:
    """The connection stays open."""
    _case(name, data, status, **more)


def last(name: str, data: bytes, status: int | tuple[int, ...] = 200, **more: Any) -> None:
    """The connection is closed after the answer."""
    _case(name, data, status, open=False, **more)


def bad(name: str, data: bytes, status: int | tuple[int, ...] = 400) -> None:
    """Refused and closed; what is pipelined behind it is not served."""
    _case(name, data + SMUGGLED, status, open=False)


def line(text: bytes) -> bytes:
    """A request with this request line."""
    return text + b"\r\nHost: test\r\n\r\n"


def with_field(raw: bytes) -> bytes:
    """A request with this among its fields."""
    return b"GET /echo HTTP/1.1\r\nHost: test\r\n" + raw + b"\r\nX-Last: 1\r\n\r\n"


def post(fields: bytes, body: bytes, target: bytes = b"/echo") -> bytes:
    """A request with its framing written out."""
    return b"POST " + target + b" HTTP/1.1\r\nHost: test\r\n" + fields + b"\r\n\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked"


def chunked(body: bytes, target: bytes = b"/echo") -> bytes:
    return post(CHUNKED, body, target)


# ---- request line ----

bad("line: empty method", line(b" / HTTP/1.1"))
bad("line: leading space", line(b" GET / HTTP/1.1"))
bad("line: method only", line(b"GET"))
bad("line: HTTP/0.9", line(b"GET /"))
bad("line: no target", line(b"GET HTTP/1.1"))
bad("line: two spaces before the target", line(b"GET  / HTTP/1.1"))
bad("line: two spaces before the version", line(b"GET /  HTTP/1.1"))
bad("line: space after the version", line(b"GET / HTTP/1.1 "))
bad("line: tab after the method", line(b"GET\t/ HTTP/1.1"))
bad("line: tab before the version", line(b"GET /\tHTTP/1.1"))
bad("line: words behind the version", line(b"GET / HTTP/1.1 x"))
bad("line: space in the target", line(b"GET /a b HTTP/1.1"))
bad("line: bare LF", b"GET / HTTP/1.1\nHost: test\r\n\r\n")
bad("line: bare LF everywhere", b"GET / HTTP/1.1\nHost: test\n\n")
bad("line: bare CR", b"GET / HTTP/1.1\rHost: test\r\n\r\n")
bad("line: CR CR LF", b"GET / HTTP/1.1\r\r\nHost: test\r\n\r\n")
bad("line: LF before it", b"\nGET / HTTP/1.1\r\nHost: test\r\n\r\n")
bad("line: space line before it", b" \r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n")
bad("line: NUL before it", b"\0GET / HTTP/1.1\r\nHost: test\r\n\r\n")
bad("line: UTF-8 byte order mark", b"\xef\xbb\xbfGET / HTTP/1.1\r\nHost: test\r\n\r\n")
bad("line: TLS hello", b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03")
bad("line: HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
bad("line: an answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
good("line: CRLF before it", b"\r\n\r\n" + request("/plain"), body=b"hello")
good("line: longest target", request("/" + "a" * (URI_MAX - 1)), 404)
bad("line: target too long", request("/" + "a" * URI_MAX), 414)
bad("line: target much too long", request("/" + "a" * 60000), 414)
bad("line: query too long", request("/plain?" + "a" * URI_MAX), 414)
bad("line: method without end", b"A" * 9000)

# ---- method ----

bad("method: parenthesis", line(b"GE(T / HTTP/1.1"))
bad("method: colon", line(b"GET: / HTTP/1.1"))
bad("method: slash", line(b"GE/T / HTTP/1.1"))
bad("method: NUL", line(b"GE\0T / HTTP/1.1"))
bad("method: quote", line(b'"GET" / HTTP/1.1'))
bad("method: non-ASCII", line(b"G\xc3\x8bT / HTTP/1.1"))
bad("method: DEL", line(b"GET\x7f / HTTP/1.1"))
good("method: unknown", request("/plain", method="BREW"), 501)
good("method: lower case is another one", request("/plain", method="get"), 501)
good("method: a token of odd characters", request("/plain", method="A!#$%&'*+-.^_`|~9"), 501)
good("method: prefix of a known one", request("/plain", method="GE"), 501)
good("method: unknown, unknown path", request("/nowhere", method="BREW"), 501)
good("method: not allowed", request("/only-post"), 405, fields={"Allow": "POST, OPTIONS"})
good(
    "method: not allowed, GET brings HEAD",
    request("/plain", method="POST", body=b"x"),
    405,
    fields={"Allow": "GET, HEAD, OPTIONS"},
    early=True,
)
good("method: TRACE is not echoed", request("/plain", method="TRACE"), 405)
good("method: QUERY without a route", request("/plain", method="QUERY"), 405)
good("method: DELETE", request("/echo", method="DELETE"), echo={"method": "DELETE"})
good("method: PATCH", request("/echo", method="PATCH", body=b"p"), echo={"method": "PATCH"})
good("method: PUT", request("/echo", method="PUT", body=b"p"), echo={"body": "p"})
good("method: GET with content", request("/echo", body=b"abc"), echo={"body": "abc"})
good("method: DELETE with content", request("/echo", method="DELETE", body=b"d"))
good("method: CONNECT", line(b"CONNECT test:443 HTTP/1.1"), 501)
bad("method: CONNECT without port", line(b"CONNECT test HTTP/1.1"))
bad("method: CONNECT with a path", line(b"CONNECT / HTTP/1.1"))
good("HEAD: of GET", request("/plain", method="HEAD"), to_head=True, fields={"Content-Length": "5"})
good(
    "HEAD: native", request("/native", method="HEAD"), to_head=True, fields={"Content-Length": "6"}
)
good(
    "HEAD: large",
    request("/big", method="HEAD"),
    to_head=True,
    fields={"Content-Length": "1048576"},
)
good("HEAD: 404", request("/nowhere", method="HEAD"), 404, to_head=True)
good("HEAD: 405", request("/only-post", method="HEAD"), 405, to_head=True)
good("HEAD: 500", request("/fails", method="HEAD"), 500, to_head=True)
good("HEAD: 204", request("/none", method="HEAD"), 204, to_head=True)
good(
    "OPTIONS: answered from the table",
    request("/only-post", method="OPTIONS"),
    204,
    fields={"Allow": "POST, OPTIONS"},
)
good("OPTIONS: a route of its own", request("/echo", method="OPTIONS"), echo={"method": "OPTIONS"})
good("OPTIONS: unknown path", request("/nowhere", method="OPTIONS"), 404)
good("OPTIONS: the server", request("*", method="OPTIONS"), 204)
good("OPTIONS: the server, absolute", request("http://test", method="OPTIONS"), 204)
good("OPTIONS: a root", request("http://test/", method="OPTIONS"), 204)

# ---- version ----

bad("version: lower case", line(b"GET / http/1.1"))
bad("version: no dot", line(b"GET / HTTP/11"))
bad("version: no minor", line(b"GET / HTTP/1."))
bad("version: no slash", line(b"GET / HTTP 1.1"))
bad("version: two digits", line(b"GET / HTTP/1.10"))
bad("version: leading zero", line(b"GET / HTTP/01.1"))
bad("version: comma", line(b"GET / HTTP/1,1"))
bad("version: another protocol", line(b"GET / ICAP/1.1"))
bad("version: sign", line(b"GET / HTTP/+1.1"))
bad("version: letters", line(b"GET / HTTP/a.b"))
bad("version: 0.9", line(b"GET / HTTP/0.9"), 505)
bad("version: 2.0", line(b"GET / HTTP/2.0"), 505)
bad("version: 3.0", line(b"GET / HTTP/3.0"), 505)
bad("version: 9.9", line(b"GET / HTTP/9.9"), 505)
good("version: 1.2 is read as 1.1", request("/plain", version="HTTP/1.2"), body=b"hello")

# ---- target ----

bad("target: no slash", line(b"GET plain HTTP/1.1"))
bad("target: fragment", line(b"GET /plain#top HTTP/1.1"))
bad("target: fragment behind a query", line(b"GET /plain?a#top HTTP/1.1"))
bad("target: NUL", line(b"GET /a\0b HTTP/1.1"))
bad("target: control character", line(b"GET /a\x01b HTTP/1.1"))
bad("target: DEL", line(b"GET /a\x7fb HTTP/1.1"))
bad("target: raw UTF-8", line("GET /caf\u00e9 HTTP/1.1".encode()))
bad("target: raw byte in the query", line(b"GET /plain?\xff HTTP/1.1"))
bad("target: asterisk", line(b"GET * HTTP/1.1"))
bad("target: asterisk and more", line(b"OPTIONS *x HTTP/1.1"))
bad("target: another scheme", line(b"GET ftp://test/ HTTP/1.1"))
bad("target: no authority", line(b"GET http:///plain HTTP/1.1"))
bad("target: scheme without slashes", line(b"GET http:/plain HTTP/1.1"))
bad("target: user", line(b"GET http://me@test/ HTTP/1.1"))
bad("target: port out of range", line(b"GET http://test:65536/ HTTP/1.1"))
bad("target: port of letters", line(b"GET http://test:http/ HTTP/1.1"))
bad("target: backslash for a slash", line(b"GET \\plain HTTP/1.1"))
good(
    "target: absolute",
    request("http://other:81/echo?q=1", host="test"),
    echo={"path": "/echo", "host": "other:81", "query": [["q", "1"]]},
)
good("target: absolute, upper case", request("HTTP://test/plain"), body=b"hello")
good("target: absolute https", request("https://test/plain"), body=b"hello")
good("target: absolute without path", request("http://test"), body=b"root")
good("target: absolute with query only", request("http://test?a=b"), body=b"root")
good("target: absolute, IPv6", request("http://[::1]:80/echo"), echo={"host": "[::1]:80"})
bad("target: absolute without Host", request("http://test/plain", host=None))
last("target: absolute, HTTP/1.0", request("http://test/plain", version="HTTP/1.0", host=None))
good("target: two slashes are a path", request("//plain"), 404)
good("target: query marks", request("/echo?a?b=c?d"), echo={"query": [["a?b", "c?d"]]})
good("target: empty query", request("/echo?"), echo={"query": []})

# ---- percent-encoding and segments ----

for where, prefix in (("path", "/seg/"), ("query", "/echo?q=")):
    for name, text in {
        "cut": "%",
        "cut digit": "%4",
        "no hex": "%zz",
        "half hex": "%4g",
        "doubled sign": "%%41",
        "NUL": "a%00b",
        "lone byte": "%ff",
        "cut sequence": "%e2%82",
        "bad continuation": "%c3%28",
        "overlong": "%c0%af",
        "overlong 3": "%e0%80%af",
        "surrogate": "%ed%a0%80",
        "above U+10FFFF": "%f4%90%80%80",
    }.items():
        # The head is sound and its end is known: the connection can go on.
        good(f"percent in the {where}: {name}", request(prefix + text), 400)
good("path: UTF-8", request("/seg/%E2%82%AC"), body="\u20ac".encode())
good("path: four bytes", request("/seg/%F0%9F%8E%BB"), body="\U0001f3bb".encode())
good("path: hex in lower case", request("/seg/%e2%82%ac"), body="\u20ac".encode())
good("path: decoded once", request("/seg/%2541"), body=b"%41")
good("path: plus stays", request("/seg/a+b"), body=b"a+b")
good("path: encoded slash stays in its segment", request("/seg/a%2Fb"), body=b"a/b")
good("path: encoded slash, lower case", request("/seg/a%2fb"), body=b"a/b")
good("path: encoded slash does not part", request("/%2Fplain"), 404)
good("path: encoded letters route", request("/%70lain"), body=b"hello")
good("path: encoded question mark", request("/seg/a%3Fb"), body=b"a?b")
good("path: encoded hash", request("/seg/a%23b"), body=b"a#b")
good("path: encoded CR LF", request("/seg/a%0D%0Ab"), body=b"a\r\nb")
good("path: sub-delimiters", request("/seg/!$&'()*+,;=:@"), body=b"!$&'()*+,;=:@")
good("path: dot", request("/./plain"), body=b"hello")
good("path: dots", request("/a/b/../../plain"), body=b"hello")
good("path: dots above the root", request("/../../plain"), body=b"hello")
good("path: encoded dots", request("/a/%2e%2E/plain"), body=b"hello")
good("path: half encoded dots", request("/a/.%2e/plain"), body=b"hello")
good("path: dots at the end", request("/a/.."), body=b"root")
good("path: dots and an encoded slash", request("/seg/..%2Fplain"), body=b"../plain")
good("path: three dots are a name", request("/seg/..."), body=b"...")
good("path: dots cannot leave a prefix", request("/files/../plain"), body=b"hello")
good("path: rest of the path", request("/files/a/b%2Fc/d"), body=b"a/b/c/d")
good("path: empty segments", request("/files/a//b"), body=b"a//b")
good("path: case counts", request("/Plain"), 404)
good("path: trailing slash counts", request("/plain/"), 404)
good("path: missing trailing slash", request("/slashed"), 404)
good("path: its trailing slash", request("/slashed/"), body=b"slashed")
good("path: parameter of a type", request("/num/42"), body=b'{"n":42}')
good("path: parameter of another type", request("/num/x"), 404)
good(
    "query: multimap",
    request("/echo?a=1&b=2&a=3&c&=d"),
    echo={"query": [["a", "1"], ["b", "2"], ["a", "3"], ["c", ""], ["", "d"]]},
)
good("query: plus and percent", request("/echo?a+b=%2B%20+"), echo={"query": [["a b", "+  "]]})
good("query: UTF-8", request("/echo?n=J%C3%BCrgen"), echo={"query": [["n", "J\u00fcrgen"]]})
good("query: slash and colon", request("/echo?u=http://x/y"), echo={"query": [["u", "http://x/y"]]})
good("query: encoded ampersand", request("/echo?a=1%262"), echo={"query": [["a", "1&2"]]})

# ---- field names ----

for name, raw in {
    "space before the colon": b"X-A : 1",
    "tab before the colon": b"X-A\t: 1",
    "empty": b": 1",
    "space inside": b"X A: 1",
    "no colon": b"X-A",
    "no colon, equals": b"X-A=1",
    "parenthesis": b"X(A): 1",
    "quote": b'X"A: 1',
    "slash": b"X/A: 1",
    "at": b"X@A: 1",
    "bracket": b"X[A]: 1",
    "brace": b"X{A}: 1",
    "comma": b"X,A: 1",
    "semicolon": b"X;A: 1",
    "backslash": b"X\\A: 1",
    "NUL": b"X\0A: 1",
    "DEL": b"X\x7fA: 1",
    "control character": b"X\x01A: 1",
    "non-ASCII": b"X\xc3\xa4: 1",
    "leading space": b" X-A: 1",
    "leading tab": b"\tX-A: 1",
}.items():
    bad(f"field name: {name}", with_field(raw))
bad("field name: space in front of the first", b"GET / HTTP/1.1\r\n Host: test\r\n\r\n")
good("field name: every token character", with_field(b"!#$%&'*+-.^_`|~aZ09: 1"))
good(
    "field name: case does not count",
    b"GET /echo HTTP/1.1\r\nhOsT: test\r\nX-A: 1\r\nx-a: 2\r\n\r\n",
    echo={"headers": [["host", "test"], ["x-a", "1"], ["x-a", "2"]]},
)

# ---- field values ----

for name, raw in {
    "NUL": b"X-A: a\0b",
    "control character": b"X-A: a\x01b",
    "unit separator": b"X-A: a\x1fb",
    "DEL": b"X-A: a\x7fb",
    "vertical tab": b"X-A: a\x0bb",
    "form feed": b"X-A: a\x0cb",
    "backspace": b"X-A: a\bb",
    "bare CR": b"X-A: a\rb",
    "CR CR LF": b"X-A: a\r",
    "bare LF": b"X-A: 1\nX-B: 2",
    "bare LF hides a field": b"X-A: 1\nTransfer-Encoding: chunked",
    "bare LF ends the head": b"X-A: 1\n\nGET /smuggled HTTP/1.1",
    "CR in front of a field": b"X-A: 1\r\rX-B: 2",
    "folded by space": b"X-A: 1\r\n 2",
    "folded by tab": b"X-A: 1\r\n\t2",
    "folded over nothing": b"X-A:\r\n 1",
    "folded blank": b"X-A: 1\r\n ",
}.items():
    bad(f"field value: {name}", with_field(raw))
good(
    "field value: empty",
    with_field(b"X-A:"),
    echo={"headers": [["host", "test"], ["x-a", ""], ["x-last", "1"]]},
)
good(
    "field value: blank",
    with_field(b"X-A: \t "),
    echo={"headers": [["host", "test"], ["x-a", ""], ["x-last", "1"]]},
)
good(
    "field value: no space",
    with_field(b"X-A:1"),
    echo={"headers": [["host", "test"], ["x-a", "1"], ["x-last", "1"]]},
)
good(
    "field value: white space around",
    with_field(b"X-A: \t a \t b \t "),
    echo={"headers": [["host", "test"], ["x-a", "a \t b"], ["x-last", "1"]]},
)
good("field value: obs-text", with_field(b"X-A: \x80\xff"))
good(
    "field value: colons",
    with_field(b"X-A: a:b: c"),
    echo={"headers": [["host", "test"], ["x-a", "a:b: c"], ["x-last", "1"]]},
)
bad("fields: end with LF", b"GET / HTTP/1.1\r\nHost: test\r\n\n")
bad("fields: end with CR", b"GET / HTTP/1.1\r\nHost: test\r\n\r")
good("fields: as many as allowed", request("/plain", *["X: 1"] * (FIELDS_MAX - 1)), body=b"hello")
bad("fields: one too many", request("/plain", *["X: 1"] * FIELDS_MAX), 431)
good("fields: as long as allowed", request("/plain", "X: " + "a" * (HEAD_MAX - 19)), body=b"hello")
bad("fields: too long by one", request("/plain", "X: " + "a" * (HEAD_MAX - 18)), 431)
bad("fields: much too long", request("/plain", "X: " + "a" * 70000), 431)
bad("fields: a name without end", b"GET / HTTP/1.1\r\nHost: test\r\n" + b"a" * (HEAD_MAX + 1), 431)
good(
    "cookies: pairs in order",
    request("/echo", "Cookie: a=1; b=2; a=3", 'Cookie: q="x y"'),
    echo={"cookies": [["a", "1"], ["b", "2"], ["a", "3"], ["q", "x y"]]},
)
good("cookies: nonsense is no error", request("/echo", "Cookie: ;;=; a; b=1"))

# ---- Host ----

bad("host: missing", request("/", host=None))
bad("host: empty", request("/", host=""))
bad("host: twice the same", request("/", "Host: test"))
bad("host: two", request("/", "Host: other"))
for name, value in {
    "space": "a b",
    "list": "a, b",
    "path": "test/x",
    "scheme": "http://test",
    "user": "me@test",
    "port of letters": "test:x",
    "port too large": "test:65536",
    "port negative": "test:-1",
    "port too long": "test:000080",
    "two ports": "test:80:80",
    "no name": ":80",
    "open bracket": "[::1",
    "no address": "[]",
    "bad address": "[::g]",
    "words behind the bracket": "[::1]x",
    "zone": "[fe80::1%25eth0]",
    "query": "test?x",
    "fragment": "test#x",
    "quote": 'te"st',
    "angle": "<test>",
    "backslash": "te\\st",
    "bad escape": "te%st",
    "non-ASCII": "t\u00e9st",
}.items():
    bad(f"host: {name}", request("/", host=value))
for name, value in {
    "port": "test:8080",
    "empty port": "test:",
    "IPv4": "127.0.0.1:80",
    "IPv6": "[2001:db8::1]",
    "IPv6 and port": "[::1]:8080",
    "underscore": "my_host",
    "trailing dot": "test.",
    "escape": "t%65st",
}.items():
    good(f"host: {name}", request("/echo", host=value), echo={"host": value})
last("host: HTTP/1.0 needs none", request("/plain", version="HTTP/1.0", host=None), body=b"hello")
bad("host: HTTP/1.0, two", request("/", "Host: b", version="HTTP/1.0"))
bad("host: HTTP/1.0, invalid", request("/", version="HTTP/1.0", host="a b"))

# ---- Content-Length ----

for name, raw in {
    "plus": b"+5",
    "minus": b"-5",
    "minus zero": b"-0",
    "hex": b"0x5",
    "space inside": b"5 5",
    "list of equals": b"5, 5",
    "list": b"5, 6",
    "empty": b"",
    "blank": b"  ",
    "fraction": b"5.0",
    "exponent": b"5e0",
    "letters": b"five",
    "trailing letter": b"5x",
    "semicolon": b"5;",
    "quoted": b'"5"',
    "other digits": "\u0665".encode(),
    "19 digits": b"1" * 19,
    "2^64": b"18446744073709551616",
    "2^64 + 5": b"18446744073709551621",
    "40 digits": b"9" * 40,
    "zeros too long": b"0" * 18 + b"5",
}.items():
    bad(f"length: {name}", post(b"Content-Length: " + raw, b"hello"))
bad("length: twice the same", post(b"Content-Length: 5\r\nContent-Length: 5", b"hello"))
bad("length: two", post(b"Content-Length: 5\r\nContent-Length: 6", b"hello!"))
bad("length: two, case apart", post(b"content-length: 0\r\nCONTENT-LENGTH: 5", b"hello"))
bad("length: space before the colon", post(b"Content-Length : 5", b"hello"))
bad("length: folded", post(b"Content-Length:\r\n 5", b"hello"))
bad("length: NUL", post(b"Content-Length: 5\0", b"hello"))
bad("length: vertical tab", post(b"Content-Length: \x0b5", b"hello"))
good("length: zero", post(b"Content-Length: 0", b""), echo={"body": ""})
good("length: leading zeros", post(b"Content-Length: 005", b"hello"), echo={"body": "hello"})
good(
    "length: white space around", post(b"Content-Length: \t5 \t", b"hello"), echo={"body": "hello"}
)
good("length: none", request("/echo", method="POST"), echo={"body": ""})
good("body: every byte", request("/echo", method="POST", body=bytes(range(256))))
good(
    "body: a request",
    request("/echo", method="POST", body=SMUGGLED),
    echo={"body": SMUGGLED.decode()},
)
good("body: as large as allowed", request("/small", method="POST", body=b"x" * 16), body=b"x" * 16)
last("body: too large by one", request("/small", "Content-Length: 17", method="POST"), 413)
last(
    "body: too large, announced only",
    request("/echo", f"Content-Length: {MAX_BODY + 1}", method="POST"),
    413,
)
last("body: 18 digits", request("/echo", "Content-Length: " + "9" * 18, method="POST"), 413)
last(
    "body: too large and waiting",
    request("/small", "Content-Length: 17", "Expect: 100-continue", method="POST"),
    413,
)
last(
    "body: cut off", request("/echo", "Content-Length: 10", method="POST") + b"abc", 400, ends=True
)
last("body: too large and there", request("/small", method="POST", body=b"x" * 17), 413)
last("body: refused before it came", request("/nowhere", "Content-Length: 9", method="POST"), 404)
good(
    "body: refused when it was there",
    request("/nowhere", method="POST", body=b"123456789"),
    404,
    early=True,
)
good("coding: none", request("/echo", "Content-Encoding: identity", method="POST", body=b"x"))
good(
    "coding: gzip",
    request("/echo", "Content-Encoding: gzip", method="POST", body=b"x"),
    415,
    early=True,
)
good(
    "coding: several",
    request("/echo", "Content-Encoding: gzip, br", method="POST", body=b"x"),
    415,
    early=True,
)
last(
    "coding: gzip, body to come",
    request("/echo", "Content-Encoding: gzip", "Content-Length: 5", method="POST"),
    415,
)

# ---- Transfer-Encoding ----

HELLO = b"5\r\nhello\r\n0\r\n\r\n"
bad("transfer: with length", post(b"Content-Length: 5\r\n" + CHUNKED, HELLO))
bad("transfer: with length behind", post(CHUNKED + b"\r\nContent-Length: 5", HELLO))
bad("transfer: with length 0", post(b"Content-Length: 0\r\n" + CHUNKED, HELLO))
bad("transfer: with a bad length", post(CHUNKED + b"\r\nContent-Length: x", HELLO))
bad("transfer: twice chunked", post(CHUNKED + b"\r\n" + CHUNKED, HELLO))
bad("transfer: chunked in a list twice", post(CHUNKED + b", chunked", HELLO))
bad("transfer: chunked is not last", post(CHUNKED + b", gzip", HELLO))
bad("transfer: chunked, then identity", post(CHUNKED + b"\r\nTransfer-Encoding: identity", HELLO))
bad("transfer: empty", post(b"Transfer-Encoding:", HELLO))
bad("transfer: blank", post(b"Transfer-Encoding: \t", HELLO))
bad("transfer: comma before", post(b"Transfer-Encoding: ,chunked", HELLO))
bad("transfer: comma behind", post(b"Transfer-Encoding: chunked,", HELLO))
bad("transfer: parameter", post(b"Transfer-Encoding: chunked;q=1", HELLO))
bad("transfer: quoted", post(b'Transfer-Encoding: "chunked"', HELLO))
bad("transfer: vertical tab", post(b"Transfer-Encoding: \x0bchunked", HELLO))
bad("transfer: NUL behind", post(b"Transfer-Encoding: chunked\0", HELLO))
bad("transfer: bare CR behind", post(b"Transfer-Encoding: chunked\rx", HELLO))
bad("transfer: space before the colon", post(b"Transfer-Encoding : chunked", HELLO))
bad("transfer: tab before the colon", post(b"Transfer-Encoding\t: chunked", HELLO))
bad("transfer: folded", post(b"Transfer-Encoding:\r\n chunked", HELLO))
bad("transfer: folded from another", post(b"X: x\r\n Transfer-Encoding: chunked", HELLO))
bad("transfer: bare LF in front", post(b"X: x\nTransfer-Encoding: chunked", HELLO))
bad("transfer: bare CR in front", post(b"X: x\rTransfer-Encoding: chunked", HELLO))
bad("transfer: non-ASCII behind", post(b"Transfer-Encoding: chunked\xff", HELLO))
bad("transfer: HTTP/1.0", b"POST /echo HTTP/1.0\r\n" + CHUNKED + b"\r\n\r\n" + HELLO)
bad(
    "transfer: HTTP/1.0 with length",
    b"POST /echo HTTP/1.0\r\nContent-Length: 5\r\n" + CHUNKED + b"\r\n\r\n" + HELLO,
)
last("transfer: gzip", post(b"Transfer-Encoding: gzip", HELLO), 501)
last("transfer: gzip, chunked", post(b"Transfer-Encoding: gzip, chunked", HELLO), 501)
last("transfer: identity", post(b"Transfer-Encoding: identity", HELLO), 501)
last("transfer: a misspelling", post(b"Transfer-Encoding: xchunked", HELLO), 501)
last("transfer: cow", post(b"Transfer-Encoding: cow\r\n" + CHUNKED, HELLO), 501)
good("transfer: chunked", chunked(HELLO), echo={"body": "hello"})
good(
    "transfer: case does not count",
    post(b"transfer-ENCODING: ChUnKeD", HELLO),
    echo={"body": "hello"},
)
good(
    "transfer: white space around",
    post(b"Transfer-Encoding: \t chunked \t", HELLO),
    echo={"body": "hello"},
)
good("transfer: no space", post(b"Transfer-Encoding:chunked", HELLO), echo={"body": "hello"})
good("transfer: GET", b"GET /echo HTTP/1.1\r\nHost: test\r\n" + CHUNKED + b"\r\n\r\n" + HELLO)

# ---- chunks ----

good("chunks: none", chunked(b"0\r\n\r\n"), echo={"body": ""})
good(
    "chunks: many",
    chunked(b"".join(b"1\r\n%c\r\n" % c for c in b"abcdefgh") + b"0\r\n\r\n"),
    echo={"body": "abcdefgh"},
)
good(
    "chunks: hex of both cases",
    chunked(b"a\r\n0123456789\r\nB\r\n0123456789x\r\n0\r\n\r\n"),
    echo={"body": "01234567890123456789x"},
)
good("chunks: leading zeros", chunked(b"0005\r\nhello\r\n000\r\n\r\n"), echo={"body": "hello"})
good("chunks: extension", chunked(b"5;a\r\nhello\r\n0;b=c\r\n\r\n"), echo={"body": "hello"})
good(
    "chunks: extensions",
    chunked(b'5;a=1;b="x;y\\"z";c\r\nhello\r\n0\r\n\r\n'),
    echo={"body": "hello"},
)
good(
    "chunks: extension with white space",
    chunked(b"5 ; a = b\r\nhello\r\n0\r\n\r\n"),
    echo={"body": "hello"},
)
good(
    "chunks: trailers",
    chunked(HELLO[:-2] + b"X-Sum: 1\r\nX-More: 2\r\n\r\n"),
    echo={"body": "hello"},
)
good(
    "chunks: trailers do not become fields",
    chunked(HELLO[:-2] + b"Content-Length: 50\r\nHost: evil\r\nAuthorization: x\r\n\r\n"),
    echo={
        "body": "hello",
        "host": "test",
        "headers": [["host", "test"], ["transfer-encoding", "chunked"]],
    },
)
good(
    "chunks: data that looks like the end",
    chunked(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    echo={"body": "0\r\n\r\n"},
)
good(
    "chunks: as large as allowed",
    chunked(b"8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n", b"/small"),
)
for name, raw in {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "not hex": b"g\r\nhello\r\n0\r\n\r\n",
    "half hex": b"5g\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "space in front": b" 5\r\nhello\r\n0\r\n\r\n",
    "space behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "tab behind": b"5\t\r\nhello\r\n0\r\n\r\n",
    "16 digits": b"0000000000000005\r\nhello\r\n0\r\n\r\n",
    "2^64": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "CR behind the size": b"5\rhello\r\n0\r\n\r\n",
    "LF behind the data": b"5\r\nhello\n0\r\n\r\n",
    "CR behind the data": b"5\r\nhello\r0\r\n\r\n",
    "nothing behind the data": b"5\r\nhello0\r\n\r\n",
    "more data than said": b"4\r\nhello\r\n0\r\n\r\n",
    "less data than said": b"6\r\nhello\r\n0\r\n\r\n",
    "LF at the end": b"5\r\nhello\r\n0\n\n",
    "LF behind the last size": b"5\r\nhello\r\n0\n\r\n",
    "LF for the last line": b"5\r\nhello\r\n0\r\n\n",
    "CR for the last line": b"5\r\nhello\r\n0\r\n\rx",
    "NUL in the size": b"5\0\r\nhello\r\n0\r\n\r\n",
    "empty extension": b"5;\r\nhello\r\n0\r\n\r\n",
    "extension without value": b"5;a=\r\nhello\r\n0\r\n\r\n",
    "extension with a space": b"5;a b\r\nhello\r\n0\r\n\r\n",
    "extension ends with LF": b"5;a\nhello\r\n0\r\n\r\n",
    "extension with bare CR": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "extension with NUL": b"5;a\0\r\nhello\r\n0\r\n\r\n",
    "LF in a quoted extension": b'5;a="\n"\r\nhello\r\n0\r\n\r\n',
    "open quote": b'5;a="x\r\nhello\r\n0\r\n\r\n',
    "extensions too long": b"5;" + b"a" * 17000 + b"\r\nhello\r\n0\r\n\r\n",
    "trailer without colon": b"0\r\nX\r\n\r\n",
    "trailer with a space": b"0\r\nX : 1\r\n\r\n",
    "trailer folded": b"0\r\nX: 1\r\n 2\r\n\r\n",
    "trailer with NUL": b"0\r\nX: \0\r\n\r\n",
    "trailer ends with LF": b"0\r\nX: 1\n\r\n",
    "trailer ends with bare CR": b"0\r\nX: 1\r\r\n\r\n",
}.items():
    bad(f"chunks: {name}", chunked(raw))
bad("chunks: too many trailers", chunked(b"0\r\n" + b"X: 1\r\n" * 101 + b"\r\n"), 431)
bad("chunks: trailers too long", chunked(b"0\r\nX: " + b"a" * HEAD_MAX + b"\r\n\r\n"), 431)
last(
    "chunks: too large", chunked(b"10\r\n" + b"x" * 16 + b"\r\n1\r\ny\r\n0\r\n\r\n", b"/small"), 413
)
last("chunks: too large at once", chunked(b"fffffff\r\n" + b"x" * 1000, b"/small"), 413)
last("chunks: cut off", chunked(b"5\r\nhel"), 400, ends=True)
last("chunks: cut off before the end", chunked(b"5\r\nhello\r\n0\r\n"), 400, ends=True)

# ---- the classics of request smuggling ----

last(
    "smuggling: CL.TE",
    post(b"Content-Length: 6\r\n" + CHUNKED, b"0\r\n\r\nG") + SMUGGLED,
    400,
)
last(
    "smuggling: TE.CL",
    post(b"Content-Length: 4\r\n" + CHUNKED, b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
    400,
)
for name, raw in {
    "x": b"Transfer-Encoding: xchunked",
    "tab": b"Transfer-Encoding:\tchunked\r\nTransfer-Encoding: x",
    "two": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "first x": b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "prefix": b"X: X[\nTransfer-Encoding: chunked",
}.items():
    status = 501 if b"xchunked" in raw or raw.startswith(b"Transfer-Encoding: x\r") else 400
    last(f"smuggling: TE.TE {name}", post(raw, HELLO) + SMUGGLED, status)
bad("smuggling: two lengths", post(b"Content-Length: 8\r\nContent-Length: 7", b"12345\r\nG"))
bad("smuggling: chunk size of 2^64", chunked(b"ffffffffffffffff5\r\nhello\r\n0\r\n\r\n"))
bad("smuggling: chunk extension with LF", chunked(b"2;\n05\r\n0\r\n\r\n" + SMUGGLED))
bad("smuggling: length in the chunk's end", chunked(b"3\r\nabcXX5\r\nhello\r\n0\r\n\r\n"))
bad("smuggling: no line end in front of 0", chunked(b"5\r\nhello0\r\n\r\n"))
bad("smuggling: fold in the line", b"GET /plain HTTP/1.1\r\n\tHost: test\r\nHost: test\r\n\r\n")
good(
    "smuggling: an underscore is another name",
    request("/echo", "Content_Length: 60", "Transfer_Encoding: chunked", method="POST"),
    echo={"body": ""},
)
good(
    "smuggling: length by Connection",
    post(b"Connection: Content-Length\r\nContent-Length: %d" % len(SMUGGLED), SMUGGLED),
    echo={"body": SMUGGLED.decode()},
)
good(
    "smuggling: body of a HEAD",
    request("/echo", method="HEAD", body=SMUGGLED),
    to_head=True,
)
good("smuggling: body of a GET", request("/plain", body=SMUGGLED), body=b"hello")
good("smuggling: body of a 404", request("/nowhere", body=SMUGGLED), 404, early=True)
good("smuggling: body of a constant", request("/native", body=SMUGGLED), body=b"native")

# ---- keep-alive ----

last("connection: close", request("/plain", "Connection: close"), fields={"Connection": "close"})
last("connection: Close", request("/plain", "Connection: Close"), fields={"Connection": "close"})
last(
    "connection: close in a list",
    request("/plain", "Connection: x, close"),
    fields={"Connection": "close"},
)
last("connection: close in a second field", request("/plain", "Connection: x", "Connection: close"))
last("connection: close wins", request("/plain", "Connection: keep-alive, close"))
last("connection: nothing behind close", request("/plain", "Connection: close") + SMUGGLED)
good(
    "connection: keep-alive",
    request("/plain", "Connection: keep-alive"),
    fields={"Connection": None},
)
good("connection: a word that holds close", request("/plain", "Connection: closed"))
good("connection: empty", request("/plain", "Connection:"))
good(
    "connection: upgrade is not taken",
    request("/plain", "Connection: Upgrade", "Upgrade: h2c"),
    body=b"hello",
)
last("connection: HTTP/1.0", request("/plain", version="HTTP/1.0"), fields={"Connection": "close"})
good(
    "connection: HTTP/1.0 keep-alive",
    request("/plain", "Connection: keep-alive", version="HTTP/1.0"),
    fields={"Connection": "keep-alive"},
)
last("connection: HTTP/1.0 close", request("/plain", "Connection: close", version="HTTP/1.0"))
last("connection: HTTP/1.0 nothing behind", request("/plain", version="HTTP/1.0") + SMUGGLED)
good(
    "connection: HTTP/1.0 body",
    request("/echo", "Connection: keep-alive", version="HTTP/1.0", method="POST", body=b"abc"),
    echo={"body": "abc"},
)
last("connection: half closed", request("/plain"), ends=True)
last("connection: half closed behind two", request("/plain") * 2, (200, 200), ends=True)
last("connection: half a head", b"GET / HTTP/1.1\r\nHo", 400, ends=True)
last("connection: half a line", b"GE", 400, ends=True)

# ---- Expect ----

EXPECT = "Expect: 100-continue"
good("expect: no content", request("/plain", EXPECT), body=b"hello")
good("expect: length 0", request("/echo", EXPECT, method="POST", body=b""), echo={"body": ""})
good(
    "expect: content did not wait",
    request("/echo", EXPECT, method="POST", body=b"abc"),
    (200,),
    early=True,
    echo={"body": "abc"},
)
good(
    "expect: ignored in HTTP/1.0",
    request(
        "/echo", EXPECT, "Connection: keep-alive", version="HTTP/1.0", method="POST", body=b"abc"
    ),
)
last("expect: refused route", request("/nowhere", EXPECT, "Content-Length: 5", method="POST"), 404)
last(
    "expect: refused coding",
    request("/echo", EXPECT, "Content-Encoding: gzip", "Content-Length: 5", method="POST"),
    415,
)
bad("expect: something else", request("/plain", "Expect: the-unexpected"), 417)
bad("expect: a list", request("/plain", "Expect: 100-continue, x"), 417)
good("expect: case does not count", request("/plain", "Expect: 100-Continue"), body=b"hello")

# ---- answers of handlers ----

good(
    "answer: text",
    request("/plain"),
    body=b"hello",
    fields={"Content-Type": "text/plain; charset=utf-8"},
)
good(
    "answer: JSON",
    request("/json"),
    body=b'{"hello":"world","n":[1,2.5,null,true]}',
    fields={"Content-Type": "application/json"},
)
good("answer: nothing", request("/none"), 204)
good("answer: created", request("/created", method="POST"), 201, body=b'{"id":7}')
good("answer: constant", request("/native"), body=b"native")
good("answer: large", request("/big"), body=b"x" * (1 << 20))
good("answer: exception", request("/fails"), 500)
good("answer: HTTPError", request("/not-found"), 404, fields={"X-Why": "gone"})
good("answer: cycle", request("/cyclic"), 500)
good("answer: not serializable", request("/unserializable"), 500)
good("answer: bad tuple", request("/bad-tuple"), 500)

# ---- JSON bodies ----

for name, raw in {
    "empty": b"",
    "cut": b'{"a":',
    "open string": b'"abc',
    "word": b"nul",
    "two values": b"1 2",
    "comma at the end": b"[1,]",
    "single quotes": b"{'a':1}",
    "NaN": b"NaN",
    "leading zero": b"01",
    "control character": b'"\x01"',
    "not UTF-8": b'"\xff"',
    "deep": b"[" * 400000,
    "deep objects": b'{"a":' * 80000,
}.items():
    # The engine read the request well; its handler did not like it.
    good(f"json: {name}", request("/parse", method="POST", body=raw), 400)
good(
    "json: read",
    request("/parse", method="POST", body=b' {"a": [1, "\\u00e9"]} '),
    body='{"got":{"a":[1,"\u00e9"]}}'.encode(),
)
for name, raw in {
    "CR LF": b"a\r\nSet-Cookie: b=c",
    "LF": b"a\nb",
    "CR": b"a\rb",
    "NUL": b"a\0b",
}.items():
    good(
        f"header of a handler: {name}",
        request("/header-of-response", method="POST", body=raw),
        500,
        fields={"X-Echo": None, "Set-Cookie": None},
    )
    good(
        f"header of a tuple: {name}",
        request("/header-of-tuple", method="POST", body=raw),
        500,
        fields={"X-Echo": None, "Set-Cookie": None},
    )

# ---- pipelining ----

good("pipeline: two", request("/plain") + request("/json"), (200, 200))
good(
    "pipeline: kinds",
    request("/native") + request("/plain") + request("/nowhere") + request("/none"),
    (200, 200, 404, 204),
)
good(
    "pipeline: bodies",
    request("/echo", method="POST", body=b"1") + chunked(HELLO) + request("/plain"),
    (200, 200, 200),
)
good("pipeline: CRLF between", request("/plain") + b"\r\n" + request("/plain"), (200, 200))
last("pipeline: error in the middle", request("/plain") + b"BAD\r\n\r\n" + SMUGGLED, (200, 400))
last(
    "pipeline: error after errors",
    request("/nowhere") + request("/fails") + request("/", host=None) + SMUGGLED,
    (404, 500, 400),
)
last(
    "pipeline: close in the middle",
    request("/plain") + request("/plain", "Connection: close") + SMUGGLED,
    (200, 200),
)
last(
    "pipeline: too large in the middle",
    request("/plain") + request("/small", method="POST", body=b"x" * 17) + SMUGGLED,
    (200, 413),
)
last(
    "pipeline: bad chunk in the middle",
    request("/plain") + chunked(b"x\r\n") + SMUGGLED,
    (200, 400),
)

assert len({case.name for case in CASES}) == len(CASES), "a name is used twice"
