"""Block RAM whose words pass its output register: one component for every family.

    read_address ---> block --[latch]--[output]-- word
    write_* --------->

The twin serves simulation and the families whose blocks are left to Yosys.
"""

from typing import get_args

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib.memory import Memory

from hw.config import Family
from hw.ecp5_block import ADDRESS_BITS, WIDTHS, Port, ecp5_block
from hw.numbers import WORD_BITS


class BlockMemory:
    """`depth` words; a read and a write a cycle. No reset.

    A read sees the writes of the cycles before it; the word of a read of what is written in the
    same cycle is undefined. Words are 0 after configuration.

    Its two parts are for the modules that read and write, which may have clocks of their own in a
    simulation; both must be there.

    Parameters
    ----------
    depth: words
    family: "ecp5" for its blocks, as far as 16384 words; any other gets the twin

    Members
    -------
    read_address: the word that is read, in every cycle
    word: Out, `READ_LATENCY` cycles later
    write_enable, write_address, write_data: the word that is written

    Attributes
    ----------
    primitive: whether this memory is of the vendor's blocks
    """

    READ_LATENCY = 2

    def __init__(self, *, depth: int, family: Family = "behavioural"):
        if family not in get_args(Family):
            raise ValueError(f"family must be one of {', '.join(get_args(Family))}, not {family!r}")
        if depth < 1:
            raise ValueError(f"a block memory must have at least 1 word, not {depth}")
        self.depth = depth
        self.primitive = family == "ecp5" and depth <= 1 << ADDRESS_BITS
        self.read_address = Signal(range(depth))
        self.word = Signal(WORD_BITS, reset_less=True)
        self.write_enable = Signal()
        self.write_address = Signal(range(depth))
        self.write_data = Signal(WORD_BITS)
        # Without `no_rw_check` Yosys makes an access of the same word in the same cycle return the
        # old one, with 35 flip-flops and a comparator a bank. It looks for the attribute only where
        # it merges a register into an asynchronous port.
        self._twin = (
            None
            if self.primitive
            else Memory(
                shape=unsigned(WORD_BITS), depth=depth, init=[], attrs={"no_rw_check": 1}
            )
        )

    def reader(self) -> Module:
        """What reads, but for blocks, which are all in the writer."""
        m = Module()
        if self._twin is not None:
            port = self._twin.read_port(domain="comb")
            latch = Signal(WORD_BITS, reset_less=True)
            m.d.comb += port.addr.eq(self.read_address)
            m.d.sync += [latch.eq(port.data), self.word.eq(latch)]
        return m

    def writer(self) -> Module:
        """What writes, and the words."""
        m = Module()
        if self._twin is None:
            self._blocks(m)
            return m
        m.submodules.words = self._twin
        port = self._twin.write_port()
        m.d.comb += [
            port.addr.eq(self.write_address),
            port.data.eq(self.write_data),
            port.en.eq(self.write_enable),
        ]
        return m

    def _blocks(self, m: Module) -> None:
        """As few blocks as hold the words, each as many bits of all of them."""
        bits = max(bits for bits in WIDTHS if self.depth <= (1 << ADDRESS_BITS) // bits)
        for low in range(0, WORD_BITS, bits):
            some = slice(low, low + bits)
            write = Port(self.write_address, write=self.write_enable, data=self.write_data[some])
            read = Port(self.read_address, word=self.word[some])
            m.submodules[f"bits_{low}"] = ecp5_block(write, read, bits=bits)
