"""TlsConfig: what it takes, and where else that may stand."""

from pathlib import Path
from typing import Any

import pytest
from cello import App, Request, TlsConfig
from cello._settings import SettingError, Settings
from cello.testing import TestClient

DEFAULTS = {
    "cert_path": "site.pem",
    "key_path": "site.key",
    "key_password": None,
    "ca_path": None,
    "require_client_cert": False,
    "min_version": "1.2",
    "max_version": "1.3",
    "ciphers": None,
    "sni": None,
    "ocsp_response": None,
    "ticket_keys": None,
    "ktls": "off",
    "redirect_http": None,
}
FILES = ("site.pem", "site.key")
KEY = bytes(range(32))


def test_defaults_and_attributes() -> None:
    assert vars(TlsConfig(*FILES)) == DEFAULTS
    names = {"B.example": (Path("b.pem"), "b.key"), "*.c.example": ("c.pem", "c.key")}
    config = TlsConfig(Path("a.pem"), Path("a.key"), sni=names, ticket_keys=(KEY,), redirect_http=0)
    assert (config.cert_path, config.key_path) == ("a.pem", "a.key")
    assert config.sni == {"b.example": ("b.pem", "b.key"), "*.c.example": ("c.pem", "c.key")}
    assert config.ticket_keys == [KEY] and config.redirect_http == 0


def test_secrets_are_not_shown() -> None:
    text = repr(TlsConfig(*FILES, key_password="hush", ticket_keys=[KEY]))
    assert "hush" not in text and repr(KEY) not in text
    assert "cert_path='site.pem'" in text and "key_password='...'" in text


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"cert_path": ""}, ValueError, "cert_path must be text without NUL, and not empty"),
    ({"cert_path": b"x"}, TypeError, "cert_path must be the path of a file, not b'x'"),
    ({"key_path": "a\0b"}, ValueError, "key_path must be text without NUL"),
    ({"key_password": b"x"}, TypeError, "key_password must be text, not bytes"),
    ({"require_client_cert": 1}, TypeError, "require_client_cert must be True or False, not 1"),
    ({"require_client_cert": True}, ValueError, "require_client_cert needs ca_path"),
    ({"min_version": "1.1"}, ValueError, "min_version must be one of '1.2', '1.3', not '1.1'"),
    ({"max_version": 1.3}, ValueError, "max_version must be one of '1.2', '1.3', not 1.3"),
    ({"min_version": "1.3", "max_version": "1.2"}, ValueError, "1.3 is above max_version 1.2"),
    ({"ciphers": ["x"]}, TypeError, "ciphers must be text, not list"),
    ({"sni": [("a", "b")]}, TypeError, "sni must be a dict"),
    ({"sni": {"a.example": "a.pem"}}, TypeError, r"must be \(cert_path, key_path\), not 'a.pem'"),
    ({"sni": {"a.example": ("a.pem", 1)}}, TypeError, r"sni\['a.example'\] must be the path"),
    ({"sni": {"": FILES}}, ValueError, "'' is not a host name"),
    ({"sni": {"a..example": FILES}}, ValueError, "'a..example' is not a host name"),
    ({"sni": {"a.*.example": FILES}}, ValueError, "is not a host name"),
    ({"sni": {"bücher.example": FILES}}, ValueError, "xn--"),
    ({"sni": {"a" * 64: FILES}}, ValueError, "is not a host name"),
    ({"sni": {"A.example": FILES, "a.example": FILES}}, ValueError, "'a.example' twice"),
    ({"ticket_keys": KEY}, TypeError, "ticket_keys must be a list of bytes"),
    ({"ticket_keys": ["x" * 32]}, TypeError, "ticket_keys must be a list of bytes"),
    ({"ticket_keys": [KEY, b"short"]}, ValueError, "not 5 bytes"),
    ({"ticket_keys": []}, ValueError, "ticket_keys has no key"),
    ({"ktls": "on"}, ValueError, "ktls must be one of 'auto', 'off', not 'on'"),
    ({"redirect_http": "80"}, TypeError, "redirect_http must be a port, not '80'"),
    ({"redirect_http": True}, TypeError, "redirect_http must be a port, not True"),
    ({"redirect_http": 65536}, ValueError, "redirect_http must be a port from 0 to 65535: 65536"),
]


