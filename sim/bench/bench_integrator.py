"""Bench of INTEGRATE: currents, saturations and cycles, against the golden spiking half.

Parameters: `config` (fields of a DeviceConfig), `empty` and `overhead` (cycles), `seed`.
"""

from typing import Any

import cocotb
import numpy as np

from hw.isa import Instruction, Opcode, Region
from hw.layout import tiles
from hw.numbers import WORD_MAX, WORD_MIN
from hw.spiking import Variable
from hw.spiking_ports import STATE_LATENCY
from sim.bench import parameters
from sim.bench.synapses import Ran, SynapseBench

GIVEN = parameters()


class Bench(SynapseBench):
    """INTEGRATE of a matrix anywhere in WEIGHT."""

    def instruction(
        self, rows: int, columns: int, neurons: Any, *, shift: int = 0, **fields: int
    ) -> Instruction:
        """With random bases, unless `fields` says otherwise, and the list in EVENTS."""
        across, down = tiles(columns, self.lanes), tiles(rows, self.lanes)
        stride = fields.pop("left_inner", across)
        base = self.random.integers(0, self.config.weight_tiles - (down - 1) * stride - across + 1)
        population = self.random.integers(
            0, self.config.state_rows - self.population_rows(rows) + 1
        )
        gate = self.random.integers(0, self.config.event_words - len(neurons))
        values = {
            "left_base": int(base),
            "dest_base": int(population),
            "gate": int(gate),
            "statistic": int(self.random.integers(0, 64)),
            **fields,
        }
        self.list_at(values["gate"], neurons)
        return Instruction(
            opcode=Opcode.INTEGRATE, rows=rows, shift=shift, left_inner=stride, **values
        )

    async def timed(self, i: Instruction) -> Ran:
        """Check a command, and that it takes the cycles that are stated."""
        ran, counted = await self.check(i)
        count = int(self.images[Region.EVENTS].reshape(-1)[i.gate])
        if not count:
            assert ran.cycles == GIVEN["empty"] and ran.reported is None
            return ran
        steps = max(i.shift, STATE_LATENCY)
        down = tiles(i.rows, self.lanes)
        reads = count + (down - 1) * max(count, steps + 1)
        assert ran.cycles == reads + steps + GIVEN["overhead"]
        assert ran.reads[-1] - ran.reads[0] + 1 == reads
        if count > steps:
            assert reads == counted.busy, "there must be no cycle without weights"
        assert ran.reported == counted.saturations
        return ran


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sizes(dut: Any) -> None:
    """One neuron, ragged tiles, lists of one, of all, and of none."""
    bench = Bench(dut)
    await bench.begin()
    lanes = bench.lanes
    for rows in (1, lanes - 1, lanes, lanes + 1, 3 * lanes):
        for columns in (1, lanes + 1, 2 * lanes):
            for count in sorted({0, 1, 2, 3, columns} & set(range(columns + 1))):
                neurons = bench.some(count, columns)
                await bench.timed(bench.instruction(rows, columns, neurons))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def shifts(dut: Any) -> None:
    """Of all amounts, with sums of both signs, rounded half up."""
    bench = Bench(dut)
    await bench.begin()
    rows, columns = 2 * bench.lanes + 1, bench.lanes + 3
    for shift in [*range(20), 30, 47, 63]:
        for count in (1, 3, 7):
            i = bench.instruction(rows, columns, bench.some(count, columns), shift=shift)
            await bench.timed(i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def halves(dut: Any) -> None:
    """Every residue of small sums at small shifts."""
    bench = Bench(dut)
    await bench.begin()
    bench.fill(Region.WEIGHT, -9, 9)
    for shift in range(5):
        bench.fill(Region.STATE, -9, 9)
        await bench.timed(bench.instruction(2 * bench.lanes, 5, range(5), shift=shift))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def saturations(dut: Any) -> None:
    """Currents saturate on both sides; lanes beyond the population are not counted."""
    bench = Bench(dut)
    await bench.begin()
    lanes = bench.lanes
    for extreme in (WORD_MIN, WORD_MAX):
        bench.fill(Region.WEIGHT, extreme, extreme)
        bench.fill(Region.STATE, min(extreme, 0), max(extreme, 0))
        for rows in (1, lanes - 1, lanes, 2 * lanes + 1):
            for shift in (0, 1, 4):
                i = bench.instruction(rows, lanes, range(lanes), shift=shift)
                ran = await bench.timed(i)
                assert shift or ran.reported == rows, "all must saturate"
    for _ in range(10):
        bench.fill_corners(Region.WEIGHT)
        bench.fill_corners(Region.STATE)
        await bench.timed(bench.instruction(3 * lanes - 1, 2 * lanes, range(2 * lanes)))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_longest_list(dut: Any) -> None:
    """Sums of as many of the most negative words as EVENTS can name do not overflow."""
    bench = Bench(dut)
    await bench.begin()
    bench.fill(Region.WEIGHT, WORD_MIN, WORD_MIN + 1)
    count = bench.config.event_words - 1
    neurons = bench.random.integers(0, bench.lanes, count)
    shift = bench.config.event_words.bit_length() - 1
    i = bench.instruction(bench.lanes + 1, bench.lanes, neurons, shift=shift, gate=0)
    currents = bench.variable(i.dest_base, i.rows, Variable.CURRENT)
    currents[:] = 0
    await bench.timed(i)
    assert np.all(currents < WORD_MIN // 2)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def at_random(dut: Any) -> None:
    """Matrices of all places, strides and lists, also lists out of order or with repetitions."""
    bench = Bench(dut)
    await bench.begin()
    for _ in range(60):
        rows = int(bench.random.integers(1, 4 * bench.lanes))
        columns = int(bench.random.integers(1, 4 * bench.lanes))
        count = int(bench.random.integers(0, min(columns * 2, 12)))
        neurons = bench.random.integers(0, columns, count)
        stride = tiles(columns, bench.lanes) + int(bench.random.integers(0, 3))
        shift = int(bench.random.integers(0, 8))
        i = bench.instruction(rows, columns, neurons, shift=shift, left_inner=stride)
        await bench.timed(i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_command(dut: Any) -> None:
    bench = Bench(dut)
    await bench.begin()
    rows, columns = 2 * bench.lanes, 5
    for after in range(1, 40, 3):
        await bench.interrupt(bench.instruction(rows, columns, range(columns), shift=3), after)
        await bench.timed(bench.instruction(rows, columns, bench.some(2, columns), shift=1))
