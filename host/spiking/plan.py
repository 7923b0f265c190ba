"""A training run of a spiking network, compiled and checked before a device is touched."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.data.samples import Samples
from host.layers import check_count
from host.plan import check_seed
from host.spiking.compiler import CompiledSpiking, compile_spiking
from host.spiking.curriculum import Curriculum
from host.spiking.first_weights import first_weights
from host.spiking.labels import VOTES, Vote
from host.spiking.memory import Write
from host.spiking.network import SpikingNetwork
from host.spiking.program import Phase
from host.spiking.rules import Hybrid
from host.spiking.samples import encode_intensities, encode_samples
from host.training.schedule import Constant, Schedule
from host.training.stopping import EarlyStopping
from hw.config import DeviceConfig

Words = NDArray[np.int16]
Classes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikingPlan:
    """A training run of a spiking network.

    Attributes
    ----------
    compiled: network and programs
    epochs, seed: as in `make_spiking_plan`
    evaluate_every, vote: as there
    factors: of each epoch, by which the learning rate is multiplied
    constants: parameters of each epoch
    train, test: encoded samples, a batch each
    labels: classes of both
    validation: encoded samples and their classes, or None
    stopping: as there
    stage: of the curriculum, by training sample
    weights: words of the first weights
    table: of the granule cells, or None
    """

    compiled: CompiledSpiking
    epochs: int
    seed: int
    evaluate_every: int
    vote: Vote
    factors: list[float]
    constants: list[list[Write]]
    train: Samples
    test: Samples
    labels: tuple[Classes, Classes]
    validation: tuple[Samples, Classes] | None
    stopping: EarlyStopping | None
    stage: Classes
    weights: dict[str, Words]
    table: Words | None

    @property
    def network(self) -> SpikingNetwork:
        """What is trained."""
        return self.compiled.network

    def phase(self, epoch: int) -> Phase:
        """What `epoch` (from 0) does with its samples."""
        rule = self.network.rule
        supervised = isinstance(rule, Hybrid) and rule.supervised(epoch)
        return Phase.SUPERVISE if supervised else Phase.TRAIN

    def evaluated(self, epoch: int) -> bool:
        """Whether `epoch` (from 0) is followed by an evaluation."""
        return (epoch + 1) % self.evaluate_every == 0 or epoch + 1 == self.epochs


def make_spiking_plan(
    network: SpikingNetwork,
    config: DeviceConfig,
    train: tuple[ArrayLike, ArrayLike],
    test: tuple[ArrayLike, ArrayLike],
    *,
    epochs: int,
    seed: int = 0,
    schedule: Schedule | None = None,
    curriculum: Curriculum | None = None,
    vote: Vote = "majority",
    evaluate_every: int = 1,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    stopping: EarlyStopping | None = None,
) -> SpikingPlan:
    """Compile and encode a training run; ValueError says what does not fit.

    Parameters
    ----------
    network, config: what learns on what
    train, test: inputs (N, values of a sample) and classes
    epochs: at least 1
    seed: of the first weights, the order of samples and the device's randomness, 0 to 2**32 - 1
    schedule: of the learning rate; constant if left out
    curriculum: order of the samples; at random if left out
    vote: how the neurons' responses make a class
    evaluate_every: epochs from one evaluation to the next; the last epoch always has one
    validation: samples as `train`, evaluated when the test samples are; none if left out
    stopping: when training ends before `epochs`, and with which weights
    """
    check_count("epochs", epochs)
    check_count("evaluate_every", evaluate_every)
    check_seed(seed)
    if vote not in VOTES:
        raise ValueError(f"vote must be one of {', '.join(VOTES)}, not {vote!r}")
    if stopping is not None:
        _check_stopping(network, stopping, evaluate_every, validated=validation is not None)
    compiled = compile_spiking(network, config)
    chosen = schedule or Constant()
    factors = [chosen.factor(epoch, epochs) for epoch in range(epochs)]
    inputs, labels = np.asarray(train[0], np.float64), np.asarray(train[1])
    encoded = encode_samples(network, inputs, labels)
    granules = compiled.circuit.granules
    words = encode_intensities(network, inputs)
    return SpikingPlan(
        compiled=compiled,
        epochs=int(epochs),
        seed=int(seed),
        evaluate_every=int(evaluate_every),
        vote=vote,
        factors=factors,
        constants=[compiled.constants(factor) for factor in factors],
        train=encoded,
        test=encode_samples(network, *test),
        labels=(labels.astype(np.int64), np.asarray(test[1]).astype(np.int64)),
        validation=None if validation is None else _validation(network, *validation),
        stopping=stopping,
        stage=(curriculum or Curriculum()).stage(inputs, labels),
        weights=first_weights(network, inputs, int(seed)),
        table=granules.draw(words, int(seed)) if granules else None,
    )


def _validation(
    network: SpikingNetwork, inputs: ArrayLike, labels: ArrayLike
) -> tuple[Samples, Classes]:
    return encode_samples(network, inputs, labels), np.asarray(labels).astype(np.int64)


def _check_stopping(
    network: SpikingNetwork, stopping: EarlyStopping, evaluate_every: int, *, validated: bool
) -> None:
    """Raise ValueError where there will be no figure to stop by after every epoch."""
    if isinstance(network.rule, Hybrid):
        raise ValueError(
            "early stopping must be left out under the rule hybrid, whose epochs learn now one "
            "thing, now another"
        )
    if not stopping.monitor.endswith("accuracy"):
        raise ValueError(
            "monitor must be accuracy or val_accuracy in a spiking run, which has no loss, not "
            f"{stopping.monitor!r}"
        )
    if stopping.watched.validates and not validated:
        raise ValueError(
            "there must be validation samples for val_accuracy: set some aside, or watch accuracy"
        )
    if evaluate_every != 1:
        raise ValueError(
            f"evaluate_every must be 1 where training may stop early, not {evaluate_every}"
        )
