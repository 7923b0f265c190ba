"""The pictures of a spiking run: what was learned, who fires how often, and who fires when."""

from pathlib import Path

import numpy as np

from host.device import Device
from host.fixed_point import decode
from host.pictures import firing_rates, spike_raster, weight_maps
from host.samples import Samples
from host.spiking.plan import SpikingPlan
from host.spiking.program import Phase
from host.spiking.recording import record
from host.spiking.trainer import SpikingTrainer

SAMPLES = 200
"""Test samples of which rates are drawn; a tenth of them where neurons have no counts."""


def draw_pictures(plan: SpikingPlan, device: Device, folder: Path) -> list[Path]:
    """Weight maps of each matrix, firing rates, and the raster of the first test sample.

    The device must hold the run's programs and parameters; what it holds of neurons changes.
    """
    compiled = plan.compiled
    drawn = []
    for name, words in compiled.read_weights(device).items():
        tensor = compiled.circuit.weights[name]
        title = f"weights of the {name}"
        weights = decode(words, tensor.fmt)
        drawn.append(weight_maps(folder / f"weights_{name}.png", weights, title=title))
    phase = Phase.EVALUATE if compiled.circuit.responses is None else Phase.RESPOND
    drawn.append(_rates(plan, device, phase, folder / "rates.png"))
    found = record(device, compiled, phase, plan.test)
    parts = {name: (s.times, s.neurons, s.size) for name, s in found.items() if len(s.times)}
    encoding = plan.network.encoding
    steps, dt = (encoding.steps, encoding.dt) if encoding is not None else (1, 1.0)
    title = "spikes of the first test sample"
    drawn.append(spike_raster(folder / "raster.png", parts, steps=steps, dt=dt, title=title))
    return drawn


def _rates(plan: SpikingPlan, device: Device, phase: Phase, path: Path) -> Path:
    rows, registers = plan.test.rows, plan.test.registers
    if plan.compiled.circuit.responses is not None:
        counts = SpikingTrainer(device, plan).responses(Samples(rows[:SAMPLES], registers))
        return firing_rates(path, counts, title="spikes of the neurons")
    counted = []
    for index in range(min(SAMPLES // 10, len(rows))):
        sample = Samples(rows[index * plan.compiled.circuit.rows :], registers)
        spikes = next(iter(record(device, plan.compiled, phase, sample).values()))
        counted.append(np.bincount(spikes.neurons, minlength=spikes.size))
    return firing_rates(path, np.array(counted), title="activity of the granule cells")
