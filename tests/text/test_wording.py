"""Colours are said of a thing as training captions say them, and grounds name theirs."""

import pytest

from limner.text.wording import as_captions_say, colour_of_ground, split_colour


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("black guitar", "a black guitar"),
        ("orange anchor", "an orange anchor"),
        ("a gray cat", "a grey cat"),
        ("an azure car", "a blue car"),
        ("violet dress with buttons", "a purple dress with buttons"),
        ("big red car", "a big red car"),
        ("黑吉他", "黑色的吉他"),
        ("一把黑吉他", "一把黑色的吉他"),
        ("黑色吉他", "黑色的吉他"),
        ("粉红色的猫", "粉色的猫"),
    ],
)
def test_a_colour_is_said_as_captions_say_it(words: str, said: str) -> None:
    assert as_captions_say(words) == said
    assert as_captions_say(said) == said


@pytest.mark.parametrize(
    "words",
    [
        *("guitar", "blackboard", "red", "orange", "red apples", "a black guitar"),
        *("红酒", "一杯红酒", "红色", "橙子", "黄瓜", "红心", "猫"),
    ],
)
def test_other_words_stay(words: str) -> None:
    assert as_captions_say(words) == words


@pytest.mark.parametrize(
    ("ground", "name"),
    [
        *(("a light gray backdrop", "grey"), ("on the grass", "green"), ("blue sky", "blue")),
        *(
            ("蓝色背景", "blue"),
            ("草地", "green"),
            ("天空", "blue"),
            ("forest", "green"),
            ("mountain", None),
            ("", None),
        ),
    ],
)
def test_a_ground_names_its_colour(ground: str, name: str | None) -> None:
    assert colour_of_ground(ground) == name


@pytest.mark.parametrize(
    ("words", "split"),
    [
        ("black guitar", ("black", "a guitar")),
        ("a red apple", ("red", "an apple")),
        ("an orange anchor", ("orange", "an anchor")),
        ("big grey cat", ("grey", "a big cat")),
        ("red shoes", ("red", "shoes")),
        ("黑吉他", ("black", "吉他")),
        ("一把黑色的吉他", ("black", "一把吉他")),
    ],
)
def test_a_colour_is_split_from_its_thing(words: str, split: tuple[str, str]) -> None:
    assert split_colour(words) == split


@pytest.mark.parametrize(
    "words",
    ["guitar", "a dark blue car", "深蓝色的车", "red", "红酒", "吉他", "a cat with black ears"],
)
def test_without_a_plain_colour_at_the_head_nothing_is_split(words: str) -> None:
    assert split_colour(words) is None
