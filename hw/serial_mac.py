"""L x B multiply-accumulates a cycle, whose sums wait to be taken one by one.

    left (L) ---+
                x--> accumulator --> select --> total
    right (B) --+

There is no drain: the sums are there until `clear`, and what reads them is in no hurry.
"""

from amaranth.hdl import Array, Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.accumulator import Accumulator
from hw.config import DeviceConfig
from hw.multiplier import Multiplier
from hw.tile_memory import words


class SerialMac(wiring.Component):
    """sum[i][j] = sum of left[i] * right[j] since `clear`, exact up to `DeviceConfig.max_depth`.

    Members
    -------
    valid: operands come; they count `LATENCY` cycles later
    clear: sums begin, with operands of this cycle at the earliest; LATENCY cycles or more after
        the last `valid`, whose sums can still be read in this cycle
    left, right: In, L and B words
    row, column: In, which sum is wanted
    total: Out, it, in the same cycle
    """

    LATENCY = Multiplier.LATENCY + Accumulator.LATENCY

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        super().__init__(
            {
                "valid": In(1),
                "clear": In(1),
                "left": In(words(config.lanes)),
                "right": In(words(config.batch_lanes)),
                "row": In(range(config.lanes)),
                "column": In(range(config.batch_lanes)),
                "total": Out(signed(config.accumulator_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        take, clear = Signal(Multiplier.LATENCY), Signal()
        m.d.sync += [take.eq(Cat(self.valid, take)), clear.eq(self.clear)]
        totals = []
        for i in range(self.config.lanes):
            for j in range(self.config.batch_lanes):
                m.submodules[f"accumulator_{i}_{j}"] = accumulator = Accumulator(
                    width=self.config.accumulator_width, family=self.config.family
                )
                m.d.comb += [
                    accumulator.a.eq(self.left[i]),
                    accumulator.b.eq(self.right[j]),
                    accumulator.take.eq(take[-1]),
                    accumulator.clear.eq(clear),
                ]
                totals.append(accumulator.total)
        m.d.comb += self.total.eq(Array(totals)[Cat(self.column, self.row)])
        return m
