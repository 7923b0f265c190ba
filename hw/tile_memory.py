"""A memory of skewed tiles: a row or a column of a tile every cycle, and no transposed copy.

    tile, index, column --[address]--> bank 0..L-1 --> rotate by -index --[data]-->
    data, mask -> rotate by +index --[banks' data, mask, address]--> bank 0..L-1

Element (r, c) of a tile of R x L words lies in bank (r + c) mod L at word tile * R + r (see
hw.layout). A row access reads word r of every bank, a column access word (k - c) mod L of bank k;
either way every bank is busy once, and element i comes from bank (i + index) mod L: one rotation
serves both. The host's accesses are rows of one word, so that the rotation selects their bank.
"""

from collections.abc import Collection, Sequence
from enum import Enum

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.activity import while_active
from hw.block_memory import BlockMemory
from hw.config import Family
from hw.fan_out import own_register
from hw.numbers import WORD_BITS


class Access(Enum):
    """What an access touches: all columns of one row, or all rows of one column."""

    ROW = "row"
    COLUMN = "column"


BOTH = (Access.ROW, Access.COLUMN)


def words(lanes: int) -> data.ArrayLayout:
    """A vector of `lanes` signed words, lane 0 lowest."""
    return data.ArrayLayout(signed(WORD_BITS), lanes)


class TileRead(wiring.Signature):
    """A read port, as its user sees it: everything out but `data`.

    Members
    -------
    enable: read for this port in this cycle; otherwise the host may
    tile: which tile
    index: which row or column
    column: 1 for a column access; ignored where the memory has only one kind
    data: the L words of the row, or the R words of the column (lanes R and up are undefined),
        `TileMemory.READ_LATENCY` cycles later
    """

    def __init__(self, *, tiles: int, lanes: int):
        super().__init__(
            {
                "enable": Out(1),
                "tile": Out(range(tiles)),
                "index": Out(range(lanes)),
                "column": Out(1),
                "data": In(words(lanes)),
            }
        )


class TileWrite(wiring.Signature):
    """A write port, as its user sees it: everything out.

    Members
    -------
    mask: lanes to write, bit i for element i; 0 for none, and then the host may write.
        Lanes R and up of a column must be 0
    tile, index, column: as for a read
    data: the words
    """

    def __init__(self, *, tiles: int, lanes: int):
        super().__init__(
            {
                "mask": Out(lanes),
                "tile": Out(range(tiles)),
                "index": Out(range(lanes)),
                "column": Out(1),
                "data": Out(words(lanes)),
            }
        )


class WordWrite(wiring.Signature):
    """Writes one word of a tile, as its user sees it: everything out.

    Members
    -------
    enable: write in this cycle
    tile, row, column: which word
    data: the word
    """

    def __init__(self, *, tiles: int, rows: int, lanes: int):
        super().__init__(
            {
                "enable": Out(1),
                "tile": Out(range(tiles)),
                "row": Out(range(rows)),
                "column": Out(range(lanes)),
                "data": Out(signed(WORD_BITS)),
            }
        )


class TileHost(wiring.Signature):
    """The host's port, as its user sees it: everything out but `read_data`.

    Members
    -------
    address: word * lanes + bank, below tiles * rows * lanes
    write_enable: write `write_data`, never in a cycle with a write of the device
    write_data: the word
    read_data: the word that was at `address` as many cycles ago as a read takes; undefined if the
        device read in that cycle
    """

    def __init__(self, *, tiles: int, rows: int, lanes: int):
        super().__init__(
            {
                "address": Out(range(tiles * rows * lanes)),
                "write_enable": Out(1),
                "write_data": Out(signed(WORD_BITS)),
                "read_data": In(signed(WORD_BITS)),
            }
        )


