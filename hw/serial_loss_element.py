"""The arithmetic of a serial loss unit: an element's square, added to the loss, and its delta.

    x = t --> word --+
    x = y --------> |y - t| = d ----+-------> its bits, the lowest first: digit 0 or 1
                                    |               |
         loss <-- turn by a bit <-- + <-- d * digit-+
         high <-- shift by a bit <- + <-- r * digit-+
                        |
                        +--> bits of d * r --> sign --> round --> word: delta
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig, region_words
from hw.isa import Region
from hw.numbers import WORD_BITS

SHIFT_BITS = 5
"""Bits of the shift: no loss needs more than 31."""
DISTANCE_BITS = WORD_BITS + 1
"""Bits of |y - t|, which is 2**16 for the most negative output where the target is 1.0 = 2**15."""

ELEMENT_STROBES = data.StructLayout(
    dict.fromkeys(
        "clear load order subtract fill negate shift begin stream check".split(), 1
    )
)
"""What an element does in a cycle: see SerialLossElement."""


def loss_bits(config: DeviceConfig) -> int:
    """Bits of a command's loss: as many squares of at most 2**32 as OUTPUT has words.

    A square is 2**32 only where a one-hot target is 1, at one class of a sample, so that a sum of
    as many is not reached: a sample takes a row of L >= 2 words.
    """
    return ((region_words(config)[Region.OUTPUT] << 2 * WORD_BITS) - 1).bit_length()


class SerialLossElement(wiring.Component):
    """loss += d**2 and word = sat(round(+-d * r / 2**shift)), d = |y - t|, a bit of d a cycle.

    The loss turns once round its register for an element, which takes loss_bits(config) cycles,
    and d * digit is added at its foot meanwhile. It goes on turning when the delta is done, so
    that what is next can be read; only `begin` must wait until it is no longer `turning`.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    x: In, a word of OUTPUT or TARGET
    do: In, strobes. `clear`: loss = 0. `load`: word = x. `order`: negative = swap. `subtract`:
        distance = x - word, or word - x if negative. `fill`: word = 0, with its highest bit
        at_label; negative = 0. `negate`: negative = 1. `shift`: move the word's bit down from 15
        to `fraction`, while not `turning`. `begin`: start to multiply; `stream` from the next
        cycle until `complete`, then `check`: saturate the word
    swap, at_label: In
    residual, shift, fraction: In, of the instruction
    word: Out
    below: Out, sign of the distance as last subtracted
    negative: Out, y < t, once the distance is not below 0
    one_hot: Out, the word holds a one-hot target, unsigned, since the last `fill`
    turning: Out
    shifted: Out, the word's bit is where it should be
    complete: Out, the last bit of the delta goes into the word
    overflow: Out, the delta saturates
    loss: Out
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        super().__init__(
            {
                "x": In(WORD_BITS),
                "do": In(ELEMENT_STROBES),
                "swap": In(1),
                "at_label": In(1),
                "residual": In(WORD_BITS),
                "shift": In(SHIFT_BITS),
                "fraction": In(4),
                "word": Out(WORD_BITS),
                "below": Out(1),
                "negative": Out(1),
                "one_hot": Out(1),
                "turning": Out(1),
                "shifted": Out(1),
                "complete": Out(1),
                "overflow": Out(1),
                "loss": Out(loss_bits(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        distance, step = Signal(DISTANCE_BITS), Signal(range(len(self.loss)))
        bit, incoming, active, rest = Signal(), Signal(), Signal(), Signal()
        self._subtract(m, distance)
        self._turn(m, step)
        self._multiply(m, distance, step, bit, rest)
        self._round(m, step, bit, rest, active, incoming)
        self._hold(m, active, incoming)
        return m

    def _subtract(self, m: Module, distance: Signal) -> None:
        """distance = x - word, or word - x where that has been found to be negative."""
        left = Cat(Const(1, 1), self.word, self.word[-1] & ~self.one_hot)
        right = Cat(self.negative, ~self.x, ~self.x[-1])
        total = (left + right)[1:][:DISTANCE_BITS]
        with m.If(self.do.subtract):
            m.d.sync += distance.eq(total ^ (~self.negative).replicate(DISTANCE_BITS))
        m.d.comb += self.below.eq(distance[-1])
        with m.If(self.do.order):
            m.d.sync += self.negative.eq(self.swap)
        with m.Elif(self.do.fill):
            m.d.sync += self.negative.eq(0)
        with m.Elif(self.do.negate):
            m.d.sync += self.negative.eq(1)

    def _turn(self, m: Module, step: Signal) -> None:
        """Count the steps of a turn of the loss, or of a shift of the word."""
        last = step == len(self.loss) - 1
        m.d.comb += self.shifted.eq(~self.turning & (step[:4] == ~self.fraction))
        with m.If(last | ~(self.turning | self.do.shift)):
            m.d.sync += step.eq(0)
        with m.Else():
            m.d.sync += step.eq(step + 1)
        with m.If(self.do.begin):
            m.d.sync += self.turning.eq(1)
        with m.Elif(last):
            m.d.sync += self.turning.eq(0)

    def _multiply(
        self, m: Module, distance: Signal, step: Signal, bit: Signal, rest: Signal
    ) -> None:
        """Add a digit's multiples; `bit` is the lowest of d * r, `rest` whether any are left."""
        high, digit = Signal(WORD_BITS), Signal()
        low, upper = step[:4], step[4:]
        top = distance[-1] & (low == 0) & (upper == 1)
        loss = Mux(digit, (self.loss + distance)[: len(self.loss)], self.loss)
        total = Mux(digit, high + self.residual, high)
        m.d.comb += [
            digit.eq(self.turning & (distance.bit_select(low, 1) & (upper == 0) | top)),
            bit.eq(total[0]),
            rest.eq(high.any()),
        ]
        with m.If(self.do.clear):
            m.d.sync += self.loss.eq(0)
        with m.Elif(self.turning):
            m.d.sync += [self.loss.eq(loss.rotate_right(1)), high.eq(total[1:])]

    def _round(
        self,
        m: Module,
        step: Signal,
        bit: Signal,
        rest: Signal,
        active: Signal,
        incoming: Signal,
    ) -> None:
        """Give the product's bits their sign and round them; `active` from bit `shift` on."""
        seen, carry, started = Signal(), Signal(), Signal()
        signed_bit = bit ^ (self.negative & seen)
        above = carry ^ (self.negative & seen)
        m.d.comb += [
            active.eq(started | (step == self.shift)),
            incoming.eq(signed_bit ^ carry),
            # The word began as a one followed by zeros, which is now at its end.
            self.complete.eq(self.do.stream & active & self.word[0]),
            self.overflow.eq(rest | (above ^ self.word[-1])),
        ]
        with m.If(self.do.begin):
            m.d.sync += [seen.eq(0), carry.eq(0), started.eq(0)]
        with m.Elif(self.do.stream):
            # The bit below the word is the carry into it.
            m.d.sync += [
                seen.eq(seen | bit),
                carry.eq(signed_bit & (carry | ~active)),
                started.eq(active),
            ]

    def _hold(self, m: Module, active: Signal, incoming: Signal) -> None:
        """The word: what was read, a one-hot target, the delta as its bits come, or its bound."""
        do, word = self.do, self.word
        fill, which, top, change = Signal(), Signal(), Signal(), Signal()
        move = do.stream & active | do.shift & ~self.turning
        filled = Mux(do.check, self.negative, do.begin | self.at_label)
        m.d.comb += [
            fill.eq(do.fill | do.begin | do.check),
            # Without `fill` to move or to load, with it what to fill with: two controls a bit.
            which.eq(move | do.check & ~self.negative),
            top.eq(Mux(fill, filled, do.stream & incoming)),
            change.eq(do.load | do.fill | do.begin | move | do.check & self.overflow),
        ]
        with m.If(change):
            bits = [
                Mux(fill, which, Mux(which, above, own))
                for own, above in zip(self.x[:-1], word[1:], strict=True)
            ]
            m.d.sync += word.eq(Cat(*bits, Mux(fill | which, top, self.x[-1])))
        with m.If(do.load):
            m.d.sync += self.one_hot.eq(0)
        with m.Elif(do.fill):
            m.d.sync += self.one_hot.eq(1)
