import hashlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from limner.data.emoji import debian
from limner.data.emoji.debian import OPENCLIPART, DebianPackage
from limner.errors import DataError
from tests.data.emoji.packages import write_deb

CONTENTS = {"usr/share/a.svg": b"<svg/>", "usr/share/b.svg": b"<svg>b</svg>"}


@pytest.fixture
def package(tmp_path: Path) -> DebianPackage:
    write_deb(tmp_path / "made.deb", CONTENTS)
    digest = hashlib.sha256((tmp_path / "made.deb").read_bytes()).hexdigest()
    return DebianPackage("things", "1:2.0-3", digest, "public domain", "Somebody", "things")


def test_it_is_fetched_once_and_only_at_its_version(package: DebianPackage, tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        shutil.copy(tmp_path / "made.deb", folder / "things_1%3a2.0-3_all.deb")
        return subprocess.CompletedProcess(command, 0, "", "")

    for _ in range(2):
        path = debian.fetch(package, tmp_path / "debian", run)
    assert asked == [["apt-get", "download", "things=1:2.0-3"]]
    assert path.name == "things_2.0-3.deb"
    assert dict(debian.members(path)) == CONTENTS  # without the links


def test_another_package_is_refused(package: DebianPackage, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "made.deb", tmp_path / package.file)
    with pytest.raises(DataError, match="not the pinned package") as raised:
        debian.fetch(replace(package, sha256="0" * 64), tmp_path)
    assert "Delete" in str(raised.value.hint)


def test_the_clients_own_words_are_in_the_error(package: DebianPackage, tmp_path: Path) -> None:
    def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 100, "", "W: first\nE: Unable to locate it\n")

    with pytest.raises(DataError, match="Unable to locate it") as raised:
        debian.fetch(package, tmp_path / "debian", run)
    assert package.file in str(raised.value.hint)


def test_without_the_client_the_way_out_is_named(
    package: DebianPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(DataError, match="no `apt-get`") as raised:
        debian.fetch(package, tmp_path / "debian")
    assert "LIMNER_HOME/data/debian" in str(raised.value.hint)


@pytest.mark.parametrize("content", [b"", b"!<arch>\n", b"!<arch>\n" + b"x" * 80])
def test_what_is_no_package_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(content)
    with pytest.raises(DataError, match="no Debian package"):
        list(debian.members(tmp_path / "x.deb"))


def test_a_broken_archive_and_limits_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.deb"
    write_deb(path, CONTENTS)
    monkeypatch.setattr(debian, "MAX_FILE_BYTES", 3)
    with pytest.raises(DataError, match="6 bytes; the limit is 3"):
        list(debian.members(path))
    monkeypatch.setattr(debian, "MAX_FILES", 0)
    with pytest.raises(DataError, match="more than 0 files"):
        list(debian.members(path))
    path.write_bytes(path.read_bytes().replace(b"\xfd7zXZ", b"odd!!!"))
    with pytest.raises(DataError, match="cannot be unpacked"):
        list(debian.members(path))


def test_the_clip_art_is_pinned() -> None:
    assert len(bytes.fromhex(OPENCLIPART.sha256)) == 32
    assert OPENCLIPART.file == "openclipart-svg_0.18+dfsg-19.deb"
