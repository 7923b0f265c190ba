"""Bench of the update unit: every column that it reads and writes, against the golden units.

The memories are the stimulus itself: the k-th read must ask for the k-th vector's column and gets
its words, in one cycle only; the k-th write must bring what the golden model says.

Parameters: `config` (fields of a DeviceConfig), `read_latency`, `latency`, `momentum_latency`,
`lfsr_latency`, `seed`.
"""

from dataclasses import dataclass, field
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer
from numpy.typing import NDArray

from hw.config import DeviceConfig
from hw.numbers import GRADIENT_BITS, LFSR_LEAP, WORD_BITS, WORD_MAX, WORD_MIN, lfsr_seed
from sim.bench import Ports, cycle, pack, parameters, reset, start, unpack
from sim.golden import units
from sim.golden.lfsr import lfsr_sequence

WORD_CORNERS = np.array([WORD_MIN, WORD_MIN + 1, -1, 0, 1, WORD_MAX])
GRADIENT_CORNERS = np.array(
    [-(1 << (GRADIENT_BITS - 1)), -257, -1, 0, 1, 255, (1 << (GRADIENT_BITS - 1)) - 1]
)


@dataclass
class Rates:
    """The registers that hold still during a stream."""

    factor: int
    rate: int
    rate_shift: int
    decay: int
    decay_shift: int


@dataclass
class Stream:
    """Vectors to send, and the cycles between each and the one before it."""

    weight: units.Integers
    momentum: units.Integers
    gradient: units.Integers
    mask: units.Mask
    tile: units.Integers
    index: units.Integers
    use_momentum: units.Mask
    spacing: units.Integers


@dataclass
class Traffic:
    """What the unit did: for each kind, the cycles and what was seen then."""

    sent: list[int] = field(default_factory=list)
    weight_reads: list[tuple[int, int]] = field(default_factory=list)
    momentum_reads: list[tuple[int, int]] = field(default_factory=list)
    weight_writes: list[dict[str, Any]] = field(default_factory=list)
    momentum_writes: list[dict[str, Any]] = field(default_factory=list)


