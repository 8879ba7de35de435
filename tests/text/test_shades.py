"""Colours beyond the basic ones are read as basic ones, and known exactly."""

import json
from pathlib import Path

import pytest

from limner import text
from limner.data.colours import NAMES, RGB_FROM_NAME
from limner.text.known_names import taught_rows
from limner.text.shades import Rgb, in_basic_colours

TABLE = json.loads(Path(text.__file__).with_name("shades.json").read_text(encoding="utf-8"))
TEAL, NAVY, LIGHT_BLUE = (15, 139, 141), (31, 42, 92), (161, 194, 239)


@pytest.mark.parametrize(
    ("prompt", "basic", "exact"),
    [
        ("a teal car", "a green car", {"green": TEAL}),
        ("A Teal car", "A green car", {"green": TEAL}),
        ("a teal-coloured car", "a green car", {"green": TEAL}),
        ("an indigo hat", "a purple hat", {"purple": (67, 50, 160)}),
        ("a light blue car", "a blue car", {"blue": LIGHT_BLUE}),
        ("light-blue car", "blue car", {"blue": LIGHT_BLUE}),
        ("a cat on a navy blue background", "a cat on a blue background", {"blue": NAVY}),
        ("a #1abc9c car", "a blue car", {"blue": (26, 188, 156)}),
        ("a #F00 car", "a red car", {"red": (255, 0, 0)}),
        ("浅蓝色的汽车", "蓝色的汽车", {"blue": LIGHT_BLUE}),
        ("米色的沙发", "黄色的沙发", {"yellow": (236, 220, 185)}),
        # One basic colour for two has no exact one.
        ("a blue car and a light blue hat", "a blue car and a blue hat", {}),
        ("a teal car and a dark green hat", "a green car and a green hat", {}),
    ],
)
def test_further_colours_are_read_as_basic_ones(
    prompt: str, basic: str, exact: dict[str, Rgb]
) -> None:
    assert in_basic_colours(prompt) == (basic, exact)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a red car",
        "a light bulb",
        "a traffic light",
        "dark chocolate",
        "#12345 cat",
        "红色的苹果",
    ],
)
def test_other_prompts_stay(prompt: str) -> None:
    assert in_basic_colours(prompt) == (prompt, {})


@pytest.mark.parametrize("column", [1, 2])
def test_taught_names_stay(column: int) -> None:
    names = [row[column] for row in taught_rows()]
    assert {name for name in names if in_basic_colours(name)[1]} == set()


def test_basic_colours_are_those_that_are_painted() -> None:
    codes = {name: "#{:02x}{:02x}{:02x}".format(*rgb) for name, rgb in RGB_FROM_NAME.items()}
    assert TABLE["basic"] == codes
    named = [
        *TABLE["en"],
        *TABLE["zh"],
        *(name for table in TABLE["shades"].values() for name in table),
    ]
    assert set(named) <= set(NAMES)
