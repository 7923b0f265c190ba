"""Everything that a run has made of a device between two programs, read and brought back.

    stretches of the memories | LFSRs | registers | counters | front buffer

Two devices of one build that hold the same of all these compute the same from then on.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from host.checkpoints.continued import ContinuedDevice
from host.compiler import write_registers
from hw.config import region_words
from hw.isa import (
    COUNTER_WORDS,
    COUNTERS,
    INSTRUCTION_WORDS,
    Instruction,
    Opcode,
    Region,
    Register,
)

Words = NDArray[np.uint16]

Stretch = tuple[Region, int, int]
"""A region, the first word in it, and how many."""


def merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same words in as few stretches as there can be, by region and address."""
    found: list[Stretch] = []
    for region, start, words in sorted(stretches):
        if found and found[-1][0] == region and start <= sum(found[-1][1:]):
            first = found[-1][1]
            end = max(sum(found[-1][1:]), start + words)
            found[-1] = (region, first, end - first)
        else:
            found.append((region, start, words))
    return found


@dataclass(frozen=True, eq=False)
class DeviceState:
    """What a device holds.

    Attributes
    ----------
    memories: words by stretch
    lfsr, registers, counters: the regions of these names, whole
    front: the sample buffer that comes next
    """

    memories: dict[Stretch, Words]
    lfsr: Words
    registers: Words
    counters: Words
    front: int

    @classmethod
    def read(cls, device: ContinuedDevice, stretches: Iterable[Stretch]) -> "DeviceState":
        """The state of a device in which no program runs."""
        sizes = region_words(device.config)
        return cls(
            memories={stretch: device.read(*stretch) for stretch in merged(stretches)},
            lfsr=device.read(Region.LFSR, 0, sizes[Region.LFSR]),
            registers=device.read(Region.REGISTERS, 0, sizes[Region.REGISTERS]),
            counters=device.read(Region.COUNTERS, 0, COUNTER_WORDS),
            front=device.front,
        )

    def restore(self, device: ContinuedDevice) -> None:
        """Bring a device into this state; its programs must have been loaded, and none runs."""
        _turn(device, self.front, self._counter("position"), self._counter("remaining"))
        for (region, address, _), words in self.memories.items():
            device.write(region, address, words)
        device.write(Region.LFSR, 0, self.lfsr)
        # All but CONTROL, which stands before them.
        device.write(Region.REGISTERS, Register.START, self.registers[Register.START :])
        device.count_from(self.counters)

    def _counter(self, name: str) -> int:
        return int(self.counters[COUNTERS[name].address])


def _turn(device: ContinuedDevice, front: int, position: int, remaining: int) -> None:
    """Let a program end at `position` with `remaining` rounds, `front` being the next buffer.

    The program takes a sample of a word where the other buffer is in front. It stands for a moment
    in the place of instructions that were loaded.
    """
    body = [
        Instruction(opcode=Opcode.ACQUIRE, columns=1),
        Instruction(opcode=Opcode.RELEASE),
    ] * (device.front != front)
    program = [*body, Instruction(opcode=Opcode.END)]
    start = position - len(body)
    if start < 0:
        raise ValueError(
            f"a program must end behind instruction {len(body)}, not at {position}: the checkpoint "
            "is of no run; leave --resume out"
        )
    address = start * INSTRUCTION_WORDS
    words = np.array([instruction.encode() for instruction in program], np.uint16).reshape(-1)
    loaded = device.read(Region.PROGRAM, address, len(words))
    device.write(Region.PROGRAM, address, words)
    if body:
        write_registers(
            device, {Register.FEATURES: 1, Register.TARGETS: 0, Register.SAMPLE_FORMAT: 0}
        )
        device.stream(b"\0")
    device.run(start, remaining)
    device.wait()
    device.write(Region.PROGRAM, address, loaded)
