"""Removing the background, from a finished edit or directly from the input picture."""

from collections.abc import Iterator

import numpy as np

from limner.arrays import Pixels
from limner.engines.base import Event, ImageTask, Notice, Picture, Progress
from limner.request import Edit, ImageRequest
from limner.sampling import ground, inpainting

_GROUND_STAYS = (
    "The background could not be told from the subject, so it was left as it is: it must be of "
    "one colour, or change smoothly, at the border of the picture"
)
_NOTHING_DRAWN = "The prompt asks only for a clear background: the picture was not drawn anew"


def is_cut_out(request: ImageRequest) -> bool:
    """Whether a picture is to be given back without its ground, and nothing drawn."""
    source = request.source
    return (
        isinstance(source, Edit)
        and source.given_mask is None
        and request.background != "opaque"
        and ground.asks_only_to_clear(request.prompt)
    )


def cut_out(one: ImageTask, model: str) -> Iterator[Event]:
    """The picture that was sent, at the size asked for, without its ground."""
    request = one.request
    assert request.source is not None
    nowhere = np.zeros(request.source.pixels.shape[:2], bool)
    pixels = inpainting.place(request.source.pixels, nowhere, request.size).pixels
    pixels, remark = without_ground(pixels)
    yield Progress(1, 1, "drawing")
    yield Notice(remark or _NOTHING_DRAWN)
    yield Picture(pixels, request.prompt, one.seed, one.index, model)


def without_ground(pixels: Pixels) -> tuple[Pixels, str]:
    """A picture with its ground clear; else the same picture, and what to say of it."""
    found = ground.cleared(pixels)
    return (pixels, _GROUND_STAYS) if found is None else (found, "")
