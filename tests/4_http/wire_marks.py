"""Which transports a test speaks, and with it what runs where: README.md of this folder."""

import pytest
from wire import TRANSPORTS

# What a request means is the same over all of them.
every_transport = pytest.mark.transports(*TRANSPORTS)
# About the bytes of HTTP/1.1, or what only that protocol has: an end that is half the connection's.
http1 = pytest.mark.transports("h1", "h1-tls")
http2 = pytest.mark.transports("h2", "h2c")
# Not about the connection, or with clients of its own: once is enough.
in_clear = pytest.mark.transports("h1")
