"""One server for all tests that leave it as it was, and one with an engine under control."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from limner.engines import registry
from tests.server.helpers import GatedEngine, Server, make_settings, running
from tests.support.postgres import postgres, postgres_server
from tests.support.s3 import S3Server, bucket, s3_server

__all__ = ["bucket", "postgres", "postgres_server", "s3_server"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the testcard engine and default settings."""
    with running(make_settings(tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest) -> str:
    """LIMNER_DATABASE for each kind of database, with nothing in it."""
    return str(request.getfixturevalue("postgres")) if request.param == "postgres" else ""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[GatedEngine]:
    """An engine that draws when told to, known to limner as "gated"."""
    engine = GatedEngine()
    info = registry.EngineInfo(
        "gated", "for tests", "limner.engines.testcard", None, lambda module, settings: engine
    )
    monkeypatch.setitem(registry.BUILT_IN, "gated", info)
    yield engine
    engine.let_all_go()


@pytest.fixture
def gated(engine: GatedEngine, tmp_path: Path) -> Iterator[Server]:
    """A server that draws with `engine`, and lets two requests wait."""
    with running(make_settings(tmp_path, engine="gated", queue=2)) as server:
        yield server
        engine.let_all_go()


@pytest.fixture(scope="module", params=["lenient", "strict"])
def client(server: Server, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    """The openai client, also with every answer compared with its types."""
    with OpenAI(
        base_url=f"{server.url}/v1",
        api_key="none",
        max_retries=0,
        _strict_response_validation=request.param == "strict",
    ) as client:
        yield client


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of its own, for each kind of store."""
    values = {}
    if request.param == "bucket":
        s3_server: S3Server = request.getfixturevalue("s3_server")
        values = s3_server.settings(request.getfixturevalue("bucket"))
    with running(make_settings(tmp_path, **values)) as server:
        yield server
