"""What every unit does to sums that may not fit a word, and how it counts them."""

from amaranth.hdl import Cat, Mux, Value

from hw.numbers import WORD_BITS


def limited(value: Value) -> tuple[Value, Value]:
    """A signed value saturated to a word, and whether it was."""
    sign = value[-1]
    over = (value[WORD_BITS - 1 : -1] ^ sign.replicate(len(value) - WORD_BITS)).any()
    limit = Cat((~sign).replicate(WORD_BITS - 1), sign)
    return Mux(over, limit, value[:WORD_BITS]).as_signed(), over


def ones(bits: Value) -> Value:
    """How many bits are 1."""
    return sum(bits[1:], bits[0])
