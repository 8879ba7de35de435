"""How the code of a cell is chosen from its scores, and the options that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from limner.arrays import Floats
from limner.options import OptionSpec, Value
from limner.sampling import sampling

TRAINED = "trained"
_TOP_K = 256


@dataclass(frozen=True)
class Choice:
    """How codes are chosen."""

    guidance: float = 16.0  # 1 = none
    top_k: int = _TOP_K  # so many of the likeliest codes are drawn from
    temperature: float = 1.0  # 0 takes the likeliest
    start: str = TRAINED  # whose code stands before the first cell

    def code(self, scores: Floats, uniform: float) -> int:
        """One of n_codes.

        scores (2, n_codes), without the text and with it; uniform in [0, 1).
        """
        guided = sampling.guided(scores[1], scores[0], self.guidance)
        kept = best(guided, self.top_k)
        return int(sampling.draw(kept, np.asarray(uniform), self.temperature, top_p=1.0))

    @classmethod
    def of(cls, options: Mapping[str, Value]) -> Choice:
        """What the options of a request ask for."""
        return cls(**options)  # type: ignore[arg-type]  # `specs` has checked them


def best(scores: Floats, k: int) -> Floats:
    """Scores (n,) with all but the k highest, and those equal to the k-th, at -inf."""
    if k >= len(scores):
        return scores
    least = np.partition(scores, -k)[-k]
    return np.where(scores >= least, scores, -np.inf)


def specs(n_codes: int) -> tuple[OptionSpec, ...]:
    """The options of a model with so many codes."""
    return (
        OptionSpec("guidance", "number", "How closely the text is followed.", 1, 64, default=16.0),
        OptionSpec(
            "top_k",
            "integer",
            "How many of the likeliest codes each cell is drawn from.",
            1,
            n_codes,
            default=min(_TOP_K, n_codes),
        ),
        OptionSpec(
            "temperature",
            "number",
            "Above 1 more varied, below 1 more even; 0 takes the likeliest.",
            0,
            10,
            default=1.0,
        ),
        OptionSpec(
            "start",
            "choice",
            "Code before the first cell: that of the training, or min-dalle's.",
            choices=(TRAINED, "min-dalle"),
            default=TRAINED,
        ),
    )
