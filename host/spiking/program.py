"""How the instructions of a sample make a program: every batch is one sample.

    start: ACQUIRE | body, with repeats for the time steps | RELEASE | LOOP start | END
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from hw.isa import Instruction, Opcode


class Phase(Enum):
    """What a program does with a sample."""

    TRAIN = "train"
    SUPERVISE = "supervise"
    """Train the readout of a hybrid network."""
    EVALUATE = "evaluate"
    """Count the right answers on the device."""
    RESPOND = "respond"
    """Leave in the device which neurons answer."""


def repeat(times: int, body: Sequence[Instruction]) -> list[Instruction]:
    """The body so many times, a time step each; `sample_program` fills in where it begins."""
    return [*body, Instruction(opcode=Opcode.REPEAT, rows=len(body), columns=times)]


def sample_program(
    body: Sequence[Instruction], *, start: int, rows: int = 1
) -> list[Instruction]:
    """The program that does `body` with every sample, to stand at `start` of the program memory.

    `rows`: of INPUT that a sample takes, one for each step under level encoding
    """
    instructions = [
        Instruction(opcode=Opcode.ACQUIRE, columns=rows),
        *body,
        Instruction(opcode=Opcode.RELEASE),
        Instruction(opcode=Opcode.LOOP, rows=start),
        Instruction(opcode=Opcode.END),
    ]
    return [
        replace(i, rows=start + index - i.rows) if i.opcode == Opcode.REPEAT else i
        for index, i in enumerate(instructions)
    ]
