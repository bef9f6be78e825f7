"""ClusterConfig: what it refuses, and that the supervisor hears of every field."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from cello import ClusterConfig, _cluster

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


# What the supervisor is told of a field that is not as it is by default.
TOLD: dict[str, tuple[Any, str]] = {
    "workers": (7, "--workers 7"),
    "cpu_affinity": (True, "--affinity"),
    "max_restarts": (8, "--max-restarts 8"),
    "restart_window": (9, "--restart-window 9"),
    "graceful_shutdown": (False, "--no-graceful"),
    "drain_delay": (0.5, "--drain-delay 0.500000000"),
    "shutdown_timeout": (11.0, "--shutdown-timeout 11.000000000"),
    "max_requests": (12, "--max-requests 12"),
    "max_rss_mb": (13, "--max-rss-mb 13"),
    "jitter": (0.25, "--jitter 0.250000000"),
    "heartbeat_timeout": (1e-9, "--heartbeat-timeout 0.000000001"),
    "startup_timeout": (1e7, "--startup-timeout 10000000.000000000"),
    "user": ("nobody-of-this-name", "--user nobody-of-this-name"),
    "group": ("65534", "--group 65534"),
}


def told(**fields: Any) -> str:
    return " ".join(_cluster._options(ClusterConfig(**fields)))


@pytest.mark.parametrize("name", ClusterConfig._defaults)
def test_the_supervisor_hears_of(name: str) -> None:
    value, words = TOLD[name]
    assert words in told(**{name: value})
    assert words not in told()


def test_the_supervisor_knows_all_of_it() -> None:
    """It has read its options when it looks for a user, whom there is not."""
    words = _cluster._options(ClusterConfig(**{name: value for name, (value, _) in TOLD.items()}))
    command = [_cluster.SUPERVISOR, "--listen", "fd:0", *words, "--", "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr  # 2: there is no such option
    assert "there is no user nobody-of-this-name" in done.stderr
