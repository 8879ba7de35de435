"""Edits under a mask: the thing is drawn at its full detail, and nothing else changes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.arrays import Pixels
from limner.engines.base import Picture
from limner.engines.transformer.edits.close_up import close_up
from limner.engines.transformer.engine import TransformerEngine
from limner.request import Edit, ImageRequest, Size, size_of
from limner.storage.checkpoints.weights import find

Mask = NDArray[np.uint8]


@pytest.fixture(scope="module")
def engine() -> TransformerEngine:
    """The weights that ship: what is tested here is learned."""
    return TransformerEngine.load(find("nano"), threads=1)


def _photo(width: int = 256, height: int = 256) -> Pixels:
    pixels: Pixels = np.random.default_rng(1).integers(0, 256, (height, width, 4)).astype(np.uint8)
    pixels[..., 3] = 255
    return pixels


def _mask(pixels: Pixels, rows: slice, columns: slice) -> Mask:
    mask = np.full(pixels.shape[:2], 255, np.uint8)
    mask[rows, columns] = 0
    return mask


def _draw(engine: TransformerEngine, request: ImageRequest) -> Picture:
    [picture] = [event for event in engine.generate(request) if isinstance(event, Picture)]
    return picture


def _request(pixels: Pixels, mask: Mask, prompt: str = "a red apple") -> ImageRequest:
    edit = Edit(pixels, mask)
    return ImageRequest(prompt, size=size_of(pixels), quality="low", seed=1, source=edit)


def test_a_thing_fills_the_mask_and_all_else_is_kept_exactly(engine: TransformerEngine) -> None:
    pixels = np.full((256, 256, 4), 255, np.uint8)
    mask = _mask(pixels, slice(0, 256), slice(0, 128))
    drawn = _draw(engine, _request(pixels, mask)).pixels
    assert np.array_equal(drawn[mask > 0], pixels[mask > 0])
    square = drawn[64:192, :128].astype(int)
    is_red = (square[..., 0] > 180) & (square[..., 1] < 110)
    assert is_red.mean() > 0.3
    assert (drawn[:60, :128, :3] > 245).all()  # the ground goes on above and below
    assert (drawn[200:, :128, :3] > 245).all()


def test_the_ground_alone_goes_on_under_a_mask_beside_a_thing() -> None:
    pixels = np.full((256, 256, 4), (220, 235, 250, 255), np.uint8)
    pixels[80:180, 20:128] = (20, 140, 60, 255)
    mask = _mask(pixels, slice(0, 256), slice(128, 256))
    part = close_up(_request(pixels, mask))
    assert part is not None
    behind = part.whole[:, 128:, :3].astype(int)
    assert np.abs(behind - (220, 235, 250)).max() <= 2


def test_what_a_mask_is_within_goes_on_under_it() -> None:
    pixels = np.full((256, 256, 4), (255, 255, 255, 255), np.uint8)
    y, x = np.mgrid[:256, :256]
    pixels[(y - 128) ** 2 + (x - 128) ** 2 < 110**2] = (220, 40, 60, 255)
    part = close_up(_request(pixels, _mask(pixels, slice(80, 176), slice(80, 176))))
    assert part is not None
    assert np.abs(part.whole[128, 128, :3].astype(int) - (220, 40, 60)).max() <= 2


def test_a_mask_of_any_shape_is_kept_to(engine: TransformerEngine) -> None:
    pixels = _photo()
    y, x = np.mgrid[:256, :256]
    mask = np.where((y - 120) ** 2 + (x - 140) ** 2 < 60**2, 0, 255).astype(np.uint8)
    drawn = _draw(engine, _request(pixels, mask)).pixels
    assert np.array_equal(drawn[mask > 0], pixels[mask > 0])
    assert not np.array_equal(drawn[mask == 0], pixels[mask == 0])


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(10, 40), slice(10, 40)), (slice(0, 256), slice(0, 256))],
    ids=["too small", "all of it"],
)
def test_other_masks_are_no_part(rows: slice, columns: slice) -> None:
    pixels = _photo()
    assert close_up(_request(pixels, _mask(pixels, rows, columns))) is None


@pytest.mark.parametrize("size", [Size(512, 256), Size(256, 256)])
def test_a_part_lies_within_the_picture(size: Size) -> None:
    pixels = _photo(size.width, size.height)
    mask = _mask(pixels, slice(100, 256), slice(size.width - 100, size.width))
    part = close_up(_request(pixels, mask))
    assert part is not None
    assert part.request.size == Size(96, 96)
    down, across = part.where
    assert 0 <= down.start < down.stop <= size.height
    assert 0 <= across.start < across.stop <= size.width


def test_clear_pixels_of_the_picture_itself_are_no_mask_beside_it() -> None:
    pixels = _photo()
    pixels[:, :128, 3] = 0
    request = ImageRequest("a hat", size=size_of(pixels), seed=1, source=Edit(pixels))
    assert close_up(request) is None


def test_a_ground_that_is_named_is_no_square_in_the_mask(engine: TransformerEngine) -> None:
    pixels = np.full((256, 256, 4), (120, 170, 240, 255), np.uint8)
    pixels[..., 0] += np.linspace(0, 120, 256).astype(np.uint8)[:, None]
    mask = _mask(pixels, slice(64, 192), slice(64, 192))
    drawn = _draw(engine, _request(pixels, mask, "a fish on a blue background")).pixels
    corner = drawn[66:72, 66:72].astype(int)
    assert np.abs(corner - pixels[66:72, 66:72]).max() < 24  # it goes on as around the mask
