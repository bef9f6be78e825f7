"""HTTPS, with clients that may have a certificate of their own.

A server on the Internet ends in

    tls = TlsConfig("fullchain.pem", "privkey.pem", redirect_http=80)
    app.run(host="0.0.0.0", port=443, tls=tls)

and `cello dev app:app --tls` makes a certificate for this machine. This program makes one with the
command openssl, serves with it, and asks itself: in clear, over TLS, and with a certificate.

Prints:
308 Permanent Redirect
{"scheme":"https","who":null}
{"scheme":"https","who":"CN=localhost"}
"""

import ssl
import subprocess
import tempfile
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

from cello import App, Request, TlsConfig

app = App()


@app.get("/")
def show(req: Request) -> dict[str, str | None]:
    cert = req.client_cert
    return {"scheme": req.scheme, "who": cert.subject if cert else None}


def make_certificate(folder: Path) -> tuple[Path, Path]:
    cert, key = folder / "site.pem", folder / "site.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def ask(port: int, context: ssl.SSLContext) -> str:
    connection = HTTPSConnection("localhost", port, context=context)
    connection.request("GET", "/")
    body = connection.getresponse().read().decode()
    connection.close()
    return body


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cert, key = make_certificate(Path(folder))
        tls = TlsConfig(cert, key, ca_path=cert, redirect_http=0)
        with app.start(tls=tls) as server:
            (_, secure), (_, plain) = server.addresses
            connection = HTTPConnection("localhost", plain)
            connection.request("GET", "/")
            answer = connection.getresponse()
            print(answer.status, answer.reason)
            connection.close()

            context = ssl.create_default_context(cafile=str(cert))
            print(ask(secure, context))
            context.load_cert_chain(cert, key)
            print(ask(secure, context))


if __name__ == "__main__":
    main()
