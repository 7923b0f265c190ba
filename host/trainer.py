"""Training on a device: epochs, shuffling, batches, evaluation and what they count.

A Plan is everything a training run consists of, compiled and checked before a device is touched;
a Trainer carries it out on one.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.compiler import Compiled, compile_network, write_registers
from host.data.samples import Samples
from host.devices.device import Device
from host.network import Network, Rule
from host.plan import ORDER_SEED, Plan, batch_sizes, check_samples
from host.program import CLIP_STATISTIC, Mode
from host.statistics import Counts, accuracy, mean_loss, mean_norm
from host.streaming import Interruption, predict_batches, run_batches, stop
from host.training.monitor import Figures
from hw.isa import Control, Region, Register
from hw.numbers import lfsr_seed

FROZEN = Rule(rate=2**-4)
"""The rule of programs in which nothing learns; any would do."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochReport:
    """What an epoch did.

    Attributes
    ----------
    epoch: from 1
    rate: learning rate, at the end where it changes between batches
    train, val, test: counts of the epoch's training, and of its evaluations
    train_loss, val_loss, test_loss: mean loss; of training while it went on
    train_accuracy, val_accuracy, test_accuracy: where targets are classes
    gradient_norm: mean over the epoch's updates, before clipping; None without clip_norm
    clipped: updates whose gradient was clipped; None likewise
    seconds: of training, without evaluation
    """

    epoch: int
    rate: float
    train: Counts
    val: Counts = field(default_factory=Counts.zero)
    test: Counts
    train_loss: float | None
    val_loss: float | None = None
    test_loss: float | None
    train_accuracy: float | None
    val_accuracy: float | None = None
    test_accuracy: float | None
    gradient_norm: float | None = None
    clipped: int | None = None
    seconds: float

    @property
    def samples(self) -> int:
        """Trained."""
        return self.train["samples"]

    @property
    def figures(self) -> Figures:
        """By which training is steered: nothing of the test samples."""
        return {
            "loss": self.train_loss,
            "accuracy": self.train_accuracy,
            "val_loss": self.val_loss,
            "val_accuracy": self.val_accuracy,
        }


