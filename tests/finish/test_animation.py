"""Frames of a drawing that moves: alike, of the same colours, and the same every time."""

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.finish import animation
from tests.finish import pictures


def _drawing(px: int = 192) -> NDArray[np.uint8]:
    return pictures.straight(pictures.face())[:px, :px]


def test_the_same_seed_gives_the_same_frames() -> None:
    drawing = _drawing()
    first, again = (list(animation.frames(drawing, 4, 7)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert np.array_equal(first[0], drawing)
    more = list(animation.frames(drawing, 6, 7))
    assert all(np.array_equal(a, b) for a, b in zip(first, more, strict=False))
    other = list(animation.frames(drawing, 2, 8))
    assert not np.array_equal(first[1], other[1])
    assert not np.array_equal(first[1], list(animation.frames(drawing, 2, 7, index=1))[1])


def test_every_frame_differs_a_little_and_no_more() -> None:
    drawing = _drawing()
    for frame in list(animation.frames(drawing, 9, 1))[1:]:
        assert frame.shape == drawing.shape
        assert frame.dtype == np.uint8
        changed = (np.abs(frame.astype(int) - drawing).max(-1) > 40).mean()
        assert 0.001 < changed < 0.08
        share = (frame[..., 3] > 127).mean() / (drawing[..., 3] > 127).mean()
        assert 0.93 < share < 1.07
        # Apart from mixtures on edges, a frame has the colours of the drawing.
        own = {tuple(colour) for colour in np.unique(drawing[drawing[..., 3] == 255], axis=0)}
        seen = [tuple(colour) in own for colour in frame[frame[..., 3] == 255]]
        assert np.mean(seen) > 0.9


def test_an_opaque_picture_stays_opaque_to_its_edge() -> None:
    whole = np.full((100, 150, 4), 255, np.uint8)
    whole[20:80, 30:100, :3] = [200, 30, 30]
    for frame in animation.frames(whole, 5, 3):
        assert frame[..., 3].min() == 255
        assert (frame[0] == 255).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (2, 3), (17, 40), (64, 192)])
def test_any_shape_and_colour_has_frames(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 4)).astype(np.uint8)
    for pixels in (noise, np.zeros_like(noise), np.full_like(noise, 255)):
        found = list(animation.frames(pixels, 3, 0))
        assert [frame.shape for frame in found] == [pixels.shape] * 3
        if pixels is not noise:
            assert all(np.array_equal(frame, pixels) for frame in found)
