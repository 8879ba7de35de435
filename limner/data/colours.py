"""The eleven basic colours: names, finding the colour of a drawing, and recolouring it.

A drawing is recoloured by changing the hue and lightness of its dominant colour; parts of other
colours stay. This is only used if most of the drawing has one saturated hue.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats

Rgb = tuple[int, int, int]

NAMES = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
    "grey",
)
RGB_FROM_NAME = {
    "red": (221, 46, 68), "orange": (244, 144, 12), "yellow": (255, 204, 77),
    "green": (92, 173, 71), "blue": (62, 132, 226), "purple": (150, 92, 200),
    "pink": (246, 150, 190), "brown": (138, 86, 52), "black": (30, 30, 34),
    "white": (255, 255, 255), "grey": (150, 156, 162),
}  # fmt: skip

# Where each colour sits: hue in degrees, saturation and lightness (HSL), both 0..1.
_TARGETS = {
    "red": (355.0, 0.75, 0.50), "orange": (28.0, 0.92, 0.52), "yellow": (48.0, 0.97, 0.60),
    "green": (115.0, 0.50, 0.44), "blue": (213.0, 0.75, 0.52), "purple": (272.0, 0.55, 0.54),
    "pink": (337.0, 0.80, 0.78), "brown": (24.0, 0.45, 0.34), "black": (240.0, 0.05, 0.14),
    "white": (220.0, 0.10, 0.93), "grey": (210.0, 0.05, 0.60),
}  # fmt: skip

# Hues between these spans have no unambiguous name.
_HUE_SPANS = (
    (0, 8, "red"), (18, 36, "orange"), (42, 60, "yellow"), (80, 160, "green"),
    (195, 238, "blue"), (256, 296, "purple"), (318, 340, "pink"), (345, 360, "red"),
)  # fmt: skip

_HUE_WINDOW_DEG = 32.0  # pixels within this distance of the dominant hue are recoloured
_MIN_SATURATION = 0.30
_MIN_SHARE = 0.55  # of the opaque area, for a drawing to be recoloured
_NEAR_RGB = 110  # summed over the channels, 0..765
_MIN_NATURAL_SHARE = 0.62  # for its own colour to be named


@dataclass(frozen=True)
class Tint:
    """The dominant colour of a drawing."""

    hue_deg: float
    saturation: float  # medians of the pixels near the dominant hue, 0..1
    lightness: float
    share: float  # of the opaque area that is near the dominant hue and saturated, 0..1
    natural: str | None  # the drawing's colour, if one name fits

    @property
    def can_change(self) -> bool:
        """Whether most of the drawing has one hue, so that it can be recoloured."""
        return self.share >= _MIN_SHARE

    def is_near(self, name: str) -> bool:
        """Whether a drawing of this tint would be hard to see on a ground of that colour."""
        level = (np.float32(number) for number in (self.hue_deg, self.saturation, self.lightness))
        own = _rgb(*(np.asarray(number) for number in level)) * 255
        distance = np.abs(own - np.array(RGB_FROM_NAME[name])).sum()
        return name == self.natural or bool(distance < _NEAR_RGB)


def _straight(picture: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    alpha = picture[..., 3].astype(np.float32) / 255
    colour = picture[..., :3].astype(np.float32) / 255 / np.maximum(alpha, 1 / 255)[..., None]
    return np.minimum(colour, 1), alpha


def _hsl(rgb: Floats) -> tuple[Floats, Floats, Floats]:
    """Hue in degrees, saturation and lightness in 0..1, each (...) for rgb of (..., 3)."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    high, low = rgb.max(-1), rgb.min(-1)
    chroma = high - low
    safe = np.where(chroma > 1e-6, chroma, 1)
    hue = np.where(
        high == red,
        (green - blue) / safe,
        np.where(high == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    lightness = (high + low) / 2
    saturation = chroma / np.maximum(1 - np.abs(2 * lightness - 1), 1e-6)
    return ((hue * 60) % 360, np.where(chroma > 1e-6, np.minimum(saturation, 1), 0), lightness)


def _rgb(hue_deg: Floats, saturation: Floats, lightness: Floats) -> Floats:
    reach = saturation * np.minimum(lightness, 1 - lightness)
    channels = []
    for offset in (0.0, 8.0, 4.0):
        k = (offset + hue_deg / 30) % 12
        channels.append(lightness - reach * np.clip(np.minimum(k - 3, 9 - k), -1, 1))
    rgb: Floats = np.stack(channels, -1).astype(np.float32)
    return rgb


def _hue_distance(hue: Floats, to_deg: float) -> Floats:
    distance: Floats = np.abs((hue - to_deg + 180) % 360 - 180)
    return distance


def colour_name(hue_deg: float, saturation: float, lightness: float) -> str | None:
    """The basic colour of one HSL value; None for those between two names."""
    if lightness < 0.16:
        return "black"
    if saturation < 0.12:
        return "white" if lightness > 0.9 else ("grey" if 0.35 < lightness < 0.75 else None)
    if 8 <= hue_deg <= 40 and lightness < 0.42 and saturation < 0.75:
        return "brown"
    if saturation < 0.35:
        return None
    if lightness > 0.72 and (hue_deg >= 315 or hue_deg < 8):
        return "pink"
    for start, end, name in _HUE_SPANS:
        if start <= hue_deg < end and 0.2 < lightness < 0.9:
            return name
    return None


def tint_of(picture: NDArray[np.uint8]) -> Tint:
    """The dominant colour of a premultiplied picture, shape (H, W, 4)."""
    rgb, alpha = _straight(picture)
    solid = alpha > 0.5
    if not solid.any():
        return Tint(0.0, 0.0, 0.0, 0.0, None)
    hue, saturation, lightness = _hsl(rgb[solid])
    coloured = (saturation > _MIN_SATURATION) & (lightness > 0.12) & (lightness < 0.93)
    if coloured.mean() < 0.2:
        return _grey_tint(saturation, lightness)
    counts, _ = np.histogram(hue[coloured], bins=72, range=(0, 360))
    around = sum(np.roll(counts, shift) for shift in range(-3, 4))
    peak = (int(np.argmax(around)) + 0.5) * 5.0
    near = coloured & (_hue_distance(hue, peak) < _HUE_WINDOW_DEG)
    offsets = (hue[near] - peak + 180) % 360 - 180
    middle = float((peak + np.median(offsets)) % 360)
    share = float(near.mean())
    level = float(np.median(saturation[near])), float(np.median(lightness[near]))
    natural = colour_name(middle, *level) if share >= _MIN_NATURAL_SHARE else None
    return Tint(middle, *level, share, natural)


def _grey_tint(saturation: Floats, lightness: Floats) -> Tint:
    middle = float(np.median(lightness))
    near = float((np.abs(lightness - middle) < 0.15).mean())
    natural = colour_name(0.0, 0.0, middle) if near >= _MIN_NATURAL_SHARE else None
    return Tint(0.0, float(np.median(saturation)), middle, 0.0, natural)


def recolour(
    picture: NDArray[np.uint8], tint: Tint, name: str, exact: Rgb | None = None
) -> NDArray[np.uint8]:
    """A premultiplied picture, (H, W, 4), with its dominant colour moved to a named one.

    Lightness follows a piecewise linear curve through (0, 0), (the drawing's median, the target's)
    and (1, 1), which keeps shading and highlights. exact: the colour itself, if it is not the usual
    one of that name.
    """
    rgb, alpha = _straight(picture)
    hue, saturation, lightness = _hsl(rgb)
    to_hue, to_saturation, to_lightness = _target(name, exact)
    bent = _bent(lightness, tint.lightness, to_lightness)
    # A flat drawing keeps a little of its own contrast even when the target is near black or white.
    new_saturation = np.clip(saturation * (to_saturation / max(tint.saturation, 0.2)), 0, 1)
    drift = ((hue - tint.hue_deg + 180) % 360 - 180) * 0.35
    changed = _rgb(
        (to_hue + drift) % 360, np.minimum(new_saturation, max(to_saturation, 0.12) * 1.3), bent
    )
    near = np.clip((_HUE_WINDOW_DEG + 8 - _hue_distance(hue, tint.hue_deg)) / 8, 0, 1)
    return _mixed(picture, rgb, alpha, changed, near * np.clip(saturation / 0.25, 0, 1))


def _target(name: str, exact: Rgb | None) -> tuple[float, float, float]:
    """Hue, saturation and lightness to paint."""
    if exact is None:
        return _TARGETS[name]
    hue, saturation, lightness = _hsl(np.array(exact, np.float32) / 255)
    return float(hue), float(saturation), float(lightness)


def is_greyish(tint: Tint) -> bool:
    """Whether most of a drawing is one grey, so that `colour_grey` can colour it."""
    return tint.natural == "grey"


def colour_grey(
    picture: NDArray[np.uint8], tint: Tint, name: str, exact: Rgb | None = None
) -> NDArray[np.uint8]:
    """A premultiplied picture, (H, W, 4), whose greys are coloured; its colours stay.

    Lightness is bent, and `exact` is, as in `recolour`. Nearly black and nearly white parts, such
    as eyes, stay.
    """
    rgb, alpha = _straight(picture)
    _, saturation, lightness = _hsl(rgb)
    to_hue, to_saturation, to_lightness = _target(name, exact)
    changed = _rgb(
        np.full_like(lightness, to_hue),
        np.full_like(lightness, to_saturation),
        _bent(lightness, tint.lightness, to_lightness),
    )
    is_grey = np.clip((0.42 - saturation) / 0.12, 0, 1)
    inside = np.clip((lightness - 0.12) / 0.1, 0, 1) * np.clip((0.97 - lightness) / 0.06, 0, 1)
    return _mixed(picture, rgb, alpha, changed, is_grey * inside)


def _bent(lightness: Floats, middle: float, to: float) -> Floats:
    """Lightness on lines through (0, 0), (middle, to) and (1, 1)."""
    middle = min(max(middle, 0.05), 0.95)
    return np.where(
        lightness < middle,
        lightness * (to / middle),
        1 - (1 - lightness) * ((1 - to) / (1 - middle)),
    )


def _mixed(
    picture: NDArray[np.uint8], rgb: Floats, alpha: Floats, changed: Floats, amount: Floats
) -> NDArray[np.uint8]:
    """The picture with its straight colours `rgb` replaced by `changed` to the `amount`."""
    share = amount[..., None]
    mixed = (rgb * (1 - share) + np.clip(changed, 0, 1) * share) * alpha[..., None]
    result = picture.copy()
    result[..., :3] = np.minimum(np.rint(mixed * 255), picture[..., 3:])
    return result
