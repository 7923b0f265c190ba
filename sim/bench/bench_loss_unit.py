"""LossUnit: loss, answers, saturations, cycles and every word of DELTA, as the golden units say."""

import random
from collections import deque
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from hw.config import DeviceConfig, region_tiles
from hw.isa import INSTRUCTION_WORDS, Instruction, Loss, Opcode, Region
from hw.layout import TensorLayout, tiles
from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN
from sim.bench import Ports, cycle, pack, parameters, reset, start, unpack
from sim.golden import units

Image = NDArray[np.int16]
LONGEST = 20_000


@dataclass(frozen=True, kw_only=True)
class Command:
    """A LOSS instruction, the buffer it reads from, and how its logits are drawn."""

    instruction: Instruction
    target_base: int
    spread: int
    misses: bool


class Memories:
    """OUTPUT, TARGET and DELTA: a model of TileMemory that knows columns only."""

    def __init__(self, dut: Any, config: DeviceConfig, read_latency: int, write_latency: int):
        self.dut = dut
        self.config = config
        self.write_latency = write_latency
        self.images: dict[Region, Image] = {
            region: np.random.randint(
                WORD_MIN,
                WORD_MAX + 1,
                (region_tiles(config)[region] * config.batch_lanes, config.lanes),
            ).astype(np.int16)
            for region in (Region.OUTPUT, Region.TARGET, Region.DELTA)
        }
        self.reading: dict[Region, deque[Any]] = {
            region: deque([None] * read_latency) for region in self.images
        }
        self.writing: deque[Any] = deque([None] * write_latency)
        self.writes = 0
        self._columns: dict[tuple[int, int], NDArray[np.int64]] = {}

    def layout(self, base: int, rows: int, columns: int, stride: int) -> TensorLayout:
        return TensorLayout(
            base=base,
            rows=rows,
            columns=columns,
            tile_rows=self.config.batch_lanes,
            lanes=self.config.lanes,
            stride=stride,
        )

    def read(
        self, region: Region, base: int, rows: int, columns: int, stride: int
    ) -> units.Integers:
        """A matrix, read from the image of a memory."""
        layout = self.layout(base, rows, columns, stride)
        return layout.gather(self.images[region]).astype(np.int64)

    def column(self, tile: int, index: int) -> NDArray[np.int64]:
        """Flat addresses of a column of a tile, computed once."""
        if (tile, index) not in self._columns:
            layout = self.layout(tile, self.config.batch_lanes, self.config.lanes, 1)
            self._columns[tile, index] = layout.addresses()[:, index]
        return self._columns[tile, index]

    def step(self) -> None:
        """One cycle, at its falling edge: the port's requests, and the data that are due."""
        written = self.writing.popleft()
        if written is not None:
            lanes, addresses, words = written
            self.images[Region.DELTA].reshape(-1)[addresses[lanes]] = words[lanes]
        port = self.dut
        mask = int(port.write_delta__mask.value)
        self.writing.append(None)
        if mask:
            assert mask < 1 << self.config.batch_lanes and port.write_delta__column.value == 1
            lanes = [k for k in range(self.config.batch_lanes) if mask >> k & 1]
            column = self.column(
                int(port.write_delta__tile.value), int(port.write_delta__index.value)
            )
            words = unpack(port.write_delta__data.value, WORD_BITS, self.config.lanes)
            self.writing[-1] = (lanes, column, words)
            self.writes += 1
        for region, pipe in self.reading.items():
            read = f"read_{region.name.lower()}__"
            pipe.append(None)
            if getattr(port, read + "enable").value == 1:
                assert getattr(port, read + "column").value == 1
                tile = int(getattr(port, read + "tile").value)
                column = self.column(tile, int(getattr(port, read + "index").value))
                pipe[-1] = self.images[region].reshape(-1)[column].copy()
            # What was not asked for is anything at all.
            words = np.random.randint(WORD_MIN, WORD_MAX + 1, self.config.lanes)
            due = pipe.popleft()
            if due is not None:
                words[: self.config.batch_lanes] = due
            getattr(port, read + "data").value = pack(words, WORD_BITS)


