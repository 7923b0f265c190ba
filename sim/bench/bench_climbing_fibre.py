"""Bench of CLIMB: coefficients, spikes and right answers against the golden model.

Parameters: `config` (fields of a DeviceConfig), `latency`, `tile_cycles`, `seed`.
"""

from typing import Any

import cocotb
import numpy as np
from numpy.typing import ArrayLike

from hw.config import DeviceConfig
from hw.isa import Instruction, Opcode, Region
from hw.layout import tiles
from hw.numbers import WORD_MAX, WORD_MIN
from hw.spiking import POPULATION_ROWS, ClimbingParameter, Variable
from sim.bench import parameters, reset
from sim.bench.played import Golden, Player

CORNERS = (WORD_MIN, WORD_MIN + 1, -1, 0, 1, WORD_MAX - 1, WORD_MAX)


class Bench(Player):
    """Random outputs, and the class that they should tell."""

    def __init__(self, dut: Any):
        given = parameters()
        self.latency: int = given["latency"]
        self.tile_cycles: int = given["tile_cycles"]
        random = np.random.default_rng(given["seed"])
        golden = Golden(DeviceConfig(**given["config"]), random)
        super().__init__(dut, golden, random, tiles=("target",), reads_state=True)
        cocotb.log.info("seed %d", given["seed"])

    def command(self, outputs: int) -> Instruction:
        """A command for a population at a random place."""
        random, config = self.random, self.config
        height = tiles(outputs, config.lanes) * POPULATION_ROWS
        first = -(-len(ClimbingParameter) // config.lanes)
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
        lanes, golden = self.config.lanes, self.golden
        for neuron, current in enumerate(np.asarray(currents).tolist()):
            row = i.dest_base + neuron // lanes * POPULATION_ROWS + Variable.CURRENT
            golden.images[Region.STATE][row, neuron % lanes] = current
        tile = golden.loader.front * self.config.target_tiles + i.left_base
        golden.images[Region.TARGET][tile * self.config.batch_lanes, 0] = label

    def put_rule(self, i: Instruction, rule: ArrayLike) -> None:
        self.golden.put_parameters(i.right_depth, np.asarray(rule))

    async def climb(self, i: Instruction, *, slack: float = 0.0) -> int:
        """Whether the answer was right."""
        cycles = await self.run(i, slack=slack)
        assert cycles is not None
        expected = self.latency + tiles(i.rows, self.config.lanes) * self.tile_cycles
        assert cycles == expected if slack == 0 else cycles >= expected
        counted = self.check(i)
        assert self.correct == counted.correct
        return counted.correct

    def _look(self, now: int) -> None:
        super()._look(now)
        if int(self.dut.command__done.value):
            self.correct = int(self.dut.correct.value)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def shapes(dut: Any) -> None:
    """One output, ragged and whole tiles, both buffers."""
    bench = Bench(dut)
    await bench.start()
    lanes = bench.config.lanes
    for outputs in (1, 2, lanes - 1, lanes, lanes + 1, 3 * lanes, 70):
        for _ in range(4):
            await bench.climb(bench.command(outputs))
            bench.golden.loader.release()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def corners(dut: Any) -> None:
    """All corners of currents against all of margins, for the class and for others."""
    bench = Bench(dut)
    await bench.start()
    lanes = bench.config.lanes
    command = bench.command(2 * lanes)
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
    command = bench.command(bench.config.lanes + 1)
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
            command = bench.command(2 * lanes + 1)
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
        command = bench.command(int(random.integers(1, 71)))
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
    command = bench.command(bench.config.lanes + 2)
    whole = await bench.run(command)
    assert whole is not None
    for limit in range(1, whole):
        assert await bench.run(command, limit=limit, slack=1) is None
        await reset(bench.dut, 1)
        await bench.climb(bench.command(3))
