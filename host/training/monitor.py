"""Figures of an epoch by which training is steered, and which of two values is the better one.

Whoever decides by them does so from the values of all epochs so far, as a function of these: there
is no state to keep beside the figures themselves, and a run goes on from them as it would have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Monitor = Literal["loss", "accuracy", "val_loss", "val_accuracy"]
Mode = Literal["min", "max", "auto"]

MONITORS: tuple[Monitor, ...] = get_args(Monitor)
MODES: tuple[Mode, ...] = get_args(Mode)

Figures = Mapping[str, float | None]
"""Of an epoch, by the names of MONITORS; None for what it does not have."""


@dataclass(frozen=True)
class Watched:
    """A figure and where it should go.

    Parameters
    ----------
    monitor: 'loss' and 'accuracy' of training while it goes on, 'val_loss' and 'val_accuracy' on
        the validation samples after each epoch
    mode: 'min', 'max', or 'auto' for the one that the figure suggests

    Raises ValueError on any other name.
    """

    monitor: Monitor = "val_loss"
    mode: Mode = "auto"

    def __post_init__(self) -> None:
        if self.monitor not in MONITORS:
            names = ", ".join(MONITORS)
            raise ValueError(f"monitor must be one of {names}, not {self.monitor!r}")
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {self.mode!r}")

    @property
    def validates(self) -> bool:
        """Whether validation samples are needed."""
        return self.monitor.startswith("val_")

    @property
    def sign(self) -> int:
        """1 where less is better, -1 where more is."""
        largest = self.mode == "max" or self.mode == "auto" and self.monitor.endswith("accuracy")
        return -1 if largest else 1

    def value(self, figures: Figures) -> float:
        """The figure of an epoch; ValueError where it has none."""
        value = figures.get(self.monitor)
        if value is None:
            there = ", ".join(name for name, figure in figures.items() if figure is not None)
            raise ValueError(f"monitor must be one of {there}, not {self.monitor!r}")
        return value
