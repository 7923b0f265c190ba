"""Requests to a device, several on their way at once, each answered or sent again.

    requests --> window --> frames --> transport --> device
    answers <-- in order <-- decoder <-----------------+

A frame that is lost or damaged is sent again. A damaged answer leaves open whether its request was
carried out: the device then tells the last sequence number it has seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from host.device import DeviceError
from host.framing import (
    SEQUENCES,
    Answer,
    AnswerDecoder,
    encode_request,
    flush_bytes,
    next_sequence,
)
from host.transport import Transport
from hw.isa import ANSWER_HEADER_BYTES, CHECKSUM_BYTES, Request, Status

ATTEMPTS = 8
"""Times that a request is sent before the link is given up: on a line that damages every fourth
window of them, one in 65,000 times for nothing."""


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
        attempts = 0
        while len(answers) < len(messages):
            window = messages[len(answers) : len(answers) + self._transport.window]
            fresh = self._exchange(window)
            answers += fresh
            if len(fresh) == len(window):
                attempts = 0
                continue
            attempts = 1 if fresh else attempts + 1
            self.repeats += 1
            if attempts == ATTEMPTS:
                raise self._silence()
            answers += self._recover(window[len(fresh) :])
        return answers

    def _exchange(self, window: Sequence[Message]) -> list[Answer]:
        """Send a window; the answers up to the first that is missing or asks for a repeat."""
        frames, sequence, want = [], self._last, 0
        for message in window:
            sequence = next_sequence(sequence)
            frames.append(encode_request(message.kind, sequence, message.payload))
            want += ANSWER_HEADER_BYTES + message.answer_bytes + CHECKSUM_BYTES
        self._transport.send(b"".join(frames))
        received: list[Answer] = []
        while len(received) < len(window):
            data = self._transport.receive(max(1, want))
            if not data:
                received += self._decoder.give_up()
                break
            want -= len(data)
            received += self._decoder.feed(data)
        accepted: list[Answer] = []
        for answer in received:
            expected = next_sequence(self._last)
            repeat = answer.status in (Status.BAD_SEQUENCE, Status.BAD_CHECKSUM)
            if answer.sequence != expected or repeat or len(accepted) == len(window):
                break
            accepted.append(answer)
            self._last = expected
        return accepted

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
