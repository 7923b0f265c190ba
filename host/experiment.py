"""What every kind of training run offers to those who carry it out, show it and write it down.

`host.dense_run` and `host.spiking.run` are the two kinds.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from host.commands.figures import percent
from host.data.samples import Samples
from host.devices.device import Device
from host.run_tables import RunTables
from host.statistics import Counts, working_cycles
from host.streaming import Interruption
from hw.config import DeviceConfig
from hw.isa import Region
from hw.numbers import Format

if TYPE_CHECKING:
    from host.checkpoints.continued import ContinuedDevice
    from host.spiking.activity import Activity

Words = NDArray[np.int16]


class Report(Protocol):
    """What an epoch did.

    Attributes
    ----------
    epoch: from 1
    train: what the device counted while it trained
    samples: that it trained
    test_accuracy: afterwards; None where there is none
    seconds: of training
    """

    @property
    def epoch(self) -> int: ...

    @property
    def train(self) -> Counts: ...

    @property
    def samples(self) -> int: ...

    @property
    def test_accuracy(self) -> float | None: ...

    @property
    def seconds(self) -> float: ...


@dataclass(kw_only=True, eq=False)
class Outcome:
    """What became of a run.

    Attributes
    ----------
    device, identity: on what it ran
    epochs: reports of the epochs that ended
    interrupted: whether the user stopped it
    weights: words of the weights at the end, by name
    answers: outputs for the configuration's questions
    biology: of a spiking network, see `host.spiking.validation`
    """

    device: str
    identity: bytes
    epochs: list[Any] = field(default_factory=list)
    interrupted: bool = False
    weights: dict[str, Words] = field(default_factory=dict)
    answers: list[list[float]] = field(default_factory=list)
    biology: dict[str, Any] | None = None

    @property
    def counts(self) -> Counts:
        """Counted over all training."""
        return sum((report.train for report in self.epochs), Counts.zero())


class Trainer(Protocol):
    """Carries a run out on a device."""

    def load(self) -> None:
        """Bring the device into the run's first state."""

    def reports(self) -> Iterator[Report]:
        """Train the epochs that are left, one for each step of the iterator."""

    def state(self) -> dict[str, Any]:
        """What the epochs that are left depend on, besides the device: values and arrays."""

    def restore(self, state: dict[str, Any]) -> None:
        """Be as the trainer whose state() this was; the device is brought back apart."""