class Trainer:
    """Carries a plan out on a device, which must be of the plan's configuration.

    Attributes
    ----------
    device, plan: what does what
    epoch: epochs done
    figures: of these epochs, on which it depends how training goes on
    best: words of the best epoch's weights, where training is to end with them; else None
    """

    def __init__(
        self, device: Device, plan: Plan, *, interruption: Interruption | None = None
    ) -> None:
        self.device, self.plan = device, plan
        self.epoch = 0
        self.figures: list[Figures] = []
        self.best: list[NDArray[np.int16]] | None = None
        self._factor = 1.0
        self._interruption = interruption
        self._order = np.random.default_rng(ORDER_SEED + plan.seed)
        self._shuffled = plan.train.shuffled(np.arange(len(plan.train)))
        self._registers: dict[Register, int] = {}

    def load(self) -> None:
        """Bring the device into the plan's first state: weights, programs, randomness, counters."""
        make_ready(self.device, self.plan.seed)
        self.plan.compiled.load(self.device, self.plan.weights)

    def state(self) -> dict[str, Any]:
        """What the epochs that are left depend on, besides the device; see `restore`."""
        return {
            "epoch": self.epoch,
            "order": self._order.bit_generator.state,
            "figures": [dict(figures) for figures in self.figures],
            "best": self.best,
            "registers": {register.name: value for register, value in self._registers.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Be as the trainer whose state() this was; the device is brought back apart."""
        self.epoch = state["epoch"]
        self._order.bit_generator.state = state["order"]
        self.figures = list(state["figures"])
        self.best = state["best"]
        self._registers = {Register[name]: value for name, value in state["registers"].items()}

    def reports(self) -> Iterator[EpochReport]:
        """Train and evaluate the epochs that are left, one for each step of the iterator.

        At its end the device holds the weights that training ends with.
        """
        stopping = self.plan.stopping
        while self.epoch < self.plan.epochs:
            if stopping is not None and stopping.ends(self.figures):
                break
            yield self.train_epoch()
        if self.best is not None:
            self.plan.compiled.write_weights(self.device, self.best)

    def train_epoch(self) -> EpochReport:
        """Train for an epoch, then evaluate."""
        started = time.perf_counter()
        before = Counts.read(self.device)
        samples = self._begin_epoch()
        between = self._set_rate if self.plan.by_batch else None
        self._run(Mode.TRAIN, samples, self.plan.batch_size, before=between)
        trained = Counts.read(self.device)
        seconds = time.perf_counter() - started
        self.epoch += 1
        validated = self._evaluated(self.plan.validation)
        report = self._report(trained - before, validated, self.evaluate(), seconds)
        self._remember(report.figures)
        return report

    def evaluate(self) -> Counts:
        """What the device counts over the test samples."""
        return self._evaluated(self.plan.test)

    def _evaluated(self, samples: Samples | None) -> Counts:
        if samples is None:
            return Counts.zero()
        before = Counts.read(self.device)
        self._write(samples.registers)
        self._run(Mode.EVALUATE, samples, self.plan.evaluation_batch)
        return Counts.read(self.device) - before

    def _begin_epoch(self) -> Samples:
        plan = self.plan
        self._write(plan.train.registers)
        self._set_rate(0)
        order = self._order.permutation(len(plan.train))
        return plan.train.shuffled(order, out=self._shuffled, epoch=self.epoch)

    def _set_rate(self, batch: int) -> None:
        """Write the registers of the rate with which the update `batch` of this epoch learns."""
        plan = self.plan
        self._factor = plan.factor(self.epoch, batch, self.figures)
        self._write(plan.compiled.rule_registers(plan.optimizer.rule(), self._factor))

    def _remember(self, figures: Figures) -> None:
        """Note an epoch's figures, and its weights where it is the best one."""
        self.figures.append(figures)
        stopping = self.plan.stopping
        if stopping is not None and stopping.best(self.figures) == len(self.figures) - 1:
            self.best = self.plan.compiled.read_weights(self.device)

    def _run(
        self,
        mode: Mode,
        samples: Samples,
        batch: int,
        *,
        before: Callable[[int], None] | None = None,
    ) -> None:
        run_batches(
            self.device,
            self.plan.compiled,
            mode,
            samples,
            batch,
            update=self.plan.update_size if mode == Mode.TRAIN else None,
            interruption=self._interruption,
            before=before,
        )

    def _write(self, registers: Mapping[Register, int]) -> None:
        """Write the registers that have another value than the one written last."""
        changed = {r: v for r, v in registers.items() if self._registers.get(r) != v}
        write_registers(self.device, changed)
        self._registers.update(changed)

    def _clipping(self, train: Counts) -> dict[str, Any]:
        """What CLIP found in an epoch, where the gradient is clipped."""
        if self.plan.optimizer.clip_norm is None:
            return {}
        return {
            "gradient_norm": mean_norm(self.plan.network, train, self.plan.batches),
            "clipped": int(train.saturations[CLIP_STATISTIC]),
        }

    def _report(self, train: Counts, val: Counts, test: Counts, seconds: float) -> EpochReport:
        network = self.plan.network
        return EpochReport(
            **self._clipping(train),
            epoch=self.epoch,
            rate=self.plan.optimizer.learning_rate * self._factor,
            train=train,
            val=val,
            test=test,
            train_loss=mean_loss(network, train),
            val_loss=mean_loss(network, val),
            test_loss=mean_loss(network, test),
            train_accuracy=accuracy(network, train),
            val_accuracy=accuracy(network, val),
            test_accuracy=accuracy(network, test),
            seconds=seconds,
        )


def make_ready(device: Device, seed: int) -> None:
    """Stop whatever runs, set every counter to 0 and the randomness to that of a seed."""
    stop(device)
    write_registers(device, {Register.CONTROL: Control.CLEAR})
    state = np.array([lfsr_seed(lane, seed) for lane in range(device.config.lanes)], "<u4")
    device.write(Region.LFSR, 0, state.view("<u2"))


def load_weights(device: Device, compiled: Compiled, words: list[NDArray[np.int16]]) -> None:
    """Make the device ready for a compiled network that has learned already."""
    stop(device)
    compiled.load(device, words)


def predict(
    device: Device, network: Network, words: list[NDArray[np.int16]], inputs: ArrayLike
) -> NDArray[np.float64]:
    """Outputs (N, n_m) for inputs (N, n_0), from the words of the weights."""
    config = device.config
    sizes = batch_sizes(len(np.asarray(inputs)), config.batch_lanes)
    compiled = compile_network(network, FROZEN, config=config, predict=sizes)
    samples = compiled.encode(inputs)
    load_weights(device, compiled, words)
    write_registers(device, samples.registers)
    outputs = np.empty((len(samples), network.sizes[-1]))
    for start, end in predict_batches(device, compiled, samples, config.batch_lanes):
        outputs[start:end] = compiled.read_outputs(device, end - start)
    return outputs


def evaluate(
    device: Device,
    network: Network,
    words: list[NDArray[np.int16]],
    inputs: ArrayLike,
    targets: ArrayLike,
) -> Counts:
    """What the device counts over samples, from the words of the weights."""
    config = device.config
    sizes = batch_sizes(check_samples(network, inputs, targets, name="data"), config.batch_lanes)
    compiled = compile_network(network, FROZEN, config=config, evaluate=sizes)
    samples = compiled.encode(inputs, targets)
    load_weights(device, compiled, words)
    write_registers(device, samples.registers)
    before = Counts.read(device)
    run_batches(device, compiled, Mode.EVALUATE, samples, config.batch_lanes)
    return Counts.read(device) - before
