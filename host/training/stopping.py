"""Training ends early where a figure no longer becomes better, with the best weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from host.training.monitor import Figures, Mode, Monitor, Watched
from host.training.schedule import check_whole


@dataclass(frozen=True)
class EarlyStopping:
    """Training ends after `patience` epochs in a row that were no better than the best one.

    An epoch is better where its figure passes the best one by more than `min_delta`. The weights
    of the best epoch are those that training ends with, whether it ended early or not.

    Raises ValueError unless patience >= 1 and min_delta is at least 0 and finite, and on an unknown
    monitor or mode.
    """

    patience: int = 50
    min_delta: float = 1e-6
    monitor: Monitor = "val_loss"
    mode: Mode = "auto"

    def __post_init__(self) -> None:
        check_whole("patience", self.patience, "epoch")
        if not 0 <= self.min_delta < math.inf:
            raise ValueError(f"min_delta must be at least 0 and finite, not {self.min_delta}")
        Watched(self.monitor, self.mode)

    @property
    def watched(self) -> Watched:
        """What is looked at."""
        return Watched(self.monitor, self.mode)

    def best(self, epochs: Sequence[Figures]) -> int | None:
        """Index of the best epoch of those with these figures; None of none."""
        found, least = None, math.inf
        for index, figures in enumerate(epochs):
            value = self.watched.sign * self.watched.value(figures)
            if value < least - self.min_delta:
                found, least = index, value
        return found

    def ends(self, epochs: Sequence[Figures]) -> bool:
        """Whether no epoch should follow those with these figures."""
        best = self.best(epochs)
        return best is not None and len(epochs) - 1 - best >= self.patience


class Reported(Protocol):
    """The report of an epoch."""

    @property
    def figures(self) -> Figures: ...


R = TypeVar("R", bound=Reported)


def kept(stopping: EarlyStopping | None, reports: Sequence[R], *, interrupted: bool) -> R | None:
    """The epoch of these with whose weights a run ended; None where nothing chose it."""
    if stopping is None or interrupted:
        return None
    best = stopping.best([report.figures for report in reports])
    return None if best is None else reports[best]
