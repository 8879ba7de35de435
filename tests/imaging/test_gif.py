"""GIF files: frames, delays, clear pixels, text, and that Pillow reads them as they were meant."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limner.arrays import Pixels
from limner.imaging import codec, gif


def _plain(colour: tuple[int, int, int, int], height: int = 8, width: int = 12) -> Pixels:
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[:] = colour
    return pixels


def _read(data: bytes) -> list[Pixels]:
    with Image.open(io.BytesIO(data)) as image:
        found = []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            found.append(np.array(image.convert("RGBA")))
        return found


def test_frames_colours_and_delays_are_kept() -> None:
    colours = ((200, 10, 10, 255), (10, 200, 10, 255), (10, 10, 200, 255))
    first = _plain(colours[0])
    first[:2], first[2:4] = colours[1], colours[2]
    frames = [first, np.roll(first, 3, 0), np.roll(first, 6, 0)]
    data = gif.encode(frames, 200)
    for found, meant in zip(_read(data), frames, strict=True):
        assert np.array_equal(found, meant)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "GIF"
        assert (image.info["duration"], image.info["loop"]) == (200, 0)


def test_frames_that_are_alike_all_stay() -> None:
    assert len(_read(gif.encode([_plain((9, 9, 9, 255))] * 5, 100))) == 5
    assert len(_read(gif.encode([_plain((0, 0, 0, 0))] * 2, 100))) == 2


def test_what_is_clear_is_clear_in_every_frame() -> None:
    first = _plain((250, 120, 0, 255))
    first[:, :6] = 0
    second = first[:, ::-1].copy()
    found = _read(gif.encode([first, second, first], 50))
    for seen, meant in zip(found, (first, second, first), strict=True):
        assert np.array_equal(seen[..., 3], meant[..., 3])
        assert np.array_equal(seen[seen[..., 3] > 0], meant[meant[..., 3] > 0])
    assert codec.decode(gif.encode([first, second], 50))[0, 0, 3] == 0


@pytest.mark.parametrize(
    ("asked_ms", "told_ms"), [(1, 10), (14, 10), (15, 20), (204, 200), (655_350, 655_350)]
)
def test_delays_are_rounded_and_bounded(asked_ms: int, told_ms: int) -> None:
    with Image.open(io.BytesIO(gif.encode([_plain((1, 2, 3, 255))] * 2, asked_ms))) as image:
        assert image.info["duration"] == told_ms
    longest = gif.encode([_plain((1, 2, 3, 255))] * 2, 2**31)
    assert longest == gif.encode([_plain((1, 2, 3, 255))] * 2, gif.MAX_DELAY_MS)


@given(st.text(max_size=600))
@settings(max_examples=30)
def test_text_comes_back(prompt: str) -> None:
    text = {"prompt": prompt, "seed": "7"}
    assert codec.read_text(gif.encode([_plain((1, 2, 3, 255))], 100, text)) == text


def test_other_comments_are_no_text() -> None:
    file = io.BytesIO()
    for comment in (b"made by hand", b"[1, 2]", b"7", b"\xff\xfe"):
        file.seek(0)
        Image.new("P", (4, 4)).save(file, "GIF", comment=comment)
        assert codec.read_text(file.getvalue()) == {}


def test_thousands_of_colours_become_255() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 4)).astype(np.uint8)
    data = gif.encode([noise, noise], 100)
    seen = _read(data)[0]
    assert len(np.unique(seen[seen[..., 3] > 0][:, :3], axis=0)) <= 255
    assert np.array_equal(seen[..., 3] > 0, noise[..., 3] >= gif.HALF)
    assert len(data) < 2 * 64 * 64 * 2
