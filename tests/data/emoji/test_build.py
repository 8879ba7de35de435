import json
import shutil
from pathlib import Path

import pytest

from limner.data.emoji import build, further, npm
from limner.data.emoji.build import BuildConfig
from limner.data.emoji.library import Library
from limner.errors import DataError, InvalidRequest
from tests.data.conftest import disc, write_icons

ARTISTS = ("twemoji", "fxemoji")


def test_a_build_with_fetched_packages_is_offline_and_writes_its_manifest(packages: Path) -> None:
    stages: list[str] = []
    path = build.main(BuildConfig(packages, ARTISTS), lambda stage, done, n: stages.append(stage))
    manifest = json.loads(path.read_text(encoding="utf-8"))
    sources = {row["package"]: row for row in manifest["sources"]}
    assert set(sources) == {"@iconify-json/twemoji", "@iconify-json/fxemoji", "emojibase-data"}
    twemoji = sources["@iconify-json/twemoji"]
    assert (twemoji["licence"], twemoji["author"], twemoji["use"]) == (
        "CC-BY-4.0",
        "Twitter",
        "training",
    )
    assert twemoji["drawings"] == 4
    assert twemoji["skipped"] == {"a duplicate": 1, "flag of a country": 1}
    assert sources["@iconify-json/fxemoji"]["use"] == "judge only"
    assert manifest["totals"]["drawings"] == 5
    assert manifest["totals"]["concepts_with_chinese"] == 3
    assert manifest["skipped"]["flag of a country"] == ["twemoji/flag-for-japan"]
    assert "rendering" in stages


def test_a_build_is_the_same_each_time(packages: Path) -> None:
    first = build.main(BuildConfig(packages, ARTISTS)).read_bytes()
    assert build.main(BuildConfig(packages, ARTISTS)).read_bytes() == first


def test_an_unknown_artist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="'monet'; known are noto"):
        BuildConfig(tmp_path, ("monet",))


def test_what_is_missing_is_fetched(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (packages / "npm" / "twemoji" / ".integrity").unlink()
    asked: list[str] = []

    def refuse(command: list[str], folder: Path) -> None:
        asked.append(command[-1])
        raise DataError("no network here")

    monkeypatch.setattr(npm, "_run", refuse)
    with pytest.raises(DataError, match="no network"):
        build.main(BuildConfig(packages, ARTISTS))
    assert asked == ["@iconify-json/twemoji@1.2.5"]
    assert not (packages / "manifest.json").exists()


def test_further_art_is_built_beside_and_changes_nothing_else(packages: Path) -> None:
    write_further(packages)
    before = Library.open(packages, ARTISTS)
    path = build.main(BuildConfig(packages, (*ARTISTS, "icon-park")))
    manifest = json.loads(path.read_text(encoding="utf-8"))
    (source,) = [row for row in manifest["sources"] if row["package"] == "@iconify-json/icon-park"]
    assert source["use"] == "training that asks for more-art"
    assert (source["drawings"], source["concepts"]) == (2, 2)
    assert source["skipped"] == {further.NO_NAME: 1, "a duplicate": 1}
    after = Library.open(packages, (*ARTISTS, "icon-park"))
    assert after.entries[: len(before)] == before.entries
    assert dict(after.skipped)["icon-park/bone"] == "the same picture as fxemoji/redapple"
    assert [entry.concept.key for entry in after.entries[len(before) :]] == ["1F697", "name:comb"]


def test_without_a_debian_client_the_other_art_is_built(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    path = build.main(BuildConfig(packages, (*ARTISTS, "openclipart")))
    assert "apt-get" in build.missing(path)["openclipart"]
    with pytest.raises(DataError, match="apt-get"):
        build.main(BuildConfig(packages, ("openclipart",)))


def write_further(packages: Path) -> None:
    """Four drawings of an artist: a thing, a car, the judge's apple, and one without a name."""
    icons = {
        "car": disc("#3b88c3", 4),
        "comb": disc("#3b88c3", 3),
        "bone": disc("#cc0000", 3),
        "align-bottom": disc("#3b88c3", 2),
    }
    folder = packages / "npm" / "icon-park"
    write_icons(folder, icons, {})
    (package,) = [one for one in npm.PACKAGES if one.folder == "icon-park"]
    (folder / ".integrity").write_text(package.integrity)
