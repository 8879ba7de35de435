"""Databases to test with: a SQLite file, and a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.storage.database import Database
from tests.postgres import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    url = request.getfixturevalue("postgres") if request.param == "postgres" else ""
    database = Database(url, tmp_path)
    yield database
    database.close()
