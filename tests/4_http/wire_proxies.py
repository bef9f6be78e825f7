"""nginx and HAProxy in front of a server, each with its own configuration in a temporary folder.

They get their listening socket from here, so nobody waits for their start or guesses a port.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import services
from wire import Address
from wire_process import listening

WAIT = 2  # seconds that a proxy waits for the rest of a request

NGINX = """
daemon off;
user root root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    client_header_timeout {wait}s;
    client_body_timeout {wait}s;
    large_client_header_buffers 8 64k;
    map $http_host $one_host {{
        default $http_host;
        "" $host;
    }}
    upstream cello {{
        server {upstream};
        keepalive 1;
    }}
    server {{
        listen {listen};
        server_name proxy;
        location / {{
            proxy_pass http://cello;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_ignore_client_abort on;
            proxy_next_upstream off;
            proxy_set_header Host $one_host;
            proxy_set_header Connection "";
        }}
    }}
}}
"""

# Buffers must hold the largest head of a case.
HAPROXY = """
global
    tune.bufsize 131072
    tune.http.maxhdr 256
defaults
    mode http
    timeout connect {wait}s
    timeout client {wait}s
    timeout server 20s
    timeout http-request {wait}s
    timeout http-keep-alive 20s
    http-reuse always
listen front
    bind fd@{fd}
    server cello {upstream}{options}
"""


def _upstream(address: Address) -> str:
    return f"unix:{address}" if isinstance(address, str) else f"{address[0]}:{address[1]}"


def find(name: str) -> str | None:
    """The program of that name; Debian's lie in /usr/sbin, which is not on everybody's path."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@contextmanager
def proxy(name: str, folder: Path, upstream: Address, *, http2: bool = False) -> Iterator[Address]:
    """The address of a proxy in front of `upstream` for the length of a block. http2: HAProxy asks
    in HTTP/2, whatever its client speaks."""
    program = find(name)
    assert program, f"{name} is not installed"
    env = services.unsanitized()
    config = folder / f"{name}.conf"
    with listening() as sock:
        address: Address = sock.getsockname()
        text = NGINX if name == "nginx" else HAPROXY
        to = _upstream(upstream)
        if name == "haproxy" and isinstance(upstream, str):
            to = f"unix@{upstream}"
        config.write_text(
            text.format(
                folder=folder,
                wait=WAIT,
                upstream=to,
                options=" proto h2" if http2 else "",
                listen=f"127.0.0.1:{sock.getsockname()[1]}",
                fd=sock.fileno(),
            )
        )
        if name == "nginx":
            args = [program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
            env["NGINX"] = f"{sock.fileno()};"  # how nginx hands sockets to its successor
        else:
            args = [program, "-db", "-f", str(config)]
        with (folder / f"{name}.out").open("wb") as out:
            child = subprocess.Popen(
                args, env=env, pass_fds=(sock.fileno(),), stdout=out, stderr=out
            )
    try:
        yield address
        assert child.poll() is None, (child.returncode, (folder / f"{name}.out").read_text())
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
