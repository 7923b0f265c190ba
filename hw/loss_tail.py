"""What follows the products of the loss unit's lanes: sums, deltas, and the words to write.

    product -+-> round -> e ----------------------+
             |         +-> sum -> LossSamples      \\
             +-> >> n - 15 -> - onehot * r -> Narrower -> words
"""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.activity import entered
from hw.config import DeviceConfig
from hw.epilogue import Narrower
from hw.fan_out import own_register
from hw.loss_lane import SCALE_BITS, SQUARE_BITS, stages
from hw.loss_samples import LossSamples
from hw.loss_walk import LOSS_STEP, SHIFT_BITS
from hw.multiplier import Multiplier
from hw.numbers import RESIDUAL_FRACTION_BITS, WORD_BITS

SAMPLE_BITS = 16
"""Bits of the number of samples of a command."""


def sum_bits(config: DeviceConfig) -> int:
    """Bits of the sum of a sample's squared differences, which exponentials' do not exceed."""
    return SQUARE_BITS + config.max_outputs.bit_length()


class LossTail(wiring.Component):
    """Sums and deltas of B lanes at once.

    e = round(product / 2**15) and its sum, or the sum of the products; then
    delta = narrow((product >> n - 15) - (onehot * r << 16), shift), or narrow(product, shift).

    A step comes with its products in a cycle 0, one every cycle. e is written SUM_LATENCY cycles
    later and a delta DELTA_LATENCY. The sums of a pass SUM are used up, and the scales are
    there, `samples_latency` cycles after its last step.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    step, products, onehots: In, of a column
    surprises: In, of the samples, from SUM's last step on
    clear: In, a command starts
    ragged_mask: In, the samples of a last batch tile
    cross_entropy, shift, residual: In, constants of the command
    side, reciprocal: Out, to lane 0's multiplier
    scales: Out, R of each sample
    valid, write, words: Out, there are words, the lanes to write, their words
    is_delta, last: Out, beside them: of a delta, of the last class
    saturated: Out, how many more deltas have saturated
    loss: Out
    """

    SUM_LATENCY = 2
    DELTA_LATENCY = 2 + Narrower.LATENCY + 1

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        # From `side` to R: the operand's register, the multiplier's, the rounded product's.
        self._samples = LossSamples(
            config=config,
            sum_bits=sum_bits(config),
            loss_bits=sum_bits(config) + SAMPLE_BITS,
            multiply_latency=1 + Multiplier.LATENCY + 1,
        )
        self.samples_latency = 1 + self._samples.latency
        samples = config.batch_lanes
        super().__init__(
            {
                "step": In(LOSS_STEP),
                "clear": In(1),
                "products": In(data.ArrayLayout(signed(SQUARE_BITS + 1), samples)),
                "onehots": In(samples),
                "surprises": In(data.ArrayLayout(WORD_BITS, samples)),
                "ragged_mask": In(samples),
                "cross_entropy": In(1),
                "shift": In(SHIFT_BITS),
                "residual": In(WORD_BITS),
                "side": Out(1),
                "reciprocal": Out(WORD_BITS),
                "scales": Out(data.ArrayLayout(SCALE_BITS, samples)),
                "write": Out(samples),
                "words": Out(data.ArrayLayout(WORD_BITS, samples)),
                "valid": Out(1),
                "is_delta": Out(1),
                "last": Out(1),
                "saturated": Out(range(samples + 1)),
                "loss": Out(sum_bits(config) + SAMPLE_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.samples = samples = self._samples
        steps = stages(m, self.step, self.DELTA_LATENCY - 1, "step")
        everyone = (1 << self.config.batch_lanes) - 1
        softmax = [
            own_register(m, self.cross_entropy, f"softmax_{lane}")
            for lane in range(self.config.batch_lanes)
        ]
        exponentials = self._sums(m, steps, samples, softmax)
        wides = self._wides(m, samples, softmax)

        narrower = Narrower(lanes=self.config.batch_lanes, accumulator_width=SQUARE_BITS)
        m.submodules.narrower = entered(narrower, latency=narrower.LATENCY)
        m.d.comb += narrower.shift.eq(self.shift)
        for lane, wide in enumerate(wides):
            m.d.comb += narrower.accumulators[lane].eq(wide)

        is_delta, is_sum = steps[-1].delta, steps[self.SUM_LATENCY - 1].sum & self.cross_entropy
        ragged = Mux(is_delta, steps[-1].ragged, steps[self.SUM_LATENCY - 1].ragged)
        mask = Mux(ragged, self.ragged_mask, everyone)
        counted = [bit for bit in narrower.saturated & mask & is_delta.replicate(len(mask))]
        m.d.sync += [
            self.valid.eq(is_delta | is_sum),
            self.write.eq(mask & (is_delta | is_sum).replicate(len(mask))),
            self.is_delta.eq(is_delta),
            self.last.eq(Mux(is_delta, steps[-1].last, steps[self.SUM_LATENCY - 1].last)),
            self.saturated.eq(sum(counted)),
        ]
        for word, value, exponential in zip(self.words, narrower.values, exponentials, strict=True):
            m.d.sync += word.eq(Mux(is_delta, value, exponential)[:WORD_BITS])
        return m

    def _sums(
        self,
        m: Module,
        steps: list[data.View],
        samples: LossSamples,
        softmax: list[Signal],
    ) -> list[Signal]:
        """Add up exponentials or squares; returns the exponentials in cycle 1."""
        half = 1 << (RESIDUAL_FRACTION_BITS - 1)
        addends = []
        ragged = Signal()
        for lane, product in enumerate(self.products):
            rounded = (product[:SQUARE_BITS] + half) >> RESIDUAL_FRACTION_BITS
            addend = Signal(SQUARE_BITS, name=f"addend_{lane}", reset_less=True)
            m.d.sync += addend.eq(Mux(softmax[lane], rounded, product[:SQUARE_BITS]))
            total = Signal(sum_bits(self.config), name=f"sum_{lane}", reset_less=True)
            adds = own_register(m, steps[0].sum, f"adds_{lane}")
            goes_on = own_register(m, ~steps[0].first, f"goes_on_{lane}")
            with m.If(adds):
                m.d.sync += total.eq(Mux(goes_on, total, 0) + addend)
            m.d.comb += samples.sums[lane].eq(total)
            addends.append(addend)
        start = steps[1].sum & steps[1].last
        with m.If(start):
            m.d.sync += ragged.eq(steps[1].ragged)
        everyone = (1 << self.config.batch_lanes) - 1
        m.d.comb += [
            samples.start.eq(start),
            samples.mask.eq(Mux(ragged, self.ragged_mask, everyone)),
            samples.surprises.eq(self.surprises),
            samples.cross_entropy.eq(self.cross_entropy),
            samples.clear.eq(self.clear),
            samples.scale.eq(addends[0]),
            self.side.eq(samples.side),
            self.reciprocal.eq(samples.reciprocal),
            self.scales.eq(samples.scales),
            self.loss.eq(samples.loss),
        ]
        return addends

    def _wides(self, m: Module, samples: LossSamples, softmax: list[Signal]) -> list[Value]:
        """The deltas before narrowing, in cycle 2."""
        wides: list[Value] = []
        for lane, product in enumerate(self.products):
            scaled = Signal(signed(SQUARE_BITS), name=f"scaled_{lane}", reset_less=True)
            wide = Signal(signed(SQUARE_BITS), name=f"wide_{lane}", reset_less=True)
            exponent = Mux(softmax[lane], samples.exponents[lane], 0)
            subtract = Signal(name=f"subtract_{lane}", reset_less=True)
            m.d.sync += subtract.eq(self.onehots[lane] & softmax[lane])
            one = Mux(subtract, self.residual << 16, 0)
            m.d.sync += [scaled.eq(product >> exponent), wide.eq(scaled - one)]
            wides.append(wide)
        return wides
