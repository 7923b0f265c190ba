"""What the commands of a serial spiking device share: scratch words, places and routines.

`hw.microcode` is what a step can do. A variable of a neuron is `variable` rows behind its first.
"""

from collections.abc import Callable
from enum import IntEnum

from amaranth.utils import exact_log2

from hw.assembler import Assembler
from hw.microcode import (
    PRODUCT_STEPS,
    Base,
    Condition,
    Effect,
    Field,
    Operand,
    Operation,
    Place,
    flag,
)
from hw.numbers import WORD_MIN
from hw.spiking import POPULATION_ROWS, SynapseParameter, Variable


class Scratch(IntEnum):
    """Words of memory that the microcode has to itself, and in the end its constants."""

    INDEX = 0
    """The neuron's number."""
    SPIKES = 1
    """How many the list holds."""
    WORK = 2
    MOVED = 3
    """The neuron's new potential."""
    BEST_MOVED = 4
    BEST_OWN = 5
    """The potential and the own threshold of the neuron that is furthest above its own."""
    WINNER = 6
    """Its number; -1: there is none."""
    SATURATIONS = 7
    INNER = 8
    """L tiles of a row of tiles of weights."""
    STRIDE = 9
    """L tiles from a line's tile of weights to the next."""
    SPACING = 10
    """L words from the last trace of a row to the first of the next."""
    COEFFICIENT = 11
    REMAINING = 12
    """Lines that are still to come."""
    SPIKE = 13
    """-32768: less a spike of Encoding.RATE."""
    LANES = 14
    """L."""
    ROW = 15
    """L * L: L words."""
    RECORD = 16
    """What a record is longer than a word less L: (POPULATION_ROWS - 1) L."""


SCRATCH_WORDS = 32


def constants(lanes: int) -> dict[Scratch, int]:
    """The words of Scratch that never change."""
    return {
        Scratch.SPIKE: WORD_MIN,
        Scratch.LANES: lanes,
        Scratch.ROW: lanes * lanes,
        Scratch.RECORD: (POPULATION_ROWS - 1) * lanes,
    }


KEEP, LOAD, ADD, SUBTRACT, HALVE, DROP, LIMIT, CLEAR = Operation
WORD, WORD_HIGH, PRODUCT, PRODUCT_HIGH, RANDOM = list(Operand)[: Operand.FIELD]
HALF, ONE = Operand.HALF, Operand.ONE


def scratch(which: Scratch) -> Place:
    """The place of a word of Scratch."""
    return Place(Base.SCRATCH, which)


def parameter(which: IntEnum) -> Place:
    """The place of one of the command's parameters."""
    return Place(Base.PARAMETERS, which)


LIST = Place(Base.LIST)
"""How many spikes the list holds."""
NEXT_EVENT = Place(Base.EVENT, 1)
"""The spike behind the one that Base.EVENT points to."""
ELEMENT = Place(Base.TILE, tile=True)
"""The element of the tile at the lanes."""


class Writer:
    """Writes steps; what it takes of `asm` is short to name.

    Parameters
    ----------
    asm: where the steps go
    lanes: L
    """

    def __init__(self, asm: Assembler, lanes: int):
        self._step: Callable[..., None] = asm.step
        self._label = asm.label
        self._lanes = lanes
        self._lane_bits = exact_log2(lanes)

    def _of(self, variable: Variable) -> Place:
        """A variable of the neuron."""
        return Place(Base.NEURON, variable * self._lanes)

    def _times_lanes(self) -> None:
        """The sum times L, which is in Scratch.WORK then, as is the word that was read."""
        step, work = self._step, scratch(Scratch.WORK)
        step(write=work)
        for _ in range(self._lanes - 1):
            step(read=work)
            step(ADD, WORD)
        step(write=work)
        step(read=work)
        step()

    def _wait(self, steps: int) -> None:
        """Steps that do nothing."""
        for _ in range(steps):
            self._step()

    def _decayed(self, variable: Variable, decay: IntEnum) -> None:
        """The sum becomes a variable of the neuron, decayed by a parameter."""
        step = self._step
        step(read=self._of(variable))
        step(effect=Effect.FACTOR, read=parameter(decay))
        step(LOAD, WORD, read=self._of(variable), call="decay")

    def _trace(self, name: str, decay: IntEnum, increment: Place, sets: int) -> None:
        """The trace decayed; a spike adds the increment, or sets it."""
        step = self._step
        self._decayed(Variable.TRACE, decay)
        step(unless=Condition.SPIKE, to=f"{name} trace", read=increment)
        step(when=flag(sets), to=f"{name} sets")
        step(ADD, WORD)
        step(LIMIT, to=f"{name} trace")
        self._label(f"{name} sets")
        step(LOAD, WORD)
        self._label(f"{name} trace")
        step(write=self._of(Variable.TRACE))


