"""Frames on the host's side: exact bytes, refused values, and answers found in any garbage."""

import random
import zlib

import numpy as np
import pytest

from host.devices.framing import (
    Answer,
    AnswerDecoder,
    FrameError,
    decode_words,
    encode_address,
    encode_read,
    encode_request,
    encode_write,
    flush_bytes,
    next_sequence,
)
from hw.isa import IDENTITY_BYTES, RESPONSE_START, Region, Request, State, Status

SEED = 20266
LIMIT = 64


def answer_frame(answer: Answer) -> bytes:
    body = bytes((answer.sequence, answer.status, answer.state | answer.credits << 4))
    body += len(answer.payload).to_bytes(2, "little") + answer.payload
    return bytes((RESPONSE_START,)) + body + zlib.crc32(body).to_bytes(4, "little")


def random_answer(source: random.Random) -> Answer:
    return Answer(
        sequence=source.randrange(256),
        status=source.choice(list(Status)),
        state=source.choice(list(State)),
        credits=source.randrange(3),
        payload=source.choice([b"", bytes([RESPONSE_START] * 5), source.randbytes(LIMIT)]),
    )


def test_a_request_is_these_bytes() -> None:
    body = bytes.fromhex("07 02 06 00 030201 04 0500")
    frame = encode_request(Request.READ, 7, encode_read(Region.WEIGHT, 0x010203, 5))
    assert frame == b"\xa5" + body + zlib.crc32(body).to_bytes(4, "little")
    # The check value of CRC-32/ISO-HDLC in the reveng catalogue.
    assert zlib.crc32(b"123456789") == 0xCBF43926


def test_payloads() -> None:
    assert encode_address(Region.DELTA, 0xFFFFFF) == b"\xff\xff\xff\x0a"
    words = np.array([1, 0x8000, 0xFFFE], np.uint16)
    payload = encode_write(Region.INPUT, 2, words)
    assert payload == b"\x02\0\0\x06" + b"\x01\0\0\x80\xfe\xff"
    decoded = decode_words(payload[4:])
    assert decoded.dtype == np.uint16 and decoded.tolist() == words.tolist()
    assert decode_words(b"").size == 0


def test_sequence_numbers_wrap() -> None:
    assert [next_sequence(number) for number in (0, 254, 255)] == [1, 255, 0]


def test_a_flush_ends_any_frame_and_begins_none() -> None:
    assert flush_bytes(LIMIT) == bytes(5 + LIMIT + 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encode_request(Request.IDENTIFY, 256), "sequence must be from 0 to 255, not 256"),
        (lambda: encode_request(Request.IDENTIFY, -1), "not -1"),
        (
            lambda: encode_request(Request.SAMPLES, 1, bytes(1 << 16)),
            "a payload must be at most 65535 bytes, not 65536",
        ),
        (lambda: encode_address(Region.WEIGHT, 1 << 24), "from 0 to 16777215, not 16777216"),
        (lambda: encode_address(Region.WEIGHT, -1), "not -1"),
        (lambda: encode_read(Region.WEIGHT, 0, 1 << 15), "from 0 to 32767, not 32768"),
        (lambda: decode_words(b"abc"), "an even number of bytes, not 3"),
    ],
)
def test_refuses_what_does_not_fit(call, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        call()


def test_words_must_be_unsigned_words() -> None:
    with pytest.raises(TypeError):
        encode_write(Region.WEIGHT, 0, np.array([70000]))


def test_decodes_however_the_bytes_are_cut() -> None:
    source = random.Random(SEED)
    print(f"seed {SEED}")
    answers = [random_answer(source) for _ in range(40)]
    stream = b"".join(map(answer_frame, answers))
    for size in (1, 2, 7, len(stream)):
        decoder = AnswerDecoder(max_payload=LIMIT)
        found = []
        for begin in range(0, len(stream), size):
            found += decoder.feed(stream[begin : begin + size])
        assert found == answers
        assert (decoder.pending, decoder.skipped, decoder.checksum_errors) == (0, 0, 0)


def test_finds_every_answer_between_garbage() -> None:
    source = random.Random(SEED)
    print(f"seed {SEED}")
    for _ in range(50):
        answers = [random_answer(source) for _ in range(5)]
        decoder = AnswerDecoder(max_payload=LIMIT)
        found, garbage = [], 0
        for answer in answers:
            noise = bytes(
                source.choice([RESPONSE_START, 0, source.randrange(256)])
                for _ in range(source.randrange(30))
            )
            garbage += len(noise)
            found += decoder.feed(noise + answer_frame(answer))
        found += decoder.give_up()
        assert found == answers
        assert decoder.skipped == garbage and decoder.pending == 0


def test_damage_costs_only_the_damaged_answer() -> None:
    whole = Answer(3, Status.OK, State.IDLE, 2, bytes(range(IDENTITY_BYTES)))
    frame = answer_frame(whole)
    for bit in range(8 * len(frame)):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        decoder = AnswerDecoder(max_payload=LIMIT)
        found = decoder.feed(bytes(damaged) + frame) + decoder.give_up()
        assert found == [whole], f"bit {bit}"
        assert decoder.skipped == len(frame)
    assert decoder.checksum_errors == 1


def test_a_length_that_cannot_be_is_not_waited_for() -> None:
    answer = Answer(1, Status.OK, State.IDLE, 2, b"")
    decoder = AnswerDecoder(max_payload=LIMIT)
    header = bytes((RESPONSE_START, 0, 0, 0)) + (LIMIT + 1).to_bytes(2, "little")
    assert decoder.feed(header + answer_frame(answer)) == [answer]
    assert decoder.skipped == len(header)


def test_refuses_an_intact_answer_of_another_version() -> None:
    for body in (b"\x01\x63\x00\0\0", b"\x01\x00\x0f\0\0"):
        frame = bytes((RESPONSE_START,)) + body + zlib.crc32(body).to_bytes(4, "little")
        decoder = AnswerDecoder(max_payload=LIMIT)
        with pytest.raises(FrameError, match="device and host must be of the same version"):
            decoder.feed(frame)
        good = Answer(2, Status.OK, State.IDLE, 2, b"")
        assert decoder.feed(answer_frame(good)) == [good]
