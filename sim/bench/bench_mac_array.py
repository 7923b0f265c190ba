"""MAC array: every tile's columns are its exact product, in their cycle, and no other column comes.

A test lists tiles; `schedule` turns them into the inputs of every cycle, as early as the minimum
spacing allows, and the columns that must come; `play` drives the one and checks the other.
"""

from dataclasses import dataclass, field
from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from hw.mac_array import MacArray
from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN
from sim.bench import cycle, pack, parameters, reset, start, unpack
from sim.bench.operands import words
from sim.golden import units

P = parameters()
L, B, WIDTH = P["lanes"], P["batch_lanes"], P["accumulator_width"]
INTERVALS = range(1, P["longest_interval"] + 1)
test = cocotb.test(timeout_time=1, timeout_unit="ms")


@dataclass
class Tile:
    """Operands (L, K) and (K, B); before each pair an idle cycle with the probability `gaps`."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    interval: int = 1
    gaps: float = 0
    abandoned: bool = False
    """It never ends: its last pair comes without `last`."""


@dataclass
class Schedule:
    """Inputs by cycle (None: idle), and by cycle the column that must stand at the output."""

    pairs: list[dict[str, int] | None] = field(default_factory=list)
    columns: dict[int, tuple[bool, int, NDArray[np.int64]]] = field(default_factory=dict)


def schedule(tiles: list[Tile], random: np.random.Generator) -> Schedule:
    result, free = Schedule(), 0
    for tile in tiles:
        depth = tile.left.shape[1]
        idle = np.less(random.random(depth), tile.gaps)
        end = len(result.pairs) + depth + int(idle.sum()) - 1
        if not tile.abandoned:
            result.pairs += [None] * max(0, free - end)
        for k in range(depth):
            result.pairs += [None] * int(idle[k])
            result.pairs.append(
                {
                    "first": int(k == 0),
                    "last": int(k == depth - 1 and not tile.abandoned),
                    "interval": tile.interval,
                    "left": pack(tile.left[:, k], WORD_BITS),
                    "right": pack(tile.right[k], WORD_BITS),
                }
            )
        if tile.abandoned:
            continue
        last = len(result.pairs) - 1
        free = last + B * tile.interval
        sums = units.product(tile.left, tile.right)
        for age in range(B * tile.interval):
            j, held = divmod(age, tile.interval)
            time = last + MacArray.LATENCY + age
            assert time not in result.columns, "the test's tiles must not collide"
            result.columns[time] = (held == 0, j, sums[:, j])
    return result


async def play(dut: Any, tiles: list[Tile], random: np.random.Generator) -> None:
    """Drive the tiles, check every cycle; idle cycles carry random words and flags."""
    plan = schedule(tiles, random)
    end = max([*plan.columns, len(plan.pairs)]) + 2 * B
    for time in range(end):
        comes, index, sums = plan.columns.get(time, (False, 0, None))
        assert int(dut.o_valid.value) == comes, f"o_valid must be {comes} in cycle {time}"
        if sums is not None:
            assert int(dut.o_index.value) == index, f"o_index must be {index} in cycle {time}"
            column = unpack(dut.o_column.value, WIDTH, L)
            np.testing.assert_array_equal(column, sums, f"column {index}, cycle {time}")
        drive(dut, plan.pairs[time] if time < len(plan.pairs) else None, random)
        await cycle(dut)


def drive(dut: Any, pair: dict[str, int] | None, random: np.random.Generator) -> None:
    dut.valid.value = int(pair is not None)
    if pair is None:
        pair = {
            "first": int(random.integers(2)),
            "last": int(random.integers(2)),
            "interval": int(random.integers(INTERVALS.stop)),
            "left": pack(words(random, L), WORD_BITS),
            "right": pack(words(random, B), WORD_BITS),
        }
    for name, value in pair.items():
        getattr(dut, name).value = value


async def begin(dut: Any) -> np.random.Generator:
    print(f"seed {P['seed']}")
    random = np.random.default_rng(P["seed"])
    await start(dut, valid=0, first=0, last=0, interval=1, left=0, right=0)
    return random


def random_tile(random: np.random.Generator, depth: int, **options: Any) -> Tile:
    return Tile(words(random, L, depth), words(random, depth, B), **options)


@test
async def extreme_sums_at_full_depth(dut: Any) -> None:
    random = await begin(dut)
    depth = P["max_depth"]
    tiles = []
    for a, b in ((WORD_MIN, WORD_MIN), (WORD_MIN, WORD_MAX), (WORD_MAX, WORD_MAX), (0, WORD_MIN)):
        tiles.append(Tile(np.full((L, depth), a), np.full((depth, B), b)))
    assert units.product(tiles[0].left, tiles[0].right).max() == depth << 30
    await play(dut, tiles, random)


@test
async def single_lanes_reach_only_their_sum(dut: Any) -> None:
    random = await begin(dut)
    tiles = []
    for i in range(L):
        for j in range(B):
            tile = random_tile(random, 2)
            tile.left[np.arange(L) != i] = 0
            tile.right[:, np.arange(B) != j] = 0
            tiles.append(tile)
    await play(dut, tiles, random)


@test
async def tiles_follow_each_other_at_minimum_spacing(dut: Any) -> None:
    random = await begin(dut)
    tiles = [random_tile(random, 1, interval=n) for n in INTERVALS for _ in range(4)]
    tiles += [random_tile(random, B * n, interval=n) for n in INTERVALS for _ in range(4)]
    await play(dut, tiles, random)


@test
async def random_depths_gaps_and_intervals(dut: Any) -> None:
    random = await begin(dut)
    tiles = [
        random_tile(
            random,
            int(random.integers(1, 30)),
            interval=int(random.choice(INTERVALS)),
            gaps=float(random.choice([0, 0.1, 0.7])),
            abandoned=bool(random.random() < 0.1),
        )
        for _ in range(150)
    ]
    await play(dut, tiles, random)


@test
async def reset_drops_the_tile_and_the_drain(dut: Any) -> None:
    random = await begin(dut)
    # Cut in the operands, in the pipeline, and in the drain.
    for cut in (3, 6, 9, 9 + B):
        slow = random_tile(random, 4, interval=min(3, INTERVALS[-1]))
        plan = schedule([slow, random_tile(random, 20)], random)
        for pair in plan.pairs[:cut]:
            drive(dut, pair, random)
            await cycle(dut)
        dut.valid.value = 0
        await reset(dut)
        await play(dut, [random_tile(random, 3)], random)
