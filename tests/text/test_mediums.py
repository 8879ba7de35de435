"""Words for a medium or a style go; things that are named like one stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.text.known_names import taught_rows
from limner.text.mediums import without_medium, without_style


@pytest.mark.parametrize(
    ("prompt", "thing", "medium"),
    [
        ("an oil painting of a dog", "a dog", "oil painting"),
        ("A watercolour of a lighthouse", "a lighthouse", "watercolour"),
        ("a black and white photo of two cats", "two cats", "black and white photo"),
        ("photorealistic image of a horse", "a horse", "photorealistic image"),
        ("paint me a pixel art picture of a sword", "paint me a sword", "pixel art picture"),
        ("a drawing of a cat", "a cat", ""),
        ("a children's book illustration of a bear", "a bear", ""),
        ("a cute, simple cartoon of a fox", "a fox", ""),
        ("一幅猫的水彩画", "猫", "水彩画"),
        ("一张苹果的照片", "苹果", "照片"),
        ("小狗的插画", "小狗", ""),
    ],
)
def test_a_medium_goes(prompt: str, thing: str, medium: str) -> None:
    assert without_medium(prompt) == (thing, medium)


@pytest.mark.parametrize(
    ("prompt", "left", "style"),
    [
        ("a cat in the style of Van Gogh", "a cat", "in the style of Van Gogh"),
        ("a cat, painted in the style of Monet, at night", "a cat, at night", None),
        ("a fox, Pixar style, cinematic", "a fox, cinematic", "Pixar style"),
        ("a cat in Studio Ghibli style", "a cat", "in Studio Ghibli style"),
        ("a cat, anime style, 35mm", "a cat", "anime style"),
        ("梵高风格的猫", "猫", "梵高风格"),
        ("一只卡通风格的猫", "一只猫", "卡通风格"),
        ("一只猫，水彩风格", "一只猫", "水彩风格"),
    ],
)
def test_a_style_goes(prompt: str, left: str, style: str | None) -> None:
    found = without_style(prompt)
    assert found[0] == left
    assert style is None or found[1] == style


@pytest.mark.parametrize(
    "prompt",
    [
        "a painting",
        "a framed picture of",
        "a man with a painting",
        "a camera and a photo",
        "a statue of a lion",
        "a map of the world",
        "a shot of espresso",
        "a house in the snow",
        "a dog in a car",
        "style",
        "in the style of Monet",
        "一幅画",
        "图片",
    ],
)
def test_things_stay(prompt: str) -> None:
    assert without_medium(prompt) == (prompt, "")
    assert without_style(prompt) == (prompt, "")


def test_names_that_are_taught_stay() -> None:
    for english, phrase, chinese, _ in taught_rows():
        for words in (english, phrase, chinese):
            assert without_medium(words) == without_style(words) == (words, "")


@given(st.text(max_size=80))
def test_something_is_always_left(prompt: str) -> None:
    for without in (without_medium, without_style):
        left, _ = without(prompt)
        assert bool(left.strip()) or left == prompt


@pytest.mark.parametrize(
    "word", [" ", " , ", "in ", "flat vector ", "photo ", "in the style of ", "风格"]
)
def test_long_prompts_are_read_in_linear_time(word: str) -> None:
    prompt = word * (30_000 // len(word))
    without_medium(prompt)
    without_style(prompt)
