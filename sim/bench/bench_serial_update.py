"""Bench of the serial update unit: every word that it reads and writes, against the golden units.

The memory is the stimulus itself: the unit gets an element's word `read_latency` cycles after it
asks, noise in all other cycles, and its writes must bring what the golden model says.

Parameters: `config` (fields of a DeviceConfig), `read_latency`, `latency`, `interval`, `seed`.
"""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer
from numpy.typing import NDArray

from hw.config import DeviceConfig
from hw.numbers import GRADIENT_BITS, WORD_BITS, WORD_MAX, WORD_MIN, lfsr_seed
from sim.bench import Ports, cycle, parameters, reset, start
from sim.golden import units
from sim.golden.lfsr import lfsr_sequence

WORD_CORNERS = np.array([WORD_MIN, WORD_MIN + 1, -1, 0, 1, WORD_MAX])
GRADIENT_TOP = (1 << (GRADIENT_BITS - 1)) - 1
GRADIENT_CORNERS = np.array(
    [-GRADIENT_TOP - 1, -257, -1, 0, 1, 255, GRADIENT_TOP - 255, GRADIENT_TOP - 256, GRADIENT_TOP]
)


@dataclass
class Rates:
    """The registers that hold still during a stream."""

    rate: int
    rate_shift: int
    decay: int
    decay_shift: int


@dataclass
class Stream:
    """Columns to send, an element at a time, and the cycles from each element to the next."""

    weight: units.Integers
    gradient: units.Integers
    there: units.Mask
    tile: units.Integers
    column: units.Integers
    spacing: units.Integers


