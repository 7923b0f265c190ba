"""Bench of the loader: INPUT and TARGET, all of them, after every batch, and which buffer is whose.

Expected are the golden loader, and for whole batches `hw.layout.TensorLayout` by itself. The bench
plays the tile memories: it writes what the loader says where the layout's rule puts it.

Parameters: `config` (fields of a DeviceConfig), `latency`, `seed`.
"""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer

from hw.config import DeviceConfig, region_words
from hw.isa import (
    INPUT_BUFFERS,
    SAMPLE_SHIFT_LOW,
    Region,
    Register,
    SampleFormat,
)
from hw.layout import TensorLayout, tiles
from hw.numbers import WORD_BITS
from sim.bench import Ports, cycle, parameters, reset, start, unpack
from sim.golden.loader import GoldenLoader

MEMORIES = {"input": Region.INPUT, "target": Region.TARGET}


@dataclass
class Format:
    """The registers that say what a sample is."""

    features: int
    targets: int
    wide_input: int = 0
    wide_target: int = 0
    signed_input: int = 0
    shift: int = 0
    input_stride: int = 0
    target_stride: int = 0

    @property
    def sample_format(self) -> int:
        return (
            self.wide_input << SampleFormat.WIDE_INPUT
            | self.wide_target << SampleFormat.WIDE_TARGET
            | self.signed_input << SampleFormat.SIGNED_INPUT
            | self.shift << SAMPLE_SHIFT_LOW
        )

    @property
    def registers(self) -> dict[Register, int]:
        return {
            Register.FEATURES: self.features,
            Register.TARGETS: self.targets,
            Register.SAMPLE_FORMAT: self.sample_format,
            Register.INPUT_STRIDE: self.input_stride,
            Register.TARGET_STRIDE: self.target_stride,
        }

    @property
    def sample_bytes(self) -> int:
        return (self.features << self.wide_input) + (self.targets << self.wide_target)


