"""The host's way to registers and memories, and what it may touch.

region, address, words --> end of the access -+
region ------------------> words of the region +--> illegal
"""

from collections.abc import Mapping

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig
from hw.isa import ADDRESS_BYTES, Region
from hw.numbers import WORD_BITS

WORD_BYTES = WORD_BITS // 8
WORD_ADDRESS_BITS = 8 * (ADDRESS_BYTES - 1)

ALWAYS_OPEN = (Region.REGISTERS, Region.COUNTERS)
"""Regions that answer while a program runs."""
READ_ONLY = (Region.COUNTERS,)


class HostBus(wiring.Signature):
    """Reads and writes words, one at a time.

    Members
    -------
    region, address: of the word to write or to read
    write_enable, write_data: write the word in this cycle
    read_enable: read it; its value is on `read_data` a fixed number of cycles later, the link's
        `read_latency` (1: a synchronous memory without further registers), for one cycle
    """

    def __init__(self):
        super().__init__(
            {
                "region": Out(8),
                "address": Out(WORD_ADDRESS_BITS),
                "write_enable": Out(1),
                "write_data": Out(WORD_BITS),
                "read_enable": Out(1),
                "read_data": In(WORD_BITS),
            }
        )


class BoundCheck(wiring.Component):
    """Whether words from an address on are all in a region, `LATENCY` cycles later.

    Parameters
    ----------
    config: the device's configuration
    regions: words of each region; a region of no words, or missing, does not exist

    Attributes
    ----------
    address_bits: bits that the address of any word that exists fits in

    Members
    -------
    region, address, words: of the access; words may be 0, then `address` may be the region's end
    write: whether it writes
    illegal: it leaves the region, or may not write there
    open: the region answers while a program runs
    """

    LATENCY = 2

    def __init__(self, *, config: DeviceConfig, regions: Mapping[Region, int]):
        self._regions = {region: words for region, words in regions.items() if words}
        self.address_bits = min(WORD_ADDRESS_BITS, max(self._regions.values()).bit_length())
        super().__init__(
            {
                "region": In(max(Region).bit_length()),
                "address": In(self.address_bits),
                "words": In(range(config.frame_payload // WORD_BYTES + 1)),
                "write": In(1),
                "illegal": Out(1),
                "open": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        end = Signal(max(len(self.address), len(self.words)) + 1)
        limit = Signal(range(max(self._regions.values()) + 1))
        refused = Signal()
        m.d.sync += [
            end.eq(self.address + self.words),
            limit.eq(0),
            refused.eq(1),
            self.open.eq(0),
            self.illegal.eq((end > limit) | refused),
        ]
        with m.Switch(self.region):
            for region, words in self._regions.items():
                with m.Case(region):
                    m.d.sync += [
                        limit.eq(words),
                        refused.eq((region in READ_ONLY) & self.write),
                        self.open.eq(region in ALWAYS_OPEN),
                    ]
        return m
