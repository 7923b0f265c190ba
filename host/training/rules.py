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
    schedule: by what the rate is multiplied in which epoch or update
    accumulate_batches: batches whose gradients are added before an update, which then is that of
        one batch with all their samples, to the bit; above 1 for a device that accumulates
    clip_norm: largest norm of the gradient over all layers, of an update; None for any. Likewise

    Raises ValueError when a value is outside its range.
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    l2: float | bool = False
    schedule: Schedule | ReduceOnPlateau = field(default_factory=Constant)
    accumulate_batches: int = 1
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        self.rule()
        count = self.accumulate_batches
        if isinstance(count, bool) or count != int(count) or count < 1:
            raise ValueError(f"accumulate_batches must be a whole number >= 1, not {count!r}")
        if not hasattr(self.schedule, "by_batch"):
            raise ValueError(f"schedule must be one such as Cosine(), not {self.schedule!r}")

    def rule(self, factor: float = 1.0) -> Rule:
        """The rule where the schedule multiplies the rate by `factor`."""
        decay = L2_FACTOR if self.l2 is True else float(self.l2)
        return Rule(
            rate=self.learning_rate * factor,
            momentum=self.momentum,
            decay=decay,
            clip_norm=self.clip_norm,
        )

    def factors(self, epochs: int, batches: int) -> list[float]:
        """The schedule's factors of `epochs` epochs of `batches` updates each: one a step.

        Of a ReduceOnPlateau that of the first epoch alone, as nobody knows the others yet.
        """
        if isinstance(self.schedule, ReduceOnPlateau):
            return [self.schedule.factor_after(())]
        steps = epochs * batches if self.schedule.by_batch else epochs
        return [self.schedule.factor(step, steps) for step in range(steps)]
