"""The update unit of a serial device: stochastic gradient descent on one weight at a time.

    gradient --> + r0 --> saturate --+     +--- >> 4 ---+
                                     v     v            |
    WEIGHT --+------------------> [ word ] x digit --> [ product ] --> >> shift --+
             |                               ^                                    v
             |     mantissa, 4 bits a cycle -+                                    -
             v                                                                    |
       {w, r1} -----------------------------------------------------------> [ total ]
                                                                               |
    WEIGHT <-- saturate <------------------------------------------------------+

`sim.golden.units.update` is the arithmetic, without momentum: v' is the gradient, rounded. The
product has a row for every bit of the digit, which adds the word or passes on what it got:
Mux(bit, above + word, above). An iCE40 cell holds a bit of that, multiplexer included.

A shift by s is a product with `mantissa << (3 - s % 4)`, which costs a shift of 8 bits rather than
of 32, and a shift of that by a multiple of 4. One counter tells it all:

    count   LFSR word    word         product        total
    0       low asked
    3       low is r0    takes v'     cleared        cleared, below the point
    4       high is r1   v'           digit 0        takes r1, below the point
    5                    v'           digit 1
    6       low again    v'           digit 2        takes w, above the point
    7       0            takes w      cleared        less eta v'
    8 - 10               w            digits 0 - 2
    11      0                                        less eta lambda w
    12                                               done
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig
from hw.lfsr import LfsrBank
from hw.numbers import (
    GRADIENT_BITS,
    GRADIENT_GUARD_BITS,
    LFSR_TAPS,
    UPDATE_FRACTION_BITS,
    WORD_BITS,
    WORD_MAX,
    lfsr_seed,
)
from hw.tile_memory import WordWrite

SHIFT_BITS = 4
"""Bits of the shift that goes with the mantissa of a rate."""

MANTISSA_BITS = 8
DIGIT_BITS = 4
DIGITS = 3
"""Of a mantissa shifted left by up to 3."""

PRODUCT_LOW_BITS = DIGITS * DIGIT_BITS

TOTAL_BITS = WORD_BITS + UPDATE_FRACTION_BITS + 2
"""Two subtractions of 32 bits from 32 bits."""

FIRST_COUNT, LAST_COUNT = 3, 12


class SerialUpdateUnit(wiring.Component):
    """The new weight of a synapse from its gradient, LATENCY cycles later.

    An element may come every INTERVAL cycles, or later. Its lane's LFSR steps once, `there` or not.

    Parameters
    ----------
    config: the device's configuration, serial, without momentum and with mantissas of 8 bits
    read_latency: cycles from `weight_enable` to its word, 1 to MAX_READ_LATENCY

    Members
    -------
    valid: an element comes
    gradient: GRADIENT_GUARD_BITS below a momentum's least significant bit
    there: it is a weight of the network, to be written and counted
    tile, row, column: its place. Gradient, `there` and place hold still until `done`
    rate, rate_shift: eta as (mantissa, shift), as of all mantissas the upper 8 bits
    decay, decay_shift: eta lambda, likewise; all these hold still while an element is under way
    weight_enable: read the element's weight: from `valid` to `done`
    weight: the word asked for `read_latency` cycles ago
    weight_write: to the memory
    done: the weight is written, if it is there
    momentum_saturated, weight_saturated: whether v' and w' did; 0 unless there; valid with `done`
    lfsr_address, lfsr_write, lfsr_write_data: as of LfsrBank, while no element is under way
    lfsr_read_data: the half at the `lfsr_address` of LFSR_READ_LATENCY cycles ago, unless that was
        written or an element was under way in that cycle

    The LFSRs start at their seeds after configuration. A reset keeps them; of the one of an element
    under way it may leave one half a step behind the other.
    """

    LATENCY = 1 + LAST_COUNT - FIRST_COUNT
    INTERVAL = LATENCY + 1
    MAX_READ_LATENCY = 4
    LFSR_READ_LATENCY = LfsrBank.READ_LATENCY

    def __init__(self, *, config: DeviceConfig, read_latency: int) -> None:
        for name, needed in (("serial", True), ("momentum", False), ("rate_width", MANTISSA_BITS)):
            if getattr(config, name) != needed:
                raise ValueError(
                    f"{name} of configuration {config.name!r} must be {needed} for a serial "
                    f"update unit, not {getattr(config, name)}"
                )
        if not 1 <= read_latency <= self.MAX_READ_LATENCY:
            raise ValueError(
                f"read_latency must be from 1 to {self.MAX_READ_LATENCY}, not {read_latency}"
            )
        self.config = config
        self.read_latency = read_latency
        lanes = config.lanes
        super().__init__(
            {
                "valid": In(1),
                "gradient": In(signed(GRADIENT_BITS)),
                "there": In(1),
                "tile": In(range(config.weight_tiles)),
                "row": In(range(lanes)),
                "column": In(range(lanes)),
                "rate": In(WORD_BITS),
                "rate_shift": In(SHIFT_BITS),
                "decay": In(WORD_BITS),
                "decay_shift": In(SHIFT_BITS),
                "weight_enable": Out(1),
                "weight": In(signed(WORD_BITS)),
                "weight_write": Out(WordWrite(tiles=config.weight_tiles, rows=lanes, lanes=lanes)),
                "done": Out(1),
                "momentum_saturated": Out(1),
                "weight_saturated": Out(1),
                "lfsr_address": In(range(2 * lanes)),
                "lfsr_write": In(1),
                "lfsr_write_data": In(WORD_BITS),
                "lfsr_read_data": Out(WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count, first, taking = self._count(m)
        total = Signal(signed(TOTAL_BITS), reset_less=True)
        random = self._draw(m, count, first, total[0])
        word = self._word(m, count, first, taking, random)
        product = self._product(m, count, taking, word)
        self._subtract(m, count, first, taking, total, random, product)
        self._write(m, total)
        return m

    def _count(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """The counter, whether it is 3, and whether it is 3, 7 or 11."""
        count, first, taking = Signal(range(LAST_COUNT + 1)), Signal(), Signal()
        with m.If(self.done):
            m.d.sync += count.eq(0)
        with m.Elif(count != 0):
            m.d.sync += count.eq(count + 1)
        with m.Elif(self.valid):
            m.d.sync += count.eq(FIRST_COUNT)
        m.d.comb += [
            first.eq(count == FIRST_COUNT),
            taking.eq(count[:2].all()),
            self.done.eq(count[2:].all()),
            self.weight_enable.eq(self.valid | (count != 0)),
        ]
        return count, first, taking

    def _draw(self, m: Module, count: Signal, first: Signal, r1_lowest: Value) -> Signal:
        """The LFSR's low half at count 3, its high half at 4, and 0 at 7 and 11.

        Each half is written in the cycle in which it comes out: the step of the high one needs the
        lowest bit of the low one, and the other way round. The upper half of the memory is 0.
        """
        lanes, mask = self.config.lanes, (1 << WORD_BITS) - 1
        states = [lfsr_seed(lane) for lane in range(lanes)]
        halves = [half for state in states for half in (state & mask, state >> WORD_BITS)]
        # See hw.tile_memory for `no_rw_check`. So small a memory would not become block RAM.
        m.submodules.lfsr = memory = Memory(
            shape=unsigned(WORD_BITS),
            depth=2 * len(halves),
            init=halves,
            attrs={"no_rw_check": 1, "ram_style": "block"},
        )
        read, write = memory.read_port(domain="comb"), memory.write_port()
        random = Signal(WORD_BITS, reset_less=True)
        m.d.sync += random.eq(read.data)

        high = first | (count == FIRST_COUNT + 1)
        address = Signal(self.lfsr_address.shape())
        nothing = count[1] & count[2:].any()
        m.d.comb += [
            address.eq(Mux(self.weight_enable, Cat(high, self.row), self.lfsr_address)),
            read.addr.eq(Cat(address, nothing)),
        ]

        # At count 4 the high half steps, at 6 the low one, by when the total begins with r1.
        odd, low = Signal(reset_less=True), count[1]
        with m.If(first):
            m.d.sync += odd.eq(random[0])
        taps = Mux(low, LFSR_TAPS & mask, LFSR_TAPS >> WORD_BITS)
        stepped = Cat(random[1:], low & r1_lowest) ^ Mux(odd, taps, 0)
        m.d.comb += [
            write.addr.eq(address),
            write.data.eq(Mux(count[2], stepped, self.lfsr_write_data)),
            write.en.eq(self.lfsr_write | (count[2] & ~count[3] & ~count[0])),
            self.lfsr_read_data.eq(random),
        ]
        return random

    def _word(
        self, m: Module, count: Signal, first: Signal, taking: Signal, random: Signal
    ) -> Signal:
        """What is multiplied: v' from count 4 on, the weight from count 8 on.

        r0 is never negative, so that v' saturates upwards only, and its lowest bits alone carry
        nothing. -1 in place of the weight's zeros makes an adder whose multiplexer shares its cell.
        """
        word, noisy = Signal(signed(WORD_BITS), reset_less=True), Signal(signed(GRADIENT_BITS))
        is_weight, over, counted = count[2], Signal(), Signal(reset_less=True)
        upper = is_weight.replicate(WORD_BITS)
        m.d.comb += [
            noisy.eq(self.gradient + Cat(random[WORD_BITS - GRADIENT_GUARD_BITS :], upper)),
            over.eq(~is_weight & ~self.gradient[-1] & noisy[-1]),
            self.momentum_saturated.eq(counted),
        ]
        with m.If(taking):
            m.d.sync += word.eq(Mux(is_weight, self.weight, noisy[GRADIENT_GUARD_BITS:]))
            with m.If(over):
                m.d.sync += word.eq(WORD_MAX)
        with m.If(first):
            m.d.sync += counted.eq(over & self.there)
        return word

    def _digit(self, m: Module, count: Signal) -> Signal:
        """Four bits of `mantissa << (3 - shift % 4)` for the next count, from the lowest on."""
        decay = Signal()
        m.d.comb += decay.eq(count[3] | (count[2] & count[1]))
        mantissa = Mux(decay, self.decay, self.rate)[WORD_BITS - MANTISSA_BITS :]
        fine = Mux(decay, self.decay_shift, self.rate_shift)[:2]
        most = (1 << len(fine)) - 1
        padded = Cat(Const(0, most), mantissa, Const(0, DIGIT_BITS))
        windows = [padded[k * DIGIT_BITS :][: DIGIT_BITS + most] for k in range(DIGITS)]
        window = Mux(count[1], windows[0], Mux(count[0], windows[2], windows[1]))
        digit = Signal(DIGIT_BITS, reset_less=True)
        m.d.sync += digit.eq(window >> fine)
        return digit

    def _product(self, m: Module, count: Signal, taking: Signal, word: Signal) -> Value:
        """eta v' at count 7, eta lambda w at count 11, floored, with UPDATE_FRACTION_BITS."""
        high = Signal(signed(WORD_BITS), name="product_high", reset_less=True)
        low = Signal(PRODUCT_LOW_BITS, name="product_low", reset_less=True)
        above, below = high, []
        for k, bit in enumerate(self._digit(m, count)):
            row = Signal(signed(WORD_BITS + 1), name=f"row_{k}")
            m.d.comb += row.eq(Mux(bit, above + word, above))
            below.append(row[0])
            above = row[1:].as_signed()
        m.d.sync += [high.eq(above), low.eq(Cat(low[DIGIT_BITS:], *below))]
        with m.If(taking):
            m.d.sync += [high.eq(0), low.eq(0)]

        # Counts 6 and 10 tell what 7 and 11 ask.
        coarse = Signal(SHIFT_BITS - 2, reset_less=True)
        m.d.sync += coarse.eq(Mux(count[3], self.decay_shift, self.rate_shift)[2:])
        # With shift 3 the mantissa itself was multiplied, 8 bits above the point.
        wide = Cat(Const(0, WORD_BITS - MANTISSA_BITS - 3), low, high).as_signed()
        wide = Mux(coarse[1], wide >> 8, wide)
        return Mux(coarse[0], wide >> 4, wide)

    def _subtract(
        self,
        m: Module,
        count: Signal,
        first: Signal,
        taking: Signal,
        total: Signal,
        random: Signal,
        product: Value,
    ) -> None:
        """{w, r1}, less one product, then another.

        At count 4 total and product are 0, and at all others that take it r1 is: its exclusive or
        after the subtraction fits in the subtraction's cells.
        """
        less = Signal(signed(TOTAL_BITS))
        m.d.comb += less.eq(total - product)
        below, above = total[:UPDATE_FRACTION_BITS], total[UPDATE_FRACTION_BITS:]
        with m.If(taking | (count == FIRST_COUNT + 1)):
            m.d.sync += below.eq(less[:UPDATE_FRACTION_BITS] ^ random)
            with m.If(first):
                m.d.sync += below.eq(0)
        with m.If(taking | (count[2] & ~count[3])):
            above_less = less[UPDATE_FRACTION_BITS:].as_signed()
            m.d.sync += above.eq(Mux(taking, above_less, self.weight))

    def _write(self, m: Module, total: Signal) -> None:
        write, sign = self.weight_write, total[-1]
        exact = total[UPDATE_FRACTION_BITS:]
        over = (exact[WORD_BITS - 1 : -1] ^ sign.replicate(2)).any()
        limit = Cat((~sign).replicate(WORD_BITS - 1), sign)
        m.d.comb += [
            self.weight_saturated.eq(over & self.there),
            write.enable.eq(self.done & self.there),
            write.data.eq(Mux(over, limit, exact)),
            *(getattr(write, name).eq(getattr(self, name)) for name in ("tile", "row", "column")),
        ]
