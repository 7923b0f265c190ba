"""INTEGRATE: the columns of WEIGHT of the inputs that have fired, added to a population's currents.

    EVENTS --> WEIGHT, a column of a tile a cycle --> + --> sum --> drain >> shift --+
                                                      ^      |                       + --> STATE
                                                      +------+         STATE --------+

`sim.golden.spiking` is the arithmetic. A tile of L neurons takes a cycle for each entry of the
list. While the drain shifts its sums, a bit a cycle, the sums of the next tile are under way.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2, exact_log2

from hw.activity import while_active
from hw.config import DeviceConfig
from hw.isa import FIELDS
from hw.numbers import WORD_BITS
from hw.saturation import limited, ones
from hw.spiking import POPULATION_ROWS, Variable
from hw.spiking_ports import (
    EVENT_LATENCY,
    STATE_LATENCY,
    Command,
    EventRead,
    StateRead,
    StateWrite,
)
from hw.statistics import ReportSignature
from hw.tile_memory import TileMemory, TileRead
from hw.update_schedule import Kept, Line

SHIFT_BITS = next(field.width for field in FIELDS if field.name == "shift")


class Integrator(wiring.Component):
    """current' = sat(current + round(sum of w over the list >> shift)) for each of `rows` neurons.

    A list of n spikes for T tiles of neurons takes n + (T - 1) max(n, spacing) reads and waits,
    spacing = max(shift, STATE_LATENCY) + 1, and max(shift, STATE_LATENCY) + OVERHEAD cycles more
    from `start` to `done`. An empty list takes EMPTY cycles, and nothing is written.

    Parameters
    ----------
    config: the device's configuration; a list is shorter than `event_words`, so that no sum of
        words can overflow

    Members
    -------
    command: INTEGRATE
    event_read: the list, once for every tile
    weight_read: by column
    state_read, state_write: the population's currents
    busy: L weights are read in this cycle
    report: how many currents of neurons saturated, with `done`; none for an empty list
    """

    EMPTY = 5
    OVERHEAD = 17

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.sum_bits = WORD_BITS + ceil_log2(config.event_words)
        super().__init__(
            {
                "command": In(Command()),
                "event_read": Out(EventRead(config)),
                "weight_read": Out(TileRead(tiles=config.weight_tiles, lanes=config.lanes)),
                "state_read": Out(StateRead(config)),
                "state_write": Out(StateWrite(config)),
                "busy": Out(1),
                "report": Out(ReportSignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        outer, m = Module(), Module()
        self._over = Signal(self.config.lanes, name="over")
        running = Signal(name="running")
        outer.d.sync += running.eq((running | self.command.start) & ~self.command.done)
        outer.submodules.unit = while_active(
            m, self.command.start | running, platform, name="integrate"
        )
        line = Line(m, 1)
        last, final = self._read(m, line)
        writes, ending = self._drain(m, last, final)
        self._finish(m, writes, ending)
        return outer

    def _read(self, m: Module, line: Line) -> tuple[Value, Value]:
        """The list, entry 0 of which is its count, and for each entry a column of weights.

        Returns whether the words are the last of a tile, and of all; `self._valid`: they are there.
        """
        instruction, start = self.command.instruction, self.command.start
        asks, reads = Signal(name="asks"), Signal(name="reads")
        count = Signal(range(self.config.event_words), name="count")
        entry = Signal.like(count, name="entry")
        remaining = Signal(range(self.config.weight_tiles), name="remaining")
        pause = Signal(SHIFT_BITS, name="pause")

        last, ready, valid = Signal(name="last"), Signal(name="ready"), Signal(name="valid")
        final = last & ~remaining.any()
        m.d.comb += [
            last.eq(entry == count),
            ready.eq(~pause.any()),
            valid.eq(reads & (ready | ~last)),
        ]
        m.d.sync += [asks.eq(start), pause.eq(pause - pause.any())]
        with m.If(start):
            lanes = exact_log2(self.config.lanes)
            m.d.sync += [entry.eq(0), remaining.eq((instruction.rows - 1) >> lanes)]
        with m.If(asks):
            m.d.sync += entry.eq(1)
        with m.If(valid):
            m.d.sync += entry.eq(Mux(last, 1, entry + 1))
            with m.If(last):
                m.d.sync += [remaining.eq(remaining - 1), pause.eq(self._steps())]
                m.d.sync += reads.eq(remaining.any())

        # From here on cycle k is the k-th after an entry has been chosen.
        address = Signal.like(self.event_read.address)
        m.d.sync += address.eq(instruction.gate + entry)
        asked = Kept(line, asks, 0, "asked", reset=True)
        valid_at = Kept(line, valid, 0, "valid", reset=True)
        last_at = Kept(line, last, 0, "last")
        final_at = Kept(line, final, 0, "final")
        word = 1 + EVENT_LATENCY
        m.d.comb += [
            self.event_read.enable.eq(asked.at(1) | valid_at.at(1)),
            self.event_read.address.eq(address),
        ]
        with m.If(asked.at(word)):
            m.d.sync += count.eq(self.event_read.data)
        with m.If(asked.at(word + 1)):
            m.d.sync += reads.eq(count.any())
        self._empty = asked.at(word + 1) & ~count.any()
        self._read_column(m, start, valid_at.at(word), last_at.at(word))
        read, there = word + 1, word + 1 + TileMemory.READ_LATENCY
        m.d.comb += [self.weight_read.enable.eq(valid_at.at(read)), self.busy.eq(valid_at.at(read))]
        self._valid = valid_at.at(there)
        return last_at.at(there), final_at.at(there)

    def _read_column(self, m: Module, start: Value, valid: Value, last: Value) -> None:
        """The place of the column that the list's word names, for the next cycle."""
        instruction, port = self.command.instruction, self.weight_read
        lanes = exact_log2(self.config.lanes)
        neuron = self.event_read.data
        base, tile = Signal.like(port.tile, name="base"), Signal.like(port.tile)
        index = Signal.like(port.index)
        m.d.sync += [tile.eq(base + (neuron >> lanes)), index.eq(neuron)]
        with m.If(start):
            m.d.sync += base.eq(instruction.left_base)
        with m.Elif(valid & last):
            m.d.sync += base.eq(base + instruction.left_inner)
        m.d.comb += [port.tile.eq(tile), port.index.eq(index), port.column.eq(1)]

    def _steps(self) -> Value:
        """Cycles that the drain's sums wait: as many as they shift, or the current takes."""
        shift = self.command.instruction.shift
        return Mux(shift < STATE_LATENCY, STATE_LATENCY, shift)

    def _drain(self, m: Module, last: Value, final: Value) -> tuple[Value, Value]:
        """Sums of a tile, shifted, into STATE.

        Returns when a tile is written, and whether it is the last one.
        """
        steps = Signal(SHIFT_BITS, name="steps")
        full, adds = Signal(name="full"), Signal(name="adds")
        saturates, writes = Signal(name="saturates"), Signal(name="writes")
        drained, ending = Signal(name="drained"), Signal(name="ending")
        load = self._valid & last
        m.d.comb += adds.eq(full & ~steps.any())
        m.d.sync += [steps.eq(steps - steps.any()), saturates.eq(adds), writes.eq(saturates)]
        with m.If(load):
            m.d.sync += [full.eq(1), steps.eq(self._steps()), drained.eq(final)]
        with m.Elif(adds):
            m.d.sync += full.eq(0)
        with m.If(adds):
            m.d.sync += ending.eq(drained)
        # A shift by fewer places than the current takes cycles to come is done in the first ones.
        shift = self.command.instruction.shift
        waits = [
            (steps == k) & (shift <= STATE_LATENCY - k) for k in range(1, STATE_LATENCY + 1)
        ]
        for lane in range(self.config.lanes):
            self._sum(m, lane, load=load, shifts=~Cat(waits).any())
        self._place(m, full & (steps == STATE_LATENCY), adds)
        m.d.comb += self.state_write.enable.eq(writes)
        return writes, ending

    def _sum(self, m: Module, lane: int, *, load: Value, shifts: Value) -> None:
        """A lane from its weights to its current: (({v, 0} >> shift) + {current, 1}) >> 1."""
        total = Signal(signed(self.sum_bits), name=f"total_{lane}")
        fresh = Signal(signed(self.sum_bits), name=f"fresh_{lane}")
        drain = Signal(signed(self.sum_bits + 1), name=f"drain_{lane}", reset_less=True)
        exact = Signal(signed(self.sum_bits + 2), name=f"exact_{lane}", reset_less=True)
        word, over = Signal(WORD_BITS, name=f"word_{lane}"), Signal(name=f"over_{lane}")
        m.d.comb += fresh.eq(total + self.weight_read.data[lane])
        with m.If(self._valid):
            m.d.sync += total.eq(Mux(load, 0, fresh))
        with m.If(load):
            m.d.sync += drain.eq(fresh << 1)
        with m.Elif(shifts):
            m.d.sync += drain.eq(drain >> 1)
        current = Cat(Const(1, 1), self.state_read.data[lane]).as_signed()
        m.d.sync += exact.eq(current + drain)
        limit, outside = limited(exact[1:].as_signed())
        m.d.sync += [word.eq(limit), over.eq(outside)]
        m.d.comb += [self.state_write.data[lane].eq(word), self._over[lane].eq(over)]

    def _place(self, m: Module, reads: Value, adds: Value) -> None:
        """The rows of the currents, which are written two cycles after `adds`."""
        place = Signal.like(self.state_read.row, name="place")
        written = Signal.like(place, name="written")
        with m.If(self.command.start):
            m.d.sync += place.eq(self.command.instruction.dest_base + Variable.CURRENT)
        with m.Elif(adds):
            m.d.sync += [place.eq(place + POPULATION_ROWS), written.eq(place)]
        m.d.comb += [
            self.state_read.enable.eq(reads),
            self.state_read.row.eq(place),
            self.state_write.row.eq(written),
        ]

    def _finish(self, m: Module, writes: Value, ending: Value) -> None:
        """Count the neurons that saturate; the cycle after the last write is `done`."""
        instruction, report = self.command.instruction, self.report
        lanes = self.config.lanes
        rest = instruction.rows[: exact_log2(lanes)]
        there = Cat(~ending | ~rest.any() | (lane < rest) for lane in range(lanes))
        saturations = Signal(bits_for(self.config.weight_tiles * lanes), name="saturations")
        ended = Signal(name="ended")
        m.d.sync += ended.eq(writes & ending)
        with m.If(self.command.start):
            m.d.sync += saturations.eq(0)
        with m.Elif(writes):
            m.d.sync += saturations.eq(saturations + ones(self._over & there))
        m.d.comb += [
            self.command.done.eq(ended | self._empty),
            report.valid.eq(ended),
            report.statistic.eq(instruction.statistic),
            report.amount.eq(saturations),
        ]
