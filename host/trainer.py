"""Training on a device: epochs, shuffling, batches, evaluation and what they count.

A Plan is everything a training run consists of, compiled and checked before a device is touched;
a Trainer carries it out on one.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.augmentation import Augmentation
from host.compiler import Compiled, compile_network, write_registers
from host.device import Device
from host.gathered_samples import augmented
from host.layers import check_count, he_normal
from host.network import Network, Rule
from host.program import Mode
from host.rules import SGD
from host.samples import Samples
from host.statistics import Counts, accuracy, mean_loss
from host.stored_inputs import StoredInputs
from host.streaming import Interruption, predict_batches, run_batches, stop
from hw.config import DeviceConfig
from hw.isa import Control, Region, Register
from hw.layout import tiles
from hw.numbers import lfsr_seed

WEIGHT_SEED, ORDER_SEED = 1000, 2000
"""Added to a run's seed for its first weights and for the order of its samples."""

FROZEN = Rule(rate=2**-4)
"""The rule of programs in which nothing learns; any would do."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A training run.

    Attributes
    ----------
    compiled: network and programs
    optimizer: the rule and its schedule
    epochs, batch_size, seed: as in `make_plan`
    evaluation_batch: samples of a batch where nothing is learned
    train: encoded samples
    test: encoded samples that are evaluated after every epoch, or None
    weights: words of the first weights
    registers: of every epoch's rule
    """

    compiled: Compiled
    optimizer: SGD
    epochs: int
    batch_size: int
    evaluation_batch: int
    seed: int
    train: Samples
    test: Samples | None
    weights: list[NDArray[np.int16]]
    registers: list[dict[Register, int]]

    @property
    def network(self) -> Network:
        """What is trained."""
        return self.compiled.network


def make_plan(
    network: Network,
    optimizer: SGD,
    config: DeviceConfig,
    train: tuple[ArrayLike, ArrayLike],
    test: tuple[ArrayLike, ArrayLike] | None = None,
    *,
    epochs: int,
    batch_size: int,
    seed: int = 0,
    augmentation: Augmentation | None = None,
) -> Plan:
    """Compile and encode a training run; ValueError says what does not fit.

    Parameters
    ----------
    network, optimizer, config: what learns, how, on what
    train, test: inputs (N, n_0) and targets; without `test` nothing is evaluated
    epochs: at least 1
    batch_size: samples of a batch, any number; the last batch of an epoch takes the rest
    seed: of the first weights, the order of samples and the device's randomness, 0 to 2**32 - 1
    augmentation: what happens to the training samples in every epoch
    """
    check_count("epochs", epochs)
    check_count("batch_size", batch_size)
    check_seed(seed)
    train_count = check_samples(network, *train, name="training data", learns=True)
    batch_size = min(int(batch_size), train_count)
    evaluation_batch = tiles(batch_size, config.batch_lanes) * config.batch_lanes
    sizes: list[int] = []
    if test is not None:
        sizes = batch_sizes(check_samples(network, *test, name="test data"), evaluation_batch)
    compiled = compile_network(
        network,
        optimizer.rule(0, epochs),
        config=config,
        train=batch_sizes(train_count, batch_size),
        evaluate=sizes,
    )
    rules = [optimizer.rule(epoch, epochs) for epoch in range(epochs)]
    return Plan(
        compiled=compiled,
        optimizer=optimizer,
        epochs=int(epochs),
        batch_size=batch_size,
        evaluation_batch=evaluation_batch,
        seed=int(seed),
        train=_encoded(compiled, train, augmentation, seed=int(seed)),
        test=compiled.encode(*test) if test is not None else None,
        weights=compiled.encode_weights(he_normal(network, WEIGHT_SEED + int(seed))),
        registers=[compiled.rule_registers(rule) for rule in rules],
    )


def _encoded(
    compiled: Compiled,
    train: tuple[ArrayLike, ArrayLike],
    augmentation: Augmentation | None,
    *,
    seed: int,
) -> Samples:
    samples = compiled.encode(*train, wide=augmentation is not None and augmentation.mixes)
    if augmentation is None:
        return samples
    return augmented(compiled.network, samples, augmentation, seed=seed)


def check_seed(seed: int) -> None:
    """Raise ValueError unless `seed` is a whole number from 0 to 2**32 - 1."""
    if not 0 <= seed < 1 << 32 or seed != int(seed):
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1, not {seed!r}")


def batch_sizes(samples: int, batch: int) -> list[int]:
    """The sizes of batches that occur when `samples` are walked in batches of `batch`."""
    full = [batch] if samples >= batch else []
    return full + ([samples % batch] if samples % batch else [])


