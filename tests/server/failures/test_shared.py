"""Two servers, one PostgreSQL, one S3 store: what one does, the other knows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from limner.service.access.auth import KNOWN_FOR_S
from limner.storage.blobs.opening import open_store
from limner.storage.db.database import Database
from limner.storage.db.keys import KeyStore
from tests.server.helpers import (
    GENERATIONS,
    HISTORY,
    assert_openai_error,
    make_settings,
    open_picture,
)
from tests.server.processes import CAT, serving
from tests.support.s3 import S3Server

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(
    tmp_path: Path, postgres: str, bucket: str, s3_server: S3Server
) -> Iterator[list[httpx2.Client]]:
    """Clients of two servers with a home of their own each, and all else in common."""
    values = {"engine": "testcard", "database": postgres} | s3_server.settings(bucket)
    with (
        serving(tmp_path / "one", **values) as (_, one),
        serving(tmp_path / "two", **values) as (_, two),
        httpx2.Client(base_url=one, timeout=60) as first,
        httpx2.Client(base_url=two, timeout=60) as second,
    ):
        yield [first, second]


def test_picture_of_one_is_served_and_deleted_by_the_other(
    pair: list[httpx2.Client], tmp_path: Path, postgres: str, bucket: str, s3_server: S3Server
) -> None:
    one, two = pair
    answer = one.post(GENERATIONS, json=CAT | {"response_format": "url"})
    path = _without_host(answer.json()["data"][0]["url"])
    data = one.get(path).content
    assert open_picture(data).size == (256, 256)
    assert two.get(path).content == data
    [row] = two.get(HISTORY).json()["data"]
    assert (row["id"], row["status"]) == (answer.headers["x-request-id"], "done")
    fresh = row["pictures"][0]["url"]
    assert fresh.startswith(str(two.base_url))
    assert one.get(_without_host(fresh)).content == data
    assert_openai_error(two.get(path.replace("sig=", "sig=0")), 403, "link_expired")
    store = open_store(make_settings(tmp_path, **s3_server.settings(bucket)))
    assert len(list(store.list("history"))) == 1
    assert two.delete(f"{HISTORY}/{row['id']}").json()["deleted"] is True
    assert list(store.list("history")) == []
    for client in pair:
        assert_openai_error(client.get(path), 404, "unknown_url")
        assert_openai_error(client.get(f"{HISTORY}/{row['id']}"), 404, "not_found")
        assert client.get(HISTORY).json()["data"] == []


def _without_host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_key_works_and_ends_on_both_within_the_bound(
    pair: list[httpx2.Client], tmp_path: Path, postgres: str
) -> None:
    database = Database(postgres, tmp_path)
    keys = KeyStore(database)
    secret = keys.create("phone")
    headers = {"authorization": f"Bearer {secret}"}
    _wait_for(pair, headers, 200)
    for client in pair:
        assert_openai_error(client.post(GENERATIONS, json=CAT), 401, None)
        client.post(GENERATIONS, json=CAT, headers=headers).raise_for_status()
    assert [row["key"] for row in pair[0].get(HISTORY, headers=headers).json()["data"]] == [
        "phone",
        "phone",
    ]
    keys.revoke("phone")
    _wait_for(pair, headers, 401)
    for client in pair:
        assert_openai_error(client.get(HISTORY, headers=headers), 401, "invalid_api_key")
    database.close()


def _wait_for(pair: list[httpx2.Client], headers: dict[str, str], status: int) -> None:
    """Each of them answers so once the time is over in which it need not read keys again."""
    changed_s = time.monotonic()
    # Both have just read the keys, or this would be tested with luck.
    for client in pair:
        client.get("/v1/models", headers=headers)
    time.sleep(max(0.0, KNOWN_FOR_S - (time.monotonic() - changed_s)))
    for client in pair:
        assert client.get("/v1/models", headers=headers).status_code == status
