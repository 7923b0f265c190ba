"""A configured training run: prepared, carried out on a device, and written down.

    RunConfig --prepare--> Experiment --train--> Outcome --write--> result.json, weights.npz
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host import data
from host.data import Dataset
from host.device import Device
from host.fixed_point import RangeError
from host.layers import build_network
from host.network import Network
from host.run_config import RunConfig
from host.samples import encode_inputs
from host.statistics import Counts, mac_utilisation, working_cycles
from host.streaming import Interruption, stop
from host.trainer import EpochReport, Plan, Trainer, make_plan, predict
from hw.config import DeviceConfig

AVERAGED_EPOCHS = 5
"""The test accuracy of a run is the mean over so many epochs, its last ones."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """A run that is ready to be carried out on any device of its configuration."""

    config: RunConfig
    device_config: DeviceConfig
    dataset: Dataset
    plan: Plan

    @property
    def network(self) -> Network:
        """What is trained."""
        return self.plan.network


@dataclass(kw_only=True, eq=False)
class Outcome:
    """What became of a run.

    Attributes
    ----------
    device, identity: on what it ran
    epochs: reports of the epochs that ended
    interrupted: whether the user stopped it
    weights: words of the weights at the end
    answers: outputs for the configuration's questions
    """

    device: str
    identity: bytes
    epochs: list[EpochReport] = field(default_factory=list)
    interrupted: bool = False
    weights: list[NDArray[np.int16]] = field(default_factory=list)
    answers: list[list[float]] = field(default_factory=list)

    @property
    def counts(self) -> Counts:
        """Counted over all training."""
        return sum((report.train for report in self.epochs), Counts.zero())


def prepare(config: RunConfig) -> Experiment:
    """Read the data, build the network and compile it; ValueError says what does not go."""
    table, training = config.data, config.training
    seed = training.seed if table.seed is None else table.seed
    inputs, targets = _read_data(config, seed)
    classes = config.network.targets == "classes"
    dataset = data.prepare(
        inputs,
        targets,
        classes=classes,
        scaling=table.scaling,
        test_size=table.test_size,
        seed=seed,
    )
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
        encode_inputs(network, dataset.train[0])
        encode_inputs(network, dataset.test[0])
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
    )
    if any(len(question) != dataset.features for question in table.questions):
        raise ValueError(f"every one of data.questions must have {dataset.features} inputs")
    return Experiment(config=config, device_config=device_config, dataset=dataset, plan=plan)


def _read_data(config: RunConfig, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    table = config.data
    if table.file is not None:
        return data.read_file(table.file)
    match table.name:
        case "generated":
            return data.generated(
                seed, samples=table.samples, features=table.features, classes=table.classes
            )
        case "sums":
            return data.sums(seed, table.samples)
        case name:
            return data.SOURCES[str(name)](seed)


def train(
    experiment: Experiment,
    device: Device,
    *,
    report: Callable[[EpochReport], None] = lambda epoch: None,
) -> Outcome:
    """Carry the run out; a Ctrl-C stops the device and ends it early.

    The device stays as the last epoch left it, so that its state can be compared.

    `report` is called after every epoch.
    """
    outcome = Outcome(device=device.name, identity=device.identity)
    with Interruption() as interruption:
        trainer = Trainer(device, experiment.plan, interruption=interruption)
        try:
            trainer.load()
            for epoch in trainer.reports():
                outcome.epochs.append(epoch)
                report(epoch)
                interruption.check()
        except KeyboardInterrupt:
            outcome.interrupted = True
            stop(device)
    outcome.weights = experiment.plan.compiled.read_weights(device)
    return outcome


def ask(experiment: Experiment, device: Device, outcome: Outcome) -> None:
    """Put the configuration's questions to what was learned; this loads other programs."""
    questions = experiment.config.data.questions
    if questions:
        inputs = experiment.dataset.scaling(questions)
        outcome.answers = predict(device, experiment.network, outcome.weights, inputs).tolist()


def results(experiment: Experiment, outcome: Outcome) -> dict[str, Any]:
    """A run as plain numbers; what there is none of is None."""
    counts, epochs = outcome.counts, outcome.epochs
    network, classes = experiment.network, experiment.dataset.classes
    cycles = working_cycles(counts)
    curve = [report.test_accuracy for report in epochs]
    rmse = [None if e.test_loss is None else e.test_loss**0.5 for e in epochs]
    quality: dict[str, Any]
    if classes:
        quality = {
            "test_accuracy": mean_test_accuracy(epochs),
            "final_test_accuracy": curve[-1] if curve else None,
            "test_accuracy_per_epoch": curve,
            "train_accuracy": [report.train_accuracy for report in epochs],
        }
    else:
        quality = {"test_rmse": rmse[-1] if rmse else None, "test_rmse_per_epoch": rmse}
    return {
        **quality,
        "train_loss": [report.train_loss for report in epochs],
        "test_loss": [report.test_loss for report in epochs],
        "device": outcome.device,
        "configuration": experiment.device_config.name,
        "build": outcome.identity.hex(),
        "seed": experiment.plan.seed,
        "epochs": len(epochs),
        "interrupted": outcome.interrupted,
        "samples": counts["samples"],
        "seconds": sum(report.seconds for report in epochs),
        "cycles": cycles,
        "cycles_per_sample": cycles / counts["samples"] if cycles else None,
        "waiting": None if cycles is None else counts["waiting"],
        "mac_utilisation": mac_utilisation(network, experiment.device_config, counts),
        "saturations": experiment.plan.compiled.saturations(counts.saturations),
        "answers": [
            {"question": question, "answer": answer, "rounded": [round(a) for a in answer]}
            for question, answer in zip(
                experiment.config.data.questions, outcome.answers, strict=False
            )
        ],
        "config": experiment.config.model_dump(mode="json", exclude_unset=True),
    }


def mean_test_accuracy(epochs: list[EpochReport]) -> float | None:
    """Mean test accuracy over the last AVERAGED_EPOCHS epochs."""
    last = [e.test_accuracy for e in epochs[-AVERAGED_EPOCHS:] if e.test_accuracy is not None]
    return sum(last) / len(last) if last else None


def write_results(folder: Path, experiment: Experiment, outcome: Outcome) -> None:
    """Write result.json and weights.npz (words, `layer_1` ... ) into a folder, each as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {f"layer_{layer}": w for layer, w in enumerate(outcome.weights, start=1)}
    np.savez(folder / "weights.partial.npz", allow_pickle=False, **weights)
    os.replace(folder / "weights.partial.npz", folder / "weights.npz")
    text = json.dumps(results(experiment, outcome), indent=2) + "\n"
    partial = folder / "result.json.partial"
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, folder / "result.json")
