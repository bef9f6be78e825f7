"""Configuration of limits, timeouts, threads, HTTP/2 and native steps."""

import select
import socket
import time
from math import inf
from pathlib import Path
from typing import Any

import pytest
from api_client import asking, serving
from cello import (
    App,
    Http2Config,
    LimitsConfig,
    RequestIdConfig,
    SecurityHeadersConfig,
    ThreadPoolConfig,
    TimeoutConfig,
    _cpus,
    _server,
)
from cello.testing import TestClient

LIMITS = {
    "max_header_size": 16384,
    "max_headers": 100,
    "max_uri": 8192,
    "max_body_size": 10485760,
    "max_buffered_bytes": 268435456,
    "max_connections": 10000,
    "max_connections_per_ip": 0,
    "max_inflight": 0,
    "max_requests_per_connection": 0,
    "max_json_depth": 128,
    "max_query_params": 1000,
    "max_cookies": 100,
    "max_form_parts": 1000,
    "max_part_header": 8192,
    "max_form_memory": 1048576,
    "max_file_size": None,
    "max_pipelined": 64,
    "max_send_buffer": 1048576,
}
TIMEOUTS = {
    "read_header": 5,
    "read_body": 30,
    "min_body_rate": 240,
    "write": 30,
    "idle": 60,
    "handler": 30,
    "handshake": 10,
}


@pytest.mark.parametrize(
    ("config", "defaults"), [(LimitsConfig, LIMITS), (TimeoutConfig, TIMEOUTS)]
)
def test_defaults_attributes_and_repr(config: Any, defaults: dict[str, Any]) -> None:
    assert vars(config()) == defaults
    for name in defaults:
        changed = config(**{name: 7})
        assert vars(changed) == {**defaults, name: 7}
        assert f"{name}=7" in repr(changed)


@pytest.mark.parametrize("config", [LimitsConfig, TimeoutConfig])
def test_wrong_values_fail_at_construction(config: Any) -> None:
    for name in vars(config()):
        with pytest.raises(ValueError, match=name):
            config(**{name: -1})
        with pytest.raises(ValueError, match=name):
            config(**{name: 2**63})
        nothing = () if getattr(config(), name) is None else (None,)
        for wrong in ("5", True, [1], *nothing):
            with pytest.raises(TypeError, match=name):
                config(**{name: wrong})
    with pytest.raises(TypeError, match="no_such"):
        config(no_such=1)


def test_limits_that_need_a_value() -> None:
    for name in ("max_header_size", "max_headers", "max_uri", "max_json_depth", "max_connections"):
        with pytest.raises(ValueError, match=name):
            LimitsConfig(**{name: 0})
    for name, value in (("max_headers", 10001), ("max_json_depth", 1025)):
        with pytest.raises(ValueError, match=name):
            LimitsConfig(**{name: value})
    with pytest.raises(TypeError, match="max_uri"):
        LimitsConfig(max_uri=1.5)  # type: ignore[arg-type]
    assert TimeoutConfig(idle=0.5).idle == 0.5
    with pytest.raises(ValueError, match="idle"):
        TimeoutConfig(idle=float("nan"))


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLO_LIMITS_MAX_URI", "100")
    monkeypatch.setenv("CELLO_TIMEOUT_IDLE", "1.5")
    assert LimitsConfig().max_uri == 100 and LimitsConfig(max_uri=7).max_uri == 7
    assert TimeoutConfig().idle == 1.5
    monkeypatch.setenv("CELLO_LIMITS_MAX_URI", "many")
    with pytest.raises(ValueError, match="CELLO_LIMITS_MAX_URI"):
        LimitsConfig()
    monkeypatch.setenv("CELLO_LIMITS_MAX_URI", "-1")
    with pytest.raises(ValueError, match="CELLO_LIMITS_MAX_URI: max_uri must not be negative"):
        LimitsConfig()


