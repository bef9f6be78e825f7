"""Where settings come from, and what is said of wrong ones."""

import asyncio
from typing import Any

import pytest
from cello import App, Http2Config, _server
from cello._settings import Settings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings().values():
        monkeypatch.delenv(f"CELLO_{name.upper()}", raising=False)


DEFAULTS = {
    "host": "127.0.0.1",
    "port": 8000,
    "uds": None,
    "uds_mode": 0o666,
    "fd": None,
    "proxy_protocol": "",
    "http2": None,
    "tls_cert": None,
    "tls_key": None,
    "env": "development",
    "debug": True,
    "logs": True,
    "log_level": None,
    "backend": "auto",
    "reload": False,
    "workers": None,
    "user": None,
    "group": None,
}
HTTP2 = Http2Config(keepalive=7)
# name -> an argument, a command line, the variable's text, and what each means.
PLACES: dict[str, tuple[Any, list[str], str, tuple[Any, Any, Any]]] = {
    "host": ("::1", ["--host", "0.0.0.0"], "127.0.0.2", ("::1", "0.0.0.0", "127.0.0.2")),
    "port": (1, ["--port=2"], "3", (1, 2, 3)),
    "uds": ("/a", ["--uds", "/b"], "/c", ("/a", "/b", "/c")),
    "uds_mode": (0o600, ["--uds-mode", "660"], "0o640", (0o600, 0o660, 0o640)),
    "proxy_protocol": (
        ["10.0.0.0/8", "::1"],
        ["--proxy-protocol=192.0.2.1"],
        "on",
        ("10.0.0.0/8,::1", "192.0.2.1", "127.0.0.0/8,::1"),
    ),
    "http2": (HTTP2, ["--http2", "off"], "off", (HTTP2, False, False)),
    "fd": (4, ["--fd", "5"], "6", (4, 5, 6)),
    "env": (
        "production",
        ["--env", "development"],
        "production",
        ("production", "development", "production"),
    ),
    "debug": (False, ["--debug"], "no", (False, True, False)),
    "logs": (True, ["--no-logs"], "0", (True, False, False)),
    "log_level": ("error", ["--log-level", "DEBUG"], "Info", ("error", "debug", "info")),
    "backend": ("epoll", ["--backend=auto"], "io_uring", ("epoll", "auto", "io_uring")),
    "reload": (False, ["--reload"], "1", (False, True, True)),
    "workers": (2, ["--workers", "3"], "4", (2, 3, 4)),
    "user": ("a", ["--user", "b"], "c", ("a", "b", "c")),
    "group": ("a", ["--group=b"], "c", ("a", "b", "c")),
}


def test_every_setting_has_a_default() -> None:
    assert Settings().values() == DEFAULTS
    assert Settings(default_port=0).port == 0
    assert set(PLACES) == set(DEFAULTS) - {"tls_cert", "tls_key"}  # test_tls_config.py


@pytest.mark.parametrize("name", PLACES)
def test_argument_then_command_line_then_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    argument, argv, text, meanings = PLACES[name]
    variable = f"CELLO_{name.upper()}"
    monkeypatch.setenv(variable, text)
    option = argv[0].partition("=")[0]
    for given, line, meaning, source in (
        ({name: argument}, argv, meanings[0], "argument"),
        ({}, argv, meanings[1], option),
        ({}, ["--other", "x"], meanings[2], variable),
    ):
        settings = Settings(argv=line, **given)
        assert getattr(settings, name) == meaning
        assert settings.sources[name] == source


def test_env_decides_what_is_not_said() -> None:
    assert (Settings(env="production").debug, Settings(env="production").logs) == (False, False)
    assert Settings(env="production").sources["debug"] == "env is production"
    assert Settings(env="production", debug=True).debug
    assert Settings(argv=["--env", "production", "--debug"]).debug


def test_the_application_says_debug() -> None:
    assert not Settings(argv=["--debug"], app_debug=False).debug
    assert Settings(app_debug=False, debug=True).debug


