"""SerialLossUnit: loss, answers, saturations and every word of DELTA, as the golden units say."""

import random
from typing import Any

import cocotb
import numpy as np

from hw.isa import Loss, Region
from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN
from sim.bench import cycle, pack, parameters, reset
from sim.bench.bench_loss_unit import Command, Driver, Memories

LOSS_READS = (Region.OUTPUT, Region.TARGET)


class WordMemories(Memories):
    """OUTPUT and TARGET, read by columns, and DELTA, written word by word."""

    def step(self) -> None:
        """One cycle, at its falling edge: the port's requests, and the data that are due."""
        port, config = self.dut, self.config
        written = self.writing.popleft()
        if written is not None:
            self.images[Region.DELTA].reshape(-1)[written[0]] = written[1]
        self.writing.append(None)
        if port.write__enable.value == 1:
            tile, row = int(port.write__tile.value), int(port.write__row.value)
            address = self.column(tile, int(port.write__column.value))[row]
            self.writing[-1] = (address, port.write__data.value.to_signed())
            self.writes += 1
        enabled = 0
        for region in LOSS_READS:
            pipe, read = self.reading[region], f"read_{region.name.lower()}__"
            pipe.append(None)
            if getattr(port, read + "enable").value == 1:
                enabled += 1
                assert getattr(port, read + "column").value == 1
                # What a label that is no class has read does not matter.
                image = self.images[region].reshape(-1)
                tile = int(getattr(port, read + "tile").value)
                column = self.column(tile, int(getattr(port, read + "index").value))
                pipe[-1] = image[column % len(image)]
            # What was not asked for is anything at all.
            due = pipe.popleft()
            if due is None and not enabled and random.random() < 0.9:
                continue
            words = random.getrandbits(config.lanes * WORD_BITS)
            if due is not None:
                used = config.batch_lanes * WORD_BITS
                words = words >> used << used | pack(due, WORD_BITS)
            getattr(port, read + "data").value = words
        assert enabled <= 1

    def forget(self) -> None:
        """Drop what is under way, as a reset does."""
        for pipe in (*self.reading.values(), self.writing):
            for k in range(len(pipe)):
                pipe[k] = None


class SerialDriver(Driver):
    """Starts commands and compares what comes of them."""

    memories: WordMemories

    def __init__(self, dut: Any):
        super().__init__(dut)
        p = parameters()
        self.memories = WordMemories(self.dut, self.config, p["read_latency"], p["write_latency"])
        self.times = p["times"]

    async def launch(self, command: Command) -> None:
        """Start a command, whose instruction stays."""
        self.dut.instruction.value = pack(command.instruction.encode(), WORD_BITS)
        self.dut.target_base.value = command.target_base
        self.dut.start.value = 1
        await self.tick()
        self.dut.start.value = 0

    def most_cycles(self, command: Command) -> int:
        """What the docstring of SerialLossUnit promises."""
        i, times = command.instruction, self.times
        element = max(times["least"], i.shift + times["shifted"])
        labels = times["sample"] if i.class_target else 0
        return i.columns * (i.rows * element + labels) + times["command"]

    async def check(self, command: Command) -> None:
        """Execute a command; returns in the cycle of `done`, when the next one may start."""
        i, memories, dut = command.instruction, self.memories, self.dut
        self.draw(command)
        expected = self.golden(command)
        image = memories.images[Region.DELTA].copy()
        memories.layout(i.dest_base, i.columns, i.rows, i.dest_outer).scatter(
            image, expected.delta.astype(np.int16)
        )
        writes, cycles, most = memories.writes, 1, self.most_cycles(command)
        await self.launch(command)
        while dut.done.value == 0:
            assert dut.busy.value == 1 and cycles < most, f"{command} takes more than {most}"
            await self.tick()
            cycles += 1
        assert dut.busy.value == 0
        assert not any(memories.writing), f"{command} is done before its words can be read"
        found = {
            "valid": int(dut.report__valid.value),
            "loss": int(dut.loss.value),
            "correct": int(dut.correct.value),
            "samples": int(dut.samples.value),
            "saturations": int(dut.report__amount.value),
            "statistic": int(dut.report__statistic.value),
            "words written": memories.writes - writes,
        }
        assert found == {
            "valid": 1,
            "loss": expected.loss,
            "correct": expected.correct,
            "samples": i.columns,
            "saturations": int(np.count_nonzero(expected.saturated)),
            "statistic": i.statistic,
            "words written": i.rows * i.columns,
        }, command
        wrong = [
            (place, memories.images[Region.DELTA][place], image[place])
            for place in zip(*np.nonzero(memories.images[Region.DELTA] != image), strict=True)
        ]
        assert not wrong, f"{command}: DELTA at word, bank; found; expected: {wrong[:8]}"


