"""The service is tested through a real server too: the fixtures of its tests."""

from tests.server.conftest import (
    bucket,
    database_url,
    engine,
    gated,
    postgres,
    postgres_server,
    s3_server,
    server,
)

__all__ = [
    "bucket",
    "database_url",
    "engine",
    "gated",
    "postgres",
    "postgres_server",
    "s3_server",
    "server",
]
