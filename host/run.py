"""A configured training run: prepared, carried out on a device, and written down.

    RunConfig --prepare--> Experiment --train--> Outcome --write--> result.json, weights.npz
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from host.checkpoints.file import write_whole
from host.dense_run import prepare_dense
from host.devices.device import Device
from host.experiment import Experiment, Outcome, Trainer
from host.run_config import RunConfig, SpikingRunConfig
from host.spiking.run import prepare_spiking
from host.streaming import Interruption, stop


def prepare(config: RunConfig | SpikingRunConfig) -> Experiment:
    """Read the data, build the network and compile it; ValueError says what does not go."""
    if isinstance(config, SpikingRunConfig):
        return prepare_spiking(config)
    return prepare_dense(config)


def train(
    experiment: Experiment,
    device: Device,
    *,
    report: Callable[[Any], None] = lambda epoch: None,
    begin: Callable[[Trainer, Outcome], None] = lambda trainer, outcome: None,
    after: Callable[[Trainer, Outcome], None] = lambda trainer, outcome: None,
) -> Outcome:
    """Carry the run out; a Ctrl-C stops the device and ends it early.

    The device stays as the last epoch left it, so that its state can be compared.

    Parameters
    ----------
    experiment, device: what runs on what
    report: is called after every epoch
    begin: is called when the device is loaded, and may bring it and the trainer to a later state
    after: is called after every epoch, before `report`
    """
    outcome = Outcome(device=device.name, identity=device.identity)
    with Interruption() as interruption:
        trainer = experiment.trainer(device, interruption)
        try:
            trainer.load()
            begin(trainer, outcome)
            for epoch in trainer.reports():
                outcome.epochs.append(epoch)
                after(trainer, outcome)
                report(epoch)
                interruption.check()
        except KeyboardInterrupt:
            outcome.interrupted = True
            stop(device)
    outcome.weights = experiment.weights(device)
    return outcome


def write_results(folder: Path, experiment: Experiment, outcome: Outcome) -> None:
    """Write result.json and weights.npz (words, by name) into a folder, each as a whole."""
    arrays: dict[str, Any] = dict(outcome.weights)
    weights = io.BytesIO()
    np.savez(weights, allow_pickle=False, **arrays)
    write_whole(folder / "weights.npz", weights.getvalue())
    text = json.dumps(experiment.results(outcome), indent=2) + "\n"
    write_whole(folder / "result.json", text.encode())