@pytest.mark.parametrize(("values", "error", "message"), WRONG, ids=[str(w[2]) for w in WRONG])
def test_wrong_values(values: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TlsConfig(**{"cert_path": "site.pem", "key_path": "site.key", **values})


def test_both_files_are_needed() -> None:
    with pytest.raises(ValueError, match=r"needs a cert_path \(CELLO_TLS_CERT_PATH is not set\)"):
        TlsConfig(key_path="site.key")
    with pytest.raises(ValueError, match="needs a key_path"):
        TlsConfig("site.pem")


VARIABLES = {
    "CERT_PATH": ("a.pem", "a.pem"),
    "KEY_PATH": ("a.key", "a.key"),
    "KEY_PASSWORD": ("hush", "hush"),
    "CA_PATH": ("roots.pem", "roots.pem"),
    "REQUIRE_CLIENT_CERT": ("on", True),
    "MIN_VERSION": ("1.3", "1.3"),
    "MAX_VERSION": ("1.3", "1.3"),
    "CIPHERS": ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    "SNI": (
        "b.example=b.pem,b.key; *.c.example=c.pem,c.key",
        {"b.example": ("b.pem", "b.key"), "*.c.example": ("c.pem", "c.key")},
    ),
    "OCSP_RESPONSE": ("a.ocsp", "a.ocsp"),
    "TICKET_KEYS": (f"{KEY.hex()},{KEY[::-1].hex()}", [KEY, KEY[::-1]]),
    "KTLS": ("auto", "auto"),
    "REDIRECT_HTTP": ("8080", 8080),
}


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (text, _) in VARIABLES.items():
        monkeypatch.setenv(f"CELLO_TLS_{name}", text)
    assert vars(TlsConfig()) == {name.lower(): value for name, (_, value) in VARIABLES.items()}
    assert TlsConfig("b.pem").cert_path == "b.pem"


WRONG_VARIABLES = {
    "REQUIRE_CLIENT_CERT": ("maybe", "must be on or off, not 'maybe'"),
    "MIN_VERSION": ("1.0", "min_version must be one of"),
    "SNI": ("b.example:b.pem", "must be host=cert.pem,key.pem;..., not 'b.example:b.pem'"),
    "TICKET_KEYS": ("xyz", "must be hexadecimal digits, split by ,$"),
    "REDIRECT_HTTP": ("http", "must be a number, not 'http'"),
}


@pytest.mark.parametrize("name", WRONG_VARIABLES)
def test_a_wrong_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, message = WRONG_VARIABLES[name]
    monkeypatch.setenv(f"CELLO_TLS_{name}", text)
    with pytest.raises(ValueError, match=f"^CELLO_TLS_{name}:? {message}"):
        TlsConfig(*FILES)


# ---- settings ----


def test_settings_find_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().tls is None
    found = Settings(argv=["--tls-cert", "a.pem", "--tls-key=a.key"]).tls
    assert found is not None and (found.cert_path, found.key_path) == FILES_OF["a"]
    monkeypatch.setenv("CELLO_TLS_CERT_PATH", "b.pem")
    monkeypatch.setenv("CELLO_TLS_KEY_PATH", "b.key")
    monkeypatch.setenv("CELLO_TLS_MIN_VERSION", "1.3")
    found = Settings().tls
    assert found is not None and (found.cert_path, found.key_path) == FILES_OF["b"]
    assert found.min_version == "1.3"
    given = TlsConfig("c.pem", "c.key")
    assert Settings(argv=["--tls-cert=a.pem", "--tls-key=a.key"], tls=given).tls is given


FILES_OF = {name: (f"{name}.pem", f"{name}.key") for name in "ab"}


def test_one_file_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match="HTTPS needs --tls-key or CELLO_TLS_KEY_PATH, too"):
        Settings(argv=["--tls-cert=a.pem"])
    monkeypatch.setenv("CELLO_TLS_KEY_PATH", "b.key")
    with pytest.raises(SettingError, match="HTTPS needs --tls-cert or CELLO_TLS_CERT_PATH, too"):
        Settings()


def test_tls_is_a_tls_config() -> None:
    with pytest.raises(TypeError, match=r"tls is a TlsConfig, not 'a\.pem'"):
        App().start(tls="a.pem")  # type: ignore[arg-type]


# ---- wrong files, at the start ----


def test_start_says_which_file(tmp_path: Path) -> None:
    missing = str(tmp_path / "site.pem")
    with pytest.raises(ValueError, match=r"site\.pem"):
        App().start(tls=TlsConfig(missing, missing))


# ---- the test client ----


def test_the_test_client_knows_https() -> None:
    app = App()

    @app.get("/x")
    def show(req: Request) -> list[object]:
        return [req.scheme, req.url, req.base_url, req.is_secure(), req.client_cert]

    with TestClient(app) as client:
        base = str(client.base_url).rstrip("/").replace("https:", "http:")
        secure = base.replace("http:", "https:")
        for scheme, root in (("http", base), ("https", secure), ("http", base)):
            expected = [scheme, f"{root}/x", f"{root}/", scheme == "https", None]
            assert client.get(f"{root}/x").json() == expected


def test_a_request_made_by_hand_is_plain() -> None:
    req = Request("GET", "/x", headers={"Host": "a.example"})
    assert req.scheme == "http" and req.client_cert is None and not req.is_secure()
