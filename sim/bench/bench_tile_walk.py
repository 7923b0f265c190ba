"""Bench of the tile walk: each read, the context of each tile, and in which cycle they come.

`reads` are the loops of a command in plain Python. The bench starts commands one after the other
and compares what the walk says in every cycle in which it reads.

Parameters: `config` (fields of a DeviceConfig), `spacings` (of FORWARD and GRADIENT), `intervals`,
`seed`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer

from hw.config import DeviceConfig
from hw.instruction import used_bits
from hw.isa import ARRAY_OPCODES, FIELDS, DropoutFlag, Instruction, Opcode
from hw.layout import tiles
from hw.tile_walk import tile_context
from sim.bench import Ports, cycle, pack, parameters, reset, start

START_CYCLES = 2
"""What a walk takes beside its tiles."""

COPIED = (
    *("opcode", "activation", "destination", "use_momentum"),
    *("shift", "leak_shift", "fraction", "statistic", "flags"),
)
"""Fields of the instruction that the context hands on."""


@dataclass(frozen=True)
class Read:
    """A pair of operands, and of the last pair of a tile the context."""

    left: int
    right: int
    index: int
    block: int
    first: bool
    last: bool
    context: dict[str, int]


def reads(i: Instruction, config: DeviceConfig) -> Iterator[Read]:
    """The loops: B-axis tiles, L-axis tiles, depth."""
    lanes, batch_lanes = config.lanes, config.batch_lanes
    gradient = i.opcode == Opcode.GRADIENT
    # GRADIENT walks features B at a time, in memories whose tiles are L features wide.
    blocks = lanes // batch_lanes if gradient else 1
    depth_tile = batch_lanes if gradient else lanes
    # With dropout, the gate is a rate unless it is a tile's.
    moves = i.opcode == Opcode.BACKWARD or not config.dropout
    outer_tiles, inner_tiles = tiles(i.columns, batch_lanes), tiles(i.rows, lanes)
    for outer in range(outer_tiles):
        for inner in range(inner_tiles):
            rows = min(lanes, i.rows - inner * lanes)
            offset = outer // blocks * i.dest_outer + inner * i.dest_inner
            context = {
                **{name: getattr(i, name) for name in COPIED},
                "mask": (1 << rows) - 1,
                "columns": min(batch_lanes, i.columns - outer * batch_lanes),
                "block": outer % blocks,
                "dest": i.dest_base + offset,
                "gate": i.gate + (offset if moves else 0),
                "drop": i.flags >> DropoutFlag.DROP & 1,
                "scale": i.flags >> DropoutFlag.SCALE & 1,
                "final": (outer, inner) == (outer_tiles - 1, inner_tiles - 1),
            }
            for k in range(i.depth):
                yield Read(
                    left=i.left_base + inner * i.left_inner + k // depth_tile * i.left_depth,
                    right=i.right_base
                    + outer // blocks * i.right_outer
                    + k // depth_tile * i.right_depth,
                    index=k % depth_tile,
                    block=outer % blocks,
                    first=k == 0,
                    last=k == i.depth - 1,
                    context=context,
                )


def drawn(
    random: np.random.Generator,
    config: DeviceConfig,
    opcode: Opcode | None = None,
    *,
    deepest: int,
    **values: int,
) -> Instruction:
    """A command with random fields, of a few tiles, depth below `deepest`; but for `values`."""
    fields = {f.name: int(random.integers(1 << used_bits(config)[f.name])) for f in FIELDS[1:]}
    fields["rows"] = int(random.integers(1, 3 * config.lanes + 2))
    fields["columns"] = int(random.integers(1, 5 * config.batch_lanes + 2))
    fields["depth"] = int(random.integers(1, deepest))
    kind = opcode or Opcode(random.choice(ARRAY_OPCODES))
    return Instruction(opcode=kind, **{**fields, **values})


class Bench:
    """Starts commands and compares every cycle."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.bits = used_bits(self.config)
        self.spacings: list[int] = given["spacings"]
        self.intervals: list[int] = given["intervals"]
        self.gaps: list[int] = given["gaps"]
        self.random = np.random.default_rng(given["seed"])
        self.layout = tile_context(self.config)
        self.widths = {name: len(getattr(dut, name)) for name in ("left_tile", "right_tile")}
        self.now = 0
        # The last read of the tile before, and how far from it the next one must be.
        self.last_at, self.apart = -1000, 0
        cocotb.log.info("seed %d", given["seed"])

    async def start(self) -> None:
        await start(self.dut, instruction=0, start=0)

    def draw(self, opcode: Opcode | None = None, **values: int) -> Instruction:
        """A command with random fields, small, but for `values`."""
        deepest = 2 * max(self.spacings) + 2 * self.config.lanes
        return drawn(self.random, self.config, opcode, deepest=deepest, **values)

    async def run(self, i: Instruction, *, cycles: int | None = None) -> None:
        """Start the command, go through it, or `cycles` of it; junk is on the port meanwhile."""
        dut = self.dut
        assert int(dut.ready.value)
        begun = self.now
        dut.instruction.value = pack(i.encode(), 16)
        dut.start.value = 1
        await Timer(1, unit="ns")
        assert not int(dut.read.value)
        await self.next()
        dut.instruction.value = pack(self.draw().encode(), 16)
        # A start while it walks is none.
        dut.start.value = int(self.random.integers(2))
        apart = self.spacings[i.opcode == Opcode.GRADIENT]
        for expected in reads(i, self.config):
            while not int(dut.read.value):
                assert expected.last, "a read that need not wait"
                assert self.now - self.last_at < self.apart or self.now - begun <= START_CYCLES
                await self.next()
                if cycles is not None and self.now - begun >= cycles:
                    return
            self.check(i, expected)
            if expected.last:
                assert self.now - self.last_at >= self.apart, "the drain is still busy"
                self.last_at, self.apart = self.now, apart
                if expected.context["final"]:
                    self.apart = self.gaps[i.opcode == Opcode.GRADIENT]
                    dut.start.value = 0
            assert not int(dut.ready.value)
            await self.next()
            if cycles is not None and self.now - begun >= cycles:
                return
        assert int(dut.ready.value) and not int(dut.read.value)

    async def next(self) -> None:
        await cycle(self.dut)
        self.now += 1

    def check(self, i: Instruction, expected: Read) -> None:
        dut = self.dut
        seen = {name: int(getattr(dut, name).value) for name in ("index", "block", "first", "last")}
        assert seen == {name: int(getattr(expected, name)) for name in seen}
        for name, tile in (("left_tile", expected.left), ("right_tile", expected.right)):
            assert int(getattr(dut, name).value) == tile % (1 << self.widths[name]), name
        gradient = i.opcode == Opcode.GRADIENT
        assert int(dut.gradient.value) == gradient
        assert int(dut.backward.value) == (i.opcode == Opcode.BACKWARD)
        assert int(dut.source.value) == i.source
        assert int(dut.interval.value) == self.intervals[gradient]
        if expected.last:
            word = int(dut.context.value)
            for name, place in self.layout:
                mask = (1 << place.width) - 1
                assert word >> place.offset & mask == expected.context[name] & mask, name

    async def check_time(self, i: Instruction) -> None:
        """From rest, the cycles of the formula."""
        await self.pause(max(self.gaps))
        begun = self.now
        await self.run(i)
        count = tiles(i.rows, self.config.lanes) * tiles(i.columns, self.config.batch_lanes)
        spacing = self.spacings[i.opcode == Opcode.GRADIENT]
        most = count * max(i.depth, spacing) + START_CYCLES
        # The first tile need not wait for one before.
        least = (count - 1) * max(i.depth, spacing) + max(i.depth, START_CYCLES)
        assert least <= self.now - begun <= most, (i, self.now - begun)

    async def pause(self, cycles: int) -> None:
        self.dut.start.value = 0
        for _ in range(cycles):
            assert int(self.dut.ready.value) and not int(self.dut.read.value)
            await self.next()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def edges(dut: Any) -> None:
    """Lengths at, below and above those of a tile, for each command."""
    bench = Bench(dut)
    await bench.start()
    lanes, batch_lanes = bench.config.lanes, bench.config.batch_lanes
    for opcode in ARRAY_OPCODES:
        for rows in (1, lanes - 1, lanes, lanes + 1):
            for columns in (1, batch_lanes, lanes, lanes + 1):
                for depth in (1, 2, batch_lanes, lanes + 1):
                    await bench.run(bench.draw(opcode, rows=rows, columns=columns, depth=depth))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def cycles_of_a_walk(dut: Any) -> None:
    """Depths shorter and longer than the spacing take the promised time."""
    bench = Bench(dut)
    await bench.start()
    for opcode in ARRAY_OPCODES:
        spacing = bench.spacings[opcode == Opcode.GRADIENT]
        for depth in (1, 2, 3, spacing - 1, spacing, spacing + 1, 3 * spacing):
            for _ in range(2):
                await bench.check_time(bench.draw(opcode, depth=depth))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def longest(dut: Any) -> None:
    """A depth of as many bits as there are."""
    bench = Bench(dut)
    await bench.start()
    depth = min(bench.config.max_depth, (1 << bench.bits["depth"]) - 1)
    for opcode in ARRAY_OPCODES:
        await bench.run(bench.draw(opcode, rows=1, columns=1, depth=depth))
    # Every row or column that a device can number.
    length = min((1 << bench.bits["rows"]) - 1, 40 * bench.config.lanes)
    await bench.run(bench.draw(Opcode.FORWARD, rows=length, columns=1, depth=1))
    await bench.run(bench.draw(Opcode.GRADIENT, rows=1, columns=length, depth=1))


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def random_commands(dut: Any) -> None:
    """Any commands, at once after each other or with a pause."""
    bench = Bench(dut)
    await bench.start()
    for _ in range(25):
        await bench.run(bench.draw())
        if bench.random.random() < 0.3:
            await bench.pause(int(bench.random.integers(1, 2 * max(bench.gaps))))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_reset_in_any_cycle(dut: Any) -> None:
    """After it the walk is ready, and the next command is whole."""
    bench = Bench(dut)
    await bench.start()
    for cycles in range(1, 60):
        await bench.run(bench.draw(depth=1 + cycles % 7), cycles=cycles)
        bench.dut.start.value = 0
        await reset(bench.dut, 1)
        bench.last_at = -1000
        assert int(bench.dut.ready.value) and not int(bench.dut.read.value)
        await bench.run(bench.draw(rows=bench.config.lanes + 1, columns=1, depth=2))
