import base64
import gzip
import hashlib
import io
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from limner.data.emoji import art, debian, npm
from limner.data.emoji.npm import (
    PACKAGES,
    Package,
    fetch,
    is_fetched,
    safe_path,
    unpack,
)
from limner.errors import DataError

GOOD = {"package/icons.json": b"{}", "package/en/data.json": b"[]"}


def _tarball(path: Path, members: dict[str, bytes], link: str | None = None) -> str:
    """Writes a tarball; returns its hash as npm writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link is not None:
            info = tarfile.TarInfo("package/link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    # Without time and file name in its header, the same members have the same hash.
    path.write_bytes(gzip.compress(buffer.getvalue(), mtime=0))
    digest = hashlib.sha512(path.read_bytes()).digest()
    return "sha512-" + base64.b64encode(digest).decode()


class Registry:
    """Stands in for npm: packs one tarball, or fails in npm's words."""

    def __init__(self, members: dict[str, bytes] | None = None, error: str = "") -> None:
        self.members, self.error = members, error
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        if self.error:
            return subprocess.CompletedProcess(command, 1, "", self.error)
        _tarball(folder / "made.tgz", self.members or {})
        return subprocess.CompletedProcess(command, 0, "made.tgz\n", "")


@pytest.fixture
def package(tmp_path: Path) -> Package:
    integrity = _tarball(tmp_path / "other" / "x.tgz", GOOD)
    return Package("@scope/thing", "1.2.3", integrity, "MIT", "Somebody")


def test_every_artist_and_the_words_are_pinned() -> None:
    of_npm = {*art.ALL_ARTISTS, "emojibase-data"} - {debian.OPENCLIPART.folder}
    assert {package.folder for package in PACKAGES} == of_npm
    for package in PACKAGES:
        scheme, _, digest = package.integrity.partition("-")
        assert scheme == "sha512"
        assert len(base64.b64decode(digest, validate=True)) == 64
        assert package.licence in {"MIT", "Apache-2.0", "CC-BY-4.0", "CC0-1.0"}
        assert package.version.count(".") == 2
        assert package.author


def test_a_package_is_fetched_once(tmp_path: Path, package: Package) -> None:
    registry = Registry(GOOD)
    assert fetch(package, tmp_path, registry)
    assert registry.commands == [
        ["npm", "pack", "--silent", "--ignore-scripts", "@scope/thing@1.2.3"]
    ]
    assert (tmp_path / "thing" / "en" / "data.json").read_bytes() == b"[]"
    assert is_fetched(package, tmp_path)
    assert not fetch(package, tmp_path, Registry(error="must not be asked"))


def test_a_tarball_that_is_there_needs_no_network(tmp_path: Path, package: Package) -> None:
    _tarball(tmp_path / "tarballs" / "scope-thing-1.2.3.tgz", GOOD)
    assert fetch(package, tmp_path, Registry(error="must not be asked"))
    assert is_fetched(package, tmp_path)


def test_another_version_replaces_the_old_one(tmp_path: Path, package: Package) -> None:
    fetch(package, tmp_path, Registry(GOOD))
    members = {"package/icons.json": b'{"new": 1}'}
    integrity = _tarball(tmp_path / "other" / "y.tgz", members)
    newer = replace(package, version="1.3.0", integrity=integrity)
    assert fetch(newer, tmp_path, Registry(members))
    assert (tmp_path / "thing" / "icons.json").read_bytes() == b'{"new": 1}'
    assert not (tmp_path / "thing" / "en").exists()
    assert not is_fetched(package, tmp_path)


def test_a_wrong_hash_is_refused_and_nothing_unpacked(tmp_path: Path, package: Package) -> None:
    with pytest.raises(DataError, match="not the pinned package") as failure:
        fetch(package, tmp_path, Registry({"package/icons.json": b"changed"}))
    assert package.integrity in failure.value.message
    assert "scope-thing-1.2.3.tgz" in str(failure.value.hint)
    assert not (tmp_path / "thing").exists()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("npm error code ENOTFOUND\nnpm error network request failed", "cannot reach its registry"),
        ("npm error code E404\nnpm error 404 Not Found", "cannot fetch @scope/thing@1.2.3"),
        ("", "it ended with code 1"),
    ],
)
def test_npm_failures_are_told(tmp_path: Path, package: Package, said: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fetch(package, tmp_path, Registry(error=said or " "))
    assert list((tmp_path / "tarballs").iterdir()) == []


def test_no_npm_is_a_clear_error(
    tmp_path: Path, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="no `npm`") as failure:
        fetch(package, tmp_path)
    assert "Node.js" in str(failure.value.hint)


def test_the_real_client_is_called_in_the_given_folder(
    tmp_path: Path, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec /bin/cp "{tmp_path}/other/x.tgz" packed.tgz\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert fetch(package, tmp_path / "npm-folder")
    assert is_fetched(package, tmp_path / "npm-folder")


@pytest.mark.parametrize(
    "name", ["package/../../evil", "/etc/passwd", "package", "..", "package/a\\..\\b", ""]
)
def test_paths_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="leads out"):
        safe_path(name)


def test_a_bad_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    for number, (members, link) in enumerate(
        [({"package/a": b"1", "package/../../evil": b"2"}, None), (GOOD, "/etc/passwd")]
    ):
        tarball = tmp_path / f"{number}.tgz"
        _tarball(tarball, members, link)
        with pytest.raises(DataError):
            unpack(tarball, tmp_path / "target", "stamp")
    (tmp_path / "2.tgz").write_bytes((tmp_path / "0.tgz").read_bytes()[:60])
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(tmp_path / "2.tgz", tmp_path / "target", "stamp")
    assert {path.name for path in tmp_path.iterdir()} == {"0.tgz", "1.tgz", "2.tgz"} | (
        {"limner-home"} & {path.name for path in tmp_path.iterdir()}
    )


def test_a_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm, "MAX_UNPACKED_BYTES", 1000)
    _tarball(tmp_path / "x.tgz", {"package/zeros": bytes(2000)})
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        unpack(tmp_path / "x.tgz", tmp_path / "target", "stamp")


def test_the_documents_name_every_package_as_it_is_pinned() -> None:
    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in text.splitlines()]
    told = [row for row in rows if row and row[0].startswith(("`@", "`emojibase"))]
    assert told == [[f"`{p.name}`", p.version, p.licence, p.author] for p in PACKAGES]
