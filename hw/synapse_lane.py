"""A lane of synapses: what PLASTICITY and SCALE do to a weight, one a cycle.

    trace - w ---------> u --> x k --> >> 15 --+             r
                         |                     v             v
    bound - w --> clamp --|--------> m ------> x --> + --> >> 16 --> clamp --> w'
                         +------------> k ---> x     ^
    w ------------------------------------------- {w, r}

`sim.golden.spiking.changed_weights` is the arithmetic. Without a soft bound the first multiplier
has nothing to do: u comes later then, as long as its product would take, and goes into the second
one, which also scales weights and squares them.
"""

from enum import IntEnum

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig
from hw.multiplier import Multiplier
from hw.numbers import UPDATE_FRACTION_BITS, WORD_BITS, WORD_MAX
from hw.saturation import limited
from hw.spiking import SCALE_FRACTION_BITS
from hw.tile_memory import TileMemory
from hw.update_schedule import Kept, Line


class Subtrahend(IntEnum):
    """What is subtracted from the trace for u."""

    NOTHING = 0
    LATE_ADDED = 1
    """-w in cycle LATE, so that u = w: of SCALE, which has no trace. NOTHING but for bit 0."""
    EARLY = 2
    """w in cycle WEIGHT."""
    LATE = 3
    """w in cycle LATE."""


SYNAPSE_MODE = data.StructLayout(
    {
        **dict.fromkeys(("soft", "to_upper", "norm", "euclidean", "scaling"), 1),
        "subtrahend": Subtrahend,
    }
)
"""What lanes do: PLASTICITY as its flags say, or one of the passes of SCALE over a row: the first
one, for its norm, of squares or of magnitudes; or the second one, which scales it."""

# Cycles of a vector of weights, from its read on.
WEIGHT = TileMemory.READ_LATENCY
"""Weights are there; traces too, with a soft bound."""
FIRST = WEIGHT + 1
"""u enters the first multiplier."""
LATE = WEIGHT + Multiplier.LATENCY
"""Traces are there, without a soft bound."""
SECOND = LATE + 1
"""u or its product enters the second multiplier."""
SUM = SECOND + Multiplier.LATENCY
"""The change is there and added to the weight and its random fraction."""
COMPARE = SUM + 1
"""The sum is there and is compared with the limits."""
WRITE = COMPARE + 2
"""The new weight is there."""

PRODUCT_BITS = 2 * WORD_BITS


