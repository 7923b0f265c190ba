"""What the units of the spiking half have in common: the ports of their memories, and their spikes.

    instruction, parameters, start --> unit --> done
                  STATE, EVENTS, WEIGHT, INPUT <--> unit --> spikes --> recorder --> EVENTS

One command runs at a time. Its unit gets the instruction and the block of parameters, which hold
still from `start` to `done`, and alone uses the memories meanwhile; a unit that does not run drives
all enables with 0.
"""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.config import DeviceConfig
from hw.instruction import INSTRUCTION
from hw.layout import tiles
from hw.numbers import WORD_BITS
from hw.spiking import PARAMETER_WORDS
from hw.tile_memory import words

STATE_LATENCY = 2
"""Cycles from a read of STATE to its words; a write can be read in the next cycle."""

EVENT_LATENCY = 2
"""Cycles from an address in EVENTS to its word; likewise."""

PARAMETERS = data.ArrayLayout(signed(WORD_BITS), PARAMETER_WORDS)
"""A block of parameters, by the numbers of `hw.spiking`."""


class StateRead(wiring.Signature):
    """Reads a row of STATE, as its user sees it; `data` comes STATE_LATENCY cycles later."""

    def __init__(self, config: DeviceConfig):
        super().__init__(
            {
                "enable": Out(1),
                "row": Out(range(config.state_rows)),
                "data": In(words(config.lanes)),
            }
        )


class StateWrite(wiring.Signature):
    """Writes a row of STATE, all lanes of it, as its user sees it."""

    def __init__(self, config: DeviceConfig):
        super().__init__(
            {
                "enable": Out(1),
                "row": Out(range(config.state_rows)),
                "data": Out(words(config.lanes)),
            }
        )


class EventRead(wiring.Signature):
    """Reads a word of EVENTS, as its user sees it; `data` comes EVENT_LATENCY cycles later."""

    def __init__(self, config: DeviceConfig):
        super().__init__(
            {
                "enable": Out(1),
                "address": Out(range(config.event_words)),
                "data": In(unsigned(WORD_BITS)),
            }
        )


class EventWrite(wiring.Signature):
    """Writes a word of EVENTS, as its user sees it."""

    def __init__(self, config: DeviceConfig):
        super().__init__(
            {
                "enable": Out(1),
                "address": Out(range(config.event_words)),
                "data": Out(unsigned(WORD_BITS)),
            }
        )


def tile_bits(config: DeviceConfig) -> int:
    """Bits of the number of a tile of L neurons."""
    return max(1, ceil_log2(tiles(1 << WORD_BITS, config.lanes)))


def spike_tile(config: DeviceConfig) -> data.StructLayout:
    """Which neurons of a tile fire: bit k of `mask` is neuron L tile + k.

    Tiles come in order, also those without spikes, and `last` comes with the last one.
    """
    return data.StructLayout({"tile": tile_bits(config), "mask": config.lanes, "last": 1})


class Command(wiring.Signature):
    """Starts a unit, as the one that starts it sees it.

    Members
    -------
    start: a strobe
    instruction, parameters: from the cycle of `start` to that of `done`
    done: a strobe, not before the cycle after `start`: all reads of the next cycles see what the
        unit has written
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": Out(1),
                "instruction": Out(INSTRUCTION),
                "parameters": Out(PARAMETERS),
                "done": In(1),
            }
        )
