"""TLS for the clients of the tests: a socket's interface, and certificates made when first needed.

Not ssl.SSLSocket: that one cannot end its own direction and go on reading, and takes an end without
close_notify for an orderly one when asked to be lenient. Here it never is.
"""

from __future__ import annotations

import atexit
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import services

PIECE = 65536


class Truncated(ConnectionResetError):
    """The other side ended the connection without close_notify: it could have been anybody."""


class TlsSocket:
    """A connected socket with TLS on it."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._unsent = bytearray()
        self._speaking, self._sending = threading.Lock(), threading.Lock()  # some read in a thread
        self._ended = False
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._need(self._tls.do_handshake)

    # ---- what sockets have ----

    def recv(self, size: int) -> bytes:
        """b"" after close_notify only, or after this side has sent its own."""
        try:
            return bytes(self._need(lambda: self._tls.read(size)))
        except ssl.SSLZeroReturnError:
            return b""
        except Truncated:
            if not self._ended:
                raise
            return b""

    def send(self, data: bytes | memoryview) -> int:
        self._push()
        self._take(lambda: self._tls.write(data[:PIECE]))
        with suppress(TimeoutError):  # the rest goes before what is sent next
            self._push()
        return min(len(data), PIECE)

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self.send(view) :]
        self._push()

    def shutdown(self, how: int) -> None:
        """Send close_notify and no more; what comes can still be read."""
        assert how == socket.SHUT_WR
        self._ended = True
        with suppress(ssl.SSLError):  # it also looks for the other side's, and may find data
            self._take(self._tls.unwrap)
        self._push()
        self._sock.shutdown(how)

    def close(self) -> None:
        self._sock.close()

    def __getattr__(self, name: str) -> Any:
        """Timeouts, options, names, the descriptor."""
        return getattr(self._sock, name)

    # ---- what TLS has ----

    @property
    def tls(self) -> ssl.SSLObject:
        return self._tls

    # ---- how ----

    def _push(self, *, waits: bool = True) -> None:
        """Send what TLS has written. Whoever is at it already takes along what is new; a reader
        does not wait for that, since the server may want to be read first."""
        self._take(lambda: None)
        if not self._sending.acquire(blocking=waits):
            return
        try:
            while self._unsent:
                sent = self._sock.send(bytes(self._unsent[:PIECE]))
                with self._speaking:
                    del self._unsent[:sent]
        finally:
            self._sending.release()

    def _take(self, operation: Any) -> Any:
        """Do something with TLS, and keep what it has to say, in the order of saying."""
        with self._speaking:
            try:
                return operation()
            finally:
                self._unsent += self._out.read()

    def _need(self, operation: Any) -> Any:
        """Do what may want more bytes first."""
        while True:
            try:
                result = self._take(operation)
            except ssl.SSLWantReadError:
                self._answer()
            except ssl.SSLEOFError:
                raise Truncated("the end of TLS came without close_notify") from None
            except ssl.SSLError:
                self._answer()  # the alert
                raise
            else:
                self._answer()
                return result
            if data := self._sock.recv(PIECE):
                self._in.write(data)
            else:
                self._in.write_eof()

    def _answer(self) -> None:
        """What TLS has to say itself; nothing to a server that has closed: it may be read still."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._push(waits=False)


class Certificates:
    """An authority of the tests' own, and a certificate of it for `localhost` and 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = folder / "authority.pem"
        self.certificate, self.key = self.make("localhost", "DNS:localhost,DNS:test,IP:127.0.0.1")

    def make(self, name: str, alternatives: str) -> tuple[Path, Path]:
        """A certificate and its key, signed by the authority."""
        key, asked, made = (self.folder / f"{name}{end}" for end in (".key", ".csr", ".pem"))
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        root_key = self.folder / "authority.key"
        if not self.authority.exists():
            _openssl("req", "-x509", *curve, "-keyout", root_key, "-out", self.authority,
                     "-subj", "/CN=Authority of the tests", "-days", "2",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
        _openssl("req", *curve, "-keyout", key, "-out", asked, "-subj", f"/CN={name}")
        extensions = self.folder / "extensions"
        # As RFC 5280 wants it, and Python from 3.13 on.
        extensions.write_text(
            f"subjectAltName={alternatives}\nkeyUsage=critical,digitalSignature\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        )
        _openssl("x509", "-req", "-in", asked, "-CA", self.authority, "-CAkey", root_key,
                 "-CAcreateserial", "-extfile", extensions, "-days", "2", "-out", made)  # fmt: skip
        return made, key

    def client(self, *protocols: str) -> ssl.SSLContext:
        """What a client that trusts the authority uses, with these for ALPN."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.set_alpn_protocols(list(protocols))
        return context


def _openssl(*words: object) -> None:
    command = ["openssl", *map(str, words)]
    subprocess.run(command, env=services.unsanitized(), check=True, capture_output=True)


@cache
def certificates() -> Certificates:
    """Made once for a run of the tests."""
    folder = tempfile.mkdtemp(prefix="cello-certificates-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Certificates(Path(folder))
