"""Bench of the whole device: bytes in, bytes out, with stalls on both streams.

A script says what to send and which answers to expect, see `Step`; `tests/hw/test_device.py` writes
it beside a golden device. The bench sends each frame as fast as the device and the gaps let it, and
takes the answer before it goes on.

Parameters: `script` (a list of steps), `gaps` (probabilities of a gap, of rx and of tx), `seed`.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer

from hw.isa import ANSWER_HEADER_BYTES, CHECKSUM_BYTES, RESPONSE_START, State, Status
from sim.bench import Ports, cycle, parameters, reset, start

PATIENCE = 4000
"""Cycles without a byte after which an answer is missing."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What the bench does.

    Parameters
    ----------
    what: names the step when it fails
    frame: bytes to send, in hexadecimal; none where it is empty
    sequence, status, payload: of the answer, which is awaited
    mask: bits of the payload that are compared; all where it is empty
    state: send the frame until the answer tells this state; -1: once
    credits: and until it tells at least so many credits
    cycles: go on for so many cycles afterwards
    reset: and then reset
    """

    what: str
    frame: str = ""
    sequence: int = 0
    status: int = Status.OK
    payload: str = ""
    mask: str = ""
    state: int = -1
    credits: int = 0
    cycles: int = 0
    reset: bool = False


@dataclass(frozen=True)
class Answer:
    """A frame from the device."""

    sequence: int
    status: int
    state: int
    credits: int
    payload: bytes


class Bench:
    """Drives both streams."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.gaps: dict[str, float] = given["gaps"]
        self.steps = [Step(**step) for step in given["script"]]
        self.random = np.random.default_rng(given["seed"])
        self.received = bytearray()
        self.unsent = bytearray()
        self.offering = False
        self.idle = 0
        cocotb.log.info("seed %d", given["seed"])

    async def start(self) -> None:
        await start(self.dut, rx__valid=0, rx__payload=0, tx__ready=0)

    async def cycle(self) -> None:
        """One cycle: a byte offered stays until it is taken; gaps come between bytes."""
        dut = self.dut
        if not self.offering and self.unsent and self.random.random() >= self.gaps["rx"]:
            self.offering = True
            dut.rx__payload.value = self.unsent[0]
        dut.rx__valid.value = int(self.offering)
        ready = self.random.random() >= self.gaps["tx"]
        dut.tx__ready.value = int(ready)
        await Timer(1, unit="ns")
        self.idle += 1
        if self.offering and int(dut.rx__ready.value):
            del self.unsent[0]
            self.offering, self.idle = False, 0
        if ready and int(dut.tx__valid.value):
            self.received.append(int(dut.tx__payload.value))
            self.idle = 0
        await cycle(dut)

    async def answer(self, what: str) -> Answer:
        """The next answer, whole and with a checksum that is right."""
        self.idle = 0
        while True:
            length = ANSWER_HEADER_BYTES + CHECKSUM_BYTES
            if len(self.received) >= ANSWER_HEADER_BYTES:
                length += int.from_bytes(self.received[4:ANSWER_HEADER_BYTES], "little")
            if len(self.received) >= length:
                break
            assert self.idle < PATIENCE, f"{what}: no answer, only {self.received.hex()}"
            await self.cycle()
        assert len(self.received) == length, f"{what}: more than an answer: {self.received.hex()}"
        frame = bytes(self.received)
        self.received.clear()
        body, checksum = frame[1:-CHECKSUM_BYTES], frame[-CHECKSUM_BYTES:]
        assert frame[0] == RESPONSE_START
        assert zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "little") == checksum
        return Answer(body[0], body[1], body[2] & 15, body[2] >> 4, body[5:])

    async def carry_out(self, step: Step) -> None:
        sent = 0
        while step.frame:
            self.unsent += bytes.fromhex(step.frame)
            answer = await self.answer(step.what)
            check(step, answer)
            ended = step.state in (-1, answer.state) and answer.credits >= step.credits
            if ended:
                break
            sent += 1
            assert sent < PATIENCE and answer.state != State.FAILED, f"{step.what}: {answer}"
        for _ in range(step.cycles):
            await self.cycle()
        if step.reset:
            self.dut.rx__valid.value = self.dut.tx__ready.value = 0
            self.unsent.clear()
            self.received.clear()
            self.offering = False
            await reset(self.dut, 1)
            # The units that are far from the link begin a cycle later.
            await self.cycle()
            assert int(self.dut.state.value) == State.IDLE


def check(step: Step, answer: Answer) -> None:
    """The answer is the one that the step expects."""
    assert (answer.sequence, answer.status) == (step.sequence, step.status), (step.what, answer)
    expected = np.frombuffer(bytes.fromhex(step.payload), np.uint8)
    seen = np.frombuffer(answer.payload, np.uint8)
    assert len(seen) == len(expected), (step.what, answer)
    mask = np.frombuffer(bytes.fromhex(step.mask), np.uint8) if step.mask else np.uint8(0xFF)
    wrong = np.flatnonzero((seen ^ expected) & mask)
    assert not len(wrong), (
        f"{step.what}: byte {wrong[0]} is {seen[wrong[0]]}, must be {expected[wrong[0]]}; "
        f"{len(wrong)} bytes are wrong"
    )


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def script(dut: Any) -> None:
    """Every step of the script, in its order."""
    bench = Bench(dut)
    await bench.start()
    for step in bench.steps:
        await bench.carry_out(step)
    assert bench.steps and not bench.unsent and not bench.received
