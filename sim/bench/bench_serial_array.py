"""Bench of the serial array: commands on memories in Python, which must become those of golden.

    dut --left, right--> images, a cycle later --> dut --write, weight_write--> images == golden

A command is drawn with random tensors that fit the memories. The images are written through
whatever ports the unit drives; after each command they, the LFSRs, the saturations and the cycles
of `busy` must equal those of a GoldenDatapath that began with the same.

Parameters: `config` (fields of a DeviceConfig), `seed`.
"""

from itertools import pairwise
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer

from hw.config import DeviceConfig
from hw.isa import (
    ARRAY_OPCODES,
    MEMORY_REGIONS,
    SATURATION_COUNTERS,
    WEIGHT_STATISTICS,
    Activation,
    Destination,
    Instruction,
    Opcode,
    Region,
    Register,
    Source,
)
from hw.layout import TensorLayout, tiles
from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN
from hw.statistics import Statistics
from sim.bench import Ports, cycle, pack, parameters, reset, start, unpack
from sim.golden.datapath import GoldenDatapath, Image

RATES = ("rate", "rate_shift", "decay", "decay_shift")
ACTIVATIONS = (Activation.LINEAR, Activation.RELU, Activation.LEAKY_RELU)
COMMAND_CYCLES = 100_000

test = cocotb.test(timeout_time=20, timeout_unit="ms")