def test_limits_reach_the_engine() -> None:
    app = App()
    app.set_limits(
        LimitsConfig(
            max_uri=64,
            max_headers=10,
            max_header_size=1000,
            max_body_size=10,
            max_query_params=2,
            max_cookies=1,
            max_json_depth=2,
            max_requests_per_connection=50,
        )
    )
    app.route("/", ["GET", "POST"])(lambda req: [len(req.query), len(req.cookies)])
    app.post("/json")(lambda req: req.json())
    with asking(app) as client:
        assert client.get("/?a&b&c").status == 400
        assert client.get("/", Cookie="a=1; b=2").status == 400
        assert client.ask("/json", "POST", b"[[1]]").status == 200
        assert client.ask("/json", "POST", b"[[[1]]]").status == 400
        assert client.get("/").status == 200
    answers = {
        b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 70): 414,
        b"GET / HTTP/1.1\r\nHost: x\r\n%s\r\n" % (b"A: b\r\n" * 11): 431,
        b"GET / HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n" % (b"a" * 1000): 431,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n": 413,
    }
    with asking(app) as client:
        for request, status in answers.items():
            assert client.raw(request).startswith(b"HTTP/1.1 %d " % status)
        assert client.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 60).count(b"HTTP/1.1 200") == 50


@pytest.mark.parametrize(
    ("limits", "batches"),
    [({}, range(1, 10)), ({"max_pipelined": 1}, [60]), ({"max_send_buffer": 1000}, [60])],
    ids=["defaults", "max_pipelined", "max_send_buffer"],
)
def test_limits_on_what_is_unsent_reach_the_engine(limits: Any, batches: Any) -> None:
    app = App()
    app.set_limits(LimitsConfig(**limits))
    app.get("/")(lambda: "x" * 2000)
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with serving(app) as client:
        answers = client.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 59 + last)
        assert answers.count(b"HTTP/1.1 200") == 60
        assert client.server.stats()["batches"] in batches


def test_the_rate_of_bodies_reaches_the_engine() -> None:
    app = App()
    app.set_timeouts(TimeoutConfig(min_body_rate=1))
    app.post("/")(lambda: "x")
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 60\r\n\r\n"
    with serving(app) as client, socket.create_connection(client.address, timeout=10) as s:
        s.sendall(head)
        # Ten bytes a second for six seconds: by default that ends after five.
        for _ in range(60):
            if select.select([s], [], [], 0.1)[0]:
                break
            s.sendall(b"x")
        assert s.recv(100).startswith(b"HTTP/1.1 200")


