"""The tile of one tensor that a sample's words go to, without a multiplier.

    stride --> + --> stepped --> base, at the end of a batch tile
               ^        +-----> tile, at the end of a sample; + 1 at the end of a row
               base ----+

`stepped` is computed a cycle after `base`, long before it is needed.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class TileCursor(wiring.Component):
    """tile = (s // B) * stride + f // L for sample s, feature f, kept by counting.

    Parameters
    ----------
    tiles: tiles of a buffer

    Members
    -------
    stride: tiles from one batch tile to the next; steady from the last `restart` on
    restart: go to sample 0
    row_end: the word was the last one of its row, and more words of its sample follow
    sample_end, batch_tile_end: the word was the last one of its sample, of its batch tile; at
        least 2 cycles from one batch tile's end to the next, or from `restart`
    tile: where the next word goes
    outside: that is beyond the buffer, `tile` means nothing
    """

    def __init__(self, *, tiles: int):
        self._tiles = tiles
        super().__init__(
            {
                "stride": In(16),
                "restart": In(1),
                "row_end": In(1),
                "sample_end": In(1),
                "batch_tile_end": In(1),
                "tile": Out(range(tiles)),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = len(self.tile)
        base, base_outside = Signal(bits), Signal()
        stepped, stride_outside = Signal(bits + 1), Signal()
        m.d.sync += [
            stepped.eq(base + self.stride[:bits]),
            stride_outside.eq(self.stride[bits:].any()),
        ]
        next_base, next_outside = Signal(bits), Signal()
        m.d.comb += [next_base.eq(base), next_outside.eq(base_outside)]
        with m.If(self.batch_tile_end):
            m.d.comb += [
                next_base.eq(stepped),
                next_outside.eq(base_outside | stride_outside | (stepped >= self._tiles)),
            ]
        with m.If(self.sample_end):
            m.d.sync += [
                base.eq(next_base),
                base_outside.eq(next_outside),
                self.tile.eq(next_base),
                self.outside.eq(next_outside),
            ]
        with m.Elif(self.row_end):
            m.d.sync += self.tile.eq(self.tile + 1)
            with m.If(self.tile == self._tiles - 1):
                m.d.sync += self.outside.eq(1)
        with m.If(self.restart):
            m.d.sync += [base.eq(0), base_outside.eq(0), self.tile.eq(0), self.outside.eq(0)]
        return m
