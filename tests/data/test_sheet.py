"""The text under the pictures of a page: all of it readable, none of it beyond its picture."""

import pytest
from PIL import ImageFont

from limner.data.sheet import _lines, readable


def test_an_emoji_is_called_by_its_name() -> None:
    assert readable("three 🍓") == "three [emoji strawberry]"
    assert readable("一只猫，坐着！") == "一只猫，坐着！"


@pytest.mark.parametrize(
    "text", ["", "a cat", "a red apple on a white background", "红" * 60, "long " * 60, "x" * 200]
)
def test_lines_are_as_wide_as_the_picture_and_no_more_than_three(text: str) -> None:
    font = ImageFont.load_default(11)
    lines = _lines(text, font, 140)
    assert 1 <= len(lines) <= 3
    assert all(font.getlength(line) <= 150 for line in lines)
    whole = "".join("".join(lines).split())
    assert "".join(text.split()).startswith(whole.removesuffix("…"))
