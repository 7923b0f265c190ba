"""A spiking network, compiled into programs, parameters and a memory map of a device.

Pure: nothing is sent. `CompiledSpiking.load` then writes the result to any device.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from host.compiler import write_registers
from host.devices.device import Device
from host.memory_map import CompileError
from host.spiking.circuit import CURRENTS, Circuit, build_circuit
from host.spiking.memory import SpikingMemory, Write
from host.spiking.network import SpikingNetwork
from host.spiking.program import Phase, sample_program
from hw.config import DeviceConfig
from hw.configurations import CONFIGURATIONS
from hw.isa import Instruction, Region, Register
from hw.layout import tiles

Words = NDArray[np.int16]


@dataclass(frozen=True, kw_only=True, eq=False)
class CompiledSpiking:
    """Everything that a device needs to run a spiking network.

    Attributes
    ----------
    network, config: what was compiled, for what
    circuit: the network's parts on the device
    instructions: the program memory from index 0 on
    entries: index of the first instruction of each phase
    """

    network: SpikingNetwork
    config: DeviceConfig
    circuit: Circuit
    instructions: tuple[Instruction, ...]
    entries: Mapping[Phase, int]

    @property
    def memory(self) -> SpikingMemory:
        """Where the parts lie."""
        return self.circuit.memory

    def entry(self, mode: Phase, samples: int = 1) -> int:
        """Where the program for batches of a sample starts."""
        assert samples == 1
        return self.entries[mode]

    @property
    def registers(self) -> dict[Register, int]:
        """Values that stay as they are for a whole run."""
        stride = tiles(self.network.inputs, self.config.lanes)
        return {Register.INPUT_STRIDE: stride, Register.TARGET_STRIDE: 1}

    def load(self, device: Device, weights: Mapping[str, Words], table: Words | None) -> None:
        """Write programs, registers and weights, the table of granule cells, and 0 elsewhere."""
        write_registers(device, self.registers)
        program = np.array([i.encode() for i in self.instructions], np.uint16)
        device.write(Region.PROGRAM, 0, program.reshape(-1))
        extents = self.memory.extents()
        for region in (Region.STATE, Region.EVENTS):
            device.write(region, 0, np.zeros(extents[region], np.int16))
        for name, tensor in self.circuit.weights.items():
            tensor.write(device, weights[name])
        if self.circuit.granules is not None:
            assert table is not None
            self.circuit.granules.table.write(device, table)

    def read_weights(self, device: Device) -> dict[str, Words]:
        """The words of every weight matrix, by name."""
        return {name: tensor.read(device) for name, tensor in self.circuit.weights.items()}

    def read_learned(self, device: Device) -> dict[str, Words]:
        """All that learning has changed, by the name of the region: weights, and neurons."""
        extents = self.memory.extents()
        return {
            region.name: device.read(region, 0, extents[region]).view(np.int16)
            for region in (Region.WEIGHT, Region.STATE)
        }

    def write_learned(self, device: Device, learned: Mapping[str, Words]) -> None:
        """Bring back what `read_learned` gave."""
        for name, words in learned.items():
            device.write(Region[name], 0, words)

    def constants(self, factor: float) -> list[Write]:
        """The parameters, where the schedule multiplies the learning rate by `factor`."""
        return self.circuit.constants(factor)

    def saturations(self, counts: NDArray[np.integer]) -> dict[str, int]:
        """The device's saturation counters by name, such as 'current of the neurons'."""
        return {
            f"current of the {name}": int(counts[index])
            for index, name in enumerate(CURRENTS)
            if name in self.circuit.weights
        }


def compile_spiking(network: SpikingNetwork, config: DeviceConfig) -> CompiledSpiking:
    """Compile a network's programs.

    Raises CompileError where the network does not fit the device, naming what it needs, what there
    is, and a way out.
    """
    check_spiking(config, "network")
    circuit = build_circuit(network, config)
    instructions: list[Instruction] = []
    entries = {}
    for phase, body in circuit.bodies.items():
        entries[phase] = len(instructions)
        instructions += sample_program(body, start=len(instructions), rows=circuit.rows)
    if len(instructions) > config.program_length:
        raise CompileError(
            f"programs need {len(instructions)} instructions, {config.name} has "
            f"{config.program_length}: take a simpler rule, or a device with more memory"
        )
    circuit.constants(1.0)
    return CompiledSpiking(
        network=network,
        config=config,
        circuit=circuit,
        instructions=tuple(instructions),
        entries=entries,
    )


def check_spiking(config: DeviceConfig, what: str) -> None:
    """Raise CompileError where a device has no spiking half, which `what` needs."""
    if not config.spiking:
        others = [name for name, there in CONFIGURATIONS.items() if there.spiking]
        raise CompileError(
            f"{what} needs spiking neurons, which {config.name} leaves out: take one of the "
            f"configurations {', '.join(others)}"
        )
