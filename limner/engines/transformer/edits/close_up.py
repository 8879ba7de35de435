"""Edits of a small part: what the prompt names is drawn by itself, and laid into the mask.

The network knows a thing at one size, the whole canvas. So a square at the middle of the mask is
drawn as a picture of its own, at its full detail and with a clear ground. Behind it the ground of
the picture goes on; where none can be told apart, whatever is around the mask.
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from limner.arrays import Bools, Pixels
from limner.options import shown
from limner.request import MIN_SIDE, SIDE_STEP, Edit, ImageRequest, Size
from limner.sampling import ground, inpainting

_VISIBLE = 128  # alpha from which a pixel belongs to a thing
_RING_PX = 7  # width of a filter: the ring around a mask is three pixels wide
_GROUND_SHARE = 0.25  # of that ring; a mask with less ground around it is within a thing
_MOST = 0.6  # of the picture's pixels; with a larger square the picture is edited as a whole


@dataclass(frozen=True, eq=False)
class CloseUp:
    """A part of an edit, and where it belongs."""

    request: ImageRequest  # of the part alone, a picture from text
    whole: Pixels  # (H, W, 4), the picture at the size that is asked for, what is masked erased
    before: Pixels  # the same with what is under the mask
    masked: Bools  # (H, W)
    where: tuple[slice, slice]  # of the part in the whole: rows, columns
    there: tuple[str, ...] = ()  # what the prompt names and the picture has around the mask

    def remark(self) -> str:
        """What is drawn, where the prompt names more than that."""
        there = ", ".join(shown(words) for words in self.there)
        return f"The picture has {there} around the mask: {shown(self.request.prompt)} is drawn"

    def pasted(self, part: Pixels) -> Pixels:
        """The whole picture with the drawn part laid into the mask; all else is kept exactly."""
        whole, masked = self.whole.copy(), self.masked[self.where]
        under = whole[self.where]
        laid = Image.alpha_composite(Image.fromarray(under), Image.fromarray(part))
        under[masked] = np.asarray(laid)[masked]
        return whole


def close_up(request: ImageRequest) -> CloseUp | None:
    """The part of an edit in its mask; None for other requests, and for masks that are most of
    the picture or too small to draw in.
    """
    source = request.source
    if not isinstance(source, Edit) or source.given_mask is None:
        return None
    if request.background == "transparent":  # the ground of the whole picture goes
        return None
    placed = inpainting.place(source.pixels, inpainting.mask_of(source), request.size)
    masked = placed.masked
    rows, columns = (np.flatnonzero(masked.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    ends = [(int(lines[0]), int(lines[-1]) + 1) for lines in (rows, columns)]
    side = min(end - start for start, end in ends) // SIDE_STEP * SIDE_STEP
    if side < MIN_SIDE or side**2 > _MOST * masked.size:
        return None
    down, across = (slice((a + b - side) // 2, (a + b + side) // 2) for a, b in ends)
    # A ground that the prompt names is the whole picture's: painted, it would show as a square.
    part = replace(request, source=None, size=Size(side, side), background="transparent")
    whole = placed.pixels.copy()
    whole[masked] = _behind(placed.pixels, masked)[masked]
    return CloseUp(part, whole, placed.pixels, masked, (down, across))


def _behind(pixels: Pixels, masked: Bools) -> Pixels:
    """A picture whose mask shows the ground around it, if that can be told from what stands on it;
    else all that is around it.
    """
    erased = inpainting.erased(pixels, masked)
    clear = ground.cleared(erased)
    if clear is None:
        return erased
    is_ground = (clear[..., 3] < _VISIBLE) & ~masked
    grown = Image.fromarray(masked).convert("L").filter(ImageFilter.MaxFilter(_RING_PX))
    ring = (np.asarray(grown) > 0) & ~masked
    if not ring.any() or is_ground[ring].mean() < _GROUND_SHARE:
        return erased  # the mask is within a thing
    return inpainting.erased(pixels, ~is_ground)
