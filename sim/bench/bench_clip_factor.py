"""Bench of CLIP: norm and factor against golden, and how long it takes.

Parameters: `cycles`, `seed`.
"""

from math import isqrt
from typing import Any

import cocotb
import numpy as np

from hw.numbers import CLIP_FRACTION_BITS, GRADIENT_GUARD_BITS, NORM_BITS, WORD_BITS
from sim.bench import Ports, cycle, parameters, reset, start
from sim.golden import units

ONE = 1 << CLIP_FRACTION_BITS
MOST = (1 << NORM_BITS) - 1


async def clip(dut: Any, squares: int, threshold: int) -> tuple[int, int]:
    """Start one and wait for it; the norm and the factor."""
    dut.start.value, dut.squares.value, dut.threshold.value = 1, squares, threshold
    await cycle(dut)
    # Squares are taken with the strobe; later ones are others'.
    dut.start.value, dut.squares.value = 0, MOST - squares
    for _ in range(parameters()["cycles"]):
        assert int(dut.busy.value)
        if int(dut.done.value):
            break
        await cycle(dut)
    assert int(dut.done.value), "not done in time"
    norm, clipped = int(dut.norm.value), int(dut.clipped.value)
    await cycle(dut)
    assert not int(dut.busy.value) and not int(dut.done.value)
    assert clipped == (int(dut.factor.value) < ONE)
    return norm, int(dut.factor.value)


async def begin(dut: Any) -> Ports:
    ports = Ports(dut)
    await start(ports, **dict.fromkeys(("start", "squares", "threshold", "forget"), 0))
    return ports


async def check(dut: Ports, squares: int, threshold: int) -> None:
    found = await clip(dut, squares, threshold)
    assert found == units.clip_factor(squares, threshold), (squares, threshold, found)


@cocotb.test()
async def around_the_threshold(dut: Any) -> None:
    """A norm of the threshold, one more, one less, and squares on both sides of these."""
    ports = await begin(dut)
    for threshold in (0, 1, 2, 255, 4096, (1 << WORD_BITS) - 1):
        limit = threshold << GRADIENT_GUARD_BITS
        for norm in (limit - 1, limit, limit + 1):
            for squares in (norm**2 - 1, norm**2, norm**2 + 1):
                if norm >= 0 and squares >= 0:
                    await check(ports, squares, threshold)


@cocotb.test()
async def equals_golden(dut: Any) -> None:
    """Norms of all sizes, from 0 to the largest."""
    ports = await begin(dut)
    random = np.random.default_rng(parameters()["seed"])
    for squares in (0, 1, 2, 3, 4, MOST, MOST - 1, isqrt(MOST) ** 2, isqrt(MOST) ** 2 - 1):
        await check(ports, squares, int(random.integers(1 << WORD_BITS)))
    for _ in range(150):
        squares = int(random.integers(0, MOST, dtype=np.uint64)) >> int(random.integers(NORM_BITS))
        threshold = int(random.integers(1 << WORD_BITS)) >> int(random.integers(WORD_BITS))
        await check(ports, squares, threshold)


@cocotb.test()
async def forgets(dut: Any) -> None:
    """The factor stays until the next one, `forget` or a reset, which make it 1."""
    ports = await begin(dut)
    assert int(ports.factor.value) == ONE
    for _ in range(2):
        assert (await clip(ports, 1 << 40, 1 << 10))[1] == 1 << 14
        await cycle(ports, 10)
        assert int(ports.factor.value) == 1 << 14
        ports.forget.value = 1
        await cycle(ports)
        ports.forget.value = 0
        assert int(ports.factor.value) == ONE
    ports.start.value = 1
    await cycle(ports, 20)
    ports.start.value = 0
    await reset(ports)
    assert int(ports.factor.value) == ONE and not int(ports.busy.value)
    await check(ports, 1 << 40, 1 << 9)
