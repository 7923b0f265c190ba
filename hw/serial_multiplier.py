"""A signed multiplier of a few cells that takes its time: two bits of one operand a cycle.

    b --> [ b, later the product's low bits ] --> digit -1, 0, 1, 2
                                                    |
    a ------------------------------------------> a * digit --> + --> [ product's high bits ] >> 2

A 17 x 17 multiplier of iCE40 cells takes 860 of them when it is to take operands every cycle; this
one takes about 80.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class SerialMultiplier(wiring.Component):
    """product = a * b, exact, `latency` cycles after `start`.

    Digit by digit from the lowest: two bits of b and a carry make 0 to 4 = 4 * carry + digit. As
    there is a digit for at least one copy of b's sign, the last carry is minus the sign.

    Parameters
    ----------
    a_width, b_width: bits of the signed operands

    Members
    -------
    start: In, takes b; a must stay until the product has come
    product: Out, valid from `latency` cycles after `start` to the cycle of the next one

    Attributes
    ----------
    latency: 1 + digits of b
    """

    def __init__(self, *, a_width: int, b_width: int):
        for name, width in (("a_width", a_width), ("b_width", b_width)):
            if width < 2:
                raise ValueError(f"{name} of a serial multiplier must be at least 2, not {width}")
        self.a_width = a_width
        self.b_width = b_width
        self.digits = b_width // 2 + 1
        self.latency = 1 + self.digits
        super().__init__(
            {
                "start": In(1),
                "a": In(signed(a_width)),
                "b": In(signed(b_width)),
                "product": Out(signed(a_width + b_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        low = Signal(2 * self.digits)
        high = Signal(signed(self.a_width + 1))
        carry = Signal()
        steps = Signal(range(self.digits + 1))
        m.d.comb += self.product.eq(Cat(low, high))

        # -1 is 3 with a carry: its multiple is the complement, and one more at the lowest bit.
        twice, once, negative = Signal(), Signal(), Signal()
        m.d.comb += [
            once.eq(low[0] ^ carry),
            twice.eq(low[1] ^ (low[0] & carry)),
            negative.eq(once & twice),
        ]
        a = Signal(signed(self.a_width + 1))
        double = Cat(Const(0, 1), self.a)
        multiple = Signal(signed(self.a_width + 1))
        m.d.comb += a.eq(self.a)
        for i, bit in enumerate(multiple):
            m.d.comb += bit.eq(Mux(once, a[i] ^ twice, twice & double[i]))
        total = Signal(signed(self.a_width + 3))
        m.d.comb += total.eq(high + multiple + negative)

        with m.If(self.start):
            m.d.sync += [low.eq(self.b), high.eq(0), carry.eq(0), steps.eq(self.digits)]
        with m.Elif(steps != 0):
            m.d.sync += [
                Cat(low, high).eq(Cat(low[2:], total)),
                carry.eq(negative | (low[0] & low[1] & carry)),
                steps.eq(steps - 1),
            ]
        return m
