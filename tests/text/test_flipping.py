"""What carries writing or names a side is never drawn the other way round."""

import pytest

from limner.text.flipping import may_turn


@pytest.mark.parametrize("prompt", ["a fox", "a red car", "狐狸", "a cup of coffee", "两只猫"])
def test_plain_things_may_be_turned(prompt: str) -> None:
    assert may_turn(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        *(
            "a cat looking left",
            "an arrow",
            "two clocks",
            "the letter B",
            "a STOP sign",
            "route 66",
        ),
        *('a shop with the word "open"', "musical notes", "朝左的猫", "一面旗", "箭头", "日历"),
    ],
)
def test_writing_and_sides_are_kept(prompt: str) -> None:
    assert not may_turn(prompt)
