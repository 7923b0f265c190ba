"""Bench of the spike recorder: EVENTS after every list, as the golden model writes it.

The bench plays EVENTS and offers the tiles, with and without gaps. `spikes` of a list has the shape
(tiles, L).

Parameters: `config` (fields of a DeviceConfig), `ready`, `latency`, `seed`.
"""

from types import SimpleNamespace
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer
from numpy.typing import NDArray

from hw.config import DeviceConfig
from hw.isa import Instruction, Opcode, Region
from hw.spiking_ports import EVENT_LATENCY, tile_bits
from sim.bench import Ports, cycle, parameters, reset, start
from sim.golden.spiking import GoldenSpiking

LIMIT = 2000
"""Cycles that no list of this bench takes."""


class Bench:
    """Plays EVENTS, offers spikes, and compares."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.ready, self.latency = given["ready"], given["latency"]
        self.random = np.random.default_rng(given["seed"])
        words = self.random.integers(-(1 << 15), 1 << 15, self.config.event_words)
        self.events = words.astype(np.int16)
        self.asked: list[int | None] = [None] * EVENT_LATENCY
        print(f"seed {given['seed']}")

    async def start(self) -> None:
        await start(
            self.dut,
            start=0,
            gate=0,
            append=0,
            spikes__valid=0,
            spikes__payload=0,
            event_read__data=0,
        )

    def spikes(self, tiles: int, density: float) -> NDArray[np.bool_]:
        return self.random.random((tiles, self.config.lanes)) < density

    def expected(self, spikes: NDArray[np.bool_], gate: int, append: bool) -> NDArray[np.int16]:
        images = {Region.EVENTS: self.events.copy(), Region.STATE: np.zeros(1, np.int16)}
        loader: Any = SimpleNamespace(front=0)
        randomness: Any = None
        golden = GoldenSpiking(self.config, images, loader, randomness)
        golden._record(Instruction(opcode=Opcode.FIRE, gate=gate), spikes, append=append)
        return images[Region.EVENTS]

    async def step(self) -> None:
        """A cycle, in which EVENTS is read and written."""
        dut = self.dut
        asked = self.asked.pop(0)
        noise = int(self.random.integers(0, 1 << 16))
        dut.event_read__data.value = noise if asked is None else int(self.events[asked]) & 0xFFFF
        read = int(dut.event_read__address.value) if dut.event_read__enable.value == 1 else None
        self.asked.append(read)
        if dut.event_write__enable.value == 1:
            data = int(dut.event_write__data.value)
            address = int(dut.event_write__address.value)
            self.events[address] = np.uint16(data).astype(np.int16)
        await cycle(dut)

    async def begin(self, gate: int, append: bool) -> None:
        """Start a list."""
        dut = self.dut
        dut.gate.value, dut.append.value = gate, int(append)
        dut.start.value = 1
        await self.step()
        dut.start.value = 0

    async def record(
        self, spikes: NDArray[np.bool_], gate: int, *, append: bool = False, gaps: float = 0.0
    ) -> int:
        """Let the list be written and compare all words; cycles from `start` to `done`."""
        dut, count = self.dut, len(spikes)
        expected = self.expected(spikes, gate, append)
        await self.begin(gate, append)
        tile, taken = 0, 0
        for passed in range(1, LIMIT):
            held = dut.spikes__valid.value == 1
            here = tile < count and (held or self.random.random() >= gaps)
            dut.spikes__valid.value = int(here)
            self.put(spikes, min(tile, count - 1))
            # What depends on the inputs follows them in the same half of the clock.
            await Timer(1, unit="ns")
            ready = here and dut.spikes__ready.value == 1
            done = dut.done.value == 1
            taken += here
            await self.step()
            if ready:
                wanted = max(1, int(spikes[tile - 1].sum())) if tile else self.ready
                assert gaps or taken == wanted, f"tile {tile} was taken after {taken} cycles"
                tile, taken = tile + 1, 0
                dut.spikes__valid.value = 0
            if done:
                assert tile == count
                np.testing.assert_array_equal(self.events, expected)
                assert dut.done.value == 0
                return passed
        raise AssertionError(f"no `done` in {LIMIT} cycles")

    def put(self, spikes: NDArray[np.bool_], tile: int) -> None:
        lanes, bits = self.config.lanes, tile_bits(self.config)
        mask = int(np.packbits(spikes[tile], bitorder="little").astype(np.uint64)[0])
        last = tile == len(spikes) - 1
        self.dut.spikes__payload.value = tile | mask << bits | last << (bits + lanes)



async def begin(dut: Any) -> Bench:
    bench = Bench(dut)
    await bench.start()
    return bench


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def cycles_are_those_of_spikes(dut: Any) -> None:
    """Tiles without spikes take one cycle, others one for every spike."""
    bench = await begin(dut)
    for tiles, density in [(1, 0.0), (1, 1.0), (5, 0.0), (5, 1.0), (9, 0.3)]:
        spikes = bench.spikes(tiles, density)
        cycles = await bench.record(spikes, 3)
        taking = int(np.maximum(spikes.sum(axis=1), 1).sum())
        assert cycles == bench.ready + taking + bench.latency


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def random_lists(dut: Any) -> None:
    bench = await begin(dut)
    words, lanes = bench.config.event_words, bench.config.lanes
    for _ in range(60):
        tiles = int(bench.random.integers(1, (words - 1) // lanes))
        gate = int(bench.random.integers(0, words - tiles * lanes))
        spikes = bench.spikes(tiles, bench.random.choice([0.0, 0.1, 0.5, 1.0]))
        await bench.record(spikes, gate, gaps=bench.random.choice([0.0, 0.3, 0.9]))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def lists_grow(dut: Any) -> None:
    """Appended to an empty list, to a list, and after others to one that began anew."""
    bench = await begin(dut)
    for gate in (0, 7):
        await bench.record(bench.spikes(2, 0.5), gate)
        for gaps in (0.0, 0.5):
            await bench.record(bench.spikes(3, 0.4), gate, append=True, gaps=gaps)
        await bench.record(bench.spikes(2, 0.0), gate)
        await bench.record(bench.spikes(1, 0.0), gate, append=True)
        await bench.record(bench.spikes(1, 1.0), gate, append=True)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_list(dut: Any) -> None:
    bench = await begin(dut)
    for passed in range(12):
        spikes = bench.spikes(3, 1.0)
        await bench.begin(2, False)
        bench.put(spikes, 0)
        bench.dut.spikes__valid.value = 1
        for _ in range(passed):
            await bench.step()
        bench.dut.spikes__valid.value = 0
        await reset(bench.dut, 1)
        assert bench.dut.event_write__enable.value == 0
        await bench.record(bench.spikes(2, 0.5), 5)
