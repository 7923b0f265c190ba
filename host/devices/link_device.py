"""Any device behind the framed byte link: simulated gateware, and boards."""

from collections.abc import Sequence
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.devices.device import (
    DeviceError,
    DeviceStatus,
    as_words,
    failure,
    no_credit,
    refusal,
    starvation,
)
from host.devices.framing import Answer, encode_address, encode_read
from host.devices.requests import Message, Requester
from host.devices.transport import Transport
from hw.build_identity import build_identity
from hw.config import DeviceConfig, region_words
from hw.configurations import CONFIGURATIONS
from hw.isa import (
    ADDRESS_BYTES,
    COUNTERS,
    IDENTITY_BYTES,
    INPUT_BUFFERS,
    Control,
    Error,
    Region,
    Register,
    Request,
    State,
    Status,
)
from hw.numbers import WORD_BITS

WORD_BYTES = WORD_BITS // 8
STARVATION_POLLS = 4
"""Polls of a program that may wait in vain before its counters are looked at."""
STALLED_POLLS = 4096
"""Polls, each of some hundred cycles or more, in which a program that has samples gets on."""
_POLL = Message(Request.READ, encode_read(Region.REGISTERS, 0, 0))


class LinkDevice:
    """A `host.devices.device.Device` over a transport.

    Opening synchronises and compares build identities.

    Parameters
    ----------
    transport: the byte streams; the device closes it
    config: the configuration that the device must have

    Raises DeviceError where nothing answers, or another build does.
    """

    def __init__(self, transport: Transport, config: DeviceConfig):
        self.name = transport.name
        self.config = config
        self._transport = transport
        self._words = region_words(config)
        self._requester = Requester(transport, frame_payload=config.frame_payload)
        try:
            self._note(self._requester.synchronise())
            message = Message(Request.IDENTIFY, answer_bytes=IDENTITY_BYTES)
            self.identity = self._call([message], "IDENTIFY")[0].payload
            _check_identity(self.identity, self.name, config)
        except BaseException:
            transport.close()
            raise

    def write(self, region: Region, address: int, words: ArrayLike) -> None:
        """See `Device.write`; split into frames, several of them on their way at once."""
        values = as_words(words)
        what = self._check("write", region, address, len(values))
        data = values.astype("<u2", copy=False).tobytes()
        most = (self.config.frame_payload - ADDRESS_BYTES) // WORD_BYTES
        self._call(
            [
                Message(
                    Request.WRITE,
                    encode_address(region, address + first)
                    + data[first * WORD_BYTES : (first + most) * WORD_BYTES],
                    repeatable=region != Region.REGISTERS,
                )
                for first in range(0, len(values), most)
            ],
            what,
        )

    def read(self, region: Region, address: int, count: int) -> NDArray[np.uint16]:
        """See `Device.read`; split into frames, several of them on their way at once."""
        what = self._check("read", region, address, count)
        most = self.config.frame_payload // WORD_BYTES
        messages = []
        for first in range(0, count, most):
            length = min(most, count - first)
            payload = encode_read(region, address + first, length)
            messages.append(Message(Request.READ, payload, answer_bytes=length * WORD_BYTES))
        answers = self._call(messages, what)
        data = b"".join(answer.payload for answer in answers)
        return np.frombuffer(data, "<u2").astype(np.uint16)

    def run(self, start: int, count: int = 1) -> None:
        """See `Device.run`."""
        self.write(Region.REGISTERS, Register.START, [start, count])
        self.write(Region.REGISTERS, Register.CONTROL, Control.RUN)

    def step(self, start: int) -> None:
        """See `Device.step`."""
        self.write(Region.REGISTERS, Register.START, start)
        self.write(Region.REGISTERS, Register.CONTROL, Control.STEP)

    def stream(self, data: bytes | memoryview, *, end: bool = True) -> None:
        """See `Device.stream`; all frames of the batch are on their way at once."""
        self._await_credit()
        most = self.config.frame_payload
        view = memoryview(data)
        messages = [
            Message(Request.SAMPLES, bytes(view[first : first + most]), repeatable=False)
            for first in range(0, len(view), most)
        ]
        if end:
            last = messages.pop().payload if messages else b""
            messages.append(Message(Request.SAMPLES_END, last, repeatable=False))
        self._call(messages, f"stream of {len(view)} bytes")

    def poll(self) -> DeviceStatus:
        """See `Device.poll`."""
        self._call([_POLL], "poll")
        return self._status

    def wait(self) -> None:
        """See `Device.wait`."""
        polls = 0
        waited: list[int] = []
        done: list[int] = []
        while self.poll().state == State.RUNNING:
            polls += 1
            if self._status.credits == INPUT_BUFFERS and polls >= STARVATION_POLLS:
                seen, waited = waited, self._clocks()
                if seen and waited[1] - seen[1] == waited[0] - seen[0] > 0:
                    raise starvation()
            elif self._status.credits != INPUT_BUFFERS:
                done = self._check_progress(polls, done)
            self._transport.pause(polls)
        if self._status.state == State.FAILED:
            raise self._failure()

    def close(self) -> None:
        """See `Device.close`."""
        self._transport.close()

    def _call(self, messages: Sequence[Message], what: str) -> list[Answer]:
        answers = self._requester.call(messages)
        for answer in answers:
            if answer.status != Status.OK:
                self._note(answer)
                raise refusal(answer.status, what)
        if answers:
            self._note(answers[-1])
        return answers

    def _note(self, answer: Answer) -> None:
        self._status = DeviceStatus(answer.state, answer.credits)

    def _check(self, verb: str, region: Region, address: int, count: int) -> str:
        """Refuse addresses that the device would refuse, before anything is sent."""
        what = f"{verb} of {count} words at {Region(region).name} {address}"
        outside = address < 0 or count < 0 or address + count > self._words[region]
        if outside or (verb == "write" and region == Region.COUNTERS):
            raise refusal(Status.BAD_ADDRESS, what)
        return what

    def _await_credit(self) -> None:
        polls = 0
        seen: list[int] = []
        while self._status.credits == 0:
            if self.poll().credits:
                break
            if self._status.state == State.FAILED:
                raise self._failure()
            if self._status.state != State.RUNNING:
                raise no_credit()
            polls += 1
            seen = self._check_progress(polls, seen)
            self._transport.pause(polls)

    def _check_progress(self, polls: int, seen: list[int]) -> list[int]:
        """Raise DeviceError when a program that has samples has done nothing for STALLED_POLLS.

        `seen` is what this returned before; at first, nothing.
        """
        if polls % STALLED_POLLS:
            return seen
        names = ("position", "remaining", "busy", "samples")
        words = self.read(Region.COUNTERS, 0, COUNTERS["saturations"].address).tolist()
        now = [
            word
            for name in names
            for word in words[COUNTERS[name].address :][: COUNTERS[name].words]
        ]
        if now == seen:
            raise DeviceError(
                f"the device has stood at instruction {now[0]} for {STALLED_POLLS} polls; it must "
                "be reset, and its build is faulty: please report it with the program's listing"
            )
        return now

    def _failure(self) -> DeviceError:
        first = COUNTERS["error"].address
        error, position = self.read(Region.COUNTERS, first, 2).tolist()
        return failure(Error(error), position)

    def _clocks(self) -> list[int]:
        """The counters `cycles` and `waiting`."""
        words = self.read(Region.COUNTERS, 0, COUNTERS["busy"].address)
        numbers = []
        for name in ("cycles", "waiting"):
            counter = COUNTERS[name]
            part = words[counter.address : counter.address + counter.words]
            numbers.append(int.from_bytes(part.astype("<u2").tobytes(), "little"))
        return numbers

    def __enter__(self) -> "LinkDevice":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check_identity(identity: bytes, name: str, config: DeviceConfig) -> None:
    expected = build_identity(config)
    if identity == expected:
        return
    for other in CONFIGURATIONS.values():
        if build_identity(other) == identity:
            advice = f"it has the configuration {other.name}: open it with that one"
            break
    else:
        advice = (
            "it is no named configuration of these sources, so its sources or its sizes differ: "
            "build and flash it again, or use the version of this program that built it"
        )
    raise DeviceError(
        f"device {name!r} is build {identity.hex()}, {config.name} must be {expected.hex()}; "
        f"{advice}"
    )
