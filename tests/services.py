"""PostgreSQL and Redis for tests, and a certificate: each in a temporary folder, gone afterwards.

They listen on unix sockets only, so no two of them meet, and nobody waits for their start.
PostgreSQL refuses to run as root; for root both run as the user that Debian made for them.
"""

from __future__ import annotations

import collections
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DATABASE = "postgres"


@dataclass
class Postgres:
    folder: str  # where its socket is: what clients call the host
    user: str = "cello"
    database: str = DATABASE

    @property
    def dsn(self) -> str:
        return f"postgresql://{self.user}@/{self.database}?host={self.folder}"


@dataclass
class Redis:
    path: str  # of its socket

    @property
    def url(self) -> str:
        return f"unix://{self.path}"


def postgres_binary(name: str) -> str | None:
    """Debian keeps all but the client's commands off PATH; the newest version is taken."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    newest = sorted(folders, key=lambda p: float(p.parent.name), reverse=True)
    path = os.pathsep.join([*map(str, newest), os.environ.get("PATH", "")])
    return shutil.which(name, path=path)


def missing() -> str:
    """What is not installed here; empty: all is there."""
    there = {
        "PostgreSQL": postgres_binary("initdb"),
        "Redis": shutil.which("redis-server"),
        "OpenSSL": shutil.which("openssl"),
    }
    names = ", ".join(name for name, path in there.items() if not path)
    return names and f"{names}: see the packages of `tools/setup_system.sh test`"


def _user(name: str) -> str | None:
    """Whom to become; None: stay who we are."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        return "nobody"


@contextlib.contextmanager
def _folder(user: str | None) -> Iterator[str]:
    # Not pytest's own: other users cannot enter that, and sockets need short paths.
    with tempfile.TemporaryDirectory(prefix="cello-") as folder:
        if user is not None:
            shutil.chown(folder, user)
        yield folder


def unsanitized() -> dict[str, str]:
    """The environment for programs that are not ours, nor the sanitizers and their settings."""
    ours = ("LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LANG", "LC_ALL")
    return {k: v for k, v in os.environ.items() if k not in ours} | {"LC_ALL": "C"}


@contextlib.contextmanager
def _daemon(
    command: list[str], user: str | None, folder: str, ready: str, stop: int
) -> Iterator[None]:
    """From the line that says it is ready until it has ended."""
    process = subprocess.Popen(
        command,
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        cwd=folder,
        env=unsanitized(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said: collections.deque[str] = collections.deque(maxlen=30)
    try:
        for line in process.stdout:
            said.append(line)
            if ready in line:
                break
        else:
            raise AssertionError(f"{command[0]} has ended: {''.join(said)}")
        reader = threading.Thread(target=said.extend, args=(process.stdout,))
        reader.start()
        yield
        process.send_signal(stop)
        reader.join()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A cluster of its own, which forgets what it is told."""
    user = _user("postgres")
    initdb, server = postgres_binary("initdb"), postgres_binary("postgres")
    assert initdb and server
    with _folder(user) as folder:
        data = os.path.join(folder, "data")
        made = subprocess.run(
            [initdb, "--no-sync", "-A", "trust", "-U", "cello", "-E", "UTF8", "-D", data],
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            cwd=folder,
            env=unsanitized(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": folder,
            "fsync": "off",
            "max_connections": "50",
            "shared_buffers": "16MB",
            "autovacuum": "off",
        }
        command = [server, "-D", data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        # SIGINT: it ends its sessions and does not wait for clients.
        with _daemon(command, user, folder, "ready to accept connections", signal.SIGINT):
            yield Postgres(folder)


@contextlib.contextmanager
def redis() -> Iterator[Redis]:
    user = _user("redis")
    server = shutil.which("redis-server")
    assert server
    with _folder(user) as folder:
        path = os.path.join(folder, "redis.sock")
        command = [server, "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"]
        command += ["--dir", folder]
        with _daemon(command, user, folder, "eady to accept connections", signal.SIGTERM):
            yield Redis(path)


@contextlib.contextmanager
def environment() -> Iterator[dict[str, str]]:
    """What programs that want both ask for."""
    with postgres() as database, redis() as cache:
        yield {"DATABASE_URL": database.dsn, "REDIS_URL": cache.url}


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Of 127.0.0.1 and localhost, signed by itself: (certificate, key)."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
    command += ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, env=unsanitized())
    return certificate, key
