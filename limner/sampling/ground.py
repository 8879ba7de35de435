"""Making the ground of a picture transparent. NumPy and Pillow.

The ground is what the border shows nearly everywhere: one colour, or a smooth change of colours. It
is extrapolated inwards; similar pixels that are connected to the border become transparent.
"""

import re

import numpy as np
from PIL import Image, ImageFilter

from limner.arrays import Bools, Floats32, Pixels
from limner.imaging import codec as px
from limner.sampling.inpainting import spread

_SMALL_PX = 256  # longer side of the reduced picture in which the ground is searched
_MIN_PX = 8  # shorter side; smaller pictures are not searched
_LIKE = 24  # of 255: most variation of the ground, by noise and compression
_SMOOTH = 12  # and most difference to its neighbours, where its colour changes
_PLAIN_SHARE, _SMOOTH_SHARE = 0.6, 0.9  # of the border that must be ground
_MIN_SHARE, _MAX_SHARE = 0.02, 0.98  # of the picture, within which the ground must be
_MAX_SWEEPS = 100
# At edges: a pixel this near to the ground is clear; a subject must be this far from it.
_CLEAR, _SOLID = 16, 64
_STRIP_ROWS = 256  # processed at a time, to bound memory

_PLEASE = r"(?:please|can you|could you)?\s*"
_OF_IT = r"(?:\s+(?:of|from|in)\s+(?:the|this|my|that)\s+(?:image|picture|photo|drawing|logo))?"
_ONLY_TO_CLEAR = re.compile(
    _PLEASE
    + r"(?:"
    + r"(?:remove|erase|delete|clear|cut out|get rid of)\s+(?:the\s+|its\s+)?background"
    + _OF_IT
    + r"|(?:make|turn)\s+(?:the\s+|its\s+)?background\s+(?:transparent|clear)"
    + r"|(?:a\s+)?transparent background|background removal|no background)"
    + r"|请?(?:去掉|去除|移除|删除|清除)(?:图片|照片|图像|图)?的?背景"
    + r"|请?(?:把|将)?背景(?:去掉|去除|移除|删除|(?:变|改)?(?:成|为)?透明)|抠图",
    re.I,
)
_MAX_PROMPT_CHARS = 100


def asks_only_to_clear(prompt: str) -> bool:
    """Whether a prompt only asks to remove the ground, in English or Chinese."""
    words = prompt.strip().rstrip(".!?。！？ ")
    return len(words) <= _MAX_PROMPT_CHARS and _ONLY_TO_CLEAR.fullmatch(words) is not None


def cleared(pixels: Pixels) -> Pixels | None:
    """A picture (H, W, 4) with its ground transparent; None if no ground is recognised.

    Areas enclosed by the subject stay. A picture with a transparent border is returned unchanged.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, _SMALL_PX / max(height, width))
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    if min(w, h) < _MIN_PX:
        return None
    small = px.resize(pixels, w, h, "area") if scale < 1 else pixels
    border = np.ones((h, w), bool)
    border[1:-1, 1:-1] = False
    is_clear = small[..., 3] < 128
    if is_clear[border].mean() >= 0.5:
        return pixels
    of_ground = _ground_at_border(small)
    if of_ground is None:
        return None
    colours = small[..., :3].astype(np.float32)
    ground = spread(colours * of_ground[..., None], of_ground)
    is_like = (np.abs(colours - ground).max(axis=-1) <= _LIKE) | is_clear
    found = _connected(is_like, of_ground)
    if not _MIN_SHARE <= found.mean() <= _MAX_SHARE:
        return None
    return _without_ground(small, pixels, ground, found)


def _ground_at_border(small: Pixels) -> Bools | None:
    """The border pixels (h, w) that show the ground; None if too few do."""
    at = _around(*small.shape[:2])
    ring = small[at][:, :3].astype(np.float32)
    is_plain = np.abs(ring - np.median(ring, axis=0)).max(axis=-1) <= _LIKE
    is_ground = is_plain
    if is_plain.mean() < _PLAIN_SHARE:
        reach = len(ring) // 32
        wide = np.pad(ring, ((reach, reach), (0, 0)), mode="wrap")
        beside = np.lib.stride_tricks.sliding_window_view(wide, 2 * reach + 1, axis=0)
        usual = np.median(beside, axis=-1)
        is_ground = np.abs(ring - usual).max(axis=-1) <= _SMOOTH
        jumps = np.abs(usual - np.roll(usual, 1, axis=0)).max()
        if is_ground.mean() < _SMOOTH_SHARE or jumps > _SMOOTH:
            return None
    found = np.zeros(small.shape[:2], bool)
    found[at] = is_ground & (small[at][:, 3] >= 128)
    return found if found.any() else None


def _around(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the border pixels, in order around the picture."""
    across, down = np.arange(width), np.arange(1, height - 1)
    rows = [np.zeros_like(across), down, np.full_like(across, height - 1), down[::-1]]
    columns = [across, np.full_like(down, width - 1), across[::-1], np.zeros_like(down)]
    return np.concatenate(rows), np.concatenate(columns)


