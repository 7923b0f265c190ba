"""Carries out checked frames one after the other: the part of the link that knows the commands.

    frame ---> sequence, kind, length --> refuse
    payload -> address, count --> bound check (2 cycles) --> refuse
         |                                +--> bus: words written, a word every 2 cycles
         |                                +--> bus: words read ----+--> response
         +--> samples                     identity, last sequence --+   answer

Nothing leaves on `bus` or `samples` before everything about a frame is known to be legal.
"""

from collections.abc import Mapping

from amaranth.hdl import Array, Cat, Const, Elaboratable, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.activity import with_domains
from hw.config import DeviceConfig
from hw.host_bus import WORD_ADDRESS_BITS, WORD_BYTES, BoundCheck, HostBus
from hw.isa import (
    ADDRESS_BYTES,
    IDENTITY_BYTES,
    INPUT_BUFFERS,
    Region,
    Request,
    Status,
)
from hw.link_receiver import frame_header
from hw.link_sender import ResponseWrite, answer_header
from hw.loader import SAMPLE_BYTE

COUNT_BYTES = 2


class RequestExecutor(wiring.Component):
    """Executes requests and posts an answer for each, in order.

    Parameters
    ----------
    config: the device's configuration
    identity: what IDENTIFY answers
    regions: words of each region; a region of no words, or missing, does not exist
    read_latency: cycles from `bus.read_enable` to `bus.read_data`

    Members
    -------
    frame, payload: from the FrameReceiver
    answer, response: to the AnswerSender
    bus, samples: a write or a sample leaves in order; writes have at least `SETTLE` cycles to
        take effect before the next frame is looked at
    running: whether regions other than ALWAYS_OPEN refuse
    credits: sample buffers that are free, right 2 cycles after an end of batch was accepted
    overflow: more samples came than a buffer holds, right 3 cycles after a byte was accepted

    SAMPLES frames of n bytes take n + OVERHEAD cycles at most while `samples` is ready.
    """

    SETTLE = 4
    OVERHEAD = 10

    def __init__(
        self,
        *,
        config: DeviceConfig,
        identity: bytes,
        regions: Mapping[Region, int],
        read_latency: int,
    ):
        self._config = config
        self._identity = identity
        self._read_latency = read_latency
        self._bounds = BoundCheck(config=config, regions=regions)
        super().__init__(
            {
                "frame": In(stream.Signature(frame_header(config))),
                "payload": In(stream.Signature(8)),
                "answer": Out(stream.Signature(answer_header(config))),
                "response": Out(ResponseWrite(config=config)),
                "bus": Out(HostBus()),
                "samples": Out(stream.Signature(SAMPLE_BYTE)),
                "running": In(1),
                "credits": In(range(INPUT_BUFFERS + 1)),
                "overflow": In(1),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        self._kind = Signal(Value.cast(self.frame.p.kind).shape())
        self._intact = Signal()
        self._last = Signal(8)
        self._left = Signal(max(9, exact_log2(self._config.frame_payload) + 1))
        self._empty = Signal()
        self._place = Signal(range(max(ADDRESS_BYTES, self.SETTLE)))
        self._fetching = Signal()
        self._arrival = Signal()
        self._far = Signal()
        self._check_bounds(m)
        m.d.comb += self.samples.p.data.eq(self.payload.payload)
        m.d.bus += self.bus.write_enable.eq(0)
        with m.If(self.bus.write_enable | self.bus.read_enable):
            address = self.bus.address[: self._bounds.address_bits]
            m.d.bus += address.eq(address + 1)
        taken = self.payload.valid & self.payload.ready
        with m.If(taken | (self._fetching & ~self._empty)):
            m.d.sync += [self._left.eq(self._left - 1), self._empty.eq(self._left == 1)]
        with m.FSM() as fsm:
            self._idle(m)
            self._check(m)
            self._pass_samples(m)
            self._take_address(m)
            self._write_words(m)
            self._answer(m)
        self._fill_response(m, identify=fsm.ongoing("IDENTIFY"), sequence=fsm.ongoing("SEQUENCE"))
        # All memories look at the bus: what stands still there is not looked at in a simulation.
        active = self.bus.write_enable | self.bus.read_enable
        for state in ("ADDRESS", "WRITE_LOW", "WRITE_HIGH"):
            active |= fsm.ongoing(state)
        return with_domains(m, {"bus": active}, platform)

    def _refuse(self, m: Module, status: Status) -> None:
        m.d.sync += self.answer.p.status.eq(status)
        m.next = "ANSWER"

    def _idle(self, m: Module) -> None:
        """Take a frame, once the words of the READ before are all in the response."""
        with m.State("IDLE"):
            m.d.sync += [self._kind.eq(self.frame.p.kind), self._intact.eq(self.frame.p.intact)]
            with m.If(~self._fetching):
                m.d.comb += self.frame.ready.eq(1)
                m.d.sync += [
                    self._left.eq(self.frame.p.length),
                    self._empty.eq(self.frame.p.length == 0),
                    self.answer.p.sequence.eq(self.frame.p.sequence),
                    self.answer.p.status.eq(Status.OK),
                    self.answer.p.length.eq(0),
                    self.response.index.eq(0),
                ]
                with m.If(self.frame.valid):
                    m.next = "CHECK"

    def _check(self, m: Module) -> None:
        """Refuse by checksum, sequence, kind and length; dispatch by kind."""
        left, sequence = self._left, self.answer.p.sequence
        empty = self._empty
        forms = {
            Request.IDENTIFY: (empty, "IDENTIFY"),
            Request.READ: (left == ADDRESS_BYTES + COUNT_BYTES, "ADDRESS"),
            Request.WRITE: ((left >= ADDRESS_BYTES) & ~left[0], "ADDRESS"),
            Request.SAMPLES: (Const(1), "CREDIT"),
            Request.SAMPLES_END: (Const(1), "CREDIT"),
            Request.SYNCHRONISE: (empty, "ANSWER"),
        }
        in_order = sequence == (self._last + 1)[:8]
        in_order |= (self._kind == Request.SYNCHRONISE) & empty
        with m.State("CHECK"):
            m.d.sync += self._place.eq(0)
            with m.If(~self._intact):
                self._refuse(m, Status.BAD_CHECKSUM)
            with m.Elif(~in_order):
                m.next = "SEQUENCE"
            with m.Else():
                m.d.sync += self._last.eq(sequence)
                with m.Switch(self._kind):
                    for request, (well_formed, state) in forms.items():
                        with m.Case(request):
                            with m.If(well_formed):
                                m.next = state
                            with m.Else():
                                self._refuse(m, Status.BAD_REQUEST)
                    with m.Default():
                        self._refuse(m, Status.BAD_REQUEST)

    def _pass_samples(self, m: Module) -> None:
        """Hand the payload over, wait until an overflow is known, then end the batch."""
        samples, payload = self.samples, self.payload
        with m.State("CREDIT"):
            m.next = "SAMPLES"
            with m.If(self.credits == 0):
                self._refuse(m, Status.NO_CREDIT)
        with m.State("SAMPLES"):
            with m.If(self._empty):
                m.next = "PLACED"
            with m.Else():
                m.d.comb += [samples.valid.eq(payload.valid), payload.ready.eq(samples.ready)]
        with m.State("PLACED"):
            m.next = "DRAIN"
        with m.State("DRAIN"):
            with m.If(self.overflow):
                m.d.sync += self.answer.p.status.eq(Status.NO_CREDIT)
            m.next = "ANSWER"
            with m.If(self._kind == Request.SAMPLES_END):
                m.next = "END"
        with m.State("END"):
            m.d.comb += [samples.valid.eq(1), samples.p.end.eq(1)]
            with m.If(samples.ready):
                m.next = "ANSWER"

    def _take_address(self, m: Module) -> None:
        """Shift the address in, for READ the count too, and wait for the verdict."""
        bus, payload, left = self.bus, self.payload, self._left
        byte = payload.payload
        parts = [
            bus.address[low : max(low, min(low + 8, self._bounds.address_bits))]
            for low in range(0, WORD_ADDRESS_BITS, 8)
        ]
        parts.append(bus.region[: len(self._bounds.region)])
        with m.State("ADDRESS"):
            m.d.comb += payload.ready.eq(1)
            with m.If(payload.valid):
                m.d.sync += self._place.eq(self._place + 1)
                with m.Switch(self._place):
                    for place, part in enumerate(parts):
                        far = byte[len(part) :].any() | (self._far if place else 0)
                        with m.Case(place):
                            m.d.bus += part.eq(byte)
                            m.d.sync += self._far.eq(far)
                with m.If(self._place == ADDRESS_BYTES - 1):
                    m.next = "SUM"
                    with m.If(self._kind == Request.READ):
                        m.next = "COUNT_LOW"
        with m.State("COUNT_LOW"):
            m.d.comb += payload.ready.eq(1)
            with m.If(payload.valid):
                m.d.sync += left.eq(byte * WORD_BYTES)
                m.next = "COUNT_HIGH"
        with m.State("COUNT_HIGH"):
            count = Cat(left[:9], byte)
            m.d.comb += payload.ready.eq(1)
            with m.If(payload.valid):
                m.d.sync += [left.eq(count), self._empty.eq(count == 0)]
                m.next = "SUM"
                with m.If(count > self._config.frame_payload):
                    self._refuse(m, Status.BAD_REQUEST)
        with m.State("SUM"):
            m.next = "COMPARE"
        with m.State("COMPARE"):
            m.next = "DECIDE"
        with m.State("DECIDE"):
            m.d.sync += self._place.eq(0)
            with m.If(self._bounds.illegal | self._far):
                self._refuse(m, Status.BAD_ADDRESS)
            with m.Elif(self.running & ~self._bounds.open):
                self._refuse(m, Status.BUSY)
            with m.Elif(self._kind == Request.WRITE):
                m.next = "WRITE_LOW"
            with m.Elif(self._empty):
                m.next = "ANSWER"
            with m.Else():
                m.next = "READ"

    def _check_bounds(self, m: Module) -> None:
        """The verdict is there when the states SUM and COMPARE have passed."""
        m.submodules.bounds = bounds = self._bounds
        m.d.comb += [
            bounds.region.eq(self.bus.region),
            bounds.address.eq(self.bus.address),
            bounds.words.eq(self._left // WORD_BYTES),
            bounds.write.eq(self._kind == Request.WRITE),
        ]

    def _write_words(self, m: Module) -> None:
        """Put the payload's words on the bus, then give the last one time to take effect."""
        bus, payload = self.bus, self.payload
        with m.State("WRITE_LOW"):
            with m.If(self._empty):
                m.next = "SETTLE"
            with m.Else():
                m.d.comb += payload.ready.eq(1)
                m.d.bus += bus.write_data[:8].eq(payload.payload)
                with m.If(payload.valid):
                    m.next = "WRITE_HIGH"
        with m.State("WRITE_HIGH"):
            m.d.comb += payload.ready.eq(1)
            m.d.bus += bus.write_data[8:].eq(payload.payload)
            with m.If(payload.valid):
                m.d.bus += bus.write_enable.eq(1)
                m.next = "WRITE_LOW"
        with m.State("SETTLE"):
            m.d.sync += self._place.eq(self._place + 1)
            with m.If(self._place == self.SETTLE - 1):
                m.next = "ANSWER"

    def _answer(self, m: Module) -> None:
        """Begin a payload when the sender has sent the one before; post the answer."""
        answer = self.answer
        with m.State("READ"):
            m.d.sync += answer.p.length.eq(self._left)
            with m.If(answer.ready):
                m.d.sync += self._fetching.eq(1)
                m.next = "FETCH"
        with m.State("FETCH"):
            with m.If(self._arrival):
                m.next = "ANSWER"
        with m.State("IDENTIFY"):
            m.d.sync += answer.p.length.eq(IDENTITY_BYTES)
            with m.If(answer.ready & (self.response.index == IDENTITY_BYTES - 1)):
                m.next = "ANSWER"
        with m.State("SEQUENCE"):
            m.d.sync += [answer.p.length.eq(1), answer.p.status.eq(Status.BAD_SEQUENCE)]
            with m.If(answer.ready):
                m.next = "ANSWER"
        with m.State("ANSWER"):
            m.d.comb += answer.valid.eq(1)
            with m.If(answer.ready):
                m.next = "IDLE"

    def _fill_response(self, m: Module, *, identify: Value, sequence: Value) -> None:
        """Write the response: words from the bus, low byte first, or what the link knows."""
        bus, response = self.bus, self.response
        returning = Signal(self._read_latency)
        high, high_valid = Signal(8), Signal()
        m.d.comb += self._arrival.eq(returning[-1])
        m.d.sync += [
            bus.read_enable.eq(self._fetching & ~self._empty & ~self._left[0]),
            returning.eq(Cat(bus.read_enable, returning)),
            high_valid.eq(self._arrival),
            high.eq(bus.read_data[8:]),
        ]
        with m.If(high_valid & self._empty & ~Cat(bus.read_enable, returning).any()):
            m.d.sync += self._fetching.eq(0)

        identity = Array(Const(byte, 8) for byte in self._identity)
        known = (identify | sequence) & self.answer.ready
        m.d.comb += response.enable.eq(self._arrival | high_valid | known)
        with m.If(self._arrival):
            m.d.comb += response.data.eq(bus.read_data[:8])
        with m.Elif(high_valid):
            m.d.comb += response.data.eq(high)
        with m.Elif(identify):
            m.d.comb += response.data.eq(identity[response.index[: exact_log2(IDENTITY_BYTES)]])
        with m.Else():
            m.d.comb += response.data.eq(self._last)
        with m.If(response.enable):
            m.d.sync += response.index.eq(response.index + 1)