def test_start_without_debug_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(debug=True)
    seen: list[bool] = []
    monkeypatch.setattr(app, "_open", lambda settings: seen.append(settings.debug))
    monkeypatch.setattr(_server, "Server", lambda *_: None)
    app.start()
    app.start(debug=False)
    assert seen == [True, False]


def test_start_and_serve_have_one_worker() -> None:
    app = App()
    with pytest.raises(ValueError, match=r"start\(\) has one worker, not 2"):
        app.start(workers=2)
    with pytest.raises(ValueError, match=r"serve\(\) has one worker, not 'auto'"):
        asyncio.run(app.serve(workers="auto"))


def test_an_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLO_PORT", "")
    assert Settings().port == 8000


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--port", "http"], "--port must be a port from 0 to 65535, not 'http'"),
        (["--port", "65536"], "--port must be a port"),
        (["--port"], "--port must be a port"),
        (["--env", "testing"], "--env must be one of development, production, not 'testing'"),
        (["--backend", "kqueue"], "--backend must be one of"),
        (["--log-level", "loud"], "--log-level must be one of debug"),
        (["--host="], "--host must be text"),
        (["--fd", "-1"], "--fd must be the number of a descriptor"),
        (["--uds-mode", "888"], "--uds-mode must be permissions from 0 to 0o777, not '888'"),
        (["--uds-mode=1777"], "--uds-mode must be permissions"),
        (["--proxy-protocol=10.0.0.0/33"], "--proxy-protocol must be on, off, or addresses"),
        (["--proxy-protocol="], "--proxy-protocol must be on, off, or addresses"),
        (["--http2", "h3"], "--http2 must be on, off, h2c or an Http2Config, not 'h3'"),
        (["--workers", "0"], "--workers must be a number from 1 to 1024, or 'auto', not '0'"),
        (["--workers", "many"], "--workers must be a number from 1"),
    ],
)
def test_wrong_values_name_their_place(argv: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(argv=argv)


@pytest.mark.parametrize("value", ["10.0.0.1/8", "localhost", [], [1], 2, b"::1", ["::1", ""]])
def test_wrong_proxies(value: object) -> None:
    with pytest.raises(ValueError, match=r"proxy_protocol must be on, off, or addresses"):
        Settings(proxy_protocol=value)


def test_proxies_alone_are_those_of_this_machine() -> None:
    argv = ["--proxy-protocol", "10.0.0.0/8"]  # the second is the program's
    assert Settings(argv=argv).proxy_protocol == "127.0.0.0/8,::1"
    assert Settings(proxy_protocol=True).proxy_protocol == "127.0.0.0/8,::1"
    assert Settings(argv=argv, proxy_protocol=False).proxy_protocol == ""


def test_ways_to_say_http2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings(http2=False).http2 is False
    for value, h2c in (("h2c", True), ("on", False), (True, False)):
        config = Settings(http2=value).http2
        assert isinstance(config, Http2Config) and config.h2c is h2c
    monkeypatch.setenv("CELLO_HTTP2", "h2c")
    monkeypatch.setenv("CELLO_HTTP2_KEEPALIVE", "5")
    config = Settings().http2
    assert isinstance(config, Http2Config) and (config.h2c, config.keepalive) == (True, 5)


@pytest.mark.parametrize("mode", [-1, 0o1000, "rw", True, 6.0])
def test_wrong_modes(mode: object) -> None:
    with pytest.raises(ValueError, match="uds_mode must be permissions"):
        Settings(uds_mode=mode)


def test_wrong_variables_and_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="port must be a port"):
        Settings(port=True)
    with pytest.raises(TypeError, match="no option 'http3'"):
        Settings(http3=True)
    monkeypatch.setenv("CELLO_DEBUG", "maybe")
    with pytest.raises(ValueError, match="CELLO_DEBUG must be on or off"):
        Settings()
