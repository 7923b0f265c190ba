"""A multiplier with the sum of its products: in a block that has an adder, or behind one.

    a --[input]--+
                 x --[pipeline]--[product]-- + --[sum]-- total
    b --[input]--+                           +----+

An iCE40 block sums modulo 2**32. A product is at most 2**30 in magnitude, so a sum that wraps
does so between the quarter above and the quarter below, [2**30, 2**31) and [-2**31, -2**30): a few
cells watch the sum's two highest bits and count these, which is the rest of the total.
"""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import PRODUCT_BITS, Family
from hw.multiplier import Multiplier
from hw.numbers import WORD_BITS

BLOCK_BITS = 2 * WORD_BITS


class Accumulator(wiring.Component):
    """total = sum of a * b since `clear`, exact as far as it fits `width` bits.

    Parameters
    ----------
    width: bits of the total, more than PRODUCT_BITS + 1
    family: whose block to instantiate

    Members
    -------
    a, b: In, words
    take: In, add the product of the words of Multiplier.LATENCY cycles ago; not with `clear`
    clear: In, from a register; the total becomes 0 in the next cycle, or at once
    total: Out, `LATENCY` cycles after the last `take`
    """

    LATENCY = 2

    def __init__(self, *, width: int, family: Family = "behavioural"):
        if width <= PRODUCT_BITS + 1:
            raise ValueError(
                f"width of an accumulator must be more than {PRODUCT_BITS + 1}, not {width}"
            )
        self.width = width
        self.family: Family = family
        super().__init__(
            {
                "a": In(signed(WORD_BITS)),
                "b": In(signed(WORD_BITS)),
                "take": In(1),
                "clear": In(1),
                "total": Out(signed(width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.family == "ice40":
            self._block(m)
            return m
        m.submodules.multiplier = multiplier = Multiplier(
            a_width=WORD_BITS, b_width=WORD_BITS, family=self.family
        )
        total = Signal(signed(self.width), name="sum")
        m.d.comb += [multiplier.a.eq(self.a), multiplier.b.eq(self.b), self.total.eq(total)]
        with m.If(self.clear):
            m.d.sync += total.eq(0)
        with m.Elif(self.take):
            m.d.sync += total.eq(total + multiplier.product)
        return m

    def _block(self, m: Module) -> None:
        low, before = Signal(BLOCK_BITS), Signal(2)
        high = Signal(signed(self.width - BLOCK_BITS))
        m.submodules.block = _sb_mac16(self, low)
        now = low[-2:]
        up, down = Signal(), Signal()
        m.d.comb += [
            up.eq((before == 0b01) & (now == 0b10)),
            down.eq((before == 0b10) & (now == 0b01)),
            self.total.eq(Cat(low, (high - low[-1])[: len(high)])),
        ]
        m.d.sync += [before.eq(now), high.eq(high + Mux(down, -1, 0) + up)]
        with m.If(self.clear):
            m.d.sync += high.eq(0)


def _sb_mac16(unit: Accumulator, total: Signal) -> Instance:
    """iCE40 UltraPlus: Lattice FPGA-TN-02007 (DSP function usage guide).

    A and B are registered, then the four partial products, then their sum, then the total. Its
    reset is asynchronous, so that `clear` has to come from a register.
    """
    registered = dict.fromkeys(
        (
            *("A_REG", "B_REG", "TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG"),
            *("PIPELINE_16x16_MULT_REG1", "PIPELINE_16x16_MULT_REG2", "A_SIGNED", "B_SIGNED"),
        ),
        Const(1, 1),
    )
    product, carry, output = Const(2, 2), Const(2, 2), Const(1, 2)
    return Instance(
        "SB_MAC16",
        **{f"p_{name}": value for name, value in registered.items()},
        p_TOPADDSUB_LOWERINPUT=product,
        p_BOTADDSUB_LOWERINPUT=product,
        p_TOPADDSUB_CARRYSELECT=carry,
        p_TOPOUTPUT_SELECT=output,
        p_BOTOUTPUT_SELECT=output,
        i_CLK=ClockSignal(),
        i_CE=Const(1, 1),
        i_A=unit.a,
        i_B=unit.b,
        i_ORSTTOP=unit.clear,
        i_ORSTBOT=unit.clear,
        i_OHOLDTOP=~unit.take,
        i_OHOLDBOT=~unit.take,
        o_O=total,
        **{
            f"i_{pin}": Const(0, 1)
            for pin in (
                *("AHOLD", "BHOLD", "IRSTTOP", "IRSTBOT", "OLOADTOP", "OLOADBOT"),
                *("ADDSUBTOP", "ADDSUBBOT"),
            )
        },
    )
