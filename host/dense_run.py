"""A training run of a dense network."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from host.checkpoints.continued import ContinuedDevice
from host.commands.figures import number, percent, tally
from host.data import Dataset
from host.data.samples import encode_inputs
from host.devices.device import Device
from host.experiment import Outcome, Words, accuracies, accuracy_row, circumstances, digest
from host.fixed_point import RangeError
from host.layers import build_network
from host.network import Network
from host.plan import WEIGHT_SEED, Plan, make_plan
from host.run_config import RunConfig
from host.statistics import Counts, accuracy, mac_utilisation, mean_loss
from host.streaming import Interruption
from host.trainer import EpochReport, Trainer, predict
from host.training.pretrained import first_weights
from host.training.stopping import kept
from host.training.validation_split import set_aside
from hw.config import DeviceConfig
from hw.isa import Region
from hw.layout import tiles
from hw.numbers import Format


@dataclass(frozen=True, kw_only=True, eq=False)
class DenseExperiment:
    """See `host.experiment.Experiment`."""

    draws: ClassVar[bool] = False
    report_type: ClassVar[type] = EpochReport

    counts_batches = True

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

    def stretches(self) -> list[tuple[Region, int, int]]:
        """See `Experiment.stretches`."""
        tensors = self.plan.compiled.memory
        return [(tensor.region, tensor.start, tensor.words) for tensor in tensors]

    def samples_digest(self) -> str:
        """See `Experiment.samples_digest`."""
        return digest(self.plan.train, self.plan.validation, self.plan.test)

    @property
    def training_batches(self) -> int:
        """See `Experiment`."""
        return tiles(len(self.plan.train), self.plan.batch_size)

    @property
    def weight_formats(self) -> dict[str, Format]:
        """See `Experiment`."""
        layers = range(1, self.network.layers + 1)
        return {f"layer_{layer}": self.network.formats.weight for layer in layers}

    @property
    def score_name(self) -> str:
        """See `Experiment`."""
        samples = "test" if self.plan.validation is None else "validation"
        return f"{samples} {'accuracy' if self.dataset.classes else 'loss'}"

    def score(self, report: EpochReport) -> float | None:
        """See `Experiment.score`: the accuracy, or the negative loss where there are no classes."""
        tested = self.plan.validation is None
        if self.dataset.classes:
            return report.test_accuracy if tested else report.val_accuracy
        loss = report.test_loss if tested else report.val_loss
        return None if loss is None else -loss

    def batch_metrics(self, counts: Counts) -> dict[str, float]:
        """See `Experiment.batch_metrics`."""
        found = {
            "loss": mean_loss(self.network, counts),
            "accuracy": accuracy(self.network, counts),
        }
        return {name: value for name, value in found.items() if value is not None}

    def opening(self) -> str:
        """See `Experiment.opening`."""
        plan, sizes = self.plan, "-".join(map(str, self.network.sizes))
        test = len(plan.test) if plan.test is not None else 0
        validated = f", {len(plan.validation)} to validate" if plan.validation is not None else ""
        loss = self.network.loss.name.lower().replace("_", " ")
        return (
            f"{self.config.data.source}: {len(plan.train)} samples to learn{validated}, {test} to "
            "test; "
            f"network {sizes}, {loss}, {self._batches()}, seed {plan.seed}"
        )

    def _batches(self) -> str:
        count = self.plan.optimizer.accumulate_batches
        several = f", {count} an update" if count > 1 else ""
        return f"batches of {self.plan.batch_size}{several}"

    def heading(self) -> str:
        """See `Experiment.heading`."""
        validated = self.plan.validation is not None
        if self.dataset.classes:
            quality = f"train acc  {'  val acc  ' * validated}test acc"
        else:
            quality = f"    train RMSE  {' val RMSE  ' * validated}test RMSE"
        return f"{'epoch':>5} {'rate':>9} {'loss':>10}  {quality} {'samples/s':>11}"

    def line(self, report: EpochReport) -> str:
        """See `Experiment.line`."""
        validated = self.plan.validation is not None
        if self.dataset.classes:
            shares = (report.train_accuracy, report.val_accuracy, report.test_accuracy)
            train, val, test = (f"{percent(share):>9}" for share in shares)
            quality = f"{train}  {f'{val}  ' * validated}{test[1:]}"
        else:
            losses = (report.train_loss, report.val_loss, report.test_loss)
            train, val, test = (f"{_root(loss):>9}" for loss in losses)
            quality = f"{train:>14}  {f'{val}  ' * validated}{test}"
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

    def activity(self, device: ContinuedDevice) -> None:
        """See `Experiment.activity`."""

    def biology(self, activity: object, weights: Mapping[str, Words]) -> dict[str, Any]:
        """See `Experiment.biology`; there is no activity."""
        raise ValueError("a dense network must not be validated: none of its neurons spike")

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

    def _quality(self, outcome: Outcome) -> dict[str, Any]:
        """Accuracies or RMSE of the test samples, and of the weights that were kept."""
        epochs = outcome.epochs
        best = kept(self.plan.stopping, epochs, interrupted=outcome.interrupted)
        chosen = {"best_epoch": best.epoch} if best else {}
        if self.dataset.classes:
            last = {"test_accuracy": best.test_accuracy} if best else {}
            return {**accuracies(self, outcome), **last, **chosen}
        rmse = [None if e.test_loss is None else e.test_loss**0.5 for e in epochs]
        end = best.epoch if best else len(rmse)
        last = {"test_rmse": rmse[end - 1] if rmse else None}
        return {**last, "test_rmse_per_epoch": rmse, **chosen}

    def _validation(self, outcome: Outcome) -> dict[str, Any]:
        """Figures of the validation samples by epoch, where there are such samples."""
        if self.plan.validation is None:
            return {}
        losses = {"val_loss": [report.val_loss for report in outcome.epochs]}
        if not self.dataset.classes:
            return losses
        return {**losses, "val_accuracy": [report.val_accuracy for report in outcome.epochs]}

    def _clipping(self, outcome: Outcome) -> dict[str, Any]:
        """Norms by epoch, and how often they were clipped, where they are."""
        if self.plan.optimizer.clip_norm is None:
            return {}
        epochs = outcome.epochs
        return {
            "gradient_norm": [report.gradient_norm for report in epochs],
            "clipped_updates": sum(report.clipped for report in epochs),
            "updates": len(epochs) * self.plan.batches,
        }

    def results(self, outcome: Outcome) -> dict[str, Any]:
        """See `Experiment.results`."""
        counts, epochs = outcome.counts, outcome.epochs
        questions = self.config.data.questions
        return {
            **self._quality(outcome),
            **self._validation(outcome),
            "train_loss": [report.train_loss for report in epochs],
            "test_loss": [report.test_loss for report in epochs],
            **self._clipping(outcome),
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
        best = values.get("best_epoch")
        chosen = f" with the weights of epoch {best}, the best one" if best else ""
        if not self.dataset.classes:
            rows = [("test RMSE", number(values["test_rmse"]) + chosen)]
        elif best:
            rows = [("test accuracy", percent(values["test_accuracy"]) + chosen)]
        else:
            rows = [accuracy_row(self, values)]
        for answer in values["answers"]:
            question = ", ".join(f"{q:g}" for q in answer["question"])
            exact = ", ".join(f"{a:.4f}" for a in answer["answer"])
            rounded = ", ".join(map(str, answer["rounded"]))
            rows.append(("answer", f"({question}) -> ({rounded}), exactly ({exact})"))
        if "updates" in values:
            rows.append(("clipped", f"{values['clipped_updates']} of {values['updates']} updates"))
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
    train, validation = dataset.train, None
    share = training.validation_share()
    if share is not None:
        train, validation = set_aside(train, share, classes=classes, seed=seed)
    plan = make_plan(
        network,
        training.optimizer(),
        device_config,
        train,
        dataset.test,
        epochs=training.epochs,
        batch_size=training.batch_size,
        seed=training.seed,
        validation=validation,
        stopping=training.stopping(),
        weights=first_weights(
            network,
            config.network.dense(),
            init=config.network.init,
            source=config.network.weights,
            seed=WEIGHT_SEED + training.seed,
        ),
        augmentation=table.images(dataset),
    )
    if any(len(question) != dataset.features for question in table.questions):
        raise ValueError(f"every one of data.questions must have {dataset.features} inputs")
    return DenseExperiment(config=config, device_config=device_config, dataset=dataset, plan=plan)
