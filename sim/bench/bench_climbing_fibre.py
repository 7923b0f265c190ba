"""Bench of CLIMB: coefficients, spikes and right answers against the golden model.

Parameters: `config` (fields of a DeviceConfig), `latency`, `tile_cycles`, `seed`.
"""

from typing import Any

import cocotb
import numpy as np
from numpy.typing import ArrayLike

from hw.isa import Instruction, Opcode, Region
from hw.layout import tiles
from hw.numbers import WORD_MAX, WORD_MIN
from hw.spiking import PARAMETER_WORDS, POPULATION_ROWS, ClimbingParameter, Variable
from sim.bench import reset, spiking_tiles

CORNERS = (WORD_MIN, WORD_MIN + 1, -1, 0, 1, WORD_MAX - 1, WORD_MAX)
LIMIT = 10_000


class Bench(spiking_tiles.Bench):
    """Random outputs, and the class that they should tell."""

    def __init__(self, dut: Any):
        super().__init__(dut, limit=LIMIT)
        self.latency: int = self.given["latency"]
        self.tile_cycles: int = self.given["tile_cycles"]

    def answer(self, outputs: int) -> Instruction:
        """A command for a population at a random place."""
        random, config = self.random, self.config
        height = tiles(outputs, config.lanes) * POPULATION_ROWS
        first = tiles(PARAMETER_WORDS, config.lanes)
        base = int(random.integers(first, config.state_rows - height + 1))
        instruction = Instruction(
            opcode=Opcode.CLIMB,
            rows=outputs,
            left_base=int(random.integers(0, config.target_tiles)),
            dest_base=base,
            right_depth=int(random.integers(0, base - first + 1)),
            gate=int(random.integers(0, config.event_words - outputs)),
        )
        self.put(instruction, random.integers(-100, 100, outputs), int(random.integers(outputs)))
        self.put_rule(instruction, random.integers(-100, 100, len(ClimbingParameter)))
        return instruction

    def put(self, i: Instruction, currents: ArrayLike, label: int) -> None:
        for neuron, current in enumerate(np.asarray(currents).tolist()):
            row = i.dest_base + neuron // self.lanes * POPULATION_ROWS + Variable.CURRENT
            self.images[Region.STATE][row, neuron % self.lanes] = current
        tile = self.front * self.config.target_tiles + i.left_base
        self.images[Region.TARGET][tile * self.config.batch_lanes, 0] = label

    def put_rule(self, i: Instruction, rule: ArrayLike) -> None:
        self.set_parameters(i, np.asarray(rule).tolist())

    async def climb(self, i: Instruction, *, slack: float = 0.0) -> int:
        """Whether the answer was right. `slack`: how probably a spike tile waits."""
        self.patience, self.willing = LIMIT, 1 - slack
        counted = self.golden(i)
        cycles = await self.command(i)
        expected = self.latency + tiles(i.rows, self.lanes) * self.tile_cycles
        assert cycles == expected if slack == 0 else cycles >= expected
        assert self.correct == counted.correct
        return counted.correct

    async def cycle(self, spikes: list[int]) -> None:
        if self.dut.command__done.value == 1:
            self.correct = int(self.dut.correct.value)
        await super().cycle(spikes)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def shapes(dut: Any) -> None:
    """One output, ragged and whole tiles, both buffers."""
    bench = Bench(dut)
    await bench.start()
    lanes = bench.config.lanes
    for outputs in (1, 2, lanes - 1, lanes, lanes + 1, 3 * lanes, 70):
        for _ in range(4):
            await bench.climb(bench.answer(outputs))
            bench.front ^= 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def corners(dut: Any) -> None:
    """All corners of currents against all of margins, for the class and for others."""
    bench = Bench(dut)
    await bench.start()
    lanes = bench.config.lanes
    command = bench.answer(2 * lanes)
    for margin in CORNERS:
        for current in CORNERS:
            near = np.clip(margin + np.arange(2 * lanes) - lanes, WORD_MIN, WORD_MAX)
            for currents in (np.full(2 * lanes, current), near, -1 - near):
                bench.put(command, currents, int(bench.random.integers(2 * lanes)))
                bench.put_rule(command, [margin, *bench.random.choice(CORNERS, 3)])
                await bench.climb(command)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def classes_of_no_output(dut: Any) -> None:
    """Words that name none of the outputs, also such whose low bits would."""
    bench = Bench(dut)
    await bench.start()
    command = bench.answer(bench.config.lanes + 1)
    behind = [command.rows, 2 * bench.config.lanes - 1, 256, WORD_MAX]
    for label in (-1, -2, WORD_MIN, WORD_MIN + 1, *behind):
        bench.put(command, bench.random.integers(-100, 100, command.rows), label)
        assert not await bench.climb(command)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def first_of_the_largest(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    lanes, right = bench.config.lanes, 0
    for level in (WORD_MIN, 0, WORD_MAX):
        for _ in range(12):
            command = bench.answer(2 * lanes + 1)
            currents = np.full(command.rows, WORD_MIN)
            currents[bench.random.choice(command.rows, 3, replace=False)] = level
            label = bench.random.choice(np.flatnonzero(currents == level))
            bench.put(command, currents, int(label))
            right += await bench.climb(command)
    assert 0 < right < 36


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def random_commands(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    random, right = bench.random, 0
    for _ in range(60):
        command = bench.answer(int(random.integers(1, 71)))
        if random.random() < 0.3:
            bench.put_rule(command, random.integers(WORD_MIN, WORD_MAX + 1, 4))
        if random.random() < 0.3:
            bench.put_rule(command, random.integers(-1, 2, 4))
        right += await bench.climb(command, slack=float(random.choice([0, 0.5, 0.9])))
    assert right


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_command(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    command = bench.answer(bench.config.lanes + 2)
    bench.patience, bench.willing = LIMIT, 0
    for after in range(1, bench.latency + 2 * bench.tile_cycles):
        await bench.interrupt(command, after)
        await reset(bench.dut, 1)
        await bench.climb(bench.answer(3))
        bench.willing = 0
