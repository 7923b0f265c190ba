"""The STDP window, measured: by how much a weight changes for a pair of spikes, on any device.

    time step     0 ............. 100 ............. 200
    post                           |
    pre j             |                                     t_pre = 100 - difference

Spikes come from the host, as samples of 0 and 1, for presynaptic and postsynaptic neurons alike: so
the curve shows the plasticity unit and the traces alone.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.compiler import write_registers
from host.devices.device import Device
from hw.isa import Control, Instruction, Opcode, Region, Register
from hw.layout import TensorLayout, tiles
from hw.numbers import UPDATE_FRACTION_BITS
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

TRACE_ONE = 8192
"""What a spike adds to a trace; so many fraction bits that decays lose little by flooring."""


@dataclass(frozen=True, kw_only=True)
class PairRule:
    """Pair-based STDP with traces: a spike pair changes a weight by

        learning_rate a_plus exp(-difference / tau_pre)       where post follows pre
        -learning_rate a_minus exp(difference / tau_post)     where pre follows post

    Times in ms; `fraction` is the binary point of the weights, `dt` the time step.
    """

    learning_rate: float = 0.01
    tau_pre: float = 20.0
    tau_post: float = 20.0
    a_plus: float = 0.1
    a_minus: float = 0.105
    dt: float = 1.0
    fraction: int = 14

    def change(self, difference: float) -> float:
        """The change for a pair, t_post - t_pre = difference, in units of the weight; both parts
        where the spikes coincide."""
        change = 0.0
        if difference >= 0:
            change += self.a_plus * math.exp(-difference / self.tau_pre)
        if difference <= 0:
            change -= self.a_minus * math.exp(difference / self.tau_post)
        return self.learning_rate * change

    def coefficient(self, amplitude: float) -> int:
        """The word by which PLASTICITY multiplies a trace: amplitude in LSB, 16 fraction bits."""
        lsb = self.learning_rate * amplitude * 2.0**self.fraction
        word = round(lsb * 2.0**UPDATE_FRACTION_BITS / TRACE_ONE)
        if not 1 <= word <= 32767:
            least, most = (limit * TRACE_ONE * 2.0**-self.fraction for limit in (2**-16, 0.5))
            raise ValueError(
                f"learning_rate times amplitude must be from {least:g} to {most:g}, "
                f"not {self.learning_rate * amplitude:g}"
            )
        return word

    def bound(self, difference: float) -> float:
        """By how many LSB a device may miss `change`: 1 of stochastic rounding, what flooring
        takes off a trace in all steps, and what rounding does to decay and coefficient."""
        total = 1.0
        for amplitude, tau, applies in (
            (self.a_plus, self.tau_pre, difference >= 0),
            (self.a_minus, self.tau_post, difference <= 0),
        ):
            if applies:
                keep = math.exp(-self.dt / tau)
                steps = abs(difference) / self.dt
                peak = self.learning_rate * amplitude * 2.0**self.fraction
                floors = peak / TRACE_ONE / (1 - keep)
                decays = peak * keep**steps * ((1 + 2.0**-16 / keep) ** steps - 1)
                rounding = peak * keep**steps * 0.5 / self.coefficient(amplitude)
                total += floors + decays + rounding
        return total


def decay_word(tau: float, dt: float) -> int:
    """The word for a decay by exp(-dt / tau) in a step."""
    return -round(32768 * (1 - math.exp(-dt / tau)))


def stdp_window(
    device: Device, rule: PairRule, differences: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The change of a weight of 1/2, in LSB, for every difference t_post - t_pre in steps."""
    lanes = device.config.lanes
    reach = int(np.abs(differences).max())
    changes = np.zeros(len(differences), np.int64)
    _load(device, rule, 2 * reach + 1)
    for first in range(0, len(differences), lanes):
        group = differences[first : first + lanes]
        changes[first : first + len(group)] = _pairs(device, rule, group, reach)
    return changes