class TileMemory(wiring.Component):
    """`tiles` tiles of `rows` x `lanes` signed words over `lanes` banks of block RAM.

    One read and one write a cycle, each a row or a column, without stalls. A read sees the writes
    issued at least `WRITE_LATENCY` cycles before it. A read of a word that is written in the same
    cycle is undefined: the families differ, and simulation returns the old word.
    Words are 0 after configuration; a reset keeps them, but may lose the write of the cycle
    before it.

    Parameters
    ----------
    tiles: number of tiles, at least 1
    rows: R, a power of two from 2 to `lanes`
    lanes: L, a power of two
    reads, writes: the kinds of access that the device makes, one or both; with one only, the
        addresses of the other are not computed
    family: whose blocks to instantiate

    Members
    -------
    read: In(TileRead)
    write: In(TileWrite)
    host: In(TileHost); shares the banks' ports, of which the device has the first use to read
    """

    READ_LATENCY = 1 + BlockMemory.READ_LATENCY + 1
    WRITE_LATENCY = 1
    HOST_LATENCY = READ_LATENCY

    def __init__(
        self,
        *,
        tiles: int,
        rows: int,
        lanes: int,
        reads: Collection[Access] = BOTH,
        writes: Collection[Access] = BOTH,
        family: Family = "behavioural",
    ):
        for name, value, low, high in (("lanes", lanes, 2, 64), ("rows", rows, 2, lanes)):
            if not low <= value <= high or value & (value - 1):
                raise ValueError(
                    f"{name} of a tile memory must be a power of two from {low} to {high}, "
                    f"not {value}"
                )
        if tiles < 1:
            raise ValueError(f"tiles of a tile memory must be at least 1, not {tiles}")
        for name, kinds in (("reads", reads), ("writes", writes)):
            if not kinds or not set(kinds) <= set(BOTH):
                raise ValueError(
                    f"{name} of a tile memory must be one or both of Access.ROW and "
                    f"Access.COLUMN, not {kinds!r}"
                )
        self.tiles = tiles
        self.rows = rows
        self.lanes = lanes
        self.reads = frozenset(reads)
        self.writes = frozenset(writes)
        self.family = family
        super().__init__(
            {
                "read": In(TileRead(tiles=tiles, lanes=lanes)),
                "write": In(TileWrite(tiles=tiles, lanes=lanes)),
                "host": In(TileHost(tiles=tiles, rows=rows, lanes=lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.tiles * self.rows
        banks = [BlockMemory(depth=depth, family=self.family) for _ in range(self.lanes)]
        read, write = Module(), Module()
        self._read(read, banks)
        self._write(write, banks)
        reading, writing = self._accesses(m)
        m.submodules.read = while_active(
            read, reading, platform, name="read", after=self.READ_LATENCY
        )
        m.submodules.write = while_active(
            write, writing, platform, name="write", after=self.WRITE_LATENCY
        )
        return m

    def _accesses(self, m: Module) -> tuple[Value, Value]:
        """Whether there is a read, and a write.

        The host's read has no strobe: it is one when the address has moved, or the word may have.
        """
        address, wrote = Signal.like(self.host.address, name="address_before"), Signal()
        writing = self.write.mask.any() | self.host.write_enable
        m.d.sync += [address.eq(self.host.address), wrote.eq(writing)]
        moved = (self.host.address != address) | (wrote & ~writing)
        return self.read.enable | moved, writing

    def _read(self, m: Module, banks: list[BlockMemory]) -> None:
        places, shift = self._places(m, self.read, self.read.enable, self.reads)
        # The shift follows the words: into the address registers, and through the banks.
        for stage in range(1 + BlockMemory.READ_LATENCY):
            register = Signal(shift.shape(), name=f"read_shift_{stage}", reset_less=True)
            m.d.sync += register.eq(shift)
            shift = register
        for k, bank in enumerate(banks):
            m.submodules[f"bank_{k}"] = bank.reader()
            m.d.comb += bank.read_address.eq(own_register(m, places[k], f"read_place_{k}"))
        elements = Signal(self.lanes * WORD_BITS, reset_less=True)
        m.d.sync += elements.eq(Cat(_rotated_down([bank.word for bank in banks], shift)))
        m.d.comb += [
            self.read.data.as_value().eq(elements),
            self.host.read_data.eq(elements[:WORD_BITS]),
        ]

    def _write(self, m: Module, banks: list[BlockMemory]) -> None:
        # Asked of the host, since it takes long to know whether the device writes.
        busy = ~self.host.write_enable
        places, shift = self._places(m, self.write, busy, self.writes)
        elements = [Cat(self.write.data[i], self.write.mask[i]) for i in range(self.lanes)]
        elements[0] = Mux(busy, elements[0], Cat(self.host.write_data, Const(1, 1)))
        rotated = _rotated_down(elements[::-1], shift)[::-1]
        for k, bank in enumerate(banks):
            m.submodules[f"bank_{k}"] = bank.writer()
            place = own_register(m, places[k], f"write_place_{k}")
            word = Signal(WORD_BITS, name=f"write_word_{k}", reset_less=True)
            enable = Signal(name=f"write_enable_{k}")
            m.d.sync += Cat(word, enable).eq(rotated[k])
            m.d.comb += [
                bank.write_address.eq(place),
                bank.write_data.eq(word),
                bank.write_enable.eq(enable),
            ]

    def _places(
        self,
        m: Module,
        port: wiring.PureInterface,
        busy: Value,
        kinds: frozenset[Access],
    ) -> tuple[list[Value], Signal]:
        """Every bank's word for the device's access, or for the host's, and the rotation."""
        lane_bits, row_bits = exact_log2(self.lanes), exact_log2(self.rows)
        bank, row = self.host.address[:lane_bits], self.host.address[lane_bits:][:row_bits]
        tile = Mux(busy, port.tile, self.host.address[lane_bits + row_bits :])
        row = Mux(busy, port.index[:row_bits], row)
        shift = Signal(lane_bits)
        m.d.comb += shift.eq(Mux(busy, port.index, bank))
        column = busy & port.column if kinds == frozenset(BOTH) else busy
        if kinds == {Access.ROW}:
            return [Cat(row, tile)] * self.lanes, shift
        rows = [Mux(column, (k - port.index)[:row_bits], row) for k in range(self.lanes)]
        return [Cat(row, tile) for row in rows], shift


def _rotated_down(elements: Sequence[Value], shift: Value) -> list[Value]:
    """Element (i + shift) mod L in place i, by a 2:1 multiplexer for every bit of the shift."""
    for bit in range(len(shift)):
        turned = [*elements[1 << bit :], *elements[: 1 << bit]]
        elements = [Mux(shift[bit], a, b) for a, b in zip(turned, elements, strict=True)]
    return list(elements)
