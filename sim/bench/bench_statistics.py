"""Bench of the statistics: every counter after every mix of reports, while the host reads.

Parameters: `reporters`, `read_latency`, `gap` (cycles between reports of a unit), `amount_bits`,
`seed`.
"""

from typing import Any

import cocotb
import numpy as np

from hw.isa import COUNTER_WORDS, COUNTERS, SATURATION_COUNTERS
from hw.numbers import WORD_BITS
from sim.bench import cycle, pack, parameters, reset, start

STROBES = {"cycles": "running", "waiting": "waiting", "busy": "busy"}
"""Counters of clock cycles, and what they count."""
BITS = {"cycles": 48, "waiting": 48, "busy": 48, "samples": 32, "correct": 32, "loss": 64}
MEMORY = COUNTERS["saturations"].address
QUIET = 40
"""Cycles until the last report is counted."""


class Bench:
    """Drives strobes and reports, and counts them too."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = dut
        self.reporters: int = given["reporters"]
        self.read_latency: int = given["read_latency"]
        self.gap: int = given["gap"]
        self.amount_bits: int = given["amount_bits"]
        self.random = np.random.default_rng(given["seed"])
        self.totals = dict.fromkeys(BITS, 0)
        self.saturations = [0] * SATURATION_COUNTERS
        self.state = [0] * COUNTERS["cycles"].address
        self.free = [0] * self.reporters
        self.now = 0
        cocotb.log.info("seed %d", given["seed"])

    def report(self, k: int) -> list[Any]:
        return [getattr(self.dut, f"reports__{k}__{x}") for x in ("valid", "statistic", "amount")]

    async def start(self) -> None:
        names = ["running", "waiting", "busy", "clear", "done", "samples", "correct", "loss"]
        for k in range(self.reporters):
            for signal in self.report(k):
                signal.value = 0
        await start(self.dut, **dict.fromkeys([*names, "state", "address", "read"], 0))
        await self.clear()

    async def step(self, *, reports: float = 0.0, busy: float = 0.0, read: float = 0.0) -> None:
        """One cycle in which these are probabilities: of a unit's report where one may come, of
        each strobe, and of a read of a saturation counter by the host."""
        dut, random = self.dut, self.random
        for name, strobe in STROBES.items():
            value = int(random.random() < busy)
            getattr(dut, strobe).value = value
            self.totals[name] += value
        done = random.random() < busy
        dut.done.value = int(done)
        amounts = {name: int(random.integers(1 << 16)) for name in ("samples", "correct")}
        amounts["loss"] = int(random.integers(1 << 63))
        for name, amount in amounts.items():
            getattr(dut, name).value = amount
            self.totals[name] = (self.totals[name] + amount * done) % (1 << BITS[name])
        for k in range(self.reporters):
            due = self.free[k] <= self.now and random.random() < reports
            # Few counters, so that units report to the same one, and mostly large amounts.
            place, size = int(random.choice([0, 1, 2, 63])), int(random.choice([1, 2, 16, 24]))
            amount = (1 << min(size, self.amount_bits)) - 1 - int(random.integers(2))
            self.send(k, place, amount if due else None)
        dut.read.value = int(random.random() < read)
        dut.address.value = MEMORY + int(random.integers(2 * SATURATION_COUNTERS))
        await self.next()

    def send(self, k: int, place: int, amount: int | None) -> None:
        """Report, or leave junk on the port where there is no amount."""
        for signal, value in zip(self.report(k), (1, place, amount or 0), strict=True):
            signal.value = value
        if amount is None:
            self.report(k)[0].value = 0
            return
        self.saturations[place] = (self.saturations[place] + amount) % (1 << 32)
        self.free[k] = self.now + self.gap

    async def next(self) -> None:
        await cycle(self.dut)
        self.now += 1

    async def quiet(self) -> None:
        for _ in range(QUIET):
            await self.step()
        self.dut.read.value = 0

    async def clear(self) -> None:
        await self.quiet()
        self.dut.clear.value = 1
        await self.next()
        self.dut.clear.value = 0
        for _ in range(2 * SATURATION_COUNTERS + 2):
            await self.next()
        self.totals = dict.fromkeys(BITS, 0)
        self.saturations = [0] * SATURATION_COUNTERS

    def words(self) -> list[int]:
        words = [0] * COUNTER_WORDS
        values = {name: (COUNTERS[name].address, self.totals[name]) for name in BITS}
        for address, value in enumerate(self.state):
            words[address] = value
        for address, value in values.values():
            for place in range(64 // WORD_BITS):
                words[address + place] = value >> WORD_BITS * place & 0xFFFF
        for k, value in enumerate(self.saturations):
            words[MEMORY + 2 * k : MEMORY + 2 * k + 2] = [value & 0xFFFF, value >> 16]
        return words

    async def check(self) -> None:
        """Read everything, a word a cycle, when all reports are counted."""
        await self.quiet()
        self.state = self.random.integers(0, 1 << 16, len(self.state)).tolist()
        self.dut.state.value = pack(self.state, WORD_BITS)
        expected = self.words()
        for address in range(COUNTER_WORDS + self.read_latency):
            if address >= self.read_latency:
                at = address - self.read_latency
                assert int(self.dut.word.value) == expected[at], at
            self.dut.address.value = address % COUNTER_WORDS
            self.dut.read.value = 1
            await self.next()
        self.dut.read.value = 0


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def random_reports(dut: Any) -> None:
    """As often as commands may end, and seldom; the host reads every other cycle at most."""
    bench = Bench(dut)
    await bench.start()
    for reports, busy, read in ((1.0, 0.5, 0.0), (0.1, 0.1, 0.3), (1.0, 1.0, 0.5), (0.5, 0.0, 0.0)):
        for _ in range(600):
            allowed = not int(dut.read.value)
            await bench.step(reports=reports, busy=busy, read=read * allowed)
        await bench.check()
    assert max(bench.saturations) > 1 << 25


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def carries(dut: Any) -> None:
    """From half to half, and at the end of the 32 bits, for every counter; the loss's 64 bits."""
    bench = Bench(dut)
    await bench.start()
    for amounts in ((0xFFFF, 1), (0xFFFF, 0xFFFF, 2), (0x8000, 0x8000), (0xFF_FFFF,) * 4):
        for place in range(SATURATION_COUNTERS):
            for amount in amounts:
                for k in range(bench.reporters):
                    bench.send(k, place, amount if k == place % bench.reporters else None)
                await bench.next()
                for k in range(bench.reporters):
                    bench.send(k, 5, None)
                for _ in range(7):
                    await bench.next()
        await bench.check()
    for _ in range(270):
        for k in range(bench.reporters):
            bench.send(k, 7, 0xFF_FFFF)
        await bench.next()
        for k in range(bench.reporters):
            bench.send(k, 7, None)
        for _ in range(bench.gap - 1):
            await bench.next()
    await bench.check()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_reader_sees_old_or_new(dut: Any) -> None:
    """A word read while it is counted up is one that it had."""
    bench = Bench(dut)
    await bench.start()
    before = after = 0
    for _ in range(100):
        bench.send(0, 3, 1)
        after += 1
        for _ in range(bench.gap):
            dut.address.value, dut.read.value = MEMORY + 2 * 3, 1
            await bench.next()
            bench.send(0, 3, None)
            dut.read.value = 0
            for _ in range(bench.read_latency - 1):
                await bench.next()
            assert int(dut.word.value) in (before, after)
        before = after
    await bench.check()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def clear_and_reset(dut: Any) -> None:
    """Either in the middle of reports; a reset keeps the memory, so the host clears it."""
    bench = Bench(dut)
    await bench.start()
    for way in ("clear", "reset", "clear"):
        for _ in range(100):
            await bench.step(reports=0.5, busy=0.5)
        for k in range(bench.reporters):
            bench.send(k, 0, None)
        dut.done.value = dut.running.value = dut.waiting.value = dut.busy.value = 0
        if way == "reset":
            await reset(dut, 1)
            assert int(dut.word.value) == 0
        await bench.clear()
        await bench.check()
