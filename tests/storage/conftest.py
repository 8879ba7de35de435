"""What to test with: SQLite and PostgreSQL, a folder and a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.storage.blobs.folder import Folder
from limner.storage.blobs.store import Store
from limner.storage.db.database import Database
from tests.support.postgres import postgres, postgres_server
from tests.support.s3 import CREDENTIALS, S3Server, bucket, s3_server

__all__ = ["bucket", "postgres", "postgres_server", "s3_server"]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    url = request.getfixturevalue("postgres") if request.param == "postgres" else ""
    database = Database(url, tmp_path)
    yield database
    database.close()


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "folder":
        return Folder(tmp_path)
    from limner.storage.blobs.s3 import Bucket

    server: S3Server = request.getfixturevalue("s3_server")
    return Bucket(request.getfixturevalue("bucket"), server.endpoint, CREDENTIALS)
