"""Serial MAC: after every tile each of its sums is that of the exact product, until the next one.

A tile is a `clear`, pairs of operands with gaps, LATENCY cycles, and then all sums, in any order.

Parameters: `lanes`, `batch_lanes`, `accumulator_width`, `max_depth`, `latency`, `seed`.
"""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer
from numpy.typing import NDArray

from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN
from sim.bench import cycle, pack, parameters, reset, start
from sim.bench.operands import words
from sim.golden import units

P = parameters()
L, B, LATENCY, DEPTH = P["lanes"], P["batch_lanes"], P["latency"], P["max_depth"]
test = cocotb.test(timeout_time=2, timeout_unit="ms")


@dataclass
class Tile:
    """Operands (L, K) and (K, B); an idle cycle before each pair with the probability `gaps`."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    gaps: float = 0
    hold: int = 0
    """Cycles for which the sums are looked at beyond the first one."""


def drawn(random: np.random.Generator, depth: int, **options: Any) -> Tile:
    return Tile(words(random, L, depth), words(random, depth, B), **options)


async def step(
    dut: Any, random: np.random.Generator, pair: tuple[Any, Any] | None, *, clear: bool = False
) -> None:
    """A cycle, with noise where there are no operands."""
    dut.clear.value = int(clear)
    dut.valid.value = int(pair is not None)
    left, right = pair if pair is not None else (words(random, L), words(random, B))
    dut.left.value, dut.right.value = pack(left, WORD_BITS), pack(right, WORD_BITS)
    await cycle(dut)


async def operands(dut: Any, tile: Tile, random: np.random.Generator, most: int) -> None:
    """Clear, and at most so many pairs, the first of them perhaps at once."""
    begun = False
    for k in range(min(most, tile.left.shape[1])):
        while random.random() < tile.gaps:
            await step(dut, random, None, clear=not begun)
            begun = True
        await step(dut, random, (tile.left[:, k], tile.right[k]), clear=not begun)
        begun = True


async def play(dut: Any, tiles: list[Tile], random: np.random.Generator) -> None:
    """Each tile is cleared in the very cycle in which the sums before were last looked at."""
    for tile in tiles:
        await operands(dut, tile, random, tile.left.shape[1])
        for _ in range(LATENCY - 1):
            await step(dut, random, None)
        for held in range(tile.hold + 1):
            await check(dut, units.product(tile.left, tile.right), random)
            if held < tile.hold:
                await step(dut, random, None)


async def check(dut: Any, sums: NDArray[np.int64], random: np.random.Generator) -> None:
    """All sums, in one cycle."""
    for place in random.permutation(L * B):
        row, column = divmod(int(place), B)
        dut.row.value, dut.column.value = row, column
        await Timer(50, unit="ps")
        assert dut.total.value.to_signed() == sums[row, column], (row, column, sums)


async def begin(dut: Any) -> np.random.Generator:
    print(f"seed {P['seed']}")
    await start(dut, valid=0, clear=0, left=0, right=0, row=0, column=0)
    return np.random.default_rng(P["seed"])


@test
async def extreme_sums_at_full_depth(dut: Any) -> None:
    random = await begin(dut)
    tiles = []
    for a, b in ((WORD_MIN, WORD_MIN), (WORD_MIN, WORD_MAX), (WORD_MAX, WORD_MAX), (0, WORD_MIN)):
        tiles.append(Tile(np.full((L, DEPTH), a), np.full((DEPTH, B), b), hold=2))
    assert units.product(tiles[0].left, tiles[0].right).max() == DEPTH << 30
    await play(dut, tiles, random)


@test
async def single_lanes_reach_only_their_sum(dut: Any) -> None:
    random = await begin(dut)
    tiles = []
    for i in range(L):
        for j in range(B):
            tile = drawn(random, 2)
            tile.left[np.arange(L) != i] = 0
            tile.right[:, np.arange(B) != j] = 0
            tiles.append(tile)
    await play(dut, tiles, random)


@test
async def random_depths_and_gaps(dut: Any) -> None:
    random = await begin(dut)
    depths = [1, 2, 3, DEPTH, *random.integers(1, DEPTH, 60)]
    tiles = [
        drawn(
            random, int(k), gaps=float(random.choice([0, 0.1, 0.7])), hold=int(random.integers(3))
        )
        for k in depths
    ]
    await play(dut, tiles, random)


@test
async def reset_in_mid_tile(dut: Any) -> None:
    """Nothing of what was under way counts in the next tile."""
    random = await begin(dut)
    for most in (1, 2, 3, 4, 5, 20):
        await operands(dut, drawn(random, 30), random, most)
        dut.valid.value = 0
        await reset(dut)
        await play(dut, [drawn(random, 3), drawn(random, 20)], random)
