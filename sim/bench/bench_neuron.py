"""Bench of FIRE: STATE and spikes after every command, against the golden model.

Parameters: `config` (fields of a DeviceConfig), `period`, `cycles` (by whether there is a search,
of 1 tile and for each more), `seed`.
"""

from typing import Any

import cocotb
import numpy as np

from hw.isa import Instruction, Opcode, Region
from hw.layout import tiles
from hw.numbers import WORD_MAX, WORD_MIN
from hw.spiking import PARAMETER_WORDS, POPULATION_ROWS, FireFlag, NeuronParameter, Variable
from sim.bench import reset
from sim.bench.spiking import Bench

DECAYS = [
    NeuronParameter.LEAK,
    NeuronParameter.THRESHOLD_DECAY,
    NeuronParameter.TRACE_DECAY,
    NeuronParameter.ACTIVITY_DECAY,
]
ALL_FLAGS = sum(FireFlag)


class FireBench(Bench):
    """Populations and commands of FIRE."""

    async def fire(
        self, neurons: int, flags: int, *, scale: int = WORD_MAX, corners: float = 0.2, **given: int
    ) -> int:
        """A command on a random population; parameters by name may be given. How many fire."""
        state = self.images[Region.STATE]
        state[:] = self.words(*state.shape, scale=scale, corners=corners)
        lanes = self.lanes
        count = tiles(neurons, lanes)
        block = tiles(PARAMETER_WORDS, lanes)
        base = int(self.random.integers(0, len(state) - count * POPULATION_ROWS - block + 1))
        rests = self.random.choice([0, 0, 0, -1, 1, 2, WORD_MAX, WORD_MIN], (count, lanes))
        population = state[base : base + count * POPULATION_ROWS]
        population = population.reshape(count, POPULATION_ROWS, lanes)
        population[:, Variable.REFRACTORY] = rests
        i = Instruction(
            opcode=Opcode.FIRE,
            rows=neurons,
            flags=flags,
            dest_base=base,
            right_depth=base + count * POPULATION_ROWS,
        )
        self.set_parameters(i, self.parameters(scale, corners, given))
        before = population[:, Variable.COUNT].astype(int).copy()
        cycles = await self.command(i)
        first, more = self.given["cycles"][bool(flags & (FireFlag.WINNER | FireFlag.INHIBIT))]
        assert cycles == first + (count - 1) * more, f"cycles of {i}"
        return int((population[:, Variable.COUNT] != before).sum())

    def parameters(self, scale: int, corners: float, given: dict[str, int]) -> list[int]:
        values = self.words(len(NeuronParameter), scale=scale, corners=corners).astype(int)
        decays = -self.random.integers(0, 1 << 15, len(DECAYS))
        extremes = self.random.choice([0, -1, WORD_MIN, -WORD_MAX], len(DECAYS))
        values[DECAYS] = np.where(self.random.random(len(DECAYS)) < 0.4, extremes, decays)
        for name, value in given.items():
            values[NeuronParameter[name]] = value
        return values.tolist()


async def begin(dut: Any) -> FireBench:
    bench = FireBench(dut, limit=4000)
    await bench.start()
    return bench


def sizes(bench: FireBench) -> list[int]:
    lanes = bench.lanes
    return [1, lanes - 1, lanes, lanes + 1, 2 * lanes, 3 * lanes - 1, 5 * lanes + 1]


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def every_flag_and_size(dut: Any) -> None:
    bench = await begin(dut)
    fired = 0
    for flag in (0, *FireFlag, ALL_FLAGS):
        for neurons in sizes(bench):
            fired += await bench.fire(neurons, int(flag))
    assert fired


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def random_commands(dut: Any) -> None:
    bench = await begin(dut)
    for _ in range(60):
        bench.patience = int(bench.random.integers(1, bench.given["period"] + 1))
        bench.willing = bench.random.choice([0.0, 0.5])
        await bench.fire(
            int(bench.random.integers(1, 9 * bench.lanes)),
            int(bench.random.integers(0, ALL_FLAGS + 1)),
            scale=int(bench.random.choice([2, 100, 20000, WORD_MAX])),
            corners=bench.random.choice([0.0, 0.05, 0.7]),
        )


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def winners_are_the_first_of_equals(dut: Any) -> None:
    """Small numbers, so that many are equally far above; then all of them, and none."""
    bench = await begin(dut)
    for flags in (FireFlag.WINNER, FireFlag.WINNER | FireFlag.INHIBIT | FireFlag.ADAPT):
        winners = 0
        for neurons in (*sizes(bench), 70):
            winners += await bench.fire(neurons, flags, scale=2, corners=0.0, THRESHOLD=0)
        assert winners >= 4
        assert await bench.fire(40, flags, scale=0, corners=0.0, THRESHOLD=0, RESET=5) == 1
        assert await bench.fire(40, flags, scale=3, corners=0.0, THRESHOLD=WORD_MAX) == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def all_fire_and_none(dut: Any) -> None:
    bench = await begin(dut)
    for flags in (0, FireFlag.INHIBIT, FireFlag.ADAPT | FireFlag.SET_TRACE):
        for threshold in (WORD_MIN, WORD_MAX):
            for patience in (1, bench.given["period"]):
                bench.patience, bench.willing = patience, 0.0
                await bench.fire(6 * bench.lanes, flags, scale=9, corners=0.0, THRESHOLD=threshold)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def extremes(dut: Any) -> None:
    """Only corners, in words and in parameters."""
    bench = await begin(dut)
    for flags in (0, FireFlag.ADAPT, FireFlag.ADAPT | FireFlag.WINNER, ALL_FLAGS):
        for activity in (WORD_MIN, WORD_MAX, 0):
            await bench.fire(
                6 * bench.lanes - 1, flags, corners=1.0, ACTIVITY_THRESHOLD=activity
            )


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_in_mid_command(dut: Any) -> None:
    """A command that a reset ends writes no more, and the next one is as any other."""
    bench = await begin(dut)
    for passed in range(1, 60, 7):
        i = Instruction(opcode=Opcode.FIRE, rows=3 * bench.lanes, flags=FireFlag.WINNER)
        await bench.launch(i)
        for _ in range(passed):
            await bench.cycle([])
        await reset(bench.dut, 1)
        bench.ended = False
        before = bench.images[Region.STATE].copy()
        for _ in range(40):
            assert bench.dut.command__done.value == 0
            await bench.cycle([])
        np.testing.assert_array_equal(bench.images[Region.STATE], before)
        await bench.fire(2 * bench.lanes + 1, ALL_FLAGS)
