"""Which thing of a picture is which name: vectors of things against vectors of names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats


@dataclass(frozen=True, eq=False)
class Matches:
    """How well things (N) fit phrases (K)."""

    scores: Floats  # (N, K) cosines
    shares: Floats  # (N, K) of all names, those that fit the thing better than the phrase, 0 to 1

    def assigned(self) -> list[int | None]:
        """The thing for each phrase, or None; none serves twice, and the best fit goes first."""
        chosen: list[int | None] = [None] * self.scores.shape[1]
        left = _standard(self.scores)
        for _ in range(min(left.shape)):
            thing, phrase = np.unravel_index(int(left.argmax()), left.shape)
            chosen[int(phrase)] = int(thing)
            left[thing], left[:, phrase] = -np.inf, -np.inf
        return chosen


def match(vectors: Sequence[NDArray[np.floating]], texts: Floats, names: Floats) -> Matches:
    """Match unit vectors of things (N, E) with those of phrases (K, E); `names` (M, E) are all."""
    things = np.stack(vectors) if len(vectors) else np.zeros((0, texts.shape[1]), np.float32)
    scores = things @ texts.T
    of_names = things @ names.T
    shares = (of_names[:, None] > scores[..., None]).mean(-1)
    return Matches(scores, shares)


def _standard(scores: Floats) -> NDArray[np.float64]:
    """Scores (N, K) less the mean of each phrase: some phrases fit everything."""
    found = scores.astype(np.float64)
    return found - found.mean(0, keepdims=True) if len(found) else found
