"""The test card carries the request where an eye, or a program, can see it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.arrays import Pixels
from limner.engines.base import Picture, Preview
from limner.engines.testcard import CardEngine
from limner.request import (
    SIZES,
    Edit,
    ImageRequest,
    Size,
    Variation,
)

REQUEST = ImageRequest("a red fox in the snow", size=SIZES[0], seed=42)


def _draw(request: ImageRequest) -> Pixels:
    [picture] = [e for e in CardEngine().generate(request) if isinstance(e, Picture)]
    return picture.pixels


@settings(max_examples=20)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_prompt_is_drawn(prompt: str) -> None:
    if prompt.strip():
        assert _draw(dataclasses.replace(REQUEST, prompt=prompt)).shape == (256, 256, 4)


@pytest.mark.parametrize("prompt", ["W" * 32_000, "i " * 16_000, "\n\t" * 15_998 + "fox"])
def test_longest_prompts_stay_inside_their_panel(prompt: str) -> None:
    card = _draw(dataclasses.replace(REQUEST, prompt=prompt))
    panel = card[0, 0] * 0 + np.array([24, 26, 33, 255], np.uint8)
    margins = np.concatenate([card[176:, :10], card[176:, -10:]], axis=1)
    assert (margins == panel).all()
    assert (card[246:] == panel).all()


def test_words_on_the_card_follow_prompt_quality_and_seed() -> None:
    prompt_rows, facts_rows = slice(170, 225), slice(228, 244)
    base = _draw(REQUEST)
    for change, rows in (
        ({"prompt": "a blue whale"}, prompt_rows),
        ({"quality": "high"}, facts_rows),
    ):
        other = _draw(dataclasses.replace(REQUEST, **change))  # type: ignore[arg-type]
        different = (other != base).any(axis=(1, 2))
        assert different[rows].any()
        different[rows] = False
        assert not different.any()


def test_pattern_and_colours_differ_for_each_seed_and_index() -> None:
    """Not only the words on the card: two cards side by side must look different."""
    cards = []
    # 5 + 2**32 must not be taken for the pair (5, 1).
    for seed in (0, 5, 6, 5 + 2**32, 2**63 - 1):
        request = dataclasses.replace(REQUEST, seed=seed, n=3)
        cards += [e.pixels for e in CardEngine().generate(request) if isinstance(e, Picture)]
    above_the_words = slice(0, 158)
    assert len({card[above_the_words].tobytes() for card in cards}) == len(cards)


def test_previews_sharpen_towards_the_picture() -> None:
    events = list(CardEngine().generate(dataclasses.replace(REQUEST, previews=3)))
    previews = [event.pixels for event in events if isinstance(event, Preview)]
    final = _draw(REQUEST).astype(float)
    errors = [np.abs(pixels - final).mean() for pixels in previews]
    assert len(errors) == 3
    assert errors[0] > errors[1] > errors[2] > 0


def test_transparent_card_has_round_corners_every_alpha_and_no_hidden_colour() -> None:
    card = _draw(dataclasses.replace(REQUEST, background="transparent", size=SIZES[1]))
    assert set(np.unique(card[..., 3])) >= set(range(0, 256, 15))
    assert (card[card[..., 3] == 0] == 0).all()


def test_a_long_card_goes_on_at_both_ends() -> None:
    square = _draw(dataclasses.replace(REQUEST, prompt="a fox"))
    facts = slice(228, 244)  # where the size is written
    for size, middle in (
        (Size(448, 256), np.s_[:, 96:352]),
        (Size(256, 448), np.s_[96:352, :]),
    ):
        card = _draw(dataclasses.replace(REQUEST, prompt="a fox", size=size))
        same = (card[middle] == square).all(axis=(1, 2))
        same[facts] = True
        assert same.all()
        clear = dataclasses.replace(REQUEST, size=size, background="transparent")
        assert (_draw(clear)[[0, 0, -1, -1], [0, -1, 0, -1], 3] == 0).all()


def test_a_picture_that_was_sent_is_on_the_card_without_what_is_masked() -> None:
    source = np.zeros((60, 60, 4), np.uint8)
    source[:] = (10, 200, 30, 255)
    mask = np.full((60, 60), 255, np.uint8)
    mask[:, 30:] = 0
    plain = _draw(REQUEST)
    for request, has_panel in (
        (dataclasses.replace(REQUEST, source=Edit(source, mask)), True),
        (dataclasses.replace(REQUEST, source=Edit(source)), False),
        (dataclasses.replace(REQUEST, prompt="", source=Variation(source)), False),
    ):
        card = _draw(request)
        corner = card[12:70, 12:70, :3].reshape(-1, 3).tolist()
        assert [10, 200, 30] in corner
        assert ([24, 26, 33] in corner) == has_panel
        assert np.array_equal(card[80:158], plain[80:158])
