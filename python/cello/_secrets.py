"""Which values are shown to nobody, by their names."""

from __future__ import annotations

HIDDEN = "••••••"

_WORDS = (
    *("password", "passwd", "secret", "token", "credential", "private", "dsn"),
    *("api_key", "apikey", "api-key"),
)


def is_secret(name: str) -> bool:
    """Whether a setting, a variable or a header of this name is not for the screen."""
    name = name.lower()
    return any(word in name for word in _WORDS)
