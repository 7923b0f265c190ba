"""The layout of an instruction's bits, for the gateware; its fields are declared in `hw.isa`."""

from amaranth.lib import data

from hw.isa import FIELDS, INSTRUCTION_WORDS
from hw.numbers import WORD_BITS

INSTRUCTION = data.FlexibleLayout(
    INSTRUCTION_WORDS * WORD_BITS,
    {f.name: data.Field(f.width, f.word * WORD_BITS + f.low) for f in FIELDS},
)
