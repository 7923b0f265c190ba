"""Microcode: steps of a processor, each part of which a field of a word steers; their assembler.

    place ---> address --> memory, in reading --> word --+
                 +--> pointer                            |
                                      operand <----------+-- product, random word, field, one
    sum <-- operation --- operand     +--> written, limited ...

A step does all that its word says at once, from what was there before it; `hw.spiking_processor`
is the machine. What is read is there in the next step, and for as long as no other one reads.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from amaranth.lib import data


class Base(IntEnum):
    """What an address begins with: constants of the command, then the pointers."""

    SCRATCH = 0
    PARAMETERS = 1
    LIST = 2
    """Word `gate` of EVENTS."""
    POPULATION = 3
    """Row `dest_base` of STATE."""
    TRACES = 4
    """Row `right_base` of STATE."""
    TILES = 5
    """Tile `left_base`, of WEIGHT or of the sample in front."""
    EVENT = 8
    NEURON = 9
    TRACE = 10
    TILE = 11


POINTERS = (Base.EVENT, Base.NEURON, Base.TRACE, Base.TILE)


class Place(NamedTuple):
    """base + offset, or with `word` base + (the word that the step before had >> log2 L): a word
    can be an offset two steps after the one that reads it.

    With `tile` this is a tile, and the address that of one of its elements: the one at the fixed
    lane and the lane that counts, or with `word` at that lane and the word's lowest bits.
    """

    base: Base
    offset: int = 0
    word: bool = False
    tile: bool = False


class Operation(IntEnum):
    """What becomes of the sum."""

    KEEP = 0
    LOAD = 1
    ADD = 2
    SUBTRACT = 3
    HALVE = 4
    """Shifted right by one place; the bit that leaves it is Operand.HALF."""
    DROP = 5
    """Shifted right by a word."""
    LIMIT = 6
    """Saturated to a word."""
    CLEAR = 7


class Operand(IntEnum):
    """What is loaded, added or subtracted."""

    WORD = 0
    """What was read."""
    WORD_HIGH = 1
    """The same, times 2**16."""
    PRODUCT = 2
    """Factor times the sum's lowest word, of PRODUCT_STEPS steps ago."""
    PRODUCT_HIGH = 3
    """The product >> 15."""
    RANDOM = 4
    """The upper half of the lane's LFSR."""
    FIELD = 5
    HALF = 6
    ONE = 7


class Field(IntEnum):
    """Numbers of the command. Those of rows and tiles are times L, as Place.word wants them."""

    ROWS = 0
    COLUMNS = 1
    STRIDE = 2
    """`left_inner` L."""
    SPACING = 3
    """`leak_shift`."""
    STEP = 4
    FACTOR = 5
    """What SCALE multiplies the row by."""


class Effect(IntEnum):
    """What else a step does."""

    NONE = 0
    FACTOR = 1
    """The word that was read becomes the factor of products."""
    COUNT = 2
    """The sum becomes the counter."""
    COUNT_SHIFT = 3
    """`shift` becomes the counter."""
    COUNT_DOWN = 4
    LANE = 5
    """The next lane."""
    WRAP = 6
    """Lane 0."""
    FIX = 7
    """The sum's lowest bits become the fixed lane."""
    RANDOM_STEP = 8
    MODE_ON = 9
    MODE_OFF = 10
    SPIKE_ON = 11
    SPIKE_OFF = 12
    SYNAPSE = 13
    """A synapse is taken."""
    REPORT = 14
    """The sum saturations are reported."""
    DONE = 15
    TAKE = 16
    """The sum is added to the norm of a row; with the counter at 0 it is the last one."""
    ANSWER = 17
    """An answer is counted, which is correct where the sum is 0."""


class Condition(IntEnum):
    """When a step goes on elsewhere. The first eight are the command's flags."""

    FLAG_0 = 0
    ALWAYS = 8
    COUNTED = 9
    """The counter is 0."""
    NEGATIVE = 10
    """The sum is."""
    OVER = 11
    """The sum of the step before does not fit a word."""
    LAST = 12
    """The lane is the last one."""
    FIRST = 13
    MODE = 14
    SPIKE = 15
    ENCODING_0 = 16
    """Bit 0 of the Encoding."""
    ENCODING_1 = 17
    FOUND = 18
    """The row's factor is there, or its norm is 0."""
    EMPTY = 19
    """With FOUND: the norm is 0."""


def flag(which: int) -> Condition | int:
    """The condition that the command has a flag."""
    return which.bit_length() - 1


TARGET_BITS = 9
OFFSET_BITS = 6