class Bench:
    """Drives the loader, plays the memories, and has a golden loader beside it."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.latency: int = given["latency"]
        self.random = np.random.default_rng(given["seed"])
        words, lanes = region_words(self.config), self.config.lanes
        self.images = {
            name: np.zeros((words[region] // lanes, lanes), np.int16)
            for name, region in MEMORIES.items()
        }
        self.golden_images = {name: image.copy() for name, image in self.images.items()}
        self.golden = self.fresh_golden()
        self.gap = 0.0
        self.stalls = 0
        self.written = 0
        self.byte_ago: list[bool] = []
        cocotb.log.info("seed %d", given["seed"])

    def fresh_golden(self) -> GoldenLoader:
        images = self.golden_images
        return GoldenLoader(self.config, (images["input"], images["target"]))

    async def start(self) -> None:
        names = ["samples__valid", "samples__payload", "clear", "release"]
        names += [register.name.lower() for register in Format(1, 1).registers]
        await start(self.dut, **dict.fromkeys(names, 0))

    async def reset(self) -> None:
        await reset(self.dut, 1)
        self.golden = self.fresh_golden()
        self.byte_ago.clear()

    def fitting(self, features: int, targets: int, **values: int) -> Format:
        """A format with the strides that a compiler would choose."""
        lanes = self.config.lanes
        strides = {
            "input_stride": tiles(features, lanes),
            "target_stride": tiles(targets, lanes),
        }
        return Format(features, targets, **{**strides, **values})

    def data(self, count: int) -> bytes:
        return self.random.integers(0, 256, count, np.uint8).tobytes()

    # Signals

    async def step(self, **inputs: int) -> None:
        """One cycle with these inputs; writes what the loader writes in it."""
        dut = self.dut
        for name, value in inputs.items():
            getattr(dut, name).value = value
        await Timer(1, unit="ns")
        wrote = [self.apply(name) for name in MEMORIES]
        if any(wrote):
            assert not all(wrote)
            self.written += 1
            # A word is on the port LATENCY cycles after its last byte was taken.
            assert len(self.byte_ago) >= self.latency and self.byte_ago[-self.latency]
        taken = int(dut.samples__valid.value) and int(dut.samples__ready.value)
        self.byte_ago.append(bool(taken) and not int(dut.samples__payload.value) >> 8)
        del self.byte_ago[: -self.latency]
        await cycle(dut)
        for name in inputs.keys() & {"clear", "release"}:
            getattr(dut, name).value = 0

    def apply(self, name: str) -> bool:
        """Do the write of port `name`, a row write of a skewed tile memory."""
        mask = int(getattr(self.dut, f"{name}__mask").value)
        if not mask:
            return False
        lanes, rows = self.config.lanes, self.config.batch_lanes
        port = {
            member: getattr(self.dut, f"{name}__{member}").value
            for member in ("tile", "index", "data")
        }
        assert mask & (mask - 1) == 0, "one lane at a time"
        lane, index = mask.bit_length() - 1, int(port["index"])
        words = unpack(port["data"], WORD_BITS, lanes)
        assert np.all(words == words[0]), "the word is on all lanes"
        self.images[name][int(port["tile"]) * rows + index, (index + lane) % lanes] = words[lane]
        return True

    async def set_format(self, sample: Format) -> None:
        for register, value in sample.registers.items():
            getattr(self.dut, register.name.lower()).value = value
        await self.step(samples__valid=0)

    async def send(self, data: bytes, *, end: bool) -> None:
        """Send bytes, with gaps, and then the end of the batch."""
        for beat in (*data, *((0x100 | int(self.random.integers(256)),) if end else ())):
            while self.random.random() < self.gap:
                await self.step(samples__valid=0, samples__payload=int(self.random.integers(512)))
            self.dut.samples__payload.value = beat
            self.dut.samples__valid.value = 1
            await Timer(1, unit="ns")
            for _ in range(3):
                if int(self.dut.samples__ready.value):
                    break
                self.stalls += 1
                await self.step()
            assert int(self.dut.samples__ready.value), "no free buffer?"
            await self.step()
        self.dut.samples__valid.value = 0

    async def release(self) -> None:
        await self.step(release=1)
        self.golden.release()
        await self.check_buffers()

    # Checks

    async def check_buffers(self) -> None:
        # An end is taken in one cycle and carried out in the next.
        await self.step()
        await Timer(1, unit="ns")
        dut, golden = self.dut, self.golden
        assert int(dut.credits.value) == golden.credits
        assert int(dut.full.value) == (golden.front_samples is not None)
        assert int(dut.front.value) == golden.front
        if golden.front_samples is not None:
            limit = (1 << len(dut.front_samples)) - 1
            assert int(dut.front_samples.value) == min(golden.front_samples, limit)

    async def check(self, sample: Format, data: bytes) -> None:
        """Load a batch and compare both images, all of them, with the golden loader's."""
        await self.set_format(sample)
        await self.check_buffers()
        await self.send(data, end=True)
        assert self.golden.take(data, end=True, registers=sample.registers)
        await self.check_buffers()
        # What is full has been written when the next cycle begins.
        await self.step()
        self.check_images(f"{sample}, {len(data)} bytes")

    def check_images(self, what: str) -> None:
        for name, image in self.images.items():
            assert np.array_equal(image, self.golden_images[name]), f"{name} of {what}"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def layouts(dut: Any) -> None:
    """Ragged sizes, both widths, both buffers, against TensorLayout alone."""
    bench = Bench(dut)
    await bench.start()
    config, lanes, rows = bench.config, bench.config.lanes, bench.config.batch_lanes
    for features, targets, samples in (
        (1, 1, 1),
        (lanes, 1, rows),
        (lanes + 1, lanes - 1, rows + 1),
        (2 * lanes - 1, lanes, 2 * rows - 1),
        (3, 0, 2 * rows),
        (0, 3, rows - 1),
    ):
        for wide_input, wide_target in ((0, 0), (0, 1), (1, 0), (1, 1)):
            sample = bench.fitting(
                features, targets, wide_input=wide_input, wide_target=wide_target
            )
            whole = {"input": (features, wide_input), "target": (targets, wide_target)}
            matrices = {
                name: bench.random.integers(0, 1 << (16 if wide else 8), (samples, width))
                for name, (width, wide) in whole.items()
            }
            parts = [
                matrix.astype("<u2" if whole[name][1] else "u1")[:, :]
                for name, matrix in matrices.items()
            ]
            data = b"".join(part[s].tobytes() for s in range(samples) for part in parts)
            await bench.set_format(sample)
            await bench.send(data, end=True)
            await bench.step()
            front = int(dut.front.value)
            assert int(bench.dut.full.value) and int(bench.dut.front_samples.value) == samples
            await bench.step()
            for name, matrix in matrices.items():
                buffer_tiles = config.input_tiles if name == "input" else config.target_tiles
                layout = TensorLayout(
                    base=front * buffer_tiles,
                    rows=samples,
                    columns=matrix.shape[1],
                    tile_rows=rows,
                    lanes=lanes,
                    stride=sample.input_stride if name == "input" else sample.target_stride,
                )
                if layout.tile_count > buffer_tiles:
                    continue
                gathered = layout.gather(bench.images[name])
                assert np.array_equal(gathered, matrix.astype(np.uint16).view(np.int16)), name
            await bench.step(release=1)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def conversions(dut: Any) -> None:
    """Every byte under every shift, signed and unsigned."""
    bench = Bench(dut)
    await bench.start()
    lanes, rows = bench.config.lanes, bench.config.batch_lanes
    every = bytes(range(256))
    size = min(bench.config.input_tiles * lanes, 32)
    for shift in range(16):
        for signed_input in (0, 1):
            for begin in range(0, 256, size * rows):
                sample = bench.fitting(size, 0, signed_input=signed_input, shift=shift)
                await bench.check(sample, every[begin : begin + size * rows])
                await bench.release()
    # Format bits that belong to the other width do nothing.
    for wide_input, wide_target in ((1, 0), (0, 1)):
        sample = bench.fitting(
            3, 2, wide_input=wide_input, wide_target=wide_target, signed_input=1, shift=5
        )
        await bench.check(sample, bytes((255, 128, 127, 1)) * 6)
        await bench.release()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def random_batches(dut: Any) -> None:
    """Any format, any number of bytes, whole samples or not, too much for the buffer or not."""
    bench = Bench(dut)
    await bench.start()
    random, config = bench.random, bench.config
    for _ in range(80):
        bench.gap = float(random.choice([0, 0, 0.3]))
        sample = bench.fitting(
            int(random.integers(1, 3 * config.lanes)),
            int(random.integers(0, 2 * config.lanes)),
            wide_input=int(random.integers(2)),
            wide_target=int(random.integers(2)),
            signed_input=int(random.integers(2)),
            shift=int(random.integers(16)),
        )
        if random.random() < 0.3:
            sample.input_stride = int(random.choice([0, 1, 2, 7, config.input_tiles, 40000]))
            sample.target_stride = int(random.choice([0, 1, 3, config.target_tiles, 0x100]))
        count = int(random.integers(0, 3 * config.batch_lanes * sample.sample_bytes))
        await bench.check(sample, bench.data(min(count, 300)))
        if bench.golden.credits == 0 or random.random() < 0.5:
            while bench.golden.front_samples is not None:
                await bench.release()
    assert bench.written > 1000


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_byte_a_cycle(dut: Any) -> None:
    """Within a batch the loader is always ready; an end costs two cycles more."""
    bench = Bench(dut)
    await bench.start()
    lanes, rows = bench.config.lanes, bench.config.batch_lanes
    for features, targets in ((1, 0), (1, 1), (lanes, 1)):
        sample = bench.fitting(features, targets)
        await bench.set_format(sample)
        for _ in range(INPUT_BUFFERS):
            bench.stalls = 0
            data = bench.data(2 * rows * sample.sample_bytes)
            await bench.send(data, end=False)
            assert bench.stalls <= 2
            bench.stalls = 0
            await bench.send(b"", end=True)
            assert bench.stalls == 0
            bench.golden.take(data, end=True, registers=sample.registers)
        await bench.check_buffers()
        await bench.step()
        bench.check_images("a stream")
        await bench.release()
        await bench.release()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def buffers_by_turns(dut: Any) -> None:
    """Credits fall at the end of a batch; both full: no byte is taken until a release."""
    bench = Bench(dut)
    await bench.start()
    sample = bench.fitting(2, 1)
    assert int(bench.dut.credits.value) == INPUT_BUFFERS
    await bench.step(release=1)
    await bench.check_buffers()
    for turn in range(3):
        await bench.check(sample, bench.data(3 * turn))
        await bench.check(sample, bench.data(3 * turn + 4))
        bench.dut.samples__valid.value, bench.dut.samples__payload.value = 1, 0x77
        before = bench.written
        for _ in range(10):
            await bench.step()
            assert not int(bench.dut.samples__ready.value)
        assert bench.written == before
        await bench.check_buffers()
        bench.dut.samples__valid.value = 0
        await bench.release()
        # Loading one buffer while the other one is released under way.
        data = bench.data(3 * 3)
        await bench.send(data[:4], end=False)
        await bench.release()
        assert int(bench.dut.credits.value) == INPUT_BUFFERS
        await bench.send(data[4:], end=True)
        bench.golden.take(data, end=True, registers=sample.registers)
        await bench.check_buffers()
        await bench.step()
        bench.check_images("a batch during a release")
        await bench.release()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def overflow_is_told(dut: Any) -> None:
    """Three cycles after the byte that was too many was taken, until the batch ends."""
    bench = Bench(dut)
    await bench.start()
    lanes, config = bench.config.lanes, bench.config
    words = lanes * config.input_tiles
    for features, targets, room, samples in (
        (words, 0, words * config.batch_lanes, config.batch_lanes),
        (1, lanes * config.target_tiles + 1, 1 + lanes * config.target_tiles, 1),
        (0, 0, 0, 0),
    ):
        sample = bench.fitting(features, targets)
        await bench.set_format(sample)
        await bench.send(bench.data(room), end=False)
        await bench.step()
        await bench.step()
        assert not int(bench.dut.overflow.value)
        before = bench.written
        await bench.send(b"x", end=False)
        await bench.step()
        await bench.step()
        assert int(bench.dut.overflow.value)
        await bench.send(b"", end=True)
        await bench.step()
        assert int(bench.dut.front_samples.value) == samples
        assert bench.written <= before + 1
        await bench.step(release=1)
        await bench.step()
        assert not int(bench.dut.overflow.value)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def clear_and_reset(dut: Any) -> None:
    """Either, in the middle of a batch and with full buffers, leaves an empty loader."""
    bench = Bench(dut)
    await bench.start()
    sample = bench.fitting(bench.config.lanes + 1, 2, wide_input=1, shift=3)
    for full in range(INPUT_BUFFERS):
        for part in range(0, 2 * sample.sample_bytes, 3):
            for way in ("clear", "reset"):
                for _ in range(full):
                    await bench.check(sample, bench.data(2 * sample.sample_bytes))
                await bench.set_format(sample)
                await bench.send(bench.data(part), end=False)
                if way == "clear":
                    # A byte in the same cycle is forgotten too.
                    bench.dut.samples__valid.value = part % 2
                    bench.dut.samples__payload.value = 0x5A
                    await bench.step(clear=1)
                    bench.dut.samples__valid.value = 0
                else:
                    await bench.reset()
                await bench.step()
                bench.golden = bench.fresh_golden()
                # The bytes that came before have been written; from here on images are the same.
                for name, image in bench.images.items():
                    bench.golden_images[name][:] = image
                await bench.check(sample, bench.data(3 * sample.sample_bytes + 1))
                await bench.release()
