"""Small stand-ins for the downloads: packages with a handful of drawings, and the drawn shapes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limner.data.emoji import npm
from limner.data.emoji.library import Library
from limner.data.sources import shapes

EMOJI = [
    # hexcode, English, Chinese, group, subgroup, tags
    ("1F34E", "red apple", "红苹果", 4, 42, ["fruit", "ripe"], ["水果", "熟了"]),
    ("1F34F", "green apple", "青苹果", 4, 42, ["fruit", "sour"], ["水果", "酸"]),
    ("1F408", "cat", "猫", 3, 34, ["pet", "kitty"], ["宠物", "猫咪"]),
    ("1F697", "automobile", "汽车", 5, 54, ["car"], ["小汽车"]),
    ("1F468-200D-1F33E", "man farmer", "农夫", 1, 25, ["farm"], ["种地"]),
    ("1F9D1-200D-1F33E", "farmer", "农民", 1, 25, ["farm"], ["种地"]),
    ("1F1EF-1F1F5", "flag: Japan", "旗: 日本", 9, 98, ["flag"], ["旗"]),
    ("2764-FE0F", "red heart", "红心", 0, 14, ["love"], ["爱"]),
]
SUBGROUPS = {
    14: "heart",
    25: "person-role",
    34: "animal-mammal",
    42: "food-fruit",
    54: "transport-ground",
    98: "country-flag",
}


def disc(colour: str, radius: int = 7) -> str:
    return f'<circle cx="8" cy="8" r="{radius}" fill="{colour}"/>'


def write_icons(folder: Path, icons: dict[str, str], chars: dict[str, str]) -> None:
    """An icon package as npm unpacks it: bodies by name, and names by code points."""
    folder.mkdir(parents=True)
    table = {"prefix": folder.name, "width": 16, "height": 16}
    rows = {name: {"body": body} for name, body in icons.items()}
    (folder / "icons.json").write_text(json.dumps({**table, "icons": rows}))
    (folder / "chars.json").write_text(json.dumps(chars))


def write_words(folder: Path) -> None:
    """The word tables of EMOJI, in the layout of emojibase-data."""
    for place, lang in enumerate(("en", "zh")):
        (folder / lang / "shortcodes").mkdir(parents=True)
        rows: list[dict[str, Any]] = [
            {
                "hexcode": row[0],
                "label": row[1 + place],
                "emoji": "".join(chr(int(part, 16)) for part in row[0].split("-")),
                "group": row[3],
                "subgroup": row[4],
                "tags": row[5 + place],
            }
            for row in EMOJI
        ]
        rows[4]["gender"] = 1
        rows[4]["skins"] = [
            {"hexcode": "1F468-1F3FB-200D-1F33E", "label": f"{rows[4]['label']}: light", "tone": 1}
        ]
        (folder / lang / "data.json").write_text(json.dumps(rows))
        groups = [{"key": key, "order": order} for order, key in SUBGROUPS.items()]
        (folder / lang / "messages.json").write_text(json.dumps({"subgroups": groups}))
    for maker in ("cldr", "emojibase", "github", "iamcal", "joypixels", "emojibase-legacy"):
        codes = {"1F697": ["car", "auto"]} if maker == "github" else {}
        (folder / "en" / "shortcodes" / f"{maker}.json").write_text(json.dumps(codes))


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A data folder whose packages look fetched: two artists and the words."""
    data = tmp_path / "data"
    icons = {
        "red-apple": disc("#dd2e44"),
        "cat": disc("#ffcc4d", 6),
        "car": disc("#3b88c3", 5),
        "flag-for-japan": disc("#ffffff"),
        "apple-again": disc("#dd2e44"),
        "odd-thing-1": disc("#77b255", 4),
    }
    write_icons(data / "npm" / "twemoji", icons, {"1f34e": "red-apple", "1f408": "cat"})
    write_icons(data / "npm" / "fxemoji", {"redapple": disc("#cc0000", 3)}, {})
    write_words(data / "npm" / "emojibase-data")
    for package in npm.PACKAGES:
        folder = data / "npm" / package.folder
        if folder.exists():
            (folder / ".integrity").write_text(package.integrity)
    return data


@pytest.fixture(scope="session")
def library() -> Library:
    return shapes.library()


@pytest.fixture
def svg() -> Callable[[str], str]:
    return lambda body: f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{body}</svg>'
