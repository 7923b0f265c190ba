"""The STDP window, measured: by how much a weight changes for a pair of spikes, on any device.

    post                     |              the same of all lanes
    presynaptic j      |                    a difference before it, or after

Spikes come from the host, as samples of 0 and 1, for presynaptic and postsynaptic neurons alike: so
the curve shows the plasticity unit and the traces alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.compiler import write_registers
from host.devices.device import Device
from host.memory_map import CompileError
from host.spiking.compiler import check_spiking
from host.spiking.spike_pair import SpikePair
from host.trainer import make_ready
from hw.config import DeviceConfig, tile_rows
from hw.isa import Instruction, Opcode, Region, Register
from hw.layout import TensorLayout, tiles
from hw.spiking import (
    PARAMETER_WORDS,
    POPULATION_ROWS,
    EncodeFlag,
    EncoderParameter,
    Encoding,
    PlasticityFlag,
    SynapseParameter,
    Variable,
)

STRIDE = 2
"""Tiles of INPUT across: the presynaptic neurons', and the postsynaptic one's."""

REACH = 100.0
"""Ms to either side that a window shows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """What was measured, by t_post - t_pre in ms; all changes are in LSB.

    Attributes
    ----------
    differences: in ms, rising
    measured: changes on the device
    exact: those of the rule
    bounds: by how much the formats let a device miss them
    """

    differences: NDArray[np.float64]
    measured: NDArray[np.int64]
    exact: NDArray[np.float64]
    bounds: NDArray[np.float64]

    @property
    def deviations(self) -> NDArray[np.float64]:
        """Measured less exact."""
        return self.measured - self.exact

    @property
    def worst(self) -> int:
        """The index of the largest deviation."""
        return int(np.abs(self.deviations).argmax())

    @property
    def outside(self) -> int:
        """How many deviations are larger than their bounds."""
        return int((np.abs(self.deviations) > self.bounds).sum())


