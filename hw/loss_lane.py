"""One lane of the loss unit: what it does with a sample, a class a step, up to the product.

                 label = class? ---> onehot ---> hit, surprise
    TARGET --> t ----------------------+
    OUTPUT --> z --> peak m            v
                  \\    |    {m, z} - {z, t} = d --> exponential's tables --> a --+
    DELTA  --------------------------------------------------------------> a     x --> product
                                                     r, R, fine table ---> b ----+
"""

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig
from hw.multiplier import Multiplier
from hw.numbers import WORD_BITS
from hw.tables import EXP_COARSE, EXP_FINE

DIFFERENCE_BITS = WORD_BITS + 1
"""Bits of the signed difference of two words, also where the target is 1.0 = 2**15."""
SCALE_BITS = WORD_BITS + 1
"""Bits of R, which is below 2**17 for every residual."""
SQUARE_BITS = 2 * WORD_BITS + 1
"""Bits of a squared difference, unsigned, and of every other product, signed."""

LANE_STEP = data.StructLayout(
    dict.fromkeys("output target delta scan first tables exponential square".split(), 1)
)
"""What a lane does, each strobe at its own stage: see LossLane."""


def stages(m: Module, value: ValueLike, cycles: int, name: str) -> list[Any]:
    """`value` now and after each of so many cycles."""
    staged = [value]
    for k in range(cycles):
        staged.append(Signal.like(value, name=f"{name}_{k + 1}"))
        m.d.sync += staged[-1].eq(staged[-2])
    return staged


