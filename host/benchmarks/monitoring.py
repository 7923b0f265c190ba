"""What it costs to watch a run: training with everything that a folder gets, over training alone.

    golden digits 64-32-10: epochs, then the same with checkpoints, metrics, status and events
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from host.devices.device import open_device
from host.experiment import Experiment
from host.run import prepare, train
from host.run_config import parse_config
from host.session import Session

TARGET = 1.2
"""Times the training alone, at most."""

RUN = {
    "data": {"name": "digits", "scaling": 16},
    "network": {"layers": [{"units": 32, "activation": "relu"}, {"units": 10}]},
    "training": {"learning_rate": 2**-4, "momentum": 0.9, "batch_size": 32},
}


def overhead(*, epochs: int, repeat: int) -> dict[str, Any]:
    """Processor time of all threads, the least of `repeat` times each, which take turns.

    The watched run writes all that there is at the rhythm that is usual: a checkpoint of every
    better epoch, a line every 10 batches, TensorBoard's events, the spread of the weights.
    """
    experiment = prepare(parse_config(RUN).with_options(epochs=epochs))
    seconds: dict[str, list[float]] = {"alone": [], "watched": []}
    # The first one imports what writes events.
    _watched(experiment)
    for _ in range(repeat):
        for name, carry_out in (("alone", _alone), ("watched", _watched)):
            seconds[name].append(_taken(carry_out, experiment))
    least = {name: min(times) for name, times in seconds.items()}
    return {
        "title": f"digits 64-32-10, {epochs} epochs, batch 32, golden",
        "epochs": epochs,
        "repeat": repeat,
        "seconds": least,
        "ratio": least["watched"] / least["alone"],
        "target": TARGET,
    }


def _taken(carry_out: Callable[[Experiment], None], experiment: Experiment) -> float:
    started = time.process_time()
    carry_out(experiment)
    return time.process_time() - started


def _alone(experiment: Experiment) -> None:
    with open_device("golden", experiment.device_config) as device:
        train(experiment, device)


def _watched(experiment: Experiment) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        open_device("golden", experiment.device_config) as device,
        Session(Path(folder), experiment, device, events=True) as session,
    ):
        outcome = session.train(lambda epoch: None)
        session.finish(outcome)
