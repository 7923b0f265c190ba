"""How fast training goes: on simulated gateware, on the golden model, and at a board's clock."""

import time
from typing import Any

from host.benchmarks.workload import Workload, make_ready
from host.devices.device import Device
from host.devices.sim_device import SimDevice
from host.program import Mode
from host.statistics import Counts
from host.streaming import run_batches
from hw.config import DeviceConfig
from hw.isa import CHECKSUM_BYTES, FRAME_HEADER_BYTES
from hw.layout import tiles

FRAME_BYTES = FRAME_HEADER_BYTES + CHECKSUM_BYTES
FRAME_PAUSE = 1
"""Cycles in which the device takes no byte behind a frame."""


def epoch(device: Device, workload: Workload, *, batches: int, repeat: int = 1) -> dict[str, Any]:
    """Train `batches` batches, streamed while the device computes; the fastest of `repeat` times.

    `waiting` are the cycles in which the device waited for samples, of all times together. Of
    simulated gateware, `cycles_per_simulator_second` are those in a second of processor time that
    the simulator itself takes, without the host.
    """
    compiled = workload.compiled()
    samples = make_ready(device, compiled, batches)
    total = Counts.zero()
    simulation = device.simulation if isinstance(device, SimDevice) else None
    seconds = simulator = float("inf")
    for _ in range(repeat):
        before = Counts.read(device)
        clock, spent = time.perf_counter(), simulation.seconds if simulation else 0.0
        run_batches(device, compiled, Mode.TRAIN, samples, workload.batch)
        seconds = min(seconds, time.perf_counter() - clock)
        if simulation:
            simulator = min(simulator, simulation.seconds - spent)
        counts = Counts.read(device) - before
        total += counts
    return {
        "title": workload.title,
        "device": device.name,
        "batches": batches,
        "repeat": repeat,
        "seconds": seconds,
        "samples_per_second": counts["samples"] / seconds,
        "cycles": counts["cycles"],
        "cycles_per_batch": counts["cycles"] / batches,
        "cycles_per_second": counts["cycles"] / seconds,
        **({"cycles_per_simulator_second": counts["cycles"] / simulator} if simulation else {}),
        "waiting": total["waiting"],
        "waiting_per_batch": total["waiting"] / (batches * repeat),
    }


def link_cycles(config: DeviceConfig, batch_bytes: int) -> int:
    """Cycles in which a link of a byte a cycle brings a batch, with the frames around it."""
    return batch_bytes + tiles(batch_bytes, config.frame_payload) * (FRAME_BYTES + FRAME_PAUSE)


def at_clock(
    workload: Workload, cycles: int, megahertz: float, peers: list[dict[str, Any]]
) -> dict[str, Any]:
    """Samples a second at a clock, and how many times those of each peer.

    `compute` is bound by the array alone, `link` too by a link that brings a byte a cycle.
    """
    compiled = workload.compiled()
    network = workload.network
    # Digits and generated inputs go as bytes, with their class.
    batch_bytes = workload.batch * (network.sizes[0] + network.target_width)
    brought = link_cycles(compiled.config, batch_bytes)
    rates = {
        "compute": workload.batch * megahertz * 1e6 / cycles,
        "link": workload.batch * megahertz * 1e6 / max(cycles, brought),
    }
    return {
        "title": workload.title,
        "configuration": workload.config.name,
        "megahertz": megahertz,
        "cycles": cycles,
        "link_cycles": brought,
        "samples_per_second": rates["compute"],
        "microseconds_per_sample": 1e6 / rates["compute"],
        "samples_per_second_link": rates["link"],
        "ratios": {peer["peer"]: rates["compute"] / peer["samples_per_second"] for peer in peers},
        "ratios_link": {peer["peer"]: rates["link"] / peer["samples_per_second"] for peer in peers},
    }
