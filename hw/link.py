"""The device's end of the framed byte link that `hw.isa` declares: Request in, Status out.

          +----------+  frame, payload  +----------+  answer, response  +--------+
    rx -->| receiver |----------------->| executor |------------------->| sender |--> tx
          +----------+                  +----------+                    +--------+
                                         |   |   ^                          ^
                                       bus samples running, credits    state, credits

A frame is acted on only when its checksum has been verified. Two payload buffers let the next
frame arrive while this one is carried out, and its answer leaves while the next one is.
"""

from collections.abc import Mapping

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.config import DeviceConfig
from hw.host_bus import WORD_ADDRESS_BITS, HostBus
from hw.isa import IDENTITY_BYTES, INPUT_BUFFERS, Region, State
from hw.link_executor import RequestExecutor
from hw.link_receiver import FrameReceiver
from hw.link_sender import AnswerSender
from hw.loader import SAMPLE_BYTE

__all__ = ["HostBus", "Link"]


class Link(wiring.Component):
    """Receives requests on `rx`, carries them out and answers each, in order, on `tx`.

    Frames with SAMPLES of n bytes are taken at one every n + 9 cycles, the time that their bytes
    take on `rx`. READ puts a word on the bus every 2 cycles and answers as they come; WRITE takes
    2 cycles a word.

    The sequence number of every intact frame that comes in order, or is a well-formed
    SYNCHRONISE, becomes the last one seen, however the frame is answered. After a reset that is
    0, so 1 is expected. Garbage is skipped or answered BAD_CHECKSUM; a receiver that waits for
    the rest of a frame is back in step after `frame_payload` + 8 bytes of zeros.

    Parameters
    ----------
    config: the device's configuration
    identity: what IDENTIFY answers, 16 bytes
    regions: words of each region, `hw.config.region_words`; one of 0 words does not exist
    read_latency: cycles from `bus.read_enable` to `bus.read_data`, at least 1

    Members
    -------
    rx, tx: the byte streams
    bus: to registers and memories, see HostBus; a write has taken effect when `state` and
        `running` show it within 8 cycles
    samples: bytes of batches and their ends, to the loader
    state: goes into every answer, sampled when the byte leaves
    running: whether regions other than REGISTERS and COUNTERS answer BUSY
    credits: free sample buffers, right 2 cycles after an end of batch was accepted
    overflow: the batch is larger than a buffer, right 3 cycles after the byte that was too many

    Raises ValueError on an identity, a region's size or a latency out of range.
    """

    def __init__(
        self,
        *,
        config: DeviceConfig,
        identity: bytes,
        regions: Mapping[Region, int],
        read_latency: int,
    ):
        if len(identity) != IDENTITY_BYTES:
            raise ValueError(f"identity must be {IDENTITY_BYTES} bytes, not {len(identity)}")
        for region, words in regions.items():
            if not 0 <= words <= 1 << WORD_ADDRESS_BITS:
                raise ValueError(
                    f"words of region {Region(region).name} must be from 0 to "
                    f"{1 << WORD_ADDRESS_BITS}, not {words}"
                )
        if not any(regions.values()):
            raise ValueError("regions must hold at least one of at least one word")
        if read_latency < 1:
            raise ValueError(f"read_latency must be at least 1, not {read_latency}")
        self._receiver = FrameReceiver(config=config)
        self._sender = AnswerSender(config=config)
        self._executor = RequestExecutor(
            config=config, identity=identity, regions=regions, read_latency=read_latency
        )
        super().__init__(
            {
                "rx": In(stream.Signature(8)),
                "tx": Out(stream.Signature(8)),
                "bus": Out(HostBus()),
                "samples": Out(stream.Signature(SAMPLE_BYTE)),
                "state": In(State),
                "running": In(1),
                "credits": In(range(INPUT_BUFFERS + 1)),
                "overflow": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.executor = executor = self._executor
        m.submodules.sender = sender = self._sender
        connect(m, flipped(self.rx), receiver.rx)
        connect(m, receiver.frame, executor.frame)
        connect(m, receiver.payload, executor.payload)
        connect(m, executor.answer, sender.answer)
        connect(m, executor.response, sender.response)
        connect(m, executor.bus, flipped(self.bus))
        connect(m, executor.samples, flipped(self.samples))
        connect(m, sender.tx, flipped(self.tx))
        m.d.comb += [
            executor.running.eq(self.running),
            executor.credits.eq(self.credits),
            executor.overflow.eq(self.overflow),
            sender.state.eq(self.state),
            sender.credits.eq(self.credits),
        ]
        return m
