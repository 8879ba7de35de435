import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.data.emoji.library import Library
from limner.data.sources.base import Sample, SceneSource
from limner.data.sources.shards import ShardSource, safe_name, write_shards
from limner.errors import DataError


def _samples(library: Library, n: int) -> Iterator[Sample]:
    source = SceneSource(library, n)
    return (source.get(index, 32) for index in range(n))


def test_samples_survive_the_way_exactly(library: Library, tmp_path: Path) -> None:
    paths = write_shards(_samples(library, 12), tmp_path, "train")
    assert [path.name for path in paths] == ["train-00000.tar"]
    source = ShardSource(tmp_path)
    read = {source.get(index, 32).key: source.get(index, 32) for index in range(len(source))}
    for sample in _samples(library, 12):
        back = read[sample.key]
        np.testing.assert_array_equal(back.picture, sample.picture)
        assert back.spec == sample.spec
        said = {text for texts in sample.captions.values() for text in texts}
        assert {text for texts in back.captions.values() for text in texts} == said


def test_shards_are_split_by_size_and_equal_each_time(library: Library, tmp_path: Path) -> None:
    paths = write_shards(_samples(library, 12), tmp_path / "a", max_bytes=20_000)
    again = write_shards(_samples(library, 12), tmp_path / "b", max_bytes=20_000)
    assert len(paths) > 1
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]
    assert len(ShardSource(tmp_path / "a")) == 12


def test_another_size_is_scaled(library: Library, tmp_path: Path) -> None:
    write_shards(_samples(library, 1), tmp_path)
    assert ShardSource(tmp_path).get(0, 20).picture.shape == (20, 20, 4)


def test_two_samples_of_one_key_are_refused(library: Library, tmp_path: Path) -> None:
    (sample,) = _samples(library, 1)
    with pytest.raises(DataError, match="Two samples"):
        write_shards([sample, sample], tmp_path)


@given(st.text(min_size=1))
def test_any_key_becomes_a_safe_name(key: str) -> None:
    name = safe_name(key)
    assert name.isascii()
    assert len(name) < 200
    assert not name.startswith(("/", ".", "-"))
    assert ".." not in name.split("/")
    assert "" not in name.split("/")


def test_different_keys_have_different_names() -> None:
    keys = ["a/b", "a//b", "../a/b", "猫", "狗", "a b", "a_b", "..", "x" * 300, "y" * 300]
    assert len({safe_name(key) for key in keys}) == len(keys)
    assert safe_name("scene/train/0/17") == "scene/train/0/17"


def _tar(path: Path, members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type = (len(content), kind) if kind == tarfile.REGTYPE else (0, kind)
            archive.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.png": b"x"}, "has no a.txt"),
        ({"../a.png": b"x", "../a.txt": b"y"}, "not a plain file"),
        ({"/a.png": b"x", "/a.txt": b"y"}, "not a plain file"),
    ],
)
def test_foreign_shards_are_checked(
    tmp_path: Path, members: dict[str, bytes], message: str
) -> None:
    _tar(tmp_path / "x.tar", members)
    with pytest.raises(DataError, match=message):
        ShardSource(tmp_path)


def test_links_are_refused(tmp_path: Path) -> None:
    _tar(tmp_path / "x.tar", {"a.png": b""}, tarfile.SYMTYPE)
    with pytest.raises(DataError, match="not a plain file"):
        ShardSource(tmp_path)


def test_a_broken_member_is_named(tmp_path: Path) -> None:
    _tar(tmp_path / "x.tar", {"cat.png": b"no picture", "cat.txt": b"a cat"})
    with pytest.raises(DataError, match=r"x\.tar, cat"):
        ShardSource(tmp_path).get(0, 16)


def test_a_shard_cut_short_is_named(library: Library, tmp_path: Path) -> None:
    (path,) = write_shards(_samples(library, 3), tmp_path)
    source = ShardSource(tmp_path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match="cut short"):
        source.get(2, 32)
    path.write_bytes(b"not a tar at all" * 100)
    with pytest.raises(DataError, match="cannot be read"):
        ShardSource(tmp_path)


def test_an_empty_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no shard"):
        ShardSource(tmp_path)
