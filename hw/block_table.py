"""Constants in block RAM, for one or two readers.

    addresses ---> block --[latch]--[output]-- words
"""

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.config import Family
from hw.ecp5_block import ADDRESS_BITS, Port, ecp5_block
from hw.numbers import WORD_BITS

MOST_WORDS = (1 << ADDRESS_BITS) // WORD_BITS
"""A block has two ports, but not the two blocks of a longer table together."""


class BlockTable(wiring.Component):
    """`constants`, of WORD_BITS; a word comes LATENCY cycles after its address.

    Parameters
    ----------
    constants: at most MOST_WORDS
    readers: 1 or 2
    family: "ecp5" for its block, with its output registers; any other leaves it to Yosys

    Members
    -------
    addresses: In, of each reader
    words: Out, of each reader
    """

    LATENCY = 2

    def __init__(
        self, constants: Sequence[int], *, readers: int = 1, family: Family = "behavioural"
    ):
        if not 1 <= len(constants) <= MOST_WORDS:
            raise ValueError(
                f"a table of a block must have 1 to {MOST_WORDS} constants, not {len(constants)}"
            )
        if readers not in (1, 2):
            raise ValueError(f"a table of a block must have 1 or 2 readers, not {readers}")
        self.constants = tuple(constants)
        self.readers = readers
        self.family = family
        super().__init__(
            {
                "addresses": In(ArrayLayout(range(len(constants)), readers)),
                "words": Out(ArrayLayout(WORD_BITS, readers)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.family == "ecp5":
            ports = [
                Port(self.addresses[reader], word=self.words[reader])
                for reader in range(self.readers)
            ]
            spare = [Port(Const(0, 1))] * (2 - self.readers)
            m.submodules.block = ecp5_block(
                *ports, *spare, bits=WORD_BITS, words=self.constants
            )
            return m
        m.submodules.memory = memory = Memory(
            shape=WORD_BITS,
            depth=len(self.constants),
            init=self.constants,
            attrs={"ram_style": "block"},
        )
        for reader in range(self.readers):
            port = memory.read_port()
            word = Signal(WORD_BITS, name=f"word_{reader}", reset_less=True)
            m.d.comb += [port.addr.eq(self.addresses[reader]), self.words[reader].eq(word)]
            m.d.sync += word.eq(port.data)
        return m