def _connected(is_open: Bools, seeds: Bools) -> Bools:
    """The part of `is_open` (h, w) connected to `seeds`, by sweeps along rows and columns.

    Paths with more than `_MAX_SWEEPS` turns are not followed to their end.
    """
    reached = seeds & is_open
    for _ in range(_MAX_SWEEPS):
        further = _along_rows(is_open.T, _along_rows(is_open, reached).T).T
        if further.sum() == reached.sum():
            break
        reached = further
    return reached


def _along_rows(is_open: Bools, reached: Bools) -> Bools:
    """`reached` extended to the whole runs of open pixels in rows that it touches."""
    begins = is_open.copy()
    begins[:, 1:] &= ~is_open[:, :-1]
    run = np.cumsum(begins.ravel()).reshape(begins.shape)
    is_touched = np.zeros(int(run[-1, -1]) + 1, bool)
    is_touched[run[reached]] = True
    touched: Bools = is_open & is_touched[run]
    return touched


def _without_ground(small: Pixels, pixels: Pixels, ground: Floats32, found: Bools) -> Pixels:
    """`pixels` (H, W, 4) without the ground of colour (h, w, 3), where `found` (h, w).

    Its inside becomes transparent. Pixels at its edge are mixtures of ground and subject; the
    subject's colour is taken from nearby, and its share becomes alpha (the "matting equation").
    """
    height, width = pixels.shape[:2]
    mask = Image.fromarray(found.astype(np.uint8) * 255)
    inner, outer = mask.filter(ImageFilter.MinFilter(3)), mask.filter(ImageFilter.MaxFilter(3))
    is_subject = np.asarray(outer) == 0
    colours = small[..., :3].astype(np.float32)
    subject = spread(colours * is_subject[..., None], is_subject)
    inside, outside, behind, front = (
        np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
        for image in (inner, outer, _image(ground), _image(subject))
    )
    result = pixels.copy()
    for top in range(0, height, _STRIP_ROWS):
        rows = slice(top, top + _STRIP_ROWS)
        strip, is_inside = result[rows], inside[rows] >= 128
        at = ~is_inside & (outside[rows] >= 128)
        mixed, back, fore = (
            part[at].astype(np.float32) for part in (strip[..., :3], behind[rows], front[rows])
        )
        share = _share_of_subject(mixed - back, fore - back)
        alone = back + (mixed - back) / np.maximum(share, 1e-3)[:, None]
        strip[at, :3] = np.rint(alone.clip(0, 255))
        strip[at, 3] = np.minimum(strip[at, 3], np.rint(share * 255))
        strip[is_inside, 3] = 0
        strip[strip[..., 3] == 0] = 0
    return result


def _share_of_subject(pixels: Floats32, subject: Floats32) -> Floats32:
    """Share of the subject in pixels (N, 3), 0 to 1; both are differences to the ground."""
    length = np.square(subject).sum(axis=-1)
    share = (pixels * subject).sum(axis=-1) / np.maximum(length, 1)
    # A subject of the ground's colour is distinguished only by its edge.
    far = np.abs(pixels).max(axis=-1)
    share[length < _SOLID**2] = (far / _SOLID)[length < _SOLID**2]
    share[far <= _CLEAR] = 0
    clipped: Floats32 = share.clip(0, 1)
    return clipped


def _image(colours: Floats32) -> Image.Image:
    return Image.fromarray(np.rint(colours.clip(0, 255)).astype(np.uint8))
