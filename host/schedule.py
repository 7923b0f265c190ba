"""How the learning rate changes from epoch to epoch: a factor that multiplies it.

The device learns with whatever rate stands in its registers, which the trainer rewrites before an
epoch whose rate is another.
"""

from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """What every schedule does."""

    def factor(self, epoch: int, epochs: int) -> float:
        """What the rate is multiplied by in `epoch` (from 0) of `epochs`."""


@dataclass(frozen=True)
class Constant:
    """The same rate throughout."""

    def factor(self, epoch: int, epochs: int) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True)
class StepDecay:
    """decay**floor(epoch / every): the rate falls by a factor every so many epochs.

    Raises ValueError unless 0 < decay <= 1 and every >= 1.
    """

    decay: float = 0.9
    every: int = 200

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay must be above 0 and at most 1, not {self.decay}")
        if self.every < 1:
            raise ValueError(f"every must be at least 1 epoch, not {self.every}")

    def factor(self, epoch: int, epochs: int) -> float:
        """decay**floor(epoch / every)."""
        return self.decay ** (epoch // self.every)


@dataclass(frozen=True)
class Piecewise:
    """factors[k] from the fraction until[k-1] of the epochs on, up to until[k].

    Raises ValueError unless there is one factor more than edges, edges rise within (0, 1) and
    factors are positive.
    """

    until: tuple[float, ...] = (0.6, 0.85)
    factors: tuple[float, ...] = (1.0, 1 / 4, 1 / 16)

    def __post_init__(self) -> None:
        if len(self.factors) != len(self.until) + 1:
            raise ValueError(
                f"factors must be one more than the {len(self.until)} edges of until, "
                f"not {len(self.factors)}"
            )
        if list(self.until) != sorted(set(self.until)) or not all(0 < u < 1 for u in self.until):
            raise ValueError(f"until must rise within 0 and 1, not {self.until}")
        if min(self.factors) <= 0:
            raise ValueError(f"every factor must be above 0, not {self.factors}")

    def factor(self, epoch: int, epochs: int) -> float:
        """The factor of the stretch that `epoch` lies in."""
        return self.factors[sum(epoch >= edge * epochs for edge in self.until)]
