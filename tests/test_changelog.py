"""The newest entry of the changelog belongs to the version that is installed."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
# "## [0.1.0] - 2026-11-23", or "unreleased" in place of the day
_HEADING = re.compile(r"## \[(?P<version>\d+\.\d+\.\d+)\] - (?P<day>\d{4}-\d{2}-\d{2}|unreleased)")


def _headings() -> list[re.Match[str]]:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    matches = [(_HEADING.fullmatch(line), line) for line in lines if line.startswith("## ")]
    assert all(match for match, _ in matches), [line for match, line in matches if not match]
    return [match for match, _ in matches if match]


def test_newest_entry_is_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert _headings()[0]["version"] == project["version"] == version("limner")


def test_entries_go_from_new_to_old_and_only_the_newest_may_be_unreleased() -> None:
    headings = _headings()
    versions = [tuple(map(int, match["version"].split("."))) for match in headings]
    assert versions == sorted(set(versions), reverse=True)
    assert all(match["day"] != "unreleased" for match in headings[1:])
