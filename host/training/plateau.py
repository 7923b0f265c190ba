"""The learning rate falls where a figure no longer becomes better."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from host.training.monitor import Figures, Mode, Monitor, Watched
from host.training.schedule import check_share, check_whole


@dataclass(frozen=True)
class ReduceOnPlateau:
    """The factor falls by `decay` after more than `patience` epochs that were no better.

    An epoch is better where its figure passes the best one by the share `threshold` of it. For
    `cooldown` epochs after a fall none is counted. The factor stays at least `least`.

    Raises ValueError unless 0 < decay < 1, 0 <= least <= 1, 0 <= threshold < 1, and patience and
    cooldown are whole numbers; also on an unknown monitor or mode.
    """

    by_batch: ClassVar[bool] = False

    decay: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    least: float = 0.0
    monitor: Monitor = "val_loss"
    mode: Mode = "auto"

    def __post_init__(self) -> None:
        if not 0 < self.decay < 1:
            raise ValueError(f"decay must be above 0 and below 1, not {self.decay}")
        check_whole("patience", self.patience, "epochs", low=0)
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold must be at least 0 and below 1, not {self.threshold}")
        check_whole("cooldown", self.cooldown, "epochs", low=0)
        check_share("least", self.least, least=True)
        Watched(self.monitor, self.mode)

    @property
    def watched(self) -> Watched:
        """What is looked at."""
        return Watched(self.monitor, self.mode)

    def factor_after(self, epochs: Iterable[Figures]) -> float:
        """The factor of the epoch that follows those with these figures."""
        sign = self.watched.sign
        factor, best, bad, cooling = 1.0, math.inf * sign, 0, 0
        for figures in epochs:
            value = self.watched.value(figures)
            if sign * value < sign * best * (1 - sign * self.threshold):
                best, bad = value, 0
            else:
                bad += 1
            if cooling:
                cooling, bad = cooling - 1, 0
            if bad > self.patience:
                factor = max(factor * self.decay, self.least)
                cooling, bad = self.cooldown, 0
        return factor
