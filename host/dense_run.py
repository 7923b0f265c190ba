"""A training run of a dense network."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from host.data import Dataset
from host.device import Device
from host.experiment import Outcome, Words, accuracies, accuracy_row, circumstances
from host.figures import number, percent, tally
from host.fixed_point import RangeError
from host.layers import build_network
from host.network import Network
from host.run_config import RunConfig
from host.samples import encode_inputs
from host.statistics import mac_utilisation
from host.streaming import Interruption
from host.trainer import EpochReport, Plan, Trainer, make_plan, predict
from hw.config import DeviceConfig
from hw.isa import Region


@dataclass(frozen=True, kw_only=True, eq=False)
class DenseExperiment:
    """See `host.experiment.Experiment`."""

    draws: ClassVar[bool] = False

    averaged_epochs = 5

    config: RunConfig
    device_config: DeviceConfig
    dataset: Dataset
    plan: Plan

    @property
    def network(self) -> Network:
        """What is trained."""
        return self.plan.network

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

    def opening(self) -> str:
        """See `Experiment.opening`."""
        plan, sizes = self.plan, "-".join(map(str, self.network.sizes))
        test = len(plan.test) if plan.test is not None else 0
        loss = self.network.loss.name.lower().replace("_", " ")
        return (
            f"{self.config.data.source}: {len(plan.train)} samples to learn, {test} to test; "
            f"network {sizes}, {loss}, batches of {plan.batch_size}, seed {plan.seed}"
        )

    def heading(self) -> str:
        """See `Experiment.heading`."""
        classes = self.dataset.classes
        quality = "train acc  test acc" if classes else "    train RMSE  test RMSE"
        return f"{'epoch':>5} {'rate':>9} {'loss':>10}  {quality} {'samples/s':>11}"

    def line(self, report: EpochReport) -> str:
        """See `Experiment.line`."""
        if self.dataset.classes:
            quality = f"{percent(report.train_accuracy):>9}  {percent(report.test_accuracy):>8}"
        else:
            quality = f"{_root(report.train_loss):>14}  {_root(report.test_loss):>9}"
        speed = report.samples / report.seconds
        loss = number(report.train_loss)
        return f"{report.epoch:>5} {report.rate:>9.3g} {loss:>10}  {quality} {speed:>11,.0f}"

    def trainer(self, device: Device, interruption: Interruption) -> Trainer:
        """See `Experiment.trainer`."""
        return Trainer(device, self.plan, interruption=interruption)

    def weights(self, device: Device) -> dict[str, Words]:
        """See `Experiment.weights`."""
        words = self.plan.compiled.read_weights(device)
        return {f"layer_{layer}": w for layer, w in enumerate(words, start=1)}

    def ask(self, device: Device, outcome: Outcome) -> None:
        """See `Experiment.ask`."""
        questions = self.config.data.questions
        if questions:
            inputs = self.dataset.scaling(questions)
            words = list(outcome.weights.values())
            outcome.answers = predict(device, self.network, words, inputs).tolist()

    def pictures(self, device: Device, folder: Path) -> list[Path]:
        """See `Experiment.pictures`."""
        return []

    def results(self, outcome: Outcome) -> dict[str, Any]:
        """See `Experiment.results`."""
        counts, epochs = outcome.counts, outcome.epochs
        if self.dataset.classes:
            quality = accuracies(self, outcome)
        else:
            rmse = [None if e.test_loss is None else e.test_loss**0.5 for e in epochs]
            quality = {"test_rmse": rmse[-1] if rmse else None, "test_rmse_per_epoch": rmse}
        questions = self.config.data.questions
        return {
            **quality,
            "train_loss": [report.train_loss for report in epochs],
            "test_loss": [report.test_loss for report in epochs],
            **circumstances(self, outcome),
            "mac_utilisation": mac_utilisation(self.network, self.device_config, counts),
            "saturations": self.plan.compiled.saturations(counts.saturations),
            "answers": [
                {"question": question, "answer": answer, "rounded": [round(a) for a in answer]}
                for question, answer in zip(questions, outcome.answers, strict=False)
            ],
            "data": self.dataset.results(),
            "config": self.config.model_dump(mode="json", exclude_unset=True),
        }

    def summary(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """See `Experiment.summary`."""
        if self.dataset.classes:
            rows = [accuracy_row(self, values)]
        else:
            rows = [("test RMSE", number(values["test_rmse"]))]
        for answer in values["answers"]:
            question = ", ".join(f"{q:g}" for q in answer["question"])
            exact = ", ".join(f"{a:.4f}" for a in answer["answer"])
            rounded = ", ".join(map(str, answer["rounded"]))
            rows.append(("answer", f"({question}) -> ({rounded}), exactly ({exact})"))
        if values["cycles"] is not None:
            used = f"{100 * values['mac_utilisation']:.1f} % of a training step"
            rows.append(("MAC utilisation", used))
        rows += self.dataset.summary()
        return [*rows, ("saturations", tally(values["saturations"]))]


def _root(mean_square: float | None) -> str:
    return "-" if mean_square is None else number(mean_square**0.5)


def prepare_dense(config: RunConfig) -> DenseExperiment:
    """Read the data, build the network and compile it; ValueError says what does not go."""
    table, training = config.data, config.training
    seed = training.seed if table.seed is None else table.seed
    classes = config.network.targets == "classes"
    if classes and table.one_hot:
        raise ValueError("data.one_hot must be left out unless [network] targets = 'values'")
    fmt = config.formats.formats().input
    limits = (fmt.minimum, fmt.maximum)
    dataset = table.dataset(seed, classes=classes, limits=limits, fmt=fmt)
    device_config = config.device.config()
    network = build_network(
        dataset.features,
        config.network.dense(),
        loss=config.network.loss,
        classes=classes,
        formats=config.formats.formats(),
        leak_shift=config.network.leak_shift,
    )
    try:
        for inputs in (dataset.train[0], dataset.test[0]) if not dataset.stored else ():
            encode_inputs(network, inputs)
    except RangeError as error:
        raise RangeError(f"{error}; [data] scaling does that: a divisor, or 'z-score'") from None
    plan = make_plan(
        network,
        training.optimizer(),
        device_config,
        dataset.train,
        dataset.test,
        epochs=training.epochs,
        batch_size=training.batch_size,
        seed=training.seed,
        augmentation=table.images(dataset),
    )
    if any(len(question) != dataset.features for question in table.questions):
        raise ValueError(f"every one of data.questions must have {dataset.features} inputs")
    return DenseExperiment(config=config, device_config=device_config, dataset=dataset, plan=plan)
