"""Colours are said of a thing as training captions say them, and grounds name theirs."""

import pytest

from limner.text.wording import as_captions_say, colour_of_ground


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
        *(("蓝色背景", "blue"), ("草地", "green"), ("天空", "blue"), ("forest", None), ("", None)),
    ],
)
def test_a_ground_names_its_colour(ground: str, name: str | None) -> None:
    assert colour_of_ground(ground) == name
