"""A file is there whole or not at all, whatever stands in the way."""

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from limner.errors import OutputError
from limner.storage import files


@contextmanager
def full_after_4_kb() -> Iterator[None]:
    """Let the system refuse any file of this process beyond 4,096 bytes.

    Not a fixture: pytest reports a test before it takes fixtures down, perhaps into a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_new_file_gets_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_whole(tmp_path / "new", b"data")
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_bytes() == b"data"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_overwritten_file_keeps_its_permissions_and_its_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old and longer")
    (tmp_path / "file").chmod(0o604)
    (tmp_path / "link").symlink_to("file")
    files.write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o604
    assert len(list(tmp_path.iterdir())) == 2


def test_reader_under_way_sees_the_old_file_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old" * 1000)
    with (tmp_path / "file").open("rb", buffering=0) as reader:
        first = reader.read(1500)
        files.write_whole(tmp_path / "file", b"new" * 1000)
        assert first + reader.read() == b"old" * 1000


def test_without_overwrite_what_exists_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("file", "dangling"):
        with pytest.raises(FileExistsError):
            files.write_whole(tmp_path / name, b"new", overwrite=False)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file"]


def test_without_hard_links_what_exists_still_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # what FAT and some networks answer

    monkeypatch.setattr(os, "link", refuse)
    files.write_whole(tmp_path / "file", b"first", overwrite=False)
    with pytest.raises(FileExistsError):
        files.write_whole(tmp_path / "file", b"second", overwrite=False)
    assert (tmp_path / "file").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1


def test_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with full_after_4_kb(), pytest.raises(OutputError, match="file too large") as caught:
        files.write_whole(tmp_path / "file", b"x" * 5000)
    assert caught.value.hint == "free some space, or write to another disk"
    with full_after_4_kb(), pytest.raises(OutputError):
        files.write_whole(tmp_path / "other", b"x" * 5000)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_device_is_written_into_and_never_replaced() -> None:
    files.check_writable(Path("/dev/null"))
    files.write_whole(Path("/dev/null"), b"data")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(OutputError, match="Cannot write /dev/full: no space left") as caught:
        files.write_whole(Path("/dev/full"), b"data")
    assert caught.value.hint == "free some space, or write to another disk"


@pytest.mark.parametrize("act", [files.check_writable, lambda path: files.write_whole(path, b"x")])
@pytest.mark.parametrize(
    ("name", "words", "hint"),
    [
        ("missing/file", "no such file or directory", "mkdir -p"),
        ("plain/file", "not a directory", "is a file where a folder must be"),
        ("x" * 300, "file name too long", None),
    ],
)
def test_place_that_cannot_be_written_says_why(
    tmp_path: Path, act: object, name: str, words: str, hint: str | None
) -> None:
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(OutputError, match=words) as caught:
        act(tmp_path / name)  # type: ignore[operator]
    assert hint is None or hint in str(caught.value.hint)
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]


def test_kernel_files_and_folders_are_no_place_for_pictures(tmp_path: Path) -> None:
    for path in (Path("/proc/picture.png"), tmp_path):
        with pytest.raises(OutputError, match=str(path)):
            files.check_writable(path)


def test_check_leaves_no_trace_and_does_not_touch_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    before = (tmp_path / "file").stat()
    files.check_writable(tmp_path / "file")
    files.check_writable(tmp_path / "new")
    assert (tmp_path / "file").stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_ctrl_c_while_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_whole(tmp_path / "file", b"data")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.png", "png"), ("a.JPG", "jpeg"), ("a.b.jpeg", "jpeg"), ("é.WebP", "webp")],
)
def test_format_follows_the_ending(name: str, format: str) -> None:
    assert files.format_from_path(Path(name)) == format


@pytest.mark.parametrize("name", ["a.bmp", "a", ".png", "a.png.txt", "a."])
def test_unknown_ending_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(OutputError) as caught:
        files.format_from_path(Path(name))
    assert caught.value.hint == "use one of .png, .jpg, .jpeg, .webp, .gif, .svg"
