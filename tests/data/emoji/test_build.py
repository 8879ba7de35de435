import json
from pathlib import Path

import pytest

from limner.data.emoji import build, npm
from limner.data.emoji.build import BuildConfig
from limner.errors import DataError, InvalidRequest

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