def _load(device: Device, rule: PairRule, steps: int) -> None:
    """The program and its parameters: two populations of inputs, one of them postsynaptic."""
    lanes = device.config.lanes
    block = tiles(PARAMETER_WORDS, lanes)
    pre, post = 4 * block, 4 * block + POPULATION_ROWS
    lists = (0, 1 + lanes)
    encode: dict[str, Any] = {
        "opcode": Opcode.ENCODE,
        "activation": Encoding.LEVEL,
        "flags": EncodeFlag.EACH_STEP,
        "left_inner": 2,
    }
    change: dict[str, Any] = {"opcode": Opcode.PLASTICITY, "leak_shift": 3, "left_inner": 1}
    shape: dict[str, Any] = {"rows": 1, "columns": lanes}
    program = [
        Instruction(opcode=Opcode.ACQUIRE, columns=steps),
        Instruction(**encode, rows=lanes, right_depth=0, dest_base=pre, gate=lists[0]),
        Instruction(
            **encode, rows=1, left_base=1, right_depth=block, dest_base=post, gate=lists[1]
        ),
        Instruction(
            **change,
            **shape,
            right_base=post + Variable.TRACE,
            right_depth=2 * block,
            gate=lists[0],
        ),
        Instruction(
            **change,
            **shape,
            flags=PlasticityFlag.BY_ROW,
            right_base=pre + Variable.TRACE,
            right_depth=3 * block,
            gate=lists[1],
        ),
        Instruction(opcode=Opcode.REPEAT, rows=1, columns=steps),
        Instruction(opcode=Opcode.RELEASE),
        Instruction(opcode=Opcode.END),
    ]
    words = np.array([i.encode() for i in program], np.uint16)
    parameters = np.zeros((4, block * lanes), np.int16)
    for row, tau in zip(parameters, (rule.tau_pre, rule.tau_post), strict=False):
        row[EncoderParameter.TRACE_DECAY] = decay_word(tau, rule.dt)
        row[EncoderParameter.TRACE_INCREMENT] = TRACE_ONE
    for row, coefficient in zip(
        parameters[2:],
        (-rule.coefficient(rule.a_minus), rule.coefficient(rule.a_plus)),
        strict=True,
    ):
        row[SynapseParameter.COEFFICIENT] = coefficient
        row[SynapseParameter.UPPER] = 1 << rule.fraction
    write_registers(device, {Register.CONTROL: Control.STOP})
    device.write(Region.PROGRAM, 0, words.reshape(-1))
    device.write(Region.STATE, 0, parameters.reshape(-1))
    write_registers(
        device,
        {
            Register.FEATURES: lanes + 1,
            Register.TARGETS: 0,
            Register.SAMPLE_FORMAT: 0,
            Register.INPUT_STRIDE: 2,
        },
    )


def _pairs(
    device: Device, rule: PairRule, differences: NDArray[np.int64], reach: int
) -> NDArray[np.int64]:
    """As `stdp_window`, for as many differences as there are lanes."""
    lanes = device.config.lanes
    block = tiles(PARAMETER_WORDS, lanes)
    half = 1 << (rule.fraction - 1)
    spikes = np.zeros((2 * reach + 1, lanes + 1), np.uint8)
    spikes[reach - differences, np.arange(len(differences))] = 1
    spikes[reach, lanes] = 1
    populations = np.zeros(2 * POPULATION_ROWS * lanes, np.int16)
    device.write(Region.STATE, 4 * block * lanes, populations)
    device.write(Region.WEIGHT, 0, np.full(lanes * lanes, half, np.int16))
    device.run(0)
    device.stream(spikes.tobytes())
    device.wait()
    layout = TensorLayout(
        base=0, rows=1, columns=len(differences), tile_rows=lanes, lanes=lanes, stride=1
    )
    image = device.read(Region.WEIGHT, 0, lanes * lanes).view(np.int16)
    return layout.gather(image)[0].astype(np.int64) - half
