"""Bench of the gradient sums: totals, what is read of GRADIENT and what is written, against golden.

The bench is the memory: a column comes `read_latency` cycles after its read, in one cycle only.

Parameters: `config` (fields of a DeviceConfig), `latency`, `read_latency`, `seed`.
"""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer

from hw.config import DeviceConfig
from hw.numbers import SUM_BITS
from sim.bench import Ports, cycle, pack, parameters, reset, start, unpack
from sim.golden import units

SUM_MAX = (1 << (SUM_BITS - 1)) - 1
STORED_CORNERS = np.array([-SUM_MAX - 1, -SUM_MAX, -1, 0, 1, SUM_MAX - 1, SUM_MAX])


@dataclass
class Column:
    """What comes in, and what GRADIENT has there."""

    sums: units.Integers
    memory: units.Integers
    product: bool
    stored: bool
    hold: bool
    mask: units.Mask
    tile: int
    index: int

    def totals(self) -> tuple[units.Integers, units.Mask]:
        """As the golden datapath has them."""
        total = self.sums * self.product + self.memory * self.stored
        if self.stored or self.hold:
            return units.saturate(total, SUM_BITS)
        return total, np.zeros_like(self.mask)


class Bench:
    """Sends columns, plays the memory, and looks at what comes out a fixed time later."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.latency: int = given["latency"]
        self.read_latency: int = given["read_latency"]
        self.random = np.random.default_rng(given["seed"])
        self.lanes, self.width = self.config.lanes, self.config.accumulator_width
        self.sent: list[Column | None] = []
        self.seen = 0
        cocotb.log.info("seed %d", given["seed"])

    async def start(self) -> None:
        names = ["valid", "product", "stored", "hold", "mask", "tile", "index", "column"]
        await start(self.dut, **dict.fromkeys([*names, "read__sums"], 0))

    def column(self, *, corners: bool = False, **given: Any) -> Column:
        """A random column, of sums of all sizes, or at the edges of what fits."""
        random, lanes = self.random, self.lanes
        top = 1 << int(random.integers(1, self.width))
        sums = random.integers(-top, top, lanes)
        bits = 1 << int(random.integers(1, SUM_BITS))
        memory = random.integers(-bits, bits, lanes)
        if corners:
            memory = random.choice(STORED_CORNERS, lanes)
            # Totals on both sides of both ends.
            ends = random.choice([-SUM_MAX - 1, SUM_MAX], lanes)
            sums = ends - memory + random.integers(-2, 3, lanes)
        flags = dict(zip(("product", "stored", "hold"), random.random(3) < 0.6, strict=True))
        mask = random.random(lanes) < random.choice([0.0, 0.5, 1.0])
        return Column(
            sums=sums,
            memory=memory,
            tile=int(random.integers(self.config.weight_tiles)),
            index=int(random.integers(lanes)),
            **{"mask": mask, **flags, **given},
        )

    async def send(self, column: Column | None) -> None:
        """A cycle with a column, or with none and noise at the inputs."""
        dut, shown = self.dut, column or self.column()
        for name in ("product", "stored", "hold", "tile", "index"):
            getattr(dut, name).value = int(getattr(shown, name))
        dut.valid.value = int(column is not None)
        dut.mask.value = pack(shown.mask, 1)
        dut.column.value = pack(shown.sums, self.width)
        self.sent.append(column)
        await self._tick()

    async def drain(self) -> None:
        """Cycles without columns until nothing is under way."""
        for _ in range(self.latency + 1):
            await self.send(None)

    async def _tick(self) -> None:
        dut, now = self.dut, len(self.sent) - 1
        asked = now - self.read_latency
        read = self.sent[asked] if asked >= 0 else None
        memory = self.column().memory if read is None else read.memory
        dut.read__sums.value = pack(memory, SUM_BITS)
        await Timer(1, unit="ns")
        self._check_read(self.sent[now])
        await cycle(dut)
        self._check_result(now + 1 - self.latency)

    def _check_read(self, column: Column | None) -> None:
        dut = self.dut
        reads = column is not None and column.stored
        assert int(dut.read__enable.value) == reads
        if reads:
            assert column is not None
            place = int(dut.read__tile.value), int(dut.read__index.value)
            assert place == (column.tile, column.index)

    def _check_result(self, number: int) -> None:
        dut = self.dut
        column = self.sent[number] if number >= 0 else None
        written = int(dut.write__mask.value)
        if column is None:
            assert written == 0
            return
        totals, over = column.totals()
        found = unpack(dut.totals.value, self.width, self.lanes)
        assert np.array_equal(found, totals), (column, found)
        assert int(dut.saturations.value) == np.count_nonzero(over & column.mask)
        assert written == (pack(column.mask, 1) if column.hold else 0)
        if written:
            place = int(dut.write__tile.value), int(dut.write__index.value)
            assert place == (column.tile, column.index)
            sums = unpack(dut.write__sums.value, SUM_BITS, self.lanes)
            assert np.array_equal(sums, totals)
        self.seen += 1


@cocotb.test()
async def equals_golden(dut: Any) -> None:
    """Columns one after the other and with gaps, at random and at the ends of what fits."""
    bench = Bench(dut)
    await bench.start()
    for corners in (False, True):
        for gap in (0.0, 0.5):
            for _ in range(300):
                there = bench.random.random() >= gap
                await bench.send(bench.column(corners=corners) if there else None)
    await bench.drain()
    assert bench.seen > 800


@cocotb.test()
async def alone_nothing_is_changed(dut: Any) -> None:
    """A product that is neither held nor added keeps all bits of the accumulator."""
    bench = Bench(dut)
    await bench.start()
    top = (1 << (bench.width - 1)) - 1
    for value in (top, -top - 1, SUM_MAX + 1, 0):
        column = bench.column(product=True, stored=False, hold=False)
        column.sums[:] = value
        await bench.send(column)
    await bench.drain()
    assert bench.seen == 4


@cocotb.test()
async def reset_in_mid_stream_writes_nothing(dut: Any) -> None:
    """What was under way is lost; what comes afterwards is not."""
    bench = Bench(dut)
    await bench.start()
    for _ in range(3):
        await bench.send(bench.column(hold=True, mask=np.ones(bench.lanes, bool)))
    bench.dut.valid.value = 0
    await reset(bench.dut)
    bench.sent.clear()
    for _ in range(bench.latency + 2):
        await bench.send(None)
        assert int(bench.dut.write__mask.value) == 0
    await bench.send(bench.column(hold=True))
    await bench.drain()
    assert bench.seen >= 1
