"""The squares of gradients, for their norm, and their products with the factor that clips it.

    g --> upper 17 bits ----------+
      --> lower 7 bits -----------+--> x b --> + --+--> round to nearest --> g x factor
      --> upper 17 bits --+       |    x b --> +   |
    factor, or 1 ---------+--> b -+                +--> + lower 7 bits squared --> g x g
                                                             |
    squares <--------------------- + <-- sum of the lanes <--+

A lane has two multipliers: one takes the upper bits of g, one the lower ones. A square needs the
products with all of g, but those of its lower bits with each other are so few that cells make them.
"""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.activation import pipeline
from hw.config import DeviceConfig
from hw.multiplier import Multiplier
from hw.numbers import CLIP_FRACTION_BITS, GRADIENT_BITS, NORM_BITS

LOW_BITS = 7
"""Bits of a gradient that the second multiplier takes: with a block of 18 bits the first one could
take one more, but this way the factor 1 is one that both can take."""
HIGH_BITS = GRADIENT_BITS - LOW_BITS

FACTOR_BITS = CLIP_FRACTION_BITS + 1
"""Of a factor up to 1."""
ONE = 1 << CLIP_FRACTION_BITS


class GradientClip(wiring.Component):
    """Scales L gradients by a factor, to the bit as `sim.golden.units.clip`; or sums squares.

    Gradients come out LATENCY cycles later, one vector a cycle, unchanged where the factor is 1.
    The squares of a vector are in the sum SQUARES_LATENCY cycles later; that saturates.

    Parameters
    ----------
    config: sizes and family

    Members
    -------
    valid: In, gradients come
    square: In, their squares are added; they come out as they may
    mask: In, lanes whose squares count
    gradients: In, L gradients
    factor: In, u1.16, at most 1; holds still while gradients are under way
    results: Out, the products
    clear: In, the sum becomes 0
    squares: Out, the sum

    Attributes
    ----------
    LATENCY, SQUARES_LATENCY: see above
    """

    LATENCY = Multiplier.LATENCY + 2

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.SQUARES_LATENCY = self.LATENCY + (config.lanes - 1).bit_length() + 1
        vector = data.ArrayLayout(signed(GRADIENT_BITS), config.lanes)
        super().__init__(
            {
                "valid": In(1),
                "square": In(1),
                "mask": In(config.lanes),
                "gradients": In(vector),
                "factor": In(FACTOR_BITS),
                "results": Out(vector),
                "clear": In(1),
                "squares": Out(NORM_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = range(self.config.lanes)
        products = [self._products(m, lane) for lane in lanes]
        counts = [
            pipeline(m, self.valid & self.square & self.mask[lane], self.LATENCY - 1, f"is_{lane}")
            for lane in lanes
        ]
        squares = []
        for lane, (product, low) in enumerate(products):
            half = ONE >> 1
            result = Signal(signed(GRADIENT_BITS), name=f"result_{lane}", reset_less=True)
            square = Signal(2 * GRADIENT_BITS - 1, name=f"square_{lane}", reset_less=True)
            m.d.sync += [
                result.eq((product + half) >> CLIP_FRACTION_BITS),
                square.eq(Mux(counts[lane][-1], (product << LOW_BITS) + low, 0)),
            ]
            m.d.comb += self.results[lane].eq(result)
            squares.append(square)
        self._add(m, squares)
        return m

    def _products(self, m: Module, lane: int) -> tuple[Value, Value]:
        """g times b, and the lower bits of g times g, in the cycle LATENCY - 1.

        b is the factor, or the upper bits of g.
        """
        gradient = self.gradients[lane]
        high, low = gradient[LOW_BITS:].as_signed(), gradient[:LOW_BITS]
        factor = Mux(self.square, high, self.factor)
        width = FACTOR_BITS + 1
        blocks = []
        for name, part in (("high", high), ("low", low)):
            a_width = len(part) + (name == "low")
            block = Multiplier(a_width=a_width, b_width=width, family=self.config.family)
            m.submodules[f"multiplier_{name}_{lane}"] = block
            m.d.comb += [block.a.eq(part), block.b.eq(factor)]
            blocks.append(block.product)
        lowest = Signal(2 * LOW_BITS, name=f"lowest_{lane}", reset_less=True)
        before = pipeline(m, low, Multiplier.LATENCY - 1, f"low_{lane}")[-1]
        total = Signal(signed(GRADIENT_BITS + width), name=f"product_{lane}", reset_less=True)
        rest = Signal(
            signed(GRADIENT_BITS + LOW_BITS + 1), name=f"rest_{lane}", reset_less=True
        )
        m.d.sync += [
            lowest.eq(before * before),
            total.eq((blocks[0] << LOW_BITS) + blocks[1]),
            rest.eq((blocks[1] << LOW_BITS) + lowest),
        ]
        return total, rest

    def _add(self, m: Module, squares: list[Value]) -> None:
        """The lanes' squares by a tree with registers, and then to the sum."""
        level = 0
        while len(squares) > 1:
            pairs = list(zip(squares[::2], squares[1::2], strict=True))
            squares = []
            for k, (a, b) in enumerate(pairs):
                total = Signal(len(a) + 1, name=f"squares_{level}_{k}", reset_less=True)
                m.d.sync += total.eq(a + b)
                squares.append(total)
            level += 1
        total = Signal(NORM_BITS + 1, name="total")
        m.d.comb += total.eq(self.squares + squares[0])
        m.d.sync += self.squares.eq(Mux(total[-1], (1 << NORM_BITS) - 1, total))
        with m.If(self.clear):
            m.d.sync += self.squares.eq(0)
