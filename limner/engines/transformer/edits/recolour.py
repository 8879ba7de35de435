"""Edits that only want another colour: done on the pixels, so that the subject stays itself."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from limner.arrays import Pixels
from limner.data import colours
from limner.engines.base import Event, ImageTask, Notice, Picture, Progress
from limner.imaging import codec
from limner.request import Edit, ImageRequest
from limner.sampling import ground, inpainting
from limner.text import followups
from limner.text.followups import Recolouring

_RECOLOURED = "The prompt asks only for another colour: the picture was recoloured, not drawn anew"
_ONE_COLOUR_SHARE = 0.35  # of the subject, near one hue; with less there is no colour to change


def wish(request: ImageRequest) -> Recolouring | None:
    """The wish for another colour that an edit is; None if it is another edit, or none."""
    return followups.recolouring(request.prompt) if isinstance(request.source, Edit) else None


def recoloured(one: ImageTask, wanted: Recolouring, model: str) -> Iterator[Event]:
    """The picture that was sent, at the size asked for, with its subject in another colour.

    Under a mask only what is there changes. Yields nothing if the subject has not one colour.
    """
    request, source = one.request, one.request.source
    assert isinstance(source, Edit)
    pixels = inpainting.place(source.pixels, _nowhere(source), request.size).pixels
    masked = None
    if source.given_mask is not None:
        masked = inpainting.place(source.pixels, inpainting.mask_of(source), request.size).masked
    changed = _recoloured(pixels, masked, wanted)
    if changed is None:
        return
    if request.background == "opaque":
        changed = codec.over(changed, np.full_like(changed, 255))
    revised = followups.applied(request.prompt) if wanted.before else None
    yield Progress(1, 1, "drawing")
    yield Notice(_RECOLOURED)
    yield Picture(
        changed, request.prompt, one.seed, one.index, model, revised_prompt=revised or None
    )


def drawn_anew(request: ImageRequest) -> ImageRequest:
    """The edit that draws the subject anew in its old layout, by the prompt with its new colour."""
    source, prompt = request.source, followups.applied(request.prompt)
    assert isinstance(source, Edit)
    if source.given_mask is None:
        source = replace(source, mask=None, is_own_mask=False, is_whole=True)
    return replace(request, prompt=prompt or request.prompt, source=source)


def _recoloured(pixels: Pixels, masked: np.ndarray | None, wanted: Recolouring) -> Pixels | None:
    """Straight RGBA (H, W, 4) with its subject recoloured; None if that has not one colour."""
    cut = ground.cleared(pixels)
    subject = pixels if cut is None else cut
    if masked is not None:
        subject = np.where(masked[..., None], subject, 0)
    whole = codec.premultiply(subject)
    tint = colours.tint_of(whole)
    if tint.share < _ONE_COLOUR_SHARE:
        return None
    painted = codec.unpremultiply(colours.recolour(whole, tint, wanted.colour, wanted.exact))
    painted[..., 3] = subject[..., 3]
    if cut is None or cut is pixels:
        under = pixels if masked is None else np.where(masked[..., None], painted, pixels)
        return painted if masked is None else under
    return codec.over(painted, pixels)


def _nowhere(source: Edit) -> np.ndarray:
    return np.zeros(source.pixels.shape[:2], bool)