def test_timeouts_reach_the_engine() -> None:
    app = App()
    app.set_timeouts(TimeoutConfig(read_header=0.2, read_body=0.2, idle=0.2))
    app.route("/", ["GET", "POST"])(lambda: "x")
    with asking(app) as client:
        for request, status in (
            (b"GET / HT", b"408"),
            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nx", b"408"),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        ):
            start = time.monotonic()
            assert client.raw(request).startswith(b"HTTP/1.1 " + status)
            assert 0.15 < time.monotonic() - start < 5


@pytest.mark.parametrize("header", ["", "a b", "a:", "ä", "a\r\n", "Content-Length"])
def test_request_id_header(header: str) -> None:
    with pytest.raises(ValueError, match="header"):
        RequestIdConfig(header)


def test_request_id_takes_a_str() -> None:
    with pytest.raises(TypeError, match="header"):
        RequestIdConfig(5)  # type: ignore[arg-type]
    assert RequestIdConfig("X-A").header == "X-A"


FIELDS = {
    "x_frame_options": "X-Frame-Options",
    "referrer_policy": "Referrer-Policy",
    "csp": "Content-Security-Policy",
    "permissions_policy": "Permissions-Policy",
    "coep": "Cross-Origin-Embedder-Policy",
    "coop": "Cross-Origin-Opener-Policy",
    "corp": "Cross-Origin-Resource-Policy",
}


@pytest.mark.parametrize(("name", "header"), FIELDS.items())
def test_security_headers(name: str, header: str) -> None:
    app = App()
    app.static_response("/none", "x", headers={header: "own"})
    app.get("/", use=[SecurityHeadersConfig(**{name: "value"})])(lambda: "x")
    app.get("/own", use=[SecurityHeadersConfig(**{name: "value"})])(
        lambda: ("x", 200, {header: "o"})
    )
    app.get("/off", use=[SecurityHeadersConfig(**{name: None})])(lambda: "x")
    with asking(app) as client:
        assert client.get("/").headers.get_all(header) == ["value"]
        assert client.get("/own").headers.get_all(header) == ["o"]
        assert client.get("/none").headers.get_all(header) == ["own"]
        assert header not in client.get("/off").headers
    for wrong in ("a\r\nb", "\x00"):
        with pytest.raises(ValueError, match="header"):
            SecurityHeadersConfig(**{name: wrong})
    with pytest.raises(TypeError, match=name):
        SecurityHeadersConfig(**{name: 5})


HSTS = "Strict-Transport-Security"


def test_hsts_is_sent_over_tls_only() -> None:
    app = App()
    kinds: dict[str, dict[str, Any]] = {
        "max-age=60": {"hsts_max_age": 60},
        "max-age=0": {"hsts_max_age": 0},
        "max-age=1; includeSubDomains": {"hsts_max_age": 1, "hsts_include_subdomains": True},
        "max-age=1; preload": {"hsts_max_age": 1, "hsts_preload": True},
    }
    for number, values in enumerate(kinds.values()):
        app.get(f"/{number}", use=[SecurityHeadersConfig(**values)])(lambda: "x")
    app.get("/none", use=[SecurityHeadersConfig()])(lambda: "x")
    with TestClient(app) as client:
        for number, expected in enumerate(kinds):
            assert client.get(f"https://a.example/{number}").headers[HSTS] == expected
            plain = client.get(f"http://a.example/{number}").headers
            assert HSTS not in plain and plain["X-Frame-Options"] == "DENY"
        assert HSTS not in client.get("https://a.example/none").headers


def test_wrong_hsts() -> None:
    with pytest.raises(ValueError, match="need hsts_max_age"):
        SecurityHeadersConfig(hsts_preload=True)
    with pytest.raises(ValueError, match="hsts_max_age must not be negative: -1"):
        SecurityHeadersConfig(hsts_max_age=-1)
    with pytest.raises(TypeError, match="hsts_max_age must be a number of seconds, not True"):
        SecurityHeadersConfig(hsts_max_age=True)


def test_content_type_options() -> None:
    app = App()
    app.get("/on", use=[SecurityHeadersConfig()])(lambda: "x")
    app.get("/off", use=[SecurityHeadersConfig(x_content_type_options=False)])(lambda: "x")
    with asking(app) as client:
        assert client.get("/on").headers["X-Content-Type-Options"] == "nosniff"
        assert "X-Content-Type-Options" not in client.get("/off").headers


# ---- the thread pool ----


def test_thread_pool_config(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = {"size": None, "offload_threshold_ms": 10, "adaptive": True, "queue": 1000}
    assert vars(ThreadPoolConfig()) == defaults
    given = {"size": 3, "offload_threshold_ms": 5, "adaptive": False, "queue": 0}
    assert vars(ThreadPoolConfig(**given)) == given
    assert "adaptive=False" in repr(ThreadPoolConfig(**given))
    monkeypatch.setenv("CELLO_THREADPOOL_SIZE", "7")
    monkeypatch.setenv("CELLO_THREADPOOL_ADAPTIVE", "off")
    found = ThreadPoolConfig(queue=1)
    assert (found.size, found.adaptive, found.queue) == (7, False, 1)
    assert _server._pool_of(found) == (7, 1, 0)
    assert _server._pool_of(ThreadPoolConfig(**given)) == (3, 0, 0)
    assert _server._pool_of(ThreadPoolConfig(adaptive=True)) == (7, 1000, 10)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("size", 0, ValueError),
        ("size", -1, ValueError),
        ("size", 10001, ValueError),
        ("size", "4", TypeError),
        ("offload_threshold_ms", 0, ValueError),
        ("queue", -1, ValueError),
        ("adaptive", 1, TypeError),
    ],
)
def test_what_a_thread_pool_refuses(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=name):
        ThreadPoolConfig(**{name: value})


