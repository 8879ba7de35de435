"""Augmented training pictures for the image tokenizer, similar to scenes."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]  # (px, px, 4) premultiplied RGBA


def augment(pictures: NDArray[np.uint8], index: int, rng: np.random.Generator) -> Picture:
    """Picture `index`, perhaps moved, mirrored, combined with others, or on a plain background.

    pictures: (N, px, px, 4). Half stay unchanged, since most drawings show single objects.
    """
    kind = rng.random()
    if kind < 0.5:
        picture = np.asarray(pictures[index])
    elif kind < 0.7:
        picture = shifted(pictures[index], *rng.integers(-8, 9, 2))
    else:
        picture = collage(pictures, index, rng)
    if rng.random() < 0.3:
        picture = picture[:, ::-1]
    if rng.random() < 0.3:
        picture = over_colour(picture, rng.integers(0, 256, 3))
    return picture


def shifted(picture: Picture, down: int, right: int) -> Picture:
    """The picture moved by whole pixels; uncovered pixels are transparent."""
    px = picture.shape[0]
    moved = np.zeros_like(picture)
    rows, columns = slice(max(0, down), px + min(0, down)), slice(max(0, right), px + min(0, right))
    from_rows = slice(max(0, -down), px + min(0, -down))
    from_columns = slice(max(0, -right), px + min(0, -right))
    moved[rows, columns] = picture[from_rows, from_columns]
    return moved


def collage(pictures: NDArray[np.uint8], index: int, rng: np.random.Generator) -> Picture:
    """Two to four smaller pictures, `index` among them, laid over each other at random places."""
    px = pictures.shape[1]
    canvas = np.zeros((px, px, 4), np.uint8)
    others = rng.integers(0, len(pictures), rng.integers(1, 4))
    for i in (*others, index):
        size = int(px * rng.uniform(0.4, 0.7))
        top, left = rng.integers(0, px - size + 1, 2)
        window = canvas[top : top + size, left : left + size]
        window[:] = over(resized(pictures[i], size), window)
    return canvas


def resized(picture: Picture, px: int) -> Picture:
    """The premultiplied picture at another size."""
    channels = Image.fromarray(picture, "RGBa").resize((px, px), Image.Resampling.BOX)
    return np.asarray(channels)


def over(top: Picture, bottom: Picture) -> Picture:
    """Premultiplied "over": top + bottom * (1 - top's alpha)."""
    rest = 255 - top[..., 3:].astype(np.uint16)
    return (top + (bottom * rest + 127) // 255).astype(np.uint8)


def over_colour(picture: Picture, rgb: NDArray[np.integer]) -> Picture:
    """The picture on an opaque plain colour."""
    ground = np.empty_like(picture)
    ground[..., :3], ground[..., 3] = rgb, 255
    return over(picture, ground)
