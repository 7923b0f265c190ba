"""The epilogue of a serial device: one sum at a time becomes a word or a gradient.

    sum --> [wide] --> >> shift --> [kept] --> + half --> [rounded] --> saturate --> [value] --> 0
               ^                                                           |
               +---- leaky ReLU: once more, with the leak's shift ---------+
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.activation import FIELD_BITS
from hw.config import DeviceConfig
from hw.isa import Activation, Opcode
from hw.numbers import GRADIENT_BITS, WORD_BITS

KEPT_BITS = GRADIENT_BITS + 2
"""A gradient, a bit more for one that rounding brings back in range, and the bit below."""


class SerialEpilogue(wiring.Component):
    """`sim.golden.units.narrow`, then `activate` or `gate`, without sigmoid and tanh.

    Members
    -------
    start: `total` is there; LATENCY cycles later `done` is 1, BEND_LATENCY where the activation has
        a bend, LEAKING_LATENCY where the value leaks
    opcode, activation, shift, leak_shift: as in the instruction; hold still
    total: In, with `start`
    positive: In, whether the stored output is above 0, from the cycle after `start` on
    done: Out, the results are there, until the next `start`
    value: Out, a word, or a gradient of GRADIENT_BITS where the opcode is GRADIENT
    saturated: Out, whether narrowing saturated
    """

    LATENCY = 4
    BEND_LATENCY = 5
    LEAKING_LATENCY = 8

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "opcode": In(Opcode),
                "activation": In(FIELD_BITS["activation"]),
                "shift": In(FIELD_BITS["shift"]),
                "leak_shift": In(FIELD_BITS["leak_shift"]),
                "total": In(signed(config.accumulator_width)),
                "positive": In(1),
                "done": Out(1),
                "value": Out(signed(GRADIENT_BITS)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        gradient = self.opcode == Opcode.GRADIENT
        leaking = Signal()
        wide = Signal.like(self.total)
        shift = Mux(leaking, self.leak_shift, self.shift)
        shifted, over = self._shifted(wide, shift)
        kept, kept_over = Signal.like(shifted), Signal()
        rounded = Signal(signed(KEPT_BITS))
        m.d.sync += [
            *(kept.eq(shifted), kept_over.eq(over)),
            rounded.eq(kept[1:].as_signed() + kept[0]),
        ]

        # Rounding may change the sign, from -1 to 0; but not of what is too long.
        sign, after = wide[-1], rounded[-1]
        low, high = rounded[WORD_BITS - 1 : GRADIENT_BITS - 1], rounded[GRADIENT_BITS - 1 : -1]
        exceeds = kept_over | (high != after.replicate(len(high)))
        exceeds |= ~gradient & (low != after.replicate(len(low)))
        rail = Cat((~sign).replicate(WORD_BITS - 1), (sign ^ gradient).replicate(len(low)), sign)
        narrowed = Signal(signed(GRADIENT_BITS))
        m.d.comb += narrowed.eq(Mux(exceeds, rail, rounded))

        # All from registers: what is bent, and whether, is known a cycle after what it is.
        bends, positive = Signal(), Signal()
        relu, leaky = (self.activation == k for k in (Activation.RELU, Activation.LEAKY_RELU))
        m.d.sync += [positive.eq(self.positive), bends.eq(~gradient & (relu | leaky))]
        bend = Mux(self.opcode == Opcode.BACKWARD, ~positive, self.value[-1])
        with m.FSM():
            with m.State("REST"):
                with m.If(self.start):
                    m.d.sync += [wide.eq(self.total), self.done.eq(0), leaking.eq(0)]
                    m.next = "SHIFT"
            with m.State("SHIFT"):
                m.next = "ROUND"
            with m.State("ROUND"):
                m.next = "LIMIT"
            with m.State("LIMIT"):
                m.d.sync += [self.value.eq(narrowed), wide.eq(narrowed)]
                with m.If(~leaking):
                    m.d.sync += self.saturated.eq(exceeds)
                with m.If(bends & ~leaking):
                    m.next = "BEND"
                with m.Else():
                    m.d.sync += self.done.eq(1)
                    m.next = "REST"
            with m.State("BEND"):
                m.d.sync += self.done.eq(1)
                m.next = "REST"
                with m.If(bend & relu):
                    m.d.sync += self.value.eq(0)
                with m.If(bend & leaky):
                    m.d.sync += [leaking.eq(1), self.done.eq(0)]
                    m.next = "SHIFT"
        return m

    @staticmethod
    def _shifted(wide: Value, shift: Value) -> tuple[Value, Value]:
        """wide >> shift with the last bit that left below it, and whether it is too long.

        What lies above the bits that later stages can still bring down must equal the sign.
        """
        sign = wide[-1]
        value: Value = Cat(Const(0, 1), wide)
        over: Value = Const(0, 1)
        for bit in reversed(range(len(shift))):
            step = min(1 << bit, len(value))
            value = Mux(shift[bit], Cat(value[step:], sign.replicate(step)), value)
            keep = KEPT_BITS - 1 + (1 << bit)
            if keep < len(value):
                over = over | (value[keep - 1 :] != sign.replicate(len(value) - keep + 1))
                value = value[:keep]
        return value.as_signed(), over
