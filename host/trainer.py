"""Training on a device: epochs, shuffling, batches, evaluation and what they count.

A Plan is everything a training run consists of, compiled and checked before a device is touched;
a Trainer carries it out on one.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.compiler import Compiled, compile_network, write_registers
from host.data.augmentation import Augmentation
from host.data.gathered_samples import augmented
from host.data.samples import Samples
from host.data.stored_inputs import StoredInputs
from host.devices.device import Device
from host.layers import check_count
from host.network import Network, Rule
from host.program import Mode
from host.statistics import Counts, accuracy, mean_loss
from host.streaming import Interruption, predict_batches, run_batches, stop
from host.training.initialisation import he_normal
from host.training.monitor import Figures, Watched
from host.training.plateau import ReduceOnPlateau
from host.training.rules import SGD
from host.training.stopping import EarlyStopping
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
    factors: of the schedule, by epoch or by batch of the whole run
    epochs, batch_size, seed, stopping: as in `make_plan`
    evaluation_batch: samples of a batch where nothing is learned
    train: encoded samples
    validation, test: encoded samples that are evaluated after every epoch, or None
    weights: words of the first weights
    """

    compiled: Compiled
    optimizer: SGD
    factors: list[float]
    epochs: int
    batch_size: int
    evaluation_batch: int
    seed: int
    stopping: EarlyStopping | None
    train: Samples
    validation: Samples | None
    test: Samples | None
    weights: list[NDArray[np.int16]]

    @property
    def network(self) -> Network:
        """What is trained."""
        return self.compiled.network

    @property
    def batches(self) -> int:
        """Of an epoch."""
        return tiles(len(self.train), self.batch_size)

    @property
    def by_batch(self) -> bool:
        """Whether the rate changes between batches."""
        return self.optimizer.schedule.by_batch

    def factor(self, epoch: int, batch: int, figures: Sequence[Figures]) -> float:
        """What the rate is multiplied by in a batch of `epoch` (from 0).

        `figures` are those of the epochs before.
        """
        schedule = self.optimizer.schedule
        if isinstance(schedule, ReduceOnPlateau):
            return schedule.factor_after(figures)
        return self.factors[epoch * self.batches + batch if self.by_batch else epoch]


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
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    stopping: EarlyStopping | None = None,
    weights: Sequence[ArrayLike] | None = None,
    augmentation: Augmentation | None = None,
) -> Plan:
    """Compile and encode a training run; ValueError says what does not fit.

    Parameters
    ----------
    network, optimizer, config: what learns, how, on what
    train, test: inputs (N, n_0) and targets; without `test` nothing is tested
    epochs: at least 1
    batch_size: samples of a batch, any number; the last batch of an epoch takes the rest
    seed: of the first weights, the order of samples and the device's randomness, 0 to 2**32 - 1
    validation: samples as `train`, evaluated after each epoch to steer by; none if left out
    stopping: when training ends before `epochs`, and with which weights
    weights: first weights by layer, the bias last; `host.training.initialisation.he_normal` if
        left out
    augmentation: what happens to the training samples in every epoch
    """
    check_count("epochs", epochs)
    check_count("batch_size", batch_size)
    check_seed(seed)
    train_count = check_samples(network, *train, name="training data", learns=True)
    batch_size = min(int(batch_size), train_count)
    evaluation_batch = tiles(batch_size, config.batch_lanes) * config.batch_lanes
    sizes: list[int] = []
    for name, evaluated in (("validation data", validation), ("test data", test)):
        if evaluated is not None:
            count = check_samples(network, *evaluated, name=name)
            sizes += batch_sizes(count, evaluation_batch)
    check_steering(network, optimizer, stopping, validated=validation is not None)
    factors = optimizer.factors(int(epochs), tiles(train_count, batch_size))
    compiled = compile_network(
        network,
        optimizer.rule(max(factors)),
        config=config,
        train=batch_sizes(train_count, batch_size),
        evaluate=sizes,
    )
    if weights is None:
        weights = he_normal(network, WEIGHT_SEED + int(seed))
    return Plan(
        compiled=compiled,
        optimizer=optimizer,
        factors=factors,
        epochs=int(epochs),
        batch_size=batch_size,
        evaluation_batch=evaluation_batch,
        seed=int(seed),
        stopping=stopping,
        validation=compiled.encode(*validation) if validation is not None else None,
        train=_encoded(compiled, train, augmentation, seed=int(seed)),
        test=compiled.encode(*test) if test is not None else None,
        weights=compiled.encode_weights(weights),
    )


def steered_by(optimizer: SGD, stopping: EarlyStopping | None) -> list[Watched]:
    """The figures on which it depends how training goes on."""
    watched = [] if stopping is None else [stopping.watched]
    if isinstance(optimizer.schedule, ReduceOnPlateau):
        watched.append(optimizer.schedule.watched)
    return watched


def check_steering(
    network: Network, optimizer: SGD, stopping: EarlyStopping | None, *, validated: bool
) -> None:
    """Raise ValueError where training is to be steered by figures that there will not be."""
    for watched in steered_by(optimizer, stopping):
        if watched.validates and not validated:
            raise ValueError(
                f"there must be validation samples for {watched.monitor}: set some aside, or "
                "watch loss or accuracy"
            )
        if watched.monitor.endswith("accuracy") and not network.class_target:
            raise ValueError(
                f"monitor must be a loss where targets are values, not {watched.monitor!r}"
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
    rate: learning rate, at the end where it changes between batches
    train, val, test: counts of the epoch's training, and of its evaluations
    train_loss, val_loss, test_loss: mean loss; of training while it went on
    train_accuracy, val_accuracy, test_accuracy: where targets are classes
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
        """Write the registers of the rate with which `batch` of this epoch learns."""
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
            interruption=self._interruption,
            before=before,
        )

    def _write(self, registers: Mapping[Register, int]) -> None:
        """Write the registers that have another value than the one written last."""
        changed = {r: v for r, v in registers.items() if self._registers.get(r) != v}
        write_registers(self.device, changed)
        self._registers.update(changed)

    def _report(self, train: Counts, val: Counts, test: Counts, seconds: float) -> EpochReport:
        network = self.plan.network
        return EpochReport(
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
