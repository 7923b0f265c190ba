"""Cycles of a training step on a device with a clock: in all, by command, and how they grow.

Nothing that a step takes depends on its data, and with both buffers full before a run no cycle of
it waits for samples. So the difference between a run of two rounds and one of one round is the
step, but for the few cycles in which the end of a run waits for the counters: these are added one
after the other, round and round, and what a device did before decides where that stands.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from host.benchmarks.workload import (
    BATCH,
    DIGITS,
    Workload,
    classifier,
    make_ready,
    memory_bits,
    utilisation,
)
from host.compiler import Compiled, CompileError, write_registers
from host.data.samples import Samples
from host.devices.device import Device
from host.network import dense
from host.program import LAYER_STATISTICS, Mode
from host.statistics import Counts
from hw.configurations import CONFIGURATIONS, configuration
from hw.isa import INPUT_BUFFERS, Instruction, Opcode, Register

Measure = Callable[..., Any]
"""Of a configuration, a function of its device, and what else that takes: what it returns."""

WIDTHS = (8, 16, 32, 64, 128, 256)
DEPTHS = (1, 2, 3, 4)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
ARRAYS = ("up5k-4x2", "ecp5-8x8", "ecp5-16x8")
"""Configurations by which the array grows: each that is simulated takes a minute to compile."""
SMALL, SMALL_BATCH = (16, 16, 4), 8
"""What every configuration has room for."""


class Command(NamedTuple):
    """An instruction of a step, alone: cycles from its fetch until all of it is written."""

    name: str
    latency: int
    array: int


def step_cycles(device: Device, workload: Workload) -> int:
    """Cycles from one batch to the next, with the next one already there."""
    compiled = workload.compiled()
    samples = make_ready(device, compiled, INPUT_BUFFERS)
    once, twice = (_run(device, compiled, samples, rounds) for rounds in (1, INPUT_BUFFERS))
    if twice["waiting"]:
        raise AssertionError("a run whose batches are there must not wait for them")
    return twice["cycles"] - once["cycles"]


def _run(device: Device, compiled: Compiled, samples: Samples, rounds: int) -> Counts:
    ((_, batch),) = compiled.entries
    before = Counts.read(device)
    for index in range(rounds):
        device.stream(samples.batch(index * batch, (index + 1) * batch))
    device.run(compiled.entry(Mode.TRAIN, batch), rounds)
    device.wait()
    return Counts.read(device) - before


def step_commands(device: Device, workload: Workload) -> list[Command]:
    """Every instruction of a step, carried out one by one."""
    compiled = workload.compiled()
    samples = make_ready(device, compiled, 1)
    write_registers(device, {Register.COUNT: 1})
    device.stream(samples.batch(0, workload.batch))
    commands = []
    before = Counts.read(device)
    for instruction in compiled.instructions[:-1]:
        device.step(compiled.entry(Mode.TRAIN, workload.batch))
        device.wait()
        after = Counts.read(device)
        took = after - before
        commands.append(Command(command_name(instruction), took["cycles"], took["busy"]))
        before = after
    return commands


def command_name(instruction: Instruction) -> str:
    """The command and its layer, such as 'FORWARD of layer 1'; 'control' for what computes none."""
    layer = instruction.statistic // len(LAYER_STATISTICS) + 1
    match instruction.opcode:
        case Opcode.FORWARD | Opcode.GRADIENT:
            return f"{Opcode(instruction.opcode).name} of layer {layer}"
        case Opcode.BACKWARD:
            # Its result, the delta it counts for, is that of the layer before.
            return f"BACKWARD of layer {layer + 1}"
        case Opcode.LOSS:
            return "LOSS"
    return "control"


def by_name(commands: Iterable[Command]) -> list[dict[str, Any]]:
    """Sums over the commands of a name, in order of appearance."""
    rows: dict[str, dict[str, Any]] = {}
    for command in commands:
        row = rows.setdefault(
            command.name, {"command": command.name, "count": 0, "latency": 0, "array": 0}
        )
        row["count"] += 1
        row["latency"] += command.latency
        row["array"] += command.array
    return list(rows.values())


def training_step(device: Device, workload: Workload, target: float | None) -> dict[str, Any]:
    """Section 1: a step's cycles and utilisation, and what its commands take one by one."""
    cycles = step_cycles(device, workload)
    commands = by_name(step_commands(device, workload))
    config = workload.config
    return {
        "title": workload.title,
        "network": list(workload.network.sizes),
        "batch": workload.batch,
        "configuration": config.name,
        "build": device.identity.hex(),
        "named": config in CONFIGURATIONS.values(),
        "weight_tiles": config.weight_tiles,
        "tile_memory_bits": memory_bits(config),
        "cycles": cycles,
        "array_cycles": sum(row["array"] for row in commands),
        "latency_sum": sum(row["latency"] for row in commands),
        "commands": commands,
        "utilisation": utilisation(workload, cycles),
        "utilisation_with_bias": utilisation(workload, cycles, bias=True),
        "target": target,
    }


def growth(
    measure: Measure, name: str, workloads: Sequence[tuple[int | str, Workload]]
) -> dict[str, Any]:
    """Section 2: cycles of steps that differ in one size, and a straight line through them."""
    rows: list[dict[str, Any]] = []
    for value, workload in workloads:
        row: dict[str, Any] = {name: value, "title": workload.title}
        try:
            workload.compiled()
        except CompileError as error:
            rows.append({**row, "left_out": str(error)})
            continue
        cycles = measure(workload.config, step_cycles, workload)
        row["cycles"] = cycles
        row["cycles_per_sample"] = cycles / workload.batch
        row["utilisation"] = utilisation(workload, cycles)
        rows.append(row)
    measured = [row for row in rows if "cycles" in row]
    result: dict[str, Any] = {"rows": rows}
    if len(measured) > 2 and all(isinstance(row[name], int) for row in measured):
        result["fit"] = line([row[name] for row in measured], [row["cycles"] for row in measured])
    return result


def line(x: Sequence[int], y: Sequence[int]) -> dict[str, float]:
    """y = constant + slope x with the least squares, and the largest deviation from it."""
    slope, constant = np.polyfit(x, y, 1)
    off = np.abs(np.polyval((slope, constant), x) - y).max()
    return {"constant": float(constant), "slope": float(slope), "largest_error": float(off)}


def growth_sections(*, quick: bool) -> dict[str, list[tuple[int | str, Workload]]]:
    """The workloads of section 2 by what grows."""
    square = configuration("ecp5-8x8")
    inputs, hidden, outputs = DIGITS

    def on_square(*sizes: int, batch: int = BATCH) -> Workload:
        return Workload(config=square, network=dense(sizes), batch=batch)

    batches = (8, 16, 32) if quick else BATCHES
    sections: dict[str, list[tuple[int | str, Workload]]] = {
        "batch": [(batch, on_square(*DIGITS, batch=batch)) for batch in batches]
    }
    if quick:
        return sections
    arrays = [configuration(name) for name in ARRAYS]
    return {
        "width": [(width, on_square(inputs, width, outputs)) for width in WIDTHS],
        "depth": [(depth, on_square(inputs, *[hidden] * depth, outputs)) for depth in DEPTHS],
        **sections,
        "array": [
            (
                f"{config.lanes} x {config.batch_lanes}",
                Workload(config=config, network=classifier(*SMALL), batch=SMALL_BATCH),
            )
            for config in arrays
        ],
    }