def check_samples(
    network: Network, inputs: ArrayLike, targets: ArrayLike, *, name: str, learns: bool = False
) -> int:
    """The number of samples; ValueError where inputs or targets are no numbers, empty or unequal.

    Data to learn from must have more than one class. The encoder checks values and shapes.
    """
    stored = isinstance(inputs, StoredInputs)
    arrays: dict[str, Any] = {
        "inputs": inputs if stored else np.asarray(inputs),
        "targets": np.asarray(targets),
    }
    for what, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{what} of the {name} must be numbers, not {array.dtype}")
        if array.ndim == 0 or len(array) == 0:
            raise ValueError(f"the {name} must have at least one sample, not none")
    x, y = arrays.values()
    if len(x) != len(y):
        raise ValueError(f"the {name} must have a target for each of {len(x)} inputs, not {len(y)}")
    if learns and network.class_target and y.ndim == 1 and len(np.unique(y)) < 2:
        raise ValueError(
            f"the {name} must have at least two classes, not only {y[0]}: there is nothing to tell "
            "apart"
        )
    return len(x)


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochReport:
    """What an epoch did.

    Attributes
    ----------
    epoch: from 1
    rate: learning rate
    train, test: counts of the epoch's training and of its evaluation
    train_loss, test_loss: mean loss; of training while it went on
    train_accuracy, test_accuracy: where targets are classes
    seconds: of training, without evaluation
    """

    epoch: int
    rate: float
    train: Counts
    test: Counts
    train_loss: float | None
    test_loss: float | None
    train_accuracy: float | None
    test_accuracy: float | None
    seconds: float

    @property
    def samples(self) -> int:
        """Trained."""
        return self.train["samples"]


class Trainer:
    """Carries a plan out on a device, which must be of the plan's configuration.

    Attributes
    ----------
    device, plan: what does what
    epoch: epochs done
    """

    def __init__(
        self, device: Device, plan: Plan, *, interruption: Interruption | None = None
    ) -> None:
        self.device, self.plan = device, plan
        self.epoch = 0
        self._interruption = interruption
        self._order = np.random.default_rng(ORDER_SEED + plan.seed)
        self._shuffled = plan.train.shuffled(np.arange(len(plan.train)))
        self._registers: dict[Register, int] = {}

    def load(self) -> None:
        """Bring the device into the plan's first state: weights, programs, randomness, counters."""
        make_ready(self.device, self.plan.seed)
        self.plan.compiled.load(self.device, self.plan.weights)

    def reports(self) -> Iterator[EpochReport]:
        """Train and evaluate the epochs that are left, one for each step of the iterator."""
        while self.epoch < self.plan.epochs:
            yield self.train_epoch()

    def train_epoch(self) -> EpochReport:
        """Train for an epoch, then evaluate."""
        started = time.perf_counter()
        before = Counts.read(self.device)
        samples = self._begin_epoch()
        self._run(Mode.TRAIN, samples, self.plan.batch_size)
        trained = Counts.read(self.device)
        seconds = time.perf_counter() - started
        self.epoch += 1
        return self._report(trained - before, self.evaluate(), seconds)

    def evaluate(self) -> Counts:
        """What the device counts over the test samples."""
        if self.plan.test is None:
            return Counts.zero()
        before = Counts.read(self.device)
        self._write(self.plan.test.registers)
        self._run(Mode.EVALUATE, self.plan.test, self.plan.evaluation_batch)
        return Counts.read(self.device) - before

    def _begin_epoch(self) -> Samples:
        plan = self.plan
        self._write({**plan.train.registers, **plan.registers[self.epoch]})
        order = self._order.permutation(len(plan.train))
        return plan.train.shuffled(order, out=self._shuffled, epoch=self.epoch)

    def _run(self, mode: Mode, samples: Samples, batch: int) -> None:
        run_batches(
            self.device, self.plan.compiled, mode, samples, batch, interruption=self._interruption
        )

    def _write(self, registers: Mapping[Register, int]) -> None:
        """Write the registers that have another value than the one written last."""
        changed = {r: v for r, v in registers.items() if self._registers.get(r) != v}
        write_registers(self.device, changed)
        self._registers.update(changed)

    def _report(self, train: Counts, test: Counts, seconds: float) -> EpochReport:
        network = self.plan.network
        return EpochReport(
            epoch=self.epoch,
            rate=self.plan.optimizer.rule(self.epoch - 1, self.plan.epochs).rate,
            train=train,
            test=test,
            train_loss=mean_loss(network, train),
            test_loss=mean_loss(network, test),
            train_accuracy=accuracy(network, train),
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