class WindowTest:
    """Measures a window, a pair of spikes a lane at a time.

    Parameters
    ----------
    pair: the rule, as words of the device
    config: the device's
    reach: how many ms to either side

    Raises ValueError where the device has no spiking half, or no room for so many time steps.
    """

    def __init__(self, pair: SpikePair, config: DeviceConfig, *, reach: float = REACH):
        check_spiking(config, "an STDP window")
        if not pair.dt <= reach < math.inf:
            raise ValueError(
                f"reach must be at least a time step, {pair.dt:g} ms, and finite, not {reach:g}"
            )
        # A quotient of decimals may fall short of the whole number that is meant.
        steps = math.floor(reach / pair.dt + 1e-9)
        room = config.input_tiles // STRIDE * tile_rows(config, Region.INPUT)
        if steps >= room:
            raise CompileError(
                f"reach must be below {room * pair.dt:g} ms on {config.name}, which has room for "
                f"{room} time steps of {pair.dt:g} ms, not {reach:g}: measure less, or take a "
                "device with more memory"
            )
        self._pair, self._lanes = pair, config.lanes
        self._differences = np.arange(-steps, steps + 1)
        self._steps = max(map(_span, self._groups()))

    def run(
        self, device: Device, *, seed: int = 0, measured: Callable[[int, int], None] | None = None
    ) -> Window:
        """Measure on a device; `measured` is told after how many pairs, of how many."""
        make_ready(device, seed)
        self._load(device)
        changes: list[int] = []
        for group in self._groups():
            changes += self._changes(device, group)
            if measured is not None:
                measured(len(changes), len(self._differences))
        times = self._differences.astype(np.float64) * self._pair.dt
        should = [self._pair.change(time) for time in times.tolist()]
        return Window(
            differences=times,
            measured=np.array(changes),
            exact=np.array([change.exact for change in should]),
            bounds=np.array([change.bound for change in should]),
        )

    def _groups(self) -> list[NDArray[np.int64]]:
        """The differences, as many at a time as there are lanes."""
        return np.split(self._differences, range(self._lanes, len(self._differences), self._lanes))

    def _load(self, device: Device) -> None:
        """The program and its parameters: two populations of inputs, one of them postsynaptic."""
        words = np.array([i.encode() for i in self._program()], np.uint16)
        device.write(Region.PROGRAM, 0, words.reshape(-1))
        device.write(Region.STATE, 0, self._parameters().reshape(-1))
        registers = {
            Register.FEATURES: self._lanes + 1,
            Register.TARGETS: 0,
            Register.SAMPLE_FORMAT: 0,
            Register.INPUT_STRIDE: STRIDE,
        }
        write_registers(device, registers)

    @property
    def _block(self) -> int:
        """Rows of STATE of a block of parameters, of which there are four before the neurons."""
        return tiles(PARAMETER_WORDS, self._lanes)

    def _program(self) -> list[Instruction]:
        lanes, block, soft = self._lanes, self._block, self._pair.soft
        pre, post = 4 * block, 4 * block + POPULATION_ROWS
        inputs, outputs = 0, 1 + lanes
        encode: dict[str, Any] = {
            "opcode": Opcode.ENCODE,
            "activation": Encoding.LEVEL,
            "flags": EncodeFlag.EACH_STEP,
            "left_inner": STRIDE,
        }
        change: dict[str, Any] = {
            "opcode": Opcode.PLASTICITY,
            "leak_shift": 3,
            "left_inner": 1,
            "rows": 1,
            "columns": lanes,
        }
        down = PlasticityFlag.TO_LOWER if soft else PlasticityFlag(0)
        up = PlasticityFlag.BY_ROW | (PlasticityFlag.TO_UPPER if soft else PlasticityFlag(0))
        return [
            Instruction(opcode=Opcode.ACQUIRE, columns=self._steps),
            Instruction(**encode, rows=lanes, right_depth=0, dest_base=pre, gate=inputs),
            Instruction(
                **encode, rows=1, left_base=1, right_depth=block, dest_base=post, gate=outputs
            ),
            Instruction(
                **change,
                flags=down,
                right_base=post + Variable.TRACE,
                right_depth=2 * block,
                gate=inputs,
            ),
            Instruction(
                **change,
                flags=up,
                right_base=pre + Variable.TRACE,
                right_depth=3 * block,
                gate=outputs,
            ),
            Instruction(opcode=Opcode.REPEAT, rows=1, columns=self._steps),
            Instruction(opcode=Opcode.RELEASE),
            Instruction(opcode=Opcode.END),
        ]

    def _parameters(self) -> NDArray[np.int16]:
        """Blocks of both encodings, of depression and of potentiation."""
        pair = self._pair
        up, down = pair.potentiation, pair.depression
        rows = np.zeros((4, self._block * self._lanes), np.int16)
        for row, half in zip(rows[:2], (up, down), strict=True):
            row[EncoderParameter.TRACE_DECAY] = half.decay
            row[EncoderParameter.TRACE_INCREMENT] = pair.one
        for row, half in zip(rows[2:], (down, up), strict=True):
            row[SynapseParameter.COEFFICIENT] = half.sign * half.coefficient
            row[SynapseParameter.LOWER], row[SynapseParameter.UPPER] = pair.limits
        return rows

    def _changes(self, device: Device, group: NDArray[np.int64]) -> list[int]:
        """By how much a weight changes, for as many differences as there are lanes at most."""
        lanes, start = self._lanes, self._pair.start
        spikes = np.zeros((self._steps, lanes + 1), np.uint8)
        post = max(0, int(group.max()))
        spikes[post - group, np.arange(len(group))] = 1
        spikes[post, lanes] = 1
        neurons = np.zeros(2 * POPULATION_ROWS * lanes, np.int16)
        device.write(Region.STATE, 4 * self._block * lanes, neurons)
        device.write(Region.WEIGHT, 0, np.full(lanes * lanes, start, np.int16))
        device.run(0)
        device.stream(spikes.tobytes())
        device.wait()
        layout = TensorLayout(
            base=0, rows=1, columns=len(group), tile_rows=lanes, lanes=lanes, stride=1
        )
        image = device.read(Region.WEIGHT, 0, lanes * lanes).view(np.int16)
        changes: list[int] = (layout.gather(image)[0].astype(np.int64) - start).tolist()
        return changes


def _span(group: NDArray[np.int64]) -> int:
    """Time steps from the first spike of a group's pairs to the last."""
    return max(0, int(group.max())) - min(0, int(group.min())) + 1