class Routines(Writer):
    """What commands call: with `call` of a step, to come back, or at their end."""

    def write(self) -> None:
        """All of them."""
        self._walk()
        self._arithmetic()
        self._weights()

    def _walk(self) -> None:
        """Neurons, one after the other, and the list of those that fire."""
        step, label = self._step, self._label
        # From the first neuron on, with an empty list.
        label("begin")
        step(CLEAR, aim=Place(Base.POPULATION), save=Base.NEURON)
        step(write=scratch(Scratch.INDEX))
        step(write=scratch(Scratch.SPIKES))
        step(aim=LIST, save=Base.EVENT, back=True)

        # To the next neuron; the sum is negative if there is one in this tile, or another tile.
        label("next")
        step(read=scratch(Scratch.INDEX))
        step(LOAD, WORD)
        step(ADD, ONE)
        step(SUBTRACT, Field.ROWS, write=scratch(Scratch.INDEX))
        step(when=Condition.LAST, to="next tile")
        step(CLEAR, aim=Place(Base.NEURON, 1), save=Base.NEURON, effect=Effect.LANE)
        step(SUBTRACT, ONE, back=True)
        label("next tile")
        record = POPULATION_ROWS * self._lanes - (self._lanes - 1)
        step(
            aim=Place(Base.NEURON, record), save=Base.NEURON, effect=Effect.WRAP, back=True
        )

        # Whether the neuron is one, if the sum is negative.
        label("within")
        step(read=scratch(Scratch.INDEX))
        step(LOAD, WORD)
        step(SUBTRACT, Field.ROWS, back=True)

        # A spike of the neuron into the list, and its count; or the neuron into the list.
        label("record")
        step(unless=Condition.SPIKE, back=True)
        label("list")
        step(read=scratch(Scratch.SPIKES))
        step(LOAD, WORD, read=scratch(Scratch.INDEX))
        step(ADD, ONE)
        step(LOAD, WORD, write=scratch(Scratch.SPIKES))
        step(write=NEXT_EVENT, save=Base.EVENT)
        step(unless=Condition.SPIKE, back=True)
        step(read=self._of(Variable.COUNT))
        step(LOAD, WORD)
        step(ADD, ONE)
        step(LIMIT)
        step(write=self._of(Variable.COUNT))
        step(back=True)

        # The end of a command with a list.
        label("finish")
        step(read=scratch(Scratch.SPIKES))
        step(LOAD, WORD)
        step(write=LIST, effect=Effect.DONE)

    def _arithmetic(self) -> None:
        """Products and decays."""
        step, label = self._step, self._label
        # The product of the factor and the sum that the step makes which calls this.
        label("multiply")
        self._wait(PRODUCT_STEPS - 1)
        step(LOAD, PRODUCT, back=True)

        # x (1 + decay): the word that was read is x, as is the factor; the sum is the decay.
        label("decay")
        self._wait(PRODUCT_STEPS - 1)
        step(LOAD, PRODUCT_HIGH)
        step(ADD, WORD, back=True)

    def _weights(self) -> None:
        """Rows of weights, and the limits of a weight."""
        step, label = self._step, self._label
        # To the first tile of the row of weights that was read, which is fixed from now on.
        label("row")
        step(LOAD, WORD)
        step(effect=Effect.FIX, read=scratch(Scratch.INNER))
        step(effect=Effect.FACTOR)
        for _ in range(self._lane_bits):
            step(HALVE)
        self._wait(PRODUCT_STEPS - 1)
        step(LOAD, PRODUCT)
        step(write=scratch(Scratch.WORK))
        step(read=scratch(Scratch.WORK))
        step()
        step(aim=Place(Base.TILES, word=True), save=Base.TILE, back=True)

        # At least the lower limit, which was read, then at most the upper one.
        label("clamp")
        step(SUBTRACT, WORD)
        step(when=Condition.NEGATIVE, to="clamp low")
        step(ADD, WORD, to="clamp upper")
        label("clamp low")
        step(LOAD, WORD)
        label("clamp upper")
        step(read=parameter(SynapseParameter.UPPER))
        step(SUBTRACT, WORD)
        step(unless=Condition.NEGATIVE, to="clamp high")
        step(ADD, WORD, back=True)
        label("clamp high")
        step(LOAD, WORD, back=True)