def test_wrong_variables_of_a_thread_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value, what in [
        ("ADAPTIVE", "perhaps", "must be on or off"),
        ("SIZE", "many", "must be a number"),
        ("SIZE", "0", "size must be at least 1"),
    ]:
        with monkeypatch.context() as m:
            m.setenv(f"CELLO_THREADPOOL_{name}", value)
            with pytest.raises(ValueError, match=f"{name}.*{what}"):
                ThreadPoolConfig()


# ---- HTTP/2 ----

HTTP2 = {
    "max_concurrent_streams": 100,
    "initial_window_size": 1048576,
    "max_frame_size": 16384,
    "max_header_list_size": 16384,
    "keepalive": 30,
    "h2c": False,
}


def test_http2_config(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vars(Http2Config()) == HTTP2
    given = {
        "max_concurrent_streams": 1,
        "initial_window_size": 2**31 - 1,
        "max_frame_size": 2**24 - 1,
        "max_header_list_size": 2**32 - 1,
        "keepalive": 0.5,
        "h2c": True,
    }
    assert vars(Http2Config(**given)) == given
    assert "keepalive=0.5, h2c=True" in repr(Http2Config(**given))
    for name, value in given.items():
        monkeypatch.setenv(f"CELLO_HTTP2_{name.upper()}", str(value))
    assert vars(Http2Config()) == given
    assert vars(Http2Config(**HTTP2)) == HTTP2
    for name in ("H2C", "KEEPALIVE", "MAX_FRAME_SIZE"):
        with monkeypatch.context() as m:
            m.setenv(f"CELLO_HTTP2_{name}", "perhaps")
            with pytest.raises(ValueError, match=f"CELLO_HTTP2_{name} must be"):
                Http2Config()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("max_concurrent_streams", 0, ValueError),
        ("max_concurrent_streams", 65536, ValueError),
        ("max_concurrent_streams", 1.5, TypeError),
        ("initial_window_size", 0, ValueError),
        ("initial_window_size", 2**31, ValueError),
        ("max_frame_size", 16383, ValueError),
        ("max_frame_size", 2**24, ValueError),
        ("max_header_list_size", 0, ValueError),
        ("max_header_list_size", 2**32, ValueError),
        ("keepalive", -1, ValueError),
        ("keepalive", float("nan"), ValueError),
        ("keepalive", "30", TypeError),
        ("h2c", 1, TypeError),
        ("max_frame_size", True, TypeError),
    ],
)
def test_what_http2_refuses(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=name):
        Http2Config(**{name: value})


GROUPS: dict[str, tuple[dict[str, str], str, float]] = {
    "2 without a limit": ({"a/cpu.max": "max 100000"}, "0::/a", inf),
    "2": ({"a/cpu.max": "150000 100000"}, "0::/a", 1.5),
    "2, of the one above": ({"a/cpu.max": "5000 10000", "a/b/cpu.max": "max 100"}, "0::/a/b", 0.5),
    "2, in a container": ({"cpu.max": "200000 100000"}, "0::/", 2.0),
    "1": (
        {"cpu/a/cpu.cfs_quota_us": "30000", "cpu/a/cpu.cfs_period_us": "10000"},
        "4:cpu,cpuacct:/a",
        3.0,
    ),
    "1 without a limit": (
        {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "10000"},
        "4:cpu:/a",
        inf,
    ),
    "none": ({}, "", inf),
}


@pytest.mark.parametrize("case", GROUPS)
def test_what_a_control_group_gives(case: str, tmp_path: Path) -> None:
    files, membership, expected = GROUPS[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "membership").write_text(membership + "\n" if membership else "")
    found = _cpus._quota(str(tmp_path / "membership"), str(tmp_path))
    assert found == expected


def test_threads_by_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    for cpus, threads in [(0.5, 4), (2.0, 8), (2.5, 10), (500.0, 64)]:
        monkeypatch.setattr(_server, "usable_cpus", lambda cpus=cpus: cpus)
        assert _server._pool_of(ThreadPoolConfig())[0] == threads
    assert 0 < _cpus.usable_cpus() <= 10000
