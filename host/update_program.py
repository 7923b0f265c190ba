"""The instructions of an update that takes several batches, or clips the gradient.

    batch                   ACQUIRE .. GRADIENT hold              RELEASE
    the batches between     ACQUIRE .. GRADIENT add hold          RELEASE  REPEAT
    the last batch          ACQUIRE .. GRADIENT add               RELEASE  LOOP  END
    or, to clip             ACQUIRE .. GRADIENT add hold norm     RELEASE
                            CLIP  GRADIENT clip                            LOOP  END

The device adds the products of all batches exactly and narrows their sum once, so the weights
become those that one batch with all samples would have made of them, to the bit.
"""

from collections.abc import Callable, Sequence

from host.program import BatchProgram, Mode
from hw.isa import GradientFlag, Instruction, Opcode

HOLD, ADD, NORM = (
    1 << flag for flag in (GradientFlag.HOLD, GradientFlag.ADD, GradientFlag.NORM)
)


def parts(samples: int, batch: int) -> list[int]:
    """The sizes of the batches of an update: all the same but the last one, which has the rest."""
    return [min(batch, samples - first) for first in range(0, samples, batch)]


def update_program(
    sizes: Sequence[int], program: Callable[..., BatchProgram], *, clip: bool, start: int
) -> list[Instruction]:
    """The training program of an update.

    Parameters
    ----------
    sizes: samples of its batches, see `parts`
    program: writes the instructions for a batch of so many `samples`
    clip: whether the gradient is clipped
    start: index of the first instruction in the program memory
    """
    last = program(samples=sizes[-1])
    ending = HOLD | NORM if clip else 0
    between = len(sizes) - 2
    instructions: list[Instruction] = []
    if between >= 0:
        instructions += program(samples=sizes[0]).batch(Mode.TRAIN, HOLD)
        ending |= ADD
    if between > 0:
        again = start + len(instructions)
        instructions += program(samples=sizes[1]).batch(Mode.TRAIN, ADD | HOLD)
        if between > 1:
            instructions.append(Instruction(opcode=Opcode.REPEAT, rows=again, columns=between))
    instructions += last.batch(Mode.TRAIN, ending)
    if clip:
        instructions += last.clipped()
    loop = Instruction(opcode=Opcode.LOOP, rows=start)
    return [*instructions, loop, Instruction(opcode=Opcode.END)]
