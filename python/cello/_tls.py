"""TLS of a server: TlsConfig, and what the engine is told of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

from cello import _cello, _log
from cello._config import _UNSET, _Numbers, _switch

VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}
KTLS = ("auto", "off")
TICKET_KEY_BYTES = 32
_Path = str | os.PathLike[str]
_PATHS = ("cert_path", "key_path", "ca_path", "ocsp_response")
_WANTED = "bytes, 32 of them each, such as secrets.token_bytes(32)"


class TlsConfig(_Numbers):
    """HTTPS: run(tls=TlsConfig("site.pem", "site.key")). Files are PEM and are read again, in
    place, when they change and on SIGHUP; connections that are open stay.

    cert_path: the certificate, then those between it and its root. key_path: its key.
    key_password: of encrypted keys. ca_path: roots of clients' certificates, which are then asked
    for; req.client_cert is what a client has. require_client_cert: one without ends in the
    handshake. min_version, max_version: "1.2" or "1.3". ciphers: OpenSSL's names instead of the
    usual ones, which all have forward secrecy. sni: certificates for other names,
    {host: (cert_path, key_path)}; "*.example.org" stands for all names with one label more.
    ocsp_response: a file with what the certificate's authority says of it (DER), sent along.
    ticket_keys: secrets of 32 bytes that several machines share, so that a session that began on
    one resumes on another; the first one is used for new ones. None: keys of this server and its
    workers, replaced every few hours. ktls: "auto": the kernel encrypts what is sent, where it can
    (TLS 1.3 with AES-GCM on TCP, and the module `tls` is there); "off": the process does.
    redirect_http: a port for plain HTTP that answers with a redirect to HTTPS, and does nothing
    else.

    ValueError, TypeError: a wrong value. What is wrong with the files is said when a server starts.
    """

    _env = "TLS"
    _defaults: ClassVar[dict[str, Any]] = {
        "cert_path": None,
        "key_path": None,
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

    cert_path: str
    key_path: str
    key_password: str | None
    ca_path: str | None
    require_client_cert: bool
    min_version: str
    max_version: str
    ciphers: str | None
    sni: dict[str, tuple[str, str]] | None
    ocsp_response: str | None
    ticket_keys: list[bytes] | None
    ktls: str
    redirect_http: int | None

    def __init__(
        self,
        cert_path: _Path = _UNSET,
        key_path: _Path = _UNSET,
        key_password: str | None = _UNSET,
        ca_path: _Path | None = _UNSET,
        require_client_cert: bool = _UNSET,
        min_version: str = _UNSET,
        max_version: str = _UNSET,
        ciphers: str | None = _UNSET,
        sni: Mapping[str, tuple[_Path, _Path]] | None = _UNSET,
        ocsp_response: _Path | None = _UNSET,
        ticket_keys: Sequence[bytes] | None = _UNSET,
        ktls: str = _UNSET,
        redirect_http: int | None = _UNSET,
    ) -> None:
        self._fill(locals())
        for name in ("cert_path", "key_path"):
            if getattr(self, name) is None:
                raise ValueError(f"TlsConfig needs a {name} ({self._variable(name)} is not set)")
        if VERSIONS[self.min_version] > VERSIONS[self.max_version]:
            raise ValueError(
                f"min_version {self.min_version} is above max_version {self.max_version}"
            )
        if self.require_client_cert and self.ca_path is None:
            raise ValueError("require_client_cert needs ca_path, the roots of those certificates")

    def _read(self, name: str, text: str) -> Any:
        if name == "require_client_cert":
            return _switch(text)
        if name == "redirect_http":
            return int(text)
        if name == "sni":
            return _names_in(text)
        if name == "ticket_keys":
            return [bytes.fromhex(part) for part in text.split(",")]
        return text

    def _from_env(self, name: str, default: Any) -> Any:
        variable = self._variable(name)
        text = os.environ.get(variable)
        if text is None or name not in ("sni", "ticket_keys"):
            return super()._from_env(name, default)
        try:
            value = self._read(name, text)
        except ValueError:
            form = (
                "host=cert.pem,key.pem;..." if name == "sni" else "hexadecimal digits, split by ,"
            )
            shown = "" if name == "ticket_keys" else f", not {text!r}"
            raise ValueError(f"{variable} must be {form}{shown}") from None
        try:
            return self._checked(name, value)
        except ValueError as error:
            raise ValueError(f"{variable}: {error}") from None

    def _checked(self, name: str, value: Any) -> Any:
        if value is None and self._defaults[name] is None:
            return None
        if name in _PATHS:
            return _path(name, value)
        if name in ("min_version", "max_version"):
            return _one_of(name, value, tuple(VERSIONS))
        if name == "ktls":
            return _one_of(name, value, KTLS)
        if name in ("ciphers", "key_password"):
            return _text(name, value)
        if name == "sni":
            return _names(value)
        if name == "ticket_keys":
            return _ticket_keys(value)
        if name == "redirect_http":
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"redirect_http must be a port, not {value!r}")
            if not 0 <= value <= 65535:
                raise ValueError(f"redirect_http must be a port from 0 to 65535: {value}")
            return value
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, not {value!r}")
        return value

    def __repr__(self) -> str:
        shown = {**vars(self)}
        for name in ("key_password", "ticket_keys"):
            shown[name] = shown[name] and "..."
        return f"TlsConfig({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def _one_of(name: str, value: Any, words: tuple[str, ...]) -> str:
    if value not in words:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, words))}, not {value!r}")
    return str(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {type(value).__name__}")
    if not value or "\0" in value:
        raise ValueError(f"{name} must be text without NUL, and not empty")
    return value


def _path(name: str, value: Any) -> str:
    try:
        path = os.fspath(value)
    except TypeError:
        path = None
    if not isinstance(path, str):
        raise TypeError(f"{name} must be the path of a file, not {value!r}")
    return _text(name, path)


def _host(host: Any) -> str:
    """As OpenSSL and clients write it: ASCII, without a dot at the end."""
    if not isinstance(host, str):
        raise TypeError(f"sni: a host must be text, not {host!r}")
    labels = host.lower().removeprefix("*.").split(".")
    plain = all(
        0 < len(label) <= 63
        and label.isascii()
        and label.replace("-", "").replace("_", "").isalnum()
        for label in labels
    )
    if not plain or len(host) > 253:
        raise ValueError(
            f"sni: {host!r} is not a host name such as 'a.example' or '*.example' (names with "
            "other than ASCII letters are written with xn--)"
        )
    return host.lower()


def _names(value: Any) -> dict[str, tuple[str, str]]:
    if not isinstance(value, Mapping):
        raise TypeError(f"sni must be a dict of host: (cert_path, key_path), not {value!r}")
    found: dict[str, tuple[str, str]] = {}
    for key, pair in value.items():
        host = _host(key)
        if host in found:
            raise ValueError(f"sni has {host!r} twice")
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"sni[{key!r}] must be (cert_path, key_path), not {pair!r}")
        found[host] = (_path(f"sni[{key!r}]", pair[0]), _path(f"sni[{key!r}]", pair[1]))
    return found


def _names_in(text: str) -> dict[str, tuple[str, str]]:
    """host=cert.pem,key.pem;host=..."""
    found = {}
    for item in text.split(";"):
        host, equals, paths = item.partition("=")
        cert, comma, key = paths.partition(",")
        if not (equals and comma):
            raise ValueError
        found[host.strip()] = (cert.strip(), key.strip())
    return found


def _ticket_keys(value: Any) -> list[bytes]:
    if isinstance(value, (bytes, str)) or not isinstance(value, Sequence):
        raise TypeError(f"ticket_keys must be a list of {_WANTED}")
    keys = []
    for key in value:
        if not isinstance(key, bytes):
            raise TypeError(f"ticket_keys must be a list of {_WANTED}")
        if len(key) != TICKET_KEY_BYTES:
            raise ValueError(f"ticket_keys must be {_WANTED}, not {len(key)} bytes")
        keys.append(key)
    if not keys:
        raise ValueError("ticket_keys has no key: leave it out for keys of the server's own")
    return keys


# ---- what the engine is told ----


def engine_config(config: TlsConfig) -> tuple[Any, ...]:
    """For Server.use_tls() and check_tls()."""
    names = (config.sni or {}).items()
    return (
        os.fsencode(config.cert_path),
        os.fsencode(config.key_path),
        (config.key_password or "").encode(),
        _bytes(config.ca_path),
        config.require_client_cert,
        VERSIONS[config.min_version],
        VERSIONS[config.max_version],
        _bytes(config.ciphers),
        tuple((host.encode(), os.fsencode(cert), os.fsencode(key)) for host, (cert, key) in names),
        _bytes(config.ocsp_response),
        tuple(config.ticket_keys or ()),
        config.ktls != "off",
        config.redirect_http is not None,
    )


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def secure(
    engine: _cello.Server, config: TlsConfig | None, cluster: _cello.Cluster | None = None
) -> None:
    """The engine speaks TLS, if it is to. ValueError: which file is wrong, and why; the engine is
    then closed."""
    if config is None:
        return
    try:
        engine.use_tls(engine_config(config), cluster)
    except ValueError:
        engine.close()
        raise


def secure_or_end(
    engine: _cello.Server, config: TlsConfig | None, cluster: _cello.Cluster | None
) -> None:
    """The same for run(), which ends the program. The files are read with the rights that the
    process has now."""
    try:
        secure(engine, config, cluster)
    except ValueError as error:
        end(error)


def check_or_end(config: TlsConfig | None) -> None:
    """For a supervisor, which does not serve itself: what is wrong is said once, here."""
    if config is None:
        return
    try:
        _cello.check_tls(engine_config(config))
    except ValueError as error:
        end(error)


def local_certificate() -> tuple[str, str, bool]:
    """Paths of a certificate for development and its key, in the user's cache, and whether they are
    new. OSError, ValueError: why there is none."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.path.join(home, "cello")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    cert, key = os.path.join(folder, "localhost.pem"), os.path.join(folder, "localhost.key")
    return cert, key, _cello.make_certificate(cert, key)


def for_children(config: TlsConfig) -> None:
    """The processes of a development server serve HTTPS whatever they can read of the program."""
    for name in ("cert_path", "key_path", "key_password"):
        if value := getattr(config, name):
            os.environ[config._variable(name)] = value


def end(error: ValueError) -> NoReturn:
    _log.critical(f"cannot serve HTTPS: {error}")
    raise SystemExit(1) from None
