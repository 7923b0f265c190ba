"""Sends answers: header, payload from a block RAM, checksum.

    answer --------------------+
    state, credits ----------+ |
    response --> block RAM --+-+--> one byte after the other --+-------> tx
                                              CRC-32 ----------+

The executor fills the RAM as fast as the sender empties it, so an answer may be posted together
with the first byte of its payload.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.activity import while_active
from hw.config import DeviceConfig
from hw.crc import Crc32
from hw.isa import CHECKSUM_BYTES, INPUT_BUFFERS, RESPONSE_START, State, Status

STATE_BITS = 4
"""Bits of the state byte that hold the State; the credits are above."""


def answer_header(config: DeviceConfig) -> data.StructLayout:
    """What the executor knows of an answer; `length` counts the bytes of its payload."""
    return data.StructLayout(
        {
            "sequence": 8,
            "status": range(len(Status)),
            "length": range(config.frame_payload + 1),
        }
    )


class ResponseWrite(wiring.Signature):
    """Writes a byte of an answer's payload: `data` at `index` when `enable`."""

    def __init__(self, *, config: DeviceConfig):
        super().__init__(
            {
                "enable": Out(1),
                "index": Out(range(config.frame_payload)),
                "data": Out(8),
            }
        )


class AnswerSender(wiring.Component):
    """Turns an answer into a frame, one byte a cycle while `tx` is ready.

    Members
    -------
    answer: accepted while no other one is being sent
    response: byte i must be written at the latest i + 4 cycles after the answer was accepted
    state, credits: taken when the state byte's turn comes, `STATE_DELAY` cycles after that, or more
    tx: the byte stream
    """

    STATE_DELAY = 4

    def __init__(self, *, config: DeviceConfig):
        self._config = config
        super().__init__(
            {
                "answer": In(stream.Signature(answer_header(config))),
                "response": In(ResponseWrite(config=config)),
                "state": In(State),
                "credits": In(range(INPUT_BUFFERS + 1)),
                "tx": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        outer, m = Module(), Module()
        m.submodules.crc = crc = Crc32()
        header = Signal(answer_header(self._config))
        byte, sending, step = Signal(8), Signal(), Signal()
        m.d.comb += [
            step.eq(~self.tx.valid | self.tx.ready),
            crc.data.eq(byte),
            crc.valid.eq(step & sending),
            sending.eq(1),
        ]
        with m.If(step):
            m.d.sync += [self.tx.payload.eq(byte), self.tx.valid.eq(sending)]
        fetching = Signal()
        payload = self._fetch(m, step, fetching)

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += [self.answer.ready.eq(1), sending.eq(0)]
                m.d.sync += header.eq(self.answer.p)
                with m.If(self.answer.valid):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += [byte.eq(RESPONSE_START), crc.valid.eq(0), crc.start.eq(1)]
                with m.If(step):
                    m.next = "SEQUENCE"
            with m.State("SEQUENCE"):
                m.d.comb += byte.eq(header.sequence)
                with m.If(step):
                    m.next = "STATUS"
            with m.State("STATUS"):
                m.d.comb += byte.eq(header.status)
                with m.If(step):
                    m.next = "STATE"
            with m.State("STATE"):
                m.d.comb += [byte[:STATE_BITS].eq(self.state), byte[STATE_BITS:].eq(self.credits)]
                with m.If(step):
                    m.next = "LENGTH_LOW"
            with m.State("LENGTH_LOW"):
                m.d.comb += [byte.eq(header.length), fetching.eq(1)]
                with m.If(step):
                    m.next = "LENGTH_HIGH"
            with m.State("LENGTH_HIGH"):
                m.d.comb += [byte.eq(header.length >> 8), fetching.eq(1)]
                with m.If(step):
                    with m.If(header.length == 0):
                        m.next = "CHECKSUM"
                    with m.Else():
                        m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                m.d.comb += [byte.eq(payload), fetching.eq(1)]
                with m.If(step):
                    m.d.sync += header.length.eq(header.length - 1)
                    with m.If(header.length == 1):
                        m.next = "CHECKSUM"
            with m.State("CHECKSUM"):
                # A byte that equals the register's lowest one shifts the register down by it.
                place = Signal(range(CHECKSUM_BYTES))
                m.d.comb += [byte.eq(crc.crc[:8]), crc.data.eq(~crc.crc[:8])]
                with m.If(step):
                    m.d.sync += place.eq(place + 1)
                    with m.If(place == CHECKSUM_BYTES - 1):
                        m.next = "IDLE"
        active = self.answer.valid | self.response.enable | self.tx.valid | ~fsm.ongoing("IDLE")
        outer.submodules.frame = while_active(m, active, platform, name="sender")
        return outer

    def _fetch(self, m: Module, step: Signal, fetching: Signal) -> Signal:
        """The payload's bytes in turn, two steps after `fetching` begins."""
        m.submodules.memory = memory = Memory(shape=8, depth=self._config.frame_payload, init=[])
        write, read = memory.write_port(), memory.read_port()
        index = Signal(exact_log2(self._config.frame_payload))
        payload = Signal(8)
        m.d.comb += [
            write.en.eq(self.response.enable),
            write.addr.eq(self.response.index),
            write.data.eq(self.response.data),
            read.addr.eq(index),
            read.en.eq(step),
        ]
        with m.If(step):
            m.d.sync += payload.eq(read.data)
            with m.If(fetching):
                m.d.sync += index.eq(index + 1)
            with m.Else():
                m.d.sync += index.eq(0)
        return payload
