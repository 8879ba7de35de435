"""Contact sheets: many pictures on one page."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.storage.files import wrap_os_errors


def write_sheet(pictures: NDArray[np.uint8], output: Path, columns: int, gap: int = 2) -> None:
    """Write premultiplied RGBA pictures (N, H, W, 4) on white, row by row, as one PNG.

    Raises OutputError if it cannot be written.
    """
    count, height, width = pictures.shape[:3]
    rows = -(-count // columns)
    size = (rows * (height + gap) + gap, columns * (width + gap) + gap, 3)
    page = np.full(size, 235, np.uint8)
    for i, picture in enumerate(pictures):
        top = gap + i // columns * (height + gap)
        left = gap + i % columns * (width + gap)
        page[top : top + height, left : left + width] = picture[..., :3] + (255 - picture[..., 3:])
    with wrap_os_errors(output):
        Image.fromarray(page).save(output)
