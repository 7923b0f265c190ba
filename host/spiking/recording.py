"""Which neurons fire when, as a device computes a sample: its commands one by one.

Every list that a command writes belongs to a time step, and to the part that it is named after.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from host.compiler import write_registers
from host.data.samples import Samples
from host.devices.device import Device
from host.spiking.compiler import CompiledSpiking
from host.spiking.memory import SpikeList
from host.spiking.program import Phase
from hw.isa import COUNTERS, Instruction, Opcode, Region, Register
from hw.spiking import FireFlag

WRITING = (Opcode.ENCODE, Opcode.EXPAND, Opcode.FIRE)
"""Commands that write a list of spikes."""


@dataclass(frozen=True, eq=False)
class Spikes:
    """The spikes of a part: time step and neuron of each, of so many neurons."""

    times: NDArray[np.int64]
    neurons: NDArray[np.int64]
    size: int


def record(
    device: Device, compiled: CompiledSpiking, phase: Phase, sample: Samples
) -> dict[str, Spikes]:
    """What fires while `phase` computes a sample, by the name of the list it is written to.

    The device must be loaded and idle, and it ends so. What appends to a list is counted once.
    """
    found: dict[str, list[tuple[int, NDArray[np.uint16]]]] = {}
    sizes: dict[str, int] = {}
    if phase == Phase.RESPOND and compiled.circuit.responses is not None:
        compiled.circuit.responses.begin(device)
    write_registers(device, {**sample.registers, Register.COUNT: 1})
    device.stream(sample.batch(0, 1))
    before: dict[str, int] = {}
    for step, instruction in _commands(device, compiled, phase):
        if instruction.opcode not in WRITING:
            continue
        part = _list_at(compiled, instruction.gate)
        spikes = part.read(device)
        appends = instruction.opcode == Opcode.FIRE and instruction.flags & FireFlag.APPEND
        start = before.get(part.name, 0) if appends else 0
        found.setdefault(part.name, []).append((step, spikes[start:]))
        sizes[part.name] = instruction.rows
        before[part.name] = len(spikes)
    return {
        name: Spikes(
            times=np.concatenate([np.full(len(spikes), step) for step, spikes in events]),
            neurons=np.concatenate([spikes for _, spikes in events]).astype(np.int64),
            size=sizes[name],
        )
        for name, events in found.items()
    }


def _commands(
    device: Device, compiled: CompiledSpiking, phase: Phase
) -> Iterator[tuple[int, Instruction]]:
    """Each instruction after it was carried out, with its time step; what follows the steps of a
    sample belongs to the last one."""
    start = compiled.entry(phase)
    position, step = start, 0
    while True:
        instruction = compiled.instructions[position]
        device.step(start)
        device.wait()
        yield step, instruction
        if instruction.opcode == Opcode.END:
            return
        address = COUNTERS["position"].address
        following = int(device.read(Region.COUNTERS, address, 1)[0])
        if instruction.opcode == Opcode.REPEAT:
            step += following <= position
        position = following


def _list_at(compiled: CompiledSpiking, gate: int) -> SpikeList:
    for part in compiled.memory.parts:
        if isinstance(part, SpikeList) and part.start == gate:
            return part
    raise ValueError(f"no list of the network begins at word {gate} of EVENTS")
