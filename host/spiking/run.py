"""A training run of a spiking network."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from host.checkpoints.continued import ContinuedDevice
from host.commands.figures import percent, tally
from host.data import Dataset
from host.devices.device import Device
from host.experiment import Outcome, Words, accuracies, accuracy_row, circumstances, digest
from host.fixed_point import decode
from host.spiking.activity import Activity, observe, twin
from host.spiking.drawing import draw_pictures
from host.spiking.labels import SILENT
from host.spiking.network import SpikingNetwork
from host.spiking.plan import SpikingPlan, make_spiking_plan
from host.spiking.rules import ClimbingFibre
from host.spiking.tables import SpikingRunConfig
from host.spiking.trainer import SpikingReport, SpikingTrainer
from host.spiking.validation import validate
from host.statistics import Counts
from host.streaming import Interruption
from host.training.stopping import kept
from host.training.validation_split import set_aside
from hw.config import DeviceConfig
from hw.isa import Region
from hw.numbers import Format

COUNTED_EPOCHS = 3
"""The test accuracy of a network whose answers the device counts is a mean over so many epochs;
labels of neurons that still move are worth nothing, so there it is that of the last one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikingExperiment:
    """See `host.experiment.Experiment`."""

    draws: ClassVar[bool] = True
    report_type: ClassVar[type] = SpikingReport

    config: SpikingRunConfig
    device_config: DeviceConfig
    dataset: Dataset
    plan: SpikingPlan

    @property
    def network(self) -> SpikingNetwork:
        """What is trained."""
        return self.plan.network

    @property
    def averaged_epochs(self) -> int:
        """See `Experiment`."""
        return COUNTED_EPOCHS if isinstance(self.network.rule, ClimbingFibre) else 1

    @property
    def epochs(self) -> int:
        """See `Experiment`."""
        return self.plan.epochs

    @property
    def seed(self) -> int:
        """See `Experiment`."""
        return self.plan.seed

    def locate(self, region: Region, address: int) -> str:
        """See `Experiment.locate`."""
        return self.plan.compiled.memory.locate(region, address)

    def extents(self) -> dict[Region, int]:
        """See `Experiment.extents`."""
        return self.plan.compiled.memory.extents()

    def stretches(self) -> list[tuple[Region, int, int]]:
        """See `Experiment.stretches`."""
        return self.plan.compiled.memory.stretches()

    def samples_digest(self) -> str:
        """See `Experiment.samples_digest`."""
        validated = self.plan.validation
        return digest(self.plan.train, validated[0] if validated else None, self.plan.test)

    @property
    def training_batches(self) -> int:
        """See `Experiment`."""
        return len(self.plan.train)

    @property
    def counts_batches(self) -> bool:
        """See `Experiment`."""
        return self.plan.compiled.circuit.responses is None

    @property
    def weight_formats(self) -> dict[str, Format]:
        """See `Experiment`."""
        weights = self.plan.compiled.circuit.weights
        return {name: tensor.fmt for name, tensor in weights.items()}

    @property
    def score_name(self) -> str:
        """See `Experiment`."""
        return "test accuracy" if self.plan.validation is None else "validation accuracy"

    def score(self, report: SpikingReport) -> float | None:
        """See `Experiment.score`."""
        return report.test_accuracy if self.plan.validation is None else report.val_accuracy

    def batch_metrics(self, counts: Counts) -> dict[str, float]:
        """See `Experiment.batch_metrics`."""
        if not counts["samples"]:
            return {}
        return {"accuracy": counts["correct"] / counts["samples"]}

    def opening(self) -> str:
        """See `Experiment.opening`."""
        plan, network = self.plan, self.network
        if network.neurons is not None:
            assert network.encoding is not None
            what = (
                f"{network.neurons.count} neurons, {network.encoding.kind} encoding in "
                f"{network.encoding.steps} steps"
            )
        else:
            assert network.granules is not None
            what = f"{network.granules.cells} granule cells, {network.classes} outputs"
        validated = "" if plan.validation is None else f", {len(plan.validation[1])} to validate"
        return (
            f"{self.config.data.source}: {len(plan.train)} samples to learn{validated}, "
            f"{len(plan.test)} to test; {network.inputs} inputs, {what}, "
            f"rule {self.config.spiking.rule}, seed {plan.seed}"
        )

    def heading(self) -> str:
        """See `Experiment.heading`."""
        return (
            f"{'epoch':>5} {'phase':>9} {'rate':>7}  {'train acc':>9}  "
            f"{'  val acc  ' * (self.plan.validation is not None)}{'test acc':>8} "
            f"{'samples/s':>11}"
        )

    def line(self, report: SpikingReport) -> str:
        """See `Experiment.line`."""
        speed = report.samples / report.seconds
        validated = ""
        if self.plan.validation is not None:
            validated = f"{percent(report.val_accuracy):>9}  "
        return (
            f"{report.epoch:>5} {report.phase.value:>9} {report.rate:>7.3g}  "
            f"{percent(report.train_accuracy):>9}  {validated}{percent(report.test_accuracy):>8} "
            f"{speed:>11,.0f}"
        )

    def trainer(self, device: Device, interruption: Interruption) -> SpikingTrainer:
        """See `Experiment.trainer`."""
        return SpikingTrainer(device, self.plan, interruption=interruption)

    def weights(self, device: Device) -> dict[str, Words]:
        """See `Experiment.weights`."""
        words = self.plan.compiled.read_weights(device)
        if self.plan.table is not None:
            words["granule_table"] = self.plan.table
        return words

    def activity(self, device: ContinuedDevice) -> Activity:
        """See `Experiment.activity`."""
        return observe(self.plan, twin(self.plan, device))

    def biology(self, activity: Activity, weights: Mapping[str, Words]) -> dict[str, Any]:
        """See `Experiment.biology`."""
        real = {name: decode(weights[name], fmt) for name, fmt in self.weight_formats.items()}
        granules = self.network.granules
        return validate(activity, real, fan_in=granules.fan_in if granules else None)

    def ask(self, device: Device, outcome: Outcome) -> None:
        """See `Experiment.ask`; the tables have no questions."""

    def results(self, outcome: Outcome) -> dict[str, Any]:
        """See `Experiment.results`."""
        counts, epochs = outcome.counts, outcome.epochs
        best = kept(self.plan.stopping, epochs, interrupted=outcome.interrupted)
        tested = [best] if best else epochs
        tested = [report for report in tested if report.votes]
        values = {
            **accuracies(self, outcome),
            **({"test_accuracy": best.test_accuracy, "best_epoch": best.epoch} if best else {}),
            "phases": [report.phase.value for report in epochs],
            **circumstances(self, outcome),
        }
        if self.plan.validation is not None:
            values["val_accuracy"] = [report.val_accuracy for report in epochs]
        if self.plan.compiled.circuit.responses is not None:
            values["vote"] = self.plan.vote
            values["votes"] = tested[-1].votes if tested else None
            values["labels"] = tested[-1].labels if tested else None
        vectors, cycles, samples = counts["busy"], values["cycles"], values["samples"]
        synapses = vectors * self.device_config.lanes
        return {
            **values,
            "synapses": synapses,
            "synapses_per_sample": synapses / samples if samples else None,
            "synapses_per_cycle": synapses / cycles if cycles else None,
            "biological_validation": outcome.biology,
            "saturations": self.plan.compiled.saturations(counts.saturations),
            "data": self.dataset.results(),
            "config": self.config.model_dump(mode="json", exclude_unset=True),
        }

    def summary(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """See `Experiment.summary`."""
        best = values.get("best_epoch")
        chosen = f"{percent(values['test_accuracy'])} with what epoch {best} learned, the best one"
        rows = [("test accuracy", chosen) if best else accuracy_row(self, values)]
        if values.get("votes"):
            votes = ", ".join(f"{name} {percent(own)}" for name, own in values["votes"].items())
            rows.append(("by vote", votes))
            silent = sum(label == SILENT for label in values["labels"])
            rows.append(("silent neurons", str(silent)))
        if values["samples"]:
            used = f"{values['synapses_per_sample']:,.0f} read or changed per sample"
            if values["cycles"]:
                used += f", {values['synapses_per_cycle']:.2f} per cycle"
            rows.append(("synapses", used))
        if values["biological_validation"]:
            found = values["biological_validation"]
            shares = ", ".join(f"{name} {percent(own)}" for name, own in found["groups"].items())
            rows.append(("biological", f"{percent(found['score'])} of usual ranges: {shares}"))
        rows += self.dataset.summary()
        return [*rows, ("saturations", tally(values["saturations"]))]

    def pictures(self, device: Device, folder: Path) -> list[Path]:
        """Draw what the device has learned: weight maps, firing rates, and a sample's raster.

        The device holds the run's programs and parameters as they were at its end.
        """
        return draw_pictures(self.plan, device, folder)


def prepare_spiking(config: SpikingRunConfig) -> SpikingExperiment:
    """Read the data, build the network and compile it; ValueError says what does not go."""
    table, training = config.data, config.training
    seed = training.seed if table.seed is None else table.seed
    share = training.validation_share()
    for key in ("questions", "one_hot", "augmentation"):
        if getattr(table, key):
            raise ValueError(f"data.{key} must be left out of a spiking run")
    encoding, fmt = config.spiking.encoding, config.formats.formats().input
    limits = (fmt.minimum, fmt.maximum) if encoding is None else (0.0, 1.0)
    dataset = table.dataset(seed, classes=True, limits=limits, encoding=encoding)
    device_config = config.device.config()
    train, validation = dataset.train, None
    if share is not None:
        train, validation = set_aside(train, share, classes=True, seed=seed)
    plan = make_spiking_plan(
        _network(config, dataset),
        device_config,
        train,
        dataset.test,
        epochs=training.epochs,
        seed=training.seed,
        schedule=training.schedule_by_epoch(),
        curriculum=training.curriculum,
        vote=config.spiking.vote,
        evaluate_every=training.evaluate_every,
        validation=validation,
        stopping=training.stopping(),
    )
    return SpikingExperiment(
        config=config, device_config=device_config, dataset=dataset, plan=plan
    )


def _network(config: SpikingRunConfig, dataset: Dataset) -> SpikingNetwork:
    """The network for the data's features, of which a level encoding has as many in each step."""
    table = config.spiking
    encoding = table.encoding
    steps = encoding.steps if encoding is not None and encoding.kind == "level" else 1
    inputs, rest = divmod(dataset.features, steps)
    if rest:
        raise ValueError(
            f"data must have the same number of inputs for each of {steps} steps of a level "
            f"encoding, not {dataset.features} in all"
        )
    return SpikingNetwork(
        inputs=inputs,
        classes=dataset.outputs,
        rule=config.rule(),
        encoding=encoding,
        neurons=table.neurons,
        scaling=table.scaling,
        granules=table.granules,
        formats=config.formats.formats(),
    )
