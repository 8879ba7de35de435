"""Edits under a mask whose prompt names what the picture has: what is left to draw of it.

"A cat and a ball", with a mask beside a cat, asks for the ball alone. "A cat", with a mask over a
part of the cat, asks for that part, and not for a cat in the mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np

from limner.arrays import Bools, Floats, Pixels
from limner.engines.transformer.backend import Backend, image_px, max_text
from limner.engines.transformer.edits.close_up import CloseUp
from limner.engines.transformer.edits.each_thing import masks_of
from limner.imaging import codec
from limner.planning.plan import Reading
from limner.sampling import ground
from limner.text.known_names import taught_rows
from limner.text.phrases import one_of

# A picture shows a phrase if it is nearer to it than to this share of some taught names: so are
# 0.97 of drawings by artists, 0.87 of limner's own, and 0.05 of drawings of other things.
_SHOWS = 0.96
_NAMES = 128  # about as many, of all that were taught
_TEXTS = 32  # encoded at once
_CUT, _GONE = 0.1, 0.9  # shares of a thing under the mask from which it is cut, and is not there
_MARGIN = 0.04  # around a thing, of its longer side


@dataclass(frozen=True)
class There:
    """What a prompt names and a picture has beside its mask, and what is left to draw."""

    names: tuple[str, ...]
    left: str  # a prompt for the mask alone; "" if all is there, and the mask cuts some of it


class ThingsThere:
    """Compares the things of pictures with phrases, by the contrastive head."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def of(self, part: CloseUp, reading: Reading) -> There | None:
        """Which things of a prompt a picture shows outside its mask.

        None if the prompt is to be drawn whole: if nothing of it is there, if all is there and the
        mask cuts none of it, or if things do not stand apart on a plain ground. What is under the
        mask is looked at, too: a thing that the mask cuts is known by all of it. If nothing is
        found so, only what is left is looked at: what is under the mask may touch it.
        """
        if not reading.things:
            return None
        said = [
            one_of(thing.words, thing.count) for thing in reading.things for _ in range(thing.count)
        ]
        nowhere = np.zeros_like(part.masked)
        for picture, masked in ((part.before, part.masked), (part.whole, nowhere)):
            clear = ground.cleared(picture)
            found = [] if clear is None else _things(clear, masked)
            if found and (shown := self._shown([crop for crop, _ in found], said)):
                is_cut = any(found[row][1] >= _CUT for row in shown.values())
                return _there(said, shown, reading.style, is_cut=is_cut)
        return None

    def _shown(self, crops: Sequence[Pixels], said: Sequence[str]) -> dict[int, int]:
        """By index of a phrase that a picture shows, the index of the picture: one for each."""
        pictures = np.stack([self._picture(crop) for crop in crops])
        alike, others = pictures @ self._texts(said).T, pictures @ self._names.T
        shows = (others[:, None] < alike[..., None]).mean(-1) >= _SHOWS
        found: dict[int, int] = {}
        for flat in np.argsort(-alike, axis=None):
            row, column = divmod(int(flat), len(said))
            if shows[row, column] and row not in found.values() and column not in found:
                found[column] = row
        return found

    def _picture(self, crop: Pixels) -> Floats:
        """The unit vector (E,) of a square picture (S, S, 4)."""
        px = image_px(self._backend)
        method: codec.Method = "area" if len(crop) > px else "bicubic"
        small = codec.premultiply(codec.resize(crop, px, px, method).astype(np.float32) / 255)
        codes = self._backend.codes(small.transpose(2, 0, 1)[None].astype(np.float32))
        vector: Floats = self._backend.embed_image(codes)[0]
        return vector

    def _texts(self, phrases: Sequence[str]) -> Floats:
        """Unit vectors of phrases, (N, E)."""
        longest, tokenizer = max_text(self._backend), self._backend.text_tokenizer
        parts = [phrases[start : start + _TEXTS] for start in range(0, len(phrases), _TEXTS)]
        tokens = [tokenizer.encode_padded(list(part), longest)[0] for part in parts]
        return np.concatenate([self._backend.embed_text(each) for each in tokens])

    @cached_property
    def _names(self) -> Floats:
        """Unit vectors of some taught names, (N, E)."""
        rows = taught_rows()
        return self._texts([phrase for _, phrase, _, _ in rows[:: max(1, len(rows) // _NAMES)]])


def _there(said: Sequence[str], shown: dict[int, int], style: str, *, is_cut: bool) -> There | None:
    names = tuple(said[column] for column in sorted(shown))
    left = [words for column, words in enumerate(said) if column not in shown]
    if not left:
        return There(names, "") if is_cut else None
    joined = ("和" if _is_chinese(left[0]) else " and ").join(left)
    return There(names, f"{joined}, {style}" if style else joined)


def _things(clear: Pixels, masked: Bools) -> list[tuple[Pixels, float]]:
    """Squares (S, S, 4) around the things that a mask leaves, and its share of each."""
    found = []
    for mask in masks_of(clear):
        share = float(masked[mask].mean())
        if share < _GONE:
            found.append((_squared(np.where(mask[..., None], clear, 0), mask), share))
    return found


def _squared(own: Pixels, mask: Bools) -> Pixels:
    """The part (S, S, 4) of a picture that a mask covers, in the middle of a clear square."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    part = own[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = part.shape[:2]
    side = ceil(max(height, width) * (1 + 2 * _MARGIN))
    square = np.zeros((side, side, 4), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = part
    return square


def _is_chinese(words: str) -> bool:
    return any("\u3400" <= c <= "\u9fff" for c in words)
