"""From codes to the picture that was asked for: decoded, enlarged, fitted, or set into another."""

from math import ceil, floor

import numpy as np
from PIL import Image

from limner.arrays import Floats32, Ints, Pixels
from limner.engines.transformer.backend import Backend, cell_px, has_restorer
from limner.engines.transformer.conditioning import Start
from limner.engines.transformer.pixels.adjustment import UNCHANGED, Adjustment
from limner.engines.transformer.pixels.image_codes import decoded
from limner.engines.transformer.prompt_words import Colour
from limner.finish.outline import MARGIN, SCALE, outlined
from limner.finish.raster import raster
from limner.finish.segment import segmented
from limner.imaging import codec
from limner.request import ImageRequest, Size
from limner.sampling import inpainting
from limner.sampling.canvas import Box, Canvas
from limner.sampling.inpainting import Placed

_FACTOR = 4  # of one pass of the upscalers
_RESTORED = 2  # times the side that the restorer gives
# The network's alpha is never quite 0 or 1; what is this close is meant to be.
_ALPHA_MARGIN = 0.03
_FLAT_PX = 192  # about as many on the shorter side are what areas of flat art are found in
_ROOM = 0.07  # of the shorter side, around a thing on a painted ground: drawings fill their square
_MARGIN = 2  # cells around a drawn part that its enlargement and its edge look at


def picture(
    backend: Backend,
    codes: Ints,
    canvas: Canvas,
    n_passes: int,
    *,
    is_flat: bool = False,
    is_outlined: bool = False,
    has_room: bool = False,
    adjustment: Adjustment = UNCHANGED,
) -> Pixels:
    """Codes (n_cells, n_groups) of a canvas as its picture, straight (H, W, 4).

    adjustment: what is done to it before it is enlarged.

    is_flat: draw it as areas with crisp edges in place of `n_passes` of the upscalers. Where it is
    flat, is_outlined: with dark lines around areas; has_room: smaller, with ground around it.
    """
    small = adjustment.on(decoded(backend, codes, canvas))
    width, height = canvas.size.width, canvas.size.height
    if is_flat:
        px = cell_px(backend)
        side, box = canvas.grid * px, canvas.frame(px)
        room = round(side * _ROOM) if has_room else 0
        whole = _flat(backend, small, side, width, height, box, room, is_outlined)
        return codec.unpremultiply(whole)
    drawn = backend.enlarged(small[None], n_passes)[0]
    scale = cell_px(backend) * _FACTOR**n_passes
    if canvas.left == canvas.top == 0:
        drawn = _shrunk(drawn, width, height)
    if drawn.shape[1:] == (height, width):
        return codec.unpremultiply(_whole_numbers(drawn))
    straight = codec.unpremultiply(_whole_numbers(drawn))
    method: codec.Method = "area" if canvas.cell_px < scale else "bicubic"
    return codec.resize(straight, width, height, method, box=canvas.frame(scale))


def picture_in(
    backend: Backend, codes: Ints, start: Start, n_passes: int, *, is_flat: bool = False
) -> Pixels:
    """The picture that `start` has placed, with its masked part drawn by codes (n_cells, n_groups).

    Only what lies around the hidden cells is enlarged: the cost follows what is drawn.
    """
    canvas, placed, hidden, behind = start.canvas, start.placed, start.hidden, start.behind
    assert placed is not None
    assert hidden is not None
    small = decoded(backend, codes, canvas)
    px = cell_px(backend)
    rows, columns = np.divmod(np.flatnonzero(hidden), canvas.columns)
    top, bottom = _reach(rows, canvas.rows)
    left, right = _reach(columns, canvas.columns)
    part = small[:, top * px : bottom * px, left * px : right * px]
    y0, y1, above, below = _lines(top, bottom, canvas.top, canvas.cell_px, canvas.size.height)
    x0, x1, before, after = _lines(left, right, canvas.left, canvas.cell_px, canvas.size.width)
    cells = before, above, after, below
    if is_flat:
        drawn = _flat(backend, part, canvas.grid * px, x1 - x0, y1 - y0, _scaled(cells, px))
    else:
        large = _whole_numbers(backend.enlarged(part[None], n_passes)[0])
        scale = px * _FACTOR**n_passes
        method: codec.Method = "area" if canvas.cell_px < scale else "bicubic"
        box = _scaled(cells, scale)
        drawn = codec.resize(large, x1 - x0, y1 - y0, method, premultiplied=True, box=box)
    where = slice(y0, y1), slice(x0, x1)
    here = Placed(placed.pixels[where], placed.masked[where])
    whole = placed.pixels.copy()
    if start.is_front:
        whole[where] = inpainting.laid_over(drawn, here)
    else:
        whole[where] = inpainting.set_in(
            drawn, here, canvas.cell_px, None if behind is None else behind[where]
        )
    return whole


