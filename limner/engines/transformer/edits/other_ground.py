"""Edits that only want another ground, clear or painted: done on the pixels, nothing is drawn."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from limner.arrays import Pixels
from limner.data.colours import RGB_FROM_NAME, Rgb
from limner.engines.base import Event, ImageTask, Notice, Picture, Progress
from limner.imaging import codec
from limner.planning.plan import Reading
from limner.request import Edit, ImageRequest
from limner.sampling import ground, inpainting
from limner.text import grounds, wording
from limner.text.shades import in_basic_colours

_GROUND_STAYS = (
    "The background could not be told from the subject, so it was left as it is: it must be of "
    "one colour, or change smoothly, at the border of the picture"
)
_ONLY_CLEARED = "The prompt asks only for a clear background: the picture was not drawn anew"
_ONLY_PAINTED = (
    "The prompt names a background: it was painted in one colour, and all else was kept; give a "
    "mask to draw something into the picture"
)


@dataclass(frozen=True)
class GroundWish:
    """The wish for another ground."""

    colour: Rgb | None  # None: transparent


def wish(request: ImageRequest, read: Callable[[str], Reading]) -> GroundWish | None:
    """The wish for another ground that an edit is; None if it is another edit, or none.

    read: what a prompt says. Without a mask, the clear pixels of a picture are what is drawn. If
    its prompt then says "a red apple on a meadow", the apple is there already.
    """
    source, prompt = request.source, request.prompt
    if not isinstance(source, Edit) or source.given_mask is not None:
        return None
    if request.background != "opaque" and ground.asks_only_to_clear(prompt):
        return GroundWish(None)
    if request.background == "transparent":
        return None
    basic, exact = in_basic_colours(prompt)
    colour = grounds.ground_wanted(basic)
    if colour is None and inpainting.mask_of(source).any():
        colour = wording.colour_of_ground(read(prompt).ground)
    return GroundWish((RGB_FROM_NAME | exact)[colour]) if colour else None


def on_other_ground(one: ImageTask, wanted: GroundWish, model: str) -> Iterator[Event]:
    """The picture that was sent, at the size asked for, with its ground as wanted."""
    request = one.request
    assert request.source is not None
    pixels, remark = without_ground(request.source.pixels)
    nowhere = np.zeros(pixels.shape[:2], bool)
    pixels = inpainting.place(pixels, nowhere, request.size).pixels
    if wanted.colour and not remark:
        pixels = codec.over(pixels, np.array([[(*wanted.colour, 255)]], np.uint8))
    yield Progress(1, 1, "drawing")
    yield Notice(remark or (_ONLY_PAINTED if wanted.colour else _ONLY_CLEARED))
    yield Picture(pixels, request.prompt, one.seed, one.index, model)


def without_ground(pixels: Pixels) -> tuple[Pixels, str]:
    """A picture with its ground clear; else the same picture, and what to say of it."""
    found = ground.cleared(pixels)
    return (pixels, _GROUND_STAYS) if found is None else (found, "")
