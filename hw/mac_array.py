"""L x B multiply-accumulates a cycle, and a drain that hands out tiles while the next accumulates.

    left (L) ---[operand]--+
                           x--[multiplier]--+--> sum --[drain]--> o_column (L), B in turn
    right (B) --[operand]--+                |     |
                                            +--[accumulator]     this and the sum L x B times

The array is output-stationary: sum[i][j] = sum over a tile's cycles of left[i] * right[j]. With
the last product of a tile its sums go into the drain registers, of which column 0 is the output
and which shift by a column every `interval` cycles. The accumulators are cleared in the cycle
before a first product arrives, so that an addition is all there is in front of them.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Family
from hw.multiplier import Multiplier
from hw.numbers import WORD_BITS
from hw.tile_memory import words

INTERVALS = range(1, 4)
"""Cycles that a drained column may take."""


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
    family: whose multipliers to instantiate

    Members
    -------
    valid: operands come
    first: with `valid`: they start a tile; what came since the tile before is dropped
    last: with `valid`: they end a tile, maybe one that they also start
    interval: with `last`: cycles for a drained column, from INTERVALS
    left: In, L words
    right: In, B words
    o_valid: a column comes, for one cycle
    o_index: which one, 0 first
    o_column: Out, its L sums; it stays for the tile's interval

    Attributes
    ----------
    LATENCY: cycles from `last` to the first `o_valid`
    """

    LATENCY = 1 + Multiplier.LATENCY + 1

    def __init__(
        self,
        *,
        lanes: int,
        batch_lanes: int,
        accumulator_width: int,
        family: Family = "behavioural",
    ):
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Flags travel with the operands; the products of pair p are there with flags[-1] of p.
        flags = self._flags(m)
        copy, step = Signal(), Signal()
        m.d.comb += copy.eq(flags[-1].last)
        self._columns(m, flags[-1], step)

        left, right = self._operands(m)
        for i in range(self.lanes):
            neighbour = None
            for j in reversed(range(self.batch_lanes)):
                neighbour = self._element(
                    m, i, j, left[i], right[j], flags[-2].first, copy, step, neighbour
                )
            m.d.comb += self.o_column[i].eq(neighbour)
        return m

    def _flags(self, m: Module) -> list[data.View]:
        layout = data.StructLayout({"first": 1, "last": 1, "interval": self.interval.shape()})
        flags = []
        now = Signal(layout)
        m.d.comb += [
            now.first.eq(self.valid & self.first),
            now.last.eq(self.valid & self.last),
            now.interval.eq(self.interval),
        ]
        for stage in range(1 + Multiplier.LATENCY):
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

    def _element(
        self,
        m: Module,
        i: int,
        j: int,
        left: Signal,
        right: Signal,
        clear: Signal,
        copy: Signal,
        step: Signal,
        neighbour: Signal | None,
    ) -> Signal:
        """Multiply, accumulate, drain; returns the drain register."""
        m.submodules[f"multiplier_{i}_{j}"] = multiplier = Multiplier(
            a_width=WORD_BITS, b_width=WORD_BITS, family=self.family
        )
        shape = signed(self.accumulator_width)
        total = Signal(shape, name=f"total_{i}_{j}")
        accumulator = Signal(shape, name=f"accumulator_{i}_{j}", reset_less=True)
        drain = Signal(shape, name=f"drain_{i}_{j}", reset_less=True)
        m.d.comb += [
            multiplier.a.eq(left),
            multiplier.b.eq(right),
            total.eq(accumulator + multiplier.product),
        ]
        m.d.sync += accumulator.eq(total)
        with m.If(clear):
            m.d.sync += accumulator.eq(0)
        with m.If(copy | step):
            m.d.sync += drain.eq(total if neighbour is None else Mux(copy, total, neighbour))
        return drain

    def _columns(self, m: Module, flags: data.View, step: Signal) -> None:
        """Number the drained columns and time them."""
        busy, waiting, interval = (
            Signal(),
            Signal(self.interval.shape()),
            Signal.like(self.interval),
        )
        m.d.comb += step.eq(busy & (waiting == 0))
        m.d.sync += [self.o_valid.eq(0), waiting.eq(waiting - 1)]
        with m.If(flags.last):
            m.d.sync += [
                busy.eq(self.batch_lanes > 1),
                self.o_valid.eq(1),
                self.o_index.eq(0),
                interval.eq(flags.interval - 1),
                waiting.eq(flags.interval - 1),
            ]
        with m.Elif(step):
            m.d.sync += [
                busy.eq(self.o_index != self.batch_lanes - 2),
                self.o_valid.eq(1),
                self.o_index.eq(self.o_index + 1),
                waiting.eq(interval),
            ]
