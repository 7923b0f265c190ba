"""Scaling of inputs, column by column, and a count of what it clips."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.data.table import Reals

Z_SCORE_LIMIT = 4.0
"""Standard deviations from the mean at which a z-scored input is clipped."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """(x - offset) / divisor, clipped to low ... high; offset and divisor a number or by column."""

    offset: Reals
    divisor: Reals
    low: float = -np.inf
    high: float = np.inf

    @classmethod
    def by(cls, divisor: float) -> "Scaling":
        """x / divisor."""
        return cls(np.zeros(()), np.asarray(float(divisor)))

    @classmethod
    def z_score(cls, inputs: Reals) -> "Scaling":
        """Mean 0 and deviation 1 over `inputs`; a column that never changes becomes 0."""
        with np.errstate(over="ignore", invalid="ignore"):
            return cls.of_moments(inputs.mean(axis=0), inputs.std(axis=0))

    @classmethod
    def of_moments(cls, mean: Reals, deviation: Reals) -> "Scaling":
        """The same, from means and standard deviations; ValueError where these are infinite."""
        _check_finite(mean + deviation)
        return cls(mean, np.where(deviation > 0, deviation, 1.0), -Z_SCORE_LIMIT, Z_SCORE_LIMIT)

    @classmethod
    def min_max(cls, low: Reals, high: Reals) -> "Scaling":
        """Columns from `low` to `high` become 0 to 1; one that never changes becomes 0.

        Raises ValueError where the difference is infinite.
        """
        with np.errstate(over="ignore"):
            _check_finite(high - low)
        return cls(low, np.where(high > low, high - low, 1.0), 0.0, 1.0)

    def within(self, limits: tuple[float, float] | None) -> "Scaling":
        """The same, clipped to `limits` too."""
        if limits is None:
            return self
        return replace(self, low=max(self.low, limits[0]), high=min(self.high, limits[1]))

    def __call__(self, inputs: ArrayLike) -> Reals:
        return np.clip(self._scaled(inputs), self.low, self.high)

    def outside(self, inputs: ArrayLike) -> NDArray[np.int64]:
        """How many values of each column are clipped, (F,)."""
        scaled = self._scaled(inputs)
        return ((scaled < self.low) | (scaled > self.high)).sum(axis=0)

    def _scaled(self, inputs: ArrayLike) -> Reals:
        # What becomes infinite is clipped, or refused by the input's format.
        with np.errstate(over="ignore"):
            return (np.asarray(inputs, dtype=np.float64) - self.offset) / self.divisor


def _check_finite(widths: Reals) -> None:
    wrong = np.flatnonzero(~np.isfinite(widths))
    if len(wrong):
        raise ValueError(
            f"column {wrong[0]} has values too large to be scaled: their squares must be finite; "
            "divide them before, or leave the column out"
        )


@dataclass(frozen=True, eq=False)
class Clipping:
    """How many values were outside the range to which inputs are clipped.

    Attributes
    ----------
    columns: clipped values by the name of the column, of those that have any
    values: values that there are in all
    """

    columns: dict[str, int]
    values: int

    @classmethod
    def of(cls, names: Sequence[str], counts: NDArray[np.int64], values: int) -> "Clipping":
        """From a count for each column."""
        return cls({names[i]: int(counts[i]) for i in np.flatnonzero(counts)}, int(values))

    @property
    def clipped(self) -> int:
        """Values that were clipped."""
        return sum(self.columns.values())

    def __str__(self) -> str:
        if not self.columns:
            return "none"
        worst = sorted(self.columns, key=lambda name: -self.columns[name])
        shown = ", ".join(f"{name} {self.columns[name]:,}" for name in worst[:5])
        more = f" and {len(worst) - 5} more columns" if len(worst) > 5 else ""
        return f"{self.clipped:,} of {self.values:,} values: {shown}{more}"

    def results(self) -> dict[str, Any]:
        """As plain numbers."""
        return {"clipped": self.clipped, "values": self.values, "columns": self.columns}
