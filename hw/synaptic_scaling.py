"""The factor that SCALE multiplies a row by, from its magnitudes or squares, digit by digit.

    products --> sum of L --> + --> total --> root, 2 bits a digit --+
                              ^       |                              v
                              +-------+      NORM << shift ------> divide --> factor

`sim.golden.spiking` is the arithmetic. Root and quotient are found by the same subtraction, of a
trial in one cycle and by its sign in the next one.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.config import DeviceConfig
from hw.integrator import SHIFT_BITS
from hw.numbers import WORD_BITS, WORD_MAX
from hw.spiking import SCALE_FRACTION_BITS
from hw.synapse_lane import PRODUCT_BITS

QUOTIENT_BITS = SCALE_FRACTION_BITS + 2
"""Digits that are found: those of a factor below 2, and one more that tells if it is not."""


def _longest(config: DeviceConfig) -> int:
    """A row is not longer than 2 to so many."""
    return ceil_log2(config.weight_tiles * config.lanes)


def _root_bits(config: DeviceConfig) -> int:
    """Digits of the root of a sum of squares."""
    return (PRODUCT_BITS - 1 + _longest(config) + 1) // 2


def empty_cycles(config: DeviceConfig) -> int:
    """Cycles from a row's last products to `done` where the norm is 0."""
    return exact_log2(config.lanes) + 1


def factor_cycles(config: DeviceConfig, *, euclidean: bool, shift: int) -> int:
    """Cycles from a row's last products to its factor."""
    root = 2 * _root_bits(config) * euclidean
    return empty_cycles(config) + root + 1 + shift + 1 + 2 * QUOTIENT_BITS + 1


class RowFactor(wiring.Component):
    """factor = min(32767, (wanted << shift + 14) // norm), 0 where wanted < 0.

    norm is the sum of all products since the last factor, or with `euclidean` floor(sqrt(sum)).

    Parameters
    ----------
    config: the device's configuration; a row is at most as long as all tiles of WEIGHT

    Members
    -------
    take, products: L products, of which none is negative
    last: with `take`: they are the last ones
    euclidean, wanted, shift: hold still from `last` to `done`
    done: a strobe, `factor_cycles` after `last`, or `empty_cycles` where the norm is 0
    empty: with `done`: the norm is 0, and there is no factor
    factor: with `done`, and until the next `last`
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self._depth = exact_log2(config.lanes)
        self._root_bits = _root_bits(config)
        self._norm_bits = max(self._root_bits, WORD_BITS + _longest(config))
        super().__init__(
            {
                "take": In(1),
                "products": In(data.ArrayLayout(signed(PRODUCT_BITS), config.lanes)),
                "last": In(1),
                "euclidean": In(1),
                "wanted": In(signed(WORD_BITS)),
                "shift": In(SHIFT_BITS),
                "done": Out(1),
                "empty": Out(1),
                "factor": Out(signed(WORD_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        added, last, amount = self._tree(m)
        total = Signal(2 * self._root_bits, name="norm")
        with m.If(added):
            m.d.sync += total.eq(total + amount)
        self._find(m, total, added & last)
        return m

    def _tree(self, m: Module) -> tuple[Value, Value, Value]:
        """The sum of L products, a level a cycle, with what has come with them."""
        take, last = self.take, self.last
        # A product's sign is 0.
        level: list[Value] = [self.products[k][:-1] for k in range(self.config.lanes)]
        for depth in range(self._depth):
            sums = []
            for k, (a, b) in enumerate(zip(level[::2], level[1::2], strict=True)):
                added = Signal(unsigned(len(a) + 1), name=f"sum_{depth}_{k}", reset_less=True)
                m.d.sync += added.eq(a + b)
                sums.append(added)
            taken, ended = Signal(name=f"take_{depth}"), Signal(name=f"last_{depth}")
            m.d.sync += [taken.eq(take), ended.eq(last)]
            take, last, level = taken, ended, sums
        return take, last, level[0]

    def _find(self, m: Module, total: Signal, complete: Value) -> None:
        """The root and the quotient; `divisor` is the root, or the sum itself."""
        divisor = Signal(self._norm_bits, name="divisor", reset_less=True)
        remainder = Signal(self._norm_bits + 2, name="remainder", reset_less=True)
        trial = Signal(signed(self._norm_bits + 4), name="trial", reset_less=True)
        quotient = Signal(QUOTIENT_BITS, name="quotient", reset_less=True)
        steps = Signal(max(SHIFT_BITS, self._root_bits.bit_length()), name="steps", reset_less=True)
        rooting, over = Signal(name="rooting"), Signal(name="over")
        minuend = Signal(self._norm_bits + 3, name="minuend")
        m.d.comb += [
            minuend.eq(Mux(rooting, Cat(total[-2:], remainder), remainder << 1)),
            self.factor.eq(Mux(over | quotient[-1], WORD_MAX, quotient[:-1])),
        ]
        with m.FSM():
            with m.State("SUM"):
                with m.If(complete):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += [self.empty.eq(~total.any()), self.done.eq(self.empty)]
                m.d.sync += [rooting.eq(self.euclidean), steps.eq(self._root_bits - 1)]
                with m.If(self.empty):
                    m.next = "SUM"
                with m.Elif(self.euclidean):
                    m.d.sync += [remainder.eq(0), divisor.eq(0)]
                    m.next = "SUBTRACT"
                with m.Else():
                    m.d.sync += [divisor.eq(total), total.eq(0)]
                    m.next = "DIVIDE"
            with m.State("SUBTRACT"):
                # In a division all is four times as large, so that the first digit is that of 2.
                m.d.sync += trial.eq(minuend - Cat(rooting, 0, divisor))
                m.next = "CHOOSE"
            with m.State("CHOOSE"):
                digit = ~trial[-1]
                m.d.sync += [remainder.eq(Mux(digit, trial, minuend)), steps.eq(steps - 1)]
                with m.If(rooting):
                    m.d.sync += [divisor.eq(Cat(digit, divisor)), total.eq(total << 2)]
                with m.Else():
                    m.d.sync += quotient.eq(Cat(digit, quotient))
                with m.If(steps.any()):
                    m.next = "SUBTRACT"
                with m.Elif(rooting):
                    m.next = "DIVIDE"
                with m.Else():
                    m.next = "DONE"
            with m.State("DIVIDE"):
                wanted = self.wanted
                m.d.sync += [
                    *(rooting.eq(0), over.eq(0), steps.eq(self.shift)),
                    remainder.eq(Mux(wanted[-1], 0, wanted[:-1])),
                ]
                m.next = "DOUBLE"
            with m.State("DOUBLE"):
                with m.If(steps.any()):
                    m.d.sync += [
                        *(over.eq(over | remainder[-1]), steps.eq(steps - 1)),
                        remainder.eq(remainder << 1),
                    ]
                with m.Else():
                    m.d.sync += steps.eq(QUOTIENT_BITS - 1)
                    m.next = "SUBTRACT"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "SUM"
