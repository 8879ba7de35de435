"""Enlarged in bands or whole: the same numbers, and no more at a time than allowed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.arrays import Floats32
from limner.engines.transformer.backends.onnx_runtime import OnnxBackend
from limner.engines.transformer.backends.tiling import in_bands
from limner.storage.checkpoints.weights import find


def _spread(pictures: Floats32, reach: int) -> Floats32:
    """Twice as large, each pixel the sum of those at most `reach` away; exact on small numbers."""
    padded = np.pad(pictures, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, (2 * reach + 1, 2 * reach + 1), (2, 3)
    )
    larger: Floats32 = windows.sum((-1, -2)).repeat(2, 2).repeat(2, 3)
    return larger


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    reach=st.integers(0, 4),
    most=st.integers(1, 600),
)
def test_bands_make_what_the_whole_makes(rows: int, columns: int, reach: int, most: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 9, (2, 3, rows, columns)).astype(np.float32)
    sizes = []

    def enlarge(part: Floats32) -> Floats32:
        sizes.append(part.shape[2] * part.shape[3])
        return _spread(part, reach)

    found = in_bands(enlarge, pictures, reach, most)
    assert (found == _spread(pictures, reach)).all()
    shorter = min(rows, columns)
    assert max(sizes) <= max(most, max(1, 2 * reach) * shorter) + 2 * reach * shorter


@pytest.mark.parametrize("shape", [(150, 60), (60, 150)])
def test_the_upscalers_look_no_farther_than_is_said(shape: tuple[int, int]) -> None:
    network = OnnxBackend(find("nano"), threads=1)
    picture = np.random.default_rng(1).random((1, 4, *shape), np.float32)
    for number, n_layers in enumerate(network.config["model"]["upscaler"]["n_layers"]):
        whole = network.run(f"upscale{number + 1}", pictures=picture)[0]

        def enlarge(part: Floats32, number: int = number) -> Floats32:
            larger: Floats32 = network.run(f"upscale{number + 1}", pictures=part)[0]
            return larger

        assert (in_bands(enlarge, picture, n_layers + 2, most_px=60 * 40) == whole).all()
        # Of a pixel less, the edges of bands would show.
        assert (in_bands(enlarge, picture, n_layers + 1, most_px=60 * 40) != whole).any()
