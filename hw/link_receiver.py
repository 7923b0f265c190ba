"""Finds frames in a byte stream and holds them until their checksum is known.

    rx --> hunt for a start byte --> header -----------------------------> frame
                                     payload --> block RAM, two halves --> payload
                                     CRC-32 over all of it --------------> frame.intact

While one half is replayed as `payload`, the next frame is received into the other.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import DeviceConfig
from hw.crc import Crc32
from hw.isa import CHECKSUM_BYTES, REQUEST_START, Request


def frame_header(config: DeviceConfig) -> data.StructLayout:
    """What is known of a frame when it has been received."""
    return data.StructLayout(
        {
            "sequence": 8,
            "kind": Request,  # 0 for all that are unknown
            "length": range(config.frame_payload + 1),
            "intact": 1,  # the checksum is right
        }
    )


class FrameReceiver(wiring.Component):
    """Turns bytes into checked frames, one byte a cycle, with a pause of one behind each frame.

    A header whose length exceeds `config.frame_payload` is forgotten and the hunt for a start
    byte goes on behind it. A frame is offered 2 cycles after its last byte, and not before; until
    it is taken the receiver accepts no more than the next start byte. Taking a frame ends the
    replay of the one before.

    Members
    -------
    rx: the byte stream
    frame: a `frame_header` for each frame, intact or not
    payload: the bytes of the frame that was taken last, the first one `REPLAY_LATENCY` cycles
        after it was taken; what follows after `length` bytes means nothing
    """

    REPLAY_LATENCY = 3

    def __init__(self, *, config: DeviceConfig):
        self._payload_bits = exact_log2(config.frame_payload)
        super().__init__(
            {
                "rx": In(stream.Signature(8)),
                "frame": Out(stream.Signature(frame_header(config))),
                "payload": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        half = Signal()
        memory = Memory(shape=8, depth=2 << self._payload_bits, init=[])
        m.submodules.memory = memory
        self._receive(m, memory.write_port(), half)
        self._replay(m, memory.read_port(), half)
        return m

    def _receive(self, m: Module, write, half: Signal) -> None:
        """Parse rx; payload bytes go to the addresses `length` down to 1 of a half."""
        rx, frame = self.rx, self.frame
        m.submodules.crc = crc = Crc32()
        header = frame.p
        left = Signal(max(8, self._payload_bits + 1))
        checksum_byte = Signal(range(CHECKSUM_BYTES))
        checking = Signal()
        taken = rx.valid & rx.ready

        m.d.comb += [
            write.addr.eq(Cat(left[: self._payload_bits], half)),
            write.data.eq(rx.payload),
            crc.data.eq(rx.payload),
            crc.valid.eq(taken),
            rx.ready.eq(1),
        ]
        m.d.sync += checking.eq(0)
        with m.If(checking):
            m.d.sync += [frame.valid.eq(1), header.intact.eq(crc.match)]
        with m.Elif(frame.ready):
            m.d.sync += frame.valid.eq(0)
        with m.If(frame.valid & frame.ready):
            m.d.sync += half.eq(~half)

        too_long, empty = Signal(), Signal()
        length = Cat(left[:8], rx.payload)
        excess = length[self._payload_bits + 1 :].any()
        excess |= length[self._payload_bits] & length[: self._payload_bits].any()
        m.d.comb += [too_long.eq(excess), empty.eq(length == 0)]

        with m.FSM():
            with m.State("HUNT"):
                m.d.comb += [crc.valid.eq(0), crc.start.eq(taken)]
                with m.If(taken & (rx.payload == REQUEST_START)):
                    m.next = "SEQUENCE"
            with m.State("SEQUENCE"):
                m.d.comb += rx.ready.eq(~checking & ~frame.valid)
                with m.If(taken):
                    m.d.sync += header.sequence.eq(rx.payload)
                    m.next = "KIND"
            with m.State("KIND"):
                with m.If(taken):
                    known = rx.payload < 1 << len(Value.cast(header.kind))
                    m.d.sync += Value.cast(header.kind).eq(Mux(known, rx.payload, 0))
                    m.next = "LENGTH_LOW"
            with m.State("LENGTH_LOW"):
                with m.If(taken):
                    m.d.sync += left.eq(rx.payload)
                    m.next = "LENGTH_HIGH"
            with m.State("LENGTH_HIGH"):
                with m.If(taken):
                    m.d.sync += [left.eq(length), header.length.eq(length)]
                    with m.If(too_long):
                        m.next = "HUNT"
                    with m.Elif(empty):
                        m.next = "CHECKSUM"
                    with m.Else():
                        m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                m.d.comb += write.en.eq(taken)
                with m.If(taken):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "CHECKSUM"
            with m.State("CHECKSUM"):
                with m.If(taken):
                    m.d.sync += checksum_byte.eq(checksum_byte + 1)
                    with m.If(checksum_byte == CHECKSUM_BYTES - 1):
                        m.d.sync += checking.eq(1)
                        m.next = "HUNT"

    def _replay(self, m: Module, read, half: Signal) -> None:
        """Read the half that is not being received; runs ahead by two registers."""
        left = Signal(self._payload_bits)
        fetched = Signal()
        fetch, step = Signal(), Signal()
        m.d.comb += [
            step.eq(~self.payload.valid | self.payload.ready),
            fetch.eq(~fetched | step),
            read.addr.eq(Cat(left, ~half)),
            read.en.eq(fetch),
        ]
        with m.If(fetch):
            m.d.sync += [fetched.eq(1), left.eq(left - 1)]
        with m.If(step):
            m.d.sync += [self.payload.valid.eq(fetched), self.payload.payload.eq(read.data)]
        with m.If(self.frame.valid & self.frame.ready):
            m.d.sync += [
                left.eq(self.frame.p.length),
                fetched.eq(0),
                self.payload.valid.eq(0),
            ]
