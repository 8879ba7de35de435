"""The visible "AI": legible on any ground, the same everywhere, and nothing else changed."""

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import limner
from limner.arrays import Pixels
from limner.errors import InvalidRequest
from limner.finish.vector import svg
from limner.imaging import codec
from limner.imaging.provenance import mark
from limner.request import ImageRequest

GROUNDS = {
    "white": (255, 255, 255, 255),
    "black": (0, 0, 0, 255),
    "grey": (26, 26, 26, 255),
    "clear": (0, 0, 0, 0),
    "pale": (255, 220, 0, 40),
}


def _plain(height: int, width: int, colour: Any = GROUNDS["white"]) -> Pixels:
    return np.full((height, width, 4), colour, np.uint8)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (256, 768), (1024, 1024), (3840, 1280)])
def test_letters_stand_out_on_any_ground(height: int, width: int, ground: str) -> None:
    before = _plain(height, width, GROUNDS[ground])
    after = mark.marked(before)
    changed = (after != before).any(-1)
    rows, columns = np.nonzero(changed)
    side = min(height, width)
    # In the lower right corner, and small.
    assert rows.min() > height - 0.13 * side - 6
    assert columns.min() > width - 0.15 * side - 6
    assert rows.max() < height - 1
    assert columns.max() < width - 1
    # White letters on a plate that is solid and dark, whatever is below.
    place = after[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert place[..., :3].max() == 255
    is_white = (place[..., :3] > 200).all(-1) & (place[..., 3] == 255)
    letters = np.nonzero(is_white.any(1))[0]
    assert letters.max() - letters.min() + 1 >= max(mark.MIN_LETTER_PX, mark.SHARE * side) - 2
    assert ((place[..., :3] < 60).all(-1) & (place[..., 3] == 255)).sum() > is_white.sum()


def test_the_pixels_are_the_same_everywhere() -> None:
    """A change of the mark changes every marked file of a seed: it is to be a decision."""
    found = mark.marked(_plain(256, 256))
    assert hashlib.sha256(found.tobytes()).hexdigest()[:16] == "4203147cf97b4616"


@given(st.integers(64, 200), st.integers(64, 200), st.integers(0, 255))
def test_nothing_but_the_corner_changes(height: int, width: int, alpha: int) -> None:
    before = np.random.default_rng(alpha).integers(0, 256, (height, width, 4), np.uint8)
    kept = before.copy()
    after = mark.marked(before)
    assert np.array_equal(before, kept)
    changed = (after != before).any(-1)
    assert not changed[: height // 2].any()
    assert not changed[:, : width // 2].any()


@pytest.mark.parametrize(("height", "width"), [(256, 256), (192, 320), (320, 192)])
def test_an_svg_document_gets_the_same_mark(height: int, width: int) -> None:
    import resvg_py

    before = _plain(height, width, (90, 160, 90, 255))
    document = mark.marked_svg(svg.trace(before).decode())
    drawn = resvg_py.svg_to_bytes(svg_string=document, width=width, height=height)
    shown = np.array(Image.open(io.BytesIO(bytes(drawn))).convert("RGBA"))
    difference = np.abs(shown[..., :3].astype(int) - mark.marked(before)[..., :3])
    # Half a pixel of shift at the edges of the letters is all.
    assert difference.mean() < 1.5
    assert (difference.max(-1) > 128).mean() < 0.003


def test_files_have_the_mark_and_pixels_have_it_not() -> None:
    card = {"size": "256x256", "seed": 7, "engine": "testcard"}
    [plain] = limner.generate("a fox", **card)  # type: ignore[arg-type]
    [marked] = limner.generate("a fox", mark=True, **card)  # type: ignore[arg-type]
    assert np.array_equal(marked.pixels, plain.pixels)
    found = codec.decode(marked.encode("png"))
    assert np.array_equal(found, mark.marked(plain.pixels))
    assert np.array_equal(codec.decode(plain.encode("png")), plain.pixels)
    assert marked.svg().count("<path ") == plain.svg().count("<path ") + 2
    assert codec.read_text(marked.encode("png")) == codec.read_text(plain.encode("png"))


def test_mark_is_true_or_false() -> None:
    with pytest.raises(InvalidRequest, match="mark must be true or false, not str") as caught:
        ImageRequest("a fox", mark="yes")  # type: ignore[arg-type]
    assert (caught.value.param, caught.value.code) == ("mark", "invalid_type")
