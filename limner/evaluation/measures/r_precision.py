"""R-precision: whether the judge picks the true caption among others of the same kind."""

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Bools, Floats
from limner.errors import DataError
from limner.evaluation.judge.judge import Judge
from limner.evaluation.measures import statistics

N_OTHERS = 99  # captions beside the true one
N_POOL = 200  # captions that the others are chosen from, whether or not they are drawn


class Captions:
    """The captions of some questions, each with others that read differently."""

    def __init__(self, judge: Judge, captions: list[str], n: int, seed: int) -> None:
        """`n` of the captions are asked for; the others only stand beside them.

        Raises DataError if all captions read alike.
        """
        self.vectors = judge.embed_texts(captions)
        self.others = _others(captions, min(n, len(captions)), seed)

    @property
    def n_choices(self) -> int:
        """How many captions the judge chooses from."""
        return self.others.shape[1] + 1

    def are_first(self, seen: Floats, rows: list[int]) -> Bools:
        """For pictures as the judge sees them (m, width), whether caption `rows[i]` is first."""
        true = (seen * self.vectors[rows]).sum(1)
        return statistics.is_first(
            true, np.einsum("nd,nmd->nm", seen, self.vectors[self.others[rows]])
        )


def _others(captions: list[str], n: int, seed: int) -> NDArray[np.int64]:
    """For each of the first n captions, rows of up to N_OTHERS captions that read differently."""
    rng = np.random.default_rng([seed, 99])
    n_different = len(set(captions))
    if n_different < 2:
        raise DataError("The judge needs at least two different captions to choose from")
    chosen = []
    for row in range(n):
        different = [other for other, text in enumerate(captions) if text != captions[row]]
        order = rng.permutation(len(different))[: min(N_OTHERS, n_different - 1)]
        chosen.append([different[int(index)] for index in order])
    n_others = min(map(len, chosen))
    return np.array([row[:n_others] for row in chosen], np.int64)
