"""The pictures of a spiking run: what was learned, who fires how often, and who fires when."""

from pathlib import Path

from host.devices.device import Device
from host.fixed_point import decode
from host.pictures import firing_rates, spike_raster, weight_maps
from host.spiking.activity import Activity, observe
from host.spiking.plan import SpikingPlan


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
    return [*drawn, *draw_activity(observe(plan, device), folder)]


def draw_activity(activity: Activity, folder: Path) -> list[Path]:
    """Firing rates, and the raster of a sample."""
    title = f"activity of the {activity.cells}, {len(activity.counts)} test samples"
    parts = {
        name: (spikes.times, spikes.neurons, spikes.size)
        for name, spikes in activity.spikes.items()
        if len(spikes.times)
    }
    raster = spike_raster(
        folder / "raster.png",
        parts,
        steps=activity.steps,
        dt=activity.dt,
        title="spikes of the first test sample",
    )
    return [firing_rates(folder / "rates.png", activity.counts, title=title), raster]
