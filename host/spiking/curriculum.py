"""The order in which a spiking network meets its samples: at random, or easy ones first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Curriculum:
    """Easy to hard in so many stages of equal size, at random within each; 1: all at random.

    A sample is the harder the further it is from the mean of its class, as the sum of squares.
    """

    stages: int = 1

    def __post_init__(self) -> None:
        if self.stages < 1:
            raise ValueError(f"stages of a curriculum must be at least 1, not {self.stages}")

    def stage(
        self, inputs: NDArray[np.float64], labels: NDArray[np.integer]
    ) -> NDArray[np.int64]:
        """The stage of each training sample, from 0."""
        distance = np.zeros(len(inputs))
        for label in np.unique(labels):
            own = labels == label
            distance[own] = ((inputs[own] - inputs[own].mean(axis=0)) ** 2).sum(axis=1)
        rank = np.empty(len(inputs), np.int64)
        rank[np.argsort(distance, kind="stable")] = np.arange(len(inputs))
        return rank * self.stages // len(inputs)


def epoch_order(stage: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """A permutation of the samples that goes through the stages in turn."""
    order = rng.permutation(len(stage))
    return order[np.argsort(stage[order], kind="stable")]
