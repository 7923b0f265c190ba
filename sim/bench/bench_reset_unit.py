"""Bench of RESET: STATE after every command, against the golden model.

Parameters: `config` (fields of a DeviceConfig), `first` and `more` (cycles of a command on one
tile, and for each further one), `seed`.
"""

from typing import Any

import cocotb
import numpy as np

from hw.isa import Instruction, Opcode, Region
from hw.layout import tiles
from hw.spiking import POPULATION_ROWS
from sim.bench import reset
from sim.bench.spiking import Bench


async def clear(bench: Bench, neurons: int, flags: int) -> None:
    """A command on a population somewhere in STATE."""
    state = bench.images[Region.STATE]
    state[:] = bench.words(*state.shape)
    count = tiles(neurons, bench.lanes)
    base = int(bench.random.integers(0, len(state) - count * POPULATION_ROWS + 1))
    i = Instruction(opcode=Opcode.RESET, rows=neurons, flags=flags, dest_base=base)
    assert await bench.command(i) == bench.given["first"] + (count - 1) * bench.given["more"]


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_variable_and_size(dut: Any) -> None:
    bench = Bench(dut, limit=2000)
    await bench.start()
    lanes = bench.lanes
    for neurons in (1, lanes - 1, lanes, lanes + 1, 5 * lanes, 6 * lanes - 1):
        for flags in (0, *(1 << variable for variable in range(POPULATION_ROWS)), 0xFF):
            await clear(bench, neurons, flags)
    await clear(bench, bench.config.state_rows // POPULATION_ROWS * lanes, 0x2D)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_command(dut: Any) -> None:
    bench = Bench(dut, limit=2000)
    await bench.start()
    for passed in range(20):
        await bench.launch(Instruction(opcode=Opcode.RESET, rows=2 * bench.lanes, flags=0xFF))
        for _ in range(passed):
            await bench.cycle([])
        await reset(bench.dut, 1)
        before = bench.images[Region.STATE].copy()
        for _ in range(20):
            assert bench.dut.command__done.value == 0
            await bench.cycle([])
        np.testing.assert_array_equal(bench.images[Region.STATE], before)
        await clear(bench, bench.lanes + 1, 0x5A)
