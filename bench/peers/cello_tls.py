"""Cello over TLS, or over HTTP/2 without it: `cello_tls.py h2c|KEY`."""

import sys

from cello import App, Http2Config, StaticFilesConfig, TlsConfig
from data import FOLDER, HELLO, PORT

app = App()
app.static_response("/constant", HELLO)
app.enable_static_files(StaticFilesConfig(f"{FOLDER}/files", prefix="/static"))


@app.get("/json")
def json(req):
    return {"message": HELLO}


if __name__ == "__main__":
    place = sys.argv[1]
    if place == "h2c":
        how = {"http2": Http2Config(h2c=True)}
    else:
        how = {"tls": TlsConfig(f"{FOLDER}/{place}.pem", f"{FOLDER}/{place}.key")}
    app.run("127.0.0.1", PORT, env="production", logs=False, argv=False, **how)
