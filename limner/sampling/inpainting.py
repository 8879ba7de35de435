"""Source pictures: placing them on a canvas, erasing masked parts, inserting new parts.

Pixels under a mask are erased before any processing, so they cannot reappear. NumPy and Pillow
only.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from limner.arrays import Bools, Floats32, Pixels
from limner.imaging import codec as px
from limner.request import (
    Edit,
    Size,
    Variation,
    size_of,
)
from limner.sampling.canvas import Canvas

# The difference between a drawing and its surroundings at the mask's edge is blended inwards: up to
# _TONE, a difference in tone, over a whole cell; the rest, a difference in content, much faster.
_TONE = 24  # of 255
_TONE_REACH, _REST_REACH = 1.0, 0.125  # in cells
_BACKDROP_PX = 32  # shorter side of the reduced picture that a backdrop is made of
# A reduced pixel with less weight than this is filled from its neighbours.
_MIN_SEEN = 0.25


@dataclass(frozen=True, eq=False)
class Placed:
    """A source picture at the requested size."""

    pixels: Pixels  # (H, W, 4) straight RGBA; undefined under the mask
    masked: Bools  # (H, W), True where to draw


def place(pixels: Pixels, masked: Bools, size: Size) -> Placed:
    """Fit a picture into `size` without distortion; the margins are transparent and kept.

    If the size is unchanged, so are its pixels, bit for bit.
    """
    if size_of(pixels) == size:
        return Placed(pixels, masked)
    height, width = pixels.shape[:2]
    scale = min(size.width / width, size.height / height)
    fitted_w, fitted_h = _fitted(width, height, scale, size)
    is_own = np.array_equal(masked, pixels[..., 3] == 0)  # then it is laid over the drawing
    if scale > 1 and masked.any() and not is_own:
        pixels = erased(pixels, masked)  # before resampling mixes masked pixels into others
    resized = px.resize(pixels, fitted_w, fitted_h, "area" if scale < 1 else "bicubic")
    seen = _averaged(1 - masked.astype(np.float32), fitted_w, fitted_h)
    top, left = (size.height - fitted_h) // 2, (size.width - fitted_w) // 2
    where = slice(top, top + fitted_h), slice(left, left + fitted_w)
    whole = np.zeros((size.height, size.width, 4), np.uint8)
    whole[where] = resized
    to_draw = np.zeros((size.height, size.width), bool)
    to_draw[where] = seen < 1 - 1e-6
    return Placed(whole, to_draw)


def reduced(source: Edit | Variation, size: Size) -> Edit | Variation:
    """Reduce `source` to what drawing at `size` needs; `place` gives the same result, bit for bit.

    Returns a source that is not larger unchanged.
    """
    height, width = source.pixels.shape[:2]
    scale = min(size.width / width, size.height / height)
    if scale >= 1:
        return source
    fitted_w, fitted_h = _fitted(width, height, scale, size)
    if isinstance(source, Variation):
        return Variation(px.resize(source.pixels, fitted_w, fitted_h, "area"))
    masked = mask_of(source)
    mask = None
    if masked.any():
        seen = np.ones(masked.shape, np.float32)
        seen[masked] = 0
        is_seen = _averaged(seen, fitted_w, fitted_h) >= 1 - 1e-6
        del seen  # both are large
        mask = is_seen.astype(np.uint8) * np.uint8(255)
    pixels = px.resize(source.pixels, fitted_w, fitted_h, "area")
    is_own = mask is not None and source.given_mask is None
    return Edit(pixels, mask, is_own_mask=is_own, is_whole=source.is_whole)


def _fitted(width: int, height: int, scale: float, size: Size) -> tuple[int, int]:
    """The sides of a picture times `scale`, at least 1 and at most those of `size`."""
    fitted_w = min(max(round(width * scale), 1), size.width)
    return fitted_w, min(max(round(height * scale), 1), size.height)


def mask_of(edit: Edit) -> Bools:
    """Where an edit draws, (H, W): its mask, else the transparent pixels, if any.

    Nowhere if it draws all anew in its old layout.
    """
    if edit.mask is None and edit.is_whole:
        return np.zeros(edit.pixels.shape[:2], bool)
    alpha = edit.pixels[..., 3] if edit.mask is None else edit.mask
    masked: Bools = alpha == 0
    return masked


def hidden_cells(masked: Bools, canvas: Canvas) -> Bools:
    """Cells (n_cells,) that a masked pixel of a picture (H, W) touches."""
    tall = _touched(masked, canvas.top, canvas.cell_px, canvas.rows)
    return _touched(tall.T, canvas.left, canvas.cell_px, canvas.columns).T.ravel()


def _touched(masked: Bools, before: float, cell_px: float, n_cells: int) -> Bools:
    """Reduce lines of pixels (H, …) to lines of cells (n_cells, …): whether any pixel is True."""
    found = np.zeros((n_cells, *masked.shape[1:]), bool)
    for cell in range(n_cells):
        start = int(np.floor((cell - before) * cell_px + 1e-6))
        end = int(np.ceil((cell + 1 - before) * cell_px - 1e-6))
        found[cell] = masked[max(start, 0) : max(end, 0)].any(axis=0)
    return found


def small(placed: Placed, canvas: Canvas, image_px: int) -> Floats32:
    """The network's input: premultiplied (4, h, w) in [0, 1], `image_px` on the shorter side.

    Masked parts, and cells beyond the picture, are filled from their surroundings.
    """
    cell = image_px // canvas.grid
    width, height = canvas.columns * cell, canvas.rows * cell
    outer = _margins(canvas)
    seen = np.pad(1 - placed.masked.astype(np.float32), outer)
    colour = px.premultiply(placed.pixels).astype(np.float32) / np.float32(255)
    colour[placed.masked] = 0
    shares = _averaged(seen, width, height)
    whole = np.pad(colour, (*outer, (0, 0)))
    sums: Floats32 = np.stack([_averaged(whole[..., c], width, height) for c in range(4)], axis=-1)
    values = _divided(sums, shares[..., None], _MIN_SEEN)
    return spread(values, shares >= _MIN_SEEN).transpose(2, 0, 1)


def backdrop(placed: Placed) -> Pixels | None:
    """What to lay a drawing on in a picture without transparency, opaque (H, W, 4).

    The picture's edges, extrapolated inwards; None if the picture may be transparent.
    """
    kept = ~placed.masked
    if not kept.any() or (placed.pixels[kept, 3] < 255).any():
        return None
    height, width = kept.shape
    scale = _BACKDROP_PX / min(height, width)
    across, down = max(3, round(width * scale)), max(3, round(height * scale))
    shares = _averaged(kept.astype(np.float32), across, down)
    colours = placed.pixels.astype(np.float32) * kept[..., None]
    sums: Floats32 = np.stack([_averaged(colours[..., c], across, down) for c in range(4)], axis=-1)
    values = _divided(sums, shares[..., None], 1e-6)
    known = shares > 0
    edge = known.copy()
    edge[1:-1, 1:-1] = False
    whole = spread(values, edge if edge.any() else known)
    whole[..., 3] = 255
    return px.resize(np.rint(whole.clip(0, 255)).astype(np.uint8), width, height)


def _margins(canvas: Canvas) -> tuple[tuple[int, int], tuple[int, int]]:
    """Margins between canvas and picture in pixels: (above, below), (left, right)."""
    across = round(canvas.columns * canvas.cell_px) - canvas.size.width
    down = round(canvas.rows * canvas.cell_px) - canvas.size.height
    return (down // 2, down - down // 2), (across // 2, across - across // 2)


def laid_over(drawn: Pixels, placed: Placed) -> Pixels:
    """The picture composited over the drawing, premultiplied (H, W, 4).

    Opaque pixels are kept bit for bit; soft edges are blended with the drawing.
    """
    front = px.premultiply(placed.pixels).astype(np.uint16)
    clear = 255 - front[..., 3:]
    whole = front + (drawn * clear + 127) // 255
    result = px.unpremultiply(whole.astype(np.uint8))
    solid = placed.pixels[..., 3] == 255
    result[solid] = placed.pixels[solid]
    return result


def set_in(drawn: Pixels, placed: Placed, cell_px: float, behind: Pixels | None = None) -> Pixels:
    """The picture with the drawing inserted where it is masked, premultiplied (H, W, 4).

    Other pixels are kept bit for bit. At the mask's edge the drawing is adjusted by its difference
    to the picture, fading inwards, so that no seam shows. `behind` is an opaque picture to lay the
    drawing on.
    """
    kept = ~placed.masked
    new = drawn.astype(np.float32)
    if behind is not None:
        new += behind * (1 - new[..., 3:] / 255)
    if kept.any():
        old = px.premultiply(placed.pixels).astype(np.float32)
        difference = np.where(kept[..., None], old - new, 0)
        tone = difference.clip(-_TONE, _TONE)
        new += _nearness(kept, cell_px * _TONE_REACH) * spread(tone, kept)
        new += _nearness(kept, cell_px * _REST_REACH) * spread(difference - tone, kept)
    alpha = new[..., 3:].clip(0, 255)
    whole = np.concatenate([new[..., :3].clip(0, alpha), alpha], axis=-1)
    straight = px.unpremultiply(np.rint(whole).astype(np.uint8))
    result = placed.pixels.copy()
    result[placed.masked] = straight[placed.masked]
    return result


def _nearness(kept: Bools, reach_px: float) -> Floats32:
    """(H, W, 1): 1 at kept pixels and next to them, falling to 0 at about `reach_px`."""
    image = Image.fromarray(kept.astype(np.uint8) * 255)
    # Twice the blur of a straight edge is 1 on it and fades out at two deviations.
    blurred = image.filter(ImageFilter.GaussianBlur(reach_px / 2))
    return (np.asarray(blurred, np.float32) * (2 / 255)).clip(0, 1)[..., None]


def spread(values: Floats32, known: Bools) -> Floats32:
    """Fill (H, W, C) smoothly where not `known` (H, W), by "pull-push".

    Halved until all is known, then enlarged again (Gortler and others 1996, section 5.2).
    """
    if known.all() or not known.any() or max(known.shape) == 1:
        return values
    height, width = known.shape
    odd = ((0, height % 2), (0, width % 2))
    weight = np.pad(known, odd).astype(np.float32)[..., None]
    weighted = np.pad(values, (*odd, (0, 0))) * weight
    sums, weights = _of_fours(weighted), _of_fours(weight)
    coarse = spread(_divided(sums, weights, 1), weights[..., 0] > 0)
    around = np.stack(
        [_enlarged(coarse[..., c], width, height) for c in range(values.shape[2])], axis=-1
    )
    return np.where(known[..., None], values, around)


def _divided(sums: Floats32, shares: Floats32, least: float) -> Floats32:
    return np.divide(sums, np.maximum(shares, np.float32(least)), dtype=np.float32)


def _of_fours(values: Floats32) -> Floats32:
    rows: Floats32 = values[0::2] + values[1::2]
    return rows[:, 0::2] + rows[:, 1::2]


def _enlarged(plane: Floats32, width: int, height: int) -> Floats32:
    doubled = Image.fromarray(plane).resize(
        (plane.shape[1] * 2, plane.shape[0] * 2), Image.Resampling.BILINEAR
    )
    return np.asarray(doubled)[:height, :width]


def _averaged(plane: Floats32, width: int, height: int) -> Floats32:
    resized = Image.fromarray(plane).resize((width, height), Image.Resampling.BOX)
    return np.asarray(resized)


def erased(pixels: Pixels, masked: Bools) -> Pixels:
    """A picture with its masked parts filled from their surroundings."""
    values = px.premultiply(pixels).astype(np.float32)
    values[masked] = 0
    return px.unpremultiply(np.rint(spread(values, ~masked)).astype(np.uint8))
