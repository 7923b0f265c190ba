"""Goes through the samples of a batch tile once their sums are known, one a cycle.

    surprise --+
               +--> [sample] --> leading one n --> i --> RECIPROCAL --> x r in lane 0 --> R
    sum -------+                       |           +---> LOGARITHM --+
                                       +--> (n - 15) * LN_2 ---------+--> + --> loss
                                                 surprise * 2**8 ----+
    (mean squared error: sum ---------------------------------------------+)
"""

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.block_table import BlockTable
from hw.config import DeviceConfig
from hw.fan_out import own_register
from hw.loss_lane import SCALE_BITS, stages
from hw.numbers import LOGIT, LOSS_FRACTION_BITS, RESIDUAL_FRACTION_BITS, WORD_BITS
from hw.tables import LN_2, LOGARITHM, RECIPROCAL

EXPONENT_BITS = 3
"""Bits of n - 15: the sum of max_outputs <= 128 exponentials is below 2**23."""
INDEX_BITS = (len(RECIPROCAL) - 1).bit_length()


class LossSamples(wiring.Component):
    """Adds up the loss and finds every sample's scale R and exponent n - 15.

    Parameters
    ----------
    config: the device's configuration
    sum_bits, loss_bits: widths of a sample's sum and of a command's loss
    multiply_latency: cycles from `side` to `scale`

    Members
    -------
    start: In; `mask`: In, the samples that count
    sums, surprises: In, of each sample
    cross_entropy: In
    clear: In, a command starts: its loss is 0
    side, reciprocal: Out, a factor of R; scale: In, R
    scales, exponents: Out, of each sample
    loss: Out
    """

    SIDE_LATENCY = 5

    def __init__(
        self, *, config: DeviceConfig, sum_bits: int, loss_bits: int, multiply_latency: int
    ):
        self.config = config
        self.samples = config.batch_lanes
        self.sum_bits = sum_bits
        self.multiply_latency = multiply_latency
        self.latency = self.SIDE_LATENCY + multiply_latency + 1 + self.samples
        super().__init__(
            {
                "start": In(1),
                "mask": In(self.samples),
                "sums": In(data.ArrayLayout(sum_bits, self.samples)),
                "surprises": In(data.ArrayLayout(WORD_BITS, self.samples)),
                "cross_entropy": In(1),
                "clear": In(1),
                "side": Out(1),
                "reciprocal": Out(WORD_BITS),
                "scale": In(SCALE_BITS),
                "scales": Out(data.ArrayLayout(SCALE_BITS, self.samples)),
                "exponents": Out(data.ArrayLayout(EXPONENT_BITS, self.samples)),
                "loss": Out(loss_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        walking, number = Signal(), Signal(range(self.samples))
        valid, total = Signal(), Signal(self.sum_bits, reset_less=True)
        with m.If(self.start):
            m.d.sync += walking.eq(1)
        with m.Elif(number.all()):
            m.d.sync += walking.eq(0)
        with m.If(walking):
            m.d.sync += number.eq(number + 1)
        surprise = Signal(WORD_BITS, reset_less=True)
        for register, values in ((total, self.sums), (surprise, self.surprises)):
            m.d.sync += register.eq(self._selected(m, values, number))
        there = Signal()
        m.d.sync += [there.eq(walking & self.mask.bit_select(number, 1)), valid.eq(there)]
        entropy, ready = self._cross_entropy(m, walking, valid, total, surprise)
        with m.If(self.clear):
            m.d.sync += self.loss.eq(0)
        with m.Elif(Mux(self.cross_entropy, ready, valid)):
            m.d.sync += self.loss.eq(self.loss + Mux(self.cross_entropy, entropy, total))
        return m

    def _selected(self, m: Module, values: data.View, number: Signal) -> Value:
        """A sample's value, a cycle later: of each pair of samples, then of the pairs.

        Samples are where their lanes are, all over a large part.
        """
        pairs = [Signal.like(values[0], reset_less=True) for _ in range(self.samples // 2)]
        for k, pair in enumerate(pairs):
            m.d.sync += pair.eq(Mux(number[0], values[2 * k + 1], values[2 * k]))
        return Array(pairs)[own_register(m, number[1:], "pair")]

    def _cross_entropy(
        self, m: Module, walking: Signal, valid: Signal, total: Signal, surprise: Signal
    ) -> tuple[Value, Value]:
        """Scales and exponents; returns a sample's loss and whether it counts.

        Registers end in the cycles since their sample's sum was there.
        """
        walked = stages(m, walking, self.SIDE_LATENCY + self.multiply_latency, "walked")
        valids = stages(m, valid, 4, "valid")
        surprise_1 = Signal(WORD_BITS)
        exponent_1, index_1 = self._normalised(m, total)
        logarithm_3 = self._look_up(m, index_1)
        surprise_shift = LOSS_FRACTION_BITS - LOGIT.fraction
        log_2 = Array(n * LN_2 for n in range(1 << EXPONENT_BITS))
        coarse_2 = Signal(WORD_BITS + surprise_shift + 1, reset_less=True)
        coarse_3, loss_4 = Signal.like(coarse_2), Signal.like(coarse_2)
        m.d.comb += self.side.eq(walked[self.SIDE_LATENCY] & self.cross_entropy)
        m.d.sync += [
            surprise_1.eq(surprise),
            coarse_2.eq((surprise_1 << surprise_shift) + log_2[exponent_1]),
            coarse_3.eq(coarse_2),
            loss_4.eq(coarse_3 + logarithm_3),
        ]
        self._hand_out(m, walked[3], self.exponents, exponent_1)
        self._hand_out(m, walked[-1], self.scales, self.scale)
        return loss_4, valids[-1]

    def _normalised(self, m: Module, total: Signal) -> tuple[Signal, Signal]:
        """Exponent n - 15 of the leading one, and the bits after it."""
        exponent = Signal(EXPONENT_BITS, reset_less=True)
        index = Signal(INDEX_BITS, reset_less=True)
        for k in range(1 << EXPONENT_BITS):
            leading = RESIDUAL_FRACTION_BITS + k
            with m.If(total[leading]):
                m.d.sync += [exponent.eq(k), index.eq(total[leading - INDEX_BITS : leading])]
        return exponent, index

    def _look_up(self, m: Module, index: Signal) -> Value:
        """1 / s goes out for a mantissa s; returns ln s, two cycles after the index as well."""
        m.submodules.reciprocals = reciprocals = BlockTable(RECIPROCAL, family=self.config.family)
        m.submodules.logarithms = logarithms = BlockTable(LOGARITHM, family=self.config.family)
        m.d.comb += [
            reciprocals.addresses[0].eq(index),
            logarithms.addresses[0].eq(index),
            self.reciprocal.eq(reciprocals.words[0]),
        ]
        return logarithms.words[0]

    def _hand_out(self, m: Module, strobe: Signal, values: data.View, value: Value) -> None:
        """Keep a value that comes for one sample after the other."""
        sample = Signal(range(self.samples), name="scaled")
        with m.If(strobe):
            m.d.sync += [values[sample].eq(value), sample.eq(sample + 1)]
