"""Multiplier: every product is exact, one a cycle, LATENCY cycles after its operands."""

import random
from typing import Any

import cocotb

from sim.bench import cycle, parameters, start

CORNERS = (-1, 0, 1)


def operands(width: int, count: int) -> list[int]:
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    return [
        low,
        low + 1,
        *CORNERS,
        high - 1,
        high,
        *(random.randint(low, high) for _ in range(count)),
    ]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def products_are_exact(dut: Any) -> None:
    p = parameters()
    pairs = [(a, b) for a in operands(p["a_width"], 0) for b in operands(p["b_width"], 0)]
    pairs += list(zip(operands(p["a_width"], 2000), operands(p["b_width"], 2000), strict=True))
    await start(dut, a=0, b=0)
    for time in range(len(pairs) + p["latency"]):
        if time >= p["latency"]:
            a, b = pairs[time - p["latency"]]
            assert dut.product.value.to_signed() == a * b, f"{a} * {b}"
        dut.a.value, dut.b.value = pairs[min(time, len(pairs) - 1)]
        await cycle(dut)
