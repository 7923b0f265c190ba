"""What is built for a board: the device between the board's serial line, its clock and its lamps.

oscillator --[PLL]--> clock, reset
rx pin --> receiver --> device --> transmitter --> tx pin
                          |
                        state --> lamps
"""

from math import ceil
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Const, Module, ResetSignal, Signal, Value
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import connect

from boards.board import Board, Led
from hw.build_identity import build_identity
from hw.device import Device
from hw.isa import State
from hw.uart import UartReceiver, UartTransmitter

RESET_SECONDS = 20e-6
"""Time from a stable clock until the reset ends.

The memories of an iCE40 read as zeros for about 3 us after configuration, an undocumented property
that Amaranth's own platform waits 15 us for.
"""


class Top(wiring.Component):
    """A device of the board's configuration; elaborate it with `board.open_platform()`.

    It makes the domain "sync" itself, of `board.hertz`, with a synchronous reset that lasts until
    the PLL has been locked for one to two times `RESET_SECONDS`, and comes back whenever the PLL
    loses its lock.
    """

    def __init__(self, *, board: Board):
        self.board = board
        super().__init__({})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.device = device = Device(
            config=self.board.config, identity=build_identity(self.board.config)
        )
        self._reset(m, self._clock(m, platform))
        self._serial(m, platform, device)
        self._lamps(m, platform, device.state)
        self._held(m, platform)
        return m

    def _clock(self, m: Module, platform: Any) -> Value:
        """Drive the domain's clock; returns whether it is stable, asynchronous.

        The oscillator's pin is constrained by amaranth-boards, and nextpnr derives the PLL's clock
        from it; the name of the clock's own net is not known before synthesis.
        """
        board = self.board
        port = platform.request(board.oscillator, dir="-")
        m.domains.sync = sync = ClockDomain("sync")
        reference: Value | None = None
        if board.pll is None or not board.pll.at_pad:
            m.submodules.oscillator = buffer = io.Buffer("i", port)
            reference = buffer.i
        if board.pll is None:
            m.d.comb += sync.clk.eq(reference)
            return Const(1, 1)
        return board.pll.cell(m, port, reference, sync.clk)

    def _reset(self, m: Module, stable: Value) -> None:
        m.domains.power = power = ClockDomain("power", reset_less=True, local=True)
        m.d.comb += power.clk.eq(ClockSignal())
        stable_here = Signal()
        m.submodules.stable = FFSynchronizer(stable, stable_here, o_domain="power")
        cycles = ceil(RESET_SECONDS * self.board.hertz)
        # Its top bit ends the reset and stops the count.
        count = Signal((cycles - 1).bit_length() + 1)
        with m.If(~stable_here):
            m.d.power += count.eq(0)
        with m.Elif(~count[-1]):
            m.d.power += count.eq(count + 1)
        # From a register, as it has thousands of places to reach in a cycle.
        reset = Signal(name="reset", init=1)
        m.d.power += reset.eq(~count[-1])
        m.d.comb += ResetSignal().eq(reset)

    def _serial(self, m: Module, platform: Any, device: Device) -> None:
        line = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", line.rx)
        m.submodules.tx = tx = io.Buffer("o", line.tx)
        m.submodules.receiver = receiver = UartReceiver(divisor=self.board.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self.board.divisor)
        m.d.comb += [receiver.rx.eq(rx.i), tx.o.eq(transmitter.tx)]
        connect(m, receiver.o, device.rx)
        connect(m, device.tx, transmitter.i)

    def _lamps(self, m: Module, platform: Any, state: Value) -> None:
        lamps = self.board.lamps
        conditions = (
            (lamps.idle, state.matches(State.IDLE, State.HALTED)),
            (lamps.running, state == State.RUNNING),
            (lamps.failed, state == State.FAILED),
        )
        groups: dict[tuple[str, int], Any] = {}
        for led in lamps.leds:
            lit: Value = Const(0, 1)
            for leds, condition in conditions:
                if led in leds:
                    lit = lit | condition
            m.submodules[_name(led)] = buffer = io.Buffer("o", _port(platform, groups, led))
            m.d.sync += (register := Signal(name=_name(led))).eq(lit)
            m.d.comb += buffer.o.eq(register)

    def _held(self, m: Module, platform: Any) -> None:
        for number, (_, level) in enumerate(self.board.held):
            port = platform.request("held", number, dir="-")
            m.submodules[f"held_{number}"] = buffer = io.Buffer("o", port)
            m.d.comb += buffer.o.eq(level)


def _name(led: Led) -> str:
    return "_".join(map(str, led))


def _port(platform: Any, groups: dict[tuple[str, int], Any], led: Led) -> Any:
    """The port of an LED; `groups` keeps resources that have several."""
    name, number, *part = led
    key = (name, number)
    if key not in groups:
        groups[key] = platform.request(name, number, dir="-")
    return getattr(groups[key], part[0]) if part else groups[key]
