"""The GRADIENT memory: a sum of 32 bits for each weight, in two tile memories of 16-bit words.

    column of L sums --+-- low halves ----> tile memory --+--> column of L sums
                       +-- high halves ---> tile memory --+
    host's word, even: a low half, odd: a high half
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Family
from hw.numbers import SUM_BITS, WORD_BITS
from hw.tile_memory import Access, TileHost, TileMemory

HALVES = SUM_BITS // WORD_BITS


def sums(lanes: int) -> data.ArrayLayout:
    """A vector of `lanes` sums, lane 0 lowest."""
    return data.ArrayLayout(signed(SUM_BITS), lanes)


class SumRead(wiring.Signature):
    """Reads a column of a tile, as its user sees it.

    Members
    -------
    enable: read in this cycle; otherwise the host may
    tile, index: the tile, and the column in it
    sums: its L sums, `SumMemory.READ_LATENCY` cycles later
    """

    def __init__(self, *, tiles: int, lanes: int):
        super().__init__(
            {
                "enable": Out(1),
                "tile": Out(range(tiles)),
                "index": Out(range(lanes)),
                "sums": In(sums(lanes)),
            }
        )


class SumWrite(wiring.Signature):
    """Writes a column of a tile, as its user sees it.

    Members
    -------
    mask: lanes to write; 0 for none, and then the host may write
    tile, index: the tile, and the column in it
    sums: L sums
    """

    def __init__(self, *, tiles: int, lanes: int):
        super().__init__(
            {
                "mask": Out(lanes),
                "tile": Out(range(tiles)),
                "index": Out(range(lanes)),
                "sums": Out(sums(lanes)),
            }
        )


class SumMemory(wiring.Component):
    """`tiles` tiles of L x L sums; see `hw.tile_memory.TileMemory`, whose latencies are these.

    Parameters
    ----------
    tiles: of the WEIGHT memory
    lanes: L
    family: whose blocks to instantiate

    Members
    -------
    read: In(SumRead)
    write: In(SumWrite)
    host: In(TileHost); the word at 2 a + h is the half h of the sum that belongs to the word a of
        WEIGHT
    """

    READ_LATENCY = TileMemory.READ_LATENCY
    WRITE_LATENCY = TileMemory.WRITE_LATENCY

    def __init__(self, *, tiles: int, lanes: int, family: Family = "behavioural"):
        self.tiles = tiles
        self.lanes = lanes
        self.family = family
        super().__init__(
            {
                "read": In(SumRead(tiles=tiles, lanes=lanes)),
                "write": In(SumWrite(tiles=tiles, lanes=lanes)),
                "host": In(TileHost(tiles=HALVES * tiles, rows=lanes, lanes=lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Which half the host's word is of, until the word is there.
        chosen = Signal(TileMemory.HOST_LATENCY)
        m.d.sync += chosen.eq(Cat(self.host.address[0], chosen))
        halves = []
        for half, name in enumerate(("low", "high")):
            m.submodules[name] = memory = TileMemory(
                tiles=self.tiles,
                rows=self.lanes,
                lanes=self.lanes,
                reads=(Access.COLUMN,),
                writes=(Access.COLUMN,),
                family=self.family,
            )
            m.d.comb += [
                memory.read.enable.eq(self.read.enable),
                memory.read.tile.eq(self.read.tile),
                memory.read.index.eq(self.read.index),
                memory.write.mask.eq(self.write.mask),
                memory.write.tile.eq(self.write.tile),
                memory.write.index.eq(self.write.index),
                memory.host.address.eq(self.host.address[1:]),
                memory.host.write_enable.eq(
                    self.host.write_enable & (self.host.address[0] == half)
                ),
                memory.host.write_data.eq(self.host.write_data),
            ]
            for lane in range(self.lanes):
                word = self.write.sums[lane].as_unsigned().word_select(half, WORD_BITS)
                m.d.comb += memory.write.data[lane].eq(word)
            halves.append(memory)
        low, high = halves
        for lane in range(self.lanes):
            m.d.comb += self.read.sums[lane].eq(Cat(low.read.data[lane], high.read.data[lane]))
        m.d.comb += self.host.read_data.eq(
            Mux(chosen[-1], high.host.read_data, low.host.read_data)
        )
        return m
