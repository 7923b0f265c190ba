"""Bench of the serial walk: each read, and each tile's place, are those of the loops in Python.

`bench_tile_walk.reads` are the loops. Between `start`, `enter`, `step` and `advance` there are
pauses, in which nothing may move; the instruction is noise when no command is under way.

The port `final` is called `last_tile` here.

Parameters: `config` (fields of a DeviceConfig), `seed`.
"""

from itertools import groupby
from typing import Any

import cocotb
import numpy as np

from hw.config import DeviceConfig
from hw.instruction import used_bits
from hw.isa import ARRAY_OPCODES, Instruction, Opcode
from sim.bench import cycle, pack, parameters, reset, start
from sim.bench.bench_tile_walk import Read, drawn, reads

STROBES = ("start", "advance", "enter", "step")

test = cocotb.test(timeout_time=2, timeout_unit="ms")


class Bench:
    """Takes commands through the walk, and compares in every cycle."""

    def __init__(self, dut: Any):
        given = parameters()
        print(f"seed {given['seed']}")
        self.dut = dut
        self.config = DeviceConfig(**given["config"])
        self.random = np.random.default_rng(given["seed"])
        self.pauses = 0.0
        # A block is of no bits where there is one only.
        self.blocks = self.config.lanes > self.config.batch_lanes

    async def begin(self) -> None:
        await start(self.dut, instruction=0, **dict.fromkeys(STROBES, 0))

    def draw(self, opcode: Opcode | None = None, **values: int) -> Instruction:
        return drawn(self.random, self.config, opcode, deepest=4 * self.config.lanes, **values)

    async def give(self, strobe: str) -> None:
        """A cycle with the strobe."""
        getattr(self.dut, strobe).value = 1
        await cycle(self.dut)
        getattr(self.dut, strobe).value = 0

    async def pause(self) -> None:
        while self.random.random() < self.pauses:
            await cycle(self.dut)

    async def run(self, i: Instruction, *, most: int | None = None) -> None:
        """All reads of the command, or so many; and then a last advance, which means nothing."""
        dut = self.dut
        dut.instruction.value = pack(i.encode(), 16)
        await self.give("start")
        tiles = groupby(reads(i, self.config), key=lambda read: id(read.context))
        count = 0
        for _, tile in tiles:
            if count:
                await self.give("advance")
            await self.pause()
            entered = False
            for read in tile:
                if count == most:
                    return
                count += 1
                await self.give("step" if entered else "enter")
                entered = True
                self.check(read)
                await self.pause()
                self.check(read)
            # The read that follows the last one of a tile is none.
            await self.give("step")
            self.check_place(read)
        await self.give("advance")
        dut.instruction.value = pack(self.draw().encode(), 16)
        await self.pause()

    def check(self, read: Read) -> None:
        seen = {name: int(getattr(self.dut, name).value) for name in ("index", "last")}
        assert seen == {"index": read.index, "last": int(read.last)}
        for name, tile in (("left_tile", read.left), ("right_tile", read.right)):
            port = getattr(self.dut, name)
            assert int(port.value) == tile % (1 << len(port)), name
        self.check_place(read)

    def check_place(self, read: Read) -> None:
        """What is said of a tile while it is worked on."""
        dut, context = self.dut, read.context
        for name in ("dest", "gate"):
            port = getattr(dut, name)
            assert int(port.value) == context[name] % (1 << len(port)), name
        rows = min(int(dut.rows.value), self.config.lanes)
        assert (1 << rows) - 1 == context["mask"]
        assert min(int(dut.columns.value), self.config.batch_lanes) == context["columns"]
        assert int(dut.last_tile.value) == context["final"]
        if self.blocks:
            assert int(dut.block.value) == context["block"]


@test
async def edges(dut: Any) -> None:
    """Lengths at, below and above those of a tile, for each command."""
    bench = Bench(dut)
    await bench.begin()
    lanes, batch_lanes = bench.config.lanes, bench.config.batch_lanes
    for opcode in ARRAY_OPCODES:
        for rows in (1, lanes - 1, lanes, lanes + 1):
            for columns in (1, batch_lanes, lanes, lanes + 1):
                for depth in (1, 2, batch_lanes, lanes + 1):
                    await bench.run(bench.draw(opcode, rows=rows, columns=columns, depth=depth))


@test
async def longest(dut: Any) -> None:
    """Lengths of as many bits as there are."""
    bench = Bench(dut)
    await bench.begin()
    bits = used_bits(bench.config)
    depth = min(bench.config.max_depth, (1 << bits["depth"]) - 1)
    length = (1 << bits["rows"]) - 1
    for opcode in ARRAY_OPCODES:
        await bench.run(bench.draw(opcode, rows=1, columns=1, depth=depth))
        await bench.run(bench.draw(opcode, rows=length, columns=1, depth=1))
        await bench.run(bench.draw(opcode, rows=1, columns=length, depth=1))


@test
async def random_commands(dut: Any) -> None:
    """Any commands, with pauses of any length."""
    bench = Bench(dut)
    await bench.begin()
    for _ in range(60):
        bench.pauses = float(bench.random.choice([0, 0.1, 0.6]))
        await bench.run(bench.draw())


@test
async def a_reset_after_any_read(dut: Any) -> None:
    """The next command is whole."""
    bench = Bench(dut)
    await bench.begin()
    for most in range(40):
        await bench.run(bench.draw(depth=1 + most % 7), most=most)
        await reset(dut, 1)
        await bench.run(bench.draw(rows=bench.config.lanes + 1, columns=1, depth=2))
