"""Forms of prompts that no caption has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.text.colour_lists import one_thing_a_colour
from limner.text.known_names import taught_rows
from limner.text.rewording import reworded


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("「月亮」", "月亮"),
        ("“a red apple”", "a red apple"),
        ('"a cat"', "a cat"),
        ("*moon*", "moon"),
        ("[moon]", "moon"),
        ("moon?", "moon"),
        ("a cat (black)", "a black cat"),
        ("a car, blue", "a blue car"),
        ("cat - orange", "orange cat"),
        ("a cat (black) and a dog (brown)", "a black cat and a brown dog"),
        ("太阳（黄色）", "黄色的太阳"),
        ("帽子，黑色", "黑色的帽子"),
        ("蓝色的 car", "a blue car"),
        ("a 红色 apple", "a red apple"),
        ("an 绿色 apple", "a green apple"),
        ("一只cute的cat", "a cute cat"),
        ("一个 star 和一个 moon", "a star and a moon"),
        ("cat/dog", "cat and dog"),
        ("a black and white cat", "a black cat"),
        ("a red, white and blue flag", "a red flag"),
        ("red and blue balloons", "a red balloon and a blue balloon"),
        (
            "two red, blue and green hot air balloons on a meadow",
            "a red hot air balloon, a blue hot air balloon and a green hot air balloon on a meadow",
        ),
        (
            "three balloons: red, blue and green",
            "a red balloon, a blue balloon and a green balloon",
        ),
        ("two cars, one red and one orange", "a red car and an orange car"),
        ("a red and a blue balloon", "a red balloon and a blue balloon"),
        ("a red car next to a blue one", "a red car next to a blue car"),
        ("black and white cats", "black cats"),
        ("红色和蓝色的气球", "红色的气球和蓝色的气球"),
        ("三个气球：红、黄、蓝", "红色的气球、黄色的气球和蓝色的气球"),
    ],
)
def test_forms(prompt: str, said: str) -> None:
    assert reworded(prompt) == said
    assert reworded(said) == said


@pytest.mark.parametrize(
    "prompt",
    [
        "a red apple",
        "a man in black",
        "a cat, a dog, a rabbit",
        "a house, white background",
        "it's a dog's life",
        "three red apples on a table!",
        "green apples and red pears",
        "a snake with spots and stripes",
        "an orange and a banana",
        "红色的苹果和绿色的梨",
        "两只红色的猫和一只狗。",
        "🍎",
        "?",
        "「」",
        "",
    ],
)
def test_other_prompts_stay_to_the_letter(prompt: str) -> None:
    assert reworded(prompt) == prompt


@given(st.text(max_size=80))
def test_any_text_is_taken(prompt: str) -> None:
    said = reworded(prompt)
    assert bool(said) == bool(prompt)


def test_names_that_are_taught_have_no_list_of_colours() -> None:
    for english, phrase, chinese, _ in taught_rows():
        for words in (english, phrase, chinese):
            assert one_thing_a_colour(words) == words
