"""Bench of the gradient clip: products with a factor, and the sum of squares, against golden.

Parameters: `config` (fields of a DeviceConfig), `latency`, `squares_latency`, `seed`.
"""

from typing import Any

import cocotb
import numpy as np

from hw.config import DeviceConfig
from hw.numbers import CLIP_FRACTION_BITS, GRADIENT_BITS, NORM_BITS
from sim.bench import Ports, cycle, pack, parameters, reset, start, unpack
from sim.golden import units

ONE = 1 << CLIP_FRACTION_BITS
TOP = 1 << (GRADIENT_BITS - 1)
CORNERS = np.array([-TOP, 1 - TOP, -129, -128, -127, -1, 0, 1, 63, 64, 127, 128, TOP - 1])
FACTORS = (0, 1, ONE // 2 - 1, ONE // 2, ONE // 2 + 1, ONE - 1, ONE)


class Bench:
    """Sends vectors and keeps the results and the sum of squares that they must give."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.latency: int = given["latency"]
        self.squares_latency: int = given["squares_latency"]
        self.random = np.random.default_rng(given["seed"])
        self.lanes = self.config.lanes
        self.expected: list[units.Integers | None] = []
        self.squares = 0
        cocotb.log.info("seed %d", given["seed"])

    async def start(self) -> None:
        names = ("valid", "square", "mask", "gradients", "factor", "clear")
        await start(self.dut, **dict.fromkeys(names, 0))

    def vector(self, *, corners: bool = False) -> units.Integers:
        """Gradients of all sizes, or at the edges."""
        if corners:
            return self.random.choice(CORNERS, self.lanes)
        size = 1 << int(self.random.integers(1, GRADIENT_BITS))
        return self.random.integers(-size, size, self.lanes)

    async def send(
        self,
        gradient: units.Integers,
        *,
        valid: bool = True,
        square: bool = False,
        factor: int = ONE,
    ) -> None:
        """A cycle with a vector, or with none at all."""
        dut = self.dut
        mask = self.random.random(self.lanes) < self.random.choice([0.0, 0.5, 1.0])
        dut.gradients.value = pack(gradient, GRADIENT_BITS)
        dut.mask.value = pack(mask, 1)
        dut.valid.value, dut.square.value, dut.factor.value = int(valid), int(square), factor
        if valid and square:
            self.squares = units.add_squares(self.squares, gradient * mask)
        self.expected.append(units.clip(gradient, factor) if valid and not square else None)
        await cycle(dut)
        number = len(self.expected) - self.latency
        expected = self.expected[number] if number >= 0 else None
        if expected is not None:
            found = unpack(dut.results.value, GRADIENT_BITS, self.lanes)
            assert np.array_equal(found, expected), (factor, gradient, found)

    async def settle(self) -> None:
        """Wait for the sum, and compare it."""
        for _ in range(self.squares_latency):
            await self.send(self.vector(), valid=False, square=True)
        assert int(self.dut.squares.value) == self.squares


@cocotb.test()
async def equals_golden(dut: Any) -> None:
    """Every factor at an edge and random ones, with vectors to square between the others."""
    bench = Bench(dut)
    await bench.start()
    for corners in (True, False):
        for factor in (*FACTORS, *bench.random.integers(0, ONE, 8).tolist()):
            for _ in range(40):
                await bench.send(
                    bench.vector(corners=corners),
                    valid=bench.random.random() < 0.8,
                    square=bench.random.random() < 0.3,
                    factor=factor,
                )
            # The factor holds still while vectors are under way.
            await bench.settle()
    assert bench.squares > 0


@cocotb.test()
async def clear_and_saturation(dut: Any) -> None:
    """The sum starts from 0 again, and stays at its end once it is there."""
    bench = Bench(dut)
    await bench.start()
    most = np.full(bench.lanes, -TOP)
    await bench.send(most, square=True)
    await bench.settle()
    bench.dut.clear.value = 1
    await bench.send(most, valid=False)
    bench.dut.clear.value = bench.squares = 0
    await bench.settle()
    bench.dut.mask.value = (1 << bench.lanes) - 1
    bench.dut.gradients.value = pack(most, GRADIENT_BITS)
    bench.dut.valid.value = bench.dut.square.value = 1
    vectors = (1 << NORM_BITS) // (bench.lanes << 2 * (GRADIENT_BITS - 1))
    await cycle(bench.dut, vectors + 10)
    bench.dut.valid.value = 0
    await cycle(bench.dut, bench.squares_latency)
    assert int(bench.dut.squares.value) == (1 << NORM_BITS) - 1
    await reset(bench.dut)
    assert int(bench.dut.squares.value) == 0
