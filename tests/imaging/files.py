"""A file of each format that is labelled, as several encoders write them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from limner.arrays import Pixels
from limner.finish.vector import svg
from limner.imaging import codec as px

TEXT = {"seed": "7", "Software": "limner 1"}
FORMATS = ("png", "jpeg", "webp", "gif", "svg")


def pixels(height: int = 48, width: int = 64) -> Pixels:
    """A picture with a clear corner, (H, W, 4) straight RGBA."""
    found = np.full((height, width, 4), (200, 220, 240, 255), np.uint8)
    found[10:38, 12:50] = (190, 30, 40, 255)
    found[:8, :8] = 0
    return found


def saved(format: str, **how: Any) -> bytes:
    """The picture as Pillow writes it."""
    file = io.BytesIO()
    image = Image.fromarray(pixels())
    if format in ("JPEG", "GIF") or how.pop("rgb", False):
        image = image.convert("RGB")
    image.save(file, format, **how)
    return file.getvalue()


def moving() -> bytes:
    """A GIF of three pictures."""
    first, *others = [Image.fromarray(np.roll(pixels(), 9 * i, 0)).convert("RGB") for i in range(3)]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, loop=0, duration=200)
    return file.getvalue()


FILES: dict[str, bytes] = {
    "png": px.encode(pixels(), "png", TEXT),
    "png-bare": px.encode(pixels(), "png"),
    "jpeg": px.encode(pixels(), "jpeg", TEXT),
    "jpeg-bare": px.encode(pixels(), "jpeg"),
    "jpeg-progressive": saved("JPEG", progressive=True),
    "webp": px.encode(pixels(), "webp", TEXT),
    "webp-bare": px.encode(pixels(), "webp"),
    "webp-opaque": saved("WEBP", rgb=True),
    "webp-lossless": saved("WEBP", lossless=True),
    "gif": moving(),
    "gif-87": b"GIF87a" + saved("GIF")[6:],
    "svg": svg.trace(pixels(), title="a <box>", metadata=TEXT),
    "svg-bare": svg.trace(pixels()),
}


def ending(name: str) -> str:
    """The format of a file of FILES."""
    return name.partition("-")[0]
