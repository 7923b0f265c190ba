"""Requests to a device, several on their way at once, each answered or sent again.

    requests --> window --> frames --> transport --> device
    answers <-- in order <-- decoder <-----------------+

A frame that is lost or damaged is sent again. A damaged answer leaves open whether its request was
carried out: the device then tells the last sequence number it has seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from host.devices.device import DeviceError
from host.devices.framing import (
    SEQUENCES,
    Answer,
    AnswerDecoder,
    encode_request,
    flush_bytes,
    next_sequence,
)
from host.devices.transport import Transport
from hw.isa import ANSWER_HEADER_BYTES, CHECKSUM_BYTES, Request, Status

ATTEMPTS = 8
"""Times that a device is asked for a sign of life before the line is given up. Unanswered requests
are followed by these, so that a line that falls silent is given up after 1 + ATTEMPTS times the
transport's patience."""
REPEATS = 256
"""Times that a request is sent to a device that gives signs of life. Where a hundredth of all bytes
are wrong one frame in 15 arrives whole, of 256 bytes, and one in 40 million is given up."""


@dataclass(frozen=True)
class Message:
    """A request without its sequence number.

    Parameters
    ----------
    kind, payload: of the frame
    answer_bytes: payload bytes of its answer
    repeatable: whether carrying it out twice does no harm
    """

    kind: Request
    payload: bytes = b""
    answer_bytes: int = 0
    repeatable: bool = True


class Requester:
    """Sends requests and returns their answers.

    Parameters
    ----------
    transport: the byte streams
    frame_payload: most payload bytes of a frame

    Attributes
    ----------
    repeats: how often requests had to be sent again
    """

    def __init__(self, transport: Transport, *, frame_payload: int):
        self._transport = transport
        self._frame_payload = frame_payload
        self._decoder = AnswerDecoder(max_payload=frame_payload)
        self._last = 0
        self.repeats = 0

    def synchronise(self) -> Answer:
        """Agree on sequence numbers, whatever came before."""
        self._last = 0
        for _ in range(ATTEMPTS):
            frame = encode_request(Request.SYNCHRONISE, self._last)
            answer = self._ask(flush_bytes(self._frame_payload) + frame, Status.OK, self._last)
            if answer is not None:
                return answer
        raise self._silence()

    def call(self, messages: Sequence[Message]) -> list[Answer]:
        """Send messages of one kind and return their answers, in order, whatever their status.

        Raises DeviceError when the device stays silent or the link damages everything.
        """
        answers: list[Answer] = []
        repeats = 0
        while len(answers) < len(messages):
            fresh, sent = self._exchange(messages[len(answers) :])
            lost = messages[len(answers) + len(fresh) : len(answers) + sent]
            answers += fresh
            if not lost:
                continue
            repeats = 1 if fresh else repeats + 1
            self.repeats += 1
            if repeats == REPEATS:
                raise DeviceError(
                    f"the line has damaged a request or its answer {REPEATS} times in a row; "
                    "is its speed that of the device, and its cable good?"
                )
            answers += self._recover(lost)
        return answers

    def _exchange(self, messages: Sequence[Message]) -> tuple[list[Answer], int]:
        """Send messages, of which no more than a window are unanswered at any time.

        Returns the answers, up to the first that is missing or asks for a repeat, and how many
        messages were sent.
        """
        window = self._transport.window
        accepted: list[Answer] = []
        sent, sequence = 0, self._last
        while len(accepted) < len(messages):
            if sent - len(accepted) <= window // 2:
                frames = []
                for message in messages[sent : len(accepted) + window]:
                    sequence = next_sequence(sequence)
                    frames.append(encode_request(message.kind, sequence, message.payload))
                self._transport.send(b"".join(frames))
                sent += len(frames)
            # The other half of a window keeps the line busy until it is filled up.
            unawaited = window // 2 if sent < len(messages) else 0
            awaited = messages[len(accepted) : sent - unawaited]
            want = sum(map(_answer_size, awaited)) - self._decoder.pending
            data = self._transport.receive(max(1, want))
            for answer in self._decoder.feed(data) if data else self._decoder.give_up():
                expected = next_sequence(self._last)
                repeat = answer.status in (Status.BAD_SEQUENCE, Status.BAD_CHECKSUM)
                if answer.sequence != expected or repeat or len(accepted) == sent:
                    return accepted, sent
                accepted.append(answer)
                self._last = expected
            if not data:
                break
        return accepted, sent

    def _recover(self, window: Sequence[Message]) -> list[Answer]:
        """Find out how many of these unanswered messages were carried out.

        Those that may be carried out twice are left to be sent again. For the others an answer OK
        is made up: their own is lost.
        """
        # A number that is not the next one, so the device answers with the last one it has seen.
        probe = flush_bytes(self._frame_payload) + encode_request(Request.IDENTIFY, self._last)
        for _ in range(ATTEMPTS):
            answer = self._ask(probe, Status.BAD_SEQUENCE, self._last)
            if answer is not None and len(answer.payload) == 1:
                break
        else:
            raise self._silence()
        carried_out = (answer.payload[0] - self._last) % SEQUENCES
        if carried_out > len(window):
            raise DeviceError(
                f"the device has seen request {answer.payload[0]}, the last one sent was "
                f"{(self._last + len(window)) % SEQUENCES}: does another program use it? "
                "Open it again"
            )
        self._last = answer.payload[0]
        if window[0].repeatable:
            return []
        lost = Answer(self._last, Status.OK, answer.state, answer.credits, b"")
        return [lost] * carried_out

    def _ask(self, data: bytes, status: Status, sequence: int) -> Answer | None:
        """Send bytes and wait for the answer with this status and number; drop all others."""
        self._transport.send(data)
        while received := self._transport.receive(ANSWER_HEADER_BYTES + CHECKSUM_BYTES):
            for answer in self._decoder.feed(received):
                if (answer.status, answer.sequence) == (status, sequence):
                    return answer
        self._decoder.give_up()
        return None

    def _silence(self) -> DeviceError:
        return DeviceError(
            f"no intact answer from the device within {self._transport.patience}, asked "
            f"{ATTEMPTS} times; is it the right port and speed, and does the device run?"
        )


def _answer_size(message: Message) -> int:
    """Bytes of a message's answer, header and checksum with it."""
    return ANSWER_HEADER_BYTES + message.answer_bytes + CHECKSUM_BYTES
