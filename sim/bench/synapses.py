"""Runs commands of the spiking half on a unit, plays its memories, and knows what golden says.

Memories answer after the latency that they state, and with noise in every other cycle, or where
what is read is written in the same cycle. Every word that a unit writes is there for the reads of
the next cycle.
"""

from dataclasses import dataclass, field
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer
from numpy.typing import NDArray

from hw.config import DeviceConfig, region_words
from hw.isa import MEMORY_REGIONS, Instruction, Region
from hw.layout import tiles
from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN, lfsr_seed
from hw.spiking import PARAMETER_WORDS, POPULATION_ROWS, Variable
from hw.spiking_ports import EVENT_LATENCY, STATE_LATENCY
from hw.tile_memory import TileMemory
from sim.bench import Ports, cycle, pack, parameters, reset, start
from sim.golden.lfsr import LfsrBank, States
from sim.golden.loader import GoldenLoader
from sim.golden.spiking import Counted, GoldenSpiking

LFSR_BITS = 32
CORNERS = np.array([WORD_MIN, WORD_MIN + 1, -1, 0, 1, WORD_MAX], np.int16)

REGIONS = {"event": Region.EVENTS, "state": Region.STATE, "weight": Region.WEIGHT}
"""The memories, by the names of their ports."""

Image = NDArray[np.int16]
Answers = dict[int, Image]


@dataclass
class Ran:
    """What a unit did on a command.

    Attributes
    ----------
    cycles: from `start` to `done`
    reads, writes: the cycles, from `start` on, in which WEIGHT was
    busy: cycles in which the unit says that it is
    reported: the saturations, None without a report
    words: of each memory that it uses, flat, after that
    states: of the LFSRs, after that
    """

    words: dict[str, Image]
    states: States
    cycles: int = -1
    reads: list[int] = field(default_factory=list)
    writes: list[int] = field(default_factory=list)
    busy: int = 0
    reported: int | None = None


