"""Devices: the golden one, and the link to any other, on a double with a golden device inside."""

import numpy as np
import pytest

from host.devices.device import Device, DeviceError, DeviceStatus, as_words, open_device
from host.devices.framing import SEQUENCES, checksum, next_sequence
from host.devices.golden_device import GoldenDevice
from host.devices.link_device import LinkDevice
from hw.build_identity import build_identity
from hw.config import region_words
from hw.configurations import configuration
from hw.isa import (
    ADDRESS_BYTES,
    CHECKSUM_BYTES,
    FRAME_HEADER_BYTES,
    REQUEST_START,
    RESPONSE_START,
    Control,
    Error,
    Instruction,
    Opcode,
    Region,
    Register,
    Request,
    State,
    Status,
)

CONFIG = configuration("up5k-4x2")


class LinkDouble:
    """A transport whose device is the golden one, and whose line can be disturbed.

    `damage` maps the count of a byte that leaves ('request') or arrives ('answer') to the bits
    that flip there.
    """

    name = "double"
    patience = "no time"
    window = 4

    def __init__(self, *, identity=None, damage=()):
        self.golden = GoldenDevice(CONFIG)
        self.identity = identity or self.golden.identity
        self.damage = dict(damage)
        self.counts = {"request": 0, "answer": 0}
        self.incoming = bytearray()
        self.answers = bytearray()
        self.last = 0
        self.receives = 0
        self.requests: list[Request] = []
        self.closed = False

    def send(self, data):
        self.incoming += self._disturbed("request", data)
        self._work()

    def receive(self, want):
        self.receives += 1
        data, self.answers = bytes(self.answers), bytearray()
        return self._disturbed("answer", data)

    def pause(self, polls):
        pass

    def close(self):
        self.closed = True

    def _disturbed(self, way, data):
        first = self.counts[way]
        self.counts[way] += len(data)
        flips = [self.damage.pop((way, first + k), 0) for k in range(len(data))]
        return bytes(byte ^ flip for byte, flip in zip(data, flips, strict=True))

    def _work(self):
        """Act on whole frames; a frame cut short waits for its rest, as in the gateware."""
        while True:
            start = self.incoming.find(bytes([REQUEST_START]))
            del self.incoming[: len(self.incoming) if start < 0 else start]
            if len(self.incoming) < FRAME_HEADER_BYTES:
                return
            length = int.from_bytes(self.incoming[3:5], "little")
            end = FRAME_HEADER_BYTES + length
            if length <= CONFIG.frame_payload and len(self.incoming) < end + CHECKSUM_BYTES:
                return
            if length > CONFIG.frame_payload:
                self._answer(self.incoming[1], Status.BAD_CHECKSUM)
                del self.incoming[:1]
                continue
            frame = bytes(self.incoming[: end + CHECKSUM_BYTES])
            del self.incoming[: end + CHECKSUM_BYTES]
            intact = checksum(frame[1:end]) == frame[end:]
            self._take(frame[1], frame[2], frame[FRAME_HEADER_BYTES:end], intact)

    def _take(self, sequence, kind, payload, intact):
        if not intact:
            return self._answer(sequence, Status.BAD_CHECKSUM)
        if kind != Request.SYNCHRONISE and sequence != next_sequence(self.last):
            return self._answer(sequence, Status.BAD_SEQUENCE, bytes([self.last]))
        self.last = sequence
        self.requests.append(Request(kind))
        try:
            self._answer(sequence, Status.OK, self._carry_out(kind, payload))
        except DeviceError as error:
            self._answer(sequence, error.status)

    def _carry_out(self, kind, payload):
        address = int.from_bytes(payload[:3], "little")
        match kind:
            case Request.IDENTIFY:
                return self.identity
            case Request.READ:
                count = int.from_bytes(payload[4:], "little")
                return self.golden.read(Region(payload[3]), address, count).tobytes()
            case Request.WRITE:
                words = np.frombuffer(payload[ADDRESS_BYTES:], "<u2")
                self.golden.write(Region(payload[3]), address, words)
            case Request.SAMPLES | Request.SAMPLES_END:
                self.golden.stream(payload, end=kind == Request.SAMPLES_END)
        return b""

    def _answer(self, sequence, status, payload=b""):
        now = self.golden.poll()
        header = bytes([sequence, status, now.state | now.credits << 4])
        body = header + len(payload).to_bytes(2, "little") + payload
        self.answers += bytes([RESPONSE_START]) + body + checksum(body)


def open_golden():
    return GoldenDevice(CONFIG)


def open_link():
    return LinkDevice(LinkDouble(), CONFIG)


def open_sim():
    return open_device("sim", CONFIG, report=print)


@pytest.fixture(
    params=[open_golden, open_link, pytest.param(open_sim, marks=pytest.mark.simulator)],
    ids=["golden", "link", "sim"],
)
def device(request):
    with request.param() as opened:
        yield opened


