"""Edits under a mask whose prompt names what the picture has: what is left to draw of it.

"A cat and a ball", with a mask beside a cat, asks for the ball alone. "A cat", with a mask over a
part of the cat, asks for that part, and not for a cat in the mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from limner.arrays import Bools, Floats, Pixels
from limner.engines.transformer.backend import Backend
from limner.engines.transformer.contrastive import picture_vector, text_vectors
from limner.engines.transformer.edits.close_up import CloseUp
from limner.engines.transformer.edits.each_thing import masks_of
from limner.engines.transformer.matching import match
from limner.imaging.framing import framed
from limner.planning.plan import Reading
from limner.sampling import ground
from limner.text.known_names import taught_rows
from limner.text.phrases import one_of
from limner.text.text_tokenizer import is_han

# A picture shows a phrase if at most this share of some taught names fits it better. That is so of
# 0.97 of drawings by artists, 0.87 of limner's own, and 0.05 of drawings of other things.
_BETTER = 0.04
_NAMES = 128  # about as many, of all that were taught
_CUT, _GONE = 0.1, 0.9  # shares of a thing under the mask from which it is cut, and is not there


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
        vectors = [picture_vector(self._backend, crop) for crop in crops]
        matches = match(vectors, text_vectors(self._backend, said), self._names)
        found: dict[int, int] = {}
        for flat in np.argsort(-matches.scores, axis=None):
            row, column = divmod(int(flat), len(said))
            is_shown = matches.shares[row, column] <= _BETTER
            if is_shown and row not in found.values() and column not in found:
                found[column] = row
        return found

    @cached_property
    def _names(self) -> Floats:
        """Unit vectors of some taught names, (N, E)."""
        rows = taught_rows()
        names = [phrase for _, phrase, _, _ in rows[:: max(1, len(rows) // _NAMES)]]
        return text_vectors(self._backend, names)


def _there(said: Sequence[str], shown: dict[int, int], style: str, *, is_cut: bool) -> There | None:
    names = tuple(said[column] for column in sorted(shown))
    left = [words for column, words in enumerate(said) if column not in shown]
    if not left:
        return There(names, "") if is_cut else None
    joined = ("和" if any(map(is_han, left[0])) else " and ").join(left)
    return There(names, f"{joined}, {style}" if style else joined)


def _things(clear: Pixels, masked: Bools) -> list[tuple[Pixels, float]]:
    """Squares (S, S, 4) around the things that a mask leaves, and its share of each."""
    found = []
    for mask in masks_of(clear):
        share = float(masked[mask].mean())
        if share < _GONE:
            found.append((framed(np.where(mask[..., None], clear, 0), mask), share))
    return found
