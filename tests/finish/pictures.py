"""Flat pictures made by formula, with and without what a decoder does to them."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RED, BLUE, GREEN, YELLOW = (220, 40, 40), (40, 90, 220), (60, 170, 70), (250, 210, 60)


def canvas(px: int = 192, colour: tuple[int, ...] = (0, 0, 0, 0)) -> NDArray[np.float64]:
    """A plain premultiplied picture (px, px, 4) in 0..1, four times as large as it will be."""
    whole = np.zeros((px * 4, px * 4, 4))
    whole[:] = np.array(colour) / 255
    return whole


def disc(
    picture: NDArray[np.float64], x: float, y: float, radius: float, colour: tuple[int, ...]
) -> None:
    """Paint an opaque disc; all in shares of the side."""
    px = len(picture)
    rows, columns = (np.mgrid[0:px, 0:px] + 0.5) / px
    picture[np.hypot(columns - x, rows - y) < radius] = [*(np.array(colour) / 255), 1]


def shrunk(picture: NDArray[np.float64]) -> NDArray[np.float32]:
    """A quarter of the side, averaged: a picture with true edges."""
    px = len(picture) // 4
    small: NDArray[np.float32] = picture.reshape(px, 4, px, 4, 4).mean((1, 3)).astype(np.float32)
    return small


def decoded(
    picture: NDArray[np.float32], blur: int = 2, noise: float = 0.02
) -> NDArray[np.float32]:
    """Softened and made uneven, as a small network draws; alpha stays at least the colour."""
    px = len(picture)
    small = np.stack(
        [
            np.asarray(
                Image.fromarray(plane)
                .resize((px // blur, px // blur), Image.Resampling.BOX)
                .resize((px, px), Image.Resampling.BICUBIC)
            )
            for plane in np.ascontiguousarray(picture.transpose(2, 0, 1))
        ],
        axis=-1,
    )
    uneven = np.random.default_rng(0).normal(0, noise, (px // 8, px // 8, 3)).astype(np.float32)
    small[..., :3] += uneven.repeat(8, 0).repeat(8, 1)
    alpha = small[..., 3:].clip(0, 1)
    return np.concatenate([small[..., :3].clip(0, alpha), alpha], -1).astype(np.float32)


def face() -> NDArray[np.float32]:
    """A yellow disc with two dark eyes on a clear ground, 192 px."""
    whole = canvas()
    disc(whole, 0.5, 0.5, 0.4, YELLOW)
    for x in (0.35, 0.65):
        disc(whole, x, 0.4, 0.06, (30, 30, 40))
    return shrunk(whole)


def glossy() -> NDArray[np.float32]:
    """A disc that goes from one colour to another, on a clear ground."""
    whole = canvas()
    disc(whole, 0.5, 0.5, 0.4, RED)
    px = len(whole)
    share = (np.arange(px) / px)[:, None, None]
    colour = np.array(YELLOW) * (1 - share) + np.array(RED) * share
    whole[..., :3] = np.where(whole[..., 3:] > 0, colour / 255, 0)
    return shrunk(whole)


def straight(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Straight RGBA of a premultiplied picture in 0..1."""
    alpha = picture[..., 3:]
    colour = np.divide(
        picture[..., :3], alpha, out=np.zeros_like(picture[..., :3]), where=alpha > 0
    )
    whole = np.concatenate([colour, alpha], -1).clip(0, 1)
    result: NDArray[np.uint8] = np.rint(whole * 255).astype(np.uint8)
    return result
