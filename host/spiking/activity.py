"""What the neurons of a network do with test samples: how often they fire, and when.

It is observed on a golden twin of the device that trained, so that the device stays as it is:

    device --DeviceState--> twin --test samples--> Activity --> activity.npz
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.checkpoints.continued import ContinuedDevice
from host.checkpoints.device_state import DeviceState
from host.data.samples import Samples
from host.devices.device import Device, open_device
from host.spiking.plan import SpikingPlan
from host.spiking.program import Phase
from host.spiking.recording import Spikes, record
from host.spiking.trainer import SpikingTrainer

SAMPLES = 100
"""Test samples of which spikes are counted; of few of them a neuron that wins seldom is silent."""


@dataclass(frozen=True, eq=False)
class Activity:
    """What neurons did.

    Attributes
    ----------
    counts: spikes of each neuron for each sample, (samples, neurons)
    cells: what these neurons are called
    spikes: of the first sample, by the name of a list
    steps, dt: of a sample, and ms of a step; a network without time has a single step
    """

    counts: NDArray[np.int64]
    cells: str
    spikes: Mapping[str, Spikes]
    steps: int
    dt: float

    @property
    def rates(self) -> NDArray[np.float64] | None:
        """Mean firing rate of each neuron over the samples, in Hz; None without time."""
        if self.steps == 1:
            return None
        rates: NDArray[np.float64] = self.counts.mean(axis=0) / (self.steps * self.dt * 1e-3)
        return rates

    def save(self, path: Path) -> None:
        """Write arrays; what is no array is one of a single element."""
        arrays: dict[str, Any] = {
            "counts": self.counts,
            "cells": self.cells,
            "steps": self.steps,
            "dt": self.dt,
        }
        for name, spikes in self.spikes.items():
            arrays[f"spikes {name}"] = np.array([spikes.times, spikes.neurons])
            arrays[f"size {name}"] = spikes.size
        with open(path, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Activity":
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as held:
            spikes = {}
            for key in held.files:
                kind, _, name = key.partition(" ")
                if kind == "spikes":
                    times, neurons = held[key]
                    spikes[name] = Spikes(times, neurons, int(held[f"size {name}"]))
            return cls(
                counts=held["counts"],
                cells=str(held["cells"]),
                spikes=spikes,
                steps=int(held["steps"]),
                dt=float(held["dt"]),
            )


def twin(plan: SpikingPlan, device: ContinuedDevice) -> Device:
    """A golden device in the state of one in which the plan runs."""
    state = DeviceState.read(device, plan.compiled.memory.stretches())
    golden = ContinuedDevice(open_device("golden", device.config))
    plan.compiled.load(golden, plan.weights, plan.table)
    state.restore(golden)
    return golden


def observe(plan: SpikingPlan, device: Device, *, samples: int = SAMPLES) -> Activity:
    """Counts over so many test samples and the spikes of the first one.

    The device must hold the run's programs and parameters; what it holds of neurons changes.
    """
    responses = plan.compiled.circuit.responses
    phase = Phase.EVALUATE if responses is None else Phase.RESPOND
    if responses is not None:
        some = Samples(plan.test.rows[:samples], plan.test.registers)
        counts = SpikingTrainer(device, plan).responses(some)
        cells = "neurons"
    else:
        counts, cells = _recorded(plan, device, phase, samples)
    encoding = plan.network.encoding
    steps, dt = (encoding.steps, encoding.dt) if encoding is not None else (1, 1.0)
    spikes = record(device, plan.compiled, phase, plan.test)
    return Activity(counts=counts, cells=cells, spikes=spikes, steps=steps, dt=dt)


def _recorded(
    plan: SpikingPlan, device: Device, phase: Phase, samples: int
) -> tuple[NDArray[np.int64], str]:
    """Counts of the list that is written last, which is that of what answers, and its name."""
    counted, name = [], ""
    for index in range(min(samples, len(plan.test))):
        sample = Samples(plan.test.rows[index : index + 1], plan.test.registers)
        found = record(device, plan.compiled, phase, sample)
        name = list(found)[-1]
        spikes = found[name]
        counted.append(np.bincount(spikes.neurons, minlength=spikes.size))
    return np.array(counted), name