async def driver(dut: Any) -> SerialDriver:
    np.random.seed(random.getrandbits(32))
    d = SerialDriver(dut)
    await d.begin()
    return d


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def sizes(dut: Any) -> None:
    """One class to as many as there may be; one sample to full memories; back to back."""
    d = await driver(dut)
    batch = d.config.batch_lanes
    for class_target in (True, False):
        for rows in (1, 2, 3, d.config.lanes, d.config.lanes + 1, d.config.max_outputs):
            most = d.most_samples(rows, class_target)
            for columns in sorted({1, batch, batch + 1, most if rows == d.config.lanes else 1}):
                if 1 <= columns <= most:
                    await d.check(
                        d.command(
                            rows=rows,
                            columns=columns,
                            loss=Loss.MEAN_SQUARED_ERROR,
                            class_target=class_target,
                            shift=10,
                            residual=1 << 15,
                        )
                    )


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def extremes(dut: Any) -> None:
    """The widest differences with every shift, the largest and smallest residuals."""
    d = await driver(dut)
    for shift in range(32):
        for class_target in (False, True):
            for residual in (random.choice((1 << 15, (1 << 14) + 1, 1, 0)), (1 << 16) - 1):
                await d.check(
                    d.command(
                        rows=random.randint(1, 4),
                        columns=d.config.batch_lanes,
                        loss=Loss.MEAN_SQUARED_ERROR,
                        class_target=class_target,
                        shift=shift,
                        residual=residual,
                        fraction=random.choice((0, 8, 15)),
                        spread=random.choice((0, 2, 65535)),
                        misses=random.random() < 0.2,
                    )
                )


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def ties(dut: Any) -> None:
    """Equal outputs before, at and after the class; every fraction; the most negative output."""
    d = await driver(dut)
    memories, rows = d.memories, min(5, d.config.max_outputs)
    for fraction in range(16):
        command = d.command(
            rows=rows,
            columns=2 * d.config.batch_lanes,
            loss=Loss.MEAN_SQUARED_ERROR,
            class_target=True,
            shift=random.randrange(32),
            residual=random.getrandbits(16),
            fraction=fraction,
        )
        i = command.instruction
        draw = d.draw

        def tied(command: Command) -> None:
            draw(command)  # noqa: B023
            layout = memories.layout(i.right_base, i.columns, i.rows, i.right_outer)  # noqa: B023
            few = random.choice(((WORD_MIN, WORD_MIN + 1), (0, 1), (WORD_MAX, WORD_MIN), (7, 7)))
            outputs = np.random.choice(few, (i.columns, i.rows))  # noqa: B023
            layout.scatter(memories.images[Region.OUTPUT], outputs.astype(np.int16))

        d.draw = tied  # type: ignore[method-assign]
        await d.check(command)
        d.draw = draw  # type: ignore[method-assign]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def anything(dut: Any) -> None:
    """Commands drawn at random, with pauses between them."""
    d = await driver(dut)
    for _ in range(parameters()["commands"]):
        await d.check(d.random_command())
        for _ in range(random.choice((0, 0, 1, 7))):
            await d.tick()
            assert dut.done.value == 0 and dut.busy.value == 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def resets(dut: Any) -> None:
    """After a reset in any cycle of a command the unit writes no more and works as ever."""
    d = await driver(dut)
    for _ in range(12):
        command = d.random_command()
        d.draw(command)
        await d.launch(command)
        for _ in range(random.randrange(min(300, d.most_cycles(command)))):
            await d.tick()
        await reset(dut)
        assert dut.busy.value == 0 and dut.done.value == 0 and dut.write__enable.value == 0
        d.memories.forget()
        writes = d.memories.writes
        await cycle(dut, random.choice((1, 90)))
        assert dut.busy.value == 0 and d.memories.writes == writes
        await d.check(d.random_command())
