"""Training of spiking networks on a device: epochs, their order of samples, and what they achieve.

A SpikingTrainer carries a SpikingPlan out.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.compiler import write_registers
from host.data.samples import Samples
from host.devices.device import Device
from host.plan import ORDER_SEED
from host.spiking.curriculum import epoch_order
from host.spiking.labels import VOTES, Labels
from host.spiking.plan import SpikingPlan
from host.spiking.program import Phase
from host.statistics import Counts
from host.streaming import Interruption, run_batches
from host.trainer import make_ready
from host.training.monitor import Figures


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikingReport:
    """What an epoch did.

    Attributes
    ----------
    epoch: from 1
    phase: what was trained
    rate: by what the learning rate was multiplied
    train: counts of the epoch's training
    samples: that it trained
    train_accuracy: right answers while it trained, where the device counts them; otherwise on the
        training samples afterwards
    val_accuracy, test_accuracy: afterwards, on the validation and on the test samples; None where
        there are none, or the epoch was not evaluated
    votes: test accuracy by each vote, where neurons are labelled
    labels: of the neurons, likewise; SILENT where one has none
    seconds: of training, without evaluation
    """

    epoch: int
    phase: Phase
    rate: float
    train: Counts
    samples: int
    train_accuracy: float | None
    val_accuracy: float | None = None
    test_accuracy: float | None
    votes: dict[str, float]
    labels: list[int]
    seconds: float

    @property
    def figures(self) -> Figures:
        """By which training is steered: nothing of the test samples."""
        return {"accuracy": self.train_accuracy, "val_accuracy": self.val_accuracy}


@dataclass(frozen=True)
class Evaluation:
    """What was found; the attributes of SpikingReport of these names."""

    train_accuracy: float | None = None
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    votes: dict[str, float] = field(default_factory=dict)
    labels: list[int] = field(default_factory=list)


class SpikingTrainer:
    """Carries a plan out on a device, which must be of the plan's configuration.

    Attributes
    ----------
    device, plan: what does what
    epoch: epochs done
    figures: of these epochs, on which it depends when training ends
    best: what the device had learned after the best epoch, where training is to end with that;
        else None
    """

    def __init__(
        self, device: Device, plan: SpikingPlan, *, interruption: Interruption | None = None
    ) -> None:
        self.device, self.plan = device, plan
        self.epoch = 0
        self.figures: list[Figures] = []
        self.best: dict[str, NDArray[np.int16]] | None = None
        self._interruption = interruption
        self._order = np.random.default_rng(ORDER_SEED + plan.seed)
        self._shuffled = plan.train.shuffled(np.arange(len(plan.train)))

    def load(self) -> None:
        """Bring the device into the plan's first state: weights, programs, randomness, counters."""
        plan = self.plan
        make_ready(self.device, plan.seed)
        plan.compiled.load(self.device, plan.weights, plan.table)

    def state(self) -> dict[str, Any]:
        """What the epochs that are left depend on, besides the device; see `restore`."""
        return {
            "epoch": self.epoch,
            "order": self._order.bit_generator.state,
            "figures": [dict(figures) for figures in self.figures],
            "best": self.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Be as the trainer whose state() this was; the device is brought back apart."""
        self.epoch = state["epoch"]
        self._order.bit_generator.state = state["order"]
        self.figures = list(state["figures"])
        self.best = state["best"]

    def reports(self) -> Iterator[SpikingReport]:
        """Train and evaluate the epochs that are left, one for each step of the iterator.

        At its end the device holds what training ends with.
        """
        stopping = self.plan.stopping
        while self.epoch < self.plan.epochs:
            if stopping is not None and stopping.ends(self.figures):
                break
            yield self.train_epoch()
        if self.best is not None:
            self.plan.compiled.write_learned(self.device, self.best)

    def train_epoch(self) -> SpikingReport:
        """Train for an epoch, then evaluate where the plan says so."""
        plan, epoch = self.plan, self.epoch
        phase, started = plan.phase(epoch), time.perf_counter()
        before = Counts.read(self.device)
        for region, address, words in plan.constants[epoch]:
            self.device.write(region, address, words)
        order = epoch_order(plan.stage, self._order)
        self._run(phase, plan.train.shuffled(order, out=self._shuffled))
        trained = Counts.read(self.device) - before
        seconds = time.perf_counter() - started
        self.epoch += 1
        found = self.evaluate() if plan.evaluated(epoch) else Evaluation()
        counted = trained["correct"] / trained["samples"] if trained["samples"] else None
        report = SpikingReport(
            epoch=self.epoch,
            phase=phase,
            rate=plan.factors[epoch],
            train=trained,
            samples=len(plan.train),
            train_accuracy=found.train_accuracy if counted is None else counted,
            val_accuracy=found.val_accuracy,
            test_accuracy=found.test_accuracy,
            votes=found.votes,
            labels=found.labels,
            seconds=seconds,
        )
        self._remember(report.figures)
        return report

    def _remember(self, figures: Figures) -> None:
        """Note an epoch's figures, and what was learned where it is the best one."""
        self.figures.append(figures)
        stopping = self.plan.stopping
        if stopping is not None and stopping.best(self.figures) == len(self.figures) - 1:
            self.best = self.plan.compiled.read_learned(self.device)

    def evaluate(self) -> Evaluation:
        """The accuracy on the validation and the test samples.

        Counted by the device, or by labels of the neurons.
        """
        plan = self.plan
        if plan.compiled.circuit.responses is None:
            validated = None if plan.validation is None else self._counted(plan.validation[0])
            return Evaluation(val_accuracy=validated, test_accuracy=self._counted(plan.test))
        learned = self.responses(plan.train)
        labels = Labels.assign(learned, plan.labels[0], plan.network.classes)
        validated = None
        if plan.validation is not None:
            samples, classes = plan.validation
            validated = labels.accuracy(self.responses(samples), classes, plan.vote)
        tested = self.responses(plan.test)
        votes: dict[str, float] = {
            vote: labels.accuracy(tested, plan.labels[1], vote) for vote in VOTES
        }
        return Evaluation(
            train_accuracy=labels.accuracy(learned, plan.labels[0], plan.vote),
            val_accuracy=validated,
            test_accuracy=votes[plan.vote],
            votes=votes,
            labels=labels.neurons.tolist(),
        )

    def _counted(self, samples: Samples) -> float:
        """The share of samples whose class the device's answers are."""
        before = Counts.read(self.device)
        self._run(Phase.EVALUATE, samples)
        counts = Counts.read(self.device) - before
        return counts["correct"] / counts["samples"]

    def responses(self, samples: Samples) -> NDArray[np.int64]:
        """Spikes of each neuron for each sample, (N, neurons)."""
        responses = self.plan.compiled.circuit.responses
        assert responses is not None
        found = []
        for start in range(0, len(samples), responses.most):
            some = Samples(samples.rows[start : start + responses.most], samples.registers)
            responses.begin(self.device)
            self._run(Phase.RESPOND, some)
            found.append(responses.read(self.device, len(some)))
        return np.concatenate(found)

    def _run(self, phase: Phase, samples: Samples) -> None:
        write_registers(self.device, samples.registers)
        run_batches(
            self.device, self.plan.compiled, phase, samples, 1, interruption=self._interruption
        )
