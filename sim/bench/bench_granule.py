"""Bench of EXPAND: spikes and STATE against the golden model, and the cycles that it says.

Parameters: `config` (fields of a DeviceConfig), `latency`, `seed`.
"""

from typing import Any

import cocotb
import numpy as np

from hw.isa import Instruction, Opcode, Region
from hw.layout import TensorLayout, tiles
from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN
from hw.spiking import ACTIVE
from sim.bench import reset, spiking_tiles

LIMIT = 100_000


class Bench(spiking_tiles.Bench):
    """Random tables, and a unit that reads them."""

    def __init__(self, dut: Any):
        super().__init__(dut, limit=LIMIT)
        self.latency: int = self.given["latency"]

    def expansion(
        self, cells: int, inputs: int, depth: int, *, spacing: int = 0, fires: float = 0.3
    ) -> Instruction:
        """Write a table of cells, of which a share of about `fires` fires, and its command."""
        random, lanes = self.random, self.config.lanes
        inputs = min(inputs, self.config.expansion_inputs)
        height = tiles(cells, lanes) * (depth + 1)
        base = int(random.integers(0, self.config.weight_tiles - tiles(height, lanes) + 1))
        table = random.integers(0, 2 * inputs, (tiles(cells, lanes), depth + 1, lanes))
        # Sums stay between the extreme thresholds of cells that always or never fire.
        certain = fires in (0, 1)
        size = 1 << (8 if certain else int(random.integers(8, WORD_BITS - 1)))
        thresholds = random.normal(np.sqrt(depth) * size * (0.5 - fires), size, (len(table), lanes))
        table[:, -1] = (WORD_MIN if fires else WORD_MAX) if certain else thresholds
        self.put_table(base, table.reshape(-1, lanes))
        sample_base = int(random.integers(0, self.config.input_tiles - tiles(inputs, lanes) + 1))
        self.put_sample(sample_base, inputs, random.normal(0, size, tiles(inputs, lanes) * lanes))
        rows = ((tiles(cells, lanes) - 1) << spacing) + 1
        return Instruction(
            opcode=Opcode.EXPAND,
            rows=cells,
            columns=inputs,
            depth=depth,
            left_base=sample_base,
            leak_shift=spacing,
            dest_inner=base,
            dest_base=int(random.integers(0, self.config.state_rows - rows + 1)),
            gate=int(random.integers(0, self.config.event_words - cells)),
        )

    def put_table(self, base: int, table: Any) -> None:
        lanes = self.config.lanes
        layout = TensorLayout(
            base=base, rows=len(table), columns=lanes, tile_rows=lanes, lanes=lanes, stride=1
        )
        words = np.asarray(table).astype(np.int64).clip(WORD_MIN, WORD_MAX)
        layout.scatter(self.images[Region.WEIGHT], words)

    def put_sample(self, base: int, inputs: int, words: Any) -> None:
        """Words of the sample in front, in all lanes of its tiles."""
        count = tiles(inputs, self.config.lanes)
        layout = TensorLayout(
            base=base + self.front * self.config.input_tiles,
            rows=1,
            columns=count * self.config.lanes,
            tile_rows=self.config.batch_lanes,
            lanes=self.config.lanes,
            stride=count,
        )
        sample = np.asarray(words).astype(np.int64).clip(WORD_MIN, WORD_MAX)
        layout.scatter(self.images[Region.INPUT], sample[None, :])

    def cycles(self, i: Instruction) -> int:
        """What the unit promises where spikes are taken at once."""
        lanes = self.config.lanes
        height = tiles(i.rows, lanes) * (i.depth + 1)
        return tiles(i.columns, lanes) * lanes + height + self.latency

    async def expand(self, i: Instruction, *, slack: float = 0.0) -> int:
        """Run and compare; the neurons that fire. `slack`: how probably a spike tile waits."""
        self.patience, self.willing = LIMIT, 1 - slack
        cycles = await self.command(i)
        if slack == 0 and i.depth:
            assert cycles == self.cycles(i)
        else:
            assert cycles >= self.cycles(i)
        spacing = 1 << i.leak_shift
        rows = self.images[Region.STATE][i.dest_base :: spacing][: tiles(i.rows, self.config.lanes)]
        return int((rows == ACTIVE).sum())


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def shapes(dut: Any) -> None:
    """One cell, one input, ragged and whole tiles, both buffers, vectors of all spacings."""
    bench = Bench(dut)
    await bench.start()
    lanes, most = bench.config.lanes, bench.config.expansion_inputs
    for cells in (1, lanes - 1, lanes, lanes + 1, 3 * lanes):
        for inputs, depth in ((1, 1), (lanes, 4), (lanes + 1, 3), (most - 1, 2), (most, 5)):
            spacing = int(bench.random.integers(0, 4))
            await bench.expand(bench.expansion(cells, inputs, depth, spacing=spacing))
            bench.front ^= 1


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def steady_state(dut: Any) -> None:
    """Many tiles in depth + 1 cycles each; and no input, for which nothing is promised."""
    bench = Bench(dut)
    await bench.start()
    for depth in (1, 2, 4, 7, 0):
        cells = min(100, bench.config.weight_tiles // (depth + 1)) * bench.config.lanes - 1
        await bench.expand(bench.expansion(cells, 20, depth))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def spikes_wait(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    for slack in (0.3, 0.8, 0.95):
        for fires in (0, 0.3, 1):
            command = bench.expansion(20 * bench.config.lanes + 1, 30, 2, fires=fires)
            fired = await bench.expand(command, slack=slack)
            assert fires == 0.3 or fired == fires * command.rows


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def extreme_words(dut: Any) -> None:
    """The longest sums of the most negative words, and thresholds right at them."""
    bench = Bench(dut)
    await bench.start()
    lanes, inputs = bench.config.lanes, bench.config.lanes
    depth = bench.config.weight_tiles * lanes - 1
    command = bench.expansion(lanes, inputs, depth)
    for word in (WORD_MIN, WORD_MAX):
        bench.put_sample(command.left_base, inputs, np.full(inputs, word))
        for negative in (0, 1):
            table = np.full((depth + 1, lanes), negative)
            table[-1] = np.where(np.arange(lanes) % 2, WORD_MIN, WORD_MAX)
            bench.put_table(command.dest_inner, table)
            await bench.expand(command)
    for total in (WORD_MIN, -1, 0, 1, WORD_MAX - 1):
        command = bench.expansion(lanes, inputs, 2)
        words = np.zeros(inputs, int)
        words[0], words[1] = total, 1
        bench.put_sample(command.left_base, inputs, words)
        # x0 + x1 and x0 - x1 against thresholds around them.
        table = np.zeros((3, lanes), int)
        table[1] = np.where(np.arange(lanes) & 1, 2, 3)
        table[2] = total - 2 + np.arange(lanes) // 2 % 4
        bench.put_table(command.dest_inner, table)
        await bench.expand(command)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def indices_behind_the_sample(dut: Any) -> None:
    """They count as that of its last word, up to the largest one."""
    bench = Bench(dut)
    await bench.start()
    lanes = bench.config.lanes
    for inputs in (1, lanes, bench.config.expansion_inputs):
        command = bench.expansion(4 * lanes, inputs, 4)
        words = tiles(inputs, lanes) * lanes
        near = bench.random.integers(max(0, words - 2), words + 2, (4, 5, lanes))
        far = bench.random.integers(0, 1 << 15, (4, 5, lanes))
        index = np.where(bench.random.random(near.shape) < 0.5, near, far)
        table = (2 * index + bench.random.integers(0, 2, near.shape)).astype(np.uint16)
        table[:, -1] = 0
        bench.put_table(command.dest_inner, table.view(np.int16).reshape(-1, lanes))
        await bench.expand(command)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def random_commands(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    random, fired = bench.random, 0
    for _ in range(40):
        depth = int(random.integers(1, 9))
        most = min(70, bench.config.weight_tiles * bench.config.lanes // (depth + 1))
        inputs = int(random.integers(1, bench.config.expansion_inputs + 1))
        command = bench.expansion(
            int(random.integers(1, most)),
            inputs,
            depth,
            spacing=int(random.integers(0, 4)),
            fires=float(random.choice([0.02, 0.3, 0.9])),
        )
        fired += await bench.expand(command, slack=float(random.choice([0, 0, 0.5])))
        bench.front = int(random.integers(2))
    assert fired


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_command(dut: Any) -> None:
    """Nothing of the first command comes out of the second one."""
    bench = Bench(dut)
    await bench.start()
    command = bench.expansion(5 * bench.config.lanes, 20, 4, fires=1)
    bench.patience, bench.willing = LIMIT, 0.5
    for after in range(1, bench.cycles(command), 5):
        await bench.interrupt(command, after)
        await reset(bench.dut, 1)
        await bench.expand(bench.expansion(2 * bench.config.lanes + 1, 9, 2))
        bench.willing = 0.5
