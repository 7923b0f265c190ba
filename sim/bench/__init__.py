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

from hw.numbers import WORD_BITS

PARAMETERS_VARIABLE = "SYNAPTILE_BENCH_PARAMETERS"
"""Environment variable in which `runner.run_bench` names the file of a bench's parameters, JSON."""

CLOCK_PERIOD_NS = 10


def parameters() -> dict[str, Any]:
    """The parameters that this bench was started with."""
    return json.loads(Path(os.environ[PARAMETERS_VARIABLE]).read_text())


class Port:
    """A port of the unit under test, written only when its value changes."""

    __slots__ = ("_handle", "_written")

    def __init__(self, handle: Any):
        self._handle = handle
        self._written: int | None = None

    @property
    def value(self) -> Any:
        """What cocotb reads from the port."""
        return self._handle.value

    @value.setter
    def value(self, value: int) -> None:
        if value != self._written:
            self._handle.value = self._written = value

    def __len__(self) -> int:
        """Its bits."""
        return len(self._handle)


class Ports:
    """The ports of the unit under test by name: `ports.data.value` as with cocotb's `dut`.

    Finding a port and writing it take most of the time of a bench that does so every cycle. Here a
    port is looked up once. A port that is written through this must be through this alone.
    """

    def __init__(self, dut: Any):
        self._dut = dut
        # A clock is waited for, not read.
        self.clk = dut.clk

    def __getattr__(self, name: str) -> Any:
        port = Port(getattr(self._dut, name))
        setattr(self, name, port)
        return port


def pack(values: ArrayLike, width: int) -> int:
    """A flat port's value: each of `values` in `width` bits, two's complement, first one lowest."""
    if width == WORD_BITS:
        return int.from_bytes(np.asarray(values).astype("<u2").tobytes(), "little")
    mask = (1 << width) - 1
    packed = 0
    for value in reversed(np.asarray(values).reshape(-1).tolist()):
        packed = packed << width | int(value) & mask
    return packed


def unpack(packed: Any, width: int, count: int, *, signed: bool = True) -> NDArray[np.int64]:
    """The `count` words of `width` bits in a flat port's value, lowest first."""
    value, mask = int(packed), (1 << width) - 1
    if width == WORD_BITS:
        kind = "<i2" if signed else "<u2"
        value &= (1 << count * width) - 1
        return np.frombuffer(value.to_bytes(2 * count, "little"), kind).astype(np.int64)
    words = np.array([value >> i * width & mask for i in range(count)], dtype=np.int64)
    return words - ((words >> (width - 1)) << width) if signed else words


async def reset(dut: Any, cycles: int = 2) -> None:
    """Hold the reset for `cycles` clock cycles; returns at a falling edge, the reset released."""
    dut.rst.value = 1
    await cycle(dut, cycles)
    dut.rst.value = 0


async def cycle(dut: Any, count: int = 1) -> None:
    """Go to the falling edge `count` clock cycles later, from less than half a cycle behind one."""
    from cocotb.triggers import Timer

    if count > 1:
        # Past the last edge but one in a single step: waking up for each costs more than the cycle.
        await Timer((count - 1) * CLOCK_PERIOD_NS + 1, unit="ns")
    if count > 0:
        await dut.clk.falling_edge


async def start(dut: Any, **inputs: int) -> None:
    """Start the clock, set every named input, reset; returns at a falling edge."""
    from cocotb.clock import Clock

    for name, value in inputs.items():
        getattr(dut, name).value = value
    Clock(dut.clk, CLOCK_PERIOD_NS, unit="ns").start()
    await reset(dut)
