"""Bench of the statistics: every counter after every mix of reports, while the host reads.

Parameters: `reporters`, `read_latency`, `settle`, `clear_cycles`, `gap` (cycles between reports of
a unit), `alone` (the gap is one between reports of any), `amount_bits`, `sample_bits`, `norm`
(whether there is one), `seed`.
"""

from collections import deque
from typing import Any

import cocotb
import numpy as np

from hw.isa import COUNTER_WORDS, COUNTERS, SATURATION_COUNTERS
from hw.numbers import WORD_BITS
from sim.bench import Ports, cycle, pack, parameters, reset, start

STROBES = {"cycles": "running", "waiting": "waiting", "busy": "busy"}
"""Counters of clock cycles, and what they count."""
LOSS = ("samples", "correct", "loss", "norm")
"""What a loss command or CLIP adds, as far as the device has it."""
TOTALS = (*STROBES, *LOSS)
BITS = 64
MEMORY = COUNTERS["saturations"].address
STATES = COUNTERS["cycles"].address
LAG = 256
"""A word that is read is one that its counter had at most so many cycles ago."""
PATIENCE = 400
LOSS_GAP = 40
"""Cycles that a loss command takes at least."""
"""Cycles until what was reported must have been counted."""


def word(values: list[int], address: int) -> int:
    """The word at an address, of all counters' values in the order of their addresses."""
    if address < STATES:
        return values[address]
    if address < MEMORY:
        number, place = divmod(address - STATES, BITS // WORD_BITS)
        # Nothing follows the last of these counters up to the saturations.
        return values[STATES + number] >> WORD_BITS * place & 0xFFFF if number < len(TOTALS) else 0
    number, place = divmod(address - MEMORY, 2)
    return values[STATES + len(TOTALS) + number] >> WORD_BITS * place & 0xFFFF


class Bench:
    """Drives strobes and reports, counts them too, and reads."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.reporters: int = given["reporters"]
        self.read_latency: int = given["read_latency"]
        self.settle: int = given["settle"]
        self.clear_cycles: int = given["clear_cycles"]
        self.gap: int = given["gap"]
        self.alone: bool = given["alone"]
        self.amount_bits: int = given["amount_bits"]
        self.sample_bits: int = given["sample_bits"]
        self.added = LOSS if given["norm"] else LOSS[:-1]
        self.random = np.random.default_rng(given["seed"])
        self.reports = [
            [getattr(self.dut, f"reports__{k}__{x}") for x in ("valid", "statistic", "amount")]
            for k in range(self.reporters)
        ]
        self.reported: list[int] = []
        self.totals = dict.fromkeys(TOTALS, 0)
        self.saturations = [0] * SATURATION_COUNTERS
        self.state = [0] * STATES
        self.free = [0] * self.reporters
        self.now = self.losing = 0
        self.history: deque[list[int]] = deque(maxlen=LAG)
        self.awaited: deque[int | None] = deque([None] * (self.read_latency - 1))
        self.to_read: list[int] = []
        # Units report at the same time, so that a counter has values in between.
        self.mixed = False
        cocotb.log.info("seed %d", given["seed"])

    async def start(self) -> None:
        names = [*STROBES.values(), "clear", "done", *self.added, "state", "address", "read"]
        for k in range(self.reporters):
            for signal in self.reports[k]:
                signal.value = 0
        await start(self.dut, **dict.fromkeys(names, 0))
        await self.clear()

    def strobe(self, *names: str) -> None:
        """Set these strobes in the next cycle, and no others."""
        for name, strobe in STROBES.items():
            value = int(name in names)
            getattr(self.dut, strobe).value = value
            self.totals[name] += value

    def lose(self, *amounts: int) -> None:
        """A loss command is done: samples, correct, loss; the norm grows by as much as the loss."""
        self.dut.done.value = 1
        for name, amount in zip(self.added, (*amounts, amounts[-1]), strict=False):
            getattr(self.dut, name).value = amount
            self.totals[name] = (self.totals[name] + amount) % (1 << BITS)

    def send(self, k: int, place: int, amount: int) -> None:
        """A unit reports."""
        for signal, value in zip(self.reports[k], (1, place, amount), strict=True):
            signal.value = value
        self.reported.append(k)
        self.saturations[place] = (self.saturations[place] + amount) % (1 << 32)
        for other in range(self.reporters):
            if other == k or self.alone:
                self.free[other] = self.now + self.gap

    async def step(self, *, reports: float = 0, strobes: float = 0, done: float = 0) -> None:
        """One cycle in which these are probabilities: of a unit's report where one may come, of
        each strobe, and of a loss command's end where one may come."""
        dut, random = self.dut, self.random
        self.strobe(*[name for name in STROBES if random.random() < strobes])
        # Several commands may end while the engine is elsewhere, but not in a row.
        if not int(dut.adding.value) and self.now >= self.losing:
            amounts = [int(random.integers(1 << self.sample_bits)) for _ in range(2)]
            self.junk([*amounts, int(random.integers(1 << 63))])
            if random.random() < done:
                self.losing = self.now + LOSS_GAP
                words = random.choice([0, 1, 0xFFFF, 0xFFFE, 0x8000], 4)
                self.lose(*amounts, sum(int(word) << WORD_BITS * k for k, word in enumerate(words)))
        for k in random.permutation(self.reporters).tolist():
            if self.free[k] <= self.now and random.random() < reports:
                # Few counters, so that units report to the same one, and mostly large amounts.
                place, size = int(random.choice([0, 1, 2, 63])), int(random.choice([1, 2, 16, 24]))
                top = (1 << min(size, self.amount_bits)) - 1
                self.send(k, place, top - int(random.integers(2)))
        await self.next()

    def junk(self, values: list[int]) -> None:
        for name, value in zip(self.added, (*values, values[-1]), strict=False):
            getattr(self.dut, name).value = value

    async def next(self) -> None:
        """To the next cycle, in which nothing is reported yet; reads what is `to_read`."""
        dut = self.dut
        self.history.append(self.values())
        reading = bool(self.to_read) and not int(dut.read.value)
        dut.read.value = int(reading)
        if reading:
            dut.address.value = self.to_read[0]
            self.awaited.append(self.to_read.pop(0))
        else:
            self.awaited.append(None)
        await cycle(dut)
        self.now += 1
        address = self.awaited.popleft()
        if address is not None and not (self.mixed and address >= MEMORY):
            seen = int(dut.word.value)
            assert any(seen == word(values, address) for values in self.history), (address, seen)
        dut.done.value = 0
        while self.reported:
            # What was reported is there for one cycle only.
            valid, statistic, amount = self.reports[self.reported.pop()]
            valid.value = 0
            statistic.value = int(self.random.integers(SATURATION_COUNTERS))
            amount.value = int(self.random.integers(1 << 24))

    async def rest(self) -> None:
        """Until all is counted."""
        self.strobe()
        await self.next()
        for _ in range(PATIENCE):
            if not int(self.dut.counting.value):
                break
            await self.next()
        assert not int(self.dut.counting.value)
        for _ in range(self.settle - 1):
            await self.next()

    def request_clear(self) -> None:
        """From this cycle on all counters are 0, and count."""
        self.dut.clear.value = 1
        self.totals = dict.fromkeys(TOTALS, 0)
        self.saturations = [0] * SATURATION_COUNTERS
        self.history = deque([self.values()], maxlen=LAG)

    async def clear(self) -> None:
        self.strobe()
        self.request_clear()
        await self.next()
        self.dut.clear.value = 0
        for _ in range(self.clear_cycles):
            assert int(self.dut.clearing.value) and int(self.dut.counting.value)
            await self.next()
        assert not int(self.dut.clearing.value)

    def values(self) -> list[int]:
        """Of each counter."""
        return [*self.state, *self.totals.values(), *self.saturations]

    def set_state(self) -> None:
        """Words that other units hold."""
        self.state = self.random.integers(0, 1 << 16, STATES).tolist()
        self.state[:2] = [word & 15 for word in self.state[:2]]
        self.dut.state.value = pack(self.state, WORD_BITS)

    async def check(self, addresses: range = range(COUNTER_WORDS)) -> None:
        """Read every other cycle what must be exact by now."""
        self.set_state()
        while self.to_read:
            await self.next()
        self.history = deque([self.values()], maxlen=1)
        self.to_read = list(addresses)
        for _ in range(2 * len(addresses) + self.read_latency):
            await self.next()
        assert not self.to_read
        self.history = deque(self.history, maxlen=LAG)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def random_traffic(dut: Any) -> None:
    """As often as commands may end, and seldom; the host reads all the while, or not."""
    bench = Bench(dut)
    await bench.start()
    for rates in ((1.0, 0.5, 0.0), (0.1, 0.1, 0.3), (1.0, 1.0, 1.0), (0.5, 0.0, 0.02)):
        reports, strobes, done = rates
        for k in range(1200):
            if not bench.to_read and k % 500 > 100:
                first = int(bench.random.integers(4, COUNTER_WORDS))
                bench.to_read = list(range(first, COUNTER_WORDS))
            bench.mixed = not bench.alone
            await bench.step(reports=reports, strobes=strobes, done=done)
        await bench.rest()
        bench.mixed = False
        await bench.check()
    assert max(bench.saturations) > 1 << WORD_BITS and bench.totals["loss"] > 1 << 48


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def carries_of_saturations(dut: Any) -> None:
    """From half to half, and at the end of the 32 bits, for every counter."""
    bench = Bench(dut)
    await bench.start()
    top = (1 << bench.amount_bits) - 1
    for amounts in ((0xFFFF, 1), (0xFFFF, 0xFFFF, 2), (0x8000, 0x8000), (top,) * 4):
        for place in range(SATURATION_COUNTERS):
            for amount in amounts:
                bench.send(place % bench.reporters, place, min(amount, top))
                for _ in range(bench.gap):
                    await bench.next()
        await bench.rest()
        await bench.check()
    if top >= 1 << WORD_BITS:
        while bench.saturations[7] < (1 << 32) - top:
            bench.send(0, 7, top)
            for _ in range(bench.gap):
                await bench.next()
            if bench.saturations[7] > 1 << 24:
                break
        await bench.rest()
        await bench.check()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def carries_of_loss(dut: Any) -> None:
    """From every word into the next ones, and at the end of the 64 bits."""
    bench = Bench(dut)
    await bench.start()
    top = (1 << bench.sample_bits) - 1
    losses = [(1 << 64) - 1, 1, 0xFFFF, 1, (1 << 48) - 1, 1 << 63, (1 << 63) - (1 << 48), 1, 1]
    for _ in range(3):
        for loss in losses:
            bench.lose(top, top, loss)
            await bench.next()
            await bench.rest()
            await bench.check(range(STATES, MEMORY))
    while bench.totals["samples"] >> WORD_BITS == 0:
        bench.lose(top, top - 1, (1 << 64) - 1)
        await bench.next()
        while int(bench.dut.counting.value):
            await bench.next()
    await bench.rest()
    await bench.check()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def carries_of_cycles(dut: Any) -> None:
    """Each into its second word; the counters are exact `settle` cycles after the strobes."""
    bench = Bench(dut)
    await bench.start()
    for name, length in zip(STROBES, (65_500, 65_521, 65_530), strict=True):
        getattr(bench.dut, STROBES[name]).value = 1
        await cycle(bench.dut, length)
        bench.totals[name] += length
        bench.strobe()
        await bench.next()
    for _ in range(60):
        await settled(bench, int(bench.random.integers(1, 20)))
    assert min(bench.totals[name] for name in STROBES) > 1 << WORD_BITS


async def settled(bench: Bench, length: int) -> None:
    """All strobes for so many cycles; then the counters are exact after `settle` ones."""
    for _ in range(length):
        bench.strobe(*STROBES)
        await bench.next()
    bench.strobe()
    for _ in range(bench.settle):
        await bench.next()
    await bench.check(range(STATES, MEMORY))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def cycles_settle(dut: Any) -> None:
    """Whatever the engine does when the strobes end."""
    bench = Bench(dut)
    await bench.start()
    for length in range(1, 40):
        await settled(bench, length)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_reader_sees_old_or_new(dut: Any) -> None:
    """A word that is read all the time is one that it had, and is counted up."""
    bench = Bench(dut)
    await bench.start()
    for address in (STATES, MEMORY + 2 * 3, COUNTERS["loss"].address + 1):
        for k in range(600):
            bench.strobe(*STROBES)
            if k % bench.gap == 5 or bench.random.random() < 0.1 and not bench.to_read:
                bench.to_read = [address]
            if k % bench.gap == 0:
                bench.send(0, 3, 1)
            if k % 50 == 0 and not int(bench.dut.counting.value):
                bench.lose(1, 1, 1 << WORD_BITS)
            await bench.next()
        bench.to_read = []
        await bench.rest()
        await bench.check()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def clear_and_reset(dut: Any) -> None:
    """Either in the middle of reports; a reset keeps the memory, so the host clears it."""
    bench = Bench(dut)
    await bench.start()
    for way in ("clear", "reset") * 10:
        for _ in range(int(bench.random.integers(60, 100))):
            await bench.step(reports=0.5, strobes=0.5, done=0.1)
        bench.strobe()
        if way == "reset":
            bench.to_read = []
            bench.dut.read.value = 0
            await reset(bench.dut, 1)
            assert int(bench.dut.word.value) == 0
        bench.free = [0] * bench.reporters
        await bench.clear()
        await bench.check()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_program_runs_during_a_clear(dut: Any) -> None:
    """Its cycles count; all that the host reads meanwhile is 0."""
    bench = Bench(dut)
    await bench.start()
    for _ in range(10):
        for _ in range(100):
            await bench.step(reports=0.5, strobes=0.5, done=0.1)
        await bench.rest()
        bench.request_clear()
        bench.strobe("cycles", "waiting")
        bench.to_read = list(range(STATES, COUNTER_WORDS))
        await bench.next()
        bench.dut.clear.value = 0
        for _ in range(bench.clear_cycles + 30):
            bench.strobe("cycles", "waiting")
            await bench.next()
        await bench.rest()
        await bench.check()
