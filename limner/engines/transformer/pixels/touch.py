"""What is done to a decoded picture before it is enlarged: turned about, and painted.

The weights draw a thing one way round whatever the seed, and best in its own colour. So a seed
turns it, and a colour that a prompt says of it is painted (`data.colours.recolour`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.data.colours import Tint, recolour, tint_of

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Touch:
    """All that is done to one picture."""

    is_turned: bool = False
    colour: str | None = None  # one of colours.NAMES

    def on(self, small: Array) -> Array:
        """The picture (4, h, w), premultiplied in [0, 1], in its colour if it takes paint."""
        tint = None if self.colour is None else _paintable(small, self.colour)
        if tint is not None and self.colour != tint.natural:
            painted = recolour(_whole(small), tint, str(self.colour))
            small = np.stack([*np.moveaxis(painted[..., :3], -1, 0) / np.float32(255), small[3]])
        return np.ascontiguousarray(small[..., ::-1]) if self.is_turned else small

    def is_missed(self, small: Array) -> bool:
        """Whether the picture takes no paint: its colours are many, or none is its own."""
        return self.colour is not None and _paintable(small, self.colour) is None


UNTOUCHED = Touch()


def _paintable(small: Array, colour: str) -> Tint | None:
    """The tint of a picture if it has a colour, or takes it by paint."""
    tint = tint_of(_whole(small))
    return tint if tint.natural == colour or tint.can_change else None


def is_turned(seed: int, picture: int) -> bool:
    """Whether a seed turns a picture about: every second one."""
    # Bit 125 separates this stream from those of `sampling.uniforms`, `canvas.kept`,
    # `styles.in_style` and `plan.lay_out`.
    key = (seed & (2**64 - 1)) | ((picture & (2**32 - 1)) << 64) | (1 << 125)
    return bool(np.random.Generator(np.random.Philox(key=key)).random() < 0.5)


def _whole(small: Array) -> NDArray[np.uint8]:
    """(4, h, w) in [0, 1] as premultiplied uint8 (h, w, 4)."""
    whole = np.rint(np.moveaxis(small, 0, -1).clip(0, 1) * 255).astype(np.uint8)
    whole[..., :3] = np.minimum(whole[..., :3], whole[..., 3:])
    return whole