class Bench:
    """Drives the unit, plays its memory, and knows the state of its LFSRs."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.read_latency: int = given["read_latency"]
        self.latency: int = given["latency"]
        self.interval: int = given["interval"]
        self.random = np.random.default_rng(given["seed"])
        self.lanes = self.config.lanes
        self.state = np.array([lfsr_seed(lane) for lane in range(self.lanes)], np.uint32)
        cocotb.log.info("seed %d", given["seed"])

    async def start(self) -> None:
        names = ["valid", "gradient", "there", "tile", "row", "column", "weight"]
        names += ["rate", "rate_shift", "decay", "decay_shift"]
        names += ["lfsr_address", "lfsr_write", "lfsr_write_data"]
        await start(self.dut, **dict.fromkeys(names, 0))

    async def seed(self) -> None:
        """Write the seeds, which a reset does not bring back."""
        for address, half in enumerate(self.state.view("<u2").tolist()):
            await self.write_lfsr(address, half)

    # Stimulus

    def rates(self, corner: int | None = None) -> Rates:
        """Random registers, or one of 16 combinations of their extremes."""
        top = (1 << WORD_BITS) - (1 << (WORD_BITS - self.config.rate_width))
        if corner is not None:
            rate, decay = (top if corner >> bit & 1 else 0 for bit in (0, 1))
            rate_shift, decay_shift = (15 if corner >> bit & 1 else 0 for bit in (2, 3))
            return Rates(rate, rate_shift, decay, decay_shift)
        rate, decay = (int(x) for x in self.random.integers(0, 1 << WORD_BITS, 2) & top)
        rate_shift, decay_shift = (int(x) for x in self.random.integers(0, 16, 2))
        return Rates(rate, rate_shift, decay, decay_shift)

    def stream(self, columns: int, *, corners: bool = False, slack: int = 0) -> Stream:
        """Random columns, whose elements are at most `slack` cycles later than they could be."""
        shape, random = (columns, self.lanes), self.random
        weight = random.integers(WORD_MIN, WORD_MAX + 1, shape)
        # Gradients of all sizes, so that not every momentum saturates.
        size = random.integers(1, GRADIENT_BITS, (columns, 1))
        gradient = random.integers(-(1 << size), 1 << size, shape)
        if corners:
            weight = random.choice(WORD_CORNERS, shape)
            gradient = random.choice(GRADIENT_CORNERS, shape)
        return Stream(
            weight,
            gradient,
            random.random(shape) < random.choice([0.0, 0.5, 1.0], (columns, 1)),
            random.integers(0, self.config.weight_tiles, columns),
            random.integers(0, self.lanes, columns),
            self.interval + random.integers(0, slack + 1, shape),
        )

    # Signals

    def put(self, element: dict[str, int]) -> None:
        for name, value in element.items():
            getattr(self.dut, name).value = value

    def put_noise(self) -> None:
        """What stands at the inputs beside an element must not matter."""
        random = self.random
        self.put(
            {
                "gradient": int(random.integers(-9999, 9999)),
                "there": int(random.integers(0, 2)),
                "tile": int(random.integers(0, self.config.weight_tiles)),
                "row": int(random.integers(0, self.lanes)),
                "column": int(random.integers(0, self.lanes)),
                "lfsr_address": int(random.integers(0, 2 * self.lanes)),
            }
        )

    async def send(
        self, element: dict[str, int], weight: int, spacing: int
    ) -> list[tuple[int, dict[str, int]]]:
        """Send an element and go on for `spacing` cycles; the cycles and the outputs of `done`."""
        dut, seen = self.dut, []
        asked = [False] * self.read_latency
        for now in range(spacing):
            dut.valid.value = int(now == 0)
            if now == 0:
                self.put(element)
            elif now > self.latency:
                self.put_noise()
            noise = int(self.random.integers(WORD_MIN, WORD_MAX + 1))
            dut.weight.value = weight if asked[now] else noise
            await Timer(1, unit="ns")
            asked.append(bool(int(dut.weight_enable.value)))
            if int(dut.done.value):
                seen.append((now, self.write_seen()))
            else:
                assert not int(dut.weight_write__enable.value)
            await cycle(dut)
        return seen

    def write_seen(self) -> dict[str, int]:
        dut, write = self.dut, {}
        for name in ("enable", "tile", "row", "column"):
            write[name] = int(getattr(dut, f"weight_write__{name}").value)
        word = int(dut.weight_write__data.value) & (1 << WORD_BITS) - 1
        write["data"] = word - (word >> (WORD_BITS - 1) << WORD_BITS)
        for name in ("weight_saturated", "momentum_saturated"):
            write[name] = int(getattr(dut, name).value)
        return write

    # Checks

    async def check(self, stream: Stream, rates: Rates) -> units.Updated:
        """Send a stream and compare everything with the golden units."""
        self.put(vars(rates))
        states = lfsr_sequence(self.state, len(stream.tile))
        self.state = states[-1].copy()
        expected = units.update(
            weight=stream.weight,
            momentum=np.zeros_like(stream.weight),
            gradient=stream.gradient,
            random=states[:-1],
            factor=0,
            rate=(rates.rate, rates.rate_shift),
            decay=(rates.decay, rates.decay_shift),
        )
        for k, row in np.ndindex(*stream.weight.shape):
            there = int(stream.there[k, row])
            place = {"tile": int(stream.tile[k]), "row": row, "column": int(stream.column[k])}
            element = {"gradient": int(stream.gradient[k, row]), "there": there, **place}
            weight = int(stream.weight[k, row])
            seen = await self.send(element, weight, int(stream.spacing[k, row]))
            assert [now for now, _ in seen] == [self.latency], (k, row)
            write = seen[0][1]
            assert write["enable"] == there, (k, row)
            assert {name: write[name] for name in place} == place
            for name in ("weight_saturated", "momentum_saturated"):
                assert write[name] == (there and getattr(expected, name)[k, row]), (k, row, name)
            if there:
                assert write["data"] == expected.weight[k, row], (k, row, element, weight, rates)
        await self.check_lfsr()
        return expected

    async def read_lfsr(self) -> NDArray[np.uint32]:
        """Read all halves, one address a cycle."""
        seen = []
        for address in range(2 * self.lanes + 1):
            if address:
                seen.append(int(self.dut.lfsr_read_data.value))
            self.dut.lfsr_address.value = address % (2 * self.lanes)
            await cycle(self.dut)
        return np.array(seen, np.uint16).view("<u4")

    async def check_lfsr(self) -> None:
        assert np.array_equal(await self.read_lfsr(), self.state)

    async def write_lfsr(self, address: int, value: int) -> None:
        self.dut.lfsr_address.value = address
        self.dut.lfsr_write_data.value = value
        self.dut.lfsr_write.value = 1
        await cycle(self.dut)
        self.dut.lfsr_write.value = 0
        self.state.view("<u2")[address] = value


@cocotb.test(timeout_time=200, timeout_unit="us")
async def host_reads_and_writes_lfsrs(dut: Any) -> None:
    """Between streams; a step takes into account either half, and all of it."""
    bench = Bench(dut)
    await bench.start()
    await bench.check_lfsr()
    await bench.check(bench.stream(3), bench.rates())
    for address in bench.random.permutation(2 * bench.lanes):
        await bench.write_lfsr(int(address), int(bench.random.integers(0, 1 << 16)))
        await bench.check_lfsr()
    await bench.check(bench.stream(20), bench.rates())
    for bit in range(32):
        await bench.write_lfsr(0, 1 << bit & 0xFFFF)
        await bench.write_lfsr(1, 1 << bit >> 16)
        await bench.check(bench.stream(1), bench.rates())


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def corners(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.seed()
    saturated = np.zeros(2, int)
    for corner in range(16):
        stream = bench.stream(16, corners=True, slack=corner % 3)
        stream.there[::2] = True
        updated = await bench.check(stream, bench.rates(corner))
        saturated += updated.weight_saturated.sum(), updated.momentum_saturated.sum()
    assert saturated.all(), "the corners must saturate weights and momentum"


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def every_shift(dut: Any) -> None:
    """Mantissas of one bit, of all, and a random one, at every shift, as a rate and as a decay."""
    bench = Bench(dut)
    await bench.start()
    await bench.seed()
    for shift in range(16):
        for mantissa in (1, 0x80, 0xFF, int(bench.random.integers(2, 255))):
            other = bench.rates()
            for rates in (
                Rates(mantissa << 8, shift, other.decay, other.decay_shift),
                Rates(other.rate, other.rate_shift, mantissa << 8, shift),
            ):
                stream = bench.stream(1)
                stream.there[:] = True
                await bench.check(stream, rates)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def random_streams(dut: Any) -> None:
    """Back to back at the interval, then with gaps, short and long."""
    bench = Bench(dut)
    await bench.start()
    await bench.seed()
    for slack in (0, 1, 2, 5, 30):
        for _ in range(4):
            await bench.check(bench.stream(12, slack=slack), bench.rates())


@cocotb.test(timeout_time=200, timeout_unit="us")
async def one_lane_and_none(dut: Any) -> None:
    """What is not there is neither written nor counted, but its LFSR steps."""
    bench = Bench(dut)
    await bench.start()
    await bench.seed()
    stream = bench.stream(3 * bench.lanes, corners=True)
    stream.there[:] = np.concatenate([np.eye(bench.lanes, dtype=bool)] * 3)
    stream.there[bench.lanes : 2 * bench.lanes] = False
    await bench.check(stream, bench.rates(3))


@cocotb.test(timeout_time=500, timeout_unit="us")
async def reset_in_mid_stream(dut: Any) -> None:
    """Nothing of what was under way comes out; LFSRs stay, halves of one perhaps a step apart."""
    bench = Bench(dut)
    await bench.start()
    await bench.seed()
    for after in range(bench.interval + 1):
        row = after % bench.lanes
        element = {"gradient": -5, "there": 1, "tile": 0, "row": row, "column": 0}
        await bench.send(element, 1, after)
        bench.dut.valid.value = 0
        await reset(bench.dut, 1)
        seen = (await bench.read_lfsr()).copy()
        stepped = lfsr_sequence(bench.state, 1)
        for half in range(2):
            halves = stepped.view("<u2").reshape(2, bench.lanes, 2)[:, row, half]
            assert seen.view("<u2")[2 * row + half] in halves
        if after == 0:
            assert np.array_equal(seen, bench.state)
        if after == bench.interval:
            assert seen[row] == stepped[1, row]
        seen[row] = bench.state[row]
        assert np.array_equal(seen, bench.state)
        for half in range(2):
            await bench.write_lfsr(2 * row + half, int(bench.random.integers(0, 1 << 16)))
        await bench.check(bench.stream(3), bench.rates())