def write_program(device, *instructions):
    words = np.array([i.encode() for i in instructions]).reshape(-1)
    device.write(Region.PROGRAM, 0, words)


def load_samples_program(device):
    """A program that takes batches of 3 samples, of 2 bytes and a label each."""
    write_program(
        device,
        Instruction(opcode=Opcode.ACQUIRE, columns=3),
        Instruction(opcode=Opcode.RELEASE),
        Instruction(opcode=Opcode.LOOP, rows=0),
        Instruction(opcode=Opcode.END),
    )
    device.write(Region.REGISTERS, Register.FEATURES, [2, 1, 0, 1, 1])


def test_is_a_device(device):
    assert isinstance(device, Device)
    assert device.identity == build_identity(CONFIG) and len(device.identity) == 16
    assert device.poll() == DeviceStatus(State.IDLE, 2)


def test_memories_read_back(device):
    rng = np.random.default_rng(1)
    for region, words in region_words(CONFIG).items():
        if region in (Region.REGISTERS, Region.COUNTERS) or not words:
            continue
        first = words // 3
        values = rng.integers(-(2**15), 2**15, words - first).astype(np.int16)
        if region == Region.LFSR:
            first = 0
            values = np.resize(values, words)
        device.write(region, first, values)
        assert np.array_equal(device.read(region, first, len(values)).view(np.int16), values)
        assert len(device.read(region, first, 0)) == 0


@pytest.mark.parametrize(
    ("region", "address", "count"),
    [
        (Region.WEIGHT, region_words(CONFIG)[Region.WEIGHT] - 1, 2),
        (Region.MOMENTUM, 0, 1),
        (Region.REGISTERS, len(Register), 1),
        (Region.PROGRAM, -1, 1),
    ],
)
def test_addresses_outside_are_refused(device, region, address, count):
    with pytest.raises(DeviceError, match="BAD_ADDRESS") as caught:
        device.read(region, address, count)
    assert caught.value.status == Status.BAD_ADDRESS
    with pytest.raises(DeviceError, match=f"write of {count} words at {region.name} {address}"):
        device.write(region, address, [0] * count)


def test_counters_are_read_only(device):
    with pytest.raises(DeviceError, match="BAD_ADDRESS"):
        device.write(Region.COUNTERS, 0, 1)


def test_busy_while_a_program_waits(device):
    load_samples_program(device)
    device.run(0, 2)
    assert device.poll().state == State.RUNNING
    with pytest.raises(DeviceError, match=r"BUSY.*wait\(\)") as caught:
        device.read(Region.WEIGHT, 0, 1)
    assert caught.value.status == Status.BUSY
    assert len(device.read(Region.COUNTERS, 0, 4)) == 4
    batch = bytes(range(9))
    device.stream(batch[:4], end=False)
    device.stream(batch[4:])
    device.stream(memoryview(batch))
    device.wait()
    assert device.poll() == DeviceStatus(State.IDLE, 2)


def test_full_buffers_need_a_program(device):
    load_samples_program(device)
    device.stream(bytes(9))
    device.stream(bytes(9))
    assert device.poll().credits == 0
    with pytest.raises(DeviceError, match="no program runs"):
        device.stream(bytes(9))
    device.write(Region.REGISTERS, Register.CONTROL, Control.STOP)
    assert device.poll().credits == 2


def test_a_batch_larger_than_a_buffer_is_refused(device):
    load_samples_program(device)
    device.write(Region.REGISTERS, Register.INPUT_STRIDE, CONFIG.input_tiles)
    device.stream(bytes(2 * 3))
    with pytest.raises(DeviceError, match="larger than a buffer") as caught:
        device.stream(bytes(3 * 3))
    assert caught.value.status == Status.NO_CREDIT


def test_failed_program_is_explained(device):
    load_samples_program(device)
    device.run(0)
    device.stream(bytes(6))
    with pytest.raises(DeviceError, match="BATCH_SIZE.*instruction|instruction 0.*BATCH_SIZE") as e:
        device.wait()
    assert e.value.error == Error.BATCH_SIZE
    device.write(Region.REGISTERS, Register.CONTROL, Control.STOP)
    device.wait()
    device.run(CONFIG.program_length - 1)
    device.wait()  # an empty program memory holds END


def test_steps_halt(device):
    write_program(
        device,
        Instruction(opcode=Opcode.LOOP, rows=1),
        Instruction(opcode=Opcode.END),
    )
    device.step(0)
    device.wait()
    assert device.poll().state == State.HALTED
    assert device.read(Region.COUNTERS, 2, 1)[0] == 1
    device.step(0)
    device.wait()
    assert device.poll().state == State.IDLE


@pytest.mark.parametrize(
    "opened", [open_golden, pytest.param(open_sim, marks=pytest.mark.simulator)]
)
def test_starvation_is_noticed(opened):
    device = opened()
    load_samples_program(device)
    device.run(0)
    with pytest.raises(DeviceError, match="waits for a batch"):
        device.wait()
    device.close()


