"""Block RAM whose words pass its output register: one component for every family.

    read_address ---> block --[latch]--[output]-- word
    write_* --------->

A block of an ECP5 shows its word 5.8 ns after the clock, its output register after 0.95 ns. Yosys
does not take that register for one of a design (YosysHQ/yosys issue 5814), so the vendor's
primitive is instantiated. The twin serves simulation and the other families.
"""

from typing import get_args

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value, unsigned
from amaranth.lib.memory import Memory
from amaranth.utils import exact_log2

from hw.config import Family
from hw.numbers import WORD_BITS

ADDRESS_BITS = 14
"""Of an ECP5's block, which has 16384 words of a bit, or as many fewer as they are wider."""

WIDTHS = {16: 18, 8: 9, 4: 4, 2: 2, 1: 1}
"""Bits of a word that a block can hold, and what its width is then called."""


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
            m.submodules[f"bits_{low}"] = _dp16kd(
                bits,
                (self.write_address, self.write_enable, self.write_data[low : low + bits]),
                (self.read_address, self.word[low : low + bits]),
            )


def _dp16kd(bits: int, write: tuple[Value, Value, Value], read: tuple[Value, Value]) -> Instance:
    """ECP5: Lattice FPGA-TN-02204 (memory usage guide). It writes by port A and reads by port B.

    Where words have 18 bits the lowest bits of an address enable bytes of them.
    """
    address, enable, data = write
    width = WIDTHS[bits]
    bytes_enabled = Const(0b11 if width == 18 else 0, exact_log2(bits))
    zeros = Const(0, ADDRESS_BITS)
    return Instance(
        "DP16KD",
        p_DATA_WIDTH_A=width,
        p_DATA_WIDTH_B=width,
        p_REGMODE_A="NOREG",
        p_REGMODE_B="OUTREG",
        p_WRITEMODE_A="NORMAL",
        p_WRITEMODE_B="NORMAL",
        p_GSR="DISABLED",
        i_CLKA=ClockSignal(),
        i_CLKB=ClockSignal(),
        i_CEA=Const(1, 1),
        i_CEB=Const(1, 1),
        i_OCEA=Const(1, 1),
        i_OCEB=Const(1, 1),
        i_WEA=enable,
        i_WEB=Const(0, 1),
        i_RSTA=Const(0, 1),
        i_RSTB=Const(0, 1),
        **_bits("i_CSA", Const(0, 3)),
        **_bits("i_CSB", Const(0, 3)),
        **_bits("i_ADA", Cat(bytes_enabled, address, zeros)[:ADDRESS_BITS]),
        **_bits("i_ADB", Cat(bytes_enabled, read[0], zeros)[:ADDRESS_BITS]),
        **_bits("i_DIA", data),
        **_bits("o_DOB", read[1]),
    )


def _bits(prefix: str, value: Value) -> dict[str, object]:
    """Ports of single bits, as Lattice names them: ADA0, ADA1, ..."""
    return {f"{prefix}{i}": value[i] for i in range(len(value))}
