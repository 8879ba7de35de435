"""Whatever picture is traced, finished or set in motion: bounded output, never an empty file."""

import io
import tracemalloc
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from limner.engines.base import Picture
from limner.finish.raster import raster
from limner.finish.segment import segmented
from limner.finish.vector import svg

Pixels = NDArray[np.uint8]
pytestmark = pytest.mark.timeout(900)  # noise takes seconds, and many where others work

SVG = "{http://www.w3.org/2000/svg}"
BOUNDED = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
# Bytes beside the paths, and of a path at most: what a document of each complexity may have.
_MOST_BYTES = {"low": 60_000, "medium": 250_000, "high": 600_000}


@st.composite
def any_picture(draw: st.DrawFn) -> Pixels:
    """Noise, bands, thousands of colours, one colour, clear ones, of any small shape."""
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["noise", "colours", "one", "clear", "stripes", "cells", "specks"]))
    pixels = np.zeros((height, width, 4), np.uint8)
    if kind == "noise":
        pixels[:] = rng.integers(0, 256, pixels.shape)
    elif kind == "colours":  # each pixel its own
        numbers = np.arange(height * width).reshape(height, width) * 997
        pixels[..., :3] = np.stack([numbers, numbers >> 3, numbers >> 6], -1) % 256
    elif kind == "one":
        pixels[:] = rng.integers(0, 256, 4)
    elif kind == "stripes":
        pixels[:, ::2] = rng.integers(0, 256, 4)
    elif kind == "cells":
        cells = rng.integers(0, 256, (-(-height // 4), -(-width // 4), 4))
        pixels[:] = cells.repeat(4, 0).repeat(4, 1)[:height, :width]
    elif kind == "specks":
        pixels[rng.random((height, width)) < 0.1] = rng.integers(0, 256, 4)
    if draw(st.booleans()) and kind != "clear":
        pixels[..., 3] = 255
    return pixels


@given(any_picture(), st.sampled_from(["low", "medium", "high"]))
@BOUNDED
def test_a_document_is_bounded_and_whole(pixels: Pixels, complexity: str) -> None:
    found = svg.traced(pixels, complexity)  # type: ignore[arg-type]
    root = ET.fromstring(found.data)
    assert (root.get("width"), root.get("height")) == (str(pixels.shape[1]), str(pixels.shape[0]))
    assert len(root.findall(f"{SVG}path")) == found.n_paths <= svg.DETAILS[complexity].max_paths
    assert len(found.data) < _MOST_BYTES[complexity]
    assert 0 <= found.lost <= 1
    assert "nan" not in found.data.decode()
    # An opaque picture is painted all over, and of a clear one nothing is.
    if pixels[..., 3].min() == 255:
        assert found.n_paths >= 1
    if not pixels[..., 3].any():
        assert found.n_paths == 0


@given(any_picture(), st.integers(1, 70), st.integers(1, 70))
@BOUNDED
def test_the_finish_draws_any_picture_at_any_size(pixels: Pixels, width: int, height: int) -> None:
    straight = pixels.astype(np.float32) / 255
    whole = np.concatenate([straight[..., :3] * straight[..., 3:], straight[..., 3:]], -1)
    drawn = raster(segmented(whole).sheets(), width, height)
    assert drawn.shape == (height, width, 4)
    assert (drawn[..., :3].max(-1) <= drawn[..., 3].astype(int) + 1).all()  # premultiplied
    if pixels[..., 3].min() == 255:
        assert drawn[..., 3].min() >= 250
    if not pixels[..., 3].any():
        assert not drawn.any()


@given(any_picture(), st.integers(2, 5))
@BOUNDED
def test_any_picture_moves(pixels: Pixels, n_frames: int) -> None:
    data = Picture(pixels, "x", 1, 0, "m").gif(n_frames)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.size, image.n_frames) == (pixels.shape[1::-1], n_frames)  # type: ignore[attr-defined]
        for number in range(n_frames):
            image.seek(number)
            image.load()
    assert len(data) < 4000 + 2 * n_frames * pixels[..., 0].size


@pytest.mark.parametrize("complexity", ["medium", pytest.param("high", marks=pytest.mark.slow)])
def test_a_large_picture_takes_little_more_memory_than_itself(complexity: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 4)).astype(np.uint8)
    tracemalloc.start()
    try:
        found = svg.traced(noise, complexity)  # type: ignore[arg-type]
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 150_000_000
    assert len(found.data) < _MOST_BYTES[complexity]
