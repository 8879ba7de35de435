"""Boxes that people give are read as they are meant, or refused with the way to write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.boxes import LEAST_SIDE, MAX_BOXES, GivenBox, read_boxes
from limner.errors import InvalidRequest
from limner.options import OptionSpec


def test_things_and_boxes_are_read_in_order() -> None:
    found = read_boxes("boxes", "a cat: 5,20,40,60; 一只狗：55.5，20，40，60；\n")
    assert found == (GivenBox("a cat", 5, 20, 40, 60), GivenBox("一只狗", 55.5, 20, 40, 60))
    assert read_boxes("boxes", "a clock at 12:30: 0,0,50,50")[0].words == "a clock at 12:30"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names nothing"),
        (" ; ", "names nothing"),
        ("a cat", "no box"),
        (": 0,0,50,50", "no box"),
        ("a cat: 0,0,50", "no box"),
        ("a cat: 0,0,fifty,50", "no box"),
        ("a cat: -5,0,50,50", "no box"),
        ("a cat: 60,0,50,50", "beyond the picture"),
        ("a cat: 0,60,50,50", "beyond the picture"),
        ("a cat: 0,0,2,50", "at least 4 per cent"),
        (f"{'x' * 301}: 0,0,50,50", "301 characters"),
        (";".join(["a cat: 0,0,50,50"] * (MAX_BOXES + 1)), "the limit is 12"),
    ],
)
def test_other_texts_are_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as refused:
        OptionSpec("boxes", "boxes", "What stands where.").check(text)
    assert refused.value.param == "boxes"


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = read_boxes("boxes", text)
    except InvalidRequest:
        return
    for box in found:
        assert box.words
        assert LEAST_SIDE <= box.width <= 100 - box.left
        assert LEAST_SIDE <= box.height <= 100 - box.top
