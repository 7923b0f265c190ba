"""The learning-rate range test: which rates a network learns with, from one short run.

Smith, "Cyclical learning rates for training neural networks", 2017: the rate rises exponentially
from batch to batch, and the loss of each batch is noted until it runs away.

    rate of batch k of n      low (high / low)**(k / (n - 1))
    smoothed loss             s <- 0.9 s + 0.1 loss, over 1 - 0.9**(k + 1)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from host.devices.device import Device
from host.plan import Plan
from host.program import Mode
from host.statistics import Counts, mean_loss
from host.streaming import Interruption, stop
from host.trainer import Trainer
from hw.layout import tiles

SMOOTHING = 0.9
"""Share of the smoothed loss that stays from one batch to the next."""

DIVERGED = 4.0
"""The test ends where the smoothed loss is so many times its least one, and above the first."""

WINDOW = 0.2
"""Share of the batches over which a slope is taken: a decade of five."""

FEWEST = 10
"""Batches below which there is no slope to speak of."""


@dataclass(frozen=True)
class Rise:
    """low**((steps - 1 - step) / (steps - 1)): an exponential rise from `low` to 1."""

    by_batch: ClassVar[bool] = True

    low: float

    def factor(self, step: int, steps: int) -> float:
        """Of a batch."""
        return self.low ** ((steps - 1 - step) / (steps - 1))


@dataclass(frozen=True)
class RateRange:
    """What was found.

    Attributes
    ----------
    rates, losses, smoothed: of every batch that was learned
    diverged: whether the loss ran away before the highest rate
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    diverged: bool

    @property
    def suggestion(self) -> float | None:
        """The rate at which the loss falls fastest over its logarithm; None where it never falls.

        Slopes are those of straight lines through the losses of WINDOW of all batches, the least
        squares; the rate is that in the middle of the steepest, up to the least smoothed loss.
        """
        width = max(3, round(len(self.rates) * WINDOW))
        steepest, found = 0.0, None
        for start in range(len(self.rates) - width + 1):
            middle = start + width // 2
            if middle > int(np.argmin(self.smoothed)):
                break
            own = slice(start, start + width)
            slope = np.polyfit(np.log(self.rates[own]), self.losses[own], 1)[0]
            if slope < steepest:
                steepest, found = float(slope), self.rates[middle]
        return found


class RangeTest:
    """Carries a range test out on a device, with the data, network and rule of a plan.

    Parameters
    ----------
    plan: of a training run; its schedule, epochs and evaluations are of no matter
    low, high: the first and the last rate, both such as the device has constants for
    batches: how many, at least FEWEST

    Raises ValueError where there is no such range.
    """

    def __init__(self, plan: Plan, *, low: float, high: float, batches: int) -> None:
        if not (0 < low < high and math.isfinite(high)):
            raise ValueError(f"low must be above 0 and below high, not {low} and {high}")
        if batches < FEWEST:
            raise ValueError(f"batches must be at least {FEWEST}, not {batches}")
        rise = Rise(low / high)
        rule = replace(plan.optimizer, learning_rate=high, schedule=rise)
        for rate in (low, high):
            plan.compiled.rule_registers(replace(rule, learning_rate=rate).rule())
        factors = [rise.factor(step, batches) for step in range(batches)]
        self._batches = batches
        self._plan = replace(
            plan,
            optimizer=rule,
            factors=factors,
            epochs=tiles(batches, plan.batches),
            stopping=None,
            validation=None,
            test=None,
        )

    def run(self, device: Device, *, interruption: Interruption | None = None) -> RateRange:
        """Learn batch by batch until the last one, or until the loss runs away."""
        trainer = _Recorder(device, self._plan, interruption=interruption)
        trainer.load()
        diverged = False
        try:
            trainer.learn(self._batches)
        except _DivergedError:
            diverged = True
            stop(device)
        done = len(trainer.losses)
        rates = [self._plan.optimizer.learning_rate * f for f in self._plan.factors[:done]]
        return RateRange(rates, trainer.losses, smoothed(trainer.losses), diverged)


class _Recorder(Trainer):
    """Learns, and notes the loss of each batch as the device counts it."""

    def learn(self, batches: int) -> None:
        """Learn so many batches; _DivergedError behind the one with which the loss runs away."""
        self.losses: list[float] = []
        size = self.plan.update_size
        while batches:
            samples = self._begin_epoch()
            some = samples.first(batches * size)
            self._counts = Counts.read(self.device)
            self._run(Mode.TRAIN, some, self.plan.batch_size, before=self._next)
            self._note()
            self.epoch += 1
            batches -= tiles(len(some), size)

    def _next(self, batch: int) -> None:
        if batch:
            self._note()
        self._set_rate(batch)

    def _note(self) -> None:
        counts = Counts.read(self.device)
        loss = mean_loss(self.plan.network, counts - self._counts)
        assert loss is not None, "a batch has samples"
        self._counts = counts
        self.losses.append(loss)
        means = smoothed(self.losses)
        if len(means) >= FEWEST and means[-1] > max(DIVERGED * min(means), means[0]):
            raise _DivergedError


def smoothed(losses: Sequence[float]) -> list[float]:
    """A running mean of losses, corrected for beginning with nothing."""
    found, mean = [], 0.0
    for count, loss in enumerate(losses, start=1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**count))
    return found


class _DivergedError(Exception):
    """The loss ran away."""