class LossLane(wiring.Component):
    """Peak and hit of a sample, and the products of all passes.

    PEAK         m = max(m, z)                 the first column sets m
    SUM          product = EXP_COARSE[u >> 5] * EXP_FINE[u & 31], u = m - z    (cross-entropy)
                 product = (z - t)**2                                     (mean squared error)
    DELTA        product = e * R                                               (cross-entropy)
                 product = (z - t) * r                                    (mean squared error)

    A lane takes a column every cycle. A column's words arrive in a cycle 0, the difference is
    there in cycle DIFFERENCE_STAGE, the product in cycle PRODUCT_STAGE.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    output, target, delta: In, the lane's word of the columns, taken when the strobe of the same
        name is in `step`
    step: In. `scan` and `first`: look for the peak, from here: SCAN_STAGE. `tables`: the
        difference is m - z; `exponential`: DELTA's word is e: SCAN_STAGE. `square`: the
        difference is to be multiplied by itself: DIFFERENCE_STAGE
    class_number: In, of the words that came the cycle before
    class_target, one, residual: In, the target is `one` at the class that TARGET holds; r
    scale: In, R
    side, a, b: In, multiply these in any case
    onehot: Out, whether the class is the sample's, beside the product
    hit: Out, whether the first largest output was the sample's class
    surprise: Out, m - z[label], or 0 where no class was the sample's
    product: Out
    """

    SCAN_STAGE = 2
    DIFFERENCE_STAGE = SCAN_STAGE + 1
    PRODUCT_STAGE = DIFFERENCE_STAGE + 1 + Multiplier.LATENCY

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self._multiplier = Multiplier(
            a_width=DIFFERENCE_BITS, b_width=SCALE_BITS + 1, family=config.family
        )
        super().__init__(
            {
                "output": In(signed(WORD_BITS)),
                "target": In(signed(WORD_BITS)),
                "delta": In(signed(WORD_BITS)),
                "step": In(LANE_STEP),
                "class_number": In(range(config.max_outputs)),
                "class_target": In(1),
                "one": In(WORD_BITS),
                "residual": In(WORD_BITS),
                "scale": In(SCALE_BITS),
                "side": In(1),
                "a": In(WORD_BITS),
                "b": In(WORD_BITS),
                "onehot": Out(1),
                "hit": Out(1),
                "surprise": Out(WORD_BITS),
                "product": Out(signed(SQUARE_BITS + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.multiplier = self._multiplier
        output, target, onehot = self._words(m)
        peak = self._scan(m, output, onehot)
        difference = self._difference(m, output, target, onehot, peak)
        self._operands(m, difference)
        m.d.comb += [
            self.product.eq(self._multiplier.product),
            self.onehot.eq(stages(m, onehot, self.PRODUCT_STAGE - self.SCAN_STAGE, "onehot")[-1]),
        ]
        return m

    def _words(self, m: Module) -> tuple[Value, Value, Value]:
        """The output or exponential, the target, and onehot, in SCAN_STAGE."""
        held_target = Signal(signed(WORD_BITS), reset_less=True)
        with m.If(self.step.target):
            m.d.sync += held_target.eq(self.target)
        onehot = self.class_target & (held_target == self.class_number)
        target = Mux(self.class_target, Mux(onehot, self.one, 0), held_target)
        word = Signal(signed(WORD_BITS), reset_less=True)
        with m.If(self.step.output):
            m.d.sync += word.eq(self.output)
        with m.Elif(self.step.delta):
            m.d.sync += word.eq(self.delta)
        stage = []
        for name, value in (("output", word), ("target", target), ("is_label", onehot)):
            register = Signal(value.shape(), name=f"{name}_staged", reset_less=True)
            m.d.sync += register.eq(value)
            stage.append(register)
        return stage[0], stage[1], stage[2]

    def _scan(self, m: Module, output: Value, onehot: Value) -> Signal:
        """Follow the peak; returns it, of the columns before the one in SCAN_STAGE."""
        peak = Signal(signed(WORD_BITS), reset_less=True)
        # With their signs inverted they compare as if they had none, by a carry alone.
        higher = _raised(output) > _raised(peak)
        with m.If(self.step.scan & (self.step.first | higher)):
            m.d.sync += [peak.eq(output), self.hit.eq(onehot)]
        return peak

    def _difference(
        self, m: Module, output: Value, target: Value, onehot: Value, peak: Signal
    ) -> Signal:
        """The operand that the difference makes, and what goes with it, in DIFFERENCE_STAGE."""
        difference = Signal(signed(DIFFERENCE_BITS), reset_less=True)
        minuend = Mux(self.step.tables, peak, output)
        subtrahend = Mux(self.step.tables, output, target)
        exponential = output.as_unsigned()
        m.d.sync += difference.eq(Mux(self.step.exponential, exponential, minuend - subtrahend))
        with m.If(self.step.tables):
            with m.If(onehot):
                m.d.sync += self.surprise.eq(minuend - subtrahend)
            with m.Elif(self.step.first):
                m.d.sync += self.surprise.eq(0)
        return difference

    def _operands(self, m: Module, difference: Signal) -> None:
        """The multiplier's operands, registered once more before its own registers."""
        a = Signal(signed(DIFFERENCE_BITS), reset_less=True)
        b = Signal(signed(SCALE_BITS + 1), reset_less=True)
        m.d.comb += [self._multiplier.a.eq(a), self._multiplier.b.eq(b)]
        m.d.sync += [a.eq(difference), b.eq(Mux(self.step.square, difference, self.residual))]
        tables, exponential = Signal(), Signal()
        m.d.sync += [tables.eq(self.step.tables), exponential.eq(self.step.exponential)]
        fine_bits = (len(EXP_FINE) - 1).bit_length()
        coarse_bits = (len(EXP_COARSE) - 1).bit_length()
        coarse = difference[fine_bits:][:coarse_bits]
        too_far = difference[fine_bits + coarse_bits :].any()
        with m.If(tables):
            m.d.sync += [
                a.eq(Mux(too_far, 0, Array(EXP_COARSE)[coarse])),
                b.eq(Array(EXP_FINE)[difference[:fine_bits]]),
            ]
        with m.If(exponential):
            m.d.sync += b.eq(self.scale)
        with m.If(self.side):
            m.d.sync += [a.eq(self.a), b.eq(self.b)]


def _raised(word: Value) -> Value:
    """A signed word and half of its range, unsigned."""
    return Cat(word[:-1], ~word[-1])
