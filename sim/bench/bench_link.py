"""Bench of the link: every byte that it sends, every word and sample that it passes on.

`Model` is the link in plain Python: it takes the bytes that were sent and says which bytes come
back, which words are written and which samples leave. The bench plays the bus's memories.

Parameters: `config` (fields of a DeviceConfig), `regions` (words by number), `read_latency`,
`identity` (hexadecimal), `overhead`, `seed`.
"""

import zlib
from dataclasses import dataclass, field
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer

from hw.config import DeviceConfig
from hw.isa import (
    ADDRESS_BYTES,
    ANSWER_HEADER_BYTES,
    CHECKSUM_BYTES,
    FRAME_HEADER_BYTES,
    INPUT_BUFFERS,
    REQUEST_START,
    RESPONSE_START,
    Control,
    Region,
    Register,
    Request,
    State,
    Status,
)
from sim.bench import Ports, cycle, parameters, reset, start

END = 256
"""Stands for the end of a batch among its bytes."""

NOTICE = 8
"""Cycles that a write may take to show in `state` and `running`."""


def request(kind: int, sequence: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """A frame to the link; `length` announces another length than the payload's."""
    length = len(payload) if length is None else length
    body = bytes((sequence % 256, kind)) + length.to_bytes(2, "little") + payload
    return bytes((REQUEST_START,)) + body + zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "little")


def place(region: int, address: int) -> bytes:
    return address.to_bytes(ADDRESS_BYTES - 1, "little") + bytes((region,))


def read(sequence: int, region: int, address: int, count: int) -> bytes:
    return request(Request.READ, sequence, place(region, address) + count.to_bytes(2, "little"))


def write(sequence: int, region: int, address: int, words: list[int]) -> bytes:
    data = b"".join(word.to_bytes(2, "little") for word in words)
    return request(Request.WRITE, sequence, place(region, address) + data)


@dataclass
class Model:
    """The link's behaviour; `take` bytes and see what `sent`, `written` and `samples` hold."""

    payload_limit: int
    regions: dict[int, int]
    identity: bytes
    memory: dict[int, list[int]]
    state: int = State.IDLE
    running: int = 0
    credits: int = INPUT_BUFFERS
    overflow: int = 0
    last: int = 0
    sent: bytearray = field(default_factory=bytearray)
    statuses: list[Status] = field(default_factory=list)
    written: list[tuple[int, int, int]] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    pending: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes) -> None:
        self.pending += data
        while True:
            begin = self.pending.find(REQUEST_START)
            del self.pending[: len(self.pending) if begin < 0 else begin]
            if len(self.pending) < FRAME_HEADER_BYTES:
                return
            length = int.from_bytes(self.pending[3:5], "little")
            if length > self.payload_limit:
                del self.pending[:FRAME_HEADER_BYTES]
                continue
            end = FRAME_HEADER_BYTES + length
            if len(self.pending) < end + CHECKSUM_BYTES:
                return
            frame = bytes(self.pending[: end + CHECKSUM_BYTES])
            del self.pending[: end + CHECKSUM_BYTES]
            self.frame(frame[1:end], frame[end:])

    def frame(self, body: bytes, checksum: bytes) -> None:
        sequence, kind, payload = body[0], body[1], body[4:]
        answer = b""
        if zlib.crc32(body).to_bytes(4, "little") != checksum:
            status = Status.BAD_CHECKSUM
        elif (kind, payload) != (Request.SYNCHRONISE, b"") and sequence != (self.last + 1) % 256:
            status, answer = Status.BAD_SEQUENCE, bytes((self.last,))
        else:
            self.last = sequence
            status, answer = self.carry_out(kind, payload)
        self.statuses.append(status)
        state = self.state | self.credits << 4
        body = bytes((sequence, status, state)) + len(answer).to_bytes(2, "little") + answer
        self.sent += bytes((RESPONSE_START,)) + body + zlib.crc32(body).to_bytes(4, "little")

    def carry_out(self, kind: int, payload: bytes) -> tuple[Status, bytes]:
        match kind:
            case Request.IDENTIFY if not payload:
                return Status.OK, self.identity
            case Request.SYNCHRONISE if not payload:
                return Status.OK, b""
            case Request.READ if len(payload) == 6:
                return self.access(kind, payload[:4], int.from_bytes(payload[4:], "little"), b"")
            case Request.WRITE if len(payload) >= 4 and len(payload) % 2 == 0:
                return self.access(kind, payload[:4], len(payload) // 2 - 2, payload[4:])
            case Request.SAMPLES | Request.SAMPLES_END:
                if self.credits == 0:
                    return Status.NO_CREDIT, b""
                self.samples += payload
                if kind == Request.SAMPLES_END:
                    self.samples.append(END)
                return (Status.NO_CREDIT if self.overflow else Status.OK), b""
        return Status.BAD_REQUEST, b""

    def access(self, kind: int, where: bytes, count: int, data: bytes) -> tuple[Status, bytes]:
        address, region = int.from_bytes(where[:3], "little"), where[3]
        if 2 * count > self.payload_limit:
            return Status.BAD_REQUEST, b""
        words = self.regions.get(region, 0)
        if words == 0 or address + count > words:
            return Status.BAD_ADDRESS, b""
        if kind == Request.WRITE and region == Region.COUNTERS:
            return Status.BAD_ADDRESS, b""
        if self.running and region not in (Region.REGISTERS, Region.COUNTERS):
            return Status.BUSY, b""
        cells = self.memory[region]
        if kind == Request.READ:
            return Status.OK, np.array(cells[address : address + count], "<u2").tobytes()
        for offset, word in enumerate(np.frombuffer(data, "<u2").tolist()):
            cells[address + offset] = word
            self.written.append((region, address + offset, word))
        return Status.OK, b""


@dataclass
class Seen:
    """What the link did, with the cycles in which it did it."""

    sent: bytearray = field(default_factory=bytearray)
    sent_at: list[int] = field(default_factory=list)
    taken_at: list[int] = field(default_factory=list)
    written: list[tuple[int, int, int]] = field(default_factory=list)
    written_at: list[int] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)


