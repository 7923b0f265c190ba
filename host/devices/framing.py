"""Frames of the byte link, the host's side: bytes of requests, answers out of bytes.

Pure functions and one decoder, no input or output. Layouts and numbers are those of `hw.isa`.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.isa import (
    ADDRESS_BYTES,
    ANSWER_HEADER_BYTES,
    CHECKSUM_BYTES,
    FRAME_HEADER_BYTES,
    REQUEST_START,
    RESPONSE_START,
    Region,
    Request,
    State,
    Status,
)
from hw.numbers import WORD_BITS

WORD_BYTES = WORD_BITS // 8
SEQUENCES = 256
STATE_MASK = 0x0F
CREDITS_SHIFT = 4
LENGTH_BYTES = 2
MAX_LENGTH = (1 << 8 * LENGTH_BYTES) - 1
"""Most payload bytes that a header can announce; a configuration allows `frame_payload`."""
COUNT_BYTES = 2


class FrameError(ValueError):
    """A request that no frame can carry, or an answer that is none."""


@dataclass(frozen=True)
class Answer:
    """A frame from the device.

    Parameters
    ----------
    sequence: of the request that it answers
    status: how that went
    state: what the sequencer was doing
    credits: sample buffers that were free
    payload: what was asked for
    """

    sequence: int
    status: Status
    state: State
    credits: int
    payload: bytes


def encode_request(kind: Request, sequence: int, payload: bytes = b"") -> bytes:
    """The frame of a request; FrameError when a part of it does not fit."""
    if not 0 <= sequence < SEQUENCES:
        raise FrameError(f"sequence must be from 0 to {SEQUENCES - 1}, not {sequence}")
    if len(payload) > MAX_LENGTH:
        raise FrameError(f"a payload must be at most {MAX_LENGTH} bytes, not {len(payload)}")
    body = (
        bytes((sequence, Request(kind))) + len(payload).to_bytes(LENGTH_BYTES, "little") + payload
    )
    return bytes((REQUEST_START,)) + body + checksum(body)


def next_sequence(sequence: int) -> int:
    """The sequence number that follows."""
    return (sequence + 1) % SEQUENCES


def checksum(body: bytes) -> bytes:
    """The last bytes of a frame whose start byte is followed by `body`."""
    return zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "little")


def encode_address(region: Region, address: int) -> bytes:
    """The address of a word in READ and WRITE; FrameError when it does not fit."""
    bits = 8 * (ADDRESS_BYTES - 1)
    if not 0 <= address < 1 << bits:
        raise FrameError(f"a word address must be from 0 to {(1 << bits) - 1}, not {address}")
    return address.to_bytes(ADDRESS_BYTES - 1, "little") + bytes((Region(region),))


def encode_read(region: Region, address: int, count: int) -> bytes:
    """The payload of a READ of `count` words."""
    if not 0 <= count * WORD_BYTES <= MAX_LENGTH:
        raise FrameError(
            f"words of a READ must be from 0 to {MAX_LENGTH // WORD_BYTES}, not {count}"
        )
    return encode_address(region, address) + count.to_bytes(COUNT_BYTES, "little")


def encode_write(region: Region, address: int, words: NDArray[np.uint16]) -> bytes:
    """The payload of a WRITE."""
    return encode_address(region, address) + words.astype("<u2", casting="equiv").tobytes()


def decode_words(payload: bytes) -> NDArray[np.uint16]:
    """The words in the answer to a READ; FrameError when half a word is left over."""
    if len(payload) % WORD_BYTES:
        raise FrameError(f"words take an even number of bytes, not {len(payload)}")
    return np.frombuffer(payload, "<u2").astype(np.uint16)


def flush_bytes(frame_payload: int) -> bytes:
    """Bytes that end whatever frame a device still waits for, and begin none.

    Send them, then SYNCHRONISE, and drop all answers up to that one's.
    """
    return bytes(FRAME_HEADER_BYTES + frame_payload + CHECKSUM_BYTES)


class AnswerDecoder:
    """Finds answers in a byte stream, whatever is between them.

    After a wrong checksum, or a length that cannot be, it looks for the next answer right behind
    the start byte that misled it, so damage costs no answer but the damaged one.

    Parameters
    ----------
    max_payload: the device's `frame_payload`; longer payloads are garbage

    Attributes
    ----------
    checksum_errors: answers, or garbage that looked like one, whose checksum was wrong
    skipped: bytes that belonged to no answer
    """

    def __init__(self, *, max_payload: int):
        self.checksum_errors = 0
        self.skipped = 0
        self._max_payload = max_payload
        self._pending = bytearray()

    @property
    def pending(self) -> int:
        """Bytes that may be the beginning of an answer."""
        return len(self._pending)

    def feed(self, received: bytes) -> list[Answer]:
        """The answers that these bytes complete.

        Raises FrameError on an intact answer whose status or state `hw.isa` does not know: the
        device speaks another version.
        """
        self._pending += received
        answers = []
        while (answer := self._next()) is not None:
            answers.append(answer)
        return answers

    def give_up(self) -> list[Answer]:
        """Take the unfinished answer for garbage; what follows its start byte may hold others.

        For a host that has waited too long.
        """
        answers = []
        while self._pending:
            self._skip(1)
            answers += self.feed(b"")
        return answers

    def _skip(self, count: int) -> None:
        del self._pending[:count]
        self.skipped += count

    def _next(self) -> Answer | None:
        """Cut the first answer out of the pending bytes; None when there is none yet."""
        pending = self._pending
        while True:
            start = pending.find(RESPONSE_START)
            self._skip(len(pending) if start < 0 else start)
            if len(pending) < ANSWER_HEADER_BYTES:
                return None
            length = int.from_bytes(
                pending[ANSWER_HEADER_BYTES - LENGTH_BYTES : ANSWER_HEADER_BYTES], "little"
            )
            if length > self._max_payload:
                self._skip(1)
                continue
            end = ANSWER_HEADER_BYTES + length
            if len(pending) < end + CHECKSUM_BYTES:
                return None
            if checksum(bytes(pending[1:end])) == pending[end : end + CHECKSUM_BYTES]:
                frame = bytes(pending[:end])
                del pending[: end + CHECKSUM_BYTES]
                return _answer(frame)
            self.checksum_errors += 1
            self._skip(1)


def _answer(frame: bytes) -> Answer:
    _, sequence, status, state, *_ = frame
    try:
        known = Status(status), State(state & STATE_MASK)
    except ValueError as error:
        raise FrameError(
            f"{error} in an intact answer; device and host must be of the same version"
        ) from None
    return Answer(sequence, *known, state >> CREDITS_SHIFT, frame[ANSWER_HEADER_BYTES:])
