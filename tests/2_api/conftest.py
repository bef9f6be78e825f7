"""PostgreSQL and Redis, once for all tests that want them."""

from collections.abc import Iterator

import pytest
import services


@pytest.fixture(scope="session")
def postgres() -> Iterator[services.Postgres]:
    with services.postgres() as place:
        yield place


@pytest.fixture(scope="session")
def redis_server() -> Iterator[services.Redis]:
    with services.redis() as place:
        yield place
