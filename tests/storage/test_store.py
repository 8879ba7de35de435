"""A folder and a bucket keep pictures alike: whole or not at all, and gone once deleted."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from limner import settings as settings_module
from limner.errors import (
    MissingExtra,
    OutputError,
    SettingsError,
    StoreError,
)
from limner.storage.blobs import s3
from limner.storage.blobs import store as pictures
from limner.storage.blobs.folder import Folder
from limner.storage.blobs.opening import open_store
from limner.storage.blobs.store import Store
from tests.support.ports import free_port
from tests.support.s3 import CREDENTIALS, READER, S3Server


def _files(store: Store, folder: str = "history") -> set[str]:
    return {entry.file for entry in store.list(folder)}


def test_what_is_put_is_got_listed_and_deleted(store: Store) -> None:
    assert store.get("history/a.png") is None
    assert _files(store) == set()
    large = bytes(range(256)) * 20_000
    store.put("history/a.png", large)
    store.put("history/b.png", b"second")
    store.put("pictures/c.png", b"elsewhere")
    store.put("history/b.png", b"another")
    found = store.get("history/a.png")
    assert found
    assert all(len(chunk) <= 10 * pictures.CHUNK_BYTES for chunk in found.chunks)
    found.close()
    for name, data in (("a", large), ("b", b"another")):
        found = store.get(f"history/{name}.png")
        assert found
        assert found.read() == data
    assert _files(store) == {"a.png", "b.png"}
    store.delete(["history/a.png", "history/never.png"])
    store.delete([])
    assert _files(store) == {"b.png"}
    assert store.get("history/a.png") is None
    assert _files(store, "pictures") == {"c.png"}
    assert store.where("history/a.png").startswith(store.name.split(" ")[0])


def test_what_is_begun_to_be_read_is_read_to_its_end(store: Store) -> None:
    store.put("history/a.png", b"picture")
    found = store.get("history/a.png")
    store.delete(["history/a.png"])
    assert found
    assert found.read() == b"picture"


def test_part_is_read(store: Store) -> None:
    data = bytes(range(256)) * 4_000
    store.put("history/a.png", data)
    for start, end in ((0, 1), (3, 300_009), (len(data) - 1, len(data)), (0, len(data))):
        found = store.get("history/a.png", (start, end))
        assert found
        assert found.read() == data[start:end]
    assert store.get("history/b.png", (0, 1)) is None


def test_look_tells_size_and_time_and_tells_others_apart(store: Store) -> None:
    assert store.look("history/a.png") is None
    store.put("history/a.png", b"picture")
    first = store.look("history/a.png")
    assert first
    assert first.n_bytes == 7
    assert abs(first.changed_s - time.time()) < 60
    assert first.tag.isascii()
    assert not {'"', " "} & set(first.tag)
    assert store.look("history/a.png") == first
    store.put("history/a.png", b"another")
    second = store.look("history/a.png")
    assert second
    assert second.tag != first.tag


def test_age_is_told(store: Store) -> None:
    store.put("history/a.png", b"picture")
    now_s = time.time()
    [entry] = store.list("history")
    assert abs(entry.changed_s - now_s) < 60


def test_emptiness_is_told_and_only_files_are_listed(store: Store) -> None:
    assert store.is_empty("history")
    store.put("history/a.png", b"picture")
    store.put("history/more/b.png", b"below")
    assert not store.is_empty("history")
    assert store.is_empty("pictures")
    assert _files(store) == {"a.png"}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_folder_and_files_are_their_owners_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = Folder(tmp_path / "store")
        store.put("place", b"name")
        store.put("history/a.png", b"picture")
    finally:
        os.umask(before)
    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
    }
    assert modes == {
        "store": 0o700,
        "store/place": 0o600,
        "store/history": 0o700,
        "store/history/a.png": 0o600,
    }


def test_what_an_earlier_limner_left_open_is_closed_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    folder.mkdir(mode=0o755)
    ours, foreign = folder / f"img-{'a' * 24}.png", folder / "notes.txt"
    for path in (ours, foreign):
        path.write_bytes(b"")
        path.chmod(0o644)
    link = folder / f"img-{'b' * 24}.png"
    link.symlink_to(foreign)
    Folder(tmp_path).tighten("history")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, ours, foreign)] == [
        0o700,
        0o600,
        0o644,
    ]


def test_links_are_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.png").write_bytes(b"not ours")
    root = tmp_path / "store"
    root.mkdir()
    (root / "history").symlink_to(elsewhere)
    store = Folder(root)
    calls: list[Any] = [
        lambda: store.put("history/b.png", b"picture"),
        lambda: store.delete(["history/a.png"]),
        lambda: list(store.list("history")),
        lambda: store.is_empty("history"),
        lambda: store.tighten("history"),
    ]
    for call in calls:
        with pytest.raises(SettingsError, match="is a link") as caught:
            call()
        assert "LIMNER_STORE" in str(caught.value.hint)
    assert [path.name for path in elsewhere.iterdir()] == ["a.png"]
    store.put("pictures/c.png", b"picture")
    (root / "pictures" / "d.png").symlink_to(elsewhere / "a.png")
    assert _files(store, "pictures") == {"c.png"}
    assert store.look("pictures/d.png") is None
    with pytest.raises(StoreError):
        store.get("pictures/d.png")


def test_folder_that_is_removed_while_it_is_used_is_noticed(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = Folder(root)
    store.put("place", b"name")
    store.put("history/a.png", b"picture")
    shutil.rmtree(root)
    for _ in range(2):
        for call in (store.reach, lambda: store.put("history/b.png", b"")):
            with pytest.raises(StoreError, match="was removed while it was used"):
                call()
        assert not (root / "history").exists()
        root.mkdir(exist_ok=True)  # as a disk that is unmounted leaves it


def test_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Folder(tmp_path / "file")
    with pytest.raises(OutputError):
        store.put("history/a.png", b"")
    assert store.get("history/a.png") is None
    (tmp_path / "history").mkdir()
    with pytest.raises(StoreError, match="Cannot read"):
        Folder(tmp_path).get("history")


def test_settings_say_which_store(tmp_path: Path) -> None:
    def chosen(store: str) -> Store:
        environ = {"LIMNER_HOME": str(tmp_path), "LIMNER_STORE": store}
        return open_store(settings_module.load(environ=environ, folder=tmp_path))

    home, elsewhere = chosen(""), chosen(str(tmp_path / "shared"))
    assert (home.name, home.is_shared) == (str(tmp_path), False)
    assert (elsewhere.name, elsewhere.is_shared) == (str(tmp_path / "shared"), True)
    bucket = chosen("s3://pictures/limner/")
    assert (bucket.name, bucket.is_shared) == ("s3://pictures/limner", True)
    assert bucket.where("history/a.png") == "s3://pictures/limner/history/a.png"


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingExtra) as caught:
        s3.Bucket("s3://pictures")
    assert caught.value.hint == "pip install 'limner[s3]'"


def test_server_out_of_reach_is_an_error_without_its_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "PATIENCE_S", 0.5)
    endpoint = f"http://127.0.0.1:{free_port()}"
    store = s3.Bucket("s3://pictures/a", endpoint, CREDENTIALS)
    started_s = time.monotonic()
    calls: list[Any] = [
        lambda: store.put("history/a.png", b""),
        lambda: store.get("history/a.png"),
        lambda: store.delete(["history/a.png"]),
        lambda: list(store.list("history")),
        store.reach,
    ]
    for call in calls:
        with pytest.raises(StoreError) as caught:
            call()
        text = str(caught.value)
        assert endpoint in text
        assert "LIMNER_STORE_ENDPOINT" in text
        assert CREDENTIALS.split(":")[1] not in text
        assert "\n" not in caught.value.message
    assert time.monotonic() - started_s < 20


@pytest.mark.slow
def test_variables_of_aws_are_read(
    s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, secret = CREDENTIALS.split(":")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    store = s3.Bucket(bucket)
    assert store.name == f"{bucket} at {s3_server.endpoint}"
    store.put("history/a.png", b"picture")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreError, match="SignatureDoesNotMatch"):
        s3.Bucket(bucket).get("history/a.png")


@pytest.mark.slow
def test_refusals_of_the_server_are_told_apart(s3_server: S3Server, bucket: str) -> None:
    wrong = s3.Bucket(bucket, s3_server.endpoint, "limner:wrong")
    with pytest.raises(StoreError, match="SignatureDoesNotMatch") as caught:
        wrong.get("history/a.png")
    assert "LIMNER_STORE_CREDENTIALS" in str(caught.value.hint)
    reader = s3.Bucket(bucket, s3_server.endpoint, READER)
    assert reader.get("history/a.png") is None
    with pytest.raises(StoreError, match="AccessDenied"):
        reader.put("history/a.png", b"")
    nowhere = s3.Bucket("s3://nowhere", s3_server.endpoint, CREDENTIALS)
    with pytest.raises(StoreError, match="NoSuchBucket") as caught:
        nowhere.get("history/a.png")
    assert "make the bucket" in str(caught.value.hint)
