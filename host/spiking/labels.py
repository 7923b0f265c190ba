"""Classes from the responses of neurons that have learned without labels.

Responses are spikes (N, neurons). Labels of the neurons come from training samples alone.

    majority      a neuron's label is the class to which it responds most on average; a sample gets
                  the class whose neurons respond most on average
    proportional  a neuron votes for every class in proportion to its mean response to it

Diehl and Cook, "Unsupervised learning of digit recognition using STDP", 2015; Hazan et al.,
"BindsNET", 2018.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Vote = Literal["majority", "proportional"]
VOTES: tuple[Vote, ...] = get_args(Vote)

SILENT = -1
"""The label of a neuron that has responded to no training sample."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What neurons stand for.

    Attributes
    ----------
    means: mean responses to the training samples of each class, (neurons, classes)
    """

    means: NDArray[np.float64]

    @classmethod
    def assign(
        cls, responses: NDArray[np.integer], labels: NDArray[np.integer], classes: int
    ) -> "Labels":
        """Labels from training samples; a class without samples gets no neurons."""
        member = labels[:, None] == np.arange(classes)
        return cls(responses.T.astype(np.float64) @ member / np.maximum(member.sum(axis=0), 1))

    @property
    def neurons(self) -> NDArray[np.int64]:
        """The class of each neuron, the lowest of equal ones; SILENT where it has none."""
        return np.where(self.means.any(axis=1), self.means.argmax(axis=1), SILENT)

    def weights(self, vote: Vote) -> NDArray[np.float64]:
        """What a spike of each neuron counts for each class, (neurons, classes)."""
        if vote == "proportional":
            totals = self.means.sum(axis=1, keepdims=True)
            return self.means / np.where(totals > 0, totals, 1)
        own = self.neurons[:, None] == np.arange(self.means.shape[1])
        return own / np.maximum(own.sum(axis=0), 1)

    def predict(self, responses: NDArray[np.integer], vote: Vote) -> NDArray[np.int64]:
        """The class of each sample, the lowest of equal ones."""
        return (responses @ self.weights(vote)).argmax(axis=1)

    def accuracy(
        self, responses: NDArray[np.integer], labels: NDArray[np.integer], vote: Vote
    ) -> float:
        """The share of samples whose class is the label."""
        return float((self.predict(responses, vote) == labels).mean())
