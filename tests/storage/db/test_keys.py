"""Keys are stored as hashes, work until they are revoked, and never twice under one name."""

from __future__ import annotations

import pytest

from limner.errors import InvalidRequest
from limner.storage.db.database import FILE, Database
from limner.storage.db.keys import (
    KeyStore,
    Limits,
    hash_of,
    setting_name,
)


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


@pytest.mark.parametrize(
    "name", ["", "a b", "key-1", "key-0123456789ab", "x" * 65, "-x", "é", "a\nb"]
)
def test_names_that_cannot_be(database: Database, name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be the name"):
        KeyStore(database).create(name)


def test_pictures_of_a_day_are_counted_up_to_the_limit(database: Database) -> None:
    store = KeyStore(database)
    assert [store.count_pictures("a", "2026-11-24", 4, 10) for _ in range(4)] == [0, 4, 8, 8]
    assert store.count_pictures("a", "2026-11-24", 2, 10) == 8
    assert store.count_pictures("a", "2026-11-25", 1, 10) == 0
    assert store.count_pictures("b", "2026-11-24", 1, 10) == 0


def test_key_of_the_settings_is_named_by_itself(database: Database) -> None:
    name = setting_name("sk-one")
    assert name == f"key-{hash_of('sk-one')[:12]}"
    with pytest.raises(InvalidRequest, match="cannot be the name"):
        KeyStore(database).create(name)


def _ask(database: Database, key_name: str, *keys: str) -> None:
    """A request for each Idempotency-Key of `keys`."""
    for key in keys:
        id = f"req_{key_name}_{key}"
        database.execute(
            "INSERT INTO requests (id, place, key_name, created_s, kind, model, prompt, "
            "parameters, state) VALUES (?, '', ?, 0, 'generation', 'nano', 'a cat', '{}', 'done')",
            [id, key_name],
        )
        database.execute(
            "INSERT INTO idempotency_keys VALUES (?, ?, '', ?, 0)", [key_name, key, id]
        )


def test_requests_of_a_name_by_place_are_moved_whole_and_once(database: Database) -> None:
    store = KeyStore(database)
    new = setting_name("sk-one")
    _ask(database, "key-1", "a", "b")
    _ask(database, "key-2", "a")
    _ask(database, new, "b", "c")
    _ask(database, "key-phone", "a")
    _ask(database, "key-123456789012", "a")  # a hash of digits alone
    assert store.names_by_place() == {"key-1": 2, "key-2": 1}
    assert store.move("key-1", new) == 2
    assert store.names_by_place() == {"key-2": 1}
    rows = database.read("SELECT id FROM requests WHERE key_name = ? ORDER BY id", [new])
    ids = ["req_key-1_a", "req_key-1_b", f"req_{new}_b", f"req_{new}_c"]
    assert [row["id"] for row in rows] == ids
    firsts = database.read(
        "SELECT key, request_id FROM idempotency_keys WHERE key_name = ? ORDER BY key", [new]
    )
    assert [row["request_id"] for row in firsts] == [ids[0], ids[2], ids[3]]
    for old, words in (
        ("key-1", "Nothing in the history"),
        ("key-phone", "no name that a key had"),
        (new, "no name that a key had"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            store.move(old, "x")
