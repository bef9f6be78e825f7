"""ClusterConfig: what it refuses, and that the supervisor hears of every field."""

from __future__ import annotations

import pytest
from cello import ClusterConfig

MOST = {
    "workers": 1024,
    "max_restarts": 1000,
    "restart_window": 315360000,
    "drain_delay": 315360000,
    "shutdown_timeout": 315360000,
    "max_requests": 2**62 - 1,
    "max_rss_mb": 2**26,
    "jitter": 1,
    "heartbeat_timeout": 315360000,
    "startup_timeout": 315360000,
}
NO_NUMBERS = {"cpu_affinity", "graceful_shutdown", "user", "group"}


def test_every_number_has_a_most() -> None:
    assert MOST.keys() | NO_NUMBERS == ClusterConfig._defaults.keys()
    for name, most in MOST.items():
        assert getattr(ClusterConfig(**{name: most}), name) == most
        with pytest.raises(ValueError, match=f"{name} must not exceed {most}: {most + 1}"):
            ClusterConfig(**{name: most + 1})