class Bench:
    """Drives the unit, plays its memories, and lets golden do the same."""

    def __init__(self, dut: Any):
        given = parameters()
        print(f"seed {given['seed']}")
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.lanes, self.batch_lanes = self.config.lanes, self.config.batch_lanes
        self.random = np.random.default_rng(given["seed"])
        self.golden = GoldenDatapath(self.config)
        self.images: dict[Region, Image] = {}
        self.places: dict[tuple[int, int], Any] = {}
        self.refused = 0.0
        self.answers = (0, 0)
        self.busy = 0
        self.reported: dict[int, tuple[int, int]] = {}
        """Counter and amount of each report of the command, by cycle."""

    async def begin(self) -> None:
        names = ["instruction", "start", "left_words", "right_words", "write_ready", *RATES]
        names += ["lfsr_address", "lfsr_write", "lfsr_write_data"]
        await start(self.dut, **dict.fromkeys(names, 0))

    # Stimulus

    def fill(self, amplitude: int) -> None:
        """Random words everywhere."""
        for region in MEMORY_REGIONS:
            image = self.golden.images[region]
            image[:] = self.random.integers(-amplitude, amplitude, image.shape)
        self.images = {region: image.copy() for region, image in self.golden.images.items()}

    def set_rates(self) -> None:
        values = {
            "rate": int(self.random.integers(256)) << 8,
            "rate_shift": int(self.random.integers(16)),
            "decay": int(self.random.choice([0, int(self.random.integers(256))])) << 8,
            "decay_shift": int(self.random.integers(16)),
        }
        for name, value in values.items():
            getattr(self.dut, name).value = value
            self.golden.registers[Register[name.upper()]] = value

    def draw(self, opcode: Opcode, **values: int) -> Instruction:
        """A command on tensors of a few tiles, which begin anywhere and may have wide strides."""
        random = self.random
        size = {
            name: int(random.integers(1, 3 * self.lanes)) for name in ("rows", "columns", "depth")
        }
        size |= {name: value for name, value in values.items() if name in size}
        rows, columns, depth = size["rows"], size["columns"], size["depth"]
        source, destination = Source(int(random.integers(2))), Destination(int(random.integers(2)))
        right = Region.INPUT if source == Source.INPUT else Region.ACTIVATION
        fields: dict[str, int] = {"source": source, "destination": destination}
        if opcode == Opcode.FORWARD:
            fields |= self.weights("left_base", "left_inner", "left_depth", rows, depth)
            fields |= self.samples(
                right, "right_base", "right_outer", "right_depth", columns, depth
            )
            to = Region.OUTPUT if destination == Destination.OUTPUT else Region.ACTIVATION
            fields |= self.samples(to, "dest_base", "dest_outer", "dest_inner", columns, rows)
            if to == right:
                # The upper half of the memory, of which no operand is.
                fields["dest_base"] += self.config.activation_tiles // 2
        elif opcode == Opcode.BACKWARD:
            fields |= self.weights("left_base", "left_depth", "left_inner", depth, rows)
            names = ("right_base", "right_outer", "right_depth")
            fields |= self.samples(Region.DELTA, *names, columns, depth)
            fields |= self.samples(
                Region.DELTA, "dest_base", "dest_outer", "dest_inner", columns, rows
            )
            fields["gate"] = fields["dest_base"]
            fields["dest_base"] += self.config.delta_tiles // 2
        else:
            fields |= self.samples(
                Region.DELTA, "left_base", "left_depth", "left_inner", depth, rows
            )
            fields |= self.samples(
                right, "right_base", "right_depth", "right_outer", depth, columns
            )
            fields |= self.weights("dest_base", "dest_inner", "dest_outer", rows, columns)
        settings = {
            "activation": ACTIVATIONS[random.integers(len(ACTIVATIONS))],
            "shift": int(random.choice([0, 8, 12, 15, 20, int(random.integers(64))])),
            "leak_shift": int(random.integers(16)),
            "fraction": int(random.integers(8, 15)),
            "statistic": int(random.integers(64)),
        }
        return Instruction(opcode=opcode, **{**size, **fields, **settings, **values})

    def weights(self, base: str, outer: str, inner: str, rows: int, columns: int) -> dict[str, int]:
        """Where a matrix of weights lies: its tiles of one row follow each other."""
        across, down = tiles(columns, self.lanes), tiles(rows, self.lanes)
        return self.place(self.config.weight_tiles, base, outer, inner, across, down)

    def samples(
        self, region: Region, base: str, outer: str, inner: str, rows: int, columns: int
    ) -> dict[str, int]:
        """Where a tensor of samples lies: in the lower half of a memory that may hold two."""
        room = {
            Region.INPUT: self.config.input_tiles,
            Region.OUTPUT: self.config.output_tiles,
            Region.ACTIVATION: self.config.activation_tiles // 2,
            Region.DELTA: self.config.delta_tiles // 2,
        }[region]
        across, down = tiles(columns, self.lanes), tiles(rows, self.batch_lanes)
        return self.place(room, base, outer, inner, across, down)

    def place(
        self, room: int, base: str, outer: str, inner: str, across: int, down: int
    ) -> dict[str, int]:
        stride = int(self.random.integers(across, max(across, room // down) + 1))
        first = int(self.random.integers(room - (down - 1) * stride - across + 1))
        return {base: first, outer: stride, inner: 1}

    # Memories

    def addresses(self, region: Region, tile: int) -> Any:
        """Those of the words of a tile, by row and column; computed once."""
        rows = self.lanes if region == Region.WEIGHT else self.batch_lanes
        if (rows, tile) not in self.places:
            self.places[rows, tile] = TensorLayout(
                base=tile, rows=rows, columns=self.lanes, tile_rows=rows, lanes=self.lanes, stride=1
            ).addresses()
        return self.places[rows, tile]

    def answer(self, region: Region, port: str, count: int) -> int:
        """The words that are asked for, noise where there are none, packed."""
        tile, index, column, offset = (
            int(getattr(self.dut, f"{port}__{name}").value)
            for name in ("tile", "index", "column", "offset")
        )
        words = self.random.integers(WORD_MIN, WORD_MAX + 1, self.lanes)
        image = self.images[region].reshape(-1)
        places = self.addresses(region, tile % (len(image) // self.addresses(region, 0).size))
        if column:
            assert offset == 0
            found = image[places[:, index]]
        else:
            # A row beyond a tile of samples is nobody's.
            row = image[places[index % len(places)]]
            found = np.concatenate((row[offset:], row[:offset]))
        words[: len(found)] = found
        return pack(words[:count], WORD_BITS)

    def read(self, i: Instruction) -> None:
        """Answer what was asked for in the cycle before; remember what is asked now."""
        dut, busy = self.dut, int(self.dut.busy.value)
        dut.left_words.value, dut.right_words.value = self.answers
        gradient = i.opcode == Opcode.GRADIENT
        left = Region.DELTA if gradient and busy else Region.WEIGHT
        right = Region.ACTIVATION if i.source == Source.ACTIVATION else Region.INPUT
        if i.opcode == Opcode.BACKWARD:
            right = Region.DELTA if busy else Region.ACTIVATION
        self.answers = (
            self.answer(left, "left", self.lanes),
            self.answer(right, "right", self.batch_lanes),
        )

    def store(self, i: Instruction) -> None:
        """What the unit writes in this cycle, if it is taken."""
        region = Region.DELTA
        if i.opcode == Opcode.FORWARD:
            region = Region.OUTPUT if i.destination == Destination.OUTPUT else Region.ACTIVATION
        taken = int(self.dut.write_ready.value)
        for port, to, wanted in (("write", region, taken), ("weight_write", Region.WEIGHT, 1)):
            if not (int(getattr(self.dut, f"{port}__enable").value) and wanted):
                continue
            assert (to == Region.WEIGHT) == (i.opcode == Opcode.GRADIENT)
            tile, row, column, data = (
                int(getattr(self.dut, f"{port}__{name}").value)
                for name in ("tile", "row", "column", "data")
            )
            if to == Region.WEIGHT:
                # A memory of one port is written where it would be read.
                asked = [
                    int(getattr(self.dut, f"left__{name}").value)
                    for name in ("tile", "index", "column", "offset")
                ]
                assert asked == [tile, row, 0, column]
            place = self.addresses(to, tile)[row, column]
            self.images[to].reshape(-1)[place] = unpack(data, WORD_BITS, 1)[0]

    # Checks

    async def run(self, i: Instruction, *, cycles: int = COMMAND_CYCLES) -> bool:
        """Start a command; whether it has ended within so many cycles."""
        dut = self.dut
        assert int(dut.ready.value)
        dut.instruction.value = pack(i.encode(), 16)
        dut.start.value = 1
        self.busy, self.reported = 0, {}
        for now in range(cycles):
            dut.write_ready.value = int(self.random.random() >= self.refused)
            self.read(i)
            await Timer(1, unit="ns")
            self.store(i)
            self.busy += int(dut.busy.value)
            if int(dut.report__valid.value):
                report = (int(dut.report__statistic.value), int(dut.report__amount.value))
                self.reported[now] = report
            await cycle(dut)
            dut.start.value = 0
            if int(dut.ready.value):
                return True
        return False

    async def check(self, i: Instruction) -> None:
        """Carry the command out, and golden's, and compare."""
        assert await self.run(i), "the command must end"
        self.golden.clear_counters()
        self.golden.command(i)
        for region, image in self.images.items():
            np.testing.assert_array_equal(image, self.golden.images[region], f"{region.name}: {i}")
        reports = len(WEIGHT_STATISTICS) if i.opcode == Opcode.GRADIENT else 1
        counters = [(i.statistic + k) % SATURATION_COUNTERS for k in range(reports)]
        counted = [(counter, int(self.golden.saturations[counter])) for counter in counters]
        assert list(self.reported.values()) == counted, i
        for before, after in pairwise(self.reported):
            assert after - before >= Statistics.REPORT_GAP
        assert self.busy == self.golden.totals["busy"]
        await self.check_lfsr()

    async def check_lfsr(self) -> None:
        state = self.golden.lfsr.copy().view("<u2").tolist()
        for address, half in enumerate(state):
            self.dut.lfsr_address.value = address
            await cycle(self.dut)
            assert int(self.dut.lfsr_read_data.value) == half, f"LFSR word {address}"

    async def write_lfsr(self) -> None:
        """Make the LFSRs, which a reset leaves alone, golden's."""
        for address, half in enumerate(self.golden.lfsr.copy().view("<u2").tolist()):
            self.dut.lfsr_address.value, self.dut.lfsr_write_data.value = address, half
            self.dut.lfsr_write.value = 1
            await cycle(self.dut)
        self.dut.lfsr_write.value = 0


@test
async def edges(dut: Any) -> None:
    """Lengths at, below and above those of a tile."""
    bench = Bench(dut)
    await bench.begin()
    lanes, batch_lanes = bench.lanes, bench.batch_lanes
    bench.fill(1000)
    bench.set_rates()
    for opcode in ARRAY_OPCODES:
        for rows, columns, depth in (
            (1, 1, 1),
            (lanes, batch_lanes, lanes),
            (lanes + 1, batch_lanes + 1, lanes + 1),
            (lanes - 1, lanes + 1, 2 * lanes),
        ):
            await bench.check(bench.draw(opcode, rows=rows, columns=columns, depth=depth))


@test
async def random_commands(dut: Any) -> None:
    """Any commands, words of all sizes, and writes that must wait."""
    bench = Bench(dut)
    await bench.begin()
    await bench.write_lfsr()
    for amplitude in (1 << 5, 1 << 11, 1 << 15):
        for refused in (0.0, 0.7):
            bench.refused = refused
            for _ in range(2):
                bench.fill(amplitude)
                bench.set_rates()
                for opcode in bench.random.permutation(ARRAY_OPCODES):
                    await bench.check(bench.draw(Opcode(opcode)))


@test
async def reset_in_mid_command(dut: Any) -> None:
    """The next commands are whole, and report only their own saturations."""
    bench = Bench(dut)
    await bench.begin()
    for cycles in range(1, 120, 11):
        bench.fill(1 << 15)
        opcode = ARRAY_OPCODES[cycles % len(ARRAY_OPCODES)]
        assert not await bench.run(bench.draw(opcode, rows=9, columns=9, depth=9), cycles=cycles)
        await reset(bench.dut, 1)
        await bench.write_lfsr()
        bench.fill(1 << 15)
        bench.set_rates()
        for then in ARRAY_OPCODES:
            await bench.check(bench.draw(then, rows=3, columns=2, depth=5))
