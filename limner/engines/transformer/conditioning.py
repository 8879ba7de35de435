"""The canvas before the first cell is drawn: empty, or with known parts of a picture."""

from dataclasses import dataclass

import numpy as np

from limner.arrays import Bools, Ints, Pixels
from limner.engines.transformer.backend import Backend, image_px
from limner.engines.transformer.pixels.image_codes import encoded
from limner.request import Edit, ImageRequest
from limner.sampling import inpainting
from limner.sampling.canvas import Canvas, kept
from limner.sampling.inpainting import Placed

# Of a picture that is drawn anew, the share of cells that stay: chosen by looking at results.
_KEPT_OF_EDIT = 0.08
_KEPT_OF_VARIATION = 0.5


@dataclass(frozen=True, eq=False)
class Start:
    """A canvas with the cells that are known of it."""

    canvas: Canvas
    codes: Ints  # (n_cells, n_groups); zeros where nothing is known
    hidden: Bools | None = None  # (n_cells,) to draw; None: all but a share, new for each picture
    share: float = 0.0  # of the cells that stay when `hidden` is None
    placed: Placed | None = None  # a picture that the drawing is set in
    is_front: bool = False  # whether what is clear in it is the mask, and it is laid over
    behind: Pixels | None = None  # (H, W, 4) what shows through, unless transparency is to

    def hidden_of(self, seed: int, picture: int) -> Bools:
        """Cells to draw of a picture, (n_cells,)."""
        if self.hidden is not None:
            return self.hidden
        return ~kept(self.canvas, self.share, seed, picture)


def start(backend: Backend, request: ImageRequest) -> Start:
    """What a request begins with."""
    shape, source = backend.shape, request.source
    canvas = Canvas(request.size, shape.grid)
    if source is None:
        nothing = np.zeros((canvas.n_cells, shape.n_groups), np.int64)
        return Start(canvas, nothing, np.ones(canvas.n_cells, bool))
    share, masked = _KEPT_OF_VARIATION, np.zeros(source.pixels.shape[:2], bool)
    if isinstance(source, Edit):
        share, masked = _KEPT_OF_EDIT, inpainting.mask_of(source)
    placed = inpainting.place(source.pixels, masked, request.size)
    small = inpainting.small(placed, canvas, image_px(backend))
    codes = encoded(backend, small, canvas)
    behind = inpainting.backdrop(placed)
    if placed.masked.any():
        hidden = inpainting.hidden_cells(placed.masked, canvas)
        is_front = isinstance(source, Edit) and source.given_mask is None
        return Start(canvas, codes, hidden, placed=placed, is_front=is_front, behind=behind)
    return Start(canvas, codes, share=share, behind=behind)
