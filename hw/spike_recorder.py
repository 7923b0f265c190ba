"""Writes down who fires: the numbers of the neurons of a command's spikes, as a list in EVENTS.

    spikes --> [tile] --> lowest of its mask --> number --[data]---+
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

    A tile of k spikes keeps it busy for max(1, k) cycles, in the last of which it takes the next.

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
    LATENCY: cycles from the last one of the last tile to `done`
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
                fires, neuron, ended = self._take(m)
                with m.If(fires):
                    m.d.sync += [place.eq(place + 1), count.eq(count + 1), enable.eq(1)]
                m.d.sync += word.eq(neuron)
                with m.If(ended):
                    m.next = "COUNT"
            with m.State("COUNT"):
                m.d.sync += [place.eq(self.gate), word.eq(count), enable.eq(1), done.eq(1)]
                m.next = "IDLE"
        return outer

    def _take(self, m: Module) -> tuple[Value, Value, Value]:
        """Take tiles. Whether a neuron of the present one fires; its number; whether all is told.

        Whether a tile is taken depends on registers alone, as does the number that is told: units
        that may be far away need most of a cycle to bring their spikes here.
        """
        lanes, payload = self.config.lanes, self.spikes.payload
        busy, last = Signal(), Signal(reset_less=True)
        left = Signal(lanes, reset_less=True)
        tile = Signal.like(payload.tile, name="tile", reset_less=True)
        rest = Cat(left[k] & left[:k].any() for k in range(lanes))
        lane = Signal(exact_log2(lanes))
        for k in reversed(range(lanes)):
            with m.If(left[k]):
                m.d.comb += lane.eq(k)

        through = ~rest.any()
        m.d.comb += self.spikes.ready.eq(~busy | (through & ~last))
        m.d.sync += left.eq(rest)
        with m.If(self.spikes.ready):
            m.d.sync += [
                busy.eq(self.spikes.valid),
                left.eq(payload.mask),
                tile.eq(payload.tile),
                last.eq(payload.last),
            ]
        ended = busy & through & last
        with m.If(ended):
            m.d.sync += busy.eq(0)
        return busy & left.any(), Cat(lane, tile), ended
