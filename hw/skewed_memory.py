"""The memories of a serial device: skewed tiles that are read by vectors and written by words.

    tile, index, column --> bank 0..L-1 --> words --> rotate by -(index + offset) --> operand
    tile, row, bank, data --> bank 0..L-1

The tiles lie as in `hw.tile_memory`. There is no register but the banks' own, and what
rotates their words is its reader's, who so has one rotation for several memories.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.numbers import WORD_BITS
from hw.tile_memory import words


class VectorRead(wiring.Signature):
    """Reads a row or a column of a tile, as its user sees it: everything out.

    Members
    -------
    tile: which tile
    index, column: which row or, with `column`, which column
    offset: which of its elements is to be the first one
    """

    def __init__(self, *, tiles: int, lanes: int):
        super().__init__(
            {
                "tile": Out(range(tiles)),
                "index": Out(range(lanes)),
                "column": Out(1),
                "offset": Out(range(lanes)),
            }
        )


class BankWrite(wiring.Signature):
    """Writes a word of a tile: `data` at `row` of bank `bank`, the sum of row and column."""

    def __init__(self, *, tiles: int, rows: int, lanes: int):
        super().__init__(
            {
                "enable": Out(1),
                "tile": Out(range(tiles)),
                "row": Out(range(rows)),
                "bank": Out(range(lanes)),
                "data": Out(WORD_BITS),
            }
        )


class SkewedMemory(wiring.Component):
    """`tiles` tiles of `rows` x `lanes` signed words over `lanes` banks of block RAM.

    A read and a write a cycle. Words that are written are there for the reads of the next cycle.
    Reading a word in the cycle that writes it is undefined.

    Parameters
    ----------
    tiles: number of tiles
    rows: R, a power of two up to `lanes`
    lanes: L, a power of two

    Members
    -------
    read: In(VectorRead)
    write: In(BankWrite)
    words: Out, what the banks hold, `READ_LATENCY` cycles after `read`: element i of the row or
        column is word (i + index) mod L
    """

    READ_LATENCY = 1

    def __init__(self, *, tiles: int, rows: int, lanes: int):
        self.tiles = tiles
        self.rows = rows
        self.lanes = lanes
        super().__init__(
            {
                "read": In(VectorRead(tiles=tiles, lanes=lanes)),
                "write": In(BankWrite(tiles=tiles, rows=rows, lanes=lanes)),
                "words": Out(words(lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row_bits, lane_bits = exact_log2(self.rows), exact_log2(self.lanes)
        for k in range(self.lanes):
            bank = Memory(
                shape=unsigned(WORD_BITS),
                depth=self.tiles * self.rows,
                init=[],
                attrs={"no_rw_check": 1},
            )
            m.submodules[f"bank_{k}"] = bank
            # An asynchronous port and its register: see hw.tile_memory for `no_rw_check`.
            read, write = bank.read_port(domain="comb"), bank.write_port()
            word = Signal(WORD_BITS, name=f"word_{k}", reset_less=True)
            row = Mux(self.read.column, k - self.read.index, self.read.index)[:row_bits]
            m.d.sync += word.eq(read.data)
            m.d.comb += [
                read.addr.eq(Cat(row, self.read.tile)),
                self.words[k].eq(word),
                write.addr.eq(Cat(self.write.row, self.write.tile)),
                write.data.eq(self.write.data),
                write.en.eq(self.write.enable & (self.write.bank == k)),
            ]
        assert lane_bits >= row_bits
        return m


def rotated(m: Module, memory: Value, shift: Value, count: int) -> list[Value]:
    """The first `count` of the words of a vector, in order; `shift` is index + offset."""
    lanes = len(memory) // WORD_BITS
    turned = [memory.word_select(i, WORD_BITS) for i in range(lanes)]
    for bit in range(exact_log2(lanes)):
        stage = []
        for i in range(lanes):
            word = Signal(WORD_BITS, name=f"rotated_{bit}_{i}")
            other = turned[(i + (1 << bit)) % lanes]
            m.d.comb += word.eq(Mux(shift[bit], other, turned[i]))
            stage.append(word)
        turned = stage
    return [turned[i].as_signed() for i in range(count)]