class Driver:
    """Starts commands and compares what comes of them."""

    def __init__(self, dut: Any):
        self.dut = Ports(dut)
        p = parameters()
        self.config = DeviceConfig(**p["config"])
        self.costs = {Loss(int(key)): cost for key, cost in p["costs"].items()}
        self.memories = Memories(self.dut, self.config, p["read_latency"], p["write_latency"])

    def losses(self) -> list[Loss]:
        return list(Loss) if self.config.cross_entropy else [Loss.MEAN_SQUARED_ERROR]

    async def begin(self) -> None:
        await start(self.dut, start=0, instruction=0, target_base=0)

    async def tick(self) -> None:
        """To the next falling edge, the memories having seen the cycle before it."""
        self.memories.step()
        await cycle(self.dut)

    def draw(self, command: Command) -> None:
        """Fill OUTPUT and TARGET where the command reads."""
        i, memories = command.instruction, self.memories
        n, classes, spread = i.columns, i.rows, command.spread
        centre = random.randint(WORD_MIN, WORD_MAX)
        logits = np.clip(
            centre + np.random.randint(-spread, spread + 1, (n, classes)), WORD_MIN, WORD_MAX
        )
        layout = memories.layout(i.right_base, n, classes, i.right_outer)
        layout.scatter(memories.images[Region.OUTPUT], logits.astype(np.int16))
        if i.class_target:
            width, target = 1, np.random.randint(0, classes, (n, 1))
            if command.misses:
                low, high = (WORD_MIN, WORD_MAX + 1) if random.random() < 0.5 else (-2, classes + 3)
                target = np.random.randint(low, high, (n, 1))
        else:
            width = classes
            target = np.clip(
                logits + np.random.randint(-spread, spread + 1, logits.shape), WORD_MIN, WORD_MAX
            )
        layout = memories.layout(command.target_base + i.left_base, n, width, i.left_depth)
        layout.scatter(memories.images[Region.TARGET], target.astype(np.int16))

    def golden(self, command: Command) -> units.LossResult:
        """What the command gives, as the golden executor computes it."""
        i = command.instruction
        output = self.memories.read(
            Region.OUTPUT, i.right_base, i.columns, i.rows, i.right_outer
        )
        width = 1 if i.class_target else i.rows
        base = command.target_base + i.left_base
        target = self.memories.read(Region.TARGET, base, i.columns, width, i.left_depth)
        label = target[:, 0] if i.class_target else None
        if i.activation == Loss.CROSS_ENTROPY:
            return units.softmax_cross_entropy(output, target[:, 0], residual=i.gate, shift=i.shift)
        if label is not None:
            target = (np.arange(i.rows)[None, :] == label[:, None]) * np.int64(1 << i.fraction)
        return units.mean_squared_error(output, target, label=label, residual=i.gate, shift=i.shift)

    async def launch(self, command: Command) -> None:
        """Start a command; its instruction is there for one cycle only."""
        self.dut.instruction.value = pack(command.instruction.encode(), WORD_BITS)
        self.dut.target_base.value = command.target_base
        self.dut.start.value = 1
        await self.tick()
        self.dut.start.value = 0
        self.dut.instruction.value = random.getrandbits(INSTRUCTION_WORDS * WORD_BITS)
        self.dut.target_base.value = 0

    async def check(self, command: Command) -> None:
        """Execute a command; returns in the cycle of `done`, when the next one may start."""
        i, memories, dut = command.instruction, self.memories, self.dut
        self.draw(command)
        expected = self.golden(command)
        image = memories.images[Region.DELTA].copy()
        memories.layout(i.dest_base, i.columns, i.rows, i.dest_outer).scatter(
            image, expected.delta.astype(np.int16)
        )
        writes = memories.writes
        await self.launch(command)
        cycles = 1
        while dut.done.value == 0:
            assert dut.busy.value == 1 and cycles < LONGEST, f"{command} hangs"
            await self.tick()
            cycles += 1
        assert dut.busy.value == 0
        # A read in this cycle sees what was written write_latency cycles before.
        due = memories.writing[0]
        if due is not None:
            memories.images[Region.DELTA].reshape(-1)[due[1][due[0]]] = due[2][due[0]]
        late = list(memories.writing)[1:]
        assert not any(late), f"{command} is done before its words can be read"
        found = {
            "loss": int(dut.loss.value),
            "correct": int(dut.correct.value),
            "samples": int(dut.samples.value),
            "saturations": int(dut.report__amount.value),
            "statistic": int(dut.report__statistic.value),
            "cycles": cycles,
            "columns written": memories.writes - writes,
        }
        batch_tiles = tiles(i.columns, self.config.batch_lanes)
        passes = 2 if i.activation == Loss.CROSS_ENTROPY else 1
        assert found == {
            "loss": expected.loss,
            "correct": expected.correct,
            "samples": i.columns,
            "saturations": int(np.count_nonzero(expected.saturated)),
            "statistic": i.statistic,
            "cycles": self.cycles(i),
            "columns written": batch_tiles * i.rows * passes,
        }, command
        assert dut.report__valid.value == 1
        found_image = memories.images[Region.DELTA]
        wrong = [
            (place, found_image[place], image[place])
            for place in zip(*np.nonzero(found_image != image), strict=True)
        ]
        assert not wrong, f"{command}: DELTA at word, bank; found; expected: {wrong[:8]}"

    def cycles(self, i: Instruction) -> int:
        """The formula that LossUnit's docstring promises."""
        cost = self.costs[Loss(i.activation)]
        batch_tiles = tiles(i.columns, self.config.batch_lanes)
        return batch_tiles * (cost["class"] * i.rows + cost["tile"]) + cost["command"]

    def command(
        self,
        *,
        rows: int,
        columns: int,
        loss: Loss,
        class_target: bool,
        shift: int,
        residual: int,
        fraction: int = 8,
        spread: int = 1000,
        misses: bool = False,
    ) -> Command:
        """A command whose tensors lie anywhere in their memories."""
        batch_tiles = tiles(columns, self.config.batch_lanes)
        here = region_tiles(self.config)
        target_width = 1 if class_target else tiles(rows, self.config.lanes)

        def place(count: int, width: int) -> tuple[int, int]:
            stride = random.randint(width, max(width, min(count // batch_tiles, width + 2)))
            return random.randint(0, count - ((batch_tiles - 1) * stride + width)), stride

        width = tiles(rows, self.config.lanes)
        left, left_stride = place(self.config.target_tiles, target_width)
        right, right_stride = place(here[Region.OUTPUT], width)
        dest, dest_stride = place(here[Region.DELTA], width)
        return Command(
            instruction=Instruction(
                opcode=Opcode.LOSS,
                activation=loss,
                class_target=class_target,
                shift=shift,
                fraction=fraction,
                statistic=random.randrange(64),
                rows=rows,
                columns=columns,
                left_base=left,
                left_depth=left_stride,
                right_base=right,
                right_outer=right_stride,
                dest_base=dest,
                dest_outer=dest_stride,
                gate=residual,
            ),
            target_base=random.choice((0, self.config.target_tiles)),
            spread=spread,
            misses=misses,
        )

    def most_samples(self, rows: int, class_target: bool) -> int:
        """As many samples as the memories hold."""
        width = tiles(rows, self.config.lanes)
        target_width = 1 if class_target else width
        here = min(
            self.config.output_tiles // width,
            self.config.delta_tiles // width,
            self.config.target_tiles // target_width,
        )
        return here * self.config.batch_lanes

    def random_command(self) -> Command:
        loss = random.choice(self.losses())
        class_target = loss == Loss.CROSS_ENTROPY or random.random() < 0.5
        most = self.config.max_outputs
        rows = random.choice((random.randint(1, min(most, 12)), random.randint(1, most)))
        widest = min(self.config.output_tiles, self.config.delta_tiles)
        if not class_target:
            widest = min(widest, self.config.target_tiles)
        rows = min(rows, widest * self.config.lanes)
        batch = self.config.batch_lanes
        most_samples = min(self.most_samples(rows, class_target), 1 + 1500 // rows)
        columns = random.randint(1, max(1, min(most_samples, 4 * batch)))
        n = random.randint(1, 1000)
        return self.command(
            rows=rows,
            columns=columns,
            loss=loss,
            class_target=class_target,
            shift=random.randint(16, 31) if loss == Loss.CROSS_ENTROPY else random.randint(0, 30),
            residual=random.choice((round((1 << (15 + n.bit_length() - 1)) / n), 1 << 15)),
            fraction=random.randint(0, 15),
            spread=random.choice((0, 3, 300, 2000, 20000, 65535)),
            misses=random.random() < 0.3,
        )


async def driver(dut: Any) -> Driver:
    np.random.seed(random.getrandbits(32))
    d = Driver(dut)
    await d.begin()
    return d


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def sizes(dut: Any) -> None:
    """One class to as many as there may be; one sample to ragged batch tiles; back to back."""
    d = await driver(dut)
    batch = d.config.batch_lanes
    for loss in d.losses():
        for class_target in (True, False):
            if loss == Loss.CROSS_ENTROPY and not class_target:
                continue
            for rows in (1, 2, 3, d.config.lanes, d.config.lanes + 1, d.config.max_outputs):
                most = d.most_samples(rows, class_target)
                for columns in (1, batch - 1, batch, batch + 1, 3 * batch - 1):
                    if columns <= most:
                        await d.check(
                            d.command(
                                rows=rows,
                                columns=columns,
                                loss=loss,
                                class_target=class_target,
                                shift=18 if loss == Loss.CROSS_ENTROPY else 10,
                                residual=1 << 15,
                            )
                        )


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def extremes(dut: Any) -> None:
    """The widest logits and targets with every shift, the largest and smallest residuals."""
    d = await driver(dut)
    for loss in d.losses():
        shifts = range(16, 32) if loss == Loss.CROSS_ENTROPY else range(31)
        for shift in shifts:
            for residual in (1 << 15, (1 << 14) + 1, (1 << 16) - 1, 0):
                await d.check(
                    d.command(
                        rows=random.randint(1, 5),
                        columns=d.config.batch_lanes,
                        loss=loss,
                        class_target=loss == Loss.CROSS_ENTROPY or bool(shift % 2),
                        shift=shift,
                        residual=residual,
                        fraction=random.choice((0, 8, 15)),
                        spread=random.choice((0, 65535)),
                        misses=random.random() < 0.2,
                    )
                )


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def anything(dut: Any) -> None:
    """Commands drawn at random, with pauses between them."""
    d = await driver(dut)
    for _ in range(parameters()["commands"]):
        await d.check(d.random_command())
        for _ in range(random.choice((0, 0, 1, 7))):
            await d.tick()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def resets(dut: Any) -> None:
    """After a reset in any cycle of a command the unit writes no more and works as ever."""
    d = await driver(dut)
    for _ in range(12):
        command = d.random_command()
        d.draw(command)
        await d.launch(command)
        for _ in range(random.randrange(d.cycles(command.instruction))):
            await d.tick()
        await reset(d.dut)
        assert d.dut.busy.value == 0 and d.dut.done.value == 0
        assert int(d.dut.write_delta__mask.value) == 0
        # The memories forget what was under way.
        for pipe in (*d.memories.reading.values(), d.memories.writing):
            for k in range(len(pipe)):
                pipe[k] = None
        writes = d.memories.writes
        for _ in range(random.choice((0, 40))):
            await d.tick()
            assert d.dut.busy.value == 0
        assert d.memories.writes == writes
        await d.check(d.random_command())
