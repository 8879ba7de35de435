"""Shares of right answers with their 95 % intervals."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

_Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class Share:
    """`right` of `n`; `low` and `high` are its 95 % Wilson interval."""

    right: int
    n: int

    @classmethod
    def of(cls, answers: Iterable[bool]) -> "Share":
        """The share of answers that are True."""
        known = list(answers)
        return cls(sum(known), len(known))

    @property
    def mean(self) -> float:
        """The share itself; NaN of nothing."""
        return self.right / self.n if self.n else float("nan")

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self._interval()[0]

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self._interval()[1]

    def _interval(self) -> tuple[float, float]:
        """Wilson's score interval (Wilson 1927, J. Am. Stat. Assoc. 22, page 209)."""
        if not self.n:
            return float("nan"), float("nan")
        p, z2 = self.mean, _Z**2 / self.n
        middle = (p + z2 / 2) / (1 + z2)
        reach = _Z / (1 + z2) * sqrt(p * (1 - p) / self.n + z2 / (4 * self.n))
        # At 0 and at 1 rounding would leave the share itself outside.
        return min(p, max(0.0, middle - reach)), max(p, min(1.0, middle + reach))

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]" if self.n else "–"

    def to_dict(self) -> dict[str, float | int]:
        """For JSON: mean, low, high and n."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "n": self.n}
