"""The servers of tls_http2.py. Each serves at a place: "h2c" is HTTP/2 without TLS, by prior
knowledge; "ecdsa" and "rsa" are TLS with a key of that kind, where ALPN chooses the protocol."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import environments
import servers
from data import HELLO, file_bytes
from environments import HERE, Server

KEYS = {
    "ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["rsa:2048"],
}
MB_FILE = "static-1m"
ANSWERS = {
    "/constant": HELLO.encode(),
    "/json": b'{"message":"Hello, World!"}',
    f"/static/{MB_FILE}": file_bytes(1 << 20),
}
_GRANIAN = {
    "h2c": " --http 2",
    "ecdsa": " --ssl-certificate {folder}/{key}.pem --ssl-keyfile {folder}/{key}.key",
}
_GRANIAN["rsa"] = _GRANIAN["ecdsa"]


def make_folder(folder: Path) -> None:
    """Certificates, keys, and what is served as files."""
    (folder / "files").mkdir()
    (folder / "files/constant").write_text(HELLO)
    (folder / "files" / MB_FILE).write_bytes(ANSWERS[f"/static/{MB_FILE}"])
    for name, kind in KEYS.items():
        command = ["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-newkey", *kind]
        command += ["-out", folder / f"{name}.pem", "-keyout", folder / f"{name}.key"]
        subprocess.run(command, check=True, capture_output=True)


class Process(servers.Process):
    """A server at a place."""

    def __init__(self, server: Server, place: str, core: int, folder: Path) -> None:
        self.place = place
        super().__init__(server, place, core, folder)

    def _fill(self, text: str) -> str:
        key = "ecdsa" if self.place == "h2c" else self.place
        if "{config}" in text:
            config = self.folder / f"{self.server.name}-{self.place}.conf"
            template = HERE / f"peers/tls/{self.server.name}.conf"
            config.write_text(self._fill(template.read_text()))
            text = text.replace("{config}", str(config))
        tls = ", ssl: {certificate-file: {folder}/{key}.pem, key-file: {folder}/{key}.key"
        tls += ", neverbleed: OFF}"
        plain = self.place == "h2c"
        for name, value in {
            "nginx": "http2" if plain else "ssl http2",
            "h2o": "" if plain else tls,
            "port": str(self.port),
            "folder": str(self.folder),
            "place": self.place,
            "key": key,
        }.items():
            text = text.replace("{" + name + "}", value)
        return text

    def url(self, path: str) -> str:
        return f"{'http' if self.place == 'h2c' else 'https'}://127.0.0.1:{self.port}{path}"

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """By curl, over HTTP/2 if it is to be had."""
        h2 = "--http2-prior-knowledge" if self.place == "h2c" else "--http2"
        command = ["curl", "--silent", "--insecure", h2, "--max-time", "5", "--write-out"]
        done = subprocess.run([*command, "%{http_code}", self.url(path)], capture_output=True)
        if done.returncode:
            raise OSError(f"curl ended with {done.returncode}")
        return int(done.stdout[-3:]), {}, done.stdout[:-3]

    def check(self, path: str) -> None:
        """That it answers as it must before its speed counts."""
        try:
            status, _, body = self.ask("GET", path)
        except OSError as e:
            raise servers.Failed(f"{path}: {e}; {self.last_words()}") from None
        if status != 200 or body != ANSWERS[path]:
            raise servers.Failed(f"{path}: {status}, {len(body)} bytes")


def _cello(name: str, backend: str = "") -> Server:
    command = f"{sys.executable} {HERE / 'peers/cello_tls.py'} {{place}}"
    env = {"CELLO_BACKEND": backend} if backend else {}
    return Server(name, "this project", command, sys.executable, "cello", env=env)


def _ceiling() -> Server:
    target = environments.cache_folder() / "ceilings/tls"
    why = environments.compile_c(HERE / "ceilings/tls.c", target, ["-lssl", "-lcrypto"])
    if why:
        raise SystemExit(f"ceilings/tls.c: {why}")
    command = f"{target} {{port}} {{folder}}/{{key}}.pem {{folder}}/{{key}}.key"
    return Server("raw-tls", "C loop over epoll and OpenSSL", command, kind="ceiling")


def _granian(server: Server, place: str) -> Server:
    return replace(server, name="granian", command=server.command + _GRANIAN[place])


def choose(names: set[str], place: str) -> tuple[list[Server], dict[str, str]]:
    """Those of these names that there are, and why the others cannot run."""
    found = [_cello("cello"), _cello("cello-epoll", "epoll"), _ceiling()]
    natives, missing = environments.natives({"nginx", "h2o"})
    found += natives
    if "granian" in names:
        peers, absent = environments.peers({"granian-rsgi"})
        found += [_granian(peer, place) for peer in peers]
        for why in absent.values():
            missing["granian"] = why
    return [server for server in found if server.name in names], missing
