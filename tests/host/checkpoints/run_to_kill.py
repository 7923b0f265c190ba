"""A run in a process of its own, to be killed at any moment and to go on in another one."""

import json
import random
import time
from pathlib import Path

import numpy as np

from host.devices.device import open_device
from host.run import prepare
from host.run_config import read_config
from host.session import Session
from sim.compare import read_state
from tests.host.processes import CONTEXT

DENSE = """
[data]
name = "iris"
scaling = "z-score"
[network]
layers = [{ units = 4, activation = "relu" }, { units = 3 }]
[training]
learning_rate = 0.0625
momentum = 0.9
epochs = 12
batch_size = 16
[checkpoints]
every = 1
keep = 3
"""
"""An epoch trains 8 batches and tests 2, of 16 and 14: no buffer comes next in every epoch."""

SPIKING = """
[data]
name = "generated"
samples = 61
[spiking]
rule = "prototype"
[spiking.encoding]
kind = "poisson"
steps = 4
max_rate = 500.0
[spiking.neurons]
count = 12
[spiking.scaling]
norm = "l2"
target = 2
rows = "winner"
[training]
epochs = 6
[device]
configuration = "ecp5-8-spiking"
[checkpoints]
every = 1
"""

TIMES = (
    *("seconds", "cycles", "waiting"),
    *("cycles_per_sample", "mac_utilisation", "synapses_per_cycle"),
)
"""What of a result may differ: how long it took, by the host's clock and by the device's."""


def carry_out(config: Path, folder: Path, device: str, resume: bool) -> None:
    """Train to the end and leave the device's whole state in state.npz."""
    experiment = prepare(read_config(config))
    with (
        open_device(device, experiment.device_config) as opened,
        Session(folder, experiment, opened, resume=resume) as session,
    ):
        outcome = session.train(lambda report: None)
        state = read_state(session.device)
        session.finish(outcome)
    np.savez(folder / "state.npz", **{region.name: words for region, words in state.items()})


def start(*arguments):
    process = CONTEXT.Process(target=carry_out, args=arguments)
    process.start()
    return process


def finish(*arguments):
    """Carry out in another process; how long that took, in seconds."""
    started = time.perf_counter()
    process = start(*arguments)
    process.join()
    assert process.exitcode == 0
    return time.perf_counter() - started


def found(folder: Path):
    """Words by region, weights by name, and the results that are no times."""
    values = json.loads((folder / "result.json").read_text())
    for name in TIMES:
        values.pop(name, None)
    arrays = {}
    for file in ("state.npz", "weights.npz"):
        with np.load(folder / file) as held:
            arrays |= {f"{file} {name}": held[name] for name in held.files}
    return arrays, values


def kill_one(config: Path, folder: Path, device: str, rng: random.Random, seconds: float) -> Path:
    """The folder of a run that was killed; one that has ended is done again and killed sooner."""
    for attempt in range(20):
        again = folder / str(attempt)
        process = start(config, again, device, False)
        time.sleep(rng.uniform(0, seconds / 2**attempt))
        process.kill()
        process.join()
        if process.exitcode != 0:
            return again
    raise AssertionError("every run had ended before it was killed")


def assert_killed_runs_end_alike(text: str, device: str, tmp_path: Path, trials: int) -> None:
    """Kill so many runs at random moments; each that goes on ends as one that was not killed."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    config = tmp_path / "run.toml"
    config.write_text(text)
    finish(config, tmp_path / "warm", device, False)
    seconds = finish(config, tmp_path / "whole", device, False)
    arrays, values = found(tmp_path / "whole")
    for trial in range(trials):
        folder = kill_one(config, tmp_path / f"trial_{trial}", device, rng, seconds)
        there = sorted(path.name for path in folder.glob("checkpoints/epoch-*"))
        finish(config, folder, device, True)
        own, own_values = found(folder)
        assert list(own) == list(arrays)
        for name in arrays:
            assert np.array_equal(own[name], arrays[name]), (trial, there, name)
        assert own_values == values, (trial, there)