@pytest.mark.simulator
def test_a_device_that_gets_nowhere_is_noticed(monkeypatch):
    """It answers, that it runs and has no buffer free, and so it does for ever."""
    with open_sim() as device:
        there = DeviceStatus(state=State.RUNNING, credits=0)
        monkeypatch.setattr(device, "poll", lambda: there)
        monkeypatch.setattr(device, "_status", there)
        monkeypatch.setattr(device, "read", lambda region, first, count: np.zeros(count, np.uint16))
        monkeypatch.setattr(device._transport, "pause", lambda polls: None)
        with pytest.raises(DeviceError, match="has stood at instruction 0 for 4096 polls"):
            device.stream(b"\0")
        with pytest.raises(DeviceError, match="has stood at instruction 0"):
            device.wait()


def test_open_device():
    assert open_device("golden", CONFIG).name == "golden"
    with pytest.raises(ValueError, match="must be one of golden, sim, .*, not 'gpu'"):
        open_device("gpu", CONFIG)
    with pytest.raises(ValueError, match="golden takes no 'x'"):
        open_device("golden:x", CONFIG)
    with pytest.raises(ValueError, match="must be ice40, ecp5 or gowin .*not 'behavioural'"):
        open_device("netlist", CONFIG.with_family("behavioural"))


def test_as_words():
    assert as_words(-1).tolist() == [0xFFFF]
    assert as_words([0, 65535]).tolist() == [0, 65535]
    for wrong in (65536, [-32769], [0.5], [[1]]):
        with pytest.raises(ValueError, match="words must be"):
            as_words(wrong)


def test_other_build_is_refused():
    double = LinkDouble(identity=bytes(16))
    with pytest.raises(DeviceError, match=f"{'00' * 16}.*must be.*sources") as caught:
        LinkDevice(double, CONFIG)
    assert build_identity(CONFIG).hex() in str(caught.value)
    assert double.closed
    other = LinkDouble(identity=build_identity(configuration("ecp5-8x8")))
    with pytest.raises(DeviceError, match="has the configuration ecp5-8x8"):
        LinkDevice(other, CONFIG)


def test_identity_depends_on_sizes_alone():
    config = configuration("ecp5-8x8")
    assert build_identity(config) == build_identity(config.with_family("behavioural"))
    assert build_identity(config) != build_identity(configuration("ecp5-16x8"))


def test_silent_device_is_reported():
    double = LinkDouble()
    double.send = lambda data: None
    with pytest.raises(DeviceError, match="no intact answer.*within no time"):
        LinkDevice(double, CONFIG)


def test_requests_are_pipelined():
    double = LinkDouble()
    device = LinkDevice(double, CONFIG)
    before = double.receives
    words = 8 * CONFIG.frame_payload // 2
    device.read(Region.ACTIVATION, 0, words)
    assert double.requests.count(Request.READ) == 8
    assert double.receives - before == 2
    before = double.receives
    device.write(Region.REGISTERS, Register.FEATURES, 64)
    before = double.receives
    device.stream(bytes(4 * CONFIG.frame_payload))
    assert double.receives - before == 1


@pytest.mark.parametrize("way", ["request", "answer"])
def test_damaged_lines_lose_nothing(way):
    """Whichever byte of a session is damaged, memories and samples end as without damage."""
    rng = np.random.default_rng(5)
    words = rng.integers(0, 2**16, 90).astype(np.uint16)
    batch = rng.integers(0, 256, 3 * 50, dtype=np.uint8).tobytes()

    def session(damage):
        double = LinkDouble(damage=damage)
        device = LinkDevice(double, CONFIG)
        load_samples_program(device)
        device.write(Region.REGISTERS, Register.FEATURES, [49, 1, 0, 13, 1])
        device.write(Region.WEIGHT, 7, words)
        device.run(0, 2)
        for _ in range(2):
            device.stream(batch)
        device.wait()
        assert np.array_equal(device.read(Region.WEIGHT, 7, 90), words)
        images = [device.read(r, 0, n) for r, n in region_words(CONFIG).items() if n]
        return double, np.concatenate(images)

    double, expected = session(())
    total = double.counts[way]
    opening = 200
    for place in range(opening, total, total // 97):
        _, images = session({(way, place): int(rng.integers(1, 256))}.items())
        assert np.array_equal(images, expected), place


def test_a_line_that_damages_everything_is_given_up():
    double = LinkDouble()
    device = LinkDevice(double, CONFIG)
    double.damage = {("request", n): 0x10 for n in range(10**5)}
    with pytest.raises(DeviceError, match="no intact answer"):
        device.read(Region.WEIGHT, 0, 1)


def test_sequence_numbers_wrap():
    device = open_link()
    device.write(Region.WEIGHT, 0, [7])
    for _ in range(2 * SEQUENCES):
        assert device.poll() == DeviceStatus(state=State.IDLE, credits=2)
    assert device.read(Region.WEIGHT, 0, 1).tolist() == [7]
