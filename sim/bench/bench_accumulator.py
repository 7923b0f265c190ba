"""Accumulator: every total that may be read is Python's sum of the products taken since `clear`.

A test lists sums; `timeline` spreads them over cycles, as early as they may come or with gaps, and
`play` drives the cycles and compares. Words and flags that do not matter are noise.

Parameters: `width`, `depth` (products that surely fit), `multiply` and `latency` (cycles from words
to `take`, from `take` to the total), `seed`.
"""

from dataclasses import dataclass, field
from typing import Any

import cocotb
import numpy as np

from hw.numbers import WORD_MAX, WORD_MIN
from sim.bench import Ports, cycle, parameters, reset, start

P = parameters()
DEPTH, MULTIPLY, LATENCY = P["depth"], P["multiply"], P["latency"]
Pairs = list[tuple[int, int]]

QUARTER = [(WORD_MIN, WORD_MIN)]
"""+ 2**30, a quarter of what a block counts to."""
LESS_A_QUARTER = [(WORD_MIN, WORD_MAX), (WORD_MIN, 1)]
"""- 2**30"""

test = cocotb.test(timeout_time=2, timeout_unit="ms")


@dataclass
class Sum:
    """Products to add, before each a gap with probability `gaps`, then `pause` cycles."""

    pairs: Pairs
    gaps: float = 0
    pause: int = LATENCY - 1


@dataclass
class Timeline:
    """By cycle: the words, and whether their product is taken; the totals' beginnings."""

    words: dict[int, tuple[int, int]] = field(default_factory=dict)
    taken: dict[int, tuple[int, int]] = field(default_factory=dict)
    clears: set[int] = field(default_factory=set)
    end: int = 0


def timeline(sums: list[Sum], random: np.random.Generator) -> Timeline:
    result, now = Timeline(), MULTIPLY
    for each in sums:
        result.clears.add(now)
        now += 1
        for pair in each.pairs:
            if random.random() < each.gaps:
                now += int(random.integers(1, 4))
            result.words[now - MULTIPLY] = result.taken[now] = pair
            now += 1
        now += each.pause
    result.end = now + LATENCY
    return result


async def play(dut: Any, sums: list[Sum], random: np.random.Generator) -> None:
    """Drive the sums one after the other; totals count from the first clear on."""
    dut, plan = Ports(dut), timeline(sums, random)
    noise = random.integers(WORD_MIN, WORD_MAX + 1, (plan.end, 2)).tolist()
    total: int | None = None
    for now in range(plan.end):
        # A total is due LATENCY cycles after a take, so not while takes follow each other.
        if total is not None and not any(now - ago in plan.taken for ago in range(1, LATENCY)):
            assert dut.total.value.to_signed() == total, f"total in cycle {now}"
        dut.a.value, dut.b.value = plan.words.get(now, noise[now])
        dut.take.value = int(now in plan.taken)
        dut.clear.value = int(now in plan.clears)
        if now in plan.clears:
            total = 0
        if now in plan.taken:
            assert total is not None
            a, b = plan.taken[now]
            total += a * b
        await cycle(dut)
    dut.take.value = 0


async def begin(dut: Any) -> np.random.Generator:
    print(f"seed {P['seed']}")
    await start(dut, a=0, b=0, take=0, clear=0)
    return np.random.default_rng(P["seed"])


def drawn(random: np.random.Generator, count: int) -> Pairs:
    """Pairs of words, every fourth word at an end of the range."""
    words = random.integers(WORD_MIN, WORD_MAX + 1, (count, 2))
    ends = random.choice([WORD_MIN, WORD_MAX], (count, 2))
    return [(a, b) for a, b in np.where(random.random((count, 2)) < 0.25, ends, words).tolist()]


@test
async def as_many_as_fit(dut: Any) -> None:
    """DEPTH products of each pair of extreme words, and of alternating ones."""
    random = await begin(dut)
    low, high = WORD_MIN, WORD_MAX
    pairs = [(low, low), (low, high), (high, low), (high, high), (0, low), (low, 0), (-1, -1)]
    sums = [Sum([pair] * DEPTH) for pair in pairs]
    sums += [Sum([(low, low), (low, high)] * (DEPTH // 2)), Sum([])]
    sums += [Sum(QUARTER * (DEPTH // 2) + LESS_A_QUARTER * (DEPTH // 2))]
    await play(dut, sums, random)
    await play(dut, [Sum(each.pairs, gaps=0.3) for each in sums], random)


@test
async def around_every_half_turn(dut: Any) -> None:
    """Up to 2**31 - 1 + k * 2**32, one further and back again and again; likewise downwards."""
    random = await begin(dut)
    most = (DEPTH - 4) // 4
    to_top = [*QUARTER, (WORD_MAX, WORD_MAX), (2, WORD_MAX)]
    to_bottom = [*LESS_A_QUARTER * 2]
    assert sum(a * b for a, b in to_top) == (1 << 31) - 1
    assert sum(a * b for a, b in to_bottom) == -(1 << 31)
    for gaps in (0, 0.5):
        sums = []
        for k in {0, 1, 2, most - 1, most}:
            turns = [(1, 1), (-1, 1)]
            steps = [*QUARTER, *LESS_A_QUARTER]
            sums.append(Sum(QUARTER * 4 * k + to_top + turns * 5 + steps * 5, gaps))
            sums.append(Sum(LESS_A_QUARTER * 4 * k + to_bottom + turns[::-1] * 5, gaps))
            sums.append(Sum(LESS_A_QUARTER * 4 * k + to_bottom + steps[::-1] * 5, gaps))
        await play(dut, sums, random)


@test
async def long_wanderings(dut: Any) -> None:
    """Thousands of the largest steps, up and down over all of the range."""
    random = await begin(dut)
    for gaps in (0, 0.2):
        steps: Pairs = []
        total, up = 0, True
        while len(steps) < 3000:
            if random.random() < 0.05:
                up = not up
            up = (up or total <= -DEPTH << 30) and total < (DEPTH - 1) << 30
            pair = (WORD_MIN, WORD_MIN if up else WORD_MAX)
            steps.append(pair)
            total += pair[0] * pair[1]
        await play(dut, [Sum(steps, gaps)], random)


@test
async def random_sums(dut: Any) -> None:
    """Of any length, with gaps; `clear` comes as soon as the last product was taken, or later."""
    random = await begin(dut)
    sums = [
        Sum(
            drawn(random, int(random.choice([0, 1, 2, 3, DEPTH, random.integers(1, DEPTH)]))),
            gaps=float(random.choice([0, 0.1, 0.7])),
            pause=int(random.integers(4)),
        )
        for _ in range(150)
    ]
    await play(dut, sums, random)


@test
async def reset_in_mid_sum(dut: Any) -> None:
    """What was added before does not count after a reset and `clear`, at whatever wrap it was."""
    random = await begin(dut)
    for count in range(12):
        await play(dut, [Sum(QUARTER * count, pause=0)], random)
        await reset(dut, 1)
        await play(dut, [Sum(LESS_A_QUARTER * (count % 5)), Sum(drawn(random, 9))], random)
