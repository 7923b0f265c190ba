"""When checkpoints are written, and how many are kept."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cadence:
    """The rhythm of a run's checkpoints.

    One is written after every `every` epochs, after an epoch that is better than all before it,
    after one that ends `seconds` or more after the last checkpoint, and at the end. At most `keep`
    stay: the best one, and the latest.
    """

    every: int = 100
    seconds: float = 60.0
    keep: int = 10
