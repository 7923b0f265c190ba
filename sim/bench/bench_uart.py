"""Bench of the serial line: receiver and transmitter side by side, each at one end of a wire.

The bench is the other end. It drives `rx` at times of its own, in picoseconds, and looks at `tx` in
every cycle.

Parameters: `divisor`, `seed`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time

from hw.uart import DATA_BITS, FRAME_BITS, UartReceiver
from sim.bench import CLOCK_PERIOD_NS, cycle, parameters, reset, start

PERIOD = 1000 * CLOCK_PERIOD_NS
"""Of the clock, in ps."""
CORNERS = (0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0xFE, 0x7F)


class Bench:
    """The other end of the line, and who takes the bytes."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = dut
        self.divisor: int = given["divisor"]
        self.random = np.random.default_rng(given["seed"])
        self.ready: Callable[[int], bool] = lambda cycle: True
        self.taken: list[int] = []
        self.offered: list[int] = []
        """Cycles in which a byte was offered that was not before."""
        self.held: int | None = None
        cocotb.log.info("seed %d", given["seed"])

    @property
    def cycle(self) -> int:
        """Number of the clock's cycle, the same for all who look at a falling edge."""
        return int(get_sim_time("ps")) // PERIOD

    async def start(self) -> None:
        await start(self.dut, rx=1, o__ready=0, i__valid=0, i__payload=0)
        cocotb.start_soon(self.watch())
        await cycle(self.dut, 3)

    async def watch(self) -> None:
        """Take bytes when `ready` says so; one that is offered must stay as it is."""
        dut = self.dut
        fresh = True
        while True:
            valid = int(dut.o__valid.value)
            if self.held is not None:
                assert valid and int(dut.o__payload.value) == self.held
            if valid and fresh:
                self.offered.append(self.cycle)
            ready = self.ready(self.cycle)
            dut.o__ready.value = int(ready)
            if valid and ready:
                self.taken.append(int(dut.o__payload.value))
            self.held = int(dut.o__payload.value) if valid and not ready else None
            fresh = not valid or ready
            await cycle(dut)

    async def reset(self) -> None:
        self.held = None
        await reset(self.dut, 1)

    def bytes(self, count: int) -> list[int]:
        return [int(byte) for byte in self.random.integers(0, 256, count)]

    async def send(self, data: Iterable[int], *, bit: float | None = None, stop: int = 1) -> None:
        """Bytes on `rx` back to back, a bit in `bit` cycles."""
        bit = self.divisor if bit is None else bit
        begin, bits = get_sim_time("ps"), 0
        for byte in data:
            for level in (0, *(byte >> i & 1 for i in range(DATA_BITS)), stop):
                self.dut.rx.value = level
                bits += 1
                await Timer(round(begin + bits * bit * PERIOD) - get_sim_time("ps"), unit="ps")
        self.dut.rx.value = 1

    async def level(self, level: int, cycles: float) -> None:
        """Hold `rx` at a level."""
        self.dut.rx.value = level
        await Timer(round(cycles * PERIOD), unit="ps")

    async def settle(self) -> None:
        """Time for a byte to arrive, at a falling edge."""
        await cycle(self.dut, UartReceiver.LATENCY + 2)

    async def expect(self, data: list[int], what: str) -> None:
        """These bytes have arrived since the last time, and no other."""
        await self.settle()
        assert self.taken == data, f"{what}: {self.taken} instead of {data}"
        self.taken.clear()

    async def sample(self, cycles: int) -> list[int]:
        """`tx` in each of the next cycles, from this one on."""
        levels = []
        for _ in range(cycles):
            levels.append(int(self.dut.tx.value))
            await cycle(self.dut)
        return levels

    def wave(self, data: Iterable[int]) -> list[int]:
        """`tx` in the cycles of these bytes."""
        return [
            level
            for byte in data
            for level in (0, *(byte >> i & 1 for i in range(DATA_BITS)), 1)
            for _ in range(self.divisor)
        ]

    async def offer(self, byte: int) -> None:
        """A byte to the transmitter; returns at the falling edge after it was taken."""
        dut = self.dut
        dut.i__valid.value, dut.i__payload.value = 1, byte
        while not int(dut.i__ready.value):
            await cycle(dut)
        await cycle(dut)
        dut.i__valid.value = 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def every_byte_at_its_cycle(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    data = list(range(256)) if bench.divisor < 10 else bench.bytes(40)
    begin = bench.cycle
    await bench.send(data)
    await bench.expect(data, "back to back")
    first = 9 * bench.divisor + (bench.divisor - 1) // 2 + UartReceiver.LATENCY
    frame = FRAME_BITS * bench.divisor
    assert bench.offered == [begin + first + frame * i for i in range(len(data))]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def clocks_that_differ(dut: Any) -> None:
    """Two per cent, and all that the receiver says it bears, in every phase of the clocks."""
    bench = Bench(dut)
    await bench.start()
    d = bench.divisor
    least, most = d - (d // 2) / 10, d + ((d - 1) // 2) / 9
    for bit in (0.98 * d, 1.02 * d, 1.0005 * least, 0.9995 * most):
        # The more cycles a bit has, the less a part of one matters.
        for phase in np.linspace(0.03, 0.97, 4 if d > 10 else 12):
            await bench.level(1, d + phase)
            data = [*CORNERS, *bench.bytes(2)]
            await bench.send(data, bit=bit)
            await bench.level(1, d)
            await bench.expect(data, f"bit of {bit} cycles, phase {phase}")


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def clocks_that_differ_too_much(dut: Any) -> None:
    """Beyond the limits some bytes are lost in some phase: the limits are not an understatement."""
    bench = Bench(dut)
    await bench.start()
    d = bench.divisor
    for bit in (d - (d // 2) / 10 - 0.1, d + ((d - 1) // 2) / 9 + 0.12):
        lost = 0
        for phase in np.linspace(0.03, 0.97, 4 if d > 10 else 24):
            await bench.level(1, 12 * d)
            await bench.settle()
            bench.taken.clear()
            await bench.level(1, phase)
            # After these the line is 0, then 1: the stop bit is told from its neighbours.
            await bench.send([0x7F], bit=bit)
            await bench.send([0x00], bit=bit)
            await bench.level(1, 12 * d)
            await bench.settle()
            lost += bench.taken != [0x7F, 0x00]
        assert lost > 0, f"a bit of {bit} cycles is borne in every phase"
        await bench.level(1, 12 * d)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def false_starts(dut: Any) -> None:
    """A line that is 1 again by the middle of a start bit has not begun a byte."""
    bench = Bench(dut)
    await bench.start()
    for width in range(1, (bench.divisor - 1) // 2 + 1):
        for gap in (1, 2, bench.divisor):
            await bench.level(0, width)
            await bench.level(1, gap + bench.divisor // 2)
            data = bench.bytes(2)
            await bench.send(data)
            await bench.expect(data, f"after {width} cycles of 0")
    await bench.level(0, bench.divisor // 4 or 1)
    await bench.level(1, 12 * bench.divisor)
    await bench.expect([], "a pulse alone")


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def framing_errors(dut: Any) -> None:
    """A byte without a stop bit is dropped, and so is all of a break; the next byte is not."""
    bench = Bench(dut)
    await bench.start()
    for byte in CORNERS:
        await bench.send([byte], stop=0)
        await bench.level(1, bench.divisor)
        data = bench.bytes(2)
        await bench.send(data)
        await bench.expect(data, f"after {byte:#x} without a stop bit")
    for bits in (10, 11, 35):
        await bench.level(0, bits * bench.divisor)
        await bench.level(1, bench.divisor)
        data = bench.bytes(2)
        await bench.send(data)
        await bench.expect(data, f"after a break of {bits} bits")


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_byte_waits_as_long_as_the_next_one_takes(dut: Any) -> None:
    """Taken in the last cycle both arrive; a cycle later, only the first."""
    bench = Bench(dut)
    await bench.start()
    for late in (0, 1):
        first, second, third = data = bench.bytes(3)
        begin = bench.cycle
        offered = begin + 9 * bench.divisor + (bench.divisor - 1) // 2 + UartReceiver.LATENCY
        last = offered + FRAME_BITS * bench.divisor - 1 + late
        bench.ready = last.__eq__
        await bench.send(data[:2])
        await bench.settle()
        bench.ready = lambda cycle: True
        await bench.expect([first] if late else [first, second], f"{late} cycles late")
        await bench.send([third])
        await bench.expect([third], "afterwards")


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def receiver_is_reset(dut: Any) -> None:
    """In any bit of a byte and while one is offered: what was there is gone."""
    bench = Bench(dut)
    await bench.start()
    for bit in range(FRAME_BITS):
        part = cocotb.start_soon(bench.send([0xFF]))
        await cycle(dut, bit * bench.divisor + 2)
        await bench.reset()
        await part
        await bench.settle()
        bench.taken.clear()
        await bench.level(1, 2 * bench.divisor)
        data = bench.bytes(2)
        await bench.send(data)
        await bench.expect(data, f"after a reset in bit {bit}")
    bench.ready = lambda cycle: False
    await bench.send([0x12])
    await bench.settle()
    await bench.reset()
    bench.ready = lambda cycle: True
    await bench.expect([], "a byte that was offered")


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def received_at_random(dut: Any) -> None:
    """Any bytes, gaps and phases, clocks within 2 %, and a reader that stalls."""
    bench = Bench(dut)
    await bench.start()
    random = bench.random
    stalls = random.random(1 << 12) < 0.8
    bench.ready = lambda cycle: not stalls[cycle % len(stalls)]
    for _ in range(60):
        data = bench.bytes(int(random.integers(1, 5)))
        await bench.send(data, bit=bench.divisor * random.uniform(0.98, 1.02))
        await bench.level(1, bench.divisor * random.uniform(0.2, 3) + random.random())
        await cycle(dut, 3 * FRAME_BITS)
        await bench.expect(data, "at random")


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def sent_back_to_back(dut: Any) -> None:
    """No cycle between the bytes; the start bit begins when the byte has been taken."""
    bench = Bench(dut)
    await bench.start()
    data = [*CORNERS, *bench.bytes(8)]
    assert int(dut.i__ready.value) and int(dut.tx.value)
    frames = cocotb.start_soon(bench.sample(1 + len(data) * FRAME_BITS * bench.divisor))
    for byte in data:
        await bench.offer(byte)
    assert await frames == [1, *bench.wave(data)]
    assert await bench.sample(3 * bench.divisor) == [1] * 3 * bench.divisor


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def sent_with_gaps(dut: Any) -> None:
    """After a gap of any length a byte leaves at once; `ready` is 1 in the gap."""
    bench = Bench(dut)
    await bench.start()
    for gap in (1, 2, 3, bench.divisor, *bench.random.integers(1, 30, 6)):
        (byte,) = bench.bytes(1)
        await bench.offer(byte)
        frame = bench.wave([byte])
        assert await bench.sample(len(frame) - 1) == frame[:-1]
        assert int(dut.tx.value) and int(dut.i__ready.value)
        for _ in range(int(gap)):
            await cycle(dut)
            assert int(dut.tx.value) and int(dut.i__ready.value)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def transmitter_is_reset(dut: Any) -> None:
    """In any bit: the line rests, and the next byte is whole."""
    bench = Bench(dut)
    await bench.start()
    for bit in range(FRAME_BITS):
        await bench.offer(0x00)
        await cycle(dut, bit * bench.divisor + 1)
        await bench.reset()
        assert await bench.sample(2 * bench.divisor) == [1] * 2 * bench.divisor
        (byte,) = bench.bytes(1)
        await bench.offer(byte)
        assert await bench.sample(FRAME_BITS * bench.divisor) == bench.wave([byte])
