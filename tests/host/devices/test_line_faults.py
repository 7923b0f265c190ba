"""Bytes that are damaged, lost, doubled and made up, both ways, by simulated gateware's clock.

host --frames--> FaultyLine --bytes--> simulation
"""

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from host.devices import requests
from host.devices.device import DeviceError, open_device
from host.devices.framing import AnswerDecoder, encode_request
from host.devices.link_device import LinkDevice
from host.devices.serial_device import WINDOW
from host.devices.sim_device import PATIENCE, SimulationTransport, open_simulation
from host.trainer import Trainer
from hw.config import region_words
from hw.configurations import configuration
from hw.isa import (
    ADDRESS_BYTES,
    CHECKSUM_BYTES,
    REQUEST_START,
    Region,
    Request,
    Status,
)
from sim.compare import differing_words, read_state
from sim.rtl.simulation import Simulation
from tests.host.devices.test_serial_device import iris_plan

CONFIG = configuration("up5k-4x2")
KINDS = ("damaged", "lost", "doubled", "made up")

pytestmark = pytest.mark.simulator


class FaultyLine(SimulationTransport):
    """A line on which something happens to each byte with the same probability, either way."""

    window = WINDOW

    def __init__(self, simulation: Simulation, *, seed: int):
        super().__init__(simulation)
        self.chance = 0.0
        self.faults = dict.fromkeys(KINDS, 0)
        self._random = random.Random(seed)

    def send(self, data: bytes) -> None:
        super().send(self._carried(data))

    def receive(self, want: int) -> bytes:
        return self._carried(super().receive(want))

    def _carried(self, data: bytes) -> bytes:
        arrived = bytearray()
        for byte in data:
            if self._random.random() >= self.chance:
                arrived.append(byte)
                continue
            kind = self._random.choice(KINDS)
            self.faults[kind] += 1
            if kind == "damaged":
                arrived.append(byte ^ 1 << self._random.randrange(8))
            elif kind == "doubled":
                arrived += bytes([byte, byte])
            elif kind == "made up":
                arrived += bytes([self._random.randrange(256), byte])
        return bytes(arrived)


@contextmanager
def faulty(seed: int) -> Iterator[tuple[FaultyLine, LinkDevice]]:
    """A line without faults as yet, and the device at its end."""
    with open_simulation(CONFIG) as opened:
        line = FaultyLine(opened.simulation, seed=seed)
        yield line, LinkDevice(line, CONFIG)


@pytest.mark.parametrize(
    ("chance", "epochs", "seed"),
    [
        *[(1e-4, 10, 1), (1e-3, 2, 2), (1e-2, 1, 3)],
        pytest.param(1e-2, 2, 3, marks=pytest.mark.demand),
    ],
)
def test_a_run_ends_with_the_same_bits(chance: float, epochs: int, seed: int) -> None:
    plan = iris_plan(epochs=epochs)
    with open_device("golden", CONFIG) as device:
        trainer = Trainer(device, plan)
        trainer.load()
        expected = [report.train_loss for report in trainer.reports()], read_state(device)
    with faulty(seed) as (line, device):
        line.chance = chance
        trainer = Trainer(device, plan)
        trainer.load()
        losses = [report.train_loss for report in trainer.reports()]
        line.chance = 0.0
        print(f"seed {seed}: {line.faults}, {device._requester.repeats} repeats")
        assert all(line.faults.values())
        assert losses == expected[0]
        assert not list(differing_words(expected[1], read_state(device)))


def test_a_dead_line_is_given_up_in_time() -> None:
    """As many quiet times as a request and its probes may take, and no more."""
    with faulty(4) as (line, device):
        device.write(Region.WEIGHT, 0, [7])
        line._carried = lambda data: b""  # type: ignore[method-assign]
        before = line.simulation.cycles
        with pytest.raises(DeviceError, match="no intact answer from the device within"):
            device.write(Region.WEIGHT, 0, [8])
        quiet = (line.simulation.cycles - before) / PATIENCE
        assert quiet <= 1 + requests.ATTEMPTS
        del line._carried
        assert device.read(Region.WEIGHT, 0, 1).tolist() == [7]


