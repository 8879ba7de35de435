"""What the documents say of the project's layers, rooms and dependencies is what there is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DEPENDENCIES = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def _rows(text: str) -> list[list[str]]:
    """The cells of every table row, heads and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_picture_of_the_layers_is_the_contract() -> None:
    block = re.search(r"```layers\n(.*?)```", ARCHITECTURE, re.DOTALL)
    assert block is not None
    [contract] = PYPROJECT["tool"]["importlinter"]["contracts"]
    layers = [re.sub(r"[()]", "", layer) for layer in contract["layers"]]
    assert block[1].splitlines() == layers


def test_there_is_a_row_for_every_package_of_the_code() -> None:
    packages = {path.parent for path in (ROOT / "limner").rglob("*.py")}
    named = {row[0].strip("`/") for row in _rows(ARCHITECTURE)}
    assert {package.relative_to(ROOT).as_posix() for package in packages} <= named


def _ranges(requirements: list[str]) -> dict[str, str]:
    pairs = (
        re.fullmatch(r"([a-z0-9-]+(?:\[\w+\])?)(.*)", requirement) for requirement in requirements
    )
    return {match[1]: match[2] for match in pairs if match}


def test_every_dependency_is_documented_with_its_range() -> None:
    project = PYPROJECT["project"]
    wanted = _ranges(project["dependencies"])
    for requirements in project["optional-dependencies"].values():
        wanted |= _ranges(requirements)
    documented = {row[0].strip("`"): row[1].strip("`") for row in _rows(DEPENDENCIES)}
    assert documented == wanted


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    targets = [link for link in links if not link.startswith(("https:", "http:"))]
    assert [link for link in targets if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_named_in_the_text_exist(document: Path) -> None:
    path = r"`((?:limner|tests|benchmarks|runs|deploy|docs)/[\w/.-]*?)`"
    names = re.findall(path, document.read_text(encoding="utf-8"))
    assert [name for name in names if not (ROOT / name).exists()] == []
