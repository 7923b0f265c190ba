"""Which vectors of weights PLASTICITY and SCALE read: lines of WEIGHT, tile after tile.

    EVENTS --> line, that is a row or a column --> x tiles from one to the next --> + --> tile
                             |                                                      +1 or +stride
                             +--> its place in the tile: index

A vector follows the other without a gap, also from line to line.
"""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from hw.config import DeviceConfig
from hw.instruction import INSTRUCTION
from hw.multiplier import Multiplier
from hw.spiking_ports import EVENT_LATENCY, EventRead
from hw.update_schedule import Kept, Line


class SynapseWalk(wiring.Component):
    """Reads a list and walks the lines that it names.

    The first vector is read FIRST_READ cycles after `start`; `empty` comes EMPTY cycles after it.
    With `alone` the walk stops behind each line, and the first vector of the next one is read
    RESUMED cycles after `proceed`.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    instruction: holds still during a walk
    start: a strobe
    by_row: lines are rows, otherwise columns; this and what follows holds still likewise
    announced: a cycle without a vector precedes each line
    listed: lines are in the list `gate`; otherwise they are the `rows` first ones
    alone: stop behind each line
    proceed, again: a strobe, in a walk that has stopped: walk the next line, or the same one again
    event_read: the list
    empty: a strobe: there are no lines
    outermost: while a walk has stopped: there are no more lines
    read: a vector is read in this cycle, of `tile` at `index`
    moves: it is not the first one of its line
    ends: it is the last one of its line
    announces: the cycle before a line; `index` is that of the line
    group: with `announces`, which L lines the line belongs to; `GROUP_LEAD` cycles before it
    """

    WORD = 1 + EVENT_LATENCY
    GROUP_LEAD = 1 + Multiplier.LATENCY
    READ = WORD + GROUP_LEAD
    EMPTY = 2 + WORD
    FIRST_READ = EMPTY + 1 + READ
    RESUMED = 1 + READ

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.line_bits = bits_for(max(config.event_words, config.weight_tiles * config.lanes))
        self.tile_bits = max(2, bits_for(config.weight_tiles - 1))
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "start": In(1),
                "by_row": In(1),
                "announced": In(1),
                "listed": In(1),
                "alone": In(1),
                "proceed": In(1),
                "again": In(1),
                "event_read": Out(EventRead(config)),
                "empty": Out(1),
                "outermost": Out(1),
                "read": Out(1),
                "tile": Out(self.tile_bits),
                "index": Out(range(config.lanes)),
                "moves": Out(1),
                "ends": Out(1),
                "announces": Out(1),
                "group": Out(self.line_bits - exact_log2(config.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Line(m, 1)
        asks, entry, ends = self._slots(m)
        number = self._look_up(m, line, asks, entry)
        self._locate(m, line, number, ends)
        return m

    def _slots(self, m: Module) -> tuple[Value, Value, Value]:
        """A vector, or the announcement of a line, in every cycle in which there can be one.

        Returns when entry 0 is looked up, the entry, and whether a vector is its line's last one.
        """
        instruction = self.instruction
        lanes = exact_log2(self.config.lanes)
        self._count = count = Signal(self.line_bits, name="count")
        entry = Signal.like(count, name="entry")
        self._span = span = Signal(self.tile_bits, name="span")
        self._left = left = Signal.like(span, name="left")
        asks, self._walks = Signal(name="asks"), Signal(name="walks")
        fresh, ends = Signal(name="fresh"), Signal(name="ending")
        m.d.comb += [
            ends.eq(self._walks & ~left.any() & ~(fresh & self.announced)),
            self.outermost.eq(entry == count),
        ]
        m.d.sync += asks.eq(self.start)
        length = Mux(self.by_row, instruction.columns, instruction.rows)
        with m.If(self.start):
            m.d.sync += [entry.eq(0), fresh.eq(1)]
        with m.If(asks):
            m.d.sync += [entry.eq(1), span.eq((length - 1) >> lanes)]
        with m.If(self._walks):
            m.d.sync += fresh.eq(ends)
            with m.If(ends):
                m.d.sync += [left.eq(span), self._walks.eq(~self.alone & ~self.outermost)]
            with m.Elif(~(fresh & self.announced)):
                m.d.sync += left.eq(left - 1)
        with m.If(self.proceed):
            m.d.sync += self._walks.eq(1)
        with m.If(Mux(self.alone, self.proceed & ~self.again, ends)):
            m.d.sync += entry.eq(entry + 1)
        return asks, entry, ends

    def _look_up(self, m: Module, line: Line, asks: Value, entry: Value) -> Value:
        """The number of the line at WORD: the list's entry; entry 0 is how many there are."""
        instruction = self.instruction
        place = Signal(max(self.line_bits, len(self.event_read.address)), name="place")
        m.d.sync += place.eq(Mux(self.listed, instruction.gate, -1) + entry)
        asked = Kept(line, asks, 0, "asked", reset=True)
        self._slot = Kept(line, self._walks, 0, "slot", reset=True)
        answered, counted = asked.at(self.WORD), asked.at(self.WORD + 1)
        m.d.comb += [
            self.event_read.enable.eq((asked.at(1) | self._slot.at(1)) & self.listed),
            self.event_read.address.eq(place),
            self.empty.eq(counted & ~self._count.any()),
        ]
        with m.If(answered):
            m.d.sync += self._count.eq(Mux(self.listed, self.event_read.data, instruction.rows))
        with m.If(counted):
            m.d.sync += [self._walks.eq(self._count.any()), self._left.eq(self._span)]
        # A walk without a list stops behind each line, so that `place` stays.
        return Mux(self.listed, self.event_read.data, place)[: self.line_bits]

    def _locate(self, m: Module, line: Line, number: Value, ends: Value) -> None:
        """The tile and the index of each vector at READ."""
        instruction = self.instruction
        lanes = exact_log2(self.config.lanes)
        # Only the product's lowest bits matter, and those have no sign.
        m.submodules.multiplier = multiplier = Multiplier(
            a_width=self.tile_bits,
            b_width=self.tile_bits,
            family=self.config.family,
            fabric=self.config.family == "ice40",
        )
        stride = instruction.left_inner
        m.d.comb += [
            multiplier.a.eq(number[lanes:]),
            multiplier.b.eq(Mux(self.by_row, stride, 1)),
            self.group.eq(number[lanes:]),
        ]
        before = self.READ - 1
        slot = self._slot.at(before)
        last = Kept(line, ends, 0, "ends", reset=True).at(before)
        index = Kept(line, number[:lanes], self.WORD, "index").at(before)
        opens, begun = Signal(name="opens", init=1), Signal(name="begun")
        reads = Signal(name="reads")
        m.d.comb += reads.eq(slot & ~(opens & self.announced))
        m.d.sync += [self.read.eq(reads), self.announces.eq(slot & ~reads)]
        m.d.sync += [self.moves.eq(begun), self.ends.eq(last)]
        with m.If(slot):
            m.d.sync += [opens.eq(last), begun.eq(reads & ~last)]
        with m.If(slot & opens):
            m.d.sync += [
                self.tile.eq(instruction.left_base + multiplier.product[: self.tile_bits]),
                self.index.eq(index),
            ]
        with m.Elif(reads & begun):
            m.d.sync += self.tile.eq(self.tile + Mux(self.by_row, 1, stride))