class Experiment(Protocol):
    """A run that is ready to be carried out on any device of its configuration.

    Attributes
    ----------
    config: the file
    device_config: of the devices that can carry it out
    epochs, seed: of the run
    averaged_epochs: the test accuracy of the run is the mean over so many epochs, its last ones
    draws: whether it has pictures
    report_type: of what its trainer reports
    training_batches: that an epoch trains
    counts_batches: whether the device counts right answers while it trains
    score_name: what `score` tells, an accuracy or (its negative) a loss
    weight_formats: binary points of what is learned, by name
    """

    draws: ClassVar[bool]
    report_type: ClassVar[type]

    @property
    def training_batches(self) -> int: ...

    @property
    def counts_batches(self) -> bool: ...

    @property
    def score_name(self) -> str: ...

    @property
    def weight_formats(self) -> dict[str, Format]: ...

    @property
    def averaged_epochs(self) -> int: ...

    @property
    def config(self) -> RunTables: ...

    @property
    def device_config(self) -> DeviceConfig: ...

    @property
    def epochs(self) -> int: ...

    @property
    def seed(self) -> int: ...

    def locate(self, region: Region, address: int) -> str:
        """What a word of the device is."""

    def extents(self) -> dict[Region, int]:
        """Words of each memory from address 0 to the last that the run uses."""

    def stretches(self) -> list[tuple[Region, int, int]]:
        """Region, first word and number of words of everything that the run uses of memories."""

    def samples_digest(self) -> str:
        """A hash of all samples, as the device gets them."""

    def score(self, report: Any) -> float | None:
        """How good the network was after an epoch, the larger the better; None if nobody knows."""

    def batch_metrics(self, counts: Counts) -> dict[str, float]:
        """What the device's counts over some training batches say; nothing where they do not."""

    def opening(self) -> str:
        """What is about to be trained."""

    def heading(self) -> str:
        """Above the lines of the epochs."""

    def line(self, report: Any) -> str:
        """What an epoch did."""

    def trainer(self, device: Device, interruption: Interruption) -> Trainer:
        """What carries it out on a device."""

    def weights(self, device: Device) -> dict[str, Words]:
        """What the device has learned."""

    def activity(self, device: "ContinuedDevice") -> "Activity | None":
        """What neurons do with test samples, None where none spike; the device stays as it is."""

    def biology(self, activity: "Activity", weights: Mapping[str, Words]) -> dict[str, Any]:
        """How much like a nervous system the network is; see `host.spiking.validation`."""

    def ask(self, device: Device, outcome: Outcome) -> None:
        """Put the configuration's questions to what was learned; this loads other programs."""

    def pictures(self, device: Device, folder: Path) -> list[Path]:
        """Draw what the device has learned, where the run `draws`; it need not stay as it is."""

    def results(self, outcome: Outcome) -> dict[str, Any]:
        """The run as plain numbers; what there is none of is None."""

    def summary(self, values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """The results in rows of a name and a text."""


DIGESTED = 1024
"""Samples that are hashed at a time: stored ones are not to be loaded as a whole."""


def digest(*samples: Samples | None) -> str:
    """A hash of encoded samples."""
    found = hashlib.sha256()
    for each in samples:
        if each is not None:
            found.update(repr((len(each), sorted(each.registers.items()))).encode())
            for batch in each.batches(DIGESTED):
                found.update(batch)
    return found.hexdigest()


def mean_test_accuracy(epochs: Sequence[Report], averaged: int) -> float | None:
    """Mean test accuracy over the last `averaged` epochs, of those that were tested."""
    last = [e.test_accuracy for e in epochs[-averaged:] if e.test_accuracy is not None]
    return sum(last) / len(last) if last else None


def accuracies(experiment: Experiment, outcome: Outcome) -> dict[str, Any]:
    """The results of every run whose targets are classes."""
    curve = [report.test_accuracy for report in outcome.epochs]
    return {
        "test_accuracy": mean_test_accuracy(outcome.epochs, experiment.averaged_epochs),
        "final_test_accuracy": curve[-1] if curve else None,
        "test_accuracy_per_epoch": curve,
        "train_accuracy": [report.train_accuracy for report in outcome.epochs],
    }


def circumstances(experiment: Experiment, outcome: Outcome) -> dict[str, Any]:
    """The results of every run: on what, how much, how long."""
    counts, epochs = outcome.counts, outcome.epochs
    cycles = working_cycles(counts)
    samples = sum(report.samples for report in epochs)
    return {
        "device": outcome.device,
        "configuration": experiment.device_config.name,
        "build": outcome.identity.hex(),
        "seed": experiment.seed,
        "epochs": len(epochs),
        "interrupted": outcome.interrupted,
        "samples": samples,
        "seconds": sum(report.seconds for report in epochs),
        "cycles": cycles,
        "cycles_per_sample": cycles / samples if cycles else None,
        "waiting": None if cycles is None else counts["waiting"],
    }


def accuracy_row(experiment: Experiment, values: Mapping[str, Any]) -> tuple[str, str]:
    """The row of a summary that tells how good the run was."""
    last = min(experiment.averaged_epochs, values["epochs"])
    mean, final = percent(values["test_accuracy"]), percent(values["final_test_accuracy"])
    if last <= 1:
        return "test accuracy", final
    return "test accuracy", f"{mean} (mean of the last {last} epochs), {final} at the end"
