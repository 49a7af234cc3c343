"""What the tests of the cloud share: a PostgreSQL server, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres_server import emptied, running_postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """The connection string of an empty database."""
    emptied(postgres_server)
    return postgres_server
