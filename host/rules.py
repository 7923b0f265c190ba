"""Learning rules as a user states them; a schedule turns one into the device's constants."""

from dataclasses import dataclass, field

from host.network import Rule
from host.schedule import Constant, Schedule

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
    schedule: how the rate changes over the epochs

    Raises ValueError when a value is outside its range.
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    l2: float | bool = False
    schedule: Schedule = field(default_factory=Constant)

    def __post_init__(self) -> None:
        self.rule(0, 1)

    def rule(self, epoch: int, epochs: int) -> Rule:
        """The rule by which `epoch` (from 0) of `epochs` learns."""
        decay = L2_FACTOR if self.l2 is True else float(self.l2)
        rate = self.learning_rate * self.schedule.factor(epoch, epochs)
        return Rule(rate=rate, momentum=self.momentum, decay=decay)