def random_frames(rng: np.random.Generator, last: int, count: int) -> Iterator[bytes]:
    """Frames that a device whose last sequence number is `last` must not obey.

    In turn: noise behind a start byte, intact requests out of order, and WRITEs in order of which
    a bit was flipped, a byte lost or a byte doubled.
    """
    following = (last + 1) % 256
    noise = rng.bytes(8 * count + 8)
    numbers = rng.integers(0, 1 << 30, (count, 2)).tolist()
    write = encode_request(Request.WRITE, following, bytes(ADDRESS_BYTES) + b"\xff\x7f")
    start = bytes([REQUEST_START])
    for index, (first, second) in enumerate(numbers):
        part = noise[8 * index : 8 * index + 1 + first % 8]
        if index % 3 == 0:
            yield start + part
        elif index % 3 == 1:
            sequence = (following + 1 + first % 255) % 256
            # All kinds but SYNCHRONISE, which may come out of order.
            kind = second % 256
            kind += kind == Request.SYNCHRONISE
            body = bytes([sequence, kind % 256]) + len(part).to_bytes(2, "little") + part
            yield start + body + zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "little")
        else:
            # A frame is whole behind two start bytes, and before another last one.
            place = 1 + first % (len(write) - 2)
            bit = bytes([write[place] ^ 1 << second % 8])
            middle = (bit, b"", 2 * write[place : place + 1])[second % 3]
            yield write[:place] + middle + write[place + 1 :]


@pytest.mark.parametrize("count", [300_000, pytest.param(1_000_000, marks=pytest.mark.demand)])
def test_random_frames_write_no_word_and_leave_the_device_alive(count: int) -> None:
    rng = np.random.default_rng(6)
    with open_simulation(CONFIG) as device:
        for region in (Region.WEIGHT, Region.PROGRAM, Region.ACTIVATION):
            words = rng.integers(0, 1 << 16, region_words(CONFIG)[region]).astype(np.uint16)
            device.write(region, 0, words)
        before = read_state(device)
        simulation, last = device.simulation, device._requester._last
        decoder = AnswerDecoder(max_payload=CONFIG.frame_payload)
        statuses = dict.fromkeys(Status, 0)
        for _ in range(20):
            data = b"".join(random_frames(rng, last, count // 20))
            for answer in decoder.feed(simulation.exchange(data, max_cycles=20 * len(data))):
                statuses[answer.status] += 1
        print(statuses)
        assert statuses[Status.OK] == 0
        assert min(statuses[Status.BAD_CHECKSUM], statuses[Status.BAD_SEQUENCE]) > count / 10
        device._requester.synchronise()
        assert not list(differing_words(before, read_state(device)))


def test_requests_in_order_that_make_no_sense_write_no_word() -> None:
    rng = np.random.default_rng(7)
    sizes = region_words(CONFIG)
    with open_simulation(CONFIG) as device:
        before = read_state(device)
        sequence = device._requester._last
        frames, expected = [], []
        for _ in range(20_000):
            sequence = (sequence + 1) % 256
            region, words = int(rng.integers(256)), int(rng.integers(1, 8))
            room = sizes[Region(region)] if region in list(Region) else 0
            writable = region != Region.COUNTERS
            address = int(rng.integers(max(0, room - words + 1) if writable else 0, 1 << 24))
            place = address.to_bytes(ADDRESS_BYTES - 1, "little") + bytes([region])
            kind, payload, status = (
                (Request.WRITE, place + rng.bytes(2 * words), Status.BAD_ADDRESS),
                (Request.WRITE, rng.bytes(int(rng.choice([0, 1, 2, 3, 5, 7]))), Status.BAD_REQUEST),
                (Request.READ, rng.bytes(int(rng.choice([0, 5, 7]))), Status.BAD_REQUEST),
                (Request.IDENTIFY, rng.bytes(words), Status.BAD_REQUEST),
            )[int(rng.integers(4))]
            frames.append(encode_request(kind, sequence, payload))
            expected.append(status)
        data = b"".join(frames)
        received = device.simulation.exchange(
            data, len(frames) * (6 + CHECKSUM_BYTES), max_cycles=20 * len(data)
        )
        answers = AnswerDecoder(max_payload=CONFIG.frame_payload).feed(received)
        assert [answer.status for answer in answers] == expected
        device._requester.synchronise()
        assert not list(differing_words(before, read_state(device)))
