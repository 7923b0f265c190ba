r"""Learning rates that change from batch to batch: warm-up with a cosine, cyclic, one cycle.

    WarmupCosine    /~~\__        Cyclic   /\/\/\        OneCycle   /~\__

Steps are batches, counted over the whole run. Of all three the factor is at most 1, so that the
learning rate is the largest one.
"""

from dataclasses import dataclass
from typing import ClassVar

from host.training.schedule import check_share, check_whole, cosine


@dataclass(frozen=True)
class WarmupCosine:
    """A straight rise from `start` to 1 over the share `warmup` of all batches, then a cosine.

        start + (1 - start) t / W                     t < W = round(warmup T)
        least + (1 - least) (1 + cos(pi (t - W) / (T - W))) / 2

    Raises ValueError unless 0 < start <= 1, 0 <= warmup < 1 and 0 <= least <= 1.
    """

    by_batch: ClassVar[bool] = True

    warmup: float = 0.1
    start: float = 0.01
    least: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup must be at least 0 and below 1, not {self.warmup}")
        check_share("start", self.start)
        check_share("least", self.least, least=True)

    def factor(self, step: int, steps: int) -> float:
        """The rise, then half a wave down to `least`."""
        rise = round(self.warmup * steps)
        if step < rise:
            return self.start + (1 - self.start) * step / rise
        return self.least + (1 - self.least) * cosine((step - rise) / (steps - rise))


@dataclass(frozen=True)
class Cyclic:
    """Triangles: `rise` batches from `start` to 1, `fall` batches back (as many where it is 0).

    Smith, "Cyclical learning rates for training neural networks", 2017, policy "triangular"; he
    takes 2 to 10 epochs for a rise. Raises ValueError unless 0 < start <= 1, rise >= 1, fall >= 0.
    """

    by_batch: ClassVar[bool] = True

    start: float = 0.1
    rise: int = 200
    fall: int = 0

    def __post_init__(self) -> None:
        check_share("start", self.start)
        check_whole("rise", self.rise, "batch")
        check_whole("fall", self.fall, "batches", low=0)

    def factor(self, step: int, steps: int) -> float:
        """The height of the triangle."""
        fall = self.fall or self.rise
        place = step % (self.rise + fall)
        up = place <= self.rise
        height = place / self.rise if up else (self.rise + fall - place) / fall
        return self.start + (1 - self.start) * height


@dataclass(frozen=True)
class OneCycle:
    """Half a cosine wave from `start` to 1 over the share `warmup`, another one down to `least`.

    Smith and Topin, "Super-convergence", 2019. The rise ends at the batch p = warmup T - 1, the
    fall at the last one. The momentum stays as it is.

    Raises ValueError unless 0 < warmup < 1, 0 < start <= 1 and 0 < least <= 1.
    """

    by_batch: ClassVar[bool] = True

    warmup: float = 0.3
    start: float = 0.04
    least: float = 4e-6

    def __post_init__(self) -> None:
        if not 0 < self.warmup < 1:
            raise ValueError(f"warmup must be above 0 and below 1, not {self.warmup}")
        check_share("start", self.start)
        check_share("least", self.least)

    def factor(self, step: int, steps: int) -> float:
        """The rise, then the fall."""
        peak = self.warmup * steps - 1
        if step < peak:
            return 1 + (self.start - 1) * cosine(step / peak)
        return self.least + (1 - self.least) * cosine((step - peak) / (steps - 1 - peak))
