"""cocotb benches of the units, and the few things that every bench needs.

A bench acts at falling edges only: the registers are stable there, so it reads the outputs of the
last rising edge and then sets the inputs of the next one. Words travel through flat ports; `pack`
and `unpack` convert them from and to numpy arrays.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

PARAMETERS_VARIABLE = "SYNAPTILE_BENCH_PARAMETERS"
"""Environment variable in which `runner.run_bench` names the file of a bench's parameters, JSON."""

CLOCK_PERIOD_NS = 10


def parameters() -> dict[str, Any]:
    """The parameters that this bench was started with."""
    return json.loads(Path(os.environ[PARAMETERS_VARIABLE]).read_text())


def pack(values: ArrayLike, width: int) -> int:
    """A flat port's value: each of `values` in `width` bits, two's complement, first one lowest."""
    mask = (1 << width) - 1
    packed = 0
    for value in reversed(np.asarray(values).reshape(-1).tolist()):
        packed = packed << width | int(value) & mask
    return packed


def unpack(packed: Any, width: int, count: int, *, signed: bool = True) -> NDArray[np.int64]:
    """The `count` words of `width` bits in a flat port's value, lowest first."""
    value, mask = int(packed), (1 << width) - 1
    words = np.array([value >> i * width & mask for i in range(count)], dtype=np.int64)
    return words - ((words >> (width - 1)) << width) if signed else words


async def reset(dut: Any, cycles: int = 2) -> None:
    """Hold the reset for `cycles` clock cycles; returns at a falling edge, the reset released."""
    dut.rst.value = 1
    await cycle(dut, cycles)
    dut.rst.value = 0


async def cycle(dut: Any, count: int = 1) -> None:
    """Go to the falling edge `count` clock cycles later."""
    from cocotb.triggers import FallingEdge

    for _ in range(count):
        await FallingEdge(dut.clk)


async def start(dut: Any, **inputs: int) -> None:
    """Start the clock, set every named input, reset; returns at a falling edge."""
    from cocotb.clock import Clock

    for name, value in inputs.items():
        getattr(dut, name).value = value
    Clock(dut.clk, CLOCK_PERIOD_NS, unit="ns").start()
    await reset(dut)
