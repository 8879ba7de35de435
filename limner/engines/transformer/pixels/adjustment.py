"""What is done to a decoded picture before it is enlarged: turned about, and painted.

The weights draw a thing one way round whatever the seed, and best in its own colour. So the seed
turns it, and a colour is painted (`data/colours.py`): the prompt's, or the seed's where a
thing comes in several.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.data.colours import Rgb, Tint, colour_grey, is_greyish, recolour, tint_of

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Adjustment:
    """All that is done to one picture."""

    is_turned: bool = False
    colour: str | None = None  # one of colours.NAMES
    is_asked: bool = True  # whether the prompt says the colour; else the seed chose it
    exact: Rgb | None = None  # the colour itself, if it is not the usual one of that name

    def on(self, small: Array) -> Array:
        """The picture (4, h, w), premultiplied in [0, 1], in its colour if it takes paint."""
        tint = None if self.colour is None else _paintable(small, self.colour)
        if tint is not None and (self.colour != tint.natural or self.exact is not None):
            paint = colour_grey if is_greyish(tint) else recolour
            painted = paint(_whole(small), tint, str(self.colour), self.exact)
            small = np.stack([*np.moveaxis(painted[..., :3], -1, 0) / np.float32(255), small[3]])
        return np.ascontiguousarray(small[..., ::-1]) if self.is_turned else small

    @property
    def is_wanted(self) -> bool:
        """Whether the prompt says a colour."""
        return self.colour is not None and self.is_asked

    def is_missed(self, small: Array) -> bool:
        """Whether the colour that was asked for cannot be painted: the picture has many colours."""
        return self.is_wanted and _paintable(small, str(self.colour)) is None


UNCHANGED = Adjustment()


def _paintable(small: Array, colour: str) -> Tint | None:
    """The tint of a picture if it has a colour, or takes it by paint."""
    tint = tint_of(_whole(small))
    able = tint.natural == colour or tint.can_change or is_greyish(tint)
    return tint if able else None


def adjustment_by_seed(
    seed: int,
    picture: int,
    *,
    may_turn: bool,
    asked: str | None,
    exact: Rgb | None = None,
    own: Sequence[str] = (),
) -> Adjustment:
    """What a seed does to a picture: it turns every second one that may be turned.

    asked: the colour that its prompt says, and `exact` what it looks like, if it is not the usual
    one. Where it says none, every second picture gets one of those that the thing comes in (own),
    if it comes in several.
    """
    # Bit 125 separates this stream from those of `sampling.uniforms`, `canvas.kept`,
    # `styles.in_style` and `plan.lay_out`.
    key = (seed & (2**64 - 1)) | ((picture & (2**32 - 1)) << 64) | (1 << 125)
    turn, keep, which = np.random.Generator(np.random.Philox(key=key)).random(3)
    is_turned = may_turn and bool(turn < 0.5)
    if asked is not None:
        return Adjustment(is_turned, asked, exact=exact)
    colour = own[int(which * len(own))] if own and keep < 0.5 else None
    return Adjustment(is_turned, colour, is_asked=False)


def _whole(small: Array) -> NDArray[np.uint8]:
    """(4, h, w) in [0, 1] as premultiplied uint8 (h, w, 4)."""
    whole: NDArray[np.uint8] = np.rint(np.moveaxis(small, 0, -1).clip(0, 1) * 255).astype(np.uint8)
    whole[..., :3] = np.minimum(whole[..., :3], whole[..., 3:])
    return whole
