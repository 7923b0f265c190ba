"""A board's top level for simulation: its pins, with the other end of its serial line.

    rx --> transmitter --> rx pin [ board's top level ] tx pin --> receiver --> tx
                                          | lamps
"""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, ClockSignal, DomainRenamer, Fragment, Module
from amaranth.lib import io, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from boards.board import Board, Led
from boards.top import Top
from hw.uart import UartReceiver, UartTransmitter


class VirtualBoard(wiring.Component):
    """A board at the end of its serial line, as bytes a host sends and gets.

    The board's clock comes straight from this component's domain "sync", whose cycles are those of
    `board.hertz`: what a PLL does is not simulated. Multipliers are the behavioural twins.

    Members
    -------
    rx, tx: bytes to and from the board, each of which takes ten bits on its line
    lamps: which LEDs are lit, in the order of `board.lamps.leds`
    """

    def __init__(self, *, board: Board):
        self.board = replace(
            board,
            config=board.config.with_family("behavioural"),
            oscillator_megahertz=board.hertz / 1_000_000,
            pll=None,
        )
        octets = stream.Signature(8)
        super().__init__(
            {"rx": In(octets), "tx": Out(octets), "lamps": Out(len(board.lamps.leds))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pins = Pins(platform, self.board)
        # All within is elaborated for these pins. It makes a domain "sync" of its own.
        level = Fragment.get(Top(board=self.board), pins)
        m.submodules.board = DomainRenamer("board")(level)
        divisor = self.board.divisor
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=divisor)
        m.submodules.receiver = receiver = UartReceiver(divisor=divisor)
        connect(m, flipped(self.rx), transmitter.i)
        connect(m, receiver.o, flipped(self.tx))
        m.d.comb += [
            pins.oscillator.i.eq(ClockSignal()),
            pins.line.rx.i.eq(transmitter.tx),
            receiver.rx.eq(pins.line.tx.o),
            self.lamps.eq(Cat(pins.led(led).o for led in self.board.lamps.leds)),
        ]
        return m


class Pins:
    """A platform whose pins are signals; in all else it is as the platform around it."""

    def __init__(self, platform: object, board: Board):
        self.simulated = getattr(platform, "simulated", False)
        self.oscillator = io.SimulationPort("i", 1)
        self.line = SimpleNamespace(rx=io.SimulationPort("i", 1), tx=io.SimulationPort("o", 1))
        self._outputs: dict[Led, io.SimulationPort] = {}
        self._board = board

    def request(self, name: str, number: int = 0, *, dir: str) -> Any:
        """The pin, or the pins by name, of a resource of amaranth-boards."""
        if name == self._board.oscillator:
            return self.oscillator
        if name == "uart":
            return self.line
        own = [led for led in self._board.lamps.leds if led[:2] == (name, number)]
        parts = {led[-1]: self.led(led) for led in own if len(led) == 3}
        return SimpleNamespace(**parts) if parts else self.led((name, number))

    def led(self, led: Led) -> io.SimulationPort:
        """The pin of an LED, or of what is held at a level."""
        return self._outputs.setdefault(led, io.SimulationPort("o", 1))
