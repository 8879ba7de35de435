"""What may be asked: everything else is refused with the name of the field."""

import dataclasses
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from limner.errors import InvalidRequest
from limner.request import (
    MAX_SEED,
    SIZES,
    STANDARD_SIZES,
    Edit,
    ImageRequest,
    Size,
    Variation,
    size_like,
    size_of,
)

SIDES = st.integers(1, 99_999)
PROMPTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(SIDES, SIDES)
def test_size_there_and_back(width: int, height: int) -> None:
    assert Size.parse(f"{width}x{height}") == Size(width, height)
    assert str(Size(width, height)) == f"{width}x{height}"


@given(st.text(max_size=12) | st.from_regex(r"[0-9]{0,7}[xX×]-?[0-9]{0,7}", fullmatch=True))
def test_whatever_parses_is_written_the_same_way(text: str) -> None:
    with suppress(InvalidRequest):
        assert str(Size.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "1024", "1024x", "x1024", "0x10", "-1x5", "1024X1024", "1024x1024\n", "٣x٣", "auto"],
)
def test_size_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="WIDTHxHEIGHT") as caught:
        Size.parse(text)
    assert "256x256, 512x512, 1024x1024" in str(caught.value)


@given(PROMPTS)
def test_any_text_is_a_prompt_unless_it_is_empty(prompt: str) -> None:
    assume(prompt.strip())
    assert ImageRequest(prompt).prompt == prompt


@given(st.integers(1, 10), st.sampled_from(SIZES), st.integers(0, MAX_SEED))
def test_request_within_the_limits_is_kept_as_it_is(n: int, size: Size, seed: int) -> None:
    request = ImageRequest("a fox", n=n, size=size, seed=seed)
    assert (request.n, request.size, request.seed) == (n, size, seed)
    assert request.with_seed() is request


WRONG: list[tuple[str, Any, str]] = [
    ("prompt", "", "empty"),
    ("prompt", " \t\n\u3000", "empty"),
    ("prompt", "a" * 32_001, "32,001 characters; the limit is 32,000"),
    ("prompt", "fox \ud83e", "U\\+D83E"),
    ("prompt", "fox\0", "U\\+0000"),
    ("prompt", b"fox", "not bytes"),
    ("prompt", None, "not NoneType"),
    ("n", 0, "n is 0; it must be between 1 and 10"),
    ("n", 11, "n is 11"),
    ("n", 10**5000, "16610-bit"),
    ("n", True, "not bool"),
    ("n", "2", "not str"),
    ("n", 2.0, "not float"),
    ("size", Size(0, 64), "sides of 1 to 16,384 pixels"),
    ("size", Size(20_000, 64), "Size 20000x64 is not drawn"),
    ("size", "512x512", "not str"),
    ("quality", "ultra", "'ultra'; it must be one of low, medium, high"),
    ("quality", ["low"], "one of"),
    ("seed", -1, "seed is -1"),
    ("seed", 2**63, "between 0 and 9223372036854775807"),
    ("seed", 1.5, "not float"),
    ("best_of", 0, "best_of is 0; it must be between 1 and 16"),
    ("retry_below", 1.5, "retry_below is 1.5; it must be between -1 and 1"),
    ("retry_below", float("nan"), "retry_below is nan; it must be a finite number"),
    ("retry_below", True, "must be a number, not bool"),
    ("background", "x" * 100, r"x\.\.\.; it must be one of auto, transparent, opaque"),
]


@pytest.mark.parametrize(
    ("param", "value", "words"),
    WRONG,
    ids=[f"{param}-{i}" for i, (param, _, _) in enumerate(WRONG)],
)
def test_wrong_value_is_refused_by_name(param: str, value: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        ImageRequest(**{"prompt": "a fox", param: value})
    assert caught.value.param == param


def test_prompt_at_the_limit_is_taken() -> None:
    assert len(ImageRequest("雪" * 32_000).prompt) == 32_000


def test_missing_seed_is_picked_at_random_and_then_stays() -> None:
    request = ImageRequest("a fox")
    seeds = {request.with_seed().seed for _ in range(20)}
    assert len(seeds) > 15
    assert all(seed is not None and 0 <= seed < 2**53 for seed in seeds)
    assert request.seed is None
    assert dataclasses.replace(request.with_seed(), seed=None) == request


def test_request_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ImageRequest("a fox").n = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "size", ["64x64", "192x64", "1536x1024", "1024x1792", "3840x1280", "3840x3840", "80x64"]
)
def test_sizes_by_the_rule_are_taken(size: str) -> None:
    STANDARD_SIZES.check(Size.parse(size))


def _clear(width: int, height: int) -> np.ndarray:
    return np.zeros((height, width, 4), np.uint8)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_any_picture_has_a_size_to_be_edited_at(width: int, height: int) -> None:
    pixels = np.broadcast_to(np.zeros((1, 1, 4), np.uint8), (height, width, 4))
    size = size_like(pixels)
    STANDARD_SIZES.check(size, Edit(pixels))
    longer, shorter = max(width, height), min(width, height)
    if shorter >= 64 and longer <= 3840 and longer <= 3 * shorter:
        assert size == size_of(pixels)
    if longer <= 3 * shorter:
        assert abs(size.width - size.height * width / height) < 32 * longer / shorter


def test_own_size_is_taken_for_an_edit_and_only_for_it() -> None:
    pixels = _clear(101, 77)
    STANDARD_SIZES.check(Size(101, 77), Edit(pixels))
    for source in (Variation(pixels), Edit(_clear(77, 101)), None):
        with pytest.raises(InvalidRequest, match="Size 101x77 is not drawn"):
            STANDARD_SIZES.check(Size(101, 77), source)


def test_a_variation_has_no_prompt_and_all_else_has_one() -> None:
    pixels = _clear(64, 64)
    assert ImageRequest("", source=Variation(pixels)).prompt == ""
    with pytest.raises(InvalidRequest, match="A variation has no prompt"):
        ImageRequest("a hat", source=Variation(pixels))
    with pytest.raises(InvalidRequest, match="Prompt is empty"):
        ImageRequest("", source=Edit(pixels))


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        ("cat.png", "not str"),
        (None, "not NoneType"),
        (np.zeros((8, 8, 4)), "not ndarray"),
        (np.zeros((8, 8, 3), np.uint8), r"shape \(8, 8, 3\)"),
        (np.zeros((8, 4), np.uint8), "straight RGBA"),
        (np.zeros((0, 8, 4), np.uint8), "straight RGBA"),
    ],
)
@pytest.mark.parametrize("kind", [Edit, Variation])
def test_a_picture_of_another_form_is_refused(kind: Any, pixels: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        kind(pixels)
    assert caught.value.param == "image"


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((8, 9), np.uint8), "The mask is 9x8 pixels and the picture 8x8"),
        (np.full((8, 8), 255, np.uint8), "nothing to draw"),
        (np.ones((8, 8), np.uint8), "nowhere fully transparent"),
        (np.zeros((8, 8)), "0 where to draw"),
        (np.zeros((8, 8, 4), np.uint8), "0 where to draw"),
        ("mask.png", "0 where to draw"),
    ],
)
def test_a_mask_that_says_nothing_is_refused(mask: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        Edit(_clear(8, 8), mask)
    assert caught.value.param == "mask"