class Bench:
    """Drives the link and its surroundings cycle by cycle."""

    QUIET = 40
    """Cycles without anything after which the link is taken to be done."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.regions = {int(region): words for region, words in given["regions"].items()}
        self.read_latency: int = given["read_latency"]
        self.identity = bytes.fromhex(given["identity"])
        self.overhead: int = given["overhead"]
        self.random = np.random.default_rng(given["seed"])
        self.memory = {
            region: self.random.integers(0, 1 << 16, words).tolist()
            for region, words in self.regions.items()
        }
        self.model = self.fresh_model()
        self.gaps = {"rx": 0.0, "tx": 0.0, "samples": 0.0}
        self.now = 0
        self.state_later: dict[int, tuple[int, int]] = {}
        cocotb.log.info("seed %d", given["seed"])

    def fresh_model(self) -> Model:
        copy = {region: list(words) for region, words in self.memory.items()}
        return Model(self.config.frame_payload, self.regions, self.identity, copy)

    async def start(self) -> None:
        inputs = dict.fromkeys(
            ("rx__valid", "rx__payload", "tx__ready", "samples__ready", "bus__read_data"), 0
        )
        await start(self.dut, **inputs, state=0, running=0, credits=0, overflow=0)

    def data(self, count: int) -> bytes:
        """Random bytes, many of them start bytes."""
        values = self.random.integers(0, 256, count)
        return bytes(np.where(self.random.random(count) < 0.1, REQUEST_START, values).tolist())

    def word_list(self, count: int) -> list[int]:
        return self.random.integers(0, 1 << 16, count).tolist()

    def open_places(self) -> list[tuple[int, int]]:
        """Regions that exist, with their words."""
        return [(region, words) for region, words in self.regions.items() if words]

    def happens(self, name: str) -> int:
        return int(self.gaps[name] == 0 or self.random.random() >= self.gaps[name])

    async def run(self, data: bytes, *, cycles: int | None = None) -> Seen:
        """Send bytes until the link is quiet, or for so many cycles; returns all that it did."""
        dut, seen, position, quiet = self.dut, Seen(), 0, 0
        returning: dict[int, int] = {}
        held = 0
        begin = self.now
        model = self.model
        dut.state.value, dut.running.value = int(model.state), model.running
        dut.credits.value, dut.overflow.value = model.credits, model.overflow
        while quiet < self.QUIET if cycles is None else self.now < begin + cycles:
            held = int(position < len(data) and (held or self.happens("rx")))
            dut.rx__valid.value = held
            dut.rx__payload.value = data[position] if held else int(self.random.integers(256))
            dut.tx__ready.value = self.happens("tx")
            dut.samples__ready.value = self.happens("samples")
            noise = int(self.random.integers(1 << 16))
            dut.bus__read_data.value = returning.pop(self.now, noise)
            if self.now in self.state_later:
                dut.state.value, dut.running.value = self.state_later.pop(self.now)
            await Timer(1, unit="ns")
            quiet += 1
            if held and int(dut.rx__ready.value):
                seen.taken_at.append(self.now)
                position += 1
                held = quiet = 0
            if int(dut.tx__valid.value) and int(dut.tx__ready.value):
                seen.sent.append(int(dut.tx__payload.value))
                seen.sent_at.append(self.now)
                quiet = 0
            if int(dut.samples__valid.value) and int(dut.samples__ready.value):
                byte = int(dut.samples__payload.value)
                seen.samples.append(END if byte >> 8 else byte)
                quiet = 0
            quiet = 0 if self.serve_bus(seen, returning) else quiet
            self.now += 1
            await cycle(dut)
        assert cycles is not None or position == len(data), f"stuck at byte {position}"
        dut.rx__valid.value = 0
        return seen

    def serve_bus(self, seen: Seen, returning: dict[int, int]) -> bool:
        """Write a word, or fetch one for `read_latency` cycles later."""
        dut = self.dut
        writing, reading = int(dut.bus__write_enable.value), int(dut.bus__read_enable.value)
        if not (writing or reading):
            return False
        assert not (writing and reading)
        region, address = int(dut.bus__region.value), int(dut.bus__address.value)
        if writing:
            word = int(dut.bus__write_data.value)
            self.memory[region][address] = word
            seen.written.append((region, address, word))
            seen.written_at.append(self.now)
        else:
            returning[self.now + self.read_latency] = self.memory[region][address]
        return True

    async def check(self, data: bytes) -> Seen:
        """Send bytes and compare with the model; returns what the link did."""
        model = self.model
        for record in (model.sent, model.statuses, model.written, model.samples):
            record.clear()
        model.take(data)
        seen = await self.run(data)
        assert bytes(seen.sent) == bytes(model.sent), (
            f"sent {seen.sent.hex(' ')}, expected {model.sent.hex(' ')} {model.statuses}"
        )
        assert seen.written == model.written
        assert seen.samples == model.samples
        assert self.memory == model.memory
        return seen

    async def check_damaged(self, data: bytes) -> Seen:
        """The same, and on to the end of a frame that would swallow what follows."""
        seen = await self.check(data)
        if self.model.pending:
            later = await self.check(self.flush())
            seen.written += later.written
            seen.samples += later.samples
        return seen

    def flush(self) -> bytes:
        """Zeros to the end of any frame that has begun, then SYNCHRONISE."""
        longest = FRAME_HEADER_BYTES - 1 + self.config.frame_payload + CHECKSUM_BYTES
        zeros = bytes(longest if self.model.pending else 0)
        return zeros + request(Request.SYNCHRONISE, int(self.random.integers(256)))

    async def recover(self) -> None:
        await self.check(self.flush())
        assert self.model.statuses[-1] == Status.OK

    def next(self) -> int:
        return (self.model.last + 1) % 256


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_answer(dut: Any) -> None:
    """Each kind, each status, the borders of every region and length."""
    bench = Bench(dut)
    await bench.start()
    model, limit = bench.model, bench.config.frame_payload
    seen: set[Status] = set()
    frames = bytearray()
    expected: list[Status] = []

    def expect(status: Status, kind: int, payload: bytes) -> None:
        frames.extend(request(kind, model.last + 1 + len(expected), payload))
        expected.append(status)

    async def check() -> None:
        await bench.check(bytes(frames))
        assert model.statuses == expected
        seen.update(expected)
        frames.clear()
        expected.clear()

    expect(Status.OK, Request.IDENTIFY, b"")
    for kind in (0, 7, 0xA5, 255):
        expect(Status.BAD_REQUEST, kind, b"")
    for kind in (Request.IDENTIFY, Request.SYNCHRONISE):
        expect(Status.BAD_REQUEST, kind, b"\0")
    for length in (0, 4, 5, 7, limit):
        expect(Status.BAD_REQUEST, Request.READ, bytes(length))
    for length in (0, 2, 3, 5, limit - 1):
        expect(Status.BAD_REQUEST, Request.WRITE, bytes(length))
    for count in (limit // 2 + 1, limit, 0x8000, 0xFFFF):
        payload = place(Region.WEIGHT, 0) + count.to_bytes(2, "little")
        expect(Status.BAD_REQUEST, Request.READ, payload)
    await check()

    fit = limit // 2 - ADDRESS_BYTES // 2
    for region in (*range(12), 0x84, 255):
        words = bench.regions.get(region, 0)
        for model.running in (0, 1):
            refused = Status.BUSY if model.running and region > Region.COUNTERS else Status.OK
            for address, count in (
                (0, 0),
                (0, 1),
                (0, fit),
                (words - 1, 1),
                (words - 1, 2),
                (words, 0),
                (words, 1),
                (words - fit, fit),
                (words - fit + 1, fit),
                (0x10000, 1),
                (0xFFFFFF, 1),
                (0xFFFFFF - fit + 1, fit),
            ):
                if address < 0:
                    continue
                inside = words > 0 and address + count <= words
                payload = place(region, address) + count.to_bytes(2, "little")
                expect(refused if inside else Status.BAD_ADDRESS, Request.READ, payload)
                inside = inside and region != Region.COUNTERS
                data = np.array(bench.word_list(count), "<u2").tobytes()
                status = refused if inside else Status.BAD_ADDRESS
                expect(status, Request.WRITE, place(region, address) + data)
            await check()
    model.running = 0

    for model.credits in range(INPUT_BUFFERS + 1):
        for model.state in State:
            for kind in (Request.SAMPLES, Request.SAMPLES_END):
                for length in (0, 1, 2, 3, limit):
                    status = Status.OK if model.credits else Status.NO_CREDIT
                    expect(status, kind, bench.data(length))
            await check()
    model.overflow = 1
    expect(Status.NO_CREDIT, Request.SAMPLES, b"12")
    expect(Status.NO_CREDIT, Request.SAMPLES_END, b"")
    await check()
    assert model.samples == [*b"12", END]
    assert seen == set(Status) - {Status.BAD_SEQUENCE, Status.BAD_CHECKSUM}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sequence_numbers(dut: Any) -> None:
    """The next one is accepted, through the wrap; any other is answered with the last one."""
    bench = Bench(dut)
    await bench.start()
    model = bench.model
    for wrong in (0, 2, 255):
        await bench.check(request(Request.IDENTIFY, wrong))
        assert model.statuses == [Status.BAD_SEQUENCE] and model.last == 0
    for sequence in (1, 200, 0, 255):
        await bench.check(request(Request.SYNCHRONISE, sequence))
        assert model.statuses == [Status.OK]
        for wrong in (sequence, sequence - 1, sequence + 2, sequence + 128):
            await bench.check(write(wrong, Region.WEIGHT, 0, [1, 2]))
            assert model.statuses == [Status.BAD_SEQUENCE]
        await bench.check(request(Request.SYNCHRONISE, sequence + 9, b"no"))
        assert model.statuses == [Status.BAD_SEQUENCE]
        for step in (1, 2, 3):
            await bench.check(write(sequence + step, Region.WEIGHT, step, [step]))
            assert model.statuses == [Status.OK]
    # All at once: the refused frame in the middle costs what follows, until it is sent again.
    good = [write(bench.next() + i, Region.WEIGHT, i, [i]) for i in range(4)]
    bad = good[1][:-1] + bytes((good[1][-1] ^ 1,))
    await bench.check(good[0] + bad + good[2] + good[1] + good[2] + good[3])
    assert [s.name for s in model.statuses] == (
        ["OK", "BAD_CHECKSUM", "BAD_SEQUENCE", "OK", "OK", "OK"]
    )


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def random_traffic(dut: Any) -> None:
    """Frames of all kinds, good and bad, back to back, with gaps and stalls on all sides."""
    bench = Bench(dut)
    await bench.start()
    limit, random = bench.config.frame_payload, bench.random
    for rx, tx, samples in ((0, 0, 0), (0.5, 0, 0), (0, 0.6, 0), (0, 0, 0.7), (0.4, 0.5, 0.5)):
        bench.gaps = {"rx": rx, "tx": tx, "samples": samples}
        for _ in range(8):
            model = bench.model
            model.credits = int(random.integers(INPUT_BUFFERS + 1))
            model.running = int(random.random() < 0.3)
            model.overflow = int(random.random() < 0.2)
            traffic, sequence = b"", model.last
            for _ in range(16):
                sequence += int(random.random() < 0.9)
                region = int(random.choice(list(bench.regions)))
                words = bench.regions[region]
                count = int(random.integers(0, limit // 2 - 2 if random.random() < 0.3 else 6))
                address = int(random.integers(0, max(1, words - count + 2)))
                match int(random.integers(6)):
                    case 0:
                        traffic += read(sequence, region, address, count)
                    case 1:
                        traffic += write(sequence, region, address, bench.word_list(count))
                    case 2:
                        traffic += request(Request.SAMPLES, sequence, bench.data(count))
                    case 3:
                        traffic += request(Request.SAMPLES_END, sequence, bench.data(count))
                    case 4:
                        traffic += request(int(random.integers(8)), sequence)
                    case 5:
                        traffic += bench.data(int(random.integers(0, 4)))
            await bench.check(traffic)
            await bench.recover()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def every_flipped_bit(dut: Any) -> None:
    """No single wrong bit of a frame gets anything written; the next frame is understood."""
    bench = Bench(dut)
    await bench.start()
    for make in (
        lambda: write(bench.next(), Region.WEIGHT, 3, [0xA5A5, 0x1234]),
        lambda: request(Request.SAMPLES_END, bench.next(), b"abc"),
    ):
        for bit in range(8 * len(make())):
            frame = bytearray(make())
            frame[bit // 8] ^= 1 << bit % 8
            seen = await bench.check_damaged(bytes(frame))
            assert not seen.written and not seen.samples, f"bit {bit}"
            await bench.check(make())
            assert bench.model.statuses == [Status.OK]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def lost_and_doubled_bytes(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    length = len(write(0, Region.WEIGHT, 3, [0xA5A5, 0x1234]))
    for position in range(length):
        for copies in (0, 2, 3):
            frame = write(bench.next(), Region.WEIGHT, 3, [0xA5A5, 0x1234])
            damaged = frame[:position] + frame[position : position + 1] * copies
            damaged += frame[position + 1 :]
            seen = await bench.check_damaged(damaged)
            assert frame in damaged or not seen.written, f"byte {position}, {copies} times"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def garbage(dut: Any) -> None:
    """20000 random bytes write nothing, hang nothing and are answered as the model answers."""
    bench = Bench(dut)
    await bench.start()
    random, count = bench.random, 4000
    starts = np.where(random.random(count) < 0.2, REQUEST_START, random.integers(0, 256, count))
    small = random.integers(0, 4, count)
    for values in (
        random.integers(0, 256, count),
        starts,
        np.where(random.random(count) < 0.3, REQUEST_START, small),
        np.where(random.random(count) < 0.1, REQUEST_START, small * (random.random(count) < 0.2)),
        np.full(count, REQUEST_START),
    ):
        seen = await bench.check(bytes(values.tolist()))
        assert not seen.written and not seen.samples
        await bench.recover()
        await bench.check(write(bench.next(), Region.WEIGHT, 0, [7]))
        assert bench.model.statuses == [Status.OK]


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def too_long_a_payload(dut: Any) -> None:
    """Its header is dropped, and the hunt for a start byte goes on right behind it."""
    bench = Bench(dut)
    await bench.start()
    limit = bench.config.frame_payload
    for length in (limit + 1, limit + 2, 2 * limit, 4 * limit, 0x8000, 0xFFFF):
        header = request(Request.SAMPLES, bench.next(), length=length)[:FRAME_HEADER_BYTES]
        await bench.check(header + request(Request.IDENTIFY, bench.next()))
        assert bench.model.statuses == [Status.OK]


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def samples_keep_up(dut: Any) -> None:
    """SAMPLES of n bytes take n + 10 cycles: a cycle more than their frames have bytes."""
    bench = Bench(dut)
    await bench.start()
    for kind in (Request.SAMPLES, Request.SAMPLES_END):
        for length in (bench.config.frame_payload, 33, 8, 2):
            frames = [request(kind, bench.next() + i, bench.data(length)) for i in range(8)]
            seen = await bench.check(b"".join(frames))
            cycles = seen.taken_at[-1] - seen.taken_at[0] + 1
            # There is nothing behind the last one that would have to wait.
            expected = len(frames) * (length + bench.overhead) - 1
            assert cycles == expected, (kind, length, cycles)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def words_keep_up(dut: Any) -> None:
    """A word is written every 2 cycles; words are read at the rate of their bytes."""
    bench = Bench(dut)
    await bench.start()
    limit = bench.config.frame_payload
    for count in (1, 2, 3, limit // 2 - 2):
        seen = await bench.check(write(bench.next(), Region.WEIGHT, 0, bench.word_list(count)))
        assert np.all(np.diff(seen.written_at) == 2)
        assert seen.written_at[0] - seen.taken_at[-1] <= 16
    for count in (1, 2, 3, limit // 2):
        seen = await bench.check(read(bench.next(), Region.WEIGHT, 0, count))
        assert np.all(np.diff(seen.sent_at) == 1)
        latency = seen.sent_at[-1] - seen.taken_at[-1]
        frame = ANSWER_HEADER_BYTES + 2 * count + CHECKSUM_BYTES
        assert latency <= frame + bench.read_latency + 20, (count, latency)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def writes_are_seen(dut: Any) -> None:
    """The answer to RUN says RUNNING, and the frame right behind it is already refused."""
    bench = Bench(dut)
    await bench.start()
    model = bench.model
    run = write(1, Region.REGISTERS, Register.CONTROL, [Control.RUN])
    behind = write(2, Region.WEIGHT, 0, [1])
    # The first word on the bus comes in the same cycle every time: find it, then start again.
    seen = await bench.run(run)
    delay = seen.written_at[0] - seen.taken_at[0]
    await reset(bench.dut, 1)
    bench.state_later[bench.now + delay + NOTICE] = (State.RUNNING, 1)
    seen = await bench.run(run + behind)
    assert len(seen.written) == 1
    model.state, model.running = State.RUNNING, 1
    model.take(run + behind)
    assert bytes(seen.sent) == bytes(model.sent)
    assert model.statuses == [Status.OK, Status.BUSY]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_in_mid_frame(dut: Any) -> None:
    """Wherever a reset strikes, frame 1 is the next one and nothing of before appears."""
    bench = Bench(dut)
    await bench.start()
    traffic = (
        request(Request.SAMPLES_END, 1, b"12345")
        + read(2, Region.WEIGHT, 0, 8)
        + write(3, Region.WEIGHT, 0, [1, 2, 3])
        + request(Request.IDENTIFY, 4)
    )
    bench.gaps["tx"] = 0.1
    for cycles in range(0, 2 * len(traffic), 3):
        await bench.run(traffic, cycles=cycles)
        await reset(bench.dut, 1)
        bench.model = bench.fresh_model()
        await bench.check(traffic)
        assert bench.model.statuses == [Status.OK] * 4
        await reset(bench.dut, 1)
        bench.model = bench.fresh_model()
