"""Microcode: steps of a processor, each part of which a field of a word steers.

    place ---> address --> memory, in reading --> word --+
                 +--> pointer                            |
                                      operand <----------+-- product, random word, field, one
    sum <-- operation --- operand     +--> written, limited ...

A step does all that its word says at once, from what was there before it; `hw.spiking_processor`
is the machine. What is read is there in the next step, and for as long as no other one reads.
"""

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


def flag(which: int) -> int:
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
