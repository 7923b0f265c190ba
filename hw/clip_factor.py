"""CLIP: the norm of gradients from the sum of their squares, and the factor that limits it.

    squares --two bits a cycle--> remainder - (root, 01) --a bit a cycle--> root = norm
    threshold, 00000000 --------> remainder - norm ------a bit a cycle--> factor

Digit by digit, a subtraction a cycle, which the root and the quotient have in common.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.gradient_clip import FACTOR_BITS, ONE
from hw.numbers import CLIP_FRACTION_BITS, GRADIENT_GUARD_BITS, NORM_BITS, WORD_BITS

ROOT_BITS = NORM_BITS // 2


class ClipFactor(wiring.Component):
    """norm = floor(sqrt(squares)), factor = min(1, threshold / norm), as
    `sim.golden.units.clip_factor`.

    `done` comes at most CYCLES after `start`; the factor stays until the next one, or `forget`.

    Members
    -------
    start: In, a strobe; not while busy
    squares: In, with `start`
    threshold: In, with GRADIENT_GUARD_BITS less than the norm below its point; holds still
    forget: In, the factor becomes 1
    busy: Out, from the cycle after `start` to that of `done`
    done: Out, a strobe, with `norm` and `clipped`
    norm: Out
    clipped: Out, the factor is less than 1
    factor: Out, u1.16
    """

    CYCLES = ROOT_BITS + CLIP_FRACTION_BITS + 2

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "squares": In(NORM_BITS),
                "threshold": In(WORD_BITS),
                "forget": In(1),
                "busy": Out(1),
                "done": Out(1),
                "norm": Out(ROOT_BITS),
                "clipped": Out(1),
                "factor": Out(FACTOR_BITS, init=ONE),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        digits = Signal(NORM_BITS, reset_less=True)
        remainder = Signal(ROOT_BITS + 2, reset_less=True)
        root, factor = self.norm, self.factor
        count = Signal(range(ROOT_BITS), reset_less=True)
        dividing = Signal()
        minuend, subtrahend = Signal.like(remainder), Signal.like(remainder)
        difference, digit = Signal(len(remainder) + 1), Signal()
        # Of a root a remainder is at most twice what is known of it, so no bit is lost above.
        m.d.comb += [
            minuend.eq(Mux(dividing, remainder << 1, Cat(digits[-2:], remainder))),
            subtrahend.eq(Mux(dividing, root, Cat(Const(1, 2), root))),
            difference.eq(minuend - subtrahend),
            digit.eq(~difference[-1]),
            self.clipped.eq(factor != ONE),
        ]
        limit = self.threshold << GRADIENT_GUARD_BITS
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("REST"))
            with m.State("REST"):
                m.d.sync += [
                    digits.eq(self.squares),
                    remainder.eq(0),
                    count.eq(ROOT_BITS - 1),
                    dividing.eq(0),
                ]
                with m.If(self.forget):
                    m.d.sync += factor.eq(ONE)
                with m.If(self.start):
                    m.d.sync += [root.eq(0), factor.eq(0)]
                    m.next = "ROOT"
            with m.State("ROOT"):
                m.d.sync += [
                    root.eq(Cat(digit, root)),
                    remainder.eq(Mux(digit, difference, minuend)),
                    digits.eq(digits << 2),
                    count.eq(count - 1),
                ]
                with m.If(count == 0):
                    m.next = "COMPARE"
            with m.State("COMPARE"):
                m.d.sync += [
                    remainder.eq(limit),
                    count.eq(CLIP_FRACTION_BITS - 1),
                    dividing.eq(1),
                ]
                m.next = "DIVIDE"
                with m.If(root <= limit):
                    m.d.sync += factor.eq(ONE)
                    m.next = "DONE"
            with m.State("DIVIDE"):
                m.d.sync += [
                    factor.eq(Cat(digit, factor)),
                    remainder.eq(Mux(digit, difference, minuend)),
                    count.eq(count - 1),
                ]
                with m.If(count == 0):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "REST"
        return m