class SynapseLane(wiring.Component):
    """w' = clamp(((w << 16) + change + r) >> 16, lower, upper), or what SCALE makes of w.

    Of SCALE, the first pass has |w| or w^2 at `product`, and the second one has
    w' = clamp((w k + 2**13) >> 14, lower, upper).

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    mode: holds still while weights are under way
    weight: w, in cycle WEIGHT
    trace: in cycle WEIGHT in mode `soft`, otherwise in cycle LATE
    coefficient: k, a cycle later
    off: in cycle LATE: a norm takes this weight for 0
    random: r, in cycle SUM
    bound: upper in mode `to_upper`, ~lower otherwise, -1 in mode `norm`; holds still
    lower, upper, crossed: the limits, and whether lower > upper: then w' = upper; hold still
    product: in cycle SUM
    word: w', in cycle WRITE
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        word = signed(WORD_BITS)
        super().__init__(
            {
                "mode": In(SYNAPSE_MODE),
                "weight": In(word),
                "trace": In(word),
                "coefficient": In(word),
                "off": In(1),
                "random": In(WORD_BITS),
                "bound": In(word),
                "lower": In(word),
                "upper": In(word),
                "crossed": In(1),
                "product": Out(signed(PRODUCT_BITS)),
                "word": Out(word),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        weight = Kept(Line(m, 1), self.weight, WEIGHT, "weight")
        m.submodules.first = first = self._multiplier()
        m.submodules.second = second = self._multiplier()
        operand = self._operand(m, weight)
        m.d.comb += [
            first.a.eq(operand),
            first.b.eq(self.coefficient),
            second.a.eq(Mux(self.mode.soft, _stepped(first.product), operand)),
            second.b.eq(self._factor(m, weight)),
            self.product.eq(second.product),
        ]
        self._move(m, weight, second.product)
        return m

    def _multiplier(self) -> Multiplier:
        return Multiplier(a_width=WORD_BITS, b_width=WORD_BITS, family=self.config.family)

    def _operand(self, m: Module, weight: Kept) -> Value:
        """u at FIRST, in mode `soft`, or at SECOND; the weight itself in SCALE, 0 where `off`."""
        early, late = weight.at(WEIGHT), weight.at(LATE)
        which = Value.cast(self.mode.subtrahend)
        used = which & Cat(~self.off, 1)
        addend = Signal(signed(WORD_BITS), name="addend")
        with m.Switch(used):
            with m.Case(Subtrahend.LATE_ADDED):
                m.d.comb += addend.eq(late)
            with m.Case(Subtrahend.EARLY):
                m.d.comb += addend.eq(~early)
            with m.Case(Subtrahend.LATE):
                m.d.comb += addend.eq(~late)
        difference = Signal(signed(WORD_BITS + 1), name="difference", reset_less=True)
        trace = Mux(self.mode.norm | self.mode.scaling, 0, self.trace)
        m.d.sync += difference.eq(trace + addend + which[1])
        return limited(difference)[0]

    def _factor(self, m: Module, weight: Kept) -> Value:
        """What the second multiplier multiplies by, at SECOND: k, m, w, or the sign of w.

        Chosen by two bits a lane, so that a bit of it is a function of four.
        """
        mode = self.mode
        late = weight.at(LATE)
        flipped = Mux(mode.to_upper, ~late, late)[:WORD_BITS].as_signed()
        distance = Signal(signed(WORD_BITS + 1), name="distance", reset_less=True)
        m.d.sync += distance.eq(flipped + self.bound + 1)
        negative, large = distance[-1], distance[-2]
        constant, high = Signal(name="constant"), Signal(name="high")
        # Of m: 0 or the largest word; of the sign: -1, or 0 and then 1 in the lowest bit.
        beyond = mode.soft & (negative | large)
        m.d.comb += [
            constant.eq(beyond | (mode.norm & ~mode.euclidean)),
            high.eq(Mux(constant, negative ^ mode.soft, mode.soft | mode.norm)),
        ]
        limits = high.replicate(WORD_BITS)
        limits = Cat(high | mode.norm, limits[1:-1], high & mode.norm)
        chosen = Mux(high, distance[:WORD_BITS], self.coefficient)
        return Mux(constant, limits, chosen)[:WORD_BITS].as_signed()

    def _move(self, m: Module, weight: Kept, change: Value) -> None:
        """From the change to the new weight."""
        scaling = self.mode.scaling
        before = Signal(WORD_BITS, name="before", reset_less=True)
        total = Signal(signed(WORD_BITS + UPDATE_FRACTION_BITS + 1), name="total", reset_less=True)
        fraction = Mux(scaling, 1 << (SCALE_FRACTION_BITS - 1), self.random)
        m.d.sync += [
            before.eq(Mux(scaling, 0, weight.at(SUM - 1))),
            total.eq(Cat(fraction[:WORD_BITS], before).as_signed() + change),
        ]
        moved, kept = (Signal(signed(WORD_BITS + 1), name=name) for name in ("moved", "kept"))
        below, above = Signal(name="below"), Signal(name="above")
        scaled = total[SCALE_FRACTION_BITS:][: WORD_BITS + 1]
        m.d.comb += moved.eq(Mux(scaling, scaled, total[UPDATE_FRACTION_BITS:]))
        m.d.sync += [
            kept.eq(moved),
            below.eq(moved < self.lower),
            above.eq((moved > self.upper) | self.crossed),
            self.word.eq(Mux(above, self.upper, Mux(below, self.lower, kept))),
        ]


def _stepped(product: Value) -> Value:
    """sat(product >> 15) of a product of words, which is too large only as 2**30."""
    over = product[-2] & ~product[-1]
    shifted = product[WORD_BITS - 1 :][:WORD_BITS]
    return Mux(over, WORD_MAX, shifted)[:WORD_BITS].as_signed()