class SynapseBench:
    """Drives a unit that reads EVENTS, STATE and WEIGHT.

    Attributes
    ----------
    images: of all memories, as golden has left them, and as the unit must
    randomness: the LFSRs, likewise
    """

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.lanes = self.config.lanes
        self.random = np.random.default_rng(given["seed"])
        cocotb.log.info("seed %d", given["seed"])
        counts = region_words(self.config)
        self.images: dict[Region, Image] = {
            region: self.noise(counts[region]).reshape(-1, self.lanes) for region in MEMORY_REGIONS
        }
        self.randomness = LfsrBank(np.array([lfsr_seed(k) for k in range(self.lanes)], np.uint32))
        loader = GoldenLoader(self.config, (self.images[Region.INPUT], self.images[Region.TARGET]))
        self.golden = GoldenSpiking(self.config, self.images, loader, self.randomness)

    async def begin(self) -> None:
        names = ["command__start", "command__instruction", "command__parameters"]
        names += [f"{name}_read__data" for name in REGIONS]
        if self.has("states"):
            names.append("states")
        await start(self.dut, **dict.fromkeys(names, 0))

    def has(self, name: str) -> bool:
        return hasattr(self.dut._dut, name)

    # Stimulus

    def noise(self, count: int) -> Image:
        return self.random.integers(WORD_MIN, WORD_MAX + 1, count, np.int16)

    def fill(self, region: Region, low: int = WORD_MIN, high: int = WORD_MAX) -> None:
        """Random words from `low` to `high`."""
        image = self.images[region]
        image[:] = self.random.integers(low, high + 1, image.shape)

    def fill_corners(self, region: Region) -> None:
        """The most extreme words, and the smallest."""
        image = self.images[region]
        image[:] = self.random.choice(CORNERS, image.shape)

    def list_at(self, address: int, neurons: Any) -> None:
        """Write a list into EVENTS."""
        events = self.images[Region.EVENTS].reshape(-1)
        events[address] = len(neurons)
        events[address + 1 : address + 1 + len(neurons)] = np.asarray(neurons).astype(np.int16)

    def some(self, count: int, of: int) -> list[int]:
        """Different neurons, lowest first."""
        return sorted(self.random.choice(of, count, replace=False).tolist())

    def parameters_at(self, row: int, values: dict[int, int]) -> None:
        """Write a block of parameters into STATE; what is not given is random."""
        rows = tiles(PARAMETER_WORDS, self.lanes)
        block = self.noise(rows * self.lanes)
        for place, value in values.items():
            block[place] = value
        self.images[Region.STATE][row : row + rows] = block.reshape(rows, self.lanes)

    def population_rows(self, neurons: int) -> int:
        return tiles(neurons, self.lanes) * POPULATION_ROWS

    def variable(self, base: int, neurons: int, variable: Variable) -> Image:
        """A view of a variable of a population, shape (tiles, L)."""
        rows = self.population_rows(neurons)
        return self.images[Region.STATE][base + variable : base + rows : POPULATION_ROWS]

    # Memories

    def _addresses(self, tile: int, index: int, column: int) -> NDArray[np.int64]:
        each = np.arange(self.lanes)
        row = each if column else index
        return (tile * self.lanes + row) * self.lanes + (each + index) % self.lanes

    def _port(self, name: str, member: str) -> int:
        return int(getattr(self.dut, f"{name}__{member}").value)

    def _read_places(self, name: str) -> NDArray[np.int64] | None:
        """Flat addresses that the unit reads in this cycle."""
        if not self._port(f"{name}_read", "enable"):
            return None
        match name:
            case "event":
                return np.array([self._port("event_read", "address")])
            case "state":
                return self._port("state_read", "row") * self.lanes + np.arange(self.lanes)
            case _:
                members = (self._port("weight_read", m) for m in ("tile", "index", "column"))
                return self._addresses(*members)

    def _write(self, name: str, image: Image) -> NDArray[np.int64]:
        """Carry out the write of this cycle; the flat addresses that it touches."""
        port, words = f"{name}_write", self.lanes
        if not self.has(f"{port}__data"):
            return np.zeros(0, np.int64)
        if name == "weight":
            mask = self._port(port, "mask")
            places = self._addresses(*(self._port(port, m) for m in ("tile", "index", "column")))
        else:
            mask = self._port(port, "enable") * ((1 << words) - 1)
            places = self._port(port, "row") * words + np.arange(words)
        lanes = [lane for lane in range(words) if mask >> lane & 1]
        data = self._port(port, "data").to_bytes(2 * words, "little")
        image[places[lanes]] = np.frombuffer(data, "<i2")[lanes]
        return places[lanes]

    def _play(self, now: int, memories: dict[str, Image], answers: dict[str, Answers]) -> None:
        """Reads and writes of this cycle."""
        latencies = {
            "event": EVENT_LATENCY,
            "state": STATE_LATENCY,
            "weight": TileMemory.READ_LATENCY,
        }
        for name, image in memories.items():
            reads = self._read_places(name)
            words = None if reads is None else image[reads]
            writes = self._write(name, image)
            if reads is not None and words is not None:
                undefined = np.isin(reads, writes)
                words[undefined] = self.noise(int(undefined.sum()))
                answers[name][now + latencies[name]] = words

    # Commands

    def _put(self, i: Instruction) -> None:
        rows = self.images[Region.STATE][i.right_depth :].reshape(-1)
        self.dut.command__instruction.value = pack(i.encode(), WORD_BITS)
        self.dut.command__parameters.value = pack(rows[:PARAMETER_WORDS], WORD_BITS)

    async def send(self, i: Instruction, *, limit: int) -> Ran:
        """Start a command, and stay until `done` or for `limit` cycles."""
        memories = {name: self.images[at].reshape(-1).copy() for name, at in REGIONS.items()}
        answers: dict[str, Answers] = {name: {} for name in memories}
        randomness = LfsrBank(self.randomness.state)
        ran, dut = Ran(memories, randomness.state), self.dut
        self._put(i)
        for now in range(limit):
            dut.command__start.value = int(now == 0)
            for name, answer in answers.items():
                words = answer.pop(now, None)
                count = 1 if name == "event" else self.lanes
                given = self.noise(count) if words is None else words
                getattr(dut, f"{name}_read__data").value = pack(given, WORD_BITS)
            if self.has("states"):
                dut.states.value = pack(randomness.state.astype(np.int64), LFSR_BITS)
            await Timer(1, unit="ns")
            self._play(now, memories, answers)
            if self._port("weight_read", "enable"):
                ran.reads.append(now)
            if self.has("weight_write__mask") and self._port("weight_write", "mask"):
                ran.writes.append(now)
            ran.busy += int(dut.busy.value)
            if self.has("lfsr_step") and int(dut.lfsr_step.value):
                randomness.advance(1)
            if self.has("report__valid") and int(dut.report__valid.value):
                assert ran.reported is None, "saturations were reported twice"
                assert int(dut.report__statistic.value) == i.statistic
                ran.reported = int(dut.report__amount.value)
            done = int(dut.command__done.value)
            await cycle(dut)
            if done:
                ran.cycles = now
                break
        ran.states = randomness.state
        return ran

    async def check(self, i: Instruction, *, limit: int = 20000) -> tuple[Ran, Counted]:
        """Run a command, and compare all words of all memories, LFSRs and counts with golden's."""
        ran = await self.send(i, limit=limit)
        assert ran.cycles >= 1, f"{i} must be done within {limit} cycles"
        counted = self.golden.command(i, 0)
        for name, region in REGIONS.items():
            found, expected = ran.words[name], self.images[region].reshape(-1)
            wrong = np.flatnonzero(found != expected)
            assert not len(wrong), (
                f"{region.name} {wrong[:8]} must be {expected[wrong[:8]]}, not "
                f"{found[wrong[:8]]}: {i}"
            )
        assert np.array_equal(ran.states, self.randomness.state), f"LFSRs differ: {i}"
        assert ran.busy == counted.busy
        assert (ran.reported or 0) == counted.saturations
        await self.stays_idle()
        return ran, counted

    async def stays_idle(self, cycles: int = 3) -> None:
        """Nothing is read, written or reported when no command runs."""
        for _ in range(cycles):
            await Timer(1, unit="ns")
            for name in REGIONS:
                assert not self._port(f"{name}_read", "enable"), f"{name}_read must be idle"
            for name in ("weight_write__mask", "state_write__enable", "report__valid", "lfsr_step"):
                assert not (self.has(name) and int(getattr(self.dut, name).value)), name
            assert not int(self.dut.busy.value) and not int(self.dut.command__done.value)
            await cycle(self.dut)

    async def interrupt(self, i: Instruction, after: int) -> None:
        """Reset the unit `after` cycles from the start of a command; golden never sees it."""
        await self.send(i, limit=after)
        self.dut.command__start.value = 0
        await reset(self.dut, 1)
        await self.stays_idle()