WORD = data.StructLayout(
    {
        "base": 4,
        "offset": OFFSET_BITS,
        "word": 1,
        "tile": 1,
        "read": 1,
        "write": 1,
        "save": 1,
        "pointer": 2,
        "operation": Operation,
        "operand": Operand,
        "field": Field,
        "effect": Effect,
        "condition": 5,
        "unless": 1,
        "link": 1,
        "back": 1,
        "target": TARGET_BITS,
    }
)
"""A step. `pointer` takes the address with `save`. Where `condition` holds, or with `unless` does
not, the next step is `target`, or with `back` the one after the last that had `link` and went
elsewhere; such a step writes nothing."""

MOST_STEPS = 1 << TARGET_BITS
PRODUCT_STEPS = 4
"""Steps from the one that makes a sum to the one that finds its product."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step as it is written down; see WORD."""

    operation: Operation
    operand: Operand
    field: Field
    place: Place
    read: bool
    write: bool
    save: Base | None
    effect: Effect
    condition: int
    unless: bool
    target: str | None
    link: bool
    back: bool


class Assembler:
    """Collects steps and names of places among them.

    Parameters
    ----------
    first: where the code begins; before it are the jumps of `entry`
    """

    def __init__(self, *, first: int):
        self._first = first
        self._steps: list[Step] = []
        self._labels: dict[str, int] = {}
        self._entries: dict[int, str] = {}

    def label(self, name: str) -> None:
        """The next step is called so."""
        if name in self._labels:
            raise ValueError(f"label of a step must be new, not {name!r} again")
        self._labels[name] = self._first + len(self._steps)

    def entry(self, number: int, name: str) -> None:
        """Step `number`, below `first`, goes to the label."""
        self._entries[number] = name

    def step(
        self,
        operation: Operation = Operation.KEEP,
        operand: Operand | Field = Operand.WORD,
        *,
        read: Place | None = None,
        write: Place | None = None,
        aim: Place | None = None,
        save: Base | None = None,
        effect: Effect = Effect.NONE,
        when: int | None = None,
        unless: int | None = None,
        to: str | None = None,
        call: str | None = None,
        back: bool = False,
    ) -> None:
        """A step that reads or writes a place, or only `aim`s at it to save it as a pointer.

        It goes to a label (`to`, or `call` to come back), or `back`, when a condition holds, unless
        it does, or without one always.
        """
        places = [place for place in (read, write, aim) if place is not None]
        if len(places) > 1:
            raise ValueError(f"a step must have one place at most, not {places}")
        found = operand if isinstance(operand, Field) else None
        goes = to or call or back
        condition = when if when is not None else unless
        if condition is None:
            condition = Condition.ALWAYS
            if write is not None and goes:
                raise ValueError(
                    f"a step that always goes elsewhere must write nothing, not {write}"
                )
        self._steps.append(
            Step(
                operation=operation,
                operand=Operand.FIELD if isinstance(operand, Field) else operand,
                field=found or Field.ROWS,
                place=places[0] if places else Place(Base.SCRATCH),
                read=read is not None,
                write=write is not None,
                save=save,
                effect=effect,
                condition=condition,
                # A step that goes nowhere never finds that always does not hold.
                unless=unless is not None or not goes,
                target=to or call,
                link=call is not None,
                back=back,
            )
        )

    def words(self) -> list[int]:
        """The code from step 0 on.

        Raises ValueError for a label that is nowhere, and for more than MOST_STEPS steps.
        """
        jumps = [self._jump(number) for number in range(self._first)]
        words = [*jumps, *(self._word(step) for step in self._steps)]
        if len(words) > MOST_STEPS:
            raise ValueError(f"steps of microcode must be at most {MOST_STEPS}, not {len(words)}")
        return words

    def _jump(self, number: int) -> int:
        """To the label; without one to nowhere, and the command is done."""
        step: dict[str, int] = {"effect": Effect.DONE}
        if number in self._entries:
            step = {"condition": Condition.ALWAYS, "target": self._target(self._entries[number])}
        return WORD.const(step).as_value().value

    def _target(self, label: str) -> int:
        if label not in self._labels:
            raise ValueError(f"label must be one of {', '.join(self._labels)}, not {label!r}")
        return self._labels[label]

    def _word(self, step: Step) -> int:
        if not 0 <= step.place.offset < 1 << OFFSET_BITS:
            raise ValueError(
                f"offset must be from 0 to {(1 << OFFSET_BITS) - 1}, not {step.place.offset}"
            )
        return (
            WORD.const(
                {
                    "base": step.place.base,
                    "offset": step.place.offset,
                    "word": step.place.word,
                    "tile": step.place.tile,
                    "read": step.read,
                    "write": step.write,
                    "save": step.save is not None,
                    "pointer": POINTERS.index(step.save) if step.save is not None else 0,
                    "operation": step.operation,
                    "operand": step.operand,
                    "field": step.field,
                    "effect": step.effect,
                    "condition": step.condition,
                    "unless": step.unless,
                    "link": step.link,
                    "back": step.back,
                    "target": self._target(step.target) if step.target else 0,
                }
            )
            .as_value()
            .value
        )
