"""L x B multiply-accumulates a cycle, and a drain that hands out tiles while the next accumulates.

    left (L) ---[operand]--[row's]--+
                                    x--[multiplier]--+--> sum --[drain]--> o_column (L), B in turn
    right (B) --[operand]--[row's]--+                |     |
                                                     +--[accumulator]   this and the product: L x B

The array is output-stationary: sum[i][j] = sum over a tile's cycles of left[i] * right[j]. With
the last product of a tile its sums go into the drain registers, of which column 0 is the output
and which shift by a column every `interval` cycles. The accumulators are cleared in the cycle
before a first product arrives, so that an addition is all there is in front of them.

What an element is to do, and its operands, come from registers that its row alone has: one for the
whole array would have places to reach in a cycle that are anywhere in a part.
"""

from collections.abc import Collection

from amaranth.hdl import Const, Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.activity import is_simulated, while_active
from hw.config import Family
from hw.fan_out import own_register
from hw.multiplier import Multiplier
from hw.numbers import WORD_BITS
from hw.tile_memory import words

INTERVALS = range(1, 8)
"""Cycles that a drained column may take."""

OPERAND_LATENCY = 2
"""Cycles that operands take to the multipliers."""


class ProcessingElement(wiring.Component):
    """total = accumulator + product, which the accumulator and the drain take.

    Members
    -------
    product: In, of two words
    clear: the accumulator becomes 0 instead of the total
    load: the drain takes the total with `copy`, the neighbour's sum without
    total, drain: Out, sums
    """

    def __init__(self, *, accumulator_width: int):
        accumulated = signed(accumulator_width)
        super().__init__(
            {
                "product": In(signed(2 * WORD_BITS)),
                "clear": In(1),
                "copy": In(1),
                "load": In(1),
                "neighbour": In(accumulated),
                "total": Out(accumulated),
                "drain": Out(accumulated),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        accumulator = Signal.like(self.total, reset_less=True)
        m.d.comb += self.total.eq(accumulator + self.product)
        m.d.sync += accumulator.eq(self.total)
        with m.If(self.clear):
            m.d.sync += accumulator.eq(0)
        drain = Signal.like(self.total, reset_less=True)
        m.d.comb += self.drain.eq(drain)
        with m.If(self.load):
            m.d.sync += drain.eq(Mux(self.copy, self.total, self.neighbour))
        return m


class MacArray(wiring.Component):
    """The outer-product sums of tiles, exact as long as depth <= `DeviceConfig.max_depth`.

    An operand pair is taken in every cycle with `valid`; cycles without it may come anywhere.
    The first column of a tile leaves `LATENCY` cycles after its `last`, column j
    j * interval cycles later. There is no back-pressure: from one `last` to the next there must be
    at least batch_lanes times the interval of the former, or columns are lost.

    Parameters
    ----------
    lanes: L, rows of the array
    batch_lanes: B, columns of the array
    accumulator_width: bits of an accumulator; `DeviceConfig.max_depth` says what depth it takes
    intervals: those that tiles have, from INTERVALS; where 1 is the only one, drain registers
        never wait and have no enable
    family: whose multipliers to instantiate

    Members
    -------
    valid: operands come
    first: with `valid`: they start a tile; what came since the tile before is dropped
    last: with `valid`: they end a tile, maybe one that they also start
    interval: with `last`: cycles for a drained column, one of `intervals`
    left: In, L words
    right: In, B words
    o_valid: a column comes, for one cycle
    o_index: which one, 0 first
    o_column: Out, its L sums; it stays for the tile's interval

    Attributes
    ----------
    LATENCY: cycles from `last` to the first `o_valid`
    """

    LATENCY = OPERAND_LATENCY + Multiplier.LATENCY + 1

    def __init__(
        self,
        *,
        lanes: int,
        batch_lanes: int,
        accumulator_width: int,
        intervals: Collection[int] = INTERVALS,
        family: Family = "behavioural",
    ):
        if not intervals or not set(intervals) <= set(INTERVALS):
            raise ValueError(
                f"intervals must be some of {INTERVALS.start} to {INTERVALS.stop - 1}, "
                f"not {intervals!r}"
            )
        for name, value in (("lanes", lanes), ("batch_lanes", batch_lanes)):
            if value < 1:
                raise ValueError(f"{name} of a MAC array must be at least 1, not {value}")
        if accumulator_width < 2 * WORD_BITS:
            raise ValueError(
                f"accumulator_width must hold a product of {2 * WORD_BITS} bits, "
                f"not {accumulator_width}"
            )
        self.lanes = lanes
        self.batch_lanes = batch_lanes
        self.accumulator_width = accumulator_width
        self.intervals = frozenset(intervals)
        self.family = family
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "interval": In(range(INTERVALS.stop)),
                "left": In(words(lanes)),
                "right": In(words(batch_lanes)),
                "o_valid": Out(1),
                "o_index": Out(range(batch_lanes)),
                "o_column": Out(data.ArrayLayout(signed(accumulator_width), lanes)),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        # Flags travel with the operands; the products of pair p are there with flags[-1] of p.
        flags = self._flags(m)
        step, draining = self._columns(m, flags[-2])
        products = self._products(m, *self._operands(m), platform)
        waits = self.intervals != {1}
        for i in range(self.lanes):
            clear = own_register(m, flags[-3].first, f"clear_{i}")
            copy = own_register(m, flags[-2].last, f"copy_{i}")
            load = Const(1, 1)
            if waits:
                load = own_register(m, flags[-2].last | step, f"load_{i}")
            row = [
                ProcessingElement(accumulator_width=self.accumulator_width)
                for _ in range(self.batch_lanes)
            ]
            for j, element in enumerate(row):
                m.submodules[f"element_{i}_{j}"] = element
                # What stands behind the last column never comes out.
                neighbour = row[j + 1].drain if j + 1 < len(row) else element.total
                m.d.comb += [
                    element.product.eq(products[i][j]),
                    element.clear.eq(clear),
                    element.copy.eq(copy),
                    element.load.eq(load),
                    element.neighbour.eq(neighbour),
                ]
            m.d.comb += self.o_column[i].eq(row[0].drain)
        active = self.valid | draining
        return while_active(m, active, platform, name="mac_array", after=self.LATENCY)

    def _flags(self, m: Module) -> list[data.View]:
        layout = data.StructLayout({"first": 1, "last": 1, "interval": self.interval.shape()})
        flags = []
        now = Signal(layout)
        m.d.comb += [
            now.first.eq(self.valid & self.first),
            now.last.eq(self.valid & self.last),
            now.interval.eq(self.interval),
        ]
        for stage in range(OPERAND_LATENCY + Multiplier.LATENCY):
            later = Signal(layout, name=f"flags_{stage}")
            m.d.sync += later.eq(now)
            flags.append(later)
            now = later
        return flags

    def _operands(self, m: Module) -> tuple[data.View, data.View]:
        left = Signal(self.left.shape(), reset_less=True)
        right = Signal(self.right.shape(), reset_less=True)
        m.d.sync += [left.eq(self.left), right.as_value().eq(0)]
        # A pair that is not valid adds a product of 0, which spares the accumulators an enable.
        with m.If(self.valid):
            m.d.sync += right.eq(self.right)
        return left, right

    def _products(
        self, m: Module, left: data.View, right: data.View, platform: object
    ) -> list[list[Value]]:
        """left[i] * right[j], 1 + Multiplier.LATENCY cycles later."""
        if is_simulated(platform):
            # The same from L + B registers a cycle of latency, where each product would need two.
            for _ in range(1 + Multiplier.LATENCY):
                before, (left, right) = (left, right), (Signal.like(left), Signal.like(right))
                m.d.sync += [left.eq(before[0]), right.eq(before[1])]
            return [[a * b for b in right] for a in left]
        products: list[list[Value]] = []
        for i in range(self.lanes):
            row = []
            a = own_register(m, left[i], f"left_{i}")
            for j in range(self.batch_lanes):
                multiplier = Multiplier(a_width=WORD_BITS, b_width=WORD_BITS, family=self.family)
                m.submodules[f"multiplier_{i}_{j}"] = multiplier
                b = own_register(m, right[j], f"right_{i}_{j}")
                m.d.comb += [multiplier.a.eq(a), multiplier.b.eq(b)]
                row.append(multiplier.product)
            products.append(row)
        return products

    def _columns(self, m: Module, flags: data.View) -> tuple[Signal, Signal]:
        """Number the drained columns and time them, from flags a cycle before the products.

        Returns the strobe after which the drain shifts, and whether there will be another one.
        """
        step, busy, loaded = Signal(), Signal(), Signal()
        index = Signal.like(self.o_index)
        interval, waiting = Signal(self.interval.shape()), Signal(self.interval.shape())
        m.d.comb += step.eq(busy & (waiting == 0))
        m.d.sync += [loaded.eq(flags.last | step), waiting.eq(waiting - 1)]
        m.d.sync += [self.o_valid.eq(loaded), self.o_index.eq(index)]
        with m.If(flags.last):
            m.d.sync += [
                busy.eq(self.batch_lanes > 1),
                index.eq(0),
                interval.eq(flags.interval - 1),
                waiting.eq(flags.interval - 1),
            ]
        with m.Elif(step):
            m.d.sync += [
                busy.eq(index != self.batch_lanes - 2),
                index.eq(index + 1),
                waiting.eq(interval),
            ]
        return step, busy
