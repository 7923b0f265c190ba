"""Bench of the response unit: ACTIVATION after a command, and its cycles, against golden.

The bench is the memory: a row comes READ_LATENCY cycles after its read, in one cycle only, and a
word that is written is there from the next cycle on.

Parameters: `config` (fields of a DeviceConfig), `seed`.
"""

from collections import deque
from itertools import product
from typing import Any

import cocotb
import numpy as np

from hw.config import DeviceConfig
from hw.isa import INSTRUCTION_WORDS, Instruction, Opcode, Region
from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN
from hw.response import ResponseUnit
from hw.response_ring import COUNT_BITS, ResponseRing
from hw.tile_memory import TileMemory
from sim.bench import Ports, cycle, pack, parameters, reset, start, unpack
from sim.golden.datapath import GoldenDatapath, Image

Place = tuple[int, int]
"""Tile and row."""


class Bench:
    """Drives the unit, is its memory, and knows from golden what should stand there."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.golden = GoldenDatapath(self.config)
        self.random = np.random.default_rng(given["seed"])
        self.lanes, self.batch_lanes = self.config.lanes, self.config.batch_lanes
        self.image: Image = self.golden.images[Region.ACTIVATION].copy()
        self.reads: deque[Place | None] = deque([None] * TileMemory.READ_LATENCY)
        cocotb.log.info("seed %d", given["seed"])

    async def start(self) -> None:
        await start(self.dut, start=0, instruction=0, read__data=0)

    # Stimulus

    def command(self, *, rows: int, columns: int, depth: int, **fields: int) -> Instruction:
        """A command of random fields but those given, whose results lie apart or in place."""
        random, batch_tiles = self.random, -(-columns // self.batch_lanes)
        width = -(-rows // self.lanes)
        stride = width + int(random.integers(0, 3))
        apart = stride + int(random.integers(0, 2))
        bases = random.permutation(3) * batch_tiles * apart + int(random.integers(0, 3))
        assert (bases.max() + batch_tiles * apart) <= self.config.activation_tiles
        dest, slopes, source = bases.tolist()
        if random.random() < 0.5:
            source, apart = (dest if random.random() < 0.5 else slopes), stride
        given = {
            "shift": int(random.integers(0, 16)),
            "leak_shift": int(random.integers(0, 16)),
            "fraction": int(random.integers(0, 16)),
            "left_base": slopes,
            "right_base": source,
            "right_outer": apart,
            "dest_base": dest,
            "dest_outer": stride,
            "gate": int(random.integers(1, WORD_MAX + 1) >> random.integers(0, 15)) or 1,
        }
        return Instruction(
            opcode=Opcode.RESPOND, rows=rows, columns=columns, depth=depth, **{**given, **fields}
        )

    def fill(self, *choices: int) -> None:
        """Words of all sizes in the memory, or some of these."""
        shape = self.image.shape
        words = self.random.integers(WORD_MIN, WORD_MAX + 1, shape)
        words >>= self.random.integers(0, WORD_BITS, shape)
        if choices:
            words = self.random.choice(choices, shape)
        self.image[:] = self.golden.images[Region.ACTIVATION][:] = words

    # The memory

    def _banks(self, place: Place) -> tuple[int, Any]:
        """Word of the image that holds a row, and the banks of its elements."""
        tile, row = place
        word = tile * self.batch_lanes + row
        return word, (row + np.arange(self.lanes)) % self.lanes

    async def tick(self, *, begin: bool = False) -> None:
        """A cycle: what is read and written in it, and the row that was read some cycles ago."""
        dut, place = self.dut, self.reads.popleft()
        if place is None:
            words = self.random.integers(WORD_MIN, WORD_MAX + 1, self.lanes)
        else:
            word, banks = self._banks(place)
            words = self.image[word, banks]
        dut.read__data.value = pack(words, WORD_BITS)
        self.reads.append(self._read())
        written = self._write()
        assert written is None or written not in self.reads, "a row is written before it has come"
        # A busy unit takes no command.
        dut.start.value = int(begin or (dut.busy.value and self.random.random() < 0.3))
        await cycle(dut)

    def _read(self) -> Place | None:
        port = self.dut
        if not int(port.read__enable.value):
            return None
        assert int(port.read__column.value) == 0
        return int(port.read__tile.value), int(port.read__index.value)

    def _write(self) -> Place | None:
        port = self.dut
        mask = unpack(port.write__mask.value, 1, self.lanes, signed=False).astype(bool)
        if not mask.any():
            return None
        assert int(port.write__column.value) == 0
        place = int(port.write__tile.value), int(port.write__index.value)
        word, banks = self._banks(place)
        self.image[word, banks[mask]] = unpack(port.write__data.value, WORD_BITS, self.lanes)[mask]
        return place

    # Runs

    async def begin(self, instruction: Instruction) -> None:
        """The cycle of `start`."""
        assert not int(self.dut.busy.value)
        self.dut.instruction.value = pack(instruction.encode(), WORD_BITS)
        await self.tick(begin=True)

    async def run(self, instruction: Instruction) -> None:
        """Carry a command out, and compare memory and cycles with what is to be expected."""
        unit = ResponseUnit(config=self.config)
        expected = unit.cycles(
            rows=instruction.rows, columns=instruction.columns, depth=instruction.depth
        )
        await self.begin(instruction)
        taken = 1
        while int(self.dut.busy.value):
            await self.tick()
            taken += 1
            assert taken <= expected, f"later than after {expected} cycles"
        assert taken == expected, f"{taken} cycles, not {expected}"
        self.golden.command(instruction)
        wrong = np.argwhere(self.image != self.golden.images[Region.ACTIVATION])
        assert not len(wrong), f"{len(wrong)} words differ, the first at {wrong[0]}: {instruction}"

    async def pause(self, most: int) -> None:
        """Some cycles with another instruction at the port, in which nothing is to be written."""
        for _ in range(int(self.random.integers(0, most + 1))):
            noise = self.random.integers(0, 1 << WORD_BITS, INSTRUCTION_WORDS)
            self.dut.instruction.value = pack(noise, WORD_BITS)
            assert self._write() is None
            await self.tick()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def corners(dut: Any) -> None:
    """The ends of thresholds, leaks and steps, with currents that saturate or meet them."""
    bench = Bench(dut)
    await bench.start()
    rows, columns = bench.lanes + 1, bench.batch_lanes + 1
    for threshold, leak, depth in product((1, 2, 1000, WORD_MAX), (0, 1, 3, 15), (1, 2, 9)):
        near = (threshold - 1, threshold, -threshold, min(threshold + 1, WORD_MAX))
        bench.fill(WORD_MIN, WORD_MIN + 1, -1, 0, 1, WORD_MAX - 1, WORD_MAX, *near)
        size = {"rows": rows, "columns": columns, "depth": depth}
        await bench.run(bench.command(**size, gate=threshold, leak_shift=leak))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def every_step_counts(dut: Any) -> None:
    """Every bit of a count alone, and all of them, in all formats: also where words saturate."""
    bench = Bench(dut)
    await bench.start()
    for depth in (*(1 << bit for bit in range(COUNT_BITS)), 255):
        for shift in range(16) if depth <= 8 else (0, 7, 8, 15):
            bench.fill(WORD_MAX)
            size = {"rows": 3, "columns": 2, "depth": depth}
            given = {"gate": 1, "shift": shift, "fraction": 15 - shift, "leak_shift": 15}
            await bench.run(instruction := bench.command(**size, **given))
            word = bench.image[instruction.dest_base * bench.batch_lanes, 0]
            assert word == min(depth << shift, WORD_MAX), "each step must spike"


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def ragged_sizes(dut: Any) -> None:
    """Rows that fill the ring or not, to the last place; tiles that end anywhere."""
    bench = Bench(dut)
    await bench.start()
    lanes, batch_lanes, sizes = bench.lanes, bench.batch_lanes, set()
    for rows, columns in product(
        (1, lanes - 1, lanes, lanes + 1, 3 * lanes), range(1, 2 * batch_lanes + 2)
    ):
        bench.fill()
        await bench.run(bench.command(rows=rows, columns=columns, depth=3))
        sizes.add(columns * -(-rows // lanes) % ResponseRing.STAGES)
    assert len(sizes) > ResponseRing.STAGES // 2


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def random_commands(dut: Any) -> None:
    """Back to back, and with pauses."""
    bench = Bench(dut)
    await bench.start()
    for most in (0, 12):
        for _ in range(60):
            bench.fill()
            rows = int(bench.random.integers(1, 4 * bench.lanes + 1))
            columns = int(bench.random.integers(1, 3 * bench.batch_lanes + 1))
            depth = int(bench.random.integers(1, 30))
            await bench.run(bench.command(rows=rows, columns=columns, depth=depth))
            await bench.pause(most)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def reset_in_mid_command(dut: Any) -> None:
    """Nothing is read or written any more, and the next command is unharmed."""
    bench = Bench(dut)
    await bench.start()
    size = {"rows": 2 * bench.lanes + 1, "columns": bench.batch_lanes, "depth": 2}
    last = ResponseUnit(config=bench.config).cycles(**size)
    for after in range(1, last, 3):
        bench.fill()
        await bench.begin(bench.command(**size))
        for _ in range(after):
            await bench.tick()
        bench.dut.start.value = 0
        await reset(bench.dut, 1)
        for _ in range(2 * ResponseRing.STAGES):
            assert not int(bench.dut.busy.value)
            assert bench._read() is None and bench._write() is None
            await bench.tick()
        bench.fill()
        await bench.run(bench.command(**size))
