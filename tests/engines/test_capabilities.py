"""A request is held to what its engine declares: value, limit, way out."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from limner.engines.base import Capabilities
from limner.errors import InvalidRequest
from limner.options import OptionSpec
from limner.request import STANDARD_SIZES, Edit, ImageRequest, Size, SizeRule, Variation

PIXELS = np.zeros((77, 101, 4), np.uint8)
STEPS = OptionSpec("steps", "integer", "Passes.", 1, 50, default=20)
TEXT = OptionSpec("negative_prompt", "text", "What is not to be seen.")
ABLE = Capabilities(options=(STEPS, TEXT))


def _refusal(able: Capabilities, **values: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        able.check(ImageRequest(**{"prompt": "a fox", **values}), "sketch")
    return caught.value


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (Size(500, 512), "Size 500x512 is not drawn"),
        (Size(1024, 1000), "is not drawn"),
        (Size(48, 48), "any with sides of 64 to 3840 that are multiples of 16"),
        (Size(3856, 3840), "is not drawn"),
        (Size(1040, 336), "the longer at most 3 times the shorter"),
    ],
    ids=str,
)
def test_a_size_beyond_the_standard_rule(size: Size, words: str) -> None:
    error = _refusal(Capabilities(), size=size)
    assert words in str(error)
    assert error.param == "size"


def test_an_engine_has_sizes_of_its_own() -> None:
    wide = Capabilities(sizes=SizeRule(256, 4096, 8, 4))
    wide.check(ImageRequest("a fox", size=Size(4096, 1032)), "sketch")
    assert "multiples of 8" in str(_refusal(wide, size=Size(1028, 1024)))
    listed = Capabilities(sizes=SizeRule(choices=(Size(512, 512), Size(768, 512))))
    listed.check(ImageRequest("a fox", size=Size(768, 512)), "sketch")
    assert _refusal(listed, size=Size(1024, 1024)).hint == "sizes drawn are 512x512, 768x512"
    assert listed.sizes.nearest(Size(1500, 1000)) == Size(768, 512)


@example(Size(149, 225), SizeRule(500, 1000, 8, 1.5))  # a side rounded up broke the ratio
@given(
    st.builds(Size, st.integers(1, 9000), st.integers(1, 9000)),
    st.sampled_from([STANDARD_SIZES, SizeRule(256, 2048, 64, 2), SizeRule(500, 1000, 8, 1.5)]),
)
def test_the_nearest_size_is_drawn(size: Size, rule: SizeRule) -> None:
    assert rule.allows(rule.nearest(size))
    if rule.allows(size):
        assert rule.nearest(size) == size


def test_an_edit_keeps_the_size_of_its_picture_if_the_engine_says_so() -> None:
    request = ImageRequest("a hat", size=Size(101, 77), source=Edit(PIXELS))
    Capabilities(edit=True).check(request, "sketch")
    stepped = Capabilities(edit=True, sizes=dataclasses.replace(STANDARD_SIZES, keeps_edited=False))
    assert _refusal(stepped, size=Size(101, 77), source=Edit(PIXELS)).param == "size"
    assert stepped.sizes.nearest(Size(101, 77), keep=True) == Size(96, 80)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"source": Edit(PIXELS)}, "Engine sketch cannot edit pictures"),
        ({"prompt": "", "source": Variation(PIXELS)}, "Engine sketch cannot draw variations"),
        ({"background": "transparent"}, "Engine sketch cannot draw a transparent background"),
    ],
)
def test_what_is_not_declared_is_refused(values: dict[str, Any], words: str) -> None:
    error = _refusal(Capabilities(), **values)
    assert error.message.startswith(words)
    assert error.code == "unsupported_operation"
    assert error.hint


def test_a_mask_is_refused_and_clear_pixels_are_not() -> None:
    able, mask = Capabilities(edit=True), np.zeros((77, 101), np.uint8)
    able.check(ImageRequest("a hat", source=Edit(PIXELS)), "sketch")
    error = _refusal(able, source=Edit(PIXELS, mask))
    assert (error.param, error.message) == ("mask", "Engine sketch cannot keep to a mask")


@pytest.mark.parametrize(
    ("options", "param", "words"),
    [
        ({"stepps": 5}, "stepps", "has no option 'stepps'"),
        ({"steps": 0}, "steps", "steps is 0; it must be between 1 and 50"),
        ({"steps": 2.5}, "steps", "steps must be a whole number, not float"),
        ({"negative_prompt": 3}, "negative_prompt", "must be text, not int"),
    ],
)
def test_options_are_checked(options: dict[str, Any], param: str, words: str) -> None:
    error = _refusal(ABLE, options=options)
    assert words in error.message
    assert error.param == param
    ABLE.check(ImageRequest("a fox", options={"steps": 5, "negative_prompt": "a hat"}), "sketch")


def test_an_unknown_option_is_answered_with_the_known_ones() -> None:
    assert _refusal(ABLE, options={"x": 1}).hint == "its options are steps, negative_prompt"


def test_what_changes_nothing_is_told_and_not_refused() -> None:
    request = ImageRequest(
        "a hat", previews=1, best_of=4, source=Edit(PIXELS, others=(PIXELS, PIXELS))
    )
    assert Capabilities(edit=True).unused(request) == [
        "Not used: best_of; this engine scores no pictures",
        "This engine shows no previews",
        "The first picture was edited; the other 2 were not used",
    ]
    assert Capabilities(edit=True, previews=True, score=True, max_images=3).unused(request) == []
    two = Capabilities(edit=True, previews=True, score=True, max_images=2)
    assert two.unused(request) == ["The first 2 pictures were edited; the other one was not used"]
