"""Bench of link and loader together: credits and overflows are right at the full rate of `rx`.

Parameters: `config` (fields of a DeviceConfig), `seed`.
"""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer

from hw.config import DeviceConfig
from hw.isa import ANSWER_HEADER_BYTES, CHECKSUM_BYTES, INPUT_BUFFERS, Request, Status
from sim.bench import cycle, parameters, start
from sim.bench.bench_link import request

ANSWER_BYTES = ANSWER_HEADER_BYTES + CHECKSUM_BYTES


class Bench:
    """Sends frames without a pause and collects (status, credits) of each answer."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = dut
        self.config = DeviceConfig(**given["config"])
        self.random = np.random.default_rng(given["seed"])
        self.sequence = 0
        cocotb.log.info("seed %d", given["seed"])

    async def start(self, features: int, stride: int) -> None:
        await start(
            self.dut,
            rx__valid=0,
            rx__payload=0,
            release=0,
            features=features,
            input_stride=stride,
        )

    def frame(self, kind: Request, count: int) -> bytes:
        self.sequence += 1
        data = self.random.integers(0, 256, count, np.uint8)
        return request(kind, self.sequence, data.tobytes())

    async def send(self, frames: list[bytes], *, waits: bool) -> list[tuple[Status, int]]:
        """Send frames without a gap; `waits` allows for a short one that has to wait for a long.

        Any frame may wait for a cycle behind another.
        """
        dut, answers, quiet, waited = self.dut, bytearray(), 0, 0
        data = b"".join(frames)
        position = 0
        while quiet < 40:
            dut.rx__valid.value = int(position < len(data))
            dut.rx__payload.value = data[position] if position < len(data) else 0
            await Timer(1, unit="ns")
            quiet += 1
            if position < len(data):
                ready = int(dut.rx__ready.value)
                waited += not ready
                assert waited < len(frames) or waits, f"byte {position} has to wait"
                position += ready
                quiet = 0
            if int(dut.tx__valid.value):
                answers.append(int(dut.tx__payload.value))
                quiet = 0
            await cycle(dut)
        assert len(answers) == ANSWER_BYTES * len(frames)
        heads = range(0, len(answers), ANSWER_BYTES)
        return [(Status(answers[at + 2]), answers[at + 3] >> 4) for at in heads]

    async def release(self) -> int:
        """Release the front buffer; the number of samples that it held."""
        assert int(self.dut.full.value)
        samples = int(self.dut.front_samples.value)
        self.dut.release.value = 1
        await cycle(self.dut)
        self.dut.release.value = 0
        return samples


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def credits_at_full_rate(dut: Any) -> None:
    """Each end takes a credit before the next frame is looked at; without one, nothing happens."""
    bench = Bench(dut)
    await bench.start(features=1, stride=1)
    for length in (2, 3, 4, 5, 8, 20):
        pairs = [(Request.SAMPLES_END, length)] * (INPUT_BUFFERS + 1)
        pairs += [(Request.SAMPLES, length)]
        frames = [bench.frame(kind, count) for kind, count in pairs]
        answers = await bench.send(frames, waits=False)
        falling = [(Status.OK, left) for left in reversed(range(INPUT_BUFFERS))]
        assert answers == falling + [(Status.NO_CREDIT, 0)] * 2
        for _ in range(INPUT_BUFFERS):
            assert await bench.release() == length
        assert not int(dut.full.value)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def overflow_at_full_rate(dut: Any) -> None:
    """The frame with the first byte too many is refused, and all until the batch ends."""
    bench = Bench(dut)
    config = bench.config
    room = config.input_tiles * config.batch_lanes
    await bench.start(features=1, stride=1)
    for before, excess in ((room - 2, 2), (room - 1, 2), (room, 3)):
        frames = [bench.frame(Request.SAMPLES, before), bench.frame(Request.SAMPLES, excess)]
        frames += [bench.frame(Request.SAMPLES, 2), bench.frame(Request.SAMPLES_END, 2)]
        frames += [bench.frame(Request.SAMPLES_END, 2)]
        answers = await bench.send(frames, waits=True)
        fits = before + excess <= room
        assert answers == [
            (Status.OK, INPUT_BUFFERS),
            (Status.OK if fits else Status.NO_CREDIT, INPUT_BUFFERS),
            (Status.NO_CREDIT, INPUT_BUFFERS),
            (Status.NO_CREDIT, INPUT_BUFFERS - 1),
            (Status.OK, INPUT_BUFFERS - 2),
        ]
        assert await bench.release() == before + excess + 4
        assert await bench.release() == 2
