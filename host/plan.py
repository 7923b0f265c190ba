"""A training run of a dense network, compiled and checked before a device is touched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.compiler import Compiled, compile_network
from host.data.augmentation import Augmentation
from host.data.gathered_samples import augmented
from host.data.samples import Samples
from host.data.stored_inputs import StoredInputs
from host.layers import check_count
from host.network import Network
from host.training.initialisation import he_normal
from host.training.monitor import Figures, Watched
from host.training.plateau import ReduceOnPlateau
from host.training.rules import SGD
from host.training.stopping import EarlyStopping
from hw.config import DeviceConfig
from hw.layout import tiles

WEIGHT_SEED, ORDER_SEED = 1000, 2000
"""Added to a run's seed for its first weights and for the order of its samples."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A training run.

    Attributes
    ----------
    compiled: network and programs
    optimizer: the rule and its schedule
    factors: of the schedule, by epoch or by update of the whole run
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
        """Updates of an epoch, each of one batch or of several."""
        return tiles(len(self.train), self.update_size)

    @property
    def update_size(self) -> int:
        """Samples of an update; the last one of an epoch takes the rest."""
        return self.batch_size * self.optimizer.accumulate_batches

    @property
    def by_batch(self) -> bool:
        """Whether the rate changes between updates."""
        return self.optimizer.schedule.by_batch

    def factor(self, epoch: int, batch: int, figures: Sequence[Figures]) -> float:
        """What the rate is multiplied by in the update `batch` of `epoch` (both from 0).

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
    batch_size: samples of a batch, any number; the last batch of an epoch takes the rest. Where
        the optimizer accumulates batches, its last update also takes those that are left
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
    update = batch_size * optimizer.accumulate_batches
    factors = optimizer.factors(int(epochs), tiles(train_count, update))
    compiled = compile_network(
        network,
        optimizer.rule(max(factors)),
        config=config,
        train=batch_sizes(train_count, update),
        at_once=batch_size,
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
