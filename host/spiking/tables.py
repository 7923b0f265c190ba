"""A spiking run as the tables of a TOML file.

[spiking] names the rule and the parts of the network, [training] how it is trained; the rule's own
numbers stand in [training.stdp] (with [training.stdp.metaplasticity]), [training.prototype],
[training.climbing_fibre] or [training.hybrid]. Parts and rules are read into their dataclasses.
"""

from collections.abc import Callable, Iterable
from typing import Literal

from host.config_tables import Count, Seed, Share, Table
from host.run_tables import DeviceTable, RunTables
from host.spiking.curriculum import Curriculum
from host.spiking.labels import Vote
from host.spiking.network import Encoding, Formats, Granules, Neurons, Scaling
from host.spiking.rules import ClimbingFibre, Hybrid, PairSTDP, Prototype, Rule
from host.training.plateau import ReduceOnPlateau
from host.training.schedule import Schedule
from host.training.stopping import EarlyStopping
from host.training.tables import SCHEDULES, VALIDATION, ScheduleTable, StoppingTable
from hw.numbers import Format

CONFIGURATION = "ecp5-8-spiking"
"""Of a device, where nothing names one."""


class SpikingTable(Table):
    """[spiking]."""

    rule: Literal["stdp", "prototype", "climbing_fibre", "hybrid"]
    vote: Vote = "majority"
    encoding: Encoding | None = None
    neurons: Neurons | None = None
    scaling: Scaling | None = None
    granules: Granules | None = None


class SpikingFormatsTable(Table):
    """[formats]: binary points as Qm.n; what is left out has the network's default."""

    inputs: str | None = None
    weights: str | None = None
    potentials: str | None = None
    traces: str | None = None

    def formats(self) -> Formats:
        """The formats; ValueError on ones that are not written as Qm.n or do not go together."""
        names = {
            "input": self.inputs,
            "weight": self.weights,
            "potential": self.potentials,
            "trace": self.traces,
        }
        given = {name: Format.parse(text) for name, text in names.items() if text is not None}
        return Formats(**given)


class SpikingTrainingTable(Table):
    """[training] of a spiking run."""

    epochs: Count = 3
    seed: Seed = 0
    evaluate_every: Count = 1
    schedule: ScheduleTable = ScheduleTable()
    validation: Share | None = None
    early_stopping: StoppingTable | None = None
    curriculum: Curriculum = Curriculum()
    stdp: PairSTDP | None = None
    prototype: Prototype | None = None
    climbing_fibre: ClimbingFibre | None = None
    hybrid: Hybrid | None = None

    def schedule_by_epoch(self) -> Schedule:
        """The schedule; ValueError on one that changes the rate at other times."""
        schedule = self.schedule.schedule()
        if schedule.by_batch or isinstance(schedule, ReduceOnPlateau):
            kinds = ", ".join(
                kind
                for kind, each in SCHEDULES.items()
                if not each.by_batch and each is not ReduceOnPlateau
            )
            raise ValueError(
                f"kind must be one of {kinds} in a spiking run, which sets its rate by epoch "
                f"beforehand, not {self.schedule.kind!r}"
            )
        return schedule

    def stopping(self) -> EarlyStopping | None:
        """When training ends before its epochs do."""
        table = self.early_stopping
        return None if table is None else table.stopping("val_accuracy")

    def validation_share(self) -> float | None:
        """Of the training samples; None where none are to be set aside."""
        stopping = self.stopping()
        if self.validation is None and stopping is not None and stopping.watched.validates:
            return VALIDATION
        return self.validation


class SpikingRunConfig(RunTables):
    """The whole file of a spiking network."""

    spiking: SpikingTable
    formats: SpikingFormatsTable = SpikingFormatsTable()
    training: SpikingTrainingTable = SpikingTrainingTable()
    device: DeviceTable = DeviceTable(configuration=CONFIGURATION)

    def built(self) -> Iterable[tuple[str, Callable[[], object]]]:
        """See `RunTables.built`."""
        return (
            ("formats", self.formats.formats),
            ("training.schedule", self.training.schedule_by_epoch),
            ("training.early_stopping", self.training.stopping),
            ("training", self.rule),
        )

    def rule(self) -> Rule:
        """The rule with its numbers; ValueError where there are numbers of another rule."""
        training = self.training
        rules: dict[str, tuple[Rule | None, type[Rule]]] = {
            "stdp": (training.stdp, PairSTDP),
            "prototype": (training.prototype, Prototype),
            "climbing_fibre": (training.climbing_fibre, ClimbingFibre),
            "hybrid": (training.hybrid, Hybrid),
        }
        name = self.spiking.rule
        for other, (given, _) in rules.items():
            if given is not None and other != name:
                raise ValueError(f"{other} must be left out where spiking.rule is {name!r}")
        given, kind = rules[name]
        return given or kind()