def scene_picture(
    backend: Backend,
    small: Floats32,
    box: Box,
    size: Size,
    n_passes: int,
    *,
    is_flat: bool = False,
    is_outlined: bool = False,
    is_restored: bool = True,
) -> Pixels:
    """A decoded canvas (4, h, w), premultiplied, as a straight picture (H, W, 4) of `size`.

    box: the picture's place on the canvas in pixels of `small`. is_flat, is_outlined: as for
    `picture`. is_restored: through the restorer, if the weights have one; that takes half the time
    of a scene in few steps.
    """
    if is_flat:
        side = min(small.shape[1:])
        whole = _flat(
            backend,
            small,
            side,
            size.width,
            size.height,
            box,
            is_outlined=is_outlined,
            is_restored=is_restored,
        )
        return codec.unpremultiply(whole)
    large = _whole_numbers(backend.enlarged(small[None], n_passes)[0])
    scale = _FACTOR**n_passes
    method: codec.Method = "area" if large.shape[0] > size.height else "bicubic"
    return codec.unpremultiply(
        codec.resize(
            large, size.width, size.height, method, premultiplied=True, box=_scaled(box, scale)
        )
    )


def on_ground(whole: Pixels, ground: Colour | None, request: ImageRequest) -> Pixels:
    """A picture on the ground that its prompt names, or that the request asks for."""
    ground = ground or ((255, 255, 255) if request.background == "opaque" else None)
    if ground is None or request.background == "transparent":
        return whole
    return codec.over(whole, np.array([[(*ground, 255)]], np.uint8))


def _flat(
    backend: Backend,
    small: Floats32,
    side: int,
    width: int,
    height: int,
    box: Box,
    room: int = 0,
    is_outlined: bool = False,
    is_restored: bool = True,
) -> Pixels:
    """The part `box` of a small picture (4, h, w) of flat art as premultiplied (height, width, 4).

    is_restored: the restorer redraws it first, if the weights have one. side: pixels of the whole
    small picture's shorter side, which say how much it is enlarged before areas are found in it;
    room: pixels of clear ground around it.
    """
    factor = 1
    if is_restored and has_restorer(backend):
        factor = _RESTORED
        small = backend.restored(small[None])[0]
        side, room, box = side * factor, room * factor, _scaled(box, factor)
    if is_outlined:
        room += MARGIN * factor
    if room:
        small = np.pad(small, ((0, 0), (room, room), (room, room)))
        box = _with_room(box, room)
    if is_outlined:
        small = outlined(np.stack([*small[:3], _alpha(small[3])]), factor)
        side, box = side * (SCALE // factor), _scaled(box, SCALE // factor)
    scale = max(1, round(_FLAT_PX / side))
    rows, columns = small.shape[1] * scale, small.shape[2] * scale
    planes = [
        Image.fromarray(plane).resize((columns, rows), Image.Resampling.BICUBIC)
        for plane in (*small[:3], _alpha(small[3]))
    ]
    alpha = np.asarray(planes.pop()).clip(0, 1)
    colour = [np.asarray(plane).clip(0, alpha) for plane in planes]
    found = segmented(np.stack([*colour, alpha], axis=-1))
    return raster(found.sheets(), width, height, _scaled(box, scale))


def _with_room(box: Box, room: int) -> Box:
    """A box of a picture in the picture that has `room` more pixels on each side, wider by these.

    Its shape stays, so it is wider by less on its shorter sides.
    """
    left, top, right, bottom = box
    longer = max(right - left, bottom - top)
    across, down = (room * (side / longer) for side in (right - left, bottom - top))
    return left + room - across, top + room - down, right + room + across, bottom + room + down


def _scaled(box: Box, scale: int) -> Box:
    left, top, right, bottom = box
    return left * scale, top * scale, right * scale, bottom * scale


def _alpha(drawn: Floats32) -> Floats32:
    """Alpha as meant, in [0, 1], of alpha as the network draws it."""
    meant: Floats32 = ((drawn - _ALPHA_MARGIN) / (1 - 2 * _ALPHA_MARGIN)).clip(0, 1)
    return meant


def _reach(drawn: Ints, n: int) -> tuple[int, int]:
    """The first drawn of n lines and one past the last, with a margin where there is room."""
    return max(0, int(drawn.min()) - _MARGIN), min(n, int(drawn.max()) + 1 + _MARGIN)


def _lines(
    start: int, end: int, before: float, cell_px: float, n: int
) -> tuple[int, int, float, float]:
    """Cells `start` to `end` as whole lines of a picture's `n`, and those in cells from `start`."""
    first = max(0, ceil((start - before) * cell_px - 1e-6))
    last = min(n, floor((end - before) * cell_px + 1e-6))
    shift = before - start
    # Rounding must not lead out of the part.
    return first, last, max(first / cell_px + shift, 0.0), min(last / cell_px + shift, end - start)


def _whole_numbers(picture: Floats32) -> Pixels:
    """(4, H, W) in [0, 1] as the network draws it to uint8 (H, W, 4), both premultiplied."""
    whole = np.empty((*picture.shape[1:], 4), np.uint8)
    for channel, plane in enumerate(picture):
        if channel == 3:
            plane = _alpha(plane)
        whole[..., channel] = np.rint(plane.clip(0, 1) * 255)
    return whole


def _shrunk(picture: Floats32, width: int, height: int) -> Floats32:
    """(4, H, W) with squares averaged to (height, width), where whole squares fit.

    Before pixels become whole numbers this is a tenth of the work that it is afterwards.
    """
    factor, rest = divmod(picture.shape[1], height)
    if factor < 2 or rest or picture.shape[2] != factor * width:
        return picture
    total = np.zeros((len(picture), height, width), np.float32)
    for down in range(factor):
        for right in range(factor):
            total += picture[:, down::factor, right::factor]
    shrunk: Floats32 = total / np.float32(factor**2)
    return shrunk
