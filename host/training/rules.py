"""Learning rules as a user states them; a schedule turns one into the device's constants."""

from dataclasses import dataclass, field

from host.network import Rule
from host.training.plateau import ReduceOnPlateau
from host.training.schedule import Constant, Schedule

L2_FACTOR = 0.001
"""lambda where L2 is switched on without a number."""


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent: v <- momentum v + g, w <- w - rate v - rate l2 w.

    Parameters
    ----------
    learning_rate: above 0
    momentum: at least 0 and below 1; 0 for a device without MOMENTUM memory
    l2: lambda of lambda/2 |w|^2; True for 0.001, False for none
    schedule: by what the rate is multiplied in which epoch or batch

    Raises ValueError when a value is outside its range.
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    l2: float | bool = False
    schedule: Schedule | ReduceOnPlateau = field(default_factory=Constant)

    def __post_init__(self) -> None:
        self.rule()
        if not hasattr(self.schedule, "by_batch"):
            raise ValueError(f"schedule must be one such as Cosine(), not {self.schedule!r}")

    def rule(self, factor: float = 1.0) -> Rule:
        """The rule where the schedule multiplies the rate by `factor`."""
        decay = L2_FACTOR if self.l2 is True else float(self.l2)
        return Rule(rate=self.learning_rate * factor, momentum=self.momentum, decay=decay)

    def factors(self, epochs: int, batches: int) -> list[float]:
        """The schedule's factors of `epochs` epochs of `batches` batches each: one a step.

        Of a ReduceOnPlateau that of the first epoch alone, as nobody knows the others yet.
        """
        if isinstance(self.schedule, ReduceOnPlateau):
            return [self.schedule.factor_after(())]
        steps = epochs * batches if self.schedule.by_batch else epochs
        return [self.schedule.factor(step, steps) for step in range(steps)]
