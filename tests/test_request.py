"""What may be asked: everything else is refused with the name of the field."""

import dataclasses
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from limner.errors import InvalidRequest
from limner.request import MAX_SEED, SIZES, ImageRequest, Size

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
    ("size", Size(500, 512), "Size 500x512 is not drawn"),
    ("size", "512x512", "not str"),
    ("quality", "ultra", "'ultra'; it must be one of low, medium, high"),
    ("quality", ["low"], "one of"),
    ("seed", -1, "seed is -1"),
    ("seed", 2**63, "between 0 and 9223372036854775807"),
    ("seed", 1.5, "not float"),
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
