"""The serial line of a board, 8 data bits, no parity, one stop bit, to and from streams of bytes.

    rx pin --[synchroniser]--> receiver --o-->        --i--> transmitter --> tx pin

The line rests at 1. A byte is a start bit of 0, its bits from the lowest, and a stop bit of 1.
"""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

DATA_BITS = 8
FRAME_BITS = 1 + DATA_BITS + 1
"""Bit times that a byte takes on the line."""
MIN_DIVISOR = 4
"""With fewer cycles a bit the receiver would sample too far from the middles."""


def _checked(divisor: int) -> int:
    if divisor < MIN_DIVISOR:
        raise ValueError(f"divisor of a UART must be at least {MIN_DIVISOR}, not {divisor}")
    return divisor


class UartReceiver(wiring.Component):
    """Bytes from a line; one in which the stop bit is not 1 is dropped.

    A bit is sampled once, in its middle. A start bit that is over by its middle is none. After a
    dropped byte, as after a line held at 0, the next byte begins at the next falling edge.

    With d = `divisor`, a byte is received when the sender's bit takes T cycles and

        d - (d // 2) / 10 < T < d + ((d - 1) // 2) / 9

    that is 5 % shorter to 5.5 % longer than d where d is large, 4 % to 4.4 % for d = 5, and 5 % to
    2.7 % for d = 4. What d itself is off the rate that was asked for counts towards it.

    A byte is offered 9 * d + (d - 1) // 2 + `LATENCY` cycles after its start bit begins. It stays
    until it is taken; the next byte is dropped if it is not by then, 10 * d cycles later.

    Parameters
    ----------
    divisor: clock cycles of a bit, at least 4

    Members
    -------
    rx: the line, asynchronous
    o: the bytes
    """

    LATENCY = 3

    def __init__(self, *, divisor: int):
        self.divisor = _checked(divisor)
        super().__init__({"rx": In(1), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line, before = Signal(init=1), Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)
        m.d.sync += before.eq(line)

        timer = Signal(range(self.divisor))
        active, started = Signal(), Signal()
        # Bits enter at the top; the 1 that is at the bottom after eight of them was above them.
        bits = Signal(DATA_BITS + 1)
        complete = bits[0]

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += timer.eq(timer - 1)
        with m.If(~active):
            m.d.sync += [
                timer.eq((self.divisor - 1) // 2 - 1),
                started.eq(0),
                active.eq(before & ~line),
            ]
        with m.Elif(timer == 0):
            m.d.sync += [timer.eq(self.divisor - 1), started.eq(1)]
            with m.If(~started):
                m.d.sync += [bits.eq(1 << DATA_BITS), active.eq(~line)]
            with m.Elif(~complete):
                m.d.sync += bits.eq(Cat(bits[1:], line))
            with m.Else():
                m.d.sync += active.eq(0)
                with m.If(line & (~self.o.valid | self.o.ready)):
                    m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(bits[1:])]
        return m


class UartTransmitter(wiring.Component):
    """Bytes onto a line, each in exactly 10 * `divisor` cycles, back to back while there are any.

    A byte is taken in the last cycle of the stop bit before it; its start bit begins with the next
    cycle. `tx` comes from a register.

    Parameters
    ----------
    divisor: clock cycles of a bit, at least 4

    Members
    -------
    i: the bytes
    tx: the line
    """

    def __init__(self, *, divisor: int):
        self.divisor = _checked(divisor)
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self.divisor))
        # The bit on the line and those to come; above the stop bit is nothing.
        bits = Signal(FRAME_BITS, init=1)
        last = bits[1:] == 0
        m.d.comb += [self.tx.eq(bits[0]), self.i.ready.eq(last & (timer == 0))]
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(~last):
            m.d.sync += [timer.eq(self.divisor - 1), bits.eq(bits >> 1)]
        with m.Elif(self.i.valid):
            m.d.sync += [
                timer.eq(self.divisor - 1),
                bits.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1))),
            ]
        return m
