"""How the learning rate changes while a network learns: a factor that multiplies it.

The device learns with whatever rate stands in its registers, which the trainer rewrites where the
factor changes: before an epoch, or before a batch (`host.training.batch_schedule`). A factor that
depends on how well the network learns is that of `host.training.plateau`.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol


class Schedule(Protocol):
    """A factor that is known beforehand.

    Attributes
    ----------
    by_batch: whether a step is a batch; otherwise it is an epoch
    """

    by_batch: ClassVar[bool]

    def factor(self, step: int, steps: int) -> float:
        """What the rate is multiplied by in `step` (from 0) of `steps`; above 0."""


def check_share(name: str, value: float, *, least: bool = False) -> None:
    """Raise ValueError unless 0 < value <= 1; 0 too where it is the `least` factor."""
    if not (0 < value <= 1 or least and value == 0):
        low = "at least 0" if least else "above 0"
        raise ValueError(f"{name} must be {low} and at most 1, not {value}")


def check_whole(name: str, value: float, unit: str, *, low: int = 1) -> None:
    """Raise ValueError unless `value` is a whole number of at least `low`."""
    if isinstance(value, bool) or value != value // 1 or value < low:
        raise ValueError(f"{name} must be at least {low} {unit}, a whole number, not {value!r}")


def cosine(done: float) -> float:
    """(1 + cos(pi done)) / 2: half a wave that falls from 1 to 0 while `done` goes from 0 to 1."""
    return (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Constant:
    """The same rate throughout."""

    by_batch: ClassVar[bool] = False

    def factor(self, step: int, steps: int) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True)
class StepDecay:
    """decay**floor(epoch / every): the rate falls by a factor every so many epochs.

    Raises ValueError unless 0 < decay <= 1 and every >= 1.
    """

    by_batch: ClassVar[bool] = False

    decay: float = 0.9
    every: int = 200

    def __post_init__(self) -> None:
        check_share("decay", self.decay)
        check_whole("every", self.every, "epoch")

    def factor(self, step: int, steps: int) -> float:
        """decay**floor(epoch / every)."""
        return self.decay ** (step // self.every)


@dataclass(frozen=True)
class Piecewise:
    """factors[k] from the fraction until[k-1] of the epochs on, up to until[k].

    Raises ValueError unless there is one factor more than edges, edges rise within (0, 1) and
    factors are positive.
    """

    by_batch: ClassVar[bool] = False

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
        if not all(0 < factor < math.inf for factor in self.factors):
            raise ValueError(f"every factor must be above 0, not {self.factors}")

    def factor(self, step: int, steps: int) -> float:
        """The factor of the stretch that `step` lies in."""
        return self.factors[sum(step >= edge * steps for edge in self.until)]


@dataclass(frozen=True)
class Exponential:
    """decay**epoch: the rate falls by the same factor after every epoch.

    Raises ValueError unless 0 < decay <= 1.
    """

    by_batch: ClassVar[bool] = False

    decay: float = 0.95

    def __post_init__(self) -> None:
        check_share("decay", self.decay)

    def factor(self, step: int, steps: int) -> float:
        """decay**epoch."""
        return self.decay**step


@dataclass(frozen=True)
class Cosine:
    """least + (1 - least) (1 + cos(pi epoch / epochs)) / 2: half a wave down to `least`.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, without
    restarts. Raises ValueError unless 0 <= least <= 1.
    """

    by_batch: ClassVar[bool] = False

    least: float = 0.0

    def __post_init__(self) -> None:
        check_share("least", self.least, least=True)

    def factor(self, step: int, steps: int) -> float:
        """Half a wave from 1 to `least`."""
        return self.least + (1 - self.least) * cosine(step / steps)
