"""Cycles of the spiking half: synapses a cycle of each command, and a time step by its events.

A command's cycles are the difference of two runs that repeat it a different number of times, so
that the fetch of its instruction is within, and what starts and ends a program is not.
"""

from typing import Any

import numpy as np

from host.devices.device import Device
from host.spiking import constants
from host.statistics import Counts
from hw.isa import Instruction, Opcode, Region
from hw.layout import tiles
from hw.spiking import (
    PARAMETER_WORDS,
    POPULATION_ROWS,
    FireFlag,
    NeuronParameter,
    PlasticityFlag,
    SynapseParameter,
    Variable,
)

INPUTS, NEURONS = 64, 100
"""The network of the examples."""
SHARES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Of the inputs that fire in a time step."""
PUBLISHED = (
    ("ODIN, ASIC (Frenkel et al. 2019)", 0.5),
    ("an HLS design for FPGA", 1.8),
)
"""Synaptic updates a cycle of other designs, as the project's design names them."""
MANY, FEW = 12, 2


class SpikingBench:
    """A pair STDP network of INPUTS by NEURONS on a device with a clock.

    Parameters
    ----------
    device: with a spiking half
    """

    def __init__(self, device: Device):
        self.device = device
        lanes = device.config.lanes
        self.block = tiles(PARAMETER_WORDS, lanes)
        self.inputs = 2 * self.block
        self.neurons = self.inputs + tiles(INPUTS, lanes) * POPULATION_ROWS
        self.stride = tiles(INPUTS, lanes)
        self.lists = 0, 1 + INPUTS
        self._matrix: dict[str, Any] = {
            "rows": NEURONS,
            "columns": INPUTS,
            "left_inner": self.stride,
        }
        self._load()

    def _load(self) -> None:
        device, lanes = self.device, self.device.config.lanes
        rows = self.neurons + tiles(NEURONS, lanes) * POPULATION_ROWS
        state = np.zeros(rows * lanes, np.int16)
        neuron, synapse = state[: PARAMETER_WORDS], state[self.block * lanes :][:PARAMETER_WORDS]
        neuron[NeuronParameter.THRESHOLD] = 32767
        neuron[NeuronParameter.LEAK] = constants.decay("leak", 20, 1)
        synapse[SynapseParameter.COEFFICIENT] = 100
        synapse[SynapseParameter.UPPER] = 4096
        synapse[SynapseParameter.NORM] = 20000
        device.write(Region.STATE, 0, state)
        words = self.stride * tiles(NEURONS, lanes) * lanes * lanes
        random = np.random.default_rng(0)
        device.write(Region.WEIGHT, 0, random.integers(0, 4096, words).astype(np.int16))

    def fill(self, place: int, count: int, of: int) -> None:
        """Write a list of `count` of so many neurons, evenly spread."""
        chosen = np.linspace(0, of - 1, count).round().astype(np.uint16)
        self.device.write(Region.EVENTS, place, np.concatenate([[count], chosen]))

    def command(self, name: str) -> Instruction:
        """A command on the network."""
        inputs, neurons = self.lists
        match name:
            case "INTEGRATE":
                return Instruction(
                    opcode=Opcode.INTEGRATE,
                    rows=NEURONS,
                    left_inner=self.stride,
                    shift=8,
                    dest_base=self.neurons,
                    gate=inputs,
                )
            case "PLASTICITY by column":
                return Instruction(
                    opcode=Opcode.PLASTICITY,
                    leak_shift=3,
                    right_base=self.neurons + Variable.TRACE,
                    right_depth=self.block,
                    gate=inputs,
                    **self._matrix,
                )
            case "PLASTICITY by row":
                return Instruction(
                    opcode=Opcode.PLASTICITY,
                    flags=PlasticityFlag.BY_ROW,
                    leak_shift=3,
                    right_base=self.inputs + Variable.TRACE,
                    right_depth=self.block,
                    gate=neurons,
                    **self._matrix,
                )
            case "SCALE of all rows":
                return Instruction(
                    opcode=Opcode.SCALE, right_depth=self.block, **self._matrix
                )
            case "FIRE":
                return Instruction(
                    opcode=Opcode.FIRE, rows=NEURONS, dest_base=self.neurons, gate=neurons
                )
            case "FIRE, one winner":
                return Instruction(
                    opcode=Opcode.FIRE,
                    flags=FireFlag.WINNER,
                    rows=NEURONS,
                    dest_base=self.neurons,
                    gate=neurons,
                )
        raise ValueError(f"there is no command {name!r}")

    def cycles(self, *commands: Instruction) -> float:
        """Cycles of a round of these commands, REPEAT included."""
        total = {}
        for rounds in (FEW, MANY):
            program = [
                *commands,
                Instruction(opcode=Opcode.REPEAT, columns=rounds),
                Instruction(opcode=Opcode.END),
            ]
            words = np.array([i.encode() for i in program], np.uint16)
            self.device.write(Region.PROGRAM, 0, words.reshape(-1))
            before = Counts.read(self.device)
            self.device.run(0)
            self.device.wait()
            total[rounds] = (Counts.read(self.device) - before)["cycles"]
        return (total[MANY] - total[FEW]) / (MANY - FEW)


def commands(device: Device) -> list[dict[str, Any]]:
    """Cycles of each command with all inputs and all neurons in the lists, and synapses a cycle."""
    bench = SpikingBench(device)
    bench.fill(bench.lists[0], INPUTS, INPUTS)
    bench.fill(bench.lists[1], NEURONS, NEURONS)
    repeat = bench.cycles()
    rows = []
    for name, synapses in (
        ("INTEGRATE", INPUTS * NEURONS),
        ("PLASTICITY by column", INPUTS * NEURONS),
        ("PLASTICITY by row", INPUTS * NEURONS),
        ("SCALE of all rows", INPUTS * NEURONS),
        ("FIRE", 0),
        ("FIRE, one winner", 0),
    ):
        cycles = bench.cycles(bench.command(name)) - repeat
        rows.append({"command": name, "cycles": cycles, "synapses_per_cycle": synapses / cycles})
    return rows


def steps(device: Device) -> list[dict[str, Any]]:
    """Cycles of a time step of INTEGRATE, FIRE and PLASTICITY by the share of inputs that fire."""
    bench = SpikingBench(device)
    rows = []
    for share in SHARES:
        events = round(share * INPUTS)
        bench.fill(bench.lists[0], events, INPUTS)
        names = ("PLASTICITY by column", "INTEGRATE", "FIRE", "PLASTICITY by row")
        cycles = bench.cycles(*map(bench.command, names))
        rows.append({"share": share, "events": events, "cycles": cycles})
    return rows


def section(device: Device) -> dict[str, Any]:
    """All figures of the spiking half of a device."""
    return {
        "configuration": device.config.name,
        "lanes": device.config.lanes,
        "inputs": INPUTS,
        "neurons": NEURONS,
        "commands": commands(device),
        "steps": steps(device),
        "published": [{"design": name, "updates_per_cycle": rate} for name, rate in PUBLISHED],
    }
