"""The update unit of a serial device: stochastic gradient descent on one synapse at a time.

    gradient --> + r0 --> saturate --+                    + <-- WEIGHT
                                     v                    v
    WEIGHT --------------------> [ word ] -- x digit --> [ sum ] --> saturate --> WEIGHT
                                                ^         ^ r1
                        rate, then decay, 4 bits a cycle  |
                                                          |
    [ block RAM: the lanes' LFSRs ] --> r0, r1 -----------+

`sim.golden.units.update` is the arithmetic, with a momentum of 0.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.config import DeviceConfig
from hw.lfsr import LfsrBank
from hw.numbers import (
    GRADIENT_BITS,
    GRADIENT_GUARD_BITS,
    LFSR_TAPS,
    WORD_BITS,
    WORD_MAX,
    lfsr_seed,
)
from hw.tile_memory import WordWrite

SHIFT_BITS = 4
MANTISSA_BITS = 8
DIGIT_BITS = 4
DIGITS = 3


class SerialUpdateUnit(wiring.Component):
    LATENCY = 10
    INTERVAL = LATENCY + 1
    MAX_READ_LATENCY = 4
    READ_LATENCY = LfsrBank.READ_LATENCY

    def __init__(self, *, config: DeviceConfig, read_latency: int) -> None:
        self.config = config
        lanes = config.lanes
        super().__init__(
            {
                "valid": In(1),
                "gradient": In(signed(GRADIENT_BITS)),
                "there": In(1),
                "tile": In(bits_for(config.weight_tiles - 1)),
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
        count = Signal(4)
        busy = Signal()
        m.d.comb += [
            busy.eq(self.valid | (count != 0)),
            self.weight_enable.eq(busy),
            self.done.eq(count[2:].all()),
        ]
        with m.If(self.done):
            m.d.sync += count.eq(0)
        with m.Elif(count != 0):
            m.d.sync += count.eq(count + 1)
        with m.Elif(self.valid):
            m.d.sync += count.eq(3)

        draw, load, take = Signal(), Signal(), Signal()
        m.d.comb += [draw.eq(count == 3), load.eq(count == 4), take.eq(count[:2] == 3)]

        total = Signal(signed(34), reset_less=True)
        random = self._lfsr(m, count, busy, draw, total[0])

        noisy = Signal(signed(GRADIENT_BITS))
        over = Signal()
        word = Signal(signed(WORD_BITS), reset_less=True)
        ones = count[2].replicate(WORD_BITS)
        m.d.comb += [
            noisy.eq(self.gradient + Cat(random[GRADIENT_GUARD_BITS:], ones)),
            over.eq(~count[2] & ~self.gradient[-1] & noisy[-1]),
        ]
        with m.If(take):
            m.d.sync += word.eq(Mux(count[2], self.weight, noisy[GRADIENT_GUARD_BITS:]))
            with m.If(over):
                m.d.sync += word.eq(WORD_MAX)
        flag = Signal()
        with m.If(draw):
            m.d.sync += flag.eq(over & self.there)
        m.d.comb += self.momentum_saturated.eq(flag)

        product = self._product(m, count, take, word)
        after = Signal(signed(34))
        m.d.comb += after.eq(
            (Cat(Const(1, 1), total).as_signed() + Cat(Const(1, 1), ~product).as_signed()) >> 1
        )
        low, high = total[:16], total[16:]
        with m.If(take | load):
            m.d.sync += low.eq(after[:16] ^ random)
            with m.If(draw):
                m.d.sync += low.eq(0)
        with m.If(take | (count[2] & ~count[3])):
            m.d.sync += high.eq(Mux(take, after[16:].as_signed(), self.weight))

        sign = total[-1]
        beyond = Signal()
        m.d.comb += beyond.eq((total[31:33] ^ sign.replicate(2)).any())
        limit = Cat((~sign).replicate(WORD_BITS - 1), sign)
        write = self.weight_write
        m.d.comb += [
            self.weight_saturated.eq(beyond & self.there),
            write.enable.eq(self.done & self.there),
            write.tile.eq(self.tile),
            write.row.eq(self.row),
            write.column.eq(self.column),
            write.data.eq(Mux(beyond, limit, total[16:32])),
        ]
        return m

    def _product(self, m, count, take, word):
        second = count[3]
        mantissa = Mux(second, self.decay, self.rate)[8:]
        amount = Signal(4)
        m.d.comb += amount.eq(Mux(second, self.decay_shift, self.rate_shift))
        padded = Cat(Const(0, 3), mantissa, Const(0, 4))
        window = Signal(7)
        m.d.comb += window.eq(
            Mux(count[1], padded[8:15], Mux(count[0], padded[4:11], padded[0:7]))
        )
        w2 = Mux(amount[1], window[2:], window[:5])
        digit = Signal(4)
        m.d.comb += digit.eq(Mux(amount[0], w2[1:], w2[:4]))

        high = Signal(signed(16), reset_less=True)
        low = Signal(12, reset_less=True)
        total = high
        out = []
        for bit in digit:
            row = Signal(signed(17))
            m.d.comb += row.eq(Mux(bit, total + word, total))
            out.append(row[0])
            total = row[1:].as_signed()
        m.d.sync += [high.eq(total), low.eq(Cat(low[4:], *out))]
        with m.If(take):
            m.d.sync += [high.eq(0), low.eq(0)]
        wide = Cat(Const(0, 5), low, high).as_signed()
        wide = Mux(amount[3], wide >> 8, wide)
        wide = Mux(amount[2], wide >> 4, wide)
        p = Signal(signed(33))
        m.d.comb += p.eq(wide)
        return p

    def _lfsr(self, m, count, busy, draw, carried):
        lanes = self.config.lanes
        seeds = [lfsr_seed(lane) >> s & 0xFFFF for lane in range(lanes) for s in (0, 16)]
        m.submodules.lfsr = memory = Memory(
            shape=unsigned(16), depth=4 * lanes, init=seeds, attrs={"no_rw_check": 1, "ram_style": "block"}
        )
        read, write = memory.read_port(domain="comb"), memory.write_port()
        half = (count == 3) | (count == 4)
        address = Signal(range(2 * lanes))
        m.d.comb += address.eq(Mux(busy, Cat(half, self.row), self.lfsr_address))
        zero = count[1] & count[2:].any()
        word = Signal(16, name="random", reset_less=True)
        m.d.sync += word.eq(read.data)
        odd = Signal(reset_less=True)
        with m.If(draw):
            m.d.sync += odd.eq(word[0])
        is_low = count[1]
        taps = Mux(is_low, LFSR_TAPS & 0xFFFF, LFSR_TAPS >> 16)
        ahead = Cat(word[1:], is_low & carried) ^ Mux(odd, taps, 0)
        m.d.comb += [
            read.addr.eq(Cat(address, zero)),
            write.addr.eq(address),
            write.en.eq(self.lfsr_write | (count[2] & ~count[3] & ~count[0])),
            write.data.eq(Mux(count[2], ahead, self.lfsr_write_data)),
            self.lfsr_read_data.eq(word),
        ]
        return word
