"""The serial epilogue against the golden units: every sum to the bit, when promised.

The stimuli and what they must become are those of `bench_epilogue`, column after column and of
each column lane after lane. What is not looked at in a cycle is noise.

Parameters: `config` (fields of a DeviceConfig), `latency`, `bend_latency` and `leaking_latency`,
`seed`.
"""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from hw.config import DeviceConfig
from hw.epilogue import Epilogue
from hw.isa import Activation, Opcode
from sim.bench import cycle, parameters, reset, start
from sim.bench.bench_epilogue import (
    DROPOUT,
    OPCODES,
    SETTINGS,
    Columns,
    Integers,
    corner_columns,
    edges,
    expect,
    random_columns,
)

P = parameters()
CONFIG = DeviceConfig(**P["config"])
WIDTH = CONFIG.accumulator_width
SHAPE = Epilogue(config=CONFIG, tag_width=1, interval=1)
"""What the stimuli are drawn for."""

PORTS = tuple(name for name in SETTINGS if name not in ("fraction", *DROPOUT))

test = cocotb.test(timeout_time=10, timeout_unit="ms")


@dataclass
class Sums:
    """N sums, arrays by row: settings (N, 4), the others (N,)."""

    settings: Integers
    total: Integers
    positive: Integers
    result: Integers
    saturated: Integers
    latency: Integers

    def __len__(self) -> int:
        return len(self.total)

    def __getitem__(self, index: Any) -> "Sums":
        return Sums(*(array[index] for array in vars(self).values()))


def sums_of(columns: Columns) -> Sums:
    """The lanes of the columns, one after the other."""
    lanes = columns.accumulators.shape[1]
    count = len(columns) * lanes
    spread = Columns(
        **{
            name: array.reshape(count, 1) if array.ndim > 1 else np.repeat(array, lanes)
            for name, array in vars(columns).items()
        }
    )
    spread.mask = np.ones(count, np.int64)
    result, saturated = expect(spread, sigmoid=False)
    positive = spread.gate[:, 0] > 0
    # A leaking value goes round once more.
    linear = Columns(**{**vars(spread), "activation": np.full(count, Activation.LINEAR)})
    narrowed, _ = expect(linear, sigmoid=False)
    bend = np.where(spread.opcode == Opcode.BACKWARD, ~positive, narrowed[:, 0] < 0)
    bends = np.isin(spread.activation, (Activation.RELU, Activation.LEAKY_RELU))
    bends &= spread.opcode != Opcode.GRADIENT
    leaks = bend & bends & (spread.activation == Activation.LEAKY_RELU)
    return Sums(
        settings=np.stack([getattr(spread, name) for name in PORTS], axis=1),
        total=spread.accumulators[:, 0],
        positive=positive.astype(np.int64),
        result=result[:, 0],
        saturated=saturated,
        latency=np.select(
            [leaks, bends], [P["leaking_latency"], P["bend_latency"]], P["latency"]
        ),
    )


def same(opcode: Opcode, shift: int, totals: list[int], activation: Activation) -> Columns:
    """A column of one lane of each total."""
    count = len(totals)
    settings = {"opcode": opcode, "activation": activation, "shift": shift}
    settings |= {"fraction": 9, "leak_shift": shift % 16, "mask": 1, "tag": 0}
    settings |= {"drop": 0, "scale": 0, "rate": 0}
    return Columns(
        **{name: np.full(count, value) for name, value in settings.items()},
        accumulators=np.array(totals)[:, None],
        gate=np.arange(count)[:, None] % 3 - 1,
        random=np.zeros((count, 1), np.int64),
    )


async def check(dut: Any, sums: Sums, random: np.random.Generator, most: int = 0) -> None:
    """One sum after the other, at most so many cycles after the one before is done."""
    limit = 1 << (WIDTH - 1)
    noise = random.integers(-limit, limit, len(sums)).tolist()
    pauses = random.integers(0, most + 1, len(sums)).tolist()
    rows = zip(*(array.tolist() for array in vars(sums).values()), strict=True)
    for index, (settings, total, positive, result, saturated, latency) in enumerate(rows):
        for name, value in zip(PORTS, settings, strict=True):
            getattr(dut, name).value = value
        dut.total.value, dut.positive.value, dut.start.value = total, 1 - positive, 1
        await cycle(dut)
        dut.total.value, dut.positive.value, dut.start.value = noise[index], positive, 0
        taken = 1
        while not int(dut.done.value):
            assert taken < latency, "later than promised"
            await cycle(dut)
            taken += 1
        for _ in range(1 + pauses[index]):
            seen = (taken, dut.value.value.to_signed(), int(dut.saturated.value))
            assert int(dut.done.value) and seen == (latency, result, saturated), (
                f"got {seen}, not {(latency, result, saturated)}, for total {total}, "
                f"positive {positive}, {dict(zip(PORTS, settings, strict=True))}"
            )
            if pauses[index]:
                await cycle(dut)


async def begin(dut: Any) -> np.random.Generator:
    print(f"seed {P['seed']}")
    await start(dut, start=0, total=0, positive=0, **dict.fromkeys(PORTS, 0))
    return np.random.default_rng(P["seed"])


@test
async def corners(dut: Any) -> None:
    """Edges of every range, for all activations and leaks."""
    random = await begin(dut)
    await check(dut, sums_of(corner_columns(SHAPE)), random)


@test
async def every_shift(dut: Any) -> None:
    """From 0 to 63, around halves and both rails, and totals that round to 0 from either side."""
    random = await begin(dut)
    for shift in range(64):
        for opcode in OPCODES:
            kind = Activation(shift % (Activation.LEAKY_RELU + 1))
            totals = edges(opcode, shift, WIDTH)
            totals += [sign << bit for sign in (-1, 1) for bit in range(0, WIDTH - 1, 5)]
            await check(dut, sums_of(same(opcode, shift, totals, kind)), random)


@test
async def random_sums(dut: Any) -> None:
    """Thousands of sums, each with settings of its own, at once after each other or later."""
    random = await begin(dut)
    sums = sums_of(random_columns(random, 4000 // CONFIG.lanes, SHAPE))
    assert {0, 1} == set(sums.saturated.tolist())
    assert len(set(sums.latency.tolist())) == 3
    await check(dut, sums[:2000], random)
    await check(dut, sums[2000:], random, most=3)


@test
async def reset_in_mid_sum(dut: Any) -> None:
    """Nothing is done after a reset at whatever stage, and the next sum is unharmed."""
    random = await begin(dut)
    sums = sums_of(random_columns(random, 200, SHAPE))
    for after in range(2 * P["leaking_latency"]):
        dut.start.value = 1
        dut.opcode.value, dut.activation.value = int(Opcode.FORWARD), int(Activation.LEAKY_RELU)
        dut.total.value, dut.shift.value = -5, 0
        await cycle(dut)
        dut.start.value = 0
        await cycle(dut, after)
        await reset(dut, 1)
        for _ in range(2 * P["leaking_latency"]):
            assert not int(dut.done.value)
            await cycle(dut)
        await check(dut, sums[5 * after : 5 * after + 5], random)
