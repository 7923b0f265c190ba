"""A board's top level, simulated at its pins: bytes go in and come out, lamps, and the reset."""

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import pytest
from amaranth.hdl import Fragment, Module, Signal, Value
from amaranth.lib import io, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from boards import top
from boards.board import Board, Lamps, board
from boards.clocks import GowinPll
from boards.top import RESET_SECONDS, Top
from hw.isa import State

IDLE, RUNNING, FAILED = ("led", 0), ("led", 1), ("led", 2)


class Echo(wiring.Component):
    """In the place of a device: answers a byte with itself; its lower bits are the state then."""

    def __init__(self, *, config: Any, identity: bytes):
        octets = stream.Signature(8)
        super().__init__({"rx": In(octets), "tx": Out(octets), "state": Out(4)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += [
            self.tx.payload.eq(self.rx.payload),
            self.tx.valid.eq(self.rx.valid),
            self.rx.ready.eq(self.tx.ready),
        ]
        with m.If(self.rx.valid):
            m.d.sync += self.state.eq(self.rx.payload)
        return m


NANO = replace(board("tang_nano_9k"), pll=None)
"""Its oscillator is slow enough to be simulated as the device's clock."""
LOCKED = Signal()


@dataclass(frozen=True, kw_only=True)
class ByHand(GowinPll):
    """A PLL that passes its reference on, and is locked when the test says so."""

    def cell(self, m: Module, pin: Any, reference: Value | None, clock: Signal) -> Value:
        m.d.comb += clock.eq(reference)
        return LOCKED


class Pins:
    """A platform whose pins the test drives."""

    def __init__(self) -> None:
        self.ports: dict[tuple[str, int], Any] = {}

    def request(self, name: str, number: int = 0, *, dir: str) -> Any:
        assert (name, number) not in self.ports and dir == "-"
        if name == "uart":
            port: Any = type("Line", (), {})()
            port.rx, port.tx = io.SimulationPort("i", 1), io.SimulationPort("o", 1)
        else:
            port = io.SimulationPort("i" if name.startswith("clk") else "o", 1)
        self.ports[name, number] = port
        return port


class Bench:
    """Drives a board's clock and line, cycle by cycle."""

    def __init__(self, declared: Board):
        self.board, self.pins = declared, Pins()
        self.simulator = Simulator(Fragment.get(Top(board=declared), self.pins))
        self.line = self.pins.ports["uart", 0]
        self.clock = self.pins.ports[declared.oscillator, 0].i

    def run(self, process: Any) -> None:
        self.simulator.add_testbench(process)
        self.simulator.run()

    async def cycles(self, ctx: Any, count: int) -> list[int]:
        """`tx` in each of so many cycles."""
        levels = []
        for _ in range(count):
            ctx.set(self.clock, 1)
            await ctx.delay(1e-8)
            ctx.set(self.clock, 0)
            await ctx.delay(1e-8)
            levels.append(ctx.get(self.line.tx.o))
        return levels

    async def exchanged(self, ctx: Any, byte: int) -> int | None:
        """What comes back after a byte; None when nothing does."""
        d, levels = self.board.divisor, []
        for level in (0, *(byte >> i & 1 for i in range(8)), 1):
            ctx.set(self.line.rx.i, level)
            levels += await self.cycles(ctx, d)
        levels += await self.cycles(ctx, 11 * d)
        if 0 not in levels:
            return None
        begin = levels.index(0)
        bits = [levels[begin + d * i + d // 2] for i in range(10)]
        assert (bits[0], bits[9]) == (0, 1)
        return sum(bit << i for i, bit in enumerate(bits[1:9]))

    def lit(self, ctx: Any) -> set[tuple[str, int]]:
        ports = self.pins.ports.items()
        return {key for key, port in ports if key[0] == "led" and ctx.get(port.o)}


RESET_CYCLES = ceil(RESET_SECONDS * 27e6)


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "Device", Echo)


def test_bytes_and_lamps() -> None:
    bench = Bench(NANO)

    async def process(ctx: Any) -> None:
        ctx.set(bench.line.rx.i, 1)
        assert set(await bench.cycles(ctx, 2 * RESET_CYCLES)) == {1}
        assert bench.lit(ctx) == {IDLE}
        for state, lit in (
            (State.RUNNING, RUNNING),
            (State.FAILED, FAILED),
            (State.HALTED, IDLE),
            (State.RUNNING, RUNNING),
            (State.IDLE, IDLE),
        ):
            assert await bench.exchanged(ctx, 0xA0 | state) == 0xA0 | state
            assert bench.lit(ctx) == {lit}

    bench.run(process)


def test_lamps_may_share_leds() -> None:
    lamps = Lamps(idle=(IDLE,), running=(IDLE, FAILED), failed=(FAILED,))
    bench = Bench(replace(NANO, lamps=lamps))

    async def process(ctx: Any) -> None:
        ctx.set(bench.line.rx.i, 1)
        await bench.cycles(ctx, 2 * RESET_CYCLES)
        for state, lit in ((0, {IDLE}), (1, {IDLE, FAILED}), (3, {FAILED})):
            assert await bench.exchanged(ctx, state) == state
            assert bench.lit(ctx) == lit

    bench.run(process)


def test_is_in_reset_until_the_clock_has_been_stable() -> None:
    """And again when it no longer is; counted from the lock, not from the beginning."""
    pll = ByHand(reference=27, divider=1, feedback=1, output=32, device="GW1NR-9C")
    bench = Bench(replace(NANO, pll=pll, held=(("70", 1), ("71", 0))))

    async def process(ctx: Any) -> None:
        ctx.set(bench.line.rx.i, 1)
        await bench.cycles(ctx, 3 * RESET_CYCLES)
        assert await bench.exchanged(ctx, 0x11) is None
        for _ in range(2):
            ctx.set(LOCKED, 1)
            before = await bench.cycles(ctx, RESET_CYCLES - 30 * NANO.divisor)
            assert await bench.exchanged(ctx, 0x22) is None and set(before) == {1}
            await bench.cycles(ctx, 2 * RESET_CYCLES)
            assert await bench.exchanged(ctx, 0x01) == 0x01
            assert bench.lit(ctx) == {RUNNING}
            ctx.set(LOCKED, 0)
            await bench.cycles(ctx, 5)
            assert bench.lit(ctx) == set()
            assert await bench.exchanged(ctx, 0x33) is None
        assert [ctx.get(bench.pins.ports["held", i].o) for i in range(2)] == [1, 0]

    bench.run(process)