class Bench:
    """Drives the unit, plays its memories, and knows the state of its LFSRs."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.read_latency: int = given["read_latency"]
        self.latency: int = given["latency"]
        self.momentum_latency: int = given["momentum_latency"]
        self.lfsr_latency: int = given["lfsr_latency"]
        self.random = np.random.default_rng(given["seed"])
        self.lanes = self.config.lanes
        self.state = self.seeds()
        cocotb.log.info("seed %d", given["seed"])

    def seeds(self) -> NDArray[np.uint32]:
        return np.array([lfsr_seed(lane) for lane in range(self.lanes)], np.uint32)

    async def start(self) -> None:
        names = ["valid", "gradient", "mask", "tile", "index", "use_momentum"]
        names += ["factor", "rate", "rate_shift", "decay", "decay_shift"]
        names += ["weight_read__words", "lfsr_address", "lfsr_write", "lfsr_write_data"]
        names += ["lfsr_leap"] * self.config.dropout
        if self.config.momentum:
            names.append("momentum_read__words")
        await start(self.dut, **dict.fromkeys(names, 0))

    # Stimulus

    def rates(self, corner: int | None = None) -> Rates:
        """Random registers, or one of 16 combinations of their extremes."""
        unused = WORD_BITS - self.config.rate_width
        top = (1 << WORD_BITS) - (1 << unused)
        if corner is not None:
            rate, decay = (top if corner >> bit & 1 else 0 for bit in (0, 1))
            rate_shift, decay_shift = (15 if corner >> bit & 1 else 0 for bit in (2, 3))
            return Rates(top if corner & 1 else 0, rate, rate_shift, decay, decay_shift)
        factor, rate, decay = (int(x) for x in self.random.integers(0, 1 << WORD_BITS, 3) & top)
        rate_shift, decay_shift = (int(x) for x in self.random.integers(0, 16, 2))
        return Rates(factor, rate, rate_shift, decay, decay_shift)

    def stream(self, count: int, *, corners: bool = False, slack: int = 0) -> Stream:
        """Random vectors, at most `slack` cycles later than they could come."""
        shape, random = (count, self.lanes), self.random
        words = 1 << (WORD_BITS - 1)
        weight, momentum = random.integers(-words, words, (2, *shape))
        # Gradients of all sizes, so that not every momentum saturates.
        size = random.integers(1, GRADIENT_BITS, (count, 1))
        gradient = random.integers(-(1 << size), 1 << size, shape)
        if corners:
            weight, momentum = random.choice(WORD_CORNERS, (2, *shape))
            gradient = random.choice(GRADIENT_CORNERS, shape)
        mask = random.random(shape) < random.choice([0.0, 0.5, 1.0], (count, 1))
        return Stream(
            weight,
            momentum,
            gradient,
            mask,
            random.integers(0, self.config.weight_tiles, count),
            random.integers(0, self.lanes, count),
            random.random(count) < 0.7 if self.config.momentum else np.zeros(count, bool),
            self.config.update_interval + random.integers(0, slack + 1, count),
        )

    # Signals

    def put(self, stream: Stream, k: int) -> None:
        dut = self.dut
        dut.gradient.value = pack(stream.gradient[k], GRADIENT_BITS)
        dut.mask.value = pack(stream.mask[k], 1)
        dut.tile.value = int(stream.tile[k])
        dut.index.value = int(stream.index[k])
        dut.use_momentum.value = int(stream.use_momentum[k])

    def put_noise(self) -> None:
        """What stands at the inputs beside a vector must not matter."""
        dut, random = self.dut, self.random
        dut.gradient.value = pack(random.integers(-9999, 9999, self.lanes), GRADIENT_BITS)
        dut.mask.value = int(random.integers(0, 1 << self.lanes))
        dut.tile.value = int(random.integers(0, self.config.weight_tiles))
        dut.index.value = int(random.integers(0, self.lanes))
        dut.use_momentum.value = int(random.integers(0, 2))

    def write_seen(self, name: str, now: int) -> dict[str, Any]:
        def port(member: str) -> Any:
            return getattr(self.dut, f"{name}_write__{member}").value

        return {
            "cycle": now,
            "column": (int(port("tile")), int(port("index"))),
            "mask": unpack(port("mask"), 1, self.lanes, signed=False).astype(bool),
            "words": unpack(port("words"), WORD_BITS, self.lanes),
        }

    async def send(self, stream: Stream, rates: Rates, *, extra: int | None = None) -> Traffic:
        """Send a stream, and go on for `extra` cycles; returns all that happened."""
        dut, seen = self.dut, Traffic()
        for name, value in vars(rates).items():
            getattr(dut, name).value = value
        memories = {"weight": (stream.weight, seen.weight_reads)}
        order = {"weight": np.arange(len(stream.tile))}
        if self.config.momentum:
            memories["momentum"] = (stream.momentum, seen.momentum_reads)
            order["momentum"] = np.flatnonzero(stream.use_momentum)
        answers: dict[str, dict[int, int]] = {name: {} for name in memories}
        due = np.cumsum(stream.spacing) - stream.spacing[0]
        end = int(due[-1]) + (self.latency + 8 if extra is None else extra)
        for now in range(end):
            k = len(seen.sent)
            valid = k < len(due) and due[k] == now
            dut.valid.value = int(valid)
            if valid:
                self.put(stream, k)
                seen.sent.append(now)
            else:
                self.put_noise()
            for name, answer in answers.items():
                noise = pack(self.random.integers(WORD_MIN, WORD_MAX, self.lanes), WORD_BITS)
                getattr(dut, f"{name}_read__words").value = answer.pop(now, noise)
            await Timer(1, unit="ns")
            for name, (words, reads) in memories.items():
                if int(getattr(dut, f"{name}_read__enable").value):
                    port = getattr(dut, f"{name}_read__tile"), getattr(dut, f"{name}_read__index")
                    assert len(reads) < len(order[name]), f"{name} is read too often"
                    which = order[name][len(reads)]
                    answers[name][now + self.read_latency] = pack(words[which], WORD_BITS)
                    reads.append((int(port[0].value), int(port[1].value)))
                if int(getattr(dut, f"{name}_write__enable").value):
                    writes = seen.weight_writes if name == "weight" else seen.momentum_writes
                    writes.append(self.write_seen(name, now))
            assert int(dut.done.value) == int(dut.weight_write__enable.value)
            if int(dut.done.value):
                for name in ("momentum", "weight"):
                    count = int(getattr(dut, f"{name}_saturations").value)
                    seen.weight_writes[-1][f"{name}_saturations"] = count
            await cycle(dut)
        dut.valid.value = 0
        return seen

    # Checks

    async def check(self, stream: Stream, rates: Rates) -> units.Updated:
        """Send a stream and compare everything with the golden units."""
        seen = await self.send(stream, rates)
        count = len(stream.tile)
        states = lfsr_sequence(self.state, count)
        self.state = states[-1].copy()
        momentum = np.where(stream.use_momentum[:, None], stream.momentum, 0)
        expected = units.update(
            weight=stream.weight,
            momentum=momentum,
            gradient=stream.gradient,
            random=states[:-1],
            factor=rates.factor,
            rate=(rates.rate, rates.rate_shift),
            decay=(rates.decay, rates.decay_shift),
        )
        columns = list(zip(stream.tile.tolist(), stream.index.tolist(), strict=True))
        with_momentum = np.flatnonzero(stream.use_momentum)
        assert seen.weight_reads == columns
        assert seen.momentum_reads == [columns[k] for k in with_momentum]
        assert len(seen.weight_writes) == count
        assert len(seen.momentum_writes) == len(with_momentum)
        for k, write in enumerate(seen.weight_writes):
            mask = stream.mask[k]
            assert write["cycle"] == seen.sent[k] + self.latency, f"vector {k} came late or early"
            self.check_write(write, stream, k, expected.weight[k])
            for name in ("momentum", "weight"):
                saturated = getattr(expected, f"{name}_saturated")[k]
                assert write[f"{name}_saturations"] == np.count_nonzero(saturated & mask), (k, name)
        for k, write in zip(with_momentum.tolist(), seen.momentum_writes, strict=True):
            late = write["cycle"] - seen.sent[k] - self.momentum_latency
            assert (late == 0) if self.config.update_interval == 1 else (-3 < late <= 0)
            self.check_write(write, stream, k, expected.momentum[k])
        await self.check_lfsr()
        return expected

    def check_write(
        self, write: dict[str, Any], stream: Stream, k: int, expected: units.Integers
    ) -> None:
        mask = stream.mask[k]
        assert write["column"] == (stream.tile[k], stream.index[k])
        assert np.array_equal(write["mask"], mask)
        assert np.array_equal(write["words"][mask], expected[mask]), (
            f"vector {k}: {write['words']} must be {expected} in lanes {mask}"
        )

    async def leap(self, count: int) -> None:
        """Let the LFSRs leap, in cycles of their own."""
        for _ in range(count):
            self.dut.lfsr_leap.value = 1
            await cycle(self.dut)
            self.state = lfsr_sequence(self.state, LFSR_LEAP)[-1].copy()
            seen = unpack(self.dut.lfsr_states.value, 32, self.lanes, signed=False)
            assert np.array_equal(seen, self.state)
            self.dut.lfsr_leap.value = 0
            await cycle(self.dut, int(self.random.integers(0, 3)))

    async def check_lfsr(self) -> None:
        """Read all halves, one address a cycle."""
        expected = [int(x) for state in self.state for x in (state & 0xFFFF, state >> 16)]
        seen = []
        for address in range(2 * self.lanes + self.lfsr_latency):
            if address >= self.lfsr_latency:
                seen.append(int(self.dut.lfsr_read_data.value))
            self.dut.lfsr_address.value = address % (2 * self.lanes)
            await cycle(self.dut)
        assert seen == expected

    async def write_lfsr(self, address: int, value: int) -> None:
        self.dut.lfsr_address.value = address
        self.dut.lfsr_write_data.value = value
        self.dut.lfsr_write.value = 1
        await cycle(self.dut)
        self.dut.lfsr_write.value = 0
        lane, low = address // 2, WORD_BITS * (address % 2)
        self.state[lane] = int(self.state[lane]) & ~(0xFFFF << low) & 0xFFFFFFFF | value << low


@cocotb.test(timeout_time=100, timeout_unit="us")
async def host_reads_and_writes_lfsrs(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.check_lfsr()
    for address in bench.random.permutation(2 * bench.lanes):
        await bench.write_lfsr(int(address), int(bench.random.integers(0, 1 << 16)))
        await bench.check_lfsr()
    await bench.check(bench.stream(20), bench.rates())


@cocotb.test(timeout_time=100, timeout_unit="us")
async def lfsrs_leap(dut: Any) -> None:
    """Between streams, from every bit of a state, where there is dropout."""
    bench = Bench(dut)
    await bench.start()
    if not bench.config.dropout:
        assert not hasattr(dut, "lfsr_leap")
        return
    for bit in range(32):
        for lane in range(bench.lanes):
            for half in range(2):
                word = (1 << bit >> 16 * half) & 0xFFFF
                await bench.write_lfsr(2 * lane + half, word)
            bit = (bit + 1) % 32
        await bench.leap(3)
        await bench.check_lfsr()
    await bench.check(bench.stream(20), bench.rates())


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def corners(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    saturated = np.zeros(2, int)
    for corner in range(16):
        stream = bench.stream(48, corners=True, slack=corner % 3)
        updated = await bench.check(stream, bench.rates(corner))
        saturated += updated.weight_saturated.sum(), updated.momentum_saturated.sum()
    assert saturated.all(), "the corners must saturate weights and momentum"


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def random_streams(dut: Any) -> None:
    """Back to back at the interval, then with gaps, short and long."""
    bench = Bench(dut)
    await bench.start()
    for slack in (0, 1, 2, 5, 30):
        for _ in range(3):
            await bench.check(bench.stream(80, slack=slack), bench.rates())


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def constant_spacings(dut: Any) -> None:
    """Every spacing that could set one vector's products against another's, from every phase."""
    bench = Bench(dut)
    await bench.start()
    for spacing in range(bench.config.update_interval, 15):
        stream = bench.stream(8)
        stream.spacing[:] = spacing
        await bench.check(stream, bench.rates())
        await cycle(bench.dut, spacing % 3)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def one_lane_and_none(dut: Any) -> None:
    """A masked lane is not written nor counted, but its LFSR steps."""
    bench = Bench(dut)
    await bench.start()
    stream = bench.stream(3 * bench.lanes, corners=True)
    stream.mask[:] = np.concatenate([np.eye(bench.lanes, dtype=bool)] * 3)
    stream.mask[bench.lanes : 2 * bench.lanes] = False
    await bench.check(stream, bench.rates(15))


@cocotb.test(timeout_time=200, timeout_unit="us")
async def reset_in_mid_stream(dut: Any) -> None:
    """Nothing of what was under way comes out, and the LFSRs start again."""
    bench = Bench(dut)
    await bench.start()
    for extra in range(0, bench.latency + 1, 2):
        await bench.send(bench.stream(6), bench.rates(), extra=extra + 1)
        await reset(bench.dut, 1)
        bench.state = bench.seeds()
        await bench.check(bench.stream(6), bench.rates())
        nothing = bench.stream(1)
        await bench.check(nothing, bench.rates())
