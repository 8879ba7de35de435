"""Keys are stored as hashes, work until they are revoked, and never twice under one name."""

from __future__ import annotations

import pytest

from limner.errors import InvalidRequest
from limner.storage.db.database import FILE, Database
from limner.storage.db.keys import KeyStore, Limits, hash_of


def test_key_is_stored_as_a_hash_alone(database: Database) -> None:
    store = KeyStore(database)
    limits = Limits(1, 2, 3, 4)
    secret = store.create("phone", ["draw", "admin"], limits)
    assert secret.startswith("sk-limner-")
    assert len(secret) > 40
    [key] = store.all()
    assert (key.name, key.scopes, key.limits) == ("phone", ("draw", "admin"), limits)
    assert (key.hash, key.revoked_s) == (hash_of(secret), None)
    if database.is_sqlite:
        for file in database._path.parent.glob(FILE + "*"):
            assert secret.encode() not in file.read_bytes()


def test_revoked_key_keeps_its_name(database: Database) -> None:
    store = KeyStore(database)
    store.create("phone")
    store.revoke("phone")
    [key] = store.all()
    assert key.revoked_s is not None
    for name in ("phone", "tablet"):
        with pytest.raises(InvalidRequest, match=f"no key named {name} that works"):
            store.revoke(name)
    with pytest.raises(InvalidRequest, match="already"):
        store.create("phone")


@pytest.mark.parametrize("name", ["", "a b", "key-1", "x" * 65, "-x", "é", "a\nb"])
def test_names_that_cannot_be(database: Database, name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be the name"):
        KeyStore(database).create(name)


def test_pictures_of_a_day_are_counted_up_to_the_limit(database: Database) -> None:
    store = KeyStore(database)
    assert [store.count_pictures("a", "2026-11-24", 4, 10) for _ in range(4)] == [0, 4, 8, 8]
    assert store.count_pictures("a", "2026-11-24", 2, 10) == 8
    assert store.count_pictures("a", "2026-11-25", 1, 10) == 0
    assert store.count_pictures("b", "2026-11-24", 1, 10) == 0
