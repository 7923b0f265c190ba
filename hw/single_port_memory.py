"""A skewed memory of single ports: the large memories of an iCE40 UltraPlus, and their twin.

    tile, index, column --> bank 0..L-1 --> words
    bank, data ---------------^

A bank is a block of 256 kbit, which reads a word or writes one in a cycle. Whoever writes a word of
a serial device has just read it, at the same address: that of the read is the only one there is.
"""

from typing import get_args

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import SPRAM_WORDS, Family
from hw.numbers import WORD_BITS
from hw.skewed_memory import BankWrite, VectorRead
from hw.tile_memory import words

SPRAM_NIBBLES = 4
"""Parts of a word that have a write enable of their own."""


class SinglePortMemory(wiring.Component):
    """`tiles` tiles of `rows` x `lanes` signed words over `lanes` banks that read or write.

    As `SkewedMemory`, but for what a write asks: in its cycle `read` must ask for the row that
    it is in, so that `write.tile` and `write.row` tell nothing new. The words of that read are
    undefined. Words that were never written are undefined too; in a simulation they are 0.

    Parameters
    ----------
    tiles: number of tiles
    rows: R, a power of two up to `lanes`
    lanes: L, a power of two
    family: "ice40" for a block of SPRAM a bank; any other gets the twin, of the same timing

    Members
    -------
    read: In(VectorRead)
    write: In(BankWrite)
    words: Out, what the banks hold, `READ_LATENCY` cycles after `read`: element i of the row or
        column is word (i + index) mod L

    Raises ValueError where a bank of SPRAM is too small.
    """

    READ_LATENCY = 1

    def __init__(self, *, tiles: int, rows: int, lanes: int, family: Family = "behavioural"):
        if family not in get_args(Family):
            raise ValueError(f"family must be one of {', '.join(get_args(Family))}, not {family!r}")
        if family == "ice40" and tiles * rows > SPRAM_WORDS:
            raise ValueError(
                f"a bank of SPRAM must have at most {SPRAM_WORDS} words, not {tiles} tiles of "
                f"{rows} rows"
            )
        self.tiles = tiles
        self.rows = rows
        self.lanes = lanes
        self.family = family
        super().__init__(
            {
                "read": In(VectorRead(tiles=tiles, lanes=lanes)),
                "write": In(BankWrite(tiles=tiles, rows=rows, lanes=lanes)),
                "words": Out(words(lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for k in range(self.lanes):
            row = Mux(self.read.column, k - self.read.index, self.read.index)
            address = Cat(row[: exact_log2(self.rows)], self.read.tile)
            enable = self.write.enable & (self.write.bank == k)
            if self.family == "ice40":
                m.submodules[f"bank_{k}"] = _spram(
                    address, enable, self.write.data, self.words[k]
                )
            else:
                self._twin(m, k, address, enable)
        return m

    def _twin(self, m: Module, k: int, address: Value, enable: Value) -> None:
        bank = Memory(
            shape=unsigned(WORD_BITS),
            depth=self.tiles * self.rows,
            init=[],
            attrs={"no_rw_check": 1},
        )
        m.submodules[f"bank_{k}"] = bank
        read, write = bank.read_port(domain="comb"), bank.write_port()
        word = Signal(WORD_BITS, name=f"word_{k}", reset_less=True)
        m.d.sync += word.eq(read.data)
        m.d.comb += [
            read.addr.eq(address),
            write.addr.eq(address),
            write.data.eq(self.write.data),
            write.en.eq(enable),
            self.words[k].eq(word),
        ]


def _spram(address: Value, enable: Value, data: Value, word: Value) -> Instance:
    """iCE40 UltraPlus: Lattice TN1314 (SPRAM usage guide). POWEROFF is low active."""
    return Instance(
        "SB_SPRAM256KA",
        i_ADDRESS=Cat(address, Const(0, exact_log2(SPRAM_WORDS) - len(address))),
        i_DATAIN=data,
        i_MASKWREN=Const(-1, SPRAM_NIBBLES),
        i_WREN=enable,
        i_CHIPSELECT=Const(1, 1),
        i_CLOCK=ClockSignal(),
        i_STANDBY=Const(0, 1),
        i_SLEEP=Const(0, 1),
        i_POWEROFF=Const(1, 1),
        o_DATAOUT=word,
    )
