"""Adds the gradients of several batches: what GRADIENT does with a column of the array's sums.

    columns ------------------> + --> saturate --+--> columns
                                ^      or not    |
    GRADIENT --read, where add--+                +--> GRADIENT, where hold

The sums are those of products, at the products' own binary point: they are exact, as long as they
fit 32 bits, and narrowed only once, when the last batch's have been added.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.activation import limit, pipeline
from hw.config import DeviceConfig
from hw.numbers import SUM_BITS
from hw.saturation import ones
from hw.sum_memory import SumMemory, SumRead, SumWrite


class GradientSums(wiring.Component):
    """total = saturate(product + stored, SUM_BITS) of L lanes, each of both or 0; or the product.

    A column may come in every cycle. Its totals are there, and GRADIENT is written, LATENCY cycles
    later, whatever is done with it; nothing holds it back. A column that is written can be read
    WRITE_LATENCY cycles after that.

    Parameters
    ----------
    config: sizes, with `accumulation`

    Members
    -------
    valid: In, a column comes
    product: In, take its sums; otherwise 0
    stored: In, add those of GRADIENT
    hold: In, write the totals there
    mask: In, lanes that are written and counted
    tile, index: In, where in GRADIENT
    column: In, L sums of the array
    read, write: to the memory
    totals: Out, saturated where `stored` or `hold`
    saturations: Out, how many of the mask's lanes were

    Attributes
    ----------
    LATENCY: cycles from a column to its totals
    """

    ADD = SumMemory.READ_LATENCY
    """The cycle of a column in which the stored sums are there."""
    LATENCY = ADD + 2

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        tiles, lanes = config.weight_tiles, config.lanes
        columns = data.ArrayLayout(signed(config.accumulator_width), lanes)
        read = SumRead(tiles=tiles, lanes=lanes)
        super().__init__(
            {
                "valid": In(1),
                "product": In(1),
                "stored": In(1),
                "hold": In(1),
                "mask": In(lanes),
                "tile": In(read.members["tile"].shape),
                "index": In(read.members["index"].shape),
                "column": In(columns),
                "read": Out(read),
                "write": Out(SumWrite(tiles=tiles, lanes=lanes)),
                "totals": Out(columns),
                "saturations": Out(range(lanes + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid = Signal(self.LATENCY)
        m.d.sync += valid.eq(Cat(self.valid, valid))
        m.d.comb += [
            self.read.enable.eq(self.valid & self.stored),
            self.read.tile.eq(self.tile),
            self.read.index.eq(self.index),
        ]
        stored = pipeline(m, self.stored, self.ADD, "stored")[-1]
        product = pipeline(m, self.product, self.ADD, "product")[-1]
        bounded = pipeline(m, self.stored | self.hold, self.ADD + 1, "bounded")[-1]
        held = pipeline(m, self.hold, self.LATENCY, "held")[-1]
        mask = pipeline(m, self.mask, self.LATENCY, "mask")[-1]
        over: list[Value] = []
        for lane in range(self.config.lanes):
            total, exceeds = self._total(m, lane, product, stored, bounded)
            over.append(exceeds)
            m.d.comb += [
                self.totals[lane].eq(total),
                self.write.sums[lane].eq(total[:SUM_BITS]),
            ]
        m.d.comb += [
            self.saturations.eq(ones(Cat(over) & mask)),
            self.write.mask.eq(Mux(valid[-1] & held, mask, 0)),
            self.write.tile.eq(pipeline(m, self.tile, self.LATENCY, "tile")[-1]),
            self.write.index.eq(pipeline(m, self.index, self.LATENCY, "index")[-1]),
        ]
        return m

    def _total(
        self, m: Module, lane: int, product: Value, stored: Value, bounded: Value
    ) -> tuple[Value, Value]:
        """A lane's total, and whether it was saturated, LATENCY cycles after its sum."""
        width = self.config.accumulator_width
        column = pipeline(m, self.column[lane], self.ADD, f"column_{lane}")[-1]
        total = Signal(signed(width + 1), name=f"sum_{lane}", reset_less=True)
        m.d.sync += total.eq(
            Mux(product, column, 0).as_signed() + Mux(stored, self.read.sums[lane], 0).as_signed()
        )
        word, exceeds = limit(total, SUM_BITS)
        result = Signal(signed(width), name=f"total_{lane}", reset_less=True)
        over = Signal(name=f"over_{lane}", reset_less=True)
        m.d.sync += [
            result.eq(Mux(bounded, word, total)),
            over.eq(bounded & exceeds),
        ]
        return result, over
