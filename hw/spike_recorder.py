"""Writes down who fires: the numbers of the neurons of a command's spikes, as a list in EVENTS.

    spikes --mask--> [left] --lowest--> tile, lane --[data]-----+
                                                                +--> EVENTS
    gate + held --> [place] + 1 for each ------------[address]--+
             held --> [count] + 1 for each ----------- at last, at the gate
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.activity import while_active
from hw.config import DeviceConfig
from hw.numbers import WORD_BITS
from hw.spiking_ports import EVENT_LATENCY, EventRead, EventWrite, spike_tile

assert EVENT_LATENCY == 2


class SpikeRecorder(wiring.Component):
    """The list of a command: its spikes in order, one a cycle, and then how many it holds.

    A tile of k spikes is taken in the k-th cycle that it is offered in, one without in the first.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    start: a strobe, in which no list is under way
    gate: the word of EVENTS that the list begins with, from `start` to `done`
    append: add to what the list holds; likewise
    spikes: tiles, of which the one with `last` ends the list
    event_read, event_write: to EVENTS; the list and its spikes must be within it
    done: a strobe; reads of the next cycles see the list

    Attributes
    ----------
    READY: cycles from `start` to the first in which a tile can be taken
    LATENCY: cycles from that in which the last tile is taken to `done`
    """

    READY = EVENT_LATENCY + 2
    LATENCY = 2

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "gate": In(WORD_BITS),
                "append": In(1),
                "spikes": In(stream.Signature(spike_tile(config))),
                "event_read": Out(EventRead(config)),
                "event_write": Out(EventWrite(config)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, outer = Module(), Module()
        running = Signal()
        outer.d.sync += running.eq((running | self.start) & ~self.done)
        outer.submodules.list = while_active(
            m, self.start | running, platform, name="recorder"
        )

        write = self.event_write
        place = Signal.like(write.address, reset_less=True)
        count = Signal.like(write.address, reset_less=True)
        word = Signal(WORD_BITS, reset_less=True)
        enable, done = Signal(), Signal()
        m.d.sync += [enable.eq(0), done.eq(0)]
        m.d.comb += [
            self.event_read.address.eq(self.gate),
            write.address.eq(place),
            write.data.eq(word),
            write.enable.eq(enable),
            self.done.eq(done),
        ]
        held = Mux(self.append, self.event_read.data, 0)[: len(count)]
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += self.event_read.enable.eq(1)
                m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += [place.eq(self.gate + held), count.eq(held)]
                m.next = "TAKE"
            with m.State("TAKE"):
                fires, lane, last = self._lowest(m)
                with m.If(fires):
                    m.d.sync += [place.eq(place + 1), count.eq(count + 1), enable.eq(1)]
                m.d.comb += self.spikes.ready.eq(last)
                m.d.sync += word.eq(Cat(lane, self.spikes.payload.tile))
                with m.If(self.spikes.valid & last & self.spikes.payload.last):
                    m.next = "COUNT"
            with m.State("COUNT"):
                m.d.sync += [place.eq(self.gate), word.eq(count), enable.eq(1), done.eq(1)]
                m.next = "IDLE"
        return outer

    def _lowest(self, m: Module) -> tuple[Value, Value, Value]:
        """Whether a neuron fires, the lane of the lowest, and whether it is the tile's last."""
        lanes = self.config.lanes
        left, begun = Signal(lanes, reset_less=True), Signal()
        mask, rest = Signal(lanes), Signal(lanes)
        lane = Signal(exact_log2(lanes))
        m.d.comb += [
            mask.eq(Mux(begun, left, self.spikes.payload.mask)),
            rest.eq(mask & (mask - 1)),
        ]
        for k in reversed(range(lanes)):
            with m.If(mask[k]):
                m.d.comb += lane.eq(k)
        last = ~rest.any()
        m.d.sync += left.eq(rest)
        with m.If(self.spikes.valid):
            m.d.sync += begun.eq(~last)
        return self.spikes.valid & mask.any(), lane, last
