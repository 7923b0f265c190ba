"""Chooses among values by a number, through a multiplexer of two for each bit that it takes."""

from collections.abc import Mapping
from typing import TypeVar

from amaranth.hdl import Mux, Value

Number = TypeVar("Number", bound=int)


def by_number(number: Value, values: Mapping[Number, Value]) -> Value:
    """The value at the place `number`, which is one of those that there are."""
    if len(values) == 1:
        return next(iter(values.values()))
    bit = max(values).bit_length() - 1
    while len({place >> bit & 1 for place in values}) == 1:
        bit -= 1
    halves = [
        by_number(number, {k: value for k, value in values.items() if k >> bit & 1 == half})
        for half in (0, 1)
    ]
    return Mux(number[bit], halves[1], halves[0])
